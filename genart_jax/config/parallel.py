"""Options of the mesh of devices. No jax here."""

from __future__ import annotations

import dataclasses

from genart_jax.config.ranges import Count, Natural


@dataclasses.dataclass(frozen=True)
class Parallel:
    """The mesh of devices."""

    data: Natural = 0
    """Rows of devices, each with a copy of the parameters (0: as many as there are devices for)."""
    model: Count = 1
    """Devices a row: each keeps its part of the large parameters, moments and averages. A batch is split over all."""
    rules: tuple[tuple[str, str], ...] = ()
    """Pairs of a regular expression over a parameter's path and its layout: whole, largest, or an axis's number."""
    coordinator: str = ""
    """host:port of process 0, for several processes; empty: as SLURM, Kubernetes or a TPU pod says; none: only one."""
    process: Natural | None = None
    """This process's number, from 0."""
    processes: Count | None = None
    """How many processes there are."""
    heartbeat: Count = 60
    """Seconds without a sign of life after which a process counts as lost, and the others end."""
