"""Models that leave the house: a folder with a program that runs wherever jax does, and with the weights.

The program is a serialised `jax.export` artifact with the weights inside. Whoever loads it needs jax, and neither this
package nor its model's code; to classify picture files Pillow too, as they are read by a copy of `data/reader`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax import export as jax_export

from genart_jax.config import UserError, scores_of, spec_of
from genart_jax.data import reader
from genart_jax.runtime.paths import expanded
from genart_jax.steps import common
from genart_jax.train.checkpoint import Model, Saved, load, read_config
from genart_jax.types import State, Tree, Use
from genart_jax.use import reference

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
    spec, uses = algorithm.batch_spec, algorithm.uses
    for name in {"images", "latents", "seed"} & {name for name, _ in spec.conditions}:
        raise UserError(
            f"the condition {name!r} has the name of another input of the program; give it another in the data"
        )
    pictures = f"images (batch, {', '.join(map(str, spec.image_shape))}) float32 in [-1, 1]"
    if "predict" in uses:
        each = ", then ".join(f"{name} ({classes})" for name, classes in spec.conditions)
        heads = f" of {each}" if len(spec.conditions) > 1 else ""
        classes = f"log probabilities (batch, {scores_of(spec.conditions)}){heads} of images in [-1, 1]"
        return _program("predict", uses["predict"], state, classes)
    if "sample" not in uses:
        has = ", ".join(uses) or "none"
        raise UserError(f"{saved.run.name} cannot be exported: it has no use 'sample' or 'predict'; it has {has}")
    # Latents that anyone can draw; of codes, only the model itself knows what they are like.
    if "decode" in uses and uses["decode"].of_kind("latents"):
        return _program("decode", uses["decode"], state, pictures)
    return _program("sample", uses["sample"], state, pictures)


def _program(operation: str, use: Use, state: State, output: str) -> Program:
    """A use with its inputs as arrays: classes one by one, a seed for a key; numbers are left at their defaults."""
    inputs: dict[str, tuple[tuple[int | str, ...], str]] = {}
    classes = [name for one in use.of_kind("condition") if one.spec for name, _ in one.spec.conditions]
    for one in use.inputs:
        if one.kind in ("pictures", "latents"):
            inputs[one.name] = ("batch", *one.shape), "float32"
        elif one.kind == "key":
            inputs["seed"] = (), "uint32"
    inputs |= dict.fromkeys(classes, (("batch",), "int32"))
    # Without conditions something else must say how many pictures are wanted: the length of an input.
    counted = bool(use.of_kind("count")) and not classes
    inputs |= {"pictures": (("batch",), "int32")} if counted else {}

    def call(*arrays: jax.Array) -> jax.Array:
        given = dict(zip(inputs, arrays, strict=True))
        filled: dict[str, Any] = {one.name: given.get(one.name) for one in use.inputs if one.kind != "number"}
        filled |= {one.name: jax.random.key(given["seed"]) for one in use.of_kind("key")}
        filled |= {one.name: arrays[-1].shape[0] for one in use.of_kind("count")}
        told = {name: given[name] for name in classes} or None
        filled |= {one.name: told for one in use.of_kind("condition")}
        return use.function(state, **filled)

    hint = "; of `pictures` only the length counts: one number, any, for each picture" if counted else ""
    return Program(operation, call, inputs, output + hint)


def export_run(run: str | Path, out: str | Path, platforms: Sequence[str] = PLATFORMS) -> Path:
    """Writes a run's newest model to the folder `out`, whole or not at all; returns the folder.

    It gets model.jaxexport, weights.safetensors, config.json, inputs.json, README.md, make_picture.py, for a model
    that `reference.SAMPLERS` knows sampler_numpy.py, and for a classifier picture_reader, which reads picture files.

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
    weights = flatten_dict(common.lend(model.state), sep="/")
    write(out, program_of(model, saved), saved, weights, platforms)
    return out


def write(out: Path, program: Program, saved: Saved, weights: Tree, platforms: Sequence[str] = PLATFORMS) -> None:
    """Writes a program with its weights, scripts and words to the new folder `out`, whole or not at all.

    Raises:
      UserError: it cannot be written.
    """
    blob = serialize(program, platforms)
    from safetensors.numpy import save

    run = {"run": dataclasses.asdict(saved.run), "class_names": saved.data["class_names"]}
    about = {"operation": program.operation, "inputs": program.inputs, "output": program.output}
    texts = {
        "config.json": json.dumps(run, indent=2) + "\n",
        "inputs.json": json.dumps(about, indent=2) + "\n",
        "README.md": _readme(saved, program, platforms),
        "make_picture.py": _script(program, saved),
    }
    temporary = out.with_name(out.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        (temporary / "model.jaxexport").write_bytes(blob)
        # Not by `save_file`, whose files nobody else may read.
        packed = save({k: np.ascontiguousarray(v) for k, v in weights.items()})
        (temporary / "weights.safetensors").write_bytes(packed)
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
        if saved.run.name in reference.SAMPLERS:
            shutil.copyfile(reference.__file__, temporary / "sampler_numpy.py")
        if program.operation == "predict":
            _copy_sources(Path(reader.__file__).parent, temporary / "picture_reader")
        temporary.rename(out)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from None


def _copy_sources(package: Path, out: Path) -> None:
    """The modules of a package, with ordinary modes whatever theirs are."""
    out.mkdir()
    for module in sorted(package.glob("*.py")):
        shutil.copyfile(module, out / module.name)


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


def _call(function: Callable[..., jax.Array], names: tuple[str, ...], /, **arrays: jax.Array) -> jax.Array:
    """Arguments by name, as inputs.json has them; a condition may have any name."""
    return function(*(arrays[name] for name in names))


_LICENCES = {
    "emoji": "Trained on the embedded art set of genart_jax: icons of Noto Emoji by Google (Apache-2.0) and of Fluent "
    "Emoji by Microsoft (MIT). Keep their notices with pictures that resemble an icon closely."
}


def _readme(saved: Saved, program: Program, platforms: Sequence[str]) -> str:
    source = saved.run.data.source
    licence = _LICENCES.get(source, f"Trained on {source}: whoever passes this folder on must know its licence.")
    note = " (-1 hides a condition; another number gives NaN)" if spec_of(saved.run).hidden else " (others give NaN)"
    note = "" if program.operation == "predict" else note
    rows = "\n".join(f"- `{name}`: {tuple(shape)} {dtype}" for name, (shape, dtype) in program.inputs.items())
    classes = "\n".join(f"- `{name}`: {', '.join(words)}" for name, words in saved.data["class_names"].items())
    numpy = (
        "`sampler_numpy.py` computes the same with NumPy alone, from `weights.safetensors`.\n\n"
        if saved.run.name in reference.SAMPLERS
        else ""
    )
    return f"""# {saved.run.name}, exported by genart_jax

`model.jaxexport` runs with jax alone, on {", ".join(platforms)}, with a batch of any length. {_USES[program.operation]}

Inputs of `{program.operation}`, by name:

{rows}

Output: {program.output}. Classes by number, from 0{note}:

{classes or "none"}

{numpy}`weights.safetensors` holds the parameters under their paths, `config.json` the run's configuration.

## Data

{licence}
"""


_DRAWS = "`python make_picture.py [FILE.png]`\ndraws 16 pictures, also with jax alone."
_USES = {
    "decode": _DRAWS,
    "sample": _DRAWS,
    "predict": "`python make_picture.py PICTURE ...`\nsays what it sees in picture files. It reads them as `genart "
    "predict` does, by `picture_reader`, which needs\nPillow.",
}


def _script(program: Program, saved: Saved) -> str:
    """A small program that uses the exported one."""
    if program.operation == "predict":
        names = {name: list(words) for name, words in saved.data["class_names"].items()}
        return _CLASSIFY.format(names=names, size=tuple(saved.run.model.image_shape))
    inputs = [
        f"    {name!r}: rng.integers(0, {len(saved.data['class_names'].get(name, [0]))}, 16, dtype=np.int32),\n"
        for name, (shape, _) in program.inputs.items()
        if shape == ("batch",)
    ]
    latent = program.inputs.get("latents")
    first = f"'latents': rng.standard_normal((16, {latent[0][1]}), np.float32)" if latent else "'seed': np.uint32(0)"
    return _DRAW.format(inputs=f"    {first},\n{''.join(inputs)}")


_CLASSIFY = """import sys
from pathlib import Path

import jax.export
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from picture_reader import BadPictureError, decode

NAMES = {names!r}
height, width, channels = {size!r}
if len(sys.argv) < 2:
    print("python make_picture.py PICTURE ...", file=sys.stderr)
    sys.exit(2)
model = jax.export.deserialize(bytearray(Path(__file__).with_name("model.jaxexport").read_bytes()))
for path in sys.argv[1:]:
    notes = []
    try:
        pixels = decode(Path(path).read_bytes(), (height, width), channels, notes)
    except (OSError, BadPictureError) as error:
        print(f"{{path}}: {{error}}", file=sys.stderr)
        sys.exit(2)
    for note in notes:
        print(f"{{path}}: {{note}}", file=sys.stderr)
    scores = np.exp(model.call(images=pixels[None].astype(np.float32) / 127.5 - 1))[0]
    if len(sys.argv) > 2:
        print(path)
    start = 0
    for condition, names in NAMES.items():
        own, start = scores[start : start + len(names)], start + len(names)
        if len(NAMES) > 1:
            print(condition)
        for index in np.argsort(-own)[:5]:
            print(names[index], own[index])
"""

_DRAW = """import struct
import sys
import zlib
from pathlib import Path

import jax.export
import numpy as np

out = Path(sys.argv[1] if len(sys.argv) > 1 else "picture.png")
if out.exists():
    print(f"{{out}} is already there; name another: python make_picture.py FILE.png", file=sys.stderr)
    sys.exit(2)
model = jax.export.deserialize(bytearray(Path(__file__).with_name("model.jaxexport").read_bytes()))
rng = np.random.default_rng(0)
inputs = {{
{inputs}}}
images = np.asarray(model.call(**inputs))
rows = np.concatenate([np.concatenate(images[i : i + 4], 1) for i in range(0, 16, 4)], 0)
pixels = np.rint((rows.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


height, width, channels = pixels.shape
head = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
body = zlib.compress(b"".join(b"\\0" + row.tobytes() for row in pixels))
with out.open("xb") as file:  # a PNG
    file.write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
"""
