"""Breaks the package on purpose, one thing at a time, and looks whether the tests see it.

    python -m tests.breakages                  # all, some fifteen minutes on 2 cores
    python -m tests.breakages sign stream      # these
    python -m tests.breakages --anchors        # only whether each text to break is still there

Run by hand, after tests were made cheaper. Each breakage is one text of one file put in place of another, in a copy of
the tree in a temporary folder; the tests that are expected to fail are those that `make test` runs, nothing else. They
pass on the tree as it is, or the result would say nothing: `make test` shows that.

It ends with an error where a breakage was not seen, or where its text is no longer there: then choose the text that
does the same now.
"""

import argparse
import re
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
        ("tests/data/test_folder.py", "-k", "fingerprint"),
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
    Breakage(
        "owner: two processes may hold a run",
        "genart_jax/train/owner.py",
        "os.O_CREAT | os.O_EXCL | os.O_WRONLY",
        "os.O_CREAT | os.O_WRONLY",
        ("tests/train/test_owner.py", "-k", "second"),
    ),
    Breakage(
        "summary: of whichever state",
        "genart_jax/train/summary.py",
        'return there if same and "test" in there else {}',
        'return there if "test" in there else {}',
        ("tests/train/test_records.py", "-k", "another_state"),
    ),
    Breakage(
        "keep: the damaged count",
        "genart_jax/train/store.py",
        "good += self._is_whole(old)",
        "good += 1",
        ("tests/train/test_store.py", "-k", "do_not_count"),
    ),
    Breakage(
        "clock: begins anew where a run goes on",
        "genart_jax/train/trainer.py",
        'float(self.log.newest.get("seconds", 0.0))',
        "0.0",
        ("tests/train/test_records.py", "-k", "time_goes_on"),
    ),
    Breakage(
        "move: the fingerprint is blind for labels",
        "genart_jax/data/folder.py",
        "return (fingerprint(*said, kept.label), (fingerprint(*said),)) if kept.names",
        "return (fingerprint(*said), ()) if kept.names",
        ("tests/data/test_folder.py", "-k", "fingerprint"),
    ),
    Breakage(
        "home: a folder of the name ~",
        "genart_jax/runtime/paths.py",
        "return Path(path).expanduser()",
        "return Path(path)",
        ("tests/runtime/test_paths.py",),
    ),
    Breakage(
        "grey: intensities below 0",
        "genart_jax/metrics/image.py",
        "mean_a, mean_b = mean_a + 1.0, mean_b + 1.0",
        "mean_a, mean_b = mean_a + 0.0, mean_b + 0.0",
        ("tests/metrics/test_image.py",),
    ),
    Breakage(
        "unlabelled: the last class",
        "genart_jax/metrics/accuracy.py",
        "(x[labels >= 0] for x in (logits, labels, weight))",
        "(x[labels >= -1] for x in (logits, labels % len(state.made), weight))",
        ("tests/test_floor.py", "-k", "unlabelled"),
    ),
    Breakage(
        "words: a number before a name",
        "genart_jax/data/conditions.py",
        "    if word in classes:\n        return list(classes).index(word)\n    if word in numbers:\n"
        "        return numbers.index(word)\n",
        "    if word in numbers:\n        return numbers.index(word)\n    if word in classes:\n"
        "        return list(classes).index(word)\n",
        ("tests/test_floor.py", "-k", "condition_words"),
    ),
    Breakage(
        "mark: a byte order mark is damage",
        "genart_jax/config/saved.py",
        'encoding="utf-8-sig"',
        'encoding="utf-8"',
        ("tests/config/test_saved.py",),
    ),
    Breakage(
        "stop: Ctrl-C is success",
        "genart_jax/app/preempt.py",
        "raise SystemExit(130)",
        "raise SystemExit(0)",
        ("tests/use/test_stylize.py", "-k", "ctrl_c"),
    ),
    Breakage(
        "peer: a lost one is the runtime's own error",
        "genart_jax/train/cluster.py",
        "if jax.process_count() == 1 or not _LOST.search(str(error)):",
        "if jax.process_count() == 1 or _LOST.search(str(error)):",
        ("tests/train/test_cluster.py", "-k", "connection_that_breaks"),
    ),
    Breakage(
        "profile: colours as if they were sRGB",
        "genart_jax/data/reader/convert.py",
        'icc = picture.info.get("icc_profile")',
        "icc = None",
        ("tests/data/test_picture.py", "-k", "profile or p3"),
    ),
    Breakage(
        "terms: r2 at the real pictures",
        "genart_jax/losses/terms.py",
        'return squared_gradient(lambda x: critic.score(x, "fake"), scene.made["fake"]), {}',
        'return squared_gradient(lambda x: critic.score(x, "fake"), scene.batch["image"]), {}',
        ("tests/losses/test_terms.py", "-k", "slopes"),
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


def seen(breakage):
    """(whether a test failed, the last line of what pytest said)."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=_left_out)
        file = copy / breakage.file
        file.write_text(file.read_text().replace(breakage.old, breakage.new))
        command = [sys.executable, "-m", "pytest", "-x", "-n", "0", "--durations=0", *breakage.tests]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    # 1: tests failed. Anything else but 0 is a breakage that never came to be tested, as is what cannot be imported.
    last = next((line for line in reversed(done.stdout.splitlines()) if line.startswith("FAILED")), "")
    if done.returncode not in (0, 1):
        last = f"pytest ended with {done.returncode}: {(done.stdout + done.stderr).strip()[-300:]}"
    return done.returncode == 1 and not re.search(r"^E\s+(ModuleNotFound|Import|Syntax)Error", done.stdout, re.M), last


def _left_out(folder, names):
    """What is no part of the tree; `build` and `runs` are so at its top alone."""
    top = {"runs", "build"} if Path(folder) == ROOT else set()
    return [n for n in names if n in top or n.startswith(".") or n == "__pycache__" or n.endswith(".egg-info")]


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
