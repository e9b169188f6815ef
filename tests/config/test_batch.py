"""Fields: what a batch holds, and everything that follows from it."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import Data, Field, Optimizer, Run, Train, Vae, resolve, spec_of
from genart_jax.steps import common
from genart_jax.train import bench, checkpoint

FIELDS = {
    "style": Field((), "class", 5),
    "image": Field((2, 8, 6, 3)),
    "target": Field((16, 12, 3)),
    "mask": Field((8, 6, 1), "mask"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Of a model that needs more than an image."""

    image_shape: tuple[int, ...] | None = None
    conditions: tuple[Any, ...] | None = ()
    target_shape: tuple[int, ...] | None = None
    mask_shape: tuple[int, ...] | None = None


RUN = Run(Config(), Vae(), Optimizer(), Data(), Train(), name="painter")


def test_a_spec_of_pictures_and_classes_is_one_of_fields():
    spec = ga.BatchSpec((32, 16, 3), (("style", 5), ("shape", 9)), ("style",))
    image, style, shape = Field((32, 16, 3)), Field((), "class", 5), Field((), "class", 9)
    assert spec == ga.BatchSpec(hidden=("style",), fields={"image": image, "style": style, "shape": shape})
    assert (spec.image_shape, spec.conditions, spec.hidden) == ((32, 16, 3), (("style", 5), ("shape", 9)), ("style",))
    assert hash(spec) == hash(ga.BatchSpec((32, 16, 3), (("style", 5), ("shape", 9)), ("style",)))
    assert ga.BatchSpec() == ga.BatchSpec((32, 32, 3))
    assert ga.BatchSpec() != ga.BatchSpec((32, 32, 1))
    assert [*ga.BatchSpec(fields=FIELDS).fields] == ["image", "target", "mask", "style"]  # classes last


def test_shapes_and_random_batches_follow_from_the_fields():
    spec = ga.BatchSpec(fields=FIELDS)
    shapes, drawn = checkpoint.batch_shapes(spec, 7), bench.random_batch(spec, 7)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes) == jax.tree.map(lambda x: (x.shape, x.dtype), drawn)
    assert {name: x.shape for name, x in shapes["condition"].items()} == {"style": (7,)}
    assert shapes["target"].shape == (7, 16, 12, 3)
    assert set(np.unique(drawn["mask"])) == {0.0, 1.0}
    assert drawn["image"].min() < -0.9
    common.check_batch(jax.tree.map(jnp.asarray, drawn), spec)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.pop("target"), "batch: has no 'target', only "),
        (lambda b: b.update(target=b["target"][:, :8]), r"target: got shape \(4, 8, 12, 3\)"),
        (lambda b: b.update(mask=b["mask"] - 1), "mask: got values below 0"),
        (lambda b: b.update(image=b["image"] * 3), r"image: got .*wanted .* in \[-1, 1\]"),
        (lambda b: b.update(condition={}), "condition 'style' is missing"),
        (lambda b: b["condition"].update(style=jnp.full(4, 5)), "outside 0 to 4"),
    ],
)
def test_each_field_of_a_batch_is_checked(change, words):
    spec = ga.BatchSpec(fields=FIELDS)
    batch = jax.tree.map(jnp.asarray, bench.random_batch(spec, 4))
    change(batch)
    with pytest.raises(ga.UserError, match=words):
        common.check_batch(batch, spec)


def test_what_a_config_asks_for_is_filled_from_the_data_and_saved():
    run = resolve(RUN, ga.BatchSpec(fields=FIELDS))
    assert run.model == Config((2, 8, 6, 3), (), (16, 12, 3), (8, 6, 1))
    assert spec_of(run) == ga.BatchSpec(fields={name: FIELDS[name] for name in ("image", "target", "mask")})
    with pytest.raises(ga.UserError, match=r"painter: mask_shape is not set; pass mask_shape="):
        spec_of(ga.configure(run, mask_shape=None))


@pytest.mark.parametrize(
    ("fields", "options", "words"),
    [
        ({"image": FIELDS["image"]}, {}, "painter needs 'target', which this data has not: .*pairs:DIR"),
        (FIELDS, {"target_shape": (8, 8, 3)}, r"wants 'target' of shape \(8, 8, 3\), the data has \(16, 12, 3\)"),
    ],
)
def test_data_without_what_a_config_asks_for_is_one_line(fields, options, words):
    with pytest.raises(ga.UserError, match=words) as error:
        resolve(ga.configure(RUN, **options), ga.BatchSpec(fields=fields))
    assert "\n" not in str(error.value)
