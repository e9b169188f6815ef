"""Writing a trained model as a folder in the layout of Hugging Face's hub, with a card that says what it is."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import genart_jax
from genart_jax import registry
from genart_jax.config import UserError
from genart_jax.data import provenance
from genart_jax.runtime.packaged import WEIGHTS
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array, Json
from genart_jax.train import hub
from genart_jax.train.checkpoint import Model, content, load
from genart_jax.use.heads import of_one

_TAGS = {
    "sample": "unconditional-image-generation",
    "predict": "image-classification",
    "transform": "image-to-image",
    "stylize": "image-to-image",
}
"""The hub's word for what a model does, by its first use of these."""
_OURS = "apache-2.0"
"""The licence of weights that were trained on what anybody may use."""
_LIMITS = """## What it is not for

It was trained to show how such models work. It knows nothing but its training data, and repeats what that shows and
leaves out. Pictures that the command line writes say in their metadata that they are generated.
"""


def export_folder(
    run: str | Path, out: str | Path, dtype: hub.DTypes = "float16", name: str = "", scores: str = "", keep: str = ""
) -> Path:
    """Writes a run's newest model to the folder `out`, whole or not at all; returns the folder.

    It gets model.safetensors, config.json and README.md, the card. `ga.load(out)` reads it, and so do all commands that
    take a run. Optimizer and history stay behind; of moving averages only these are kept.

    Args:
      run: a run directory, or a member of a sweep.
      out: a new folder.
      dtype: of the parameters.
      name: for the card's title; "": the folder's.
      scores: lines about its pictures, for the card.
      keep: of a classifier of several conditions, the one that it is to know; "": all of them.

    Raises:
      UserError: no run there, `out` is there already, or it cannot be written; nothing to keep by that name.
    """
    from safetensors.numpy import save

    out = expanded(out)
    if out.exists():
        raise UserError(f"{out} is already there; name a new folder")
    model = load(run)
    if model.saved is None or "fingerprint" not in model.saved.data:
        raise UserError(f"{run} is no run with a config.json; only runs are exported")
    model = of_one(model, keep) if keep else model
    assert model.saved is not None
    elsewhere = {role: source for role, source in model.algorithm.frozen if source.startswith("asset:")}
    tensors = hub.pack(model.state, elsewhere, dtype)
    packed = save(tensors, metadata={"format": "np"})
    said: Json = {
        "format": 1,
        "library": f"genart_jax {genart_jax.__version__}",
        "dtype": dtype,
        "step": int(model.state.step),
        "run": model.saved.data.get("id", ""),
        "sha256": model.sha256,
        "weights": hashlib.sha256(packed).hexdigest(),
    }
    config = json.dumps(_portable(content(model.saved)) | {"hub": said}, indent=2) + "\n"
    lines = "\n".join(f"    {line}".rstrip() for line in scores.strip().splitlines())
    before = "" if dtype == "float32" else f", before they were rounded to {dtype}"
    measured = f"\n## Scores of its pictures\n\nBy the run's own parameters{before}:\n\n{lines}\n" if scores else ""
    card = _card(name or out.name, model, said, tensors, measured)
    temporary = out.with_name(out.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        (temporary / WEIGHTS).write_bytes(packed)
        (temporary / "config.json").write_text(config, encoding="utf-8")
        (temporary / "README.md").write_text(card, encoding="utf-8")
        temporary.rename(out)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from None
    return out


def _portable(config: Json) -> Json:
    """A configuration without the paths of the machine that it was trained on, and without what belongs to a run."""
    run, data = config["run"], {k: v for k, v in config["data"].items() if k not in ("frozen", "rollbacks", "left_out")}
    short = lambda text: f"{(parts := str(text).partition(':'))[0]}{parts[1]}{Path(parts[2]).name}"
    source = {name: short(run["data"][name]) for name in ("source", "other")}
    model = run["model"]
    if model.get("tokenizer"):
        model = model | {"tokenizer": Path(model["tokenizer"]).name}
    data |= {"source": short(data["source"]), "init_from": None}
    return config | {"run": run | {"model": model, "data": run["data"] | source}, "data": data}


def _figures(model: Model) -> Json:
    """The test figures of the run's summary, where it is of this state; of several conditions, the kept one's."""
    try:
        assert model.run is not None
        summary = json.loads((model.run / "summary.json").read_text(encoding="utf-8"))
        found = dict(summary["test"]) if summary["step"] == int(model.state.step) else {}
        label = f"_{getattr(model.config.model, 'label', None)}"
        own = {name.removesuffix(label): value for name, value in found.items() if name.endswith(label)}
        return own or found
    except (OSError, ValueError, LookupError, TypeError, AssertionError):
        return {}


def _card(name: str, model: Model, said: Json, tensors: Mapping[str, Array], measured: str) -> str:
    """README.md."""
    saved, about = model.saved, model.provenance
    assert saved is not None
    assert about is not None
    entry, run = registry.find(saved.run.name), saved.run
    uses = list(model.algorithm.uses)
    tag = next((tag for use, tag in _TAGS.items() if use in uses), "feature-extraction")
    data, free = _data(model)
    count = sum(value.size for value in tensors.values())
    size = sum(value.nbytes for value in tensors.values())
    classes = "\n".join(f"- `{label}`: {', '.join(words)}" for label, words in model.class_names.items())
    rows = "\n".join(f"| {figure} | {value:.4g} |" for figure, value in _figures(model).items())
    lacking = "".join(
        f" Not in here: {role}, which is {source[6:]} (`genart assets fetch {source[6:]}`)."
        for role, source in model.algorithm.frozen
        if source.startswith("asset:")
    )
    return f"""---
library_name: genart_jax
pipeline_tag: {tag}
license: {_OURS if free else "other"}
tags: [genart_jax, jax, {entry.family}, {run.name}]
---
# {name}

`{run.name}` ({entry.paper or "a model of one's own"}) of genart_jax, trained for {said["step"]:,} steps of
{run.train.batch} on {about.data}, for pictures of shape {tuple(run.model.image_shape)}. Its uses: {", ".join(uses)}.

```python
import jax
import genart_jax as ga

alg, state = ga.load("{name}")  # this folder's path
{_example(model, name)}
```

Classes:

{classes or "none"}

## Training data

{data}. The pictures themselves are not in here; who trained it must have had the right to use
them, and what resembles one of them closely is under its licence.

## Figures on the test split

{f"| figure | value |{chr(10)}|---|---|{chr(10)}{rows}" if rows else "None were kept with the run."}
{measured}
## What is in the folder

`model.safetensors`: {count:,} numbers, {size / 1e6:.1f} MB, parameters as {said["dtype"]}{_averages(model)}, under
role/collection/path.{lacking} `config.json`: the run's configuration, its classes, and how often they occur together.
Run `{said["run"] or "unknown"}`, SHA-256 of the state's sums `{said["sha256"] or "unknown"}`, of the weights here
`{said["weights"]}`.

{_LIMITS}"""


def _data(model: Model) -> tuple[str, bool]:
    """What it was trained on with its licence, and whether anybody may use all of that."""
    assert model.provenance is not None
    sets = [model.provenance]
    if other := model.config.data.other:
        sets.append(provenance.of_source("", "", "", 0, other))
    free = all(one.licence == provenance.EMBEDDED or one.licence.startswith("public domain and CC0") for one in sets)
    return "; ".join(f"{one.data}: {one.licence}" for one in sets), free


def _example(model: Model, name: str) -> str:
    """A line of Python that uses the model called `name`."""
    uses = model.algorithm.uses
    first = next(iter(model.class_names.items()), None)
    told = f', {{"{first[0]}": "{first[1][0]}"}}' if first else ""
    mask = ", mask=mask" if "transform" in uses and uses["transform"].of_kind("mask") else ""
    style = f'"{first[1][0]}"' if first else '"style.jpg"'
    method = f'method="{model.config.name}", network="{name}"'
    example = {
        "predict": "classes = alg.predict(state, images)  # images (batch, height, width, channels) float32 in [-1, 1]",
        "sample": f"images = alg.sample(state, jax.random.key(0), 16{told})  # float32 in [-1, 1]",
        "transform": f'picture = ga.transform("{name}", "photo.jpg"{mask})  # of any size; uint8 (height, width, 3)',
        "stylize": f'picture = ga.stylize("photo.jpg", {style}, {method})',
    }
    return next((text for use, text in example.items() if use in uses), "alg.uses  # what it is for")


def _averages(model: Model) -> str:
    return " (moving averages over training)" if model.state.ema else ""
