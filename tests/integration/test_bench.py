"""The benchmark, run small: that it measures, never how fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bench_measures_each_fleet() -> None:
    """A small run names machine and client and prints one row of plausible figures for each fleet."""
    options = ["--sizes", "3", "--rounds", "2", "--one-origin", "21"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("machine: ")
    assert "httpx" in next(line for line in lines if line.startswith("client: "))
    assert " ".join(lines[3].split()) == (
        "fleet cold s warm s min max / own CPU ms/poll RSS MB healthy p99 ms conns gw CPU ms/poll"
    )
    rows = {line[:24].strip(): [float(cell) for cell in line[24:].split()] for line in lines[4:6]}
    assert set(rows) == {"3 keys, 3 origins", "21 keys, 1 origin"}
    for name, at_least, connections in (("3 keys, 3 origins", 0.05, 3), ("21 keys, 1 origin", 0.1, 20)):
        cold, warm, fastest, slowest, over_own, _, resident, healthy, connected, _ = rows[name]
        assert cold >= at_least
        assert at_least <= fastest <= warm <= slowest
        assert over_own >= 1
        assert 10 < resident < 1000
        assert healthy > 0
        assert connected == connections
