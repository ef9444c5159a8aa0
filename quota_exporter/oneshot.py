"""The commands that look once: check, poll and status."""

from __future__ import annotations

import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from quota_exporter.exporter import Generation, Sources, load, start_generation
from quota_exporter.exposition import Families, Format, encode
from quota_exporter.metrics import gateway_families
from quota_exporter.report import gateway_report
from quota_exporter.terminal import print_reports

_STATUS_TIMEOUT_SECONDS = 15
_T = TypeVar("_T")


async def poll(
    sources: Sources, provider_ids: Sequence[str], show: Callable[[Generation, Sequence[str]], _T]
) -> tuple[bool, _T]:
    """Poll these gateways (none named: all) once: whether all could be read, and what `show` makes of it.

    Raises ConfigError when the config cannot be used, KeyError for an unknown id.
    """
    generation = start_generation(sources)
    wanted = list(dict.fromkeys(provider_ids)) or list(generation.plans)
    try:
        statuses = await generation.fleet.statuses(wanted, deadline=None)
        return all(status.reading.failure is None for status in statuses), show(generation, wanted)
    finally:
        await generation.close()


def reports_of(generation: Generation, provider_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Reports on these gateways as they are now."""
    now = time.time()
    return [gateway_report(generation, provider_id, now=now) for provider_id in provider_ids]


def openmetrics_of(generation: Generation, provider_ids: Sequence[str]) -> str:
    """The gauges of these gateways after their last poll, as OpenMetrics text."""
    statuses = [(generation.labels[name], generation.fleet.last(name)) for name in provider_ids]
    known = [(labels, status) for labels, status in statuses if status is not None]
    return encode([Families(gateway_families(known, counters=False))], Format.OPENMETRICS).decode()


def check(sources: Sources, console: Console) -> bool:
    """Print everything that is wrong with the configuration, then the gateways; whether all is well."""
    loaded = load(sources)
    roster = loaded.roster
    for problem in (*roster.errors, *roster.warnings):
        console.print(Text(str(problem), "red" if problem in roster.errors else "yellow"))
    well = not roster.errors and not roster.warnings
    if roster.errors:
        console.print(f"{len(roster.errors)} error(s): this config is refused.")
        return False
    for report in reports_of(start_generation(sources), [plan.settings.provider_id for plan in roster.plans]):
        ready = report["url"] is not None and report["key_source"] != "none"
        well = well and ready
        console.print(Text(f"{report['provider_id']}: ", "bold"), end="")
        console.print(
            Text(f"key from {report['key_source']}, mapping {report['mapping']}, {report['url'] or 'no base URL'}"),
            style="" if ready else "red",
        )
        for look in report["checked"]:
            console.print(Text(f"  {look['where']}: {look['outcome']}", "dim"))
    console.print(f"{len(roster.plans)} gateway(s), config {'valid' if well else 'valid, with remarks above'}.")
    return well


class NoExporterError(Exception):
    """No exporter answers where `status` looks; the text says where and what to do."""


def print_status(url: str, console: Console, *, as_json: bool) -> None:
    """Print what a running exporter knows; NoExporterError when none answers at `url`."""
    address = f"{url.rstrip('/')}/quota_status?format=json"
    # no proxy of the environment: the exporter is nearby
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=_STATUS_TIMEOUT_SECONDS) as response:
            status = json.load(response)
        reports, now = status["gateways"], float(status["time"])
    except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError):
        raise NoExporterError(
            f"no quota-exporter answers at {url}; name its address with --url, or use `quota-exporter poll`"
        ) from None
    if as_json:
        console.print_json(data=reports)
    else:
        print_reports(console, reports, now=now)
        age = max((report["reading"]["age_seconds"] for report in reports if report["reading"]), default=math.nan)
        console.print(Text(f"\nOldest reading: {age:.0f} s ago.", "dim"))
