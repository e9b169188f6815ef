"""The import rule of the package: an import points left along the path of the data, or to the shared floor."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import genart_jax

PACKAGE = Path(genart_jax.__file__).parent
FLOOR = ("types", "registry", "config", "nn", "metrics", "assets", "runtime")
# From left to right; a module may import from its own place, from those before it, and from the floor.
ORDER = ("data", "models", "losses", "steps", "api", "train", "use", "evaluate", "app", "__main__")
ALONE = {"models": ("losses", "steps", "data", "models")}
"""What a place must not import although it is to its left (models not even one another)."""


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield pytest.param(path, parts[0], id="/".join(parts))


def imported(path):
    """Top-level names of genart_jax that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "genart_jax":
                yield from (alias.name for alias in node.names)
            elif node.module.startswith("genart_jax."):
                yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("genart_jax."))


@pytest.mark.parametrize(("path", "place"), modules())
def test_imports_point_left(path, place):
    for name in imported(path):
        if place in FLOOR:
            assert name in FLOOR, f"{path.name} is on the floor and imports {name}"
        elif name not in FLOOR:
            assert ORDER.index(name) <= ORDER.index(place), f"{path.name} imports {name}, to its right"
            assert name not in ALONE.get(place, ()), f"{path.name} imports {name}"


@pytest.mark.parametrize(("path", "place"), modules())
def test_only_the_app_prints(path, place):
    names = {
        n.func.id
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    if place != "app" and path.name != "emoji_tfds.py":  # a script of its own
        assert "print" not in names


def loaded_after(code):
    script = f"import sys\n{code}\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()[-400:]
    )


@pytest.mark.parametrize(
    "code",
    [
        "import genart_jax; genart_jax.list_models()",
        "import genart_jax.config, genart_jax.registry",
        "from genart_jax.app.cli import main; main(['list'])",
        "from genart_jax.app.cli import main; main(['train', '--help'])",
        "from genart_jax.app.cli import main; main(['--help'])",
    ],
)
def test_no_jax_for_lists_and_help(code):
    assert not {"jax", "flax", "optax", "orbax"} & loaded_after(code)


def test_training_needs_only_the_core():
    code = (
        "import genart_jax.train.trainer, genart_jax.use.sample, genart_jax.evaluate, genart_jax.data.source\n"
        "import genart_jax.models.dcgan, genart_jax.steps.gan, genart_jax.steps.vae, genart_jax.steps.classifier"
    )
    extras = {"grain", "tensorflow_datasets", "tensorflow", "matplotlib", "torch", "scipy", "skimage", "tyro"}
    assert not extras & loaded_after(code)
