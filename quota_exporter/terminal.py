"""Reports on gateways drawn for a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from quota_exporter.humanize import counted, duration, figure, percent, relative

_BAR_CELLS = 10
_LOW, _VERY_LOW = 0.2, 0.05
_NAMES = ("GATEWAY", "BUCKET")
_TERMINAL_WIDTH = 80
_PAGE_WIDTH = 240


def open_console() -> Console:
    """Return the terminal, or a page wide enough for the longest rows when the output goes elsewhere.

    A terminal that is narrower than usual breaks the lines itself, which is better than cut numbers.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has bars and all letters of labels
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, _TERMINAL_WIDTH if console.is_terminal else _PAGE_WIDTH)
    return console


def print_reports(console: Console, reports: Sequence[Mapping[str, Any]], *, now: float) -> None:
    """Print one row a bucket, with what is left as a bar, then what is wrong with whom; `now` is Unix time."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("GATEWAY", "KEY", "BUCKET", "LEFT", "", "REFILLS IN"):
        table.add_column(
            name, justify="right" if name == "LEFT" else "left", overflow="fold", no_wrap=name not in _NAMES
        )
    for report in reports:
        for row in _rows(report, now):
            table.add_row(*row)
    console.print(table)
    unread = {report["provider_id"] for report in reports if report["reading"] and not report["reading"]["ok"]}
    for report in reports:
        # the trouble of a gateway that lists keys is told once, not for each of them
        if report["reading"] is not None and report["parent"] not in unread:
            _print_troubles(console, report)


def print_oldest_age(console: Console, reports: Sequence[Mapping[str, Any]]) -> None:
    """Print how old the oldest reading is, if there is any."""
    ages = [report["reading"]["age_seconds"] for report in reports if report["reading"] is not None]
    if ages:
        console.print(Text(f"\nOldest reading: {relative(-max(ages))}.", "dim"))


def _print_troubles(console: Console, report: Mapping[str, Any]) -> None:
    provider_id, reading = report["provider_id"], report["reading"]
    if not reading["ok"]:
        headline = f"\n{provider_id} cannot be read: {reading['meaning']} ({reading['reason']})"
        console.print(Text(headline, "red"))
        console.print(Text(f"  {reading['detail']}\n  {reading['action']}"))
        for check in report["checked"] if reading["reason"] == "no_api_key" else ():
            console.print(Text(f"  checked {check['where']}: {check['outcome']}"))
    elif reading["dropped"]:
        values = counted(sum(dropped["count"] for dropped in reading["dropped"]), "value")
        console.print(Text(f"\n{provider_id}: {values} of the reply not used", "yellow"))
        for dropped in reading["dropped"]:
            times = "" if dropped["count"] == 1 else f", {counted(dropped['count'], 'value')}"
            console.print(Text(f"  {dropped['where']}: {dropped['problem']}{times}"))


def _rows(report: Mapping[str, Any], now: float) -> Iterator[Sequence[Text]]:
    names = [Text(report["provider_id"]), Text(report["key_source"])]
    reading, quota = report["reading"], report["quota"]
    if quota is None:
        words = Text("not polled yet", "dim") if reading is None else Text(reading["reason"], "red")
        yield [*names, Text("-"), Text("-"), words, Text()]
        return
    if not quota["buckets"]:
        keys = quota["children"]
        told = "no buckets" if keys is None else f"lists {counted(keys, 'key')}"
        yield [*names, Text("-"), Text("-"), Text(told, "dim"), Text()]
    for bucket in quota["buckets"]:
        kind, name = bucket["kind"], bucket["name"]
        yield [
            *names,
            Text(kind if name == "default" else f"{kind} {name}"),
            *_left(bucket),
            Text(_refill(bucket["resets_at"], now)),
        ]


def _left(bucket: Mapping[str, Any]) -> tuple[Text, Text]:
    used, ratio = bucket["used"], bucket["remaining_ratio"]
    usage = Text("" if used is None else f"{_amount(used, bucket)} used")
    if bucket["limited"] is False:
        return Text("unlimited"), usage
    if bucket["remaining"] is None:
        return Text("not said"), usage
    words = Text(_amount(bucket["remaining"], bucket))
    if ratio is None:
        return words, Text()
    filled = round(min(max(ratio, 0.0), 1.0) * _BAR_CELLS)
    colour = "red" if ratio < _VERY_LOW else "yellow" if ratio < _LOW else "green"
    return words, Text("█" * filled + "░" * (_BAR_CELLS - filled) + f" {percent(ratio)}", colour)


def _amount(value: float, bucket: Mapping[str, Any]) -> str:
    currency = bucket["currency"]
    # of anything but money the column BUCKET names the unit
    return figure(value, bucket["kind"]) if currency is None else f"{figure(value, currency)} {currency}"


def _refill(resets_at: float | None, now: float) -> str:
    if resets_at is None:
        return ""
    return duration(resets_at - now) if resets_at >= now else "overdue"
