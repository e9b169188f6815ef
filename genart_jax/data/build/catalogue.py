"""The sets by name."""

from __future__ import annotations

import difflib

from genart_jax.config import UserError
from genart_jax.data.build import art, avatars, clips, digits, icons, photos, plates, solids
from genart_jax.data.build.recipe import Recipe, View

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for module in (icons, photos, art, digits, clips, solids, plates, avatars)
    for recipe in module.RECIPES
}


def names() -> list[str]:
    """Names of all sets and of their views, in the order of the list."""
    return [
        name for recipe in RECIPES.values() for name in (recipe.name, *(f"{recipe.name}:{v}" for v in recipe.views))
    ]


def knows(source: str) -> bool:
    """Whether the source is one of these sets, whatever comes behind its name; emoji is a source of another kind."""
    return not source.startswith("emoji") and source.partition(":")[0] in {name.partition(":")[0] for name in RECIPES}


def find(source: str) -> tuple[Recipe, int | None, View | None]:
    """The recipe, size and view that a name asks for: NAME[:VIEW][:SIZE].

    Raises:
      UserError: there is no such set.
    """
    word, _, last = source.rpartition(":")
    name, size = (word, int(last)) if word and last.isdecimal() else (source, None)
    if name in RECIPES:
        return RECIPES[name], size, None
    base, _, view = name.rpartition(":")
    if base in RECIPES and view in RECIPES[base].views:
        return RECIPES[base], size, RECIPES[base].views[view]
    near = difflib.get_close_matches(name, names(), 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names())}"
    raise UserError(f"data set {name!r} is unknown; {hint}")


def command(name: str, size: int | None = None) -> str:
    """How a set is made."""
    recipe = RECIPES[name]
    usual = size is None or size == recipe.sizes[0]
    return f"genart data build {name}" + ("" if usual else f" --size {size}")
