"""Reports on gateways drawn for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from quota_exporter.humanize import amount, duration, percent

_BAR_CELLS = 10
_LOW, _VERY_LOW = 0.2, 0.05


def print_reports(console: Console, reports: Sequence[Mapping[str, Any]], *, now: float) -> None:
    """Print one row a bucket, with what is left as a bar, then what is wrong with whom."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("GATEWAY", "KEY", "BUCKET", "LEFT", "", "REFILLS IN"):
        table.add_column(name, justify="right" if name == "LEFT" else "left", overflow="fold")
    for report in reports:
        for row in _rows(report, now):
            table.add_row(*row)
    console.print(table)
    for report in reports:
        reading = report["reading"]
        if reading is not None and not reading["ok"]:
            headline = f"\n{report['provider_id']} cannot be read: {reading['meaning']} ({reading['reason']})"
            console.print(Text(headline, "red"))
            console.print(Text(f"  {reading['detail']}\n  {reading['action']}"))
            for check in report["checked"] if reading["reason"] == "no_api_key" else ():
                console.print(Text(f"  checked {check['where']}: {check['outcome']}"))


def _rows(report: Mapping[str, Any], now: float) -> Iterator[Sequence[Text]]:
    names = [Text(report["provider_id"]), Text(report["key_source"])]
    reading, quota = report["reading"], report["quota"]
    if quota is None:
        words = Text("not polled yet", "dim") if reading is None else Text(reading["reason"], "red")
        yield [*names, Text("-"), Text("-"), words, Text()]
        return
    for bucket in quota["buckets"]:
        kind, name = bucket["kind"], bucket["name"]
        yield [
            *names,
            Text(kind if name == "default" else f"{kind} {name}"),
            *_left(bucket),
            Text(_refill(bucket["resets_at"], now)),
        ]


def _left(bucket: Mapping[str, Any]) -> tuple[Text, Text]:
    unit, ratio = bucket["currency"] or bucket["kind"], bucket["remaining_ratio"]
    if bucket["limited"] is False:
        return Text("unlimited"), Text("" if bucket["used"] is None else f"{amount(bucket['used'], unit)} used")
    words = Text("not said" if bucket["remaining"] is None else amount(bucket["remaining"], unit))
    if ratio is None:
        return words, Text()
    filled = round(min(max(ratio, 0.0), 1.0) * _BAR_CELLS)
    colour = "red" if ratio < _VERY_LOW else "yellow" if ratio < _LOW else "green"
    return words, Text("█" * filled + "░" * (_BAR_CELLS - filled) + f" {percent(ratio)}", colour)


def _refill(resets_at: float | None, now: float) -> str:
    if resets_at is None:
        return ""
    return duration(resets_at - now) if resets_at >= now else "overdue"
