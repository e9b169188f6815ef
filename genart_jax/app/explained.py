"""What `genart explain` does: pictures of what a network sees, with words."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from genart_jax.config import UserError, heads_of
from genart_jax.data import media, picture, provenance
from genart_jax.data.conditions import parse_conditions
from genart_jax.data.grid import make_grid, scale_of
from genart_jax.data.pipeline import permutation
from genart_jax.data.provenance import Provenance
from genart_jax.data.source import Split, example, open_source
from genart_jax.nn import random
from genart_jax.runtime import packaged
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model, load, read_config
from genart_jax.types import to_float, to_uint8
from genart_jax.use import explain
from genart_jax.use.explain import channels, dream, sanity, space
from genart_jax.use.explain.draw import heat, laid_over
from genart_jax.use.explain.seen import Seen, see
from genart_jax.use.predict import load_classifier
from genart_jax.use.sample import draw_samples

if TYPE_CHECKING:
    from genart_jax.app.commands.explain import Options

Answer = tuple[Image.Image, list[str]]
STAGED = ("grad_cam", "grad_cam++", "dream", "visualise", "ablate", "neighbours", "map", "sanity")
"""Methods that look at an intermediate."""
ALONE = ("visualise", "filters", "ablate", "map")
"""Methods that are asked of a network, without a picture."""
GENERATED = ("dream", "visualise", "ablate")
"""Methods whose pictures are generated: their files say so."""
_FEWEST, _BANK = 64, 2000


class Asked(NamedTuple):
    """A network, the names of its classes, and the run that it is of ("" for published weights)."""

    model: Model
    names: dict[str, tuple[str, ...]]
    run: str


def answer(name: str, pictures: Sequence[str], options: Options) -> tuple[Answer, Provenance | None]:
    """The picture, and lines of words; and what the file is to say of where it comes from, if it is generated.

    Raises:
      UserError: the run, a picture or an option is not right.
    """
    method = options.method
    if bool(pictures) == (method in ALONE):
        wanted = "no picture" if pictures else "a picture: genart explain RUN PICTURE ..."
        raise UserError(f"explain --method {method} takes {wanted}")
    if options.stage and method not in STAGED:
        raise UserError(f"--stage is for {', '.join(STAGED)}; leave it out, or choose one of these by --method")
    if options.channels and method != "visualise":
        raise UserError("--channels is for --method visualise; leave it out")
    if options.num < 1:
        raise UserError(f"--num {options.num}: wanted at least 1")
    asked = _open(name)
    about = asked.model.provenance if options.provenance and method in GENERATED else None
    return _answered(asked, name, pictures, options), about


def _answered(asked: Asked, name: str, pictures: Sequence[str], options: Options) -> Answer:
    method = options.method
    if method == "ablate":
        return _ablated(asked, options)
    what = _what(asked, options)
    given = {name: jnp.asarray(value) for name, value in parse_conditions(options.condition, asked.names).items()}
    looking = functools.partial(see, asked.model, role=options.role, condition=given)
    if method == "filters":
        kernels = channels.filters(asked.model, options.role or _role(asked.model))
        return _enlarged(kernels, f"the first kernels of {name}"), [f"{len(kernels)} kernels, each stretched by itself"]
    if method == "visualise":
        return _visualised(looking(what), name, options)
    if method == "map":
        return _mapped(asked, looking(what), options)
    if method == "dream":
        return _dreamt(looking(what), pictures, options)
    images = _read(asked.model, pictures)
    seen = explain.settled(looking, images, what)
    if method == "neighbours":
        return _neighbours(asked, seen, images, options)
    if method == "sanity":
        return _sane(asked, looking, images, what, options)
    return _maps(asked, seen, images, options)


def save(canvas: Image.Image, out: Path | None, name: str, method: str, about: Provenance | None = None) -> Path:
    """Writes the picture where it was asked for, or beside the run's others, over none of them."""
    content = io.BytesIO()
    provenance.save(canvas, content, about, format="PNG")
    of_run = (packaged.place(name) / "config.json").is_file()
    base = packaged.results(name) / "explain" / f"{method}.png" if of_run else Path(f"{method}.png")
    places = itertools.chain([base], (base.with_stem(f"{base.stem}-{i}") for i in itertools.count(2)))
    path = out or next(p for p in places if not p.exists() or p.read_bytes() == content.getvalue())
    if out is not None and out.exists() and out.read_bytes() != content.getvalue():
        raise UserError(f"--out {out} is there already; name another")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.getvalue())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def _open(name: str) -> Asked:
    if (packaged.place(name) / "config.json").is_file():
        saved = read_config(name)
        return Asked(load(name), {k: tuple(v) for k, v in saved.data["class_names"].items()}, name)
    model, names = load_classifier(name)
    label, _ = model.algorithm.batch_spec.only_condition(name)
    return Asked(model, {label: names}, "")


def _role(model: Model) -> str:
    return next((role for role in (*explain.seen.ROLES, "generator") if role in model.algorithm.networks), "")


def _what(asked: Asked, options: Options) -> int | None:
    """The number of a class by its name, or of a dimension."""
    if not options.what:
        return None
    if (options.role or _role(asked.model)) == "classifier":
        heads = heads_of(asked.model.algorithm.batch_spec.conditions)
        if len(heads) == 1:
            (label,) = heads
            return parse_conditions([f"{label}={options.what}"], asked.names)[label]
        ((label, value),) = parse_conditions([options.what], asked.names).items()
        return heads[label].start + value
    if not options.what.isdecimal():
        raise UserError(f"--what {options.what}: wanted the number of a dimension")
    return int(options.what)


def _read(model: Model, pictures: Sequence[str]) -> jax.Array:
    height, width, count = model.algorithm.batch_spec.image_shape
    return jnp.stack([jnp.asarray(to_float(picture.read_file(path, (height, width), count))) for path in pictures])


def _maps(asked: Asked, seen: Seen, images: jax.Array, options: Options) -> Answer:
    maps = np.asarray(explain.maps_of(seen, images, options.method, jax.random.key(options.seed), options.stage))
    colours = heat(maps, options.method in explain.SIGNED)
    pixels, words, lines = media.to_pixels(images), [], []
    for index, score in enumerate(np.asarray(seen.score(images))):
        says = options.what or _class(asked, seen, images, index) or seen.says
        words.append([says, f"{float(score):.3g}"])
        lines.append(f"{says}: {float(score):.4g}")
    columns = {"picture": pixels, "map": colours, "both": laid_over(pixels, colours)}
    return media.sheet(columns, words), lines


def _class(asked: Asked, seen: Seen, images: jax.Array, index: int) -> str:
    if seen.logits is None:
        return ""
    label = asked.model.algorithm.batch_spec.conditions[0][0]
    return asked.names[label][int(jnp.argmax(seen.logits(images[index : index + 1])[0]))]


def _visualised(seen: Seen, name: str, options: Options) -> Answer:
    chosen = options.channels or (tuple(range(options.num)) if options.stage else ())
    if options.stage:
        count = seen.stages().get(options.stage, (0,))[-1]
        chosen = tuple(channel for channel in chosen if channel < count) if not options.channels else chosen
        if chosen and count and not 0 <= min(chosen) <= max(chosen) < count:
            raise UserError(f"--channels: {options.stage} has {count}, from 0 to {count - 1}")
    key, stage = jax.random.key(options.seed), options.stage
    images = dream.visualise(seen, key, num=1 if not stage else len(chosen), stage=stage, channels=chosen)
    says = f"channels {', '.join(map(str, chosen))} of {stage}" if stage else seen.says
    return _enlarged(np.asarray(images), f"what raises {says}, in {name}"), [f"pictures that raise {says}"]


def _dreamt(seen: Seen, pictures: Sequence[str], options: Options) -> Answer:
    if len(pictures) > 1:
        raise UserError("dream takes one picture")
    size = picture.size_of_file(pictures[0])
    read = to_float(picture.read_file(pictures[0], size, seen.shape[-1]))
    dreamt = dream.deep_dream(seen, jnp.asarray(read), jax.random.key(options.seed), options.stage)
    pixels = media.tiles(np.asarray(dreamt)[None])[0]
    return Image.fromarray(pixels), [f"more of what {options.stage or seen.last_map()} sees"]


def _ablated(asked: Asked, options: Options) -> Answer:
    if not asked.run:
        raise UserError("ablate needs a run with a generator")
    if "generator" not in asked.model.algorithm.networks:
        raise UserError(f"ablate needs a generator; there are {', '.join(asked.model.algorithm.networks)}")
    saved, num = read_config(asked.run), min(options.num, 16)
    algorithm = asked.model.algorithm
    condition = draw_samples(asked.model, saved, num, options.seed).condition
    network = algorithm.networks["generator"].inputs
    length = jax.tree.leaves(network() if callable(network) else network)[0].shape[-1]
    z = random.normal(random.example_keys(jax.random.key(options.seed), num), (length,))
    found = channels.ablate(asked.model, z, {k: jnp.asarray(v) for k, v in condition.items()}, options.stage)
    rows = np.concatenate([found.whole, *found.without])
    lines = [f"without channel {c}: pixels change by {e:.3f}" for c, e in zip(*found[:2], strict=True)]
    text = "first row: all channels; below, without " + ", ".join(map(str, found.channels))
    return make_grid(rows, columns=num, scale=scale_of(rows), caption=text), lines


def _neighbours(asked: Asked, seen: Seen, images: jax.Array, options: Options) -> Answer:
    train, stage = _split(asked, "train"), options.stage or list(seen.stages())[-1]
    bank = _some(train, _BANK)
    features = functools.partial(space.features, seen, stage=stage)
    order, cosine = space.nearest(features(np.asarray(images)), features(np.asarray(to_float(bank))), options.num)
    rows = [np.concatenate([media.to_pixels(images[i : i + 1]), bank[order[i]]]) for i in range(len(images))]
    lines = [f"cosines {', '.join(f'{c:.3f}' for c in row)}" for row in cosine]
    text = f"each row: a picture, and the nearest of {len(bank)} of the training data by {stage}"
    return make_grid(np.concatenate(rows), columns=1 + options.num, scale=scale_of(bank), caption=text), lines


def _mapped(asked: Asked, seen: Seen, options: Options) -> Answer:
    test, stage = _split(asked, "test"), options.stage or list(seen.stages())[-1]
    images = _some(test, max(_FEWEST, options.num))
    places = space.embed(space.features(seen, np.asarray(to_float(images)), stage), "pca")
    span = np.maximum(places.max(0) - places.min(0), 1e-12)
    side, tile = 1024, images.shape[1:3]
    canvas = Image.new("RGB", (side + tile[1], side + tile[0]), "white")
    for image, place in zip(images, (places - places.min(0)) / span, strict=True):
        canvas.paste(Image.fromarray(media.tiles(image[None])[0]), (round(place[0] * side), round(place[1] * side)))
    return canvas, [f"{len(images)} test pictures by the first two principal components of {stage}"]


def _sane(
    asked: Asked, looking: functools.partial[Seen], images: jax.Array, what: int | None, options: Options
) -> Answer:
    role, key = options.role or _role(asked.model), jax.random.key(options.seed)

    def explanation(maps: explain.Maps, model: Model) -> jax.Array:
        look = functools.partial(see, model, role=role, condition=looking.keywords["condition"])
        return maps(explain.settled(look, images, what), images, key, options.stage)

    found = {
        method: sanity.randomised(asked.model, role, functools.partial(explanation, maps), key)
        for method, maps in explain.MAPS.items()
        if method not in ("smooth_grad", "occlusion")  # of many passes each
    }
    modules = list(next(iter(found.values())))
    lines = ["rank correlation with the maps of random weights (1: the map does not depend on them)"]
    lines += [f"{method:<22}" + "  ".join(f"{m} {row[m]:.2f}" for m in modules) for method, row in found.items()]
    pixels = media.to_pixels(images)
    return make_grid(pixels, scale=scale_of(pixels), caption="\n".join(lines)), lines


def _split(asked: Asked, name: str) -> Split:
    if not asked.run:
        raise UserError("published weights come without data; give a run")
    source = open_source(read_config(asked.run).run.data)
    return source.train if name == "train" else source.test


def _some(split: Split, most: int) -> Array:
    """Some pictures as uint8, the same each time."""
    chosen = permutation(0, 0, split.size)[: min(most, split.size)]
    images = np.stack([example(split, int(i))["image"] for i in chosen])
    return images if images.dtype == np.uint8 else np.asarray(to_uint8(images))


def _enlarged(images: Array, caption: str) -> Image.Image:
    return make_grid(images, scale=scale_of(images), caption=caption)
