"""The table of the fault suite; its cases have tests of their own, beside what they test."""

import sys

from benchmarks import faults
from benchmarks.fault_cases.common import Count


def test_rows_are_added_to_the_table_that_is_there(tmp_path, monkeypatch):
    def broken():
        raise RuntimeError("the suite's own mistake")

    cases = {"2": ("bits", lambda: Count(100, 100, "caught")), "10": ("files", broken), "8b": ("two", lambda: None)}
    monkeypatch.setattr(faults, "FAULTS", cases)
    out = tmp_path / "faults.md"
    for number in ("10", "2"):
        monkeypatch.setattr(sys, "argv", ["faults", number, "--out", str(out)])
        faults.main()
    rows = [line for line in out.read_text().splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert [row.split(" | ")[:4] for row in rows] == [
        ["| 2", "bits", "100", "100"],
        ["| 10", "files", "1", "0"],
    ]
