"""From a click on Create to 16 icons on the page, in a headless Chromium, with what each process computes for it.

    python -m benchmarks.studio [--clicks 20] [--out FILE.md]

`genart studio` runs as users start it, in a process of its own, with its worker; Chromium is the system's. The time is
the page's own: from the event of the click until all pictures are decoded and the next frame is there. Processor time
is what the kernel counts for the server, the worker and the browser; others who use the machine lengthen the time from
click to pictures, and this far less.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
from playwright.sync_api import Page, sync_playwright

from benchmarks import machine

AIM = 300.0  # milliseconds, on two quiet cores
BROWSERS = "chromium", "chromium-browser", "google-chrome"
COUNT = 16
_CLICK = """async (count) => {
  const go = document.querySelector(".go"), before = document.querySelectorAll("article").length;
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const began = performance.now();
  go.click();
  let images = [];
  while (document.querySelectorAll("article").length === before) await frame();
  images = [...document.querySelector("article").querySelectorAll("img")];
  const answered = performance.now();
  await Promise.all(images.map((image) => image.decode()));
  await frame();
  if (images.length !== count) throw new Error(`${images.length} pictures`);
  return [performance.now() - began, answered - began];
}"""


class Click(NamedTuple):
    """Milliseconds: until all is shown, until the page knew the answer, and of processors by who computed."""

    wall: float
    answered: float
    server: float
    worker: float
    browser: float


@contextlib.contextmanager
def studio(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    """`genart studio` on a free port: its process, and the address that it printed."""
    command = [sys.executable, "-m", "genart_jax", "studio", "--port", "0", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                sys.exit("genart studio printed no address")
            yield psutil.Process(process.pid), found.group()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def _milliseconds(processes: Sequence[psutil.Process]) -> float:
    times = [one.cpu_times() for one in processes if one.is_running()]
    return 1000 * sum(one.user + one.system for one in times)


def measure(clicks: int) -> list[Click]:
    """So many clicks, after three that warm up."""
    path = next((at for name in BROWSERS if (at := shutil.which(name))), None)
    if path is None:
        sys.exit("there is no Chromium")
    with tempfile.TemporaryDirectory() as name, studio(Path(name)) as (server, address), sync_playwright() as play:
        args = ["--no-sandbox", "--disable-dev-shm-usage"]
        chromium = play.chromium.launch(executable_path=path, args=args)
        page = chromium.new_page(viewport={"width": 1180, "height": 860})
        page.goto(address)
        page.wait_for_selector("article .tile img", timeout=120_000)
        page.wait_for_timeout(3000)  # the other models load meanwhile
        own = [one for one in psutil.Process(os.getpid()).children(recursive=True) if "chrom" in one.name()]
        for _ in range(3):
            page.evaluate(_CLICK, COUNT)
        found = [_click(page, server, own) for _ in range(clicks)]
        chromium.close()
    return found


def _click(page: Page, server: psutil.Process, browser: Sequence[psutil.Process]) -> Click:
    groups = [[server], server.children(recursive=True), browser]
    before = [_milliseconds(group) for group in groups]
    wall, answered = page.evaluate(_CLICK, COUNT)
    return Click(wall, answered, *(_milliseconds(g) - b for g, b in zip(groups, before, strict=True)))


def table(clicks: Sequence[Click]) -> str:
    """As Markdown."""
    rows = []
    for name, what in zip(Click._fields, ("click to pictures", "click to answer", "processors: server",
                                          "processors: worker", "processors: browser"), strict=True):  # fmt: skip
        values = [getattr(one, name) for one in clicks]
        rows.append(f"| {what} | {statistics.median(values):.0f} | {min(values):.0f} | {max(values):.0f} |")
    wall = statistics.median(one.wall for one in clicks)
    return "\n".join(
        [
            "# From a click to 16 icons", "",
            f"By `python -m benchmarks.studio --clicks {len(clicks)}`: {machine.about()}; load "
            f"{os.getloadavg()[0]:.1f} at the end. Milliseconds. Aim: {AIM:.0f} on two quiet cores; "
            f"{'met' if wall < AIM else 'missed'} here.", "",
            "| | median | least | most |", "|---|---|---|---|", *rows, "",
        ]
    )  # fmt: skip


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--out", type=Path, help="write the table there, too")
    args = parser.parse_args()
    text = table(measure(args.clicks))
    print(text)
    if args.out is not None:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
