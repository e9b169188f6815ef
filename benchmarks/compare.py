"""One case: our step timed in turn with a peer's, each in its own process."""

from __future__ import annotations

import contextlib
import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.worker import Worker, WorkerError
from genart_jax.config import UserError

OURS = "benchmarks.ours"
PEERS = {"torch": "benchmarks.peers"}
"""Name -> module with `variants(name)`, `check()` and `prepare(name, run, platform, variant)`."""
_DROP = 1.5  # a variant this much slower than the best after _TRIAL rounds takes no part in the others
_TRIAL = 2


class Settings(NamedTuple):
    """How a case is measured."""

    rounds: int = 7
    against: str | None = None
    first_step: bool = False
    profile: Path | None = None
    pause: float = 0.3  # seconds between two turns: OpenMP's threads spin on for up to 0.2 s after their work


def peer_module(against: str) -> str:
    """The module of a peer, by its short name or its own path.

    Raises:
      UserError: there is no such peer, or what it needs is not installed.
    """
    module = PEERS.get(against, against)
    try:
        importlib.import_module(module).check()
    except ModuleNotFoundError as error:
        raise UserError(f"--against {against}: {error}; there is {', '.join(PEERS)}") from None
    return module


def environment(devices: int) -> dict[str, str]:
    """Of our process: no compilation cache, and no more GPU memory than it uses, as the peer needs some too."""
    env = {"JAX_ENABLE_COMPILATION_CACHE": "false", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if devices > 1:
        flags = os.environ.get("XLA_FLAGS", "")
        env["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={devices}"
    return env


def label(case: dict[str, Any], run: dict[str, Any]) -> str:
    """A case's name in tables and comparisons: everything that sets it apart."""
    shape, train = "x".join(map(str, run["model"]["image_shape"])), run["train"]
    words = [run["name"], shape, f"batch {train['batch']}", train["precision"]]
    words += [case["preset"]] if case["preset"] != "default" else []
    words += [f"{case['devices']} devices"] if case["devices"] != 1 else []
    words += [f"{key}={value}" for key, value in sorted(case["options"].items())]
    return ", ".join(words)


def compare(case: dict[str, Any], settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of a case, of `bench.summary`, with `label`, and where asked for `peer`, `ratio`, `first_step`.

    `ratio` has the quartiles of the peer's step time over ours, round by round: above 1 we are faster. The peer is
    the one of its variants with the least median. `ratio_of_least` is that of the least times: on a machine that does
    other work too, a framework whose threads wait for one another suffers more, and this shows it.
    """
    from genart_jax.train import bench

    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Worker(OURS, environment(case["devices"])))
        facts = ours.ask("prepare", **case)
        name = label(case, facts["run"])
        say(name)
        peers: dict[str, Worker] = {}
        variants: dict[str, dict[str, Any]] = {}
        if settings.against:
            peers, variants = _start_peers(stack, settings.against, facts, say)
        times: list[float] = []
        rates: list[float] = []
        for number in range(settings.rounds):
            times.append(_turn(ours, settings, bool(peers)))
            for variant, peer in list(peers.items()):
                variants[variant]["rounds"].append(_turn(peer, settings, True))
            rates.append(ours.ask("matmul"))
            if number + 1 == _TRIAL:
                _drop_slow(peers, variants)
        if settings.profile:
            ours.ask("profile", directory=str((settings.profile / name.replace(", ", "_")).absolute()))
        result = {"label": name, "case": case} | bench.summary(facts, times, rates) | ours.ask("end")
        for variant, peer in peers.items():
            variants[variant] |= peer.ask("end") | {"step_seconds": bench.quartiles(variants[variant]["rounds"])}
    if settings.against:
        result |= _verdict(times, variants, peers, settings.against)
    if settings.first_step:
        result["first_step"] = first_step(case)
    return result


def _turn(worker: Worker, settings: Settings, interleaved: bool) -> float:
    if interleaved:
        time.sleep(settings.pause)
    return float(worker.ask("round"))


def _start_peers(
    stack: contextlib.ExitStack, against: str, facts: dict[str, Any], say: Callable[[str], None]
) -> tuple[dict[str, Worker], dict[str, dict[str, Any]]]:
    """The peer's variants that work, and a record of each of them.

    Raises:
      AssertionError: the peer's parameters are not as many as ours, so it is another model.
    """
    module = peer_module(against)
    peers: dict[str, Worker] = {}
    variants: dict[str, dict[str, Any]] = {}
    for variant in importlib.import_module(module).variants(facts["model"]):
        peer = stack.enter_context(Worker(module))
        try:
            theirs = peer.ask(
                "prepare", name=facts["model"], run=facts["run"], platform=facts["platform"], variant=variant
            )
        except WorkerError as error:
            say(f"    {against} {variant} failed: {error}")
            variants[variant] = {"error": str(error)}
            continue
        if theirs["parameters"] != facts["parameters"]:
            raise AssertionError(f"{against} {variant}: parameters {theirs['parameters']}, ours {facts['parameters']}")
        peers[variant], variants[variant] = peer, theirs | {"rounds": []}
    return peers, variants


def _drop_slow(peers: dict[str, Worker], variants: dict[str, dict[str, Any]]) -> None:
    best = min((min(variants[v]["rounds"]) for v in peers), default=0.0)
    for variant in [v for v in peers if min(variants[v]["rounds"]) > _DROP * best]:
        peers.pop(variant)
        variants[variant]["dropped"] = True


def _verdict(
    times: list[float], variants: dict[str, dict[str, Any]], peers: dict[str, Worker], against: str
) -> dict[str, Any]:
    from genart_jax.train import bench

    if not peers:
        return {"peer": {"name": against, "best": None, "variants": variants}, "ratio": None}
    best = min(peers, key=lambda v: statistics.median(variants[v]["rounds"]))
    ratios = [theirs / mine for mine, theirs in zip(times, variants[best]["rounds"], strict=True)]
    return {
        "peer": {"name": against, "best": best, "variants": variants},
        "ratio": bench.quartiles(ratios),
        "ratio_rounds": ratios,
        "ratio_of_least": min(variants[best]["rounds"]) / min(times),
    }


def first_step(case: dict[str, Any]) -> dict[str, float]:
    """Seconds from the start of Python to the end of the first step, with an empty compilation cache and a full one
    ("cold" and "warm"), and of the step alone, in the latter ("step").
    """
    out = {}
    with tempfile.TemporaryDirectory() as cache:
        env = environment(case["devices"]) | {
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        for state in ("cold", "warm"):
            start = time.perf_counter()
            with Worker(OURS, env) as worker:
                out["step"] = worker.ask("first_step", **case)
                out[state] = time.perf_counter() - start
    return out
