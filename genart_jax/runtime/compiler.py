"""`jit` in place of `jax.jit` for programs with convolutions: on CPU they then use every thread.

XLA on CPU hands most two-dimensional float32 convolutions to YNNPACK, which computes many of them on one thread (jaxlib
0.10.2). Told not to, it computes them by Eigen, on all threads, at up to twice the rate on two cores. It can only be
told for a whole program. Matrix products and sums stay with YNNPACK, which is the faster one for them.

Nor does it copy what a loop carries at every turn, if it may look at where else that is used, as it does on GPU: the
loops that draw random numbers are up to a tenth of a small step.

A program that runs once, as that of the first parameters, takes longer to compile than to run: most of it is random
numbers, with a loop for each array. With little of LLVM's optimisation that takes a third to a half of the time, for
the same numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

from genart_jax.nn import conv

_OPTIONS: dict[str, str | bool] = {
    "xla_cpu_experimental_ynn_fusion_type": ",".join(
        f"LIBRARY_FUSION_TYPE_{kind}" for kind in ("DOT", "INDIVIDUAL_DOT", "REDUCE")
    ),
    "xla_cpu_copy_insertion_use_region_analysis": True,
}
_ONCE: dict[str, str | bool | int] = {"xla_backend_optimization_level": 1}


@functools.cache
def options() -> dict[str, str | bool]:
    """XLA's options for this machine; none on GPU and TPU, and none where this version of XLA does not know them."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=_OPTIONS)
    except jax.errors.JaxRuntimeError:
        return {}
    return _OPTIONS


def jit(function: Callable[..., Any], *, once: bool = False, **kwargs: Any) -> Any:
    """`jax.jit` of a whole program, with `options` and the forms of convolution that are fastest with them.

    It gives the same numbers to rounding. As `jax.jit` with `compiler_options`, it cannot be called inside another.

    Args:
      function: the program.
      once: it runs once, so it need not be fast, but soon compiled.
      **kwargs: those of `jax.jit`; `compiler_options` come on top of those here.
    """
    found = options()
    if not found:
        return jax.jit(function, **kwargs)
    given = found | (_ONCE if once else {}) | (kwargs.pop("compiler_options", None) or {})

    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        with conv.eigen():
            return function(*args, **kwargs)

    return jax.jit(traced, compiler_options=given, **kwargs)
