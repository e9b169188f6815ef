"""PyTorch peers of GANs that share a step: as many parameters, and the same numbers from the same weights."""

import dataclasses
import importlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genart_jax.api import build
from genart_jax.config import UserError
from genart_jax.losses import terms
from genart_jax.losses.adversarial import LOSSES
from genart_jax.losses.penalties import squared_gradient
from genart_jax.nn import spectral
from genart_jax.steps import gan
from genart_jax.steps.common import per_example
from genart_jax.steps.critics import value_of
from genart_jax.train import bench

torch = pytest.importorskip("torch")

from tests.benchmarks.peer_weights import channels_first, copy  # noqa: E402  # after torch is known to be there


def own(module):
    """Its weight, undivided."""
    return module.parametrizations.weight.original if hasattr(module, "parametrizations") else module.weight


def put(ours, theirs, shape=None):
    """A layer's parameters; `shape`: the (channels, height, width) that the outputs (or inputs, below 0) are of."""
    kernel = np.array(ours["kernel"])
    if kernel.ndim == 4:
        copy(own(theirs), kernel.transpose(3, 2, 0, 1))
    elif shape is None:
        copy(own(theirs), kernel.T)
    else:
        copy(own(theirs), places(kernel.T, shape))
    if "bias" in ours:
        copy(theirs.bias, ours["bias"] if shape is None else places(np.array(ours["bias"]), shape))


def places(value, shape):
    """The leading axis from (height, width, channels) to channels first."""
    channels, *sides = shape
    return value.reshape(*sides, channels, -1).transpose(len(sides), *range(len(sides)), -1).reshape(value.shape)


def embedded(ours, theirs):
    for name, table in zip(theirs.names, theirs.tables, strict=True):
        copy(own(table), ours[name])


def mlp_gan(params, modules):
    for role, module in modules.items():
        ours, theirs = params[role]["layers"], module.layers
        embedded(ours["embed"], theirs.embed)
        for i, layer in enumerate(theirs.hidden):
            put(ours[f"hidden_{i}"], layer)
    put(params["generator"]["layers"]["out"], modules["generator"].layers.out, modules["generator"].shape)
    critic = params["critic"]["layers"]
    first, pixels = np.array(critic["hidden_0"]["kernel"]), np.prod(modules["generator"].shape)
    first[:pixels] = places(first[:pixels], modules["generator"].shape)  # of pixels, with the conditions behind them
    copy(modules["critic"].layers.hidden[0].weight, first.T)
    put(critic["out"], modules["critic"].layers.out)


def modgan(params, modules):
    g, d, generator, critic = params["generator"], params["critic"], *modules.values()
    embedded(g["embed"], generator.embed)
    put(g["map"], generator.map)
    put(g["in"], generator.start, generator.shape)
    for i, norm in enumerate(generator.norm):
        put(g[f"norm_{i}"]["affine"], norm.affine)
    for i, layer in enumerate(generator.up, 1):
        put(g[f"up_{i}"], layer)
    put(g["out"], generator.out)
    for i, layer in enumerate(critic.down):
        put(d[f"down_{i}"], layer)
    embedded(d["embed"], critic.embed)
    put(d["patches"], critic.patches)
    embedded(d["patch_embed"], critic.patch_embed)
    _, height, width = generator.shape
    kernel = np.array(d["out"]["kernel"])[:, 0].reshape(height, width, -1)
    copy(critic.out.weight, kernel.transpose(2, 0, 1))
    copy(critic.out.bias, d["out"]["bias"])


def conditional(ours, theirs):
    copy(theirs.scale, ours["scale"])
    copy(theirs.shift, ours["bias"])
    embedded(ours["offsets"], theirs.offsets)


def shared(ours, theirs):
    put(ours["scale"], theirs.scale)
    put(ours["shift"], theirs.shift)


def attention(ours, theirs):
    for name in ("queries", "keys", "values", "out"):
        put(ours[name], getattr(theirs, name))
    copy(theirs.gamma, ours["gamma"])


def residual(norm):
    """Of a model with residual blocks, whose conditional norms are loaded by `norm`."""

    def load(params, modules):
        g, d, generator, critic = params["generator"], params["critic"], *modules.values()
        put(g["in"], generator.start, generator.shape)
        for i, block in enumerate(generator.blocks):
            for j, theirs in enumerate(block.norms):
                norm(g[f"block_{i}_norm_{j}"], theirs)
            for name in ("up", "conv", "skip"):
                put(g[f"block_{i}_{name}"], getattr(block, name))
        if "scale" in g["norm"] and "offsets" not in g["norm"]:
            copy(generator.norm.weight, g["norm"]["scale"])
            copy(generator.norm.bias, g["norm"]["bias"])
        else:
            norm(g["norm"], generator.norm)
        put(g["out"], generator.out)
        if hasattr(generator, "embed"):
            embedded(g["embed"], generator.embed)
        blocks = [block for block in critic.blocks if hasattr(block, "conv_0")]
        for i, block in enumerate(blocks):
            for name in ("conv_0", "conv_1", "skip"):
                if f"block_{i}_{name}" in d:
                    put(d[f"block_{i}_{name}"], getattr(block, name))
        if "in" in d:
            put(d["in"], critic.blocks[0])
        put(d["out"], critic.out)
        embedded(d["embed"], critic.embed)
        if "attention" in g:
            attention(g["attention"], generator.attention)
            attention(d["attention"], next(block for block in critic.blocks if hasattr(block, "gamma")))

    return load


def at_rest(params, us):
    """The first singular vectors (features,) of the kernels that have a `u`, in the place of our power iterations."""
    if not hasattr(us, "items"):
        return np.linalg.svd(np.asarray(params).reshape(-1, params.shape[-1]))[2][0]
    return {
        name: at_rest(params[name if hasattr(u, "items") else name.removesuffix("_u")], u) for name, u in us.items()
    }


def collections(state, params):
    """Ours, with spectral normalisation at its end."""
    out = {role: dict(tree) for role, tree in state.mutable.items()}
    for role, tree in out.items():
        if spectral.COLLECTION in tree:
            tree[spectral.COLLECTION] = at_rest(params[role], tree[spectral.COLLECTION])
    return out


def settle(modules):
    """Spectral normalisation at its end, and in no further motion."""
    for module in modules.values():
        for part in module.modules():
            if type(part).__name__ == "_SpectralNorm":
                part.eval()
        for part in module.modules():
            if hasattr(part, "parametrizations"):
                norm, weight = part.parametrizations.weight[0], part.parametrizations.weight.original
                u, _, v = torch.linalg.svd(weight.detach().flatten(1), full_matrices=False)
                norm._u.copy_(u[:, 0])
                norm._v.copy_(v[0])


CASES = {
    "mlp_gan": (mlp_gan, {}),
    "modgan": (modgan, {"step.loss": "relativistic", "patch_conditions": True}),
    "wgan_gp": (residual(conditional), {}),
    "sagan": (residual(conditional), {}),
    "biggan": (residual(shared), {}),
    "sngan": (residual(conditional), {}),
}


def random(params):
    """All parameters anew, as many are 0 at first: of a deviation that keeps signals as large as they are."""
    rng = np.random.default_rng(0)

    def new(x):
        scale = 0.5 if x.ndim < 2 else (2 / np.prod(x.shape[:-1])) ** 0.5
        return np.asarray(0.1 + scale * rng.standard_normal(x.shape), np.float32)

    return jax.tree.map(new, dict(params))


@pytest.mark.parametrize("name", CASES)
def test_same_numbers(name):
    from benchmarks.peers.common import Context

    weights, options = CASES[name]
    run = bench.resolved(name, "tiny", (16, 16, 3), options=options)
    algorithm = build(run)
    batch = jax.tree.map(lambda x: np.array(x[:8]), bench.random_batch(algorithm.batch_spec, 8))
    state = jax.jit(algorithm.init)(jax.random.key(0), batch)
    step = importlib.import_module(f"benchmarks.peers.{name}").Step(Context(dataclasses.asdict(run), "cpu", "eager"))
    counts = {role: sum(x.size for x in jax.tree.leaves(tree)) for role, tree in state.params.items()}
    assert counts == {role: sum(p.numel() for p in m.parameters()) for role, m in step.modules.items()}

    params = random({role: state.params[role] for role in ("generator", "critic")})
    kept = collections(state, params)
    weights(params, step.modules)
    settle(step.modules)
    z = np.random.default_rng(1).standard_normal((8, run.model.latent_dim)).astype(np.float32)
    real, told, loss = batch["image"], batch["condition"], LOSSES[run.step.loss]

    @jax.jit
    def ours(params):
        def apply(role, x):
            variables = {"params": params[role], **kept[role]}
            return algorithm.networks[role].module.apply(variables, x, told, train=True, mutable=["batch_stats"])[0][0]

        fake = apply("generator", z)
        scores = apply("critic", real), apply("critic", fake)
        squares = squared_gradient(lambda x: per_example(apply("critic", x)), real)
        both = jnp.mean(value_of(loss.critic, *scores)), jnp.mean(value_of(loss.generator, *scores))
        pulled = terms.orthogonal(1.0).value(types.SimpleNamespace(params=params["generator"]), None)[0]
        return fake, scores[1], both, squares, jnp.mean(jnp.square(fake - real)), pulled

    fake, scores, (critic_loss, generator_loss), squares, mse, pulled = ours(params)
    condition = {key: torch.from_numpy(value).long() for key, value in told.items()}
    images = channels_first(real)
    with torch.no_grad():
        made = step._generate(torch.from_numpy(z), condition)
        judged = step.critic(made, condition)
        losses = step._critic_loss(images, made, condition), step._generator_loss(images, made, condition)
    np.testing.assert_allclose(made.permute(0, 2, 3, 1), fake, atol=1e-4 * np.abs(fake).max())
    close = lambda theirs, ours: np.testing.assert_allclose(theirs, ours, atol=1e-4 * np.abs(ours).max())
    jax.tree.map(close, jax.tree.map(np.asarray, judged), scores)
    more = {"pixel_mse": mse, "orthogonal": pulled}
    wanted = generator_loss + sum(weight * more[key] for key, (weight, _) in step.generator_terms.items())
    np.testing.assert_allclose(losses, (critic_loss, wanted), rtol=1e-4)
    np.testing.assert_allclose(step._squares(images, condition).detach(), squares, rtol=1e-3)
    steep = step._penalty("gp", images, images, condition).detach()  # between a picture and itself is itself
    np.testing.assert_allclose(steep, np.mean((np.sqrt(squares) - 1) ** 2), rtol=1e-3)
    assert np.ptp(fake) > 0.1
    assert all(np.ptp(x) > 1e-3 for x in jax.tree.leaves(scores))
    step(0)
    assert all(torch.isfinite(p).all() for m in step.modules.values() for p in m.parameters())


@pytest.mark.parametrize("name", [*CASES, "gan3d"])
def test_penalties(name):
    """Their weights and periods in the usual preset, of which no network is made."""
    from benchmarks.peers.adversarial_terms import terms_of

    run = bench.resolved(name)
    players = gan.Adversarial(build(run).networks, run, None).game.players
    ours = [{t.name: (t.weight * max(1, t.every), t.every) for t in player.terms} for player in players]
    assert [*terms_of(run.step)] == ours


@pytest.mark.parametrize("name", CASES)
def test_as_a_gpu_runs_them(name):
    from benchmarks.peers import MODELS
    from benchmarks.peers.common import Context

    assert name in MODELS
    run = bench.resolved(name, "tiny", (16, 16, 3), precision="bfloat16")
    step = importlib.import_module(f"benchmarks.peers.{name}").Step(
        Context(dataclasses.asdict(run), "cpu", "channels_last")
    )
    for i in range(step.period):
        step(i)
    assert all(torch.isfinite(p).all() for m in step.modules.values() for p in m.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {"step.condition_dropout": 0.1},
        {"step.augment": "diffaugment"},
        {"step.loss": "least_squares"},
        {"step.critic_terms": ("lecam=0.1",)},
        {"step.generator_terms": ("pixel_mse=1@2",)},
    ],
)
def test_what_it_has_not(options):
    from benchmarks.peers import mlp_gan
    from benchmarks.peers.common import Context

    run = bench.resolved("mlp_gan", "tiny", (16, 16, 3), options=options)
    with pytest.raises(UserError, match="--against torch"):
        mlp_gan.Step(Context(dataclasses.asdict(run), "cpu", "eager"))
