"""The commands of README and of the pages are taken, and what they train can be built."""

import re
import shlex
from pathlib import Path

import pytest

import genart_jax as ga
from genart_jax.app import cli
from genart_jax.config import BatchSpec, override, resolve
from genart_jax.data.build.plates import CHARACTERS, LENGTH
from genart_jax.steps import stages
from genart_jax.train import bench, trainer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = [page.read_text(encoding="utf-8").replace("\\\n", " ") for page in PAGES if page.exists()]
LINES = dict.fromkeys(line for text in TEXTS for line in re.findall(r"^    (genart .*)$", text, re.MULTILINE))
COMMANDS = [part.strip() for line in LINES for part in line.partition("#")[0].split("&&")]


OF_SETS = {
    "moving": BatchSpec((8, 32, 32, 3), (("motion", 9), ("style", 5), ("shape", 9))),
    "plates": BatchSpec((64, 64, 3), tuple((f"char_{place}", len(CHARACTERS)) for place in range(1, LENGTH + 1))),
    "shapes3d": BatchSpec((32, 32, 32, 1), (("kind", 4),)),
}
"""What batches of sets hold that are no pictures, or have other conditions than icons."""


def test_there_are_commands():
    assert len(COMMANDS) > 20
    assert {command.split()[1] for command in COMMANDS} <= set(cli.COMMANDS)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("genart train ")])
def test_what_is_trained_can_be_built(command, tmp_path, monkeypatch):
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trainer, "fit", lambda run, *rest: asked.append(run))
    assert cli.main(shlex.split(command)[1:]) == 0
    (run,) = asked
    if hasattr(run.model, "tokenizer"):  # a run that is not there
        run = override(run, model={"tokenizer": bench.LATENTS if stages.numbers(run) else bench.TOKENIZER})
    usual = BatchSpec(run.model.image_shape or (32, 32, 3), bench.CONDITIONS)
    spec = OF_SETS.get(run.data.source.partition(":")[0], usual)
    beside = [name for name in ("target", "other") if hasattr(run.model, f"{name}_shape")]
    spec = BatchSpec(fields={**spec.fields, **dict.fromkeys(beside, spec.fields["image"])})
    ga.build(resolve(run, spec))
