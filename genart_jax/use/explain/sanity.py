"""Whether a map tells of the network at all: it must change when the weights do."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.steps import networks
from genart_jax.train.checkpoint import Model
from genart_jax.types import State, Tree

Explanation = Callable[[Model], jax.Array]


def randomised(model: Model, role: str, explanation: Explanation, key: jax.Array) -> dict[str, float]:
    """Rank correlations of a map with those of the same network with random weights.

    Adebayo et al. 2018, arXiv:1810.03292, section 4.1, "independent randomization": each module alone, then all. Near
    1 for all of them, the map shows edges of the picture and nothing of the network.

    Args:
      model: the trained model.
      role: whose weights are randomised.
      explanation: model -> maps (batch, height, width); compiled once.
      key: of the random weights.

    Returns:
      Spearman's correlation of the maps' absolute values, by module; "all" last.

    Raises:
      UserError: the role's weights never train.
    """
    algorithm, state = model
    if role not in state.params:
        raise UserError(f"{role} never trains; choose a role of {', '.join(state.params)}")
    fresh = compiler.jit(lambda key: networks.init({role: algorithm.networks[role]}, key)[0][role][0])(key)
    maps = compiler.jit(lambda state: jnp.abs(explanation(Model(algorithm, state))))
    whole = np.asarray(maps(state))
    found = {}
    for name in (*fresh, "all"):
        other = maps(_with(state, role, fresh if name == "all" else {name: fresh[name]}))
        found[name] = rank_correlation(whole, np.asarray(other))
    return found


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's correlation of all entries; 0 where one of them is constant."""
    from scipy.stats import spearmanr

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a.reshape(-1), b.reshape(-1)).statistic)


def _with(state: State, role: str, weights: dict[str, Tree]) -> State:
    """The state with other weights in some modules of a role, also in its moving averages."""
    params = {**state.params, role: {**state.params[role], **weights}}
    if not (own := state.ema.get(role)):
        return state.replace(params=params)
    return state.replace(params=params, ema={**state.ema, role: {**own, "params": {**own["params"], **weights}}})
