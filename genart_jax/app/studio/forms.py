"""Forms as data: what a kind of work of a model takes. The worker makes them of the model's uses; pages draw them.

A form is {"kind", "group", "model", "fields"}; of drawing also "lacks", names of conditions that people look for and
the model was not told. A field is {"name", "kind", ...}:

- "class": `choices`; "any" leaves it open, "none" hides it where `hidden`.
- "choice": `choices`, `default`. "flag": true or false.
- "integer", "number": `low`, `high`, `default`.
- "picture", "mask": {"upload": ID}, {"favourite": ID} or {"job": ID, "file": NAME}; "pictures": a list of them.
- "liked": all that is liked and not, which the server knows.
- "archive": {"upload": ID} of a zip with pictures.
- "place": a picture of the model's own, by its recipe.

The server checks what is asked against the form, and needs no jax for it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence

from genart_jax.app.studio.store import is_id
from genart_jax.config import UserError
from genart_jax.runtime.values import Json

ANY, NONE = "any", "none"
VERSION = 1
CHUNK = b"genart_studio"
"""Keyword of the PNG's text chunk that holds a recipe."""
_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_SEED = 2**31 - 1
_LONG = 2**16
SEED: Json = {"name": "seed", "kind": "integer", "low": 0, "high": _MOST_SEED, "default": 0}


def count(default: int = 16, high: int = 64) -> Json:
    """How many pictures."""
    return {"name": "count", "kind": "integer", "low": 1, "high": high, "default": default}


def number(name: str, low: float, high: float, default: float) -> Json:
    """A slider."""
    return {"name": name, "kind": "number", "low": low, "high": high, "default": default}


def choice(name: str, choices: Sequence[str], default: str = "") -> Json:
    """One of some words."""
    return {"name": name, "kind": "choice", "choices": list(choices), "default": default or choices[0]}


def checked(fields: Sequence[Json], given: Mapping[str, object]) -> Json:
    """What a form holds, with defaults in the place of what was left out.

    Raises:
      UserError: something that the form does not have, or of another kind or out of range.
    """
    known = {field["name"]: field for field in fields}
    if unknown := sorted(str(name) for name in given if name not in known):
        raise UserError(f"{_said(unknown[0])} is unknown here; there are {', '.join(known)}")
    return {name: _CHECKS[field["kind"]](field, given.get(name)) for name, field in known.items()}


def _said(value: object) -> str:
    """A short form of what was given, without anything that a terminal or a page would act on."""
    text = repr(value)
    return f"{text[:40]}..." if len(text) > 43 else text


def _class(field: Json, value: object) -> str:
    words = [ANY, *field["choices"], *([NONE] if field.get("hidden") else [])]
    return _one_of(field, ANY if value is None else value, words)


def _choice(field: Json, value: object) -> str:
    return _one_of(field, field["default"] if value is None else value, field["choices"])


def _one_of(field: Json, value: object, words: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in words:
        raise UserError(f"{field['name']}: got {_said(value)}, wanted one of {', '.join(words)}")
    return value


def _flag(field: Json, value: object) -> bool:
    if value is None:
        return bool(field.get("default", False))
    if not isinstance(value, bool):
        raise UserError(f"{field['name']}: got {_said(value)}, wanted true or false")
    return value


def _number(field: Json, value: object) -> float | int:
    value = field["default"] if value is None else value
    whole = field["kind"] == "integer"
    kinds = int if whole else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) or not field["low"] <= value <= field["high"]:
        kind = "a whole number" if whole else "a number"
        raise UserError(f"{field['name']}: got {_said(value)}, wanted {kind} from {field['low']} to {field['high']}")
    return value


def _picture(field: Json, value: object) -> Json | None:
    if value is None and field.get("optional"):
        return None
    forms = ({"upload"}, {"favourite"}, {"job", "file"})
    if not isinstance(value, dict) or set(value) not in forms or not all(isinstance(v, str) for v in value.values()):
        raise UserError(f"{field['name']}: choose a picture")
    if not is_id(next(v for k, v in value.items() if k != "file")):
        raise UserError(f"{field['name']}: there is no such picture")
    return value


def _pictures(field: Json, value: object) -> list[Json | None]:
    if not isinstance(value, list) or not field.get("low", 1) <= len(value) <= field.get("high", 8):
        raise UserError(f"{field['name']}: choose {field.get('low', 1)} to {field.get('high', 8)} pictures")
    return [_picture({**field, "optional": False}, one) for one in value]


def _archive(field: Json, value: object) -> Json | None:
    if not isinstance(value, dict) or set(value) != {"upload"}:
        raise UserError(f"{field['name']}: send a zip with pictures")
    return _picture(field, value)


def _place(field: Json, value: object) -> Json:
    """The recipe of a drawn picture: what its form held, and which of its pictures it is."""
    if not isinstance(value, dict) or not {"inputs", "index"} <= set(value):
        raise UserError(f"{field['name']}: choose a picture that this model has drawn")
    if value.get("model") != field["model"] or not isinstance(value["inputs"], dict):
        raise UserError(f"{field['name']}: this picture is not one that {field['model']} has drawn")
    index = _number({"name": "index", "kind": "integer", "low": 0, "high": _MOST_SEED, "default": 0}, value["index"])
    return {"model": field["model"], "inputs": checked(field["fields"], value["inputs"]), "index": index}


_CHECKS: Mapping[str, Callable[[Json, object], object]] = {
    "class": _class,
    "choice": _choice,
    "flag": _flag,
    "integer": _number,
    "number": _number,
    "picture": _picture,
    "mask": _picture,
    "pictures": _pictures,
    "archive": _archive,
    "place": _place,
    "liked": lambda field, value: None,
}


def find(forms: Sequence[Json], kind: object, model: object) -> Json:
    """The form of a kind of work of a model.

    Raises:
      UserError: there is none.
    """
    found = next((form for form in forms if form["kind"] == kind and form["model"] == model), None)
    if found is None:
        raise UserError(f"{_said(model)} does not do {_said(kind)} here")
    return found


def recipe_of(content: bytes, forms: Sequence[Json]) -> Json:
    """The recipe in a PNG of ours or in a JSON file, checked against the forms.

    Raises:
      UserError: there is none, or it does not fit.
    """
    text = _chunk(content) if content.startswith(_PNG) else content if len(content) <= _LONG else b""
    try:
        said = json.loads(text.decode())
        parts = said["kind"], said["model"], said["inputs"], said.get("index", 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError("this file holds no recipe of the studio") from None
    kind, model, inputs, index = parts
    form = find(forms, kind, model)
    if not isinstance(inputs, dict) or not isinstance(index, int) or not 0 <= index <= _MOST_SEED:
        raise UserError("this file holds no recipe of the studio")
    return {"studio": VERSION, "kind": kind, "model": model, "inputs": checked(form["fields"], inputs), "index": index}


def _chunk(content: bytes) -> bytes:
    """The text of our chunk in a PNG, read without decoding anything: no compressed text, no pixels."""
    start = len(_PNG)
    while start + 12 <= len(content):
        length, kind = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8]
        body = content[start + 8 : start + 8 + length]
        whole = content[start + 8 + length : start + 12 + length] == zlib.crc32(kind + body).to_bytes(4, "big")
        head = CHUNK + b"\0\0\0\0\0"  # an iTXt that is not compressed and names no language
        if kind == b"iTXt" and body.startswith(head) and length <= _LONG and whole:
            return body[len(head) :]
        start += 12 + length
    return b""
