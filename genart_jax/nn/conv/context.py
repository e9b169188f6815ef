"""What holds for all convolutions that are traced inside a context."""

import contextlib
import contextvars
from collections.abc import Iterator

from jax import lax

from genart_jax.nn.conv.choice import FORMS
from genart_jax.nn.conv.geometry import Geometry, Pair

_overrides: contextvars.ContextVar[tuple[tuple[str, str], ...]] = contextvars.ContextVar("forms", default=())
_parts: contextvars.ContextVar[int] = contextvars.ContextVar("parts", default=1)
_eigen: contextvars.ContextVar[bool] = contextvars.ContextVar("eigen", default=False)
_plain: contextvars.ContextVar[bool] = contextvars.ContextVar("plain", default=False)


@contextlib.contextmanager
def forms(**names: str) -> Iterator[None]:
    """Overrules `choose` for what is traced inside, on every backend.

    For example ``with forms(conv="lax", transpose="phases", weight="taps"):``. A function that ``jit`` has traced
    before keeps the forms it was traced with.
    """
    for operation, name in names.items():
        if name not in FORMS.get(operation, {}):
            known = "; ".join(f"{key}: {', '.join(value)}" for key, value in FORMS.items())
            raise ValueError(f"no form {operation}={name!r}; there are {known}")
    token = _overrides.set(tuple(sorted({**dict(_overrides.get()), **names}.items())))
    try:
        yield
    finally:
        _overrides.reset(token)


@contextlib.contextmanager
def divided(parts: int) -> Iterator[None]:
    """The batches of what is traced inside lie in so many equal parts, one after another, on as many devices.

    It changes no result. Without it, a form that takes a few images at a time takes them from one device.
    """
    token = _parts.set(parts)
    try:
        yield
    finally:
        _parts.reset(token)


@contextlib.contextmanager
def eigen() -> Iterator[None]:
    """What is traced inside is compiled so that XLA on CPU computes convolutions by Eigen; see `compiler`.

    It changes no result, but which forms are fastest.
    """
    token = _eigen.set(True)
    try:
        yield
    finally:
        _eigen.reset(token)


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """What is traced inside has convolutions of `lax` in the place of primitives of this package's own.

    For programs that translate what is traced, and know JAX's operations alone.
    """
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def is_plain() -> bool:
    """Whether `plain` holds here."""
    return _plain.get()


def geometry_here(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    padding: tuple[Pair, ...],
    dilation: tuple[int, ...],
    groups: int,
    precision: lax.PrecisionLike,
) -> Geometry:
    """A `Geometry` with what `forms`, `divided` and `eigen` say here."""
    traced = _overrides.get(), _parts.get(), _eigen.get()
    return Geometry(size, kernel, strides, padding, dilation, groups, precision, *traced)
