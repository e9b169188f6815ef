"""Runs side by side."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

import genart_jax as ga
from genart_jax.evaluate import compare
from genart_jax.evaluate.compare import compare_runs, seed_groups, table
from genart_jax.evaluate.scores import Score, write_scores
from genart_jax.train.checkpoint import Saved, write_config

CONTRACT = {"extractor": "x", "split": "train", "num_fake": 100, "ema": True}
BASE = Score("fd_x", 10.0, 1.0, "bootstrap", CONTRACT, {"samples": 0, "training": 0}, {"name": "m", "step": 5})


@pytest.fixture
def make(tmp_path):
    """make(place, **changes of the score) -> a folder with that score."""

    def one(place, **changes):
        (tmp_path / place).mkdir(exist_ok=True)
        contract = CONTRACT | changes.pop("contract", {})
        write_scores(tmp_path / place, [dataclasses.replace(BASE, contract=contract, **changes)])
        return tmp_path / place

    return one


def test_differences_beyond_noise(make):
    a, near, far = make("a"), make("near", value=12.5), make("far", value=20.0)
    unknown = make("unknown", standard_error=None)
    (row,) = compare_runs([a, near, far, unknown])
    assert row.beyond == (False, True, None)
    text = table([row])
    assert "10 [8.04, 11.96]" in text
    assert "20 [18.04, 21.96] *" in text
    assert "10 ?" in text
    # 2.5 is 1.77 standard errors of the difference; 3 are 2.1: enough for one comparison, not for three.
    c = make("c", value=13.0)
    assert compare_runs([a, c])[0].beyond == (True,)
    assert compare_runs([a, c, near, far])[0].beyond[0] is False


@pytest.mark.parametrize("change", [{"extractor": "y"}, {"split": "test"}, {"num_fake": 50}, {"ema": False}])
def test_other_contracts_are_refused(make, change):
    a, b = make("a"), make("b", contract=change)
    (name,) = change
    with pytest.raises(ga.UserError, match=f"cannot be compared: {name} {CONTRACT[name]} and {change[name]}"):
        compare_runs([a, b])
    (row,) = compare_runs([a, b], allow=[name])
    assert row.differing == (name,)
    assert f"allowed to differ: {name}" in table([row])


def test_directions_and_caveats_are_in_the_table(make):
    a, b = make("a", better="lower"), make("b", better="lower", caveat="too few pictures")
    (row,) = compare_runs([a, b])
    assert (row.better, row.caveats) == ("lower", ("too few pictures",))
    text = table([row])
    assert "fd_x   lower is better" in text
    assert text.endswith("caution, fd_x: too few pictures")
    with pytest.raises(ga.UserError, match="cannot be compared: splits None and 10"):
        compare_runs([a, make("c", contract={"splits": 10})])


def test_the_contract_that_all_share_is_found(make):
    a, b = make("a"), make("b", contract={"split": "test"})
    make("b", value=30.0)
    (row,) = compare_runs([a, b])
    assert [e.value for e in row.entries] == [10.0, 30.0]
    old = make("old", value=99.0, model={"name": "m", "step": 1})
    make("old", value=11.0)
    assert compare_runs([a, old])[0].entries[1].value == 11.0  # the newest step


def test_runs_that_differ_by_their_seed(runs):
    for name, value in (("gan", 10.0), ("gan_1", 14.0), ("vae", 20.0)):
        write_scores(runs / name, [dataclasses.replace(BASE, value=value, model={"name": "m", "step": 2})])
    (row,) = compare_runs([runs / "gan", runs / "gan_1", runs / "vae"], group=True)
    first, second = row.entries
    assert (first.value, first.runs) == (12.0, 2)
    assert first.standard_error == pytest.approx(2.0)  # 2.83 between seeds, over the root of 2
    assert second.runs == 1
    assert first.freedom == 1
    text = table([row])
    assert "mean of 2 seeds" in text
    assert "12 [-13.41, 37.41]" in text  # 12.706 standard errors: two seeds tell little
    assert row.beyond == (False,)  # 8 apart: 3.6 standard errors of the difference, of 1.6 degrees of freedom
    assert len(compare_runs([runs / "gan", runs / "gan_1"])[0].entries) == 2
    for name in ("gan", "gan_1", "vae"):
        (runs / name / "scores.json").unlink()


def test_mistakes(make, tmp_path):
    a = make("a")
    other = make("other", name="kd_x")
    with pytest.raises(ga.UserError, match="at least two"):
        compare_runs([a])
    with pytest.raises(ga.UserError, match="no score that all runs have"):
        compare_runs([a, other])
    with pytest.raises(ga.UserError, match="is not a run"):
        compare_runs([a, tmp_path])
    with pytest.raises(ga.UserError, match="a contract has"):
        compare_runs([a, a], allow=["weather"])


def test_seeds_that_agree_by_chance_are_not_certain():
    entry = compare._entry("a", [BASE, BASE])
    assert entry.standard_error == pytest.approx(0.5**0.5)  # of the mean of two runs, each with an error of 1


def test_welch_equals_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 5), rng.normal(2, 3, 4)
    entries = [compare._entry("", [dataclasses.replace(BASE, value=v, standard_error=0.0) for v in x]) for x in (a, b)]
    p = stats.ttest_ind(a, b, equal_var=False).pvalue
    assert compare._beyond(entries, p * 1.001) == (True,)
    assert compare._beyond(entries, p * 0.999) == (False,)


def test_the_seed_of_the_run_that_codes_are_taken_from(tmp_path):
    def begin(place, name, **options):
        run = ga.configure(name, preset="tiny", image_shape=(32, 32, 3), **options)
        facts = dict.fromkeys(("fingerprint", "class_names", "condition_table", "source"))
        write_config(tmp_path / place, Saved(run, facts))
        return tmp_path / place

    first = [begin(f"vq_{i}", "vqvae", train={"seed": i}) for i in range(2)]
    longer = begin("vq_longer", "vqvae", train={"seed": 2, "steps": 9})
    second = [
        begin(f"prior_{i}", "code_prior", tokenizer=str(t), train={"seed": i}) for i, t in enumerate([*first, longer])
    ]
    assert seed_groups([*second, *first]) == [second[:2], second[2:], first]
    (first[1] / "config.json").unlink()
    assert seed_groups(second) == [[run] for run in second]
