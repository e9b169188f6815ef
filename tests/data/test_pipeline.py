"""Row order, both loaders, evaluation batches and preparation."""

import functools
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genart_jax.config import Data, Field, UserError
from genart_jax.data import augment, pipeline
from genart_jax.data.source import Split, example


def memory_split(size=23, conditions=("label", "style")):
    """Pixel [0, 0, 0] of a picture is its row."""
    images = np.random.default_rng(0).integers(0, 256, (size, 4, 6, 3)).astype(np.uint8)
    images[:, 0, 0, 0] = np.arange(size)
    condition = {name: (np.arange(size) * k % 5).astype(np.int64) for k, name in enumerate(conditions, 1)}
    return Split(size, {"image": images, **condition})


def stream_split(size=23, conditions=("label", "style")):
    def read(index):
        time.sleep(0.002 * (index % 3))  # so that threads finish out of order
        return example(memory, index)

    memory = memory_split(size, conditions)
    return Split(size, read=read)


SPLITS = {"memory": memory_split, "stream": stream_split}
both = pytest.mark.parametrize("kind", SPLITS)


def batches(loader, steps):
    return [jax.device_get(loader.materialize(loader.constants, loader.next(step))) for step in steps]


def seen(raw):
    return raw["image"][:, 0, 0, 0].tolist()


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize(("batch", "size"), [(4, 23), (23, 23), (5, 3), (64, 7), (1, 1), (3, 1)])
def test_every_epoch_covers_each_row_once(batch, size):
    steps = 4 * size // batch + 5
    order = np.concatenate([pipeline.rows(7, step, batch, size) for step in range(steps)])
    assert order.dtype == np.int64
    for epoch in range(len(order) // size):
        assert sorted(order[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_rows_are_pure_and_shuffled():
    first = pipeline.rows(1, 5, 8, 50)
    pipeline.rows(2, 900, 8, 50)
    np.testing.assert_array_equal(first, pipeline.rows(1, 5, 8, 50))
    assert (pipeline.permutation(1, 0, 50) != pipeline.permutation(2, 0, 50)).any()
    assert (pipeline.permutation(1, 0, 50) != pipeline.permutation(1, 1, 50)).any()
    assert (pipeline.permutation(1, 0, 50) != np.arange(50)).any()
    assert len({tuple(pipeline.permutation(0, e, 3)) for e in range(100)}) == 6
    pipeline.rows(-3, 0, 8, 50)  # any int is a seed


def test_the_order_never_changes():
    """A resumed run relies on this: it must hold for every version of numpy and of this package."""
    assert pipeline.rows(0, 0, 10, 10).tolist() == [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]
    assert pipeline.rows(3, 2, 4, 6).tolist() == [4, 0, 2, 1]


@both
def test_loader_follows_rows(kind):
    loader = pipeline.make_loader(SPLITS[kind](), seed=3, global_batch=5)
    memory = memory_split()
    for step, raw in enumerate(batches(loader, range(12))):
        rows = pipeline.rows(3, step, 5, 23)
        assert raw["image"].dtype == np.uint8
        assert sorted(raw) == ["image", "label", "style"]
        for name, values in raw.items():
            np.testing.assert_array_equal(values, memory.arrays[name][rows])


@both
def test_a_split_is_narrowed_to_the_fields_that_are_asked_for(kind):
    (raw,) = batches(pipeline.make_loader(SPLITS[kind]().only(["image", "style"]), 0, 4), [0])
    assert sorted(raw) == ["image", "style"]


@both
@pytest.mark.parametrize("count", [2, 4])
def test_processes_take_contiguous_columns(kind, count):
    split, size = SPLITS[kind](), 8
    whole = batches(pipeline.make_loader(split, 1, size), range(6))
    parts = [batches(pipeline.make_loader(split, 1, size, i, count), range(6)) for i in range(count)]
    for step, raw in enumerate(whole):
        equal(raw, jax.tree.map(lambda *leaves: np.concatenate(leaves), *[part[step] for part in parts]))
    assert all(len(raw["image"]) == size // count for part in parts for raw in part)


@both
def test_resume_inside_an_epoch_is_exact(kind):
    make = functools.partial(pipeline.make_loader, SPLITS[kind](), 5, 4)
    straight = batches(make(), range(14))
    loader = make()
    equal(batches(loader, range(8)), straight[:8])
    state = loader.get_state()
    assert (state is None) == (kind == "memory")
    fresh = make()
    fresh.set_state(state)
    equal(batches(fresh, range(8, 14)), straight[8:])
    loader.next(8)
    loader.set_state(state)  # back, with reads under way
    equal(batches(loader, range(8, 14)), straight[8:])


@both
def test_the_step_alone_finds_the_position(kind):
    make = functools.partial(pipeline.make_loader, SPLITS[kind](), 5, 4)
    straight = batches(make(), range(10))
    loader = make()
    equal(batches(loader, [7, 8, 2, 9]), [straight[i] for i in (7, 8, 2, 9)])


def test_state_of_the_stream_is_grains():
    loader = pipeline.make_loader(stream_split(), 5, 4)
    loader.next(0)
    first = loader.get_state()
    loader.next(1)
    assert first != loader.get_state()
    assert isinstance(first, bytes)
    loader.set_state(first)
    equal(next(loader._batches), pipeline.make_loader(stream_split(), 5, 4).next(1))


@pytest.mark.parametrize("workers", [0, 1, 8])
def test_number_of_threads_changes_nothing(workers):
    equal(
        batches(pipeline.make_loader(stream_split(), 2, 6, workers=workers), range(9)),
        batches(pipeline.make_loader(memory_split(), 2, 6), range(9)),
    )


def test_an_error_in_a_thread_reaches_the_caller():
    def read(index):
        raise UserError(f"picture {index} is gone")

    with pytest.raises(UserError, match="is gone"):
        pipeline.make_loader(Split(3, read=read), 0, 2).next(0)


def test_memory_payload_is_small_and_traces():
    loader = pipeline.make_loader(memory_split(), 0, 8)
    payload = loader.next(0)
    assert {k: (v.dtype, v.shape) for k, v in payload.items()} == {"rows": (np.int32, (8,))}
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(loader.constants))
    assert loader.constants["image"].dtype == jnp.uint8
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *[loader.next(step) for step in range(3)])
    scan = jax.jit(lambda c, p: jax.lax.scan(lambda _, x: (None, loader.materialize(c, x)), None, p)[1])
    out = jax.device_get(scan(loader.constants, stacked))
    for step, raw in enumerate(batches(loader, range(3))):
        equal(raw, jax.tree.map(lambda leaf, step=step: leaf[step], out))


def test_place_decides_where_constants_lie():
    placed = []
    loader = pipeline.make_loader(memory_split(), 0, 8, place=lambda tree: placed.append(tree) or jax.device_put(tree))
    assert sorted(placed[0]) == ["image", "label", "style"]
    batches(loader, range(2))
    assert len(placed) == 1


@pytest.mark.parametrize(
    ("split", "arguments"), [(memory_split(0), (4, 0, 1)), (memory_split(), (5, 0, 2)), (memory_split(), (0, 0, 1))]
)
def test_loader_checks(split, arguments):
    with pytest.raises(UserError):
        pipeline.make_loader(split, 0, *arguments)


def test_without_grain(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(UserError, match=r'pip install "genart_jax\[data\]"'):
        pipeline.make_loader(stream_split(), 0, 4)
    pipeline.make_loader(memory_split(), 0, 4).next(0)


@both
@pytest.mark.parametrize(("size", "batch", "count"), [(23, 8, 1), (24, 8, 2), (23, 8, 4), (3, 8, 4), (1, 2, 2)])
def test_evaluation_sees_each_example_once(kind, size, batch, count):
    split, memory = SPLITS[kind](size), memory_split(size)
    per_process = [list(pipeline.evaluation_batches(split, batch, i, count)) for i in range(count)]
    assert {len(got) for got in per_process} == {-(-size // batch)}
    order = []
    for step in range(len(per_process[0])):
        for got in per_process:
            raw = got[step]
            assert raw["image"].shape == (batch // count, 4, 6, 3)
            assert raw["weight"].dtype == np.float32
            assert set(raw["weight"].tolist()) <= {0.0, 1.0}
            np.testing.assert_array_equal(raw["image"], memory.arrays["image"][seen(raw)])
            np.testing.assert_array_equal(raw["label"], memory.arrays["label"][seen(raw)])
            order += [row for row, weight in zip(seen(raw), raw["weight"], strict=True) if weight]
    assert order == list(range(size))


def test_evaluation_of_nothing_and_of_odd_batches():
    assert list(pipeline.evaluation_batches(memory_split(0), 4)) == []
    with pytest.raises(UserError, match="cannot be shared"):
        pipeline.evaluation_batches(memory_split(), 5, 0, 2)


def keys(n):
    return jax.random.split(jax.random.key(0), n)


def raw_batch():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (32, 6, 9, 3)).astype(np.uint8)
    return {
        "image": image,
        "target": image.copy(),
        "mask": (image[..., :1] > 99).astype(np.float32),
        "label": np.arange(32),
        "weight": np.ones(32, np.float32),
    }


FIELDS = {
    "image": Field((6, 9, 3)),
    "target": Field((6, 9, 3)),
    "mask": Field((6, 9, 1), "mask"),
    "label": Field((), "class", 32),
}
prepare = functools.partial(pipeline.prepare, fields=FIELDS)


def test_prepare_for_evaluation_only_scales():
    raw = raw_batch()
    out = prepare(raw, None, Data(flip=True, crop=2))
    assert out["image"].dtype == jnp.float32
    assert float(out["image"].min()) >= -1
    assert float(out["image"].max()) <= 1
    np.testing.assert_allclose(out["image"], raw["image"] / np.float32(127.5) - 1, atol=1e-6)
    equal(out["condition"], {"label": raw["label"]})
    assert out["condition"]["label"].dtype == jnp.int32
    np.testing.assert_array_equal(out["mask"], raw["mask"])
    plain = prepare(raw, keys(32), Data())
    equal(out, plain)


def test_prepare_augments_image_target_and_mask_alike():
    raw = raw_batch()
    out = prepare(raw, keys(32), Data(flip=True, crop=2))
    np.testing.assert_array_equal(out["image"], out["target"])
    np.testing.assert_array_equal((out["image"][..., :1] > 99.5 / 127.5 - 1).astype(np.float32), out["mask"])
    assert (np.asarray(out["image"]) != raw["image"] / np.float32(127.5) - 1).any((1, 2, 3)).sum() > 20
    np.testing.assert_array_equal(out["weight"], raw["weight"])
    np.testing.assert_array_equal(out["condition"]["label"], raw["label"])
    expected = augment.crop(augment.flip(raw["image"], keys(32)), keys(32), 2)
    np.testing.assert_allclose(out["image"], np.asarray(expected) / np.float32(127.5) - 1, atol=1e-6)


def test_prepare_traces_and_leaves_its_input():
    raw = raw_batch()
    before = jax.tree.map(np.copy, raw)
    data = Data(flip=True, crop=1)
    jitted = jax.jit(lambda raw, keys: prepare(raw, keys, data))(raw, keys(32))
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), jitted, prepare(raw, keys(32), data))
    equal(raw, before)
    assert sorted(pipeline.prepare(raw, keys(32), data, {"image": FIELDS["image"]})) == ["condition", "image", "weight"]


def test_what_augmentation_may_touch_follows_from_the_kind():
    """Pixels and masks of an example move alike, whatever their rank; `other` is of another example."""
    rng = np.random.default_rng(1)
    video = rng.integers(0, 256, (64, 2, 6, 9, 3)).astype(np.uint8)
    raw = {"image": video, "target": video, "other": video, "mask": (video[..., :1] > 99).astype(np.uint8)}
    fields = {name: Field(values.shape[1:], "mask" if name == "mask" else "pixels") for name, values in raw.items()}
    jitted = lambda data: jax.jit(lambda raw, keys: prepare(raw, keys, data, fields=fields))(raw, keys(64))
    moved = jax.device_get(jitted(Data(flip=True, crop=2)))
    np.testing.assert_array_equal(moved["image"], moved["target"])
    np.testing.assert_array_equal(moved["image"][..., :1] > 99.5 / 127.5 - 1, moved["mask"] == 1)
    same = (moved["image"] == moved["other"]).all((1, 2, 3, 4))
    assert same.mean() < 0.25  # 1 in 50: the same flip, and the same of 25 places
    coloured = jax.device_get(jitted(Data(jitter=(0.4, 0.4, 0.4, 0.1), cutout=3)))
    np.testing.assert_array_equal(coloured["image"], coloured["target"])
    np.testing.assert_array_equal(coloured["mask"], raw["mask"])
    assert coloured["mask"].dtype == jnp.float32
    assert (coloured["other"] != coloured["image"]).any((1, 2, 3, 4)).all()


@pytest.mark.parametrize(
    ("data", "fields", "words"),
    [
        (Data(crop=4), {"image": Field((9, 9, 3)), "other": Field((4, 9, 3))}, "data.crop 4: wanted less than"),
        (Data(crop=2), {"image": Field((4, 9, 9, 3)), "target": Field((4, 18, 18, 3))}, "of one size alike"),
        (Data(jitter=(0.1, 0, 0, 0)), {"image": Field((9, 9, 3)), "other": Field((9, 9, 1))}, "needs 3 channels"),
    ],
)
def test_augmentations_that_do_not_suit_the_fields(data, fields, words):
    with pytest.raises(UserError, match=words):
        pipeline.check_augmentation(data, fields)


def test_augmentations_that_do():
    fields = {"image": Field((4, 9, 9, 3)), "other": Field((7, 7, 1)), "mask": Field((9, 9, 1), "mask")}
    pipeline.check_augmentation(Data(crop=6), fields)
    pipeline.check_augmentation(Data(jitter=(0.1, 0, 0, 0)), {"image": Field((9, 9, 3)), "mask": fields["mask"]})


def unpaired(first, second, size=23, others=7):
    """A split with a second set, whose pictures have the rows from 100 on as their pixel [0, 0, 0]."""
    images = 100 + memory_split(others).arrays["image"]
    other = Split(others, {"image": images})
    if second == "stream":
        other = Split(others, read=lambda index: {"image": images[index]})
    return SPLITS[first](size)._replace(other=other)


@pytest.mark.parametrize("first", SPLITS)
@pytest.mark.parametrize("second", SPLITS)
def test_a_second_set_has_an_order_of_its_own(first, second):
    """From seed and step alone, over the ends of either set's epochs, and the same for streamed splits."""
    size, others = 23, 7
    make = functools.partial(pipeline.make_loader, unpaired(first, second), 3, 5)
    straight = batches(make(), range(10))
    order = np.concatenate([raw["other"][:, 0, 0, 0] - 100 for raw in straight])
    for epoch in range(50 // others):
        assert sorted(order[epoch * others : (epoch + 1) * others]) == list(range(others))
    own = np.concatenate([pipeline.rows(pipeline.other_seed(3), step, 5, others) for step in range(10)])
    np.testing.assert_array_equal(order, own)
    assert (own != np.concatenate([pipeline.rows(3, step, 5, others) for step in range(10)])).any()
    np.testing.assert_array_equal(
        np.concatenate([seen(raw) for raw in straight])[:size], pipeline.permutation(3, 0, size)
    )
    equal(batches(make(), [8, 2]), [straight[8], straight[2]])
    halves = [batches(pipeline.make_loader(unpaired(first, second), 3, 6, i, 2), [4]) for i in range(2)]
    whole = batches(pipeline.make_loader(unpaired(first, second), 3, 6), [4])
    equal(whole, jax.tree.map(lambda *leaves: np.concatenate(leaves), *halves))
    assert "other" not in batches(pipeline.make_loader(unpaired(first, second).only(["image"]), 3, 5), [0])[0]


def test_members_of_a_sweep_have_a_second_order_each():
    payload = pipeline.make_loader(unpaired("memory", "memory"), (3, 4), 5).next(2)
    for name in ("rows", "other"):
        alone = [pipeline.make_loader(unpaired("memory", "memory"), seed, 5).next(2)[name] for seed in (3, 4)]
        np.testing.assert_array_equal(payload[name], np.stack(alone, axis=1))


@pytest.mark.parametrize("first", SPLITS)
def test_evaluation_goes_through_a_second_set_in_order(first):
    raws = list(pipeline.evaluation_batches(unpaired(first, "memory"), 8))
    assert np.concatenate([seen(raw) for raw in raws]).tolist() == [*range(23), 22]
    others = np.concatenate([raw["other"][:, 0, 0, 0] for raw in raws])
    np.testing.assert_array_equal(others[:23], 100 + np.arange(23) % 7)
