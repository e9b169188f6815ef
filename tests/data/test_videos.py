"""Folders of videos: frames, animations and films, and what is wrong with them."""

import dataclasses

import av
import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.config import Data
from genart_jax.data import videos
from genart_jax.data.source import open_source

DATA = Data(image_size=(16,), frames=4)


def clip(frames=6, seed=0, side=16):
    """Frames of one grey each, which every format keeps: 10, 50, 90, ..."""
    return [Image.new("RGB", (side, side), (10 + 40 * t - seed,) * 3) for t in range(frames)]


def save(path, frames, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, **options)


def as_frames(folder, frames):
    folder.mkdir(parents=True)
    for i, frame in enumerate(frames):
        frame.save(folder / f"{i + 8}.png")


@pytest.fixture
def folder(tmp_path):
    """Two classes, each with a GIF, a WebP and a folder of frames; frame 10 comes after frame 9."""
    for label in range(2):
        place = tmp_path / "set" / f"class{label}"
        save(place / "a.gif", clip(seed=label))
        save(place / "b.webp", clip(seed=2 + label), lossless=True)
        as_frames(place / "c", clip(seed=4 + label))
    return tmp_path / "set"


def levels(source):
    """The grey of each frame, sorted by video."""
    both = np.concatenate([split.arrays["image"] for split in (source.train, source.test)])
    return sorted(np.asarray(both, int).mean(axis=(2, 3, 4)).round().astype(int).tolist())


def test_every_kind_has_its_frames_in_order(folder):
    source = videos.load(folder, DATA)
    assert source.image_shape == (4, 16, 16, 3)
    assert source.class_names == {"label": ("class0", "class1")}
    assert (source.train.size + source.test.size, source.warnings, source.unreadable) == (6, (), ())
    # Of six frames 0, 1, 3 and 4.
    assert levels(source) == sorted([10 + 40 * t - seed for t in (0, 1, 3, 4)] for seed in range(6))
    labels = {}
    for split in (source.train, source.test):
        for video, label in zip(split.arrays["image"], split.arrays["label"], strict=True):
            labels[round(float(video[0].mean()))] = int(label)
    assert labels == {10 - seed: seed % 2 for seed in range(6)}


def test_the_name_of_the_source_and_the_same_fingerprint_again(folder):
    data = dataclasses.replace(DATA, source=f"videos:{folder}")
    source = open_source(data)
    assert source.fingerprint == open_source(data).fingerprint
    assert source.fingerprint != open_source(dataclasses.replace(data, frames=3)).fingerprint
    assert ga.open_data(f"videos:{folder}", image_size=16, frames=4).train.arrays["image"].shape[1:] == (4, 16, 16, 3)


def test_what_cannot_be_read_is_named_and_passed_over(folder):
    (folder / "class0" / "broken.gif").write_bytes(b"GIF89a" + bytes(40))
    save(folder / "class0" / "still.gif", clip(frames=1))
    save(folder / "class1" / "short.webp", clip(frames=3), lossless=True)
    (folder / "class1" / "film.mp4").write_bytes(b"no film at all")
    (folder / "class1" / "notes.txt").write_text("no video")
    source = videos.load(folder, DATA)
    assert source.train.size + source.test.size == 6
    told = "\n".join(source.unreadable)
    assert "class0/broken.gif: " in told
    assert "class0/still.gif: 1 frame, data.frames wants 4" in told
    assert "class1/short.webp: 3 frames, data.frames wants 4" in told
    assert "class1/film.mp4: " in told
    assert source.warnings[0].startswith("4 videos cannot be read and are passed over: class0/broken.gif")
    with pytest.raises(ga.UserError, match=r"class0/broken.gif: .*remove it"):
        videos.load(folder, dataclasses.replace(DATA, strict=True))


def test_train_and_test_are_the_splits(tmp_path):
    for i, side in enumerate(("train", "train", "test")):
        save(tmp_path / side / "walk" / f"{i}.gif", clip(seed=i))
    source = videos.load(tmp_path, DATA)
    assert (source.train.size, source.test.size, source.class_names) == (2, 1, {"label": ("walk",)})


def test_films(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for frame in clip(side=32):
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    (tmp_path / "b.mov").write_bytes(b"no film at all")
    source = videos.load(tmp_path, DATA)
    np.testing.assert_allclose(levels(source), [[10, 50, 130, 170]] * 2, atol=3)  # one video on both sides
    assert "b.mov: no film that can be read" in source.unreadable[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no videos here; wanted files"),
        ({"frames": 1}, "a video has at least 2"),
        ({"channels": 2}, "wanted 3"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, options, words):
    with pytest.raises(ga.UserError, match=words):
        videos.load(tmp_path, dataclasses.replace(DATA, **options))


def test_no_folder_and_no_room(folder):
    with pytest.raises(ga.UserError, match="there is no such folder"):
        videos.load(folder / "nowhere", DATA)
    with pytest.raises(ga.UserError, match="raise it, or set a smaller"):
        videos.load(folder, dataclasses.replace(DATA, memory_limit_mb=0))


def test_first_frames_of_a_picture_of_an_animation_and_of_a_folder(folder, tmp_path):
    grey = lambda path: videos.first_frames(path, (8, 8), 3).mean(axis=(1, 2, 3)).round().astype(int).tolist()
    assert grey(folder / "class0" / "a.gif") == [10, 50, 90, 130, 170, 210]
    assert grey(folder / "class0" / "c") == [6, 46, 86, 126, 166, 206]
    assert grey(folder / "class0" / "c" / "9.png") == [46]
    (tmp_path / "bad.png").write_bytes(b"no picture")
    for name, words in (("none.png", "No such file"), ("bad.png", "bad.png"), ("a.mp4", "of films name frames")):
        with pytest.raises(ga.UserError, match=words):
            videos.first_frames(tmp_path / name, (8, 8), 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ga.UserError, match="no pictures in this folder"):
        videos.first_frames(tmp_path / "empty", (8, 8), 3)


def test_frames_beside_other_files_are_a_video_and_a_bad_one_is_named(tmp_path):
    for name, side in (("good", 16), ("bad", 16)):
        (tmp_path / name).mkdir()
        for i, frame in enumerate(clip(side=side)):
            frame.save(tmp_path / name / f"{i}.png")
        (tmp_path / name / "about.txt").write_text("words")
    (tmp_path / "bad" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    source = videos.load(tmp_path, DATA)
    assert len(source.unreadable) == 1
    assert "0.png" in source.unreadable[0]


def test_pictures_beside_folders_are_said_to_be_left_out(folder, caplog):
    inside = next(p for p in sorted(folder.rglob("*")) if p.is_dir())
    for i, frame in enumerate(clip()):
        frame.save(inside / f"still{i}.png")
    (inside / "deeper").mkdir()
    videos.load(folder, DATA)
    assert "pictures beside folders are no frames of a video" in caplog.text


def test_grey_videos_as_long_as_they_are_wide_are_refused(folder):
    with pytest.raises(ga.UserError, match="would be volumes"):
        videos.load(folder, Data(image_size=(4,), frames=4, channels=1))
