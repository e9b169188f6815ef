"""The gallery's table, without a training."""

import math

from benchmarks import gallery


def rows(model, *values):
    return [
        {"model": model, "seed": seed, "steps x batch": "9 x 8", "FD lite0": value, "FD VGG19, 64 px": 10 * value}
        for seed, value in enumerate(values)
    ]


def test_every_model_of_the_family_is_in_it():
    assert {"modgan", "stylegan2", "drift", "mlp_gan"} <= set(gallery.models())


def test_seeds_are_averaged_and_the_best_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery.machine, "about", lambda: "a machine")
    judged = {"style": (tmp_path, "style SHA-256 0123456789ab, 0.900 of the test icons")}
    page = gallery.table([*rows("worse", 90.0, 110.0), *rows("drift", 50.0)], judged)
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith("| ") and "model" not in line]
    assert [line[0] for line in lines] == ["| drift", "| worse", "| worse", "| worse"]
    assert [line[5] for line in lines] == ["(50)", "90.0", "110.0", "100.0"]  # drift has seen lite0
    assert lines[-1][1] == "mean of 2"
    assert page.count("0123456789ab") == page.count("a machine") == 1
    assert math.isclose(gallery.mean(rows("m", 1.0, 2.0))["FD VGG19, 64 px"], 15.0)


def test_what_is_missing_is_a_dash():
    assert gallery.cell("CPU min", {"model": "m", "CPU min": None}) == "-"
    assert gallery.cell("warnings", {"model": "m", "warnings": 2}) == "2"
    assert gallery.cell("CPU min", {"model": "m", "CPU min": 8.333}) == "8.3"
