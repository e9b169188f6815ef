"""What counts as worse, and the exit codes."""

import copy
import json

import pytest

from benchmarks import regression

STEP = [0.9, 1.0, 1.1]
GOOD = {
    "version": 1,
    "machine": {"processor": "abacus", "cores": 2},
    "results": [
        {"label": "a", "step_seconds": STEP, "memory": {"peak_bytes": 1000}, "ratio": [1.1, 1.2, 1.3]},
        {"label": "b", "step_seconds": STEP, "memory": {"peak_bytes": 1000}},
    ],
}


@pytest.fixture
def judge(tmp_path):
    def judge(change=lambda new: None, *words):
        new = copy.deepcopy(GOOD)
        change(new)
        for name, content in (("old", GOOD), ("new", new)):
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return regression.main([str(tmp_path / "old.json"), str(tmp_path / "new.json"), *words])

    return judge


def setting(index, key, value):
    return lambda new: new["results"][index].update({key: value})


def test_the_same_is_no_regression(judge):
    assert judge() == 0


@pytest.mark.parametrize(
    ("times", "code"),
    [
        ([1.3, 1.4, 1.5], 1),  # beyond the old quartiles
        ([1.0, 1.4, 1.5], 0),  # slower, but the quartiles overlap
        ([1.11, 1.12, 1.13], 1),
        ([0.1, 0.2, 0.3], 0),  # faster
    ],
)
def test_step_times(judge, times, code):
    assert judge(setting(1, "step_seconds", times)) == code


def test_the_threshold(judge):
    slower = setting(1, "step_seconds", [1.11, 1.12, 1.13])
    assert judge(slower, "--threshold", "0.2") == 0
    assert judge(slower, "--threshold", "-1") == 2


def test_a_ratio_counts_more_than_a_busy_machine(judge):
    assert judge(setting(0, "step_seconds", [9.0, 10.0, 11.0])) == 0
    assert judge(setting(0, "ratio", [0.8, 0.9, 1.0])) == 1


def test_memory(judge, capsys):
    assert judge(setting(0, "memory", {"peak_bytes": 1100})) == 1
    assert "LARGER" in capsys.readouterr().out


def test_missing_cases(judge):
    assert judge(lambda new: new["results"].pop()) == 1
    assert judge(lambda new: new["results"].pop(), "--subset") == 0
    assert judge(lambda new: [r.update(label="other") for r in new["results"]]) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda new: new.update(version=2),
        lambda new: new.update(results=[]),
        lambda new: new.pop("machine"),
        lambda new: new["results"][0].pop("memory"),
        lambda new: new["results"][0].update(step_seconds=[1.0, 2.0]),
        lambda new: new["results"][0].update(step_seconds=["a", "b", "c"]),
        lambda new: new["results"][0].update(step_seconds=[float("nan")] * 3),
        lambda new: new["machine"].update(cores=3),
    ],
)
def test_bad_input(judge, capsys, change):
    assert judge(change) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_other_machines_on_demand(judge):
    assert judge(lambda new: new["machine"].update(cores=3), "--any-machine") == 0


def test_files_that_are_none(tmp_path):
    (tmp_path / "text.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    for name in ("text.json", "list.json", "absent.json"):
        assert regression.main([str(tmp_path / name)] * 2) == 2
