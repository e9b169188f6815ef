"""The table of what the studio does: kind -> the form that a model's uses make, and the work. One line a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from genart_jax.app.studio import create, edit, look, restore, steer, stylise, taste
from genart_jax.app.studio import opened as models
from genart_jax.app.studio.opened import Task
from genart_jax.app.studio.training import NAME, Trainer, history, history_fields, trained
from genart_jax.runtime.values import Json


class Work(NamedTuple):
    """A kind of work.

    Attributes:
      group: the tab that it is under.
      fields: what it takes of a model; None where the model does not do it.
      do: (model, task) -> result: {"pictures": [{"file", "words"}], ...}, files lying in the task's place.
    """

    group: str
    fields: Callable[[models.Opened], list[Json] | None]
    do: Callable[..., Json]


WORKS: Mapping[str, Work] = {
    "create": Work("create", create.fields, create.do),
    "taste": Work("create", taste.fields, taste.do),
    "steer": Work("create", steer.fields, steer.do),
    "vary": Work("edit", edit.vary_fields, edit.vary),
    "change": Work("edit", edit.change_fields, edit.change),
    "mix": Work("edit", edit.mix_fields, edit.mix),
    "between": Work("edit", edit.between_fields, edit.between),
    "move": Work("edit", edit.move_fields, edit.move),
    "project": Work("edit", edit.project_fields, edit.project),
    "stylize": Work("stylize", stylise.fields, stylise.do),
    "transform": Work("restore", restore.fields, restore.do),
    "explain": Work("look", look.explain_fields, look.explain),
    "history": Work("train", history_fields, history),
    "nearest": Work("look", look.nearest_fields, look.nearest),
}


_LOOKED_FOR = "style", "shape", "color"
"""What people choose by: a model that was not told of one says so."""


class Opened(models.Opened):
    """A model with its forms."""

    def forms(self) -> list[Json]:
        """One for each kind of work that it does."""
        found = ((kind, work, work.fields(self)) for kind, work in WORKS.items())
        out: list[Json] = [
            {"kind": kind, "group": work.group, "model": self.name, "fields": fields}
            for kind, work, fields in found
            if fields is not None
        ]
        told = {name for name, _ in self.spec.conditions}
        return [{**f, "lacks": [w for w in _LOOKED_FOR if w not in told]} if f["kind"] == "create" else f for f in out]

    def warm(self) -> None:
        """Compiles what the first pictures need."""
        if "sample" in self.model.algorithm.uses:
            create.draw(self, {**{f["name"]: f.get("default", "any") for f in self.create_fields()}, "count": 1})


Works = Opened | stylise.Painter | Trainer


def opened(name: str, runs: Path | None = None) -> Works:
    """The model of a run, one that comes with the package, what paints with published weights, or what trains.

    Args:
      name: its name.
      runs: the folder of runs that were made in the studio.
    """
    if name in stylise.PUBLISHED:
        return stylise.Painter(name)
    if runs is not None and name == NAME:
        return Trainer(runs)
    return Opened(name, trained(runs).get(name, "") if runs is not None else "")


def do(model: Works, task: Task) -> Json:
    """One job."""
    task.tell(0.0)
    return model.train(task) if isinstance(model, Trainer) else WORKS[task.kind].do(model, task)
