"""`python -m tests.bench` prints what scrapes of local TLS gateways cost."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version

from quota_exporter.settings import Origins
from tests.bench.gateways import DELAY_SECONDS
from tests.bench.measure import Figures, measure
from tests.bench.programs import BenchError, Fleet

_COLUMNS = (
    ("fleet", 24),
    ("cold s", 7),
    ("warm s", 7),
    ("min", 7),
    ("max", 7),
    ("/ own", 6),
    ("CPU ms/poll", 12),
    ("RSS MB", 7),
    ("healthy p99 ms", 15),
    ("conns", 6),
    ("gw CPU ms/poll", 15),
)
_LEGEND = f"""\
cold         the first scrape: all connections are new
warm         median of the scrapes after it, over kept-alive connections
/ own        warm over what the gateways themselves take: {DELAY_SECONDS * 1000:.0f} ms, and that again
             for each further {Origins().max_concurrency} keys of one origin
CPU, RSS     of the exporter, in warm scrapes; "gw" is the one process that plays all gateways, on the same cores
healthy p99  /-/healthy, asked every 10 ms during warm scrapes"""


def main() -> None:
    """Measure and print; exit status 1 when the figures would be worthless."""
    options = _options()
    sys.stdout.write(f"{_machine()}\n{_client()}\n\n{_line([name for name, _ in _COLUMNS])}\n")
    fleets = [Fleet(size, size) for size in options.sizes]
    if options.one_origin:
        fleets.append(Fleet(options.one_origin, 1))
    try:
        results = []
        for fleet in fleets:
            sys.stdout.flush()
            results.append(measure(fleet, options.rounds))
            sys.stdout.write(f"{_line(_cells(results[-1]))}\n")
    except BenchError as error:
        sys.exit(str(error))
    sys.stdout.write(f"\n{_growth(results[: len(options.sizes)])}{_LEGEND}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--sizes",
        type=_sizes,
        default=(10, 100, 1000),
        metavar="N,N",
        help="numbers of gateways, each on an origin of its own (default: 10,100,1000)",
    )
    parser.add_argument("--rounds", type=_positive, default=7, metavar="N", help="warm scrapes (default: 7)")
    parser.add_argument(
        "--one-origin", type=int, default=1000, metavar="N", help="keys on one origin, 0 for none (default: 1000)"
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(map(_positive, text.split(",")))


def _machine() -> str:
    system = f"{platform.system()} {platform.machine()}"
    return f"machine: {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def _client() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("httpx", "httpcore", "sniffio"))
    return f"client:  httpx.AsyncHTTPTransport, one for each connection of an origin ({packages})"


def _cells(figures: Figures) -> list[str]:
    return [
        figures.fleet.name,
        f"{figures.cold:.3f}",
        f"{figures.warm_median:.3f}",
        f"{min(figures.warm):.3f}",
        f"{max(figures.warm):.3f}",
        f"{figures.warm_median / figures.own_time:.2f}",
        f"{figures.exporter_cpu * 1000:.3f}",
        f"{figures.resident_megabytes:.0f}",
        f"{figures.healthy_p99 * 1000:.1f}",
        str(figures.connections),
        f"{figures.gateways_cpu * 1000:.3f}",
    ]


def _line(cells: Sequence[str]) -> str:
    first, *rest = (
        cell.ljust(width) if number == 0 else cell.rjust(width)
        for number, (cell, (_, width)) in enumerate(zip(cells, _COLUMNS, strict=True))
    )
    return first + "".join(rest)


def _growth(results: Sequence[Figures]) -> str:
    ordered = sorted(results, key=lambda figures: figures.fleet.keys)
    if len(ordered) < 2:
        return ""
    smaller, largest = ordered[-2:]
    ratio = largest.exporter_cpu / smaller.exporter_cpu
    return f"CPU per poll at {largest.fleet.keys} gateways over {smaller.fleet.keys}: {ratio:.2f}\n\n"


if __name__ == "__main__":
    main()
