"""Faults 10 and 11: files that are damaged or hostile, and odd surroundings."""

from __future__ import annotations

import functools
import os
import resource
import subprocess
from collections.abc import Callable
from typing import Any

from benchmarks import fuzz, machine
from benchmarks.fault_cases.common import COMMAND, TINY, Count, folder
from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.config import Data, UserError
from genart_jax.data import emoji, idx
from genart_jax.data.source import open_source


def files() -> Count:
    """Damaged and hostile pictures and archives."""
    tries, good = 0, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with folder() as root:
        made = fuzz.write_pictures(root / "set", 300, seed=1)
        source = open_source(Data(source=f"folder:{root / 'set'}", image_size=(32,)))
        left = {line.partition(": ")[0] for line in source.unreadable}
        read = source.train.size + source.test.size
        ordinary = sum(p.is_file() for p in (root / "set").rglob("*"))
        odd = sum(not p.is_file() for p in made)
        tries, good = len(made), len(made) if ordinary + odd == read + len(left) else 0
        pictures = f"{len(made)} pictures ({len(left)} left out and named, the others read)"
        cases: list[tuple[Callable[[], Any], str]] = []
        for number, content in enumerate(fuzz.idx_sets(150, seed=1)):
            (root / str(number)).mkdir()
            for name, data in content.items():
                (root / str(number) / name).write_bytes(data)
            cases.append((functools.partial(idx.load, root / str(number)), str(root / str(number))))
        whole = emoji.file_of(32).read_bytes()
        for number, data in enumerate(fuzz.archives(whole[:5000] + whole[-5000:], 100, seed=1)):
            path = root / f"{number}.npz"
            path.write_bytes(data)
            cases.append((functools.partial(emoji.read, 32, path), str(path)))
        for number, (suffix, data) in enumerate(fuzz.tensor_files(150, seed=1)):
            path = root / f"{number}{suffix}"
            path.write_bytes(data)
            cases.append((functools.partial(read_tensors, path), str(path)))
        for read_file, path_words in cases:
            tries += 1
            try:
                read_file()
                good += 1
            except UserError as error:
                good += path_words in str(error)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return Count(
        tries, good, f"{pictures}, {len(cases)} archives; no uncaught exception, at most {more:.0f} MiB more memory"
    )


def surroundings() -> Count:
    """Clock, locale, caches, paths, no home, no network: a short run works, or says why in one line."""
    names: list[str] = []
    good, said = 0, list[str]()
    clock = "import time; real = time.time; start = real(); n = iter(range(10**9))\ntime.time = lambda: {}\n"
    with folder() as root:
        root.chmod(0o755)
        for number, body in enumerate(("86400.0 + (real() - start)", "4.2e9 + real() - start", "start - next(n)")):
            (root / f"clock{number}").mkdir()
            (root / f"clock{number}" / "sitecustomize.py").write_text(clock.format(body))
        (root / "file").write_text("")
        odd = "a path/with späces and 日本"
        # Other users, who may read everything (this interpreter may lie in a home that is closed to them).
        as_user = ["--clear-groups", "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
        nobody, unknown = (["setpriv", "--reuid", str(user), *as_user] for user in (65534, 54321))
        ascii_: dict[str, str | None] = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        homeless: dict[str, str | None] = {"HOME": None, "XDG_CACHE_HOME": None}
        cases: list[tuple[str, str, dict[str, str | None], list[str]]] = [
            (f"clock {words}", "run", {"PYTHONPATH": f"{root / f'clock{i}'}:{machine.ROOT}"}, [])
            for i, words in enumerate(("in 1970", "in 2103", "running backwards"))
        ]
        cases += [
            ("locale C, ASCII", "run", ascii_, []),
            ("locale C, path of other letters", odd, ascii_, []),
            ("locale unknown", "run", {"LC_ALL": "tr_TR.ISO-8859-9", "LANG": "xx"}, []),
            ("path of spaces and other letters", odd, {}, []),
            ("cache that is a file", "run", {"GENART_CACHE": str(root / "file")}, []),
            ("cache of another user", "open/run", {"GENART_CACHE": str(root)}, nobody),
            ("no HOME, unknown user", "open/run2", homeless, unknown),
            ("HOME that is not there", "run", {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": None}, []),
            ("run that may not be written", "run", {}, nobody),
            ("no network", "run", {}, ["unshare", "-n"]),
            ("data in the home of a user without one", "open/run3", homeless, unknown),
        ]
        (root / "open").mkdir(mode=0o777)
        (root / "open").chmod(0o777)
        for number, (words, place, env, wrapper) in enumerate(cases):
            run = root / (place if "open" in place else f"{number}/{place}")
            data = ["--data", "folder:~/pictures"] if words.startswith("data in the home") else []
            command = [*wrapper, *COMMAND, "train", "mlp_vae", "--run", str(run), "--steps", "2", *TINY, *data]
            base = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(machine.ROOT)}
            merged = {k: v for k, v in (base | env).items() if v is not None}
            done = subprocess.run(command, capture_output=True, env=merged, cwd=root)
            out, err = (stream.decode(errors="replace").strip() for stream in (done.stdout, done.stderr))
            works = done.returncode == 0 and "next:" in out
            refused = done.returncode in (1, 2) and len(err.splitlines()) == 1 and err.startswith("genart: ")
            names, good = [*names, words], good + (works or refused)
            said += [] if works else [f"{words}: {'one line' if refused else 'FAILED'}"]
            if not works:
                print(f"  {words}: {done.returncode} {err[-2000:]}", flush=True)
    return Count(len(names), good, f"{', '.join(names)}; worked, but {'; '.join(said) or 'none'}")
