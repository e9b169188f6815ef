"""A model as ONNX, for onnxruntime and all else that reads it: with a batch of any length, checked against JAX."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.data import provenance
from genart_jax.nn import conv
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model, load
from genart_jax.use.export import Program, program_of

_OPSET = 21
_MOST = 1e-3  # that a picture in [-1, 1], or a log probability, may differ from JAX's


def export_onnx(run: str | Path, out: str | Path) -> Path:
    """Writes a run's newest model to the folder `out` as model.onnx, whole or not at all; returns the folder.

    With it come inputs.json, config.json and README.md. What ONNX computes is held against what JAX does, for a batch
    of one and of three, before anything is written, if onnxruntime is there.

    Raises:
      UserError: no run there, `out` is there already, jax2onnx is not installed or does not know one of the model's
        operations, or the two differ.
    """
    out = expanded(out)
    if out.exists():
        raise UserError(f"{out} is already there; name a new folder")
    try:
        import jax2onnx
    except ImportError:
        raise UserError("--onnx needs the package jax2onnx: pip install 'genart_jax[onnx]'") from None
    model = load(run)
    if model.saved is None:
        raise UserError(f"{run} is no run with a config.json; only runs are exported")
    program = program_of(model, model.saved)
    if "seed" in program.inputs:
        raise UserError(f"{model.saved.run.name} draws its pictures by JAX's random numbers, which ONNX has not")
    (batch,) = jax.export.symbolic_shape("batch")
    shapes = [
        jax.ShapeDtypeStruct(tuple(batch if n == "batch" else n for n in shape), jnp.dtype(dtype))
        for shape, dtype in program.inputs.values()
    ]
    names = {"input_names": list(program.inputs), "output_names": ["output"]}
    try:
        with conv.plain(), _quiet():
            made = jax2onnx.to_onnx(
                lambda *arrays: program.function(*arrays), shapes, model_name="model", opset=_OPSET, **names
            )
            content = made.SerializeToString()
    except Exception as error:  # of many kinds, where it lacks an operation
        version = importlib.metadata.version("jax2onnx")
        said = (str(error).strip() or repr(error)).splitlines()[0]
        newer = "another may: pip install --no-deps --upgrade jax2onnx"
        raise UserError(f"jax2onnx {version} cannot convert {model.saved.run.name} ({said}); {newer}") from None
    _check(content, program)
    _write(out, content, model, program)
    return out


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of the converter, which are about shapes that it does not write down."""
    loggers = [logging.getLogger(name) for name in ("onnx_ir", "jax2onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check(content: bytes, program: Program) -> None:
    """Raises UserError where onnxruntime computes something else than JAX; nothing where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        inputs = example(program, batch)
        (got,) = session.run(None, inputs)
        want = np.asarray(program.function(*map(jnp.asarray, inputs.values())))
        if got.shape != want.shape or not (most := float(np.max(np.abs(got - want)))) <= _MOST:
            differs = f"shape {got.shape}, not {want.shape}" if got.shape != want.shape else f"{most:.2g} off"
            raise UserError(f"the ONNX program gives something else than JAX, {differs}; nothing was written")


def example(program: Program, batch: int, seed: int = 0) -> dict[str, Array]:
    """Inputs of a program: latents, pictures in [-1, 1], and classes 0 or 1."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, (shape, dtype) in program.inputs.items():
        size = tuple(batch if isinstance(n, str) else n for n in shape)
        drawn = rng.integers(0, 2, size) if dtype != "float32" else np.clip(rng.standard_normal(size), -1, 1)
        out[name] = drawn.astype(dtype)
    return out


def _write(out: Path, content: bytes, model: Model, program: Program) -> None:
    assert model.saved is not None
    about = model.provenance
    assert about is not None
    config = {"run": dataclasses.asdict(model.saved.run), "class_names": model.class_names}
    inputs = {"operation": program.operation, "inputs": program.inputs, "output": program.output}
    texts = {
        "config.json": json.dumps(config, indent=2) + "\n",
        "inputs.json": json.dumps(inputs, indent=2) + "\n",
        "README.md": _readme(model.saved.run.name, program, model.class_names, about),
    }
    temporary = out.with_name(out.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        (temporary / "model.onnx").write_bytes(content)
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
        temporary.rename(out)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from None


def _readme(name: str, program: Program, classes: Mapping[str, tuple[str, ...]], about: provenance.Provenance) -> str:
    rows = "\n".join(f"- `{label}`: {tuple(shape)} {dtype}" for label, (shape, dtype) in program.inputs.items())
    words = "\n".join(f"- `{label}`: {', '.join(known)}" for label, known in classes.items())
    return f"""# {name} as ONNX, exported by genart_jax

`model.onnx` ({program.operation}) takes a batch of any length:

{rows}

Output: {program.output}. Classes by number, from 0:

{words or "none"}

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
(output,) = session.run(None, inputs)  # a dict of these arrays by name
```

Trained on {about.data}: {about.licence}.
"""
