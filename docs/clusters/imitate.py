"""Runs a script of this folder on one machine, in processes that see what they would see on the cluster.

    python docs/clusters/imitate.py slurm|kubernetes|tpu NUMBER RUN MODEL [options of genart train]

slurm       slurm.sh as it is, with an `srun` that starts NUMBER tasks with Slurm's variables
kubernetes  the container's command and environment of kubernetes.yaml, NUMBER times with JOB_COMPLETION_INDEX; model
            and run directory are those given here, and the service's name is this machine
tpu         tpu_pod.sh as it is, with a `gcloud` that runs the command NUMBER times; as there are no TPUs for JAX to
            find, the processes are told of one another by --parallel options
"""

import os
import random
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GENART = f"{sys.executable} -m genart_jax"


def start(processes: Sequence[tuple[dict[str, Any], list[str]]]) -> int:
    """Runs commands side by side, each with its variables; 1 where one of them fails."""
    started = [
        subprocess.Popen(words, env=os.environ | {name: str(value) for name, value in variables.items()})
        for variables, words in processes
    ]
    return max(min(1, abs(process.wait())) for process in started)


def srun(words: list[str], number: int, port: int) -> int:
    """What Slurm sets for each task. JAX makes the coordinator's port from the number of the job."""
    words = [word for word in words if not word.startswith("--kill-on-bad-exit")]
    shared = {"SLURM_JOB_ID": port, "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": number}
    return start([(shared | {"SLURM_PROCID": i, "SLURM_LOCALID": i}, words) for i in range(number)])


def gcloud(words: list[str], number: int, port: int) -> int:
    """The command on each host of a slice."""
    told = f"--parallel.coordinator 127.0.0.1:{port} --parallel.processes {number} --parallel.process"
    return start([({}, ["sh", "-c", f"{words[-1]} {told} {i}"]) for i in range(number)])


def pods(words: list[str], number: int, port: int) -> int:
    """The pods of the job."""
    import yaml

    job = list(yaml.safe_load_all((HERE / "kubernetes.yaml").read_text()))[1]
    container = job["spec"]["template"]["spec"]["containers"][0]
    seen = {entry["name"]: entry["value"] for entry in container["env"]}
    seen |= {"PROCESSES": str(number), "COORDINATOR": f"127.0.0.1:{port}", "KUBERNETES_SERVICE_HOST": "127.0.0.1"}
    command = [*shlex.split(GENART), container["command"][1], *words, *container["args"]]
    for name, value in seen.items():
        command = [word.replace(f"$({name})", value) for word in command]
    return start([(seen | {"JOB_COMPLETION_INDEX": i}, command) for i in range(number)])


def main() -> int:
    """Imitates one of the clusters, or, called by its script, the cluster's own command."""
    kind, number, *words = sys.argv[1:]
    if kind in ("srun", "gcloud"):
        return {"srun": srun, "gcloud": gcloud}[kind](words, int(number), int(os.environ["IMITATED_PORT"]))
    if kind not in ("slurm", "kubernetes", "tpu") or len(words) < 2:
        sys.exit(__doc__)
    run, model, *options = words
    arguments, port = [model, "--run", run, *options], random.randrange(20_000, 60_000)
    os.environ |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", "GENART": GENART, "IMITATED_PORT": str(port)}
    if kind == "kubernetes":
        return pods(arguments, int(number), port)
    name, script = {"slurm": ("srun", "slurm.sh"), "tpu": ("gcloud", "tpu_pod.sh")}[kind]
    with tempfile.TemporaryDirectory() as folder:
        command = Path(folder) / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} {name} {number} "$@"\n')
        command.chmod(0o755)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        variables = {"PATH": path, "TPU": "slice", "ZONE": "zone"}
        return start([(variables, ["bash", str(HERE / script), *arguments])])


if __name__ == "__main__":
    sys.exit(main())
