"""Breaks the package on purpose, one thing at a time, and looks whether the tests see it.

    python -m tests.breakages                  # all, some ten minutes on 2 cores
    python -m tests.breakages sign stream      # these
    python -m tests.breakages --anchors        # only whether each text to break is still there

Run by hand, after tests were made cheaper. Each breakage is one text of one file put in place of another, in a copy of
the tree in a temporary folder; the tests that are expected to fail are those that `make test` runs, nothing else. They
pass on the tree as it is, or the result would say nothing: `make test` shows that.

It ends with an error where a breakage was not seen, or where its text is no longer there: then choose the text that
does the same now.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Breakage(NamedTuple):
    """`old` becomes `new`, once, in `file`; `tests` (arguments of pytest) are to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


BREAKAGES = (
    Breakage(
        "sign: the critic likes generated pictures",
        "genart_jax/losses/adversarial.py",
        "critic=lambda real, fake: jax.nn.softplus(-real) + jax.nn.softplus(fake),",
        "critic=lambda real, fake: jax.nn.softplus(-real) + jax.nn.softplus(-fake),",
        ("tests/losses/test_losses.py",),
    ),
    Breakage(
        "stream: each device draws the same latents",
        "genart_jax/nn/random.py",
        "index = index + jax.lax.axis_index(axis_name) * num",
        "index = index + 0 * jax.lax.axis_index(axis_name)",
        ("tests/test_models.py", "-k", "over_eight_devices and (dcgan or conv_vae)"),
    ),
    Breakage(
        "name: all streams are one",
        "genart_jax/nn/random.py",
        "zlib.crc32(name.encode())",
        "zlib.crc32(b'name')",
        ("tests/nn/test_random.py", "tests/steps/test_vae.py"),
    ),
    Breakage(
        "axis: gradients are summed over devices, not averaged",
        "genart_jax/steps/common.py",
        "jax.lax.pmean(tree, axis_name)",
        "jax.lax.psum(tree, axis_name)",
        ("tests/test_models.py", "-k", "over_eight_devices and dcgan"),
    ),
    Breakage(
        "decay: weights grow",
        "genart_jax/steps/optim.py",
        "optax.add_decayed_weights(-config.weight_decay, mask)",
        "optax.add_decayed_weights(config.weight_decay, mask)",
        ("tests/steps/test_optim.py",),
    ),
    Breakage(
        "clip: each leaf by itself",
        "genart_jax/steps/optim.py",
        "optax.clip_by_global_norm(config.clip_norm)",
        "optax.clip_by_block_rms(config.clip_norm)",
        ("tests/steps/test_optim.py",),
    ),
    Breakage(
        "shift: a filter is off its centre",
        "genart_jax/nn/resample.py",
        "line = np.asarray(taps, np.float32)[::-1]",
        "line = np.roll(np.asarray(taps, np.float32), 1)",
        ("tests/nn/test_resample.py",),
    ),
    Breakage(
        "fingerprint: blind for bytes",
        "genart_jax/data/source.py",
        'sha.update(f"{len(data)}:".encode() + data)',
        'sha.update(f"{len(data)}:".encode())',
        ("tests/data/test_folder.py",),
    ),
    Breakage(
        "lazy period: a penalty that is due seldom is not made up for",
        "genart_jax/steps/play.py",
        "weight = value_at(term.weight, state.step) * max(1, term.every)",
        "weight = value_at(term.weight, state.step)",
        ("tests/steps/test_gan.py", "-k", "equals_a_plain_step"),
    ),
    Breakage(
        "checkpoint: sums are not compared",
        "genart_jax/train/manifest.py",
        "same = digest(folder / name) == match[1]",
        "same = bool(digest(folder / name))",
        ("tests/train/test_manifest.py",),
    ),
    Breakage(
        "label: the class beside",
        "genart_jax/metrics/accuracy.py",
        "(np.argmax(logits, axis=1) == labels)",
        "(np.argmax(logits, axis=1) == labels - 1)",
        ("tests/metrics/test_distributions.py", "tests/evaluate/test_scores.py", "-k", "accuracy"),
    ),
    Breakage(
        "range: pictures from 0 to 2",
        "genart_jax/types.py",
        ".astype(jnp.float32) / 127.5 - 1.0",
        ".astype(jnp.float32) / 127.5",
        ("tests/test_floor.py",),
    ),
    Breakage(
        "normalisation: by the norm of the kernel",
        "genart_jax/nn/spectral.py",
        "return value / sigma(matrix, u.value)",
        "return value / jnp.linalg.norm(matrix)",
        ("tests/nn/test_spectral.py",),
    ),
    Breakage(
        "moving average: takes what it should keep",
        "genart_jax/steps/common.py",
        "optax.incremental_update(live, ema, 1.0 - decay)",
        "optax.incremental_update(live, ema, decay)",
        ("tests/steps/test_gan_styles.py", "-k", "moving_average"),
    ),
    Breakage(
        "covariance: not unbiased",
        "genart_jax/metrics/frechet.py",
        "return mean, comoment / (count - 1)",
        "return mean, comoment / count",
        ("tests/metrics/test_distributions.py",),
    ),
    Breakage(
        "bound: a variance for its logarithm",
        "genart_jax/losses/elbo.py",
        "jnp.exp(log_variance) - 1.0 - log_variance)",
        "log_variance - 1.0 - log_variance)",
        ("tests/losses/test_losses.py", "tests/steps/test_vae.py"),
    ),
)


def missing(breakage, root=ROOT):
    """Why the text to break cannot be broken; "" where it can."""
    file = root / breakage.file
    count = file.read_text().count(breakage.old) if file.exists() else 0
    if count == 1:
        return ""
    where = f"{breakage.file} holds it {count} times, not once" if file.exists() else f"there is no {breakage.file}"
    return f"the text to break has gone ({where}): {breakage.old}"


def _left_out(folder, names):
    """What is not copied: what was made here, such as the top's `build` (the package has a folder of that name)."""
    patterns = (".*", "*.egg-info", "__pycache__", *(("runs", "build") if Path(folder) == ROOT else ()))
    return shutil.ignore_patterns(*patterns)(folder, names)


def seen(breakage):
    """(whether a test failed, the last line of what pytest said)."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=_left_out)
        file = copy / breakage.file
        file.write_text(file.read_text().replace(breakage.old, breakage.new))
        command = [sys.executable, "-m", "pytest", "-x", "-n", "0", "--durations=0", *breakage.tests]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    # 1: tests failed. Anything else but 0 is a breakage that never came to be tested.
    last = next((line for line in reversed(done.stdout.splitlines()) if line.startswith("FAILED")), "")
    if done.returncode not in (0, 1):
        last = f"pytest ended with {done.returncode}: {(done.stdout + done.stderr).strip()[-300:]}"
    return done.returncode == 1, last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only the breakages whose names begin with one of these")
    parser.add_argument("--anchors", action="store_true", help="only look whether the texts are there")
    options = parser.parse_args()
    chosen = [b for b in BREAKAGES if not options.words or b.name.split(":")[0].startswith(tuple(options.words))]
    bad = 0
    for breakage in chosen:
        if why := missing(breakage):
            caught, said = False, why
        elif options.anchors:
            caught, said = True, "there"
        else:
            caught, said = seen(breakage)
        bad += not caught
        print(f"{'ok  ' if caught else 'BAD '} {breakage.name}\n     {said or 'no test failed'}", flush=True)
    print(f"{len(chosen) - bad} of {len(chosen)} breakages {'can be made' if options.anchors else 'were seen'}")
    return 1 if bad or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
