"""The gallery's table, without a training."""

import math

from benchmarks import gallery


def rows(model, *values):
    return {
        str(seed): {
            "model": model, "seed": seed, "steps x batch": "9 x 8", "FD lite0": value, "FD VGG19, 64 px": 10 * value,
            "machine": "another" if seed else "a machine",
        }
        for seed, value in enumerate(values)
    }  # fmt: skip


def test_every_model_of_pictures_is_in_it():
    assert {"modgan", "stylegan2", "drift", "mlp_gan"} <= set(gallery.models())
    assert not {"gan3d", "video_gan"} & set(gallery.models())


def test_seeds_are_averaged_and_the_best_comes_first():
    page = gallery.table({"worse": rows("worse", 90.0, 110.0), "drift": rows("drift", 50.0)})
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith("| ") and "model" not in line]
    assert [line[0] for line in lines] == ["| drift", "| worse", "| worse", "| worse"]
    assert [line[5] for line in lines] == ["(50)", "90.0", "110.0", "100.0"]  # drift has seen lite0
    assert lines[-1][1] == "mean of 2"
    assert page.index("gallery/drift.png") < page.index("gallery/worse.png")
    assert "- drift 0, worse 0: a machine" in page
    assert "- worse 1: another" in page
    assert math.isclose(gallery.mean(list(rows("m", 1.0, 2.0).values()))["FD VGG19, 64 px"], 15.0)


def test_what_is_missing_is_a_dash():
    assert gallery.cell("CPU min", {"model": "m", "CPU min": None}) == "-"
    assert gallery.cell("CPU min", {"model": "m", "CPU min": math.nan}) == "-"
    assert gallery.cell("CPU min", {"model": "m", "CPU min": 8.333}) == "8.3"
