"""Replies of gateways mapped into quotas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from quota_exporter.buckets import read_buckets
from quota_exporter.expression import Evaluation, Expression, Nothing
from quota_exporter.interpreter import STEPS
from quota_exporter.mapping_language import ChildrenRule, ReplyMapping
from quota_exporter.numbers import parse_number
from quota_exporter.quota import Child, Dropped, Failure, Problem, Quota, Reason
from quota_exporter.reader import Notes, Reader
from quota_exporter.reply_text import clean_message, clean_text
from quota_exporter.request_language import Request

MAX_FRESH_SECONDS = 300.0

_REASONS = {
    Reason.KEY_EXPIRED: "the gateway says that the key has expired",
    Reason.KEY_BLOCKED: "the gateway says that the key is blocked",
    Reason.PAYMENT_REQUIRED: "the gateway asks for payment",
}
_MAX_PATHS_NAMED = 6
_STEPS_FOR_CHILDREN = 100 * STEPS
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=\"?([0-9]{1,9})\"?(?:$|[,;\s])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """One request's reply: its JSON, or of a request with pages the list of all items.

    `headers` are looked up in lower case.
    """

    body: Any
    http_status: int
    headers: Mapping[str, str]


def map_reply(
    mapping: ReplyMapping, body: Any, *, http_status: int, secrets: tuple[str, ...], now: float, max_buckets: int
) -> Quota | Failure:
    """Check and map the reply to a mapping's only request; see `check_reply` and `map_replies`."""
    request, reply = mapping.steps[0], Reply(body, http_status, {})
    failure = check_reply(mapping, request, reply, secrets=secrets)
    if failure is not None:
        return failure
    return map_replies(mapping, {request.id: reply}, secrets=secrets, now=now, max_buckets=max_buckets)


def check_reply(mapping: ReplyMapping, request: Request, reply: Reply, *, secrets: tuple[str, ...]) -> Failure | None:
    """Return why one reply cannot be used, None when it can be; never raises.

    `secrets` are what the request carried, which no text taken from the reply may show.
    """
    if not isinstance(reply.body, dict | list):
        return Failure(Reason.UNEXPECTED_SHAPE, f"the reply (HTTP {reply.http_status}) is JSON, but not an object")
    success = mapping.success if request.success is None else request.success
    if success is None:
        return None
    notes = Notes()
    if _reader(reply.body, {request.id: reply}, 0.0, notes).holds(success, "success"):
        return None
    unfit = _unfit(mapping, reply, f"`{success.text}` does not hold")
    return replace(_error_in(mapping, reply, secrets) or unfit, dropped=notes.dropped)


def map_replies(
    mapping: ReplyMapping,
    replies: Mapping[str, Reply],
    *,
    secrets: tuple[str, ...],
    now: float,
    max_buckets: int,
    max_children: int | None = None,
    dropped: tuple[Dropped, ...] = (),
    notes: Notes | None = None,
) -> Quota | Failure:
    """Return the quota that the replies (by request id) hold, or why they hold none; never raises.

    `now` is the Unix time that calendar intervals refer to. `dropped` is what was lost before. `notes` is given to
    learn what each expression gave.
    """
    notes = Notes() if notes is None else notes
    for earlier in dropped:
        notes.drop(earlier.problem, earlier.where, count=earlier.count)
    first = replies[mapping.steps[0].id]
    document = first.body if len(mapping.steps) == 1 else {name: reply.body for name, reply in replies.items()}
    # a list of keys is mapped beside the loop, and each of them takes some steps
    reader = _reader(document, replies, now, notes, steps=STEPS if mapping.children is None else _STEPS_FOR_CHILDREN)
    buckets = read_buckets(mapping.buckets, reader, units=mapping.units, secrets=secrets, max_buckets=max_buckets)
    children = _children(mapping, reader, secrets=secrets, max_buckets=max_buckets, max_children=max_children)
    if not buckets and children is None:
        said = (_error_in(mapping, reply, secrets) for reply in replies.values())
        failure = next((failure for failure in said if failure is not None), None)
        unfit = _unfit(mapping, first, f"none of {_paths(mapping)} gives a value")
        return replace(failure or unfit, dropped=notes.dropped)
    name = clean_text(reader.value(mapping.key_name, "key_name"), secrets)
    expires_at = reader.time(mapping.expires_at, "expires_at", mapping.time_format)
    fresh_for = _max_age(first) if mapping.cache_control else 0.0
    return Quota(buckets, name, expires_at, notes.dropped, fresh_for, children)


def classify_error(mapping: ReplyMapping, body: Any, *, secrets: tuple[str, ...]) -> tuple[Reason | None, str | None]:
    """Return what an error reply's JSON says: the reason, if it gives one, and its message if safe to show."""
    reason, _, message = _said(mapping, body, secrets)
    return reason, message


def request_values(request: Request, replies: Mapping[str, Reply], *, now: float) -> dict[str, str] | None:
    """Return what `{name}` stands for in a request that follows these replies.

    None when it is not to be made: its condition does not hold, or a value is missing or neither text nor number.
    """
    reader = _reader({name: reply.body for name, reply in replies.items()}, replies, now, Notes())
    if request.where is not None and not reader.holds(request.where, "where"):
        return None
    values: dict[str, str] = {}
    for name, expression in request.values.items():
        value = reader.value(expression, name)
        if not isinstance(value, str | int | float) or isinstance(value, bool) or value == "":
            return None
        values[name] = str(value)
    return values


def _reader(document: Any, replies: Mapping[str, Reply], now: float, notes: Notes, *, steps: int = STEPS) -> Reader:
    headers = {name: reply.headers for name, reply in replies.items()}
    return Reader(Evaluation(document, now, headers, steps=steps), now, notes)


def _error_in(mapping: ReplyMapping, reply: Reply, secrets: tuple[str, ...]) -> Failure | None:
    reason, has_error, message = _said(mapping, reply.body, secrets)
    ending = f": {message}" if message else ""
    if reason is not None:
        return Failure(reason, f"{_REASONS[reason]}{ending}")
    if has_error:
        return Failure(Reason.ERROR_REPLY, f"the gateway answered with an error{ending}")
    return None


def _said(mapping: ReplyMapping, body: Any, secrets: tuple[str, ...]) -> tuple[Reason | None, bool, str | None]:
    """Return the reason that a reply gives, whether it has an error at all, and its message if that may be shown."""
    # An error has nothing to do with calendar intervals, so any time will do.
    evaluation = Evaluation(body, 0.0, {})
    reason = None if mapping.reason is None else _reason(evaluation.value(mapping.reason))
    error = None if mapping.error is None else evaluation.value(mapping.error)
    if error is None or isinstance(error, Nothing):
        return reason, False, None
    return reason, True, clean_message(error, secrets)


def _reason(value: Any) -> Reason | None:
    return next((reason for reason in _REASONS if reason == value), None)


def _unfit(mapping: ReplyMapping, reply: Reply, why: str) -> Failure:
    detail = f"the reply (HTTP {reply.http_status}) does not fit the mapping {mapping.name}: {why}"
    return Failure(Reason.UNEXPECTED_SHAPE, detail)


def _paths(mapping: ReplyMapping) -> str:
    if mapping.children is not None:
        return mapping.children.each.text
    paths: dict[str, None] = {}
    for rule in mapping.buckets:
        inside = "" if rule.each is None else f"{rule.each.text}: "
        amounts: tuple[Expression | None, ...] = (rule.limit, rule.used, rule.remaining)
        paths |= {f"{inside}{amount.text}": None for amount in amounts if amount is not None and amount.path}
    names = list(paths)
    if len(names) > _MAX_PATHS_NAMED:
        names[_MAX_PATHS_NAMED:] = ["..."]
    return ", ".join(names) or "its expressions"


def _max_age(reply: Reply) -> float:
    """Seconds for which the gateway wants a reply to be reused, at most five minutes."""
    match = _MAX_AGE.search(reply.headers.get("cache-control", ""))
    return 0.0 if match is None else min(parse_number(match[1]) or 0.0, MAX_FRESH_SECONDS)


def _children(
    mapping: ReplyMapping, reader: Reader, *, secrets: tuple[str, ...], max_buckets: int, max_children: int | None
) -> tuple[Child, ...] | None:
    rule = mapping.children
    if rule is None:
        return None
    items = reader.items(rule.each, "children.each")
    if items is None:
        return None
    named: dict[str, Any] = {}
    unnamed = duplicates = 0
    for alias, item in sorted(_aliases(rule, reader, items, secrets), key=lambda pair: pair[0] or ""):
        if alias is None:
            unnamed += 1
        elif alias in named:
            duplicates += 1
        else:
            named[alias] = item
    most = rule.max_children if max_children is None else max_children
    reader.notes.drop(Problem.UNRESOLVED, "children.alias", rule.alias, unnamed)
    reader.notes.drop(Problem.DUPLICATE, "children.alias", rule.alias, duplicates)
    reader.notes.drop(Problem.TOO_MANY, "children.each", rule.each, max(0, len(named) - most))
    notes = Notes(evaluated=reader.notes.evaluated)  # one key shows what the expressions do with all
    children = []
    for alias in list(named)[:most]:
        outcome = _child(mapping, rule, reader.at(named[alias], notes), secrets, max_buckets)
        children.append(Child(alias, outcome))
        notes = Notes()
    return tuple(children)


def _aliases(
    rule: ChildrenRule, reader: Reader, items: list[Any], secrets: tuple[str, ...]
) -> Iterator[tuple[str | None, Any]]:
    for item in items:
        inside = reader.at(item)
        if rule.where is None or inside.holds(rule.where, "children.where"):
            yield clean_text(inside.raw(rule.alias, "children.alias"), secrets), item


def _child(
    mapping: ReplyMapping, rule: ChildrenRule, reader: Reader, secrets: tuple[str, ...], max_buckets: int
) -> Quota | Failure:
    reason = _reason(reader.value(rule.reason, "children.reason"))
    if reason is not None:
        return Failure(reason, _REASONS[reason], dropped=reader.notes.dropped)
    place = "children.buckets"
    buckets = read_buckets(
        rule.buckets, reader, units=mapping.units, secrets=secrets, max_buckets=max_buckets, place=place
    )
    if not buckets:
        detail = f"its entry in the list of keys does not fit the mapping {mapping.name}"
        return Failure(Reason.UNEXPECTED_SHAPE, detail, dropped=reader.notes.dropped)
    expires_at = reader.time(rule.expires_at, "children.expires_at", rule.time_format)
    return Quota(buckets, None, expires_at, reader.notes.dropped)
