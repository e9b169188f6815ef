"""Rules, born-sharded states, what a device holds of them, and a run that goes on with other devices."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import genart_jax as ga
from genart_jax.config import Parallel
from genart_jax.train import parallel, trainer
from genart_jax.train.checkpoint import abstract_state
from genart_jax.train.log import read_rows
from tests.train.test_trainer import small_data  # noqa: F401


def mesh(data, model):
    return parallel.make_mesh(Parallel(data, model), 8)


def specs(tree, rules=(), model=4):
    struct = lambda shape: jax.ShapeDtypeStruct(shape, np.float32)
    abstract = jax.tree.map(struct, tree, is_leaf=lambda x: type(x) is tuple)
    return jax.tree.map(lambda s: s.spec, parallel.state_sharding(mesh(2, model), abstract, rules))


def test_the_largest_axis_that_divides_is_split_and_small_leaves_are_whole():
    tree = {"params": {"a": (3, 3, 64, 128), "b": (100, 30), "c": (128,), "d": (30, 10), "e": (4, 8)}, "step": ()}
    assert specs(tree) == {
        "params": {"a": P(None, None, None, "model"), "b": P("model"), "c": P(), "d": P(), "e": P()},
        "step": P(),
    }


def test_the_first_rule_that_matches_wins():
    tree = {"params": {"in": {"kernel": (64, 128)}, "out": {"kernel": (64, 128)}}, "mutable": {"codes": (64, 8)}}
    rules = (("in/kernel", "0"), ("^params", "whole"), ("kernel", "1"), ("codes", "largest"))
    assert specs(tree, rules) == {
        "params": {"in": {"kernel": P("model")}, "out": {"kernel": P()}},
        "mutable": {"codes": P("model")},
    }


@pytest.mark.parametrize(
    ("rule", "words"), [(("(", "whole"), "regular"), (("a", "half"), "wanted whole"), (("a", "1"), "axis 1")]
)
def test_rules_that_cannot_be_are_refused(rule, words):
    with pytest.raises(ga.UserError, match=words):
        specs({"a": (8, 6)}, (rule,))


def test_parameters_and_moments_of_a_device_fall_by_the_size_of_the_mesh():
    """By shapes, for presets of real size: the part that stays whole (biases, scales) is below 2 %."""
    for name, options in (("dcgan", {}), ("conv_vae", {}), ("mlp_vae", {}), ("simple_cnn", {"label": "style"})):
        state = abstract_state(ga.build(name, image_shape=(32, 32, 3), conditions=(("style", 5),), **options))
        for part in ("params", "opt", "ema"):
            tree = {part: getattr(state, part)}
            whole, eighth = (
                parallel.bytes_per_device(tree, parallel.state_sharding(mesh(*m), tree)) for m in ((8, 1), (1, 8))
            )
            assert whole / 8 <= eighth < 1.02 * whole / 8 + 4096, (name, part)


def fit(directory, steps, data, model, callback=None, **options):
    train = {"steps": steps, "log_every": 1, "sample_every": 0, "save_every": 0}
    run = ga.configure(
        "mlp_vae", preset="tiny", train=train, parallel={"data": data, "model": model},
        optimizer={"schedule": "constant"}, **options,
    )  # fmt: skip
    return ga.fit(run, directory, callback)


def losses(directory):
    return [row["loss"] for row in read_rows(directory / "metrics.jsonl") if "loss" in row]


def test_a_run_goes_on_with_other_devices(tmp_path):
    """1, 4, 2 devices in mid-run; then saved on 8, restored on 2 and on 1."""
    fit(tmp_path / "one", 6, 1, 1)
    for steps, data, model in ((1, 1, 1), (2, 2, 2), (3, 1, 2), (4, 4, 2), (5, 2, 1), (6, 1, 1)):
        fit(tmp_path / "moved", steps, data, model)
    np.testing.assert_allclose(losses(tmp_path / "moved"), losses(tmp_path / "one"), rtol=1e-5)
    one, moved = (ga.load(tmp_path / name).state for name in ("one", "moved"))
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(moved.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


def test_a_state_is_born_in_parts_and_stays_so(tmp_path, monkeypatch):
    """Each device of 2 x 4 holds a quarter of every large leaf, before the first step and after the last."""
    seen, real = [], trainer.Trainer.first_state

    def first_state(self):
        self.state = real(self)
        seen.append(self)
        return self.state

    def share(state):
        leaves = jax.tree.leaves((state.params, state.opt, state.ema))
        return sum(leaf.addressable_shards[0].data.nbytes for leaf in leaves) / sum(leaf.nbytes for leaf in leaves)

    monkeypatch.setattr(trainer.Trainer, "first_state", first_state)
    shares = []
    fit(tmp_path, 2, 2, 4, lambda event, _: shares.append(share(seen[0].state)) if event in ("start", "end") else None)
    assert shares == [pytest.approx(0.25, abs=0.03)] * 2
