"""How the package's files are made: their sizes, and the commands."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import genart_jax
from genart_jax.app import cli

PACKAGE = Path(genart_jax.__file__).parent
COMMANDS = PACKAGE / "app" / "commands"


def trees():
    return {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def test_functions_and_files_are_short():
    long = [
        f"{path}: {node.name}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 60
    ]
    assert not long
    assert not [path for path in trees() if len((PACKAGE / path).read_text().splitlines()) > 500]


def test_the_command_line_is_a_table_of_words():
    assert len(Path(cli.__file__).read_text().splitlines()) < 100
    assert sorted(cli.COMMANDS) == sorted(path.stem for path in COMMANDS.glob("[!_]*.py"))


@pytest.mark.parametrize("word", cli.COMMANDS)
def test_a_command_stands_alone(word):
    command = cli.command(word)
    assert command.USAGE.split()[0] == word
    assert command.SUMMARY in cli.usage()
    assert callable(command.run)
    others = [f"genart_jax.app.commands.{other}" for other in cli.COMMANDS] + ["genart_jax.app.commands"]
    for node in ast.walk(ast.parse((COMMANDS / f"{word}.py").read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.module not in (*others, "genart_jax.app.cli")
            assert node.module != "genart_jax.app" or not {"cli", "commands"} & {alias.name for alias in node.names}


def test_help_is_quick():
    """It imports no numpy, no jax, and not what reads options."""
    code = (
        "import sys\n"
        "from genart_jax.app.cli import main\n"
        "main(['--help'])\n"
        "print('loaded:', *{'jax', 'numpy', 'tyro', 'rich', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]
