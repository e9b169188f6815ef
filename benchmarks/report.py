"""Results as JSON, as a Markdown table and as a bar chart."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from genart_jax.config import UserError


def lines_of(result: dict[str, Any]) -> list[str]:
    """A case as lines of a terminal."""
    low, middle, high = (1e3 * t for t in result["step_seconds"])
    out = [
        f"    {result['images_per_second']:,.0f} images/s, step {middle:.4g} ms ({low:.4g} to {high:.4g}),"
        f" host {result['host_fraction']:.1%} of it",
        f"    {result['flops'] / 1e9:.3g} GFLOP a step, {result['flops_per_second'] / 1e9:.3g} GFLOP/s,"
        f" {result['mfu']:.0%} of the matmul rate ({result['matmul_flops_per_second'] / 1e9:.3g} GFLOP/s)",
        f"    memory {mib(result['memory']['peak_bytes'])} of the program, {mib(result['rss_bytes'])} of the process;"
        f" {result['bytes_accessed'] / 1e6:.4g} MB accessed a step",
        f"    traced in {result['trace_seconds']:.1f} s, compiled in {result['compile_seconds']:.1f} s"
        + (f"; first step after {result['first_step']['cold']:.1f} s, with a compilation cache"
           f" {result['first_step']['warm']:.1f} s, {result['first_step']['step']:.1f} s of it the step itself"
           if "first_step" in result else ""),
    ]  # fmt: skip
    if "peer" in result:
        out += _peer_lines(result)
    return out


def _peer_lines(result: dict[str, Any]) -> list[str]:
    peer, out = result["peer"], []
    for variant, figures in peer["variants"].items():
        if "error" in figures:
            out.append(f"    {peer['name']} {variant}: failed, {figures['error']}")
        elif "dropped" in figures:
            least = 1e3 * min(figures["rounds"])
            out.append(f"    {peer['name']} {variant}: {least:.4g} ms at best, dropped for being slow")
        else:
            low, middle, high = (1e3 * t for t in figures["step_seconds"])
            out.append(f"    {peer['name']} {variant}: step {middle:.4g} ms ({low:.4g} to {high:.4g}),"
                       f" process {mib(figures['rss_bytes'])}")  # fmt: skip
    if result["ratio"]:
        low, middle, high = result["ratio"]
        out.append(f"    {middle:.2f} times {peer['name']}'s speed ({low:.2f} to {high:.2f}; {peer['best']}),"
                   f" {result['ratio_of_least']:.2f} by the least times")  # fmt: skip
    return out


def mib(count: float) -> str:
    """Bytes as MiB."""
    return f"{count / 2**20:,.0f} MiB"


def markdown(report: dict[str, Any]) -> str:
    """A report as a page with one table."""
    results, machine = report["results"], report["machine"]
    against = next((r["peer"]["name"] for r in results if "peer" in r), None)
    heads = ["model", "images/s", "step, ms (quartiles)", "GFLOP/s", "of matmul", "memory", "compile, s", "host"]
    heads += ["first step, s (cached)"] if any("first_step" in r for r in results) else []
    heads += [f"{against}'s best, ms", f"times {against}'s speed (quartiles)"] if against else []
    rows = [_cells(result, heads) for result in results]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    device = results[0]["device"] if results and results[0]["platform"] != "cpu" else ""
    text = [
        f"# Training steps{f' against {against}' if against else ''}",
        "",
        f"`{report['command']}`",
        "",
        f"{device or machine['processor']}, {machine['cores']} cores, {machine['system']}. {versions}."
        f" Commit {report['commit'] or 'unknown'}, {report['date']}.",
        "",
        f"| {' | '.join(heads)} |",
        "|---|" + "---:|" * (len(heads) - 1),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(text) + "\n"


def _cells(result: dict[str, Any], heads: list[str]) -> list[str]:
    low, middle, high = (1e3 * t for t in result["step_seconds"])
    cells = [
        result["label"],
        f"{result['images_per_second']:,.0f}",
        f"{middle:.4g} ({low:.4g} to {high:.4g})",
        f"{result['flops_per_second'] / 1e9:,.0f}",
        f"{result['mfu']:.0%}",
        mib(result["memory"]["peak_bytes"]),
        f"{result['compile_seconds']:.1f}",
        f"{result['host_fraction']:.1%}",
    ]
    if any(head.startswith("first step") for head in heads):
        first = result.get("first_step")
        cells.append(f"{first['cold']:.1f} ({first['warm']:.1f})" if first else "")
    if "peer" in result and result["ratio"]:
        best = result["peer"]["best"]
        cells.append(f"{1e3 * result['peer']['variants'][best]['step_seconds'][1]:.4g} ({best})")
        cells.append("**{1:.2f}** ({0:.2f} to {2:.2f})".format(*result["ratio"]))
    return cells + [""] * (len(heads) - len(cells))


def check_chart() -> None:
    """Raises UserError where there is no matplotlib, before anything is measured."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError('--chart needs matplotlib: pip install "genart_jax[bench]"')


def chart(report: dict[str, Any], path: Path) -> None:
    """A bar a case: times the peer's speed where there is a peer, else images a second. Whiskers are quartiles."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    results = report["results"][::-1]
    ratio = any(r.get("ratio") for r in results)
    if ratio:
        results = [r for r in results if r.get("ratio")]
        spans = [r["ratio"] for r in results]
    else:
        spans = [[r["images_per_step"] / t for t in r["step_seconds"][::-1]] for r in results]
    middles = [s[1] for s in spans]
    errors = [[s[1] - s[0] for s in spans], [s[2] - s[1] for s in spans]]
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.45 * len(results)), layout="constrained")
    axes.barh([r["label"] for r in results], middles, xerr=errors, color="#3b6ea5", capsize=3)
    if ratio:
        axes.axvline(1.0, color="black", linewidth=1)
        axes.set_xlabel(f"times the speed of {results[0]['peer']['name']}'s best variant")
    else:
        axes.set_xscale("log")
        axes.set_xlabel("images a second")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
