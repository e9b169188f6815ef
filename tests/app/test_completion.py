"""A shell completes commands and options, from a script that the program prints."""

import shutil
import subprocess

import pytest

from genart_jax.app.cli import COMMANDS, main

TRY = """
source {script}
try() {{
  COMP_WORDS=("$@"); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); COMPREPLY=()
  _tyro_genart
  echo "${{COMPREPLY[@]}}"
}}
try genart ''
try genart sam
try genart train dcgan --optimizer.learn
try genart data build --fr
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    done = subprocess.run(["bash", "-c", TRY.format(script=script)], capture_output=True, text=True, check=True)
    words, sample, rate, own = done.stdout.splitlines()[:4]
    assert set(COMMANDS) <= set(words.split())
    assert (sample, rate, own) == ("sample", "--optimizer.learning-rate", "--from")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "learning-rate" in capsys.readouterr().out


def test_another_shell(capsys):
    assert main(["completion", "cmd"]) == 2
    assert capsys.readouterr().err == "genart: completion for 'cmd' is unknown; there are bash, zsh, fish\n"
    assert main(["completion"]) == 2
