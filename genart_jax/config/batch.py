"""What a batch of a model holds. No jax here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from genart_jax.config.errors import UserError

Kind = Literal["pixels", "mask", "class"]

BESIDE = {
    "target": "the picture to make of each; pairs:DIR has them",
    "other": "a second set, which is not paired with the first; name it with --data.other SOURCE",
    "mask": "a mask to each picture",
}
"""What a model may need besides the image, by its field: a Config asks for it by `target_shape`, `other_shape` or
`mask_shape`. And how one comes by it."""


class Field(NamedTuple):
    """One thing that each example of a batch has.

    Attributes:
      shape: without the batch axis; () of a class.
      kind: "pixels": pictures, videos (frames first) or volumes (depth first) with channels last, uint8 at rest and
        float32 in [-1, 1] in a batch. "mask": as long and wide as pictures, with values in [0, 1], float32 in a batch.
        "class": an integer, -1 where it is hidden or not known.
      classes: how many there are of a class; the integers below are their numbers.
    """

    shape: tuple[int, ...] = ()
    kind: Kind = "pixels"
    classes: int = 0


def kind_of(name: str) -> Literal["pixels", "mask"]:
    """The kind of a field that is no class, by its name."""
    return "mask" if name == "mask" else "pixels"


def class_fields(conditions: Mapping[str, int] | tuple[tuple[str, int], ...]) -> dict[str, Field]:
    """The fields of conditions, from their numbers of classes."""
    return {name: Field((), "class", classes) for name, classes in dict(conditions).items()}


@dataclasses.dataclass(frozen=True, init=False)
class BatchSpec:
    """What a batch of a model holds: enough to load and use a model without its data.

    In a batch, classes are under `batch["condition"]` by their names, and all other fields are `batch[name]`.
    """

    fields: Mapping[str, Field]
    """By name: "image", maybe "target", "other" and "mask", then the classes."""
    hidden: tuple[str, ...] = ()
    """The conditions that the model also learns without: of these, -1 (not told) can be asked for."""
    class_names: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict, compare=False)
    """Condition -> the names of its classes in the order of their integers, where they are known."""

    def __init__(
        self,
        image_shape: tuple[int, ...] = (32, 32, 3),
        conditions: tuple[tuple[str, int], ...] = (),
        hidden: tuple[str, ...] = (),
        fields: Mapping[str, Field] | None = None,
        class_names: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Of pictures and conditions, (name, number of classes) each; or of `fields`, which say it all.

        Names of classes of what is no condition here are left out.

        Raises:
          UserError: a condition has another number of names than of classes.
        """
        given = {"image": Field(tuple(image_shape)), **class_fields(conditions)} if fields is None else dict(fields)
        last = {name: field for name, field in given.items() if field.kind == "class"}
        object.__setattr__(self, "fields", {name: f for name, f in given.items() if name not in last} | last)
        object.__setattr__(self, "hidden", tuple(hidden))
        names = {name: tuple(words) for name, words in (class_names or {}).items() if name in last}
        for name, words in names.items():
            if len(words) != last[name].classes:
                raise UserError(f"class_names of {name!r}: {len(words)} names for {last[name].classes} classes")
        object.__setattr__(self, "class_names", names)

    def __hash__(self) -> int:
        return hash((tuple(self.fields.items()), self.hidden))

    def named(self, class_names: Mapping[str, Sequence[str]]) -> BatchSpec:
        """The same with names of classes."""
        return BatchSpec(hidden=self.hidden, fields=self.fields, class_names=class_names)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels); of videos and volumes with frames or depth in front."""
        return self.fields["image"].shape

    def only_condition(self, asker: str) -> tuple[str, int]:
        """(name, number of classes) of the one condition that a classifier has.

        Raises:
          UserError: it has several, and the asker can do with one alone.
        """
        if len(self.conditions) != 1:
            names = ", ".join(name for name, _ in self.conditions)
            raise UserError(f"{asker} needs a classifier of one condition; this one has {names}")
        return self.conditions[0]

    @property
    def conditions(self) -> tuple[tuple[str, int], ...]:
        """(name, number of classes) of each integer condition."""
        return tuple((name, field.classes) for name, field in self.fields.items() if field.kind == "class")
