"""The commands that look once: check, poll and status."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from quota_exporter.exporter import Generation, Sources, load, start
from quota_exporter.exposition import Families, Format, encode
from quota_exporter.humanize import counted
from quota_exporter.metrics import gateway_families
from quota_exporter.report import gateway_reports, read_status
from quota_exporter.unknown import unknown_id
from quota_exporter.urls import origin_of

_STATUS_TIMEOUT_SECONDS = 15
_T = TypeVar("_T")


class UnknownGatewayError(Exception):
    """An id that is not among the gateways; the text says which, and what to do."""


class NoExporterError(Exception):
    """No exporter answers where `status` looks; the text says where, and what to do."""


async def poll(
    sources: Sources, provider_ids: Sequence[str], show: Callable[[Generation, Sequence[str]], _T]
) -> tuple[bool, _T]:
    """Poll these gateways (none named: all) once: whether all could be read, and what `show` makes of it.

    `show` gets the ids of the gateways, and of the keys that they list. Raises ConfigError when the config cannot be
    used, UnknownGatewayError for an unknown id.
    """
    generation = start(load(sources))
    wanted = list(dict.fromkeys(provider_ids)) or list(generation.plans)
    for provider_id in wanted:
        if not generation.fleet.answers_for(provider_id):
            raise UnknownGatewayError(unknown_id(generation, provider_id, typed=True))
    try:
        statuses = await generation.fleet.statuses(wanted, deadline=None)
        shown = [status.reading.provider_id for status in statuses]
        for provider_id in wanted:
            if provider_id not in shown:
                raise UnknownGatewayError(unknown_id(generation, provider_id, typed=True))
        return all(status.reading.failure is None for status in statuses), show(generation, shown)
    finally:
        await generation.fleet.aclose()  # after Ctrl-C polls are still in flight
        await generation.close()


def reports_of(generation: Generation, provider_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Reports on these gateways and keys as they are now."""
    return gateway_reports(generation, provider_ids, now=time.time())


def openmetrics_of(generation: Generation, provider_ids: Sequence[str]) -> str:
    """The gauges of these gateways after their last poll, as OpenMetrics text."""
    statuses = [(generation.labels_of(name), generation.fleet.last(name)) for name in provider_ids]
    known = [(labels, status) for labels, status in statuses if status is not None]
    return encode([Families(gateway_families(known, counters=False))], Format.OPENMETRICS).decode()


def check(sources: Sources, console: Console) -> bool:
    """Print remarks on the configuration, then its gateways with their API keys; whether all is well.

    ConfigError holds what forbids the use of this config.
    """
    loaded = load(sources)
    for warning in loaded.roster.warnings:
        console.print(Text(str(warning), "yellow"))
    generation = start(loaded)
    well = not loaded.roster.warnings
    for report in reports_of(generation, list(generation.plans)):
        source, url = report["key_source"], report["url"]
        ready = url is not None and source != "none"
        well = well and ready
        key = "no API key" if source == "none" else f"key from {source}"
        words = f"{report['provider_id']}: {key}, mapping {report['mapping']}, {url or 'no base URL'}"
        console.print(Text(words, "" if ready else "red"))
        for address in dict.fromkeys(address for address in report["urls"] if address != url):
            console.print(Text(f"  also asks {address}", "dim"))
        if elsewhere := _elsewhere(report):
            console.print(
                Text(f"  the key goes to {' and '.join(elsewhere)}, another host than that of base_url", "yellow")
            )
        for look in report["checked"]:
            console.print(Text(f"  {look['where']}: {look['outcome']}", "dim"))
    gateways = counted(len(generation.plans), "gateway")
    console.print(Text(f"{gateways}, config {'valid' if well else 'valid, with remarks above'}."))
    return well


def _elsewhere(report: Mapping[str, Any]) -> list[str]:
    base_url = report["base_url"]
    own = None if base_url is None else origin_of(base_url)
    return [origin for origin in report["origins"] if origin != own]


def fetch_status(url: str) -> tuple[list[dict[str, Any]], float]:
    """What the exporter at `url` reports on its gateways, and its Unix time; NoExporterError when none answers."""
    address = f"{url if '://' in url else f'http://{url}'}".rstrip("/") + "/quota_status?format=json"
    # no proxy of the environment: the exporter is nearby
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=_STATUS_TIMEOUT_SECONDS) as response:
            return read_status(response.read())
    except urllib.error.HTTPError as error:
        answer = f"{url} answers with HTTP {error.code}"
        error.close()
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        answer = f"no quota-exporter answers at {url}"
    raise NoExporterError(f"{answer}; name the exporter's address with --url, or use `quota-exporter poll`")
