"""A reading taken apart, drawn for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from quota_exporter.children import child_id
from quota_exporter.explain import Explanation
from quota_exporter.exposition import Families, Format, encode
from quota_exporter.expression import Nothing
from quota_exporter.humanize import counted, figure, relative
from quota_exporter.metrics import GatewayLabels, gateway_families
from quota_exporter.quota import Bucket, Child, Failure, GatewayStatus, KeySource, Quota, Reading
from quota_exporter.reader import Evaluated
from quota_exporter.shape import draw, in_short

_REPEATS_SHOWN = 3
_CHILDREN_SHOWN = 3


def print_explanation(console: Console, explanation: Explanation, *, values: bool) -> None:
    """Print all of it; values of the reply only if asked for, and never a key."""
    reading, secrets = explanation.reading, explanation.secrets
    source = "" if reading.key_source is KeySource.NONE else f", key from {reading.key_source}"
    console.print(Text(f"{reading.provider_id}: mapping {explanation.labels.mapping}{source}", "bold"))
    for number, turn in enumerate(explanation.turns, start=1):
        if turn.request:
            sent = () if turn.sent is None else draw(turn.sent, values=values, secrets=secrets)
            _section(console, f"Request {number}", [*turn.request, *sent])
        reply = turn.reply
        _section(
            console, turn.title, [reply] if isinstance(reply, str) else draw(reply, values=values, secrets=secrets)
        )
        if turn.further is not None:
            console.print(Text(f"  {turn.further}", "dim"))
    if explanation.notes.evaluated:
        console.print(Text("\nExpressions", "bold"))
        console.print(_expressions(explanation.notes.evaluated, values=values, secrets=secrets))
    outcome = reading.outcome
    if isinstance(outcome, Failure):
        _section(console, "No quota", [f"{outcome.reason}: {outcome.detail}"])
    else:
        _print_quota(console, outcome, reading.at)
    dropped = [f"{dropped.where}: {dropped.problem} ({counted(dropped.count, 'value')})" for dropped in outcome.dropped]
    if dropped:
        _section(console, "Dropped", dropped)
    _section(console, "Series", _series(explanation.labels, reading))


def _section(console: Console, title: str, lines: Iterable[str]) -> None:
    console.print(Text(f"\n{title}", "bold"))
    for line in lines:
        console.print(Text(f"  {line}"))


def _expressions(evaluated: Sequence[Evaluated], *, values: bool, secrets: tuple[str, ...]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("  FIELD", "EXPRESSION", "GAVE"):
        table.add_column(name, overflow="fold")
    total = Counter(one.field for one in evaluated)
    shown: Counter[str] = Counter()
    for one in evaluated:
        shown[one.field] += 1
        if shown[one.field] <= _REPEATS_SHOWN:
            table.add_row(Text(f"  {one.field}"), Text(one.text), _gave(one.value, values=values, secrets=secrets))
        elif shown[one.field] == _REPEATS_SHOWN + 1:
            rest = f"... {counted(total[one.field] - _REPEATS_SHOWN, 'more time')}"
            table.add_row(Text(f"  {one.field}"), Text(rest, "dim"), Text())
    return table


def _gave(value: Any, *, values: bool, secrets: tuple[str, ...]) -> Text:
    if value is Nothing.MISSING:
        return Text("missing", "yellow")
    if value is Nothing.FAILED:
        return Text("an error: a value has the wrong type", "red")
    return Text(in_short(value, values=values, secrets=secrets))


def _print_quota(console: Console, quota: Quota, now: float) -> None:
    if quota.buckets:
        _section(console, "Buckets", (_bucket(bucket, now) for bucket in quota.buckets))
    if quota.key_name is not None:
        _section(console, "Name of the key", [quota.key_name])
    if quota.children is not None:
        lines = [line for child in quota.children[:_CHILDREN_SHOWN] for line in _child(child, now)]
        if len(quota.children) > _CHILDREN_SHOWN:
            lines.append(f"... {len(quota.children) - _CHILDREN_SHOWN:,} more")
        _section(console, f"Keys: {len(quota.children):,}", lines)


def _child(child: Child, now: float) -> list[str]:
    outcome = child.outcome
    if isinstance(outcome, Failure):
        return [f"{child.alias}: {outcome.reason}: {outcome.detail}"]
    return [f"{child.alias}: {_bucket(bucket, now)}" for bucket in outcome.buckets]


def _bucket(bucket: Bucket, now: float) -> str:
    unit = bucket.currency or bucket.kind
    amounts = [
        f"{name} {figure(value, unit)}"
        for name, value in (("limit", bucket.limit), ("used", bucket.used), ("remaining", bucket.remaining))
        if value is not None
    ]
    if bucket.limited is False:
        amounts.insert(0, "unlimited")
    if bucket.resets_at is not None:
        amounts.append(f"refills {relative(bucket.resets_at - now)}")
    named = f"{bucket.kind} {bucket.name}" if bucket.currency is None else f"{bucket.kind} {bucket.name} in {unit}"
    return f"{named}: {', '.join(amounts)}"


def _series(labels: GatewayLabels, reading: Reading) -> list[str]:
    shown = [(labels, reading)]
    if reading.quota is not None and reading.quota.children:
        child = reading.quota.children[0]
        name = child_id(reading.provider_id, child.alias)
        child_labels = replace(labels, provider_id=name, label=child.alias)
        shown.append((child_labels, replace(reading, provider_id=name, outcome=child.outcome)))
    gateways = [(one, GatewayStatus(last, last.quota, None if last.quota is None else last.at)) for one, last in shown]
    text = encode([Families(gateway_families(gateways, counters=False))], Format.OPENMETRICS).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]
