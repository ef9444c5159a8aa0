"""Replies of gateways mapped into quotas."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from quota_exporter.buckets import read_buckets
from quota_exporter.expression import Evaluation, Expression, Nothing
from quota_exporter.interpreter import STEPS
from quota_exporter.key_list import KEY_REASONS, STEPS_OF_KEY, key_reason, map_keys
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.quota import Failure, Problem, Quota, Reason
from quota_exporter.reader import Notes, Reader
from quota_exporter.reply_text import clean_message, clean_text
from quota_exporter.request_language import Request

MAX_FRESH_SECONDS = 300.0

_MAX_PATHS_NAMED = 6
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=\"?([0-9]+)\"?(?:$|[,;\s])", re.IGNORECASE)
_NO_REUSE = re.compile(r"(?:^|[,\s])no-(?:store|cache)(?:$|[,;=\s])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """One request's reply: its JSON, or of a request with pages the list of all items.

    `headers` are looked up in lower case. `is_whole` is False for a list that is known to lack items.
    """

    body: Any
    http_status: int
    headers: Mapping[str, str]
    is_whole: bool = True


def map_reply(
    mapping: ReplyMapping, body: Any, *, http_status: int, secrets: tuple[str, ...], now: float, max_buckets: int
) -> Quota | Failure:
    """Check and map the reply to a mapping's only request; see `check_reply` and `map_replies`."""
    request, reply = mapping.steps[0], Reply(body, http_status, {})
    failure = check_reply(mapping, request, reply, secrets=secrets)
    if failure is not None:
        return failure
    return map_replies(mapping, {request.id: reply}, secrets=secrets, now=now, max_buckets=max_buckets)


def check_reply(
    mapping: ReplyMapping, request: Request, reply: Reply, *, secrets: tuple[str, ...], notes: Notes | None = None
) -> Failure | None:
    """Return why one reply cannot be used, None when it can be; never raises.

    `secrets` are what the request carried, which no text taken from the reply may show. `notes` are given to learn what
    each expression gave; what was dropped is told by the failure alone.
    """
    if not isinstance(reply.body, dict | list):
        return Failure(Reason.UNEXPECTED_SHAPE, f"the reply (HTTP {reply.http_status}) is JSON, but not an object")
    success = mapping.success if request.success is None else request.success
    if success is None:
        return None
    notes = Notes() if notes is None else notes.apart()
    if _reader(reply.body, {request.id: reply}, 0.0, notes).holds(success, "success"):
        return None
    unfit = _unfit(mapping, reply, f"`{success.text}` does not hold")
    return replace(_error_in(mapping, reply, secrets, notes) or unfit, dropped=notes.dropped)


def map_replies(
    mapping: ReplyMapping,
    replies: Mapping[str, Reply],
    *,
    secrets: tuple[str, ...],
    now: float,
    max_buckets: int,
    max_children: int | None = None,
    notes: Notes | None = None,
) -> Quota | Failure:
    """Return the quota that the replies (by request id) hold, or why they hold none; never raises.

    `now` is the Unix time that calendar intervals refer to. `notes` hold what was dropped before, and are given to
    learn what each expression gave.
    """
    work = map_in_steps(
        mapping, replies, secrets=secrets, now=now, max_buckets=max_buckets, max_children=max_children, notes=notes
    )
    while True:
        try:
            next(work)
        except StopIteration as end:
            outcome: Quota | Failure = end.value
            return outcome


def map_in_steps(
    mapping: ReplyMapping,
    replies: Mapping[str, Reply],
    *,
    secrets: tuple[str, ...],
    now: float,
    max_buckets: int,
    max_children: int | None = None,
    notes: Notes | None = None,
) -> Generator[None, None, Quota | Failure]:
    """Do as `map_replies`, but yield every few milliseconds: thousands of keys take the better part of a second."""
    notes = Notes() if notes is None else notes
    first = replies[mapping.steps[0].id]
    document = first.body if len(mapping.steps) == 1 else {name: reply.body for name, reply in replies.items()}
    reader = _reader(document, replies, now, notes)
    buckets = read_buckets(mapping.buckets, reader, units=mapping.units, secrets=secrets, max_buckets=max_buckets)
    children = None
    items = None if mapping.children is None else reader.items(mapping.children.each, "children.each")
    if mapping.children is not None and items is not None:
        inside = _reader(document, replies, now, notes, steps=STEPS + STEPS_OF_KEY * len(items))
        most = mapping.children.max_children if max_children is None else max_children
        children = yield from map_keys(
            mapping, mapping.children, inside, items, secrets=secrets, max_buckets=max_buckets, most=most
        )
    if not buckets and children is None:
        said = (_error_in(mapping, reply, secrets, notes) for reply in replies.values())
        failure = next((failure for failure in said if failure is not None), None)
        unfit = _unfit(mapping, first, f"none of {_paths(mapping)} gives a value")
        return replace(failure or unfit, dropped=notes.dropped)
    name = clean_text(reader.value(mapping.key_name, "key_name"), secrets)
    expires_at = reader.time(mapping.expires_at, "expires_at", mapping.time_format)
    fresh_for = max_age(first.headers.get("cache-control", "")) if mapping.cache_control else 0.0
    lists_all = all(reply.is_whole for reply in replies.values())
    return Quota(buckets, name, expires_at, notes.dropped, fresh_for, children, lists_all)


def classify_error(
    mapping: ReplyMapping, body: Any, *, secrets: tuple[str, ...], notes: Notes | None = None
) -> tuple[Reason | None, str | None]:
    """Return what an error reply's JSON says: the reason, if it gives one, and its message if safe to show."""
    reason, _, message = _said(mapping, body, secrets, Notes() if notes is None else notes)
    return reason, message


def max_age(cache_control: str) -> float:
    """Return the seconds for which a Cache-Control header wants a reply to be reused, at most five minutes."""
    match = _MAX_AGE.search(cache_control)
    return 0.0 if match is None or _NO_REUSE.search(cache_control) else min(float(match[1]), MAX_FRESH_SECONDS)


def is_asked_for(
    request: Request, replies: Mapping[str, Reply], place: str, *, now: float, notes: Notes | None = None
) -> bool:
    """Whether the condition of a request that follows these replies holds; `place` is `requests[1]`, for messages."""
    if request.where is None:
        return True
    return _reader_of_all(replies, now, notes).holds(request.where, f"{place}.where")


def request_values(
    request: Request, replies: Mapping[str, Reply], place: str, *, now: float, notes: Notes | None = None
) -> dict[str, str] | None:
    """Return what `{name}` stands for in a request that follows these replies; `place` is `requests[1]`, for messages.

    None when a value is neither text nor number: the request cannot be made. One that the replies lack is noted, one
    that is null is not.
    """
    if not request.values:
        return {}
    reader = _reader_of_all(replies, now, notes)
    values: dict[str, str] = {}
    for name, expression in request.values.items():
        value = reader.raw(expression, field := f"{place}.values.{name}")
        if isinstance(value, Nothing):
            reader.notes.drop(Problem.UNRESOLVED, field, expression)
        if not isinstance(value, str | int | float) or isinstance(value, bool) or value == "":
            return None
        values[name] = str(value)
    return values


def _reader_of_all(replies: Mapping[str, Reply], now: float, notes: Notes | None) -> Reader:
    bodies = {name: reply.body for name, reply in replies.items()}
    return _reader(bodies, replies, now, Notes() if notes is None else notes)


def _reader(document: Any, replies: Mapping[str, Reply], now: float, notes: Notes, *, steps: int = STEPS) -> Reader:
    headers = {name: reply.headers for name, reply in replies.items()}
    return Reader(Evaluation(document, now, headers, steps=steps), now, notes)


def _error_in(mapping: ReplyMapping, reply: Reply, secrets: tuple[str, ...], notes: Notes) -> Failure | None:
    reason, has_error, message = _said(mapping, reply.body, secrets, notes)
    ending = f": {message}" if message else ""
    if reason is not None:
        return Failure(reason, f"{KEY_REASONS[reason]}{ending}")
    if has_error:
        return Failure(Reason.ERROR_REPLY, f"the gateway answered with an error{ending}")
    return None


def _said(
    mapping: ReplyMapping, body: Any, secrets: tuple[str, ...], notes: Notes
) -> tuple[Reason | None, bool, str | None]:
    """Return the reason that a reply gives, whether it has an error at all, and its message if that may be shown."""
    # An error has nothing to do with calendar intervals, so any time will do.
    reader = Reader(Evaluation(body, 0.0, {}), 0.0, notes)
    reason = key_reason(reader.value(mapping.reason, "reason"))
    error = reader.value(mapping.error, "error")
    return reason, error is not None, None if error is None else clean_message(error, secrets)


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
