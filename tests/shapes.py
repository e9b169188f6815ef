"""Shapes that annotations name are checked in every test: an import hook wraps the functions that have some.

The package's annotations are strings, and jaxtyping is imported for type checkers alone. So this works where jaxtyping
is installed, and users need not have it.
"""

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import re
import sys
import types

MODULES = re.compile(r"genart_jax\.(types|losses\.\w+|metrics\.\w+)")
WORDS = re.compile(r"\b(Float|Int|UInt8|Num|Shaped|Bool)\[")


def checked(function):
    """The function, which raises TypeError where an array is not of the annotated shape and type."""
    import jax
    import jaxtyping
    import numpy as np

    names = {**vars(jaxtyping), **function.__globals__}
    kinds = [names | {"jax": types.SimpleNamespace(Array=kind)} for kind in (jax.Array, np.ndarray)]  # NumPy's, too
    shaped = {name: a for name, a in function.__annotations__.items() if WORDS.search(a)}
    wanted = {name: tuple(eval(a, kind) for kind in kinds) for name, a in shaped.items()}
    signature = inspect.signature(function)

    def check(name, value):
        if not any(isinstance(value, kind) for kind in wanted[name]):
            what = f"{getattr(value, 'shape', type(value).__name__)} {getattr(value, 'dtype', '')}".strip()
            annotation = function.__annotations__[name]
            raise TypeError(f"{function.__qualname__}: {name} is {what}, annotated {annotation}")

    @functools.wraps(function)
    def call(*args, **options):
        given = signature.bind(*args, **options).arguments
        with jaxtyping.jaxtyped("context"):
            for name in wanted.keys() & given.keys():
                check(name, given[name])
            out = function(*args, **options)
            if "return" in wanted:
                check("return", out)
            return out

    return call


def wrap(module):
    """Wraps a module's own functions that have annotated shapes."""
    for name, value in list(vars(module).items()):
        own = inspect.isfunction(value) and value.__module__ == module.__name__
        if own and any(isinstance(a, str) and WORDS.search(a) for a in value.__annotations__.values()):
            setattr(module, name, checked(value))


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules as usual, and wraps their functions when they have been executed."""

    def find_spec(self, name, path, target=None):
        if not MODULES.fullmatch(name):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (execute(module), wrap(module))
        return spec


def install():
    """Begins to wrap modules as they are imported; without jaxtyping, nothing."""
    if importlib.util.find_spec("jaxtyping") is not None:
        sys.meta_path.insert(0, Finder())
