"""The keys that a management key lists, each mapped by itself."""

from __future__ import annotations

import math
from collections.abc import Generator
from itertools import islice
from typing import Any

from quota_exporter.buckets import read_buckets
from quota_exporter.expression import Nothing
from quota_exporter.mapping_language import ChildrenRule, ReplyMapping
from quota_exporter.numbers import parse_number
from quota_exporter.quota import Child, Failure, Problem, Quota, Reason
from quota_exporter.reader import Notes, Reader
from quota_exporter.reply_text import clean_text

KEY_REASONS = {
    Reason.KEY_EXPIRED: "the gateway says that the key has expired",
    Reason.KEY_BLOCKED: "the gateway says that the key is blocked",
    Reason.PAYMENT_REQUIRED: "the gateway asks for payment",
}
# What the expressions of one key may take on top, five times what those of a preset do.
STEPS_OF_KEY = 500

# So many take some milliseconds.
_ITEMS_AT_ONCE = 500
_KEYS_AT_ONCE = 20


def key_reason(value: Any) -> Reason | None:
    """Return the reason that a gateway names, None for anything else."""
    return next((reason for reason in KEY_REASONS if reason == value), None)


def map_keys(
    mapping: ReplyMapping,
    rule: ChildrenRule,
    reader: Reader,
    items: list[Any],
    *,
    secrets: tuple[str, ...],
    max_buckets: int,
    most: int,
) -> Generator[None, None, tuple[Child, ...]]:
    """Return the first `most` keys, sorted by alias, and yield after every few milliseconds of work.

    `reader` is that of the whole document. What is left out of the list is noted there, what a key lacks with the key.
    """
    named = yield from _named(rule, reader, items, secrets, most)
    notes = reader.notes.apart()  # one key shows what the expressions do with all
    children = []
    for number, (alias, item) in enumerate(named.items(), start=1):
        inside = reader.at(item, notes)
        children.append(Child(alias, _child(mapping, rule, inside, secrets=secrets, max_buckets=max_buckets)))
        notes = Notes()
        if not number % _KEYS_AT_ONCE:
            yield
    return tuple(children)


def _named(
    rule: ChildrenRule, reader: Reader, items: list[Any], secrets: tuple[str, ...], most: int
) -> Generator[None, None, dict[str, Any]]:
    """Give the first `most` items by alias, in the order of the aliases; what is left out is noted."""
    found: list[tuple[str, tuple[bool, float, str], Any]] = []
    nameless = unfit = 0
    for number, item in enumerate(items, start=1):
        inside = reader.at(item)
        if rule.where is None or inside.holds(rule.where, "children.where"):
            name = inside.raw(rule.alias, "children.alias")
            alias = clean_text(name, secrets)
            if alias is not None:
                found.append((alias, _rank(inside.value(rule.first_by, "children.first_by")), item))
            elif name in (None, "", Nothing.MISSING):
                nameless += 1
            else:
                unfit += 1
        if not number % _ITEMS_AT_ONCE:
            yield
    named: dict[str, Any] = {}
    for alias, _, item in sorted(found, key=lambda one: one[:2]):
        named.setdefault(alias, item)
    reader.notes.drop(Problem.UNRESOLVED, "children.alias, of keys without one", count=nameless)
    reader.notes.drop(Problem.UNRESOLVED, "children.alias, of keys whose alias cannot be shown", count=unfit)
    reader.notes.drop(Problem.DUPLICATE, "children.alias", rule.alias, len(found) - len(named))
    reader.notes.drop(Problem.TOO_MANY, "children.each", rule.each, max(0, len(named) - most))
    return dict(islice(named.items(), most))


def _rank(value: Any) -> tuple[bool, float, str]:
    """Order numbers, then text such as times, then what is neither."""
    number = parse_number(value)
    if number is not None:
        return False, number, ""
    return not isinstance(value, str), math.inf, value if isinstance(value, str) else ""


def _child(
    mapping: ReplyMapping, rule: ChildrenRule, reader: Reader, *, secrets: tuple[str, ...], max_buckets: int
) -> Quota | Failure:
    reason = key_reason(reader.value(rule.reason, "children.reason"))
    if reason is not None:
        return Failure(reason, KEY_REASONS[reason], dropped=reader.notes.dropped)
    place = "children.buckets"
    buckets = read_buckets(
        rule.buckets, reader, units=mapping.units, secrets=secrets, max_buckets=max_buckets, place=place
    )
    if not buckets:
        detail = f"its entry in the list of keys does not fit the mapping {mapping.name}"
        return Failure(Reason.UNEXPECTED_SHAPE, detail, dropped=reader.notes.dropped)
    expires_at = reader.time(rule.expires_at, "children.expires_at", rule.time_format)
    if expires_at is not None and expires_at <= reader.now:
        return Failure(Reason.KEY_EXPIRED, KEY_REASONS[Reason.KEY_EXPIRED], dropped=reader.notes.dropped)
    return Quota(buckets, None, expires_at, reader.notes.dropped)
