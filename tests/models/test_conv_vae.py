"""conv_vae with residual blocks, and told several things at once."""

import jax
import jax.numpy as jnp
import numpy as np

from tests import zoo

KEY = jax.random.key(7)


def test_residual_blocks_stand_at_each_resolution():
    """Their parameters are the only ones that come to those without, and all of them are trained."""
    plain, deep = (zoo.tiny("conv_vae", blocks=n, optimizer=zoo.SGD) for n in (0, 1))
    batch = zoo.batch(deep.batch_spec, 8)
    state = zoo.start(deep, KEY, batch)
    shapes = jax.eval_shape(plain.init, KEY, batch).params
    more = {role: set(state.params[role]) - set(shapes[role]) for role in shapes}
    assert more == {role: {"residual_0", "residual_1"} for role in ("encoder", "decoder")}
    after, metrics = jax.jit(deep.step)(state, batch, KEY)
    assert np.isfinite(metrics["loss"])
    for role in more:
        for name in more[role]:
            assert zoo.norm(zoo.moved(state.params[role][name], after.params[role][name])) > 0, (role, name)


def test_several_conditions_at_once():
    """Each of two conditions changes what the same latent is decoded to, alone and with the other."""
    algorithm = zoo.tiny("conv_vae")
    batch = zoo.batch(algorithm.batch_spec, 8)
    state = zoo.start(algorithm, KEY, batch)
    z = jnp.broadcast_to(jax.random.normal(KEY, (1, 4)), (4, 4))
    made = np.asarray(
        jax.jit(algorithm.decode)(state, z, {"style": jnp.array([0, 1, 0, 1]), "shape": jnp.array([2, 2, 3, 3])})
    )
    apart = lambda a, b: np.abs(made[a] - made[b]).max()
    assert all(apart(a, b) > 1e-4 for a, b in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)))
    assert np.abs(made[0] - made[1] - made[2] + made[3]).max() > 1e-6  # not added up: they act together
