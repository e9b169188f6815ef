"""Models that leave the house: a folder with a program that runs wherever jax does, and with the weights.

The program is a serialised `jax.export` artifact with the weights inside. Whoever loads it needs jax, and neither this
package nor its model's code.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax import export as jax_export

from genart_jax import reference
from genart_jax.config import UserError
from genart_jax.paths import expanded
from genart_jax.steps import common
from genart_jax.train.checkpoint import Model, Saved, load, read_config

PLATFORMS = ("cpu", "cuda", "tpu")


class Program(NamedTuple):
    """A function of named arrays.

    `inputs`: name -> (shape, dtype) of each argument in order, "batch" for a length that the caller chooses.
    """

    operation: str
    function: Callable[..., jax.Array]
    inputs: dict[str, tuple[tuple[int | str, ...], str]]
    output: str


def program_of(model: Model, saved: Saved) -> Program:
    """What is exported of a model: its classes of pictures, its pictures from latents, or those from a seed.

    Raises:
      UserError: the model has none of these.
    """
    algorithm, state = model
    spec = algorithm.batch_spec
    conditions = {name: (("batch",), "int32") for name, _ in spec.conditions}
    names = list(conditions)
    pictures = f"images (batch, {', '.join(map(str, spec.image_shape))}) float32 in [-1, 1]"
    if algorithm.predict is not None:
        predict = algorithm.predict
        return Program(
            "predict",
            lambda images: predict(state, images),
            {"images": (("batch", *spec.image_shape), "float32")},
            f"log probabilities (batch, {spec.conditions[0][1]}) of images in [-1, 1]",
        )
    latent_dim = getattr(saved.run.model, "latent_dim", None)
    if algorithm.decode is not None and algorithm.sample is not None and latent_dim:
        decode = algorithm.decode
        return Program(
            "decode",
            lambda latents, *classes: decode(state, latents, dict(zip(names, classes, strict=True))),
            {"latents": (("batch", latent_dim), "float32"), **conditions},
            pictures,
        )
    if algorithm.sample is not None:
        sample = algorithm.sample
        # Without conditions something else must say how many pictures are wanted: the length of an input.
        counted = {} if names else {"pictures": (("batch",), "int32")}

        def draw(seed: jax.Array, *each: jax.Array) -> jax.Array:
            wanted = dict(zip(names, each, strict=True)) if names else None
            return sample(state, jax.random.key(seed), each[0].shape[0], wanted)

        hint = "" if names else "; of `pictures` only the length counts: one number, any, for each picture"
        return Program("sample", draw, {"seed": ((), "uint32"), **conditions, **counted}, pictures + hint)
    raise UserError(f"{saved.run.name} cannot be exported: it neither draws pictures nor names classes")


def export_run(run: str | Path, out: str | Path, platforms: Sequence[str] = PLATFORMS) -> Path:
    """Writes a run's newest model to the folder `out`, whole or not at all; returns the folder.

    It gets model.jaxexport, weights.safetensors, config.json, inputs.json, README.md, make_picture.py, and for a model
    that `reference.SAMPLERS` knows sampler_numpy.py.

    Raises:
      UserError: no run there, `out` is there already, a platform is unknown, or the model cannot be exported.
    """
    if unknown := sorted(set(platforms) - {*PLATFORMS, "rocm"}):
        raise UserError(f"platform {unknown[0]!r} is unknown; there are {', '.join(PLATFORMS)} and rocm")
    out = expanded(out)
    if out.exists():
        raise UserError(f"{out} is already there; name a new folder")
    saved, model = read_config(run), load(run)
    # On one device, wherever the arrays lay: they become constants of the program.
    model = Model(model.algorithm, jax.device_put(jax.device_get(model.state), jax.local_devices()[0]))
    program = program_of(model, saved)
    blob = serialize(program, platforms)
    from safetensors.numpy import save_file

    temporary = out.with_name(out.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        (temporary / "model.jaxexport").write_bytes(blob)
        weights = flatten_dict(common.lend(model.state), sep="/")
        save_file({k: np.ascontiguousarray(v) for k, v in weights.items()}, temporary / "weights.safetensors")
        text = {"run": dataclasses.asdict(saved.run), "class_names": saved.data["class_names"]}
        (temporary / "config.json").write_text(json.dumps(text, indent=2) + "\n")
        about = {"operation": program.operation, "inputs": program.inputs, "output": program.output}
        (temporary / "inputs.json").write_text(json.dumps(about, indent=2) + "\n")
        (temporary / "README.md").write_text(_readme(saved, program, platforms))
        (temporary / "make_picture.py").write_text(_script(program, saved))
        if saved.run.name in reference.SAMPLERS:
            shutil.copy(reference.__file__, temporary / "sampler_numpy.py")
        temporary.rename(out)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from None
    return out


def serialize(program: Program, platforms: Sequence[str]) -> bytes:
    """The program for all `platforms` at once, with a batch of any length."""
    (batch,) = jax_export.symbolic_shape("batch")
    shapes = [
        jax.ShapeDtypeStruct(tuple(batch if n == "batch" else n for n in shape), jnp.dtype(dtype))
        for shape, dtype in program.inputs.values()
    ]
    named = jax.jit(functools.partial(_call, program.function, tuple(program.inputs)))
    exported = jax_export.export(named, platforms=tuple(platforms))(**dict(zip(program.inputs, shapes, strict=True)))
    return bytes(exported.serialize())


def _call(function: Callable[..., jax.Array], names: tuple[str, ...], **arrays: jax.Array) -> jax.Array:
    """Arguments by name, as inputs.json has them."""
    return function(*(arrays[name] for name in names))


_LICENCES = {
    "emoji": "Trained on the embedded art set of genart_jax: icons of Noto Emoji by Google (Apache-2.0) and of Fluent "
    "Emoji by Microsoft (MIT). Keep their notices with pictures that resemble an icon closely."
}


def _readme(saved: Saved, program: Program, platforms: Sequence[str]) -> str:
    source = saved.run.data.source
    licence = _LICENCES.get(source, f"Trained on {source}: whoever passes this folder on must know its licence.")
    rows = "\n".join(f"- `{name}`: {tuple(shape)} {dtype}" for name, (shape, dtype) in program.inputs.items())
    classes = "\n".join(f"- `{name}`: {', '.join(words)}" for name, words in saved.data["class_names"].items())
    numpy = (
        "`sampler_numpy.py` computes the same with NumPy alone, from `weights.safetensors`.\n\n"
        if saved.run.name in reference.SAMPLERS
        else ""
    )
    return f"""# {saved.run.name}, exported by genart_jax

`model.jaxexport` runs with jax alone, on {", ".join(platforms)}, with a batch of any length. `python make_picture.py`
uses it.

Inputs of `{program.operation}`, by name:

{rows}

Output: {program.output}. -1 hides a condition. Classes by number, from 0:

{classes or "none"}

{numpy}`weights.safetensors` holds the parameters under their paths, `config.json` the run's configuration.

## Data

{licence}
"""


def _script(program: Program, saved: Saved) -> str:
    if program.operation == "predict":
        ((_, words),) = list(saved.data["class_names"].items())[:1]
        height, width, channels = saved.run.model.image_shape
        mode = "L" if channels == 1 else "RGB"
        return f"""import sys
from pathlib import Path

import jax.export
import numpy as np
from PIL import Image

model = jax.export.deserialize(bytearray(Path(__file__).with_name("model.jaxexport").read_bytes()))
image = Image.open(sys.argv[1]).convert("{mode}").resize(({width}, {height}))
images = np.asarray(image, np.float32).reshape(1, {height}, {width}, {channels}) / 127.5 - 1
scores = np.exp(model.call(images=images))[0]
for index in np.argsort(-scores)[:5]:
    print({words!r}[index], scores[index])
"""
    classes = "".join(
        f", {name}=rng.integers(0, {len(saved.data['class_names'].get(name, [0]))}, 16, dtype=np.int32)"
        for name, (shape, _) in program.inputs.items()
        if shape == ("batch",)
    )
    latent = program.inputs.get("latents")
    first = f"latents=rng.standard_normal((16, {latent[0][1]}), np.float32)" if latent else "seed=np.uint32(0)"
    return f"""from pathlib import Path
import jax.export
import numpy as np
from PIL import Image

model = jax.export.deserialize(bytearray(Path(__file__).with_name("model.jaxexport").read_bytes()))
rng = np.random.default_rng(0)
images = np.asarray(model.call({first}{classes}))
rows = np.concatenate([np.concatenate(images[i : i + 4], 1) for i in range(0, 16, 4)], 0)
Image.fromarray(np.uint8((rows.clip(-1, 1) + 1) * 127.5).squeeze()).save("picture.png")
"""
