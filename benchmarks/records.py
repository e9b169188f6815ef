"""Results as data: a file of comma-separated values for each contract, which its name says, beside the table.

    benchmark-train-fp32-nhwc-jax0.12-cpu2.csv

Training steps in float32, channels last, by JAX 0.12, on two CPU cores: what is the same for all rows, and without
which figures must not be held together. A row is a case, as it was measured last; rows say their own commit and date.
What a file was at each commit is its history: `python -m benchmarks.history`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genart_jax.config import UserError

PRECISIONS = {"float32": "fp32", "tf32": "tf32", "bfloat16": "bf16"}
COLUMNS = (
    "case", "images_per_second", "step_ms", "step_ms_q1", "step_ms_q3", "gflop", "of_matmul", "program_mib",
    "process_mib", "compile_s", "peer", "peer_step_ms", "ratio", "ratio_q1", "ratio_q3", "commit", "date",
)  # fmt: skip
Rows = dict[str, dict[str, str]]
"""By case."""


def file_name(result: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """The file of a result of `benchmarks.compare`, of a report that `benchmarks.throughput` writes."""
    version = ".".join(content["versions"].get("jax", "unknown").split(".")[:2])
    device = f"cpu{content['machine']['cores']}"
    if result["platform"] != "cpu":
        device = re.sub(r"[^a-z0-9]+", "-", result["device"].lower()).strip("-")
    precision = PRECISIONS[result["run"]["train"]["precision"]]
    return f"benchmark-train-{precision}-nhwc-jax{version}-{device}.csv"


def row_of(result: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, str]:
    """A result's row."""
    low, middle, high = (1e3 * t for t in result["step_seconds"])
    figures: dict[str, float | str] = {
        "images_per_second": result["images_per_second"], "step_ms": middle, "step_ms_q1": low, "step_ms_q3": high,
        "gflop": result["flops"] / 1e9, "of_matmul": result["mfu"],
        "program_mib": result["memory"]["peak_bytes"] / 2**20, "process_mib": result["rss_bytes"] / 2**20,
        "compile_s": result["compile_seconds"],
    }  # fmt: skip
    if result.get("ratio"):
        peer, ratio = result["peer"], result["ratio"]
        seconds = peer["variants"][peer["best"]]["step_seconds"][1]
        figures |= {"peer": f"{peer['name']} {peer['best']}", "peer_step_ms": 1e3 * seconds, "ratio": ratio[1],
                    "ratio_q1": ratio[0], "ratio_q3": ratio[2]}  # fmt: skip
    words = {name: value if isinstance(value, str) else f"{value:.5g}" for name, value in figures.items()}
    return {"case": result["label"], **words, "commit": content["commit"], "date": content["date"]}


def read(text: str, name: str) -> Rows:
    """The rows of a file's text.

    Raises:
      UserError: it is no such file.
    """
    reader = csv.DictReader(io.StringIO(text))
    if not {"case", "images_per_second", "commit", "date"} <= set(reader.fieldnames or ()):
        raise UserError(f"{name} has no results of benchmarks.throughput: its columns are {reader.fieldnames}")
    return {row["case"]: row for row in reader}


def write(folder: Path, content: Mapping[str, Any]) -> list[Path]:
    """Puts a report's results into the files of their contracts; rows of other cases stay. Returns the files.

    Raises:
      UserError: a file of that name is something else.
    """
    found: dict[Path, Rows] = {}
    for result in content["results"]:
        path = folder / file_name(result, content)
        if path not in found:
            found[path] = read(path.read_text(encoding="utf-8"), str(path)) if path.exists() else {}
        row = row_of(result, content)
        found[path][row["case"]] = row
    for path, rows in found.items():
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[case] for case in sorted(rows))
        path.write_text(out.getvalue(), encoding="utf-8")
    return list(found)
