"""The processes of a run on several hosts: how they find one another, agree, and notice that one is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax

from genart_jax.config import Parallel, PeerLostError, UserError

_PATIENCE = 600_000  # milliseconds that processes wait for one another; a lost one is noticed by its heartbeat before
_LOST = re.compile(r"gloo|nccl|socket|connection|coordination|heartbeat|barrier|UNAVAILABLE|DEADLINE", re.IGNORECASE)
_count = itertools.count()


def recognised(environment: Mapping[str, str] = os.environ) -> str:
    """The kind of cluster that this process was started on as one of several, or ""."""
    names = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
    if all(name in environment for name in names) and int(environment["SLURM_NTASKS"]) > 1:
        return "slurm"
    if "OMPI_MCA_orte_hnp_uri" in environment and int(environment.get("OMPI_COMM_WORLD_SIZE", 1)) > 1:
        return "mpi"
    if {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= set(environment) and _installed("kubernetes"):
        return "kubernetes"
    chips = [*Path("/dev").glob("accel*"), *Path("/dev/vfio").glob("[0-9]*")]
    return "tpu" if chips and _installed("libtpu") and environment.get("JAX_PLATFORMS") != "cpu" else ""


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def join(config: Parallel) -> Parallel:
    """Joins this run's other processes, where it has any, before the first use of a device.

    Returns the options without those that say which process this is: they are no part of the run.

    Raises:
      UserError: options that contradict one another, or a coordinator that cannot be reached.
    """
    alone = dataclasses.replace(config, coordinator="", process=None, processes=None)
    if jax.distributed.is_initialized() or config.coordinator == "none":
        return alone
    kind = recognised()
    process, processes = config.process, config.processes
    if not config.coordinator:
        if (process, processes) != (None, None):
            raise UserError("--parallel.process and .processes need --parallel.coordinator host:port")
        if not kind:
            return alone
    else:
        if not re.fullmatch(r".+:\d+", config.coordinator):
            raise UserError(f"--parallel.coordinator {config.coordinator}: wanted host:port, or none")
        if process is None and "JOB_COMPLETION_INDEX" in os.environ:  # of an indexed job of Kubernetes
            process = int(os.environ["JOB_COMPLETION_INDEX"])
        if not kind and (process is None or processes is None):
            raise UserError("--parallel.coordinator also needs --parallel.process and --parallel.processes here")
        if process is not None and processes is not None and not 0 <= process < processes:
            raise UserError(f"--parallel.process {process}: wanted 0 to {processes - 1}")
    if config.heartbeat < 1:
        raise UserError(f"--parallel.heartbeat must be at least 1, not {config.heartbeat}")
    # Slurm and MPI also say which of a host's devices is this process's; from the others, nothing is left to ask.
    known = bool(config.coordinator) and None not in (process, processes) and kind not in ("slurm", "mpi")
    try:
        jax.distributed.initialize(
            config.coordinator or None,
            processes,
            process,
            cluster_detection_method="deactivate" if known else None,
            heartbeat_timeout_seconds=config.heartbeat,
        )
    except (RuntimeError, ValueError) as error:
        if kind == "tpu" and not config.coordinator and isinstance(error, ValueError):
            return alone  # chips of a single host
        raise UserError(f"cannot join the other processes: {str(error).splitlines()[0]}") from None
    return alone


Said = TypeVar("Said")


def first_says(compute: Callable[[], Said], name: str | None = None) -> Said:
    """What `compute` gives (as JSON) in the first process, in all of them; the others do not call it.

    All processes must call this in the same order, or, from a thread, with the same `name` that is used once.

    Raises:
      RuntimeError: `compute` raised in the first process; there its own error is raised.
    """
    if jax.process_count() == 1:
        return compute()
    client, key = _client(), f"genart/{next(_count) if name is None else name}"
    if jax.process_index():
        said = json.loads(client.blocking_key_value_get(key, _PATIENCE))
        if "error" in said:
            raise RuntimeError(said["error"])
        return said["value"]
    try:
        value = compute()
    except Exception as error:
        client.key_value_set(key, json.dumps({"error": str(error)}))
        raise
    client.key_value_set(key, json.dumps({"value": value}))
    return value


def meet() -> None:
    """Waits until all processes are here."""
    if jax.process_count() > 1:
        _client().wait_at_barrier(f"genart/{next(_count)}", _PATIENCE)


def _client() -> Any:
    from jax._src import distributed  # the store that all processes share has no public name

    return distributed.global_state.client


@contextlib.contextmanager
def peers() -> Iterator[None]:
    """Says that another process is lost, where a computation with it has failed.

    Raises:
      PeerLostError: in place of the runtime's own error.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1 or not _LOST.search(str(error)):
            raise
        raise PeerLostError(
            f"process {jax.process_index()} of {jax.process_count()}: another process of this run has ended or cannot"
            f" be reached ({str(error).splitlines()[0][:160]}); start all of them again with the same command, and"
            " the run goes on from its last checkpoint"
        ) from error
