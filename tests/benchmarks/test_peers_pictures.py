"""PyTorch peers of models from picture to picture: as many parameters, and the same numbers from the same weights."""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.benchmarks.test_peers import channels_first, convs, copy, load, shapes, started  # noqa: E402


def random_like(tree, scale=0.3):
    """Random numbers in place of a tree's, which may begin at zero; scales of normalisation stay positive."""
    rng = np.random.default_rng(0)
    some = lambda x: rng.uniform(0.5, 1.5, x.shape) if len(x.shape) == 1 else scale * rng.standard_normal(x.shape)
    return jax.tree.map(lambda x: np.float32(some(x)), dict(tree))


def finite(step):
    """A step runs, and leaves finite numbers."""
    step(0)
    assert all(torch.isfinite(p).all() for module in step.modules.values() for p in module.parameters())


def same(theirs, ours):
    """Pictures or scores with the channels first are ours with the channels last."""
    theirs = theirs.detach().permute(0, 2, 3, 1) if theirs.ndim == 4 else theirs.detach()
    np.testing.assert_allclose(theirs, ours, atol=1e-4 * np.abs(ours).max())
    assert np.ptp(ours) > 1e-3


@pytest.mark.parametrize("project_bias", [False, True])
def test_efficientnet_lite0(project_bias):
    algorithm, state, step, batch = started("efficientnet_lite0", (16, 16, 3), shapes, project_bias=project_bias)
    mutable = random_like(state.mutable["classifier"])
    params, module = random_like(state.params["classifier"]), step.modules["classifier"]
    layers = [("stem",), *((f"block_{i}", name) for i in range(3) for name in ("expand", "depthwise", "project"))]
    layers = [path for path in (*layers, ("head",)) if path != ("block_0", "expand")]
    at = lambda tree, path: at(tree[path[0]], path[1:]) if path else tree
    norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for (*outer, name), conv, norm in zip(layers, convs(module), norms, strict=True):
        load(None, [(at(params, [*outer, name]), conv)])
        own, kept = (at(tree, [*outer, f"{name}_norm"]) for tree in (params, mutable["batch_stats"]))
        copy(norm.weight, own["scale"])
        if "bias" in own:
            copy(norm.bias, own["bias"])
        copy(norm.running_mean, kept["mean"])
        copy(norm.running_var, kept["var"])
    copy(module.out.weight, params["out"]["kernel"].T)
    copy(module.out.bias, params["out"]["bias"])
    network = algorithm.networks["classifier"].module
    same(
        module.eval()(channels_first(batch["image"])),
        jax.jit(lambda x: network.apply({"params": params, **mutable}, x)[0])(batch["image"]),
    )
    module.train()
    finite(step)
