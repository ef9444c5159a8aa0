"""Replies of gateways mapped into quotas."""

from __future__ import annotations

import math
import re
from enum import Enum
from typing import Any

from quota_exporter.expression import Evaluation, Expression, Nothing, is_true
from quota_exporter.mapping_language import BucketRule, ReplyMapping
from quota_exporter.numbers import parse_number, parse_period, parse_time
from quota_exporter.quota import Bucket, Dropped, Failure, Kind, Problem, Quota, Reason
from quota_exporter.reply_text import clean_message, clean_text

_REASONS = {
    Reason.KEY_EXPIRED: "the gateway says that the key has expired",
    Reason.KEY_BLOCKED: "the gateway says that the key is blocked",
    Reason.PAYMENT_REQUIRED: "the gateway asks for payment",
}
_MAX_PATHS_NAMED = 6
_UNUSABLE = ""  # the reply names a currency, and that is none


class _Absent(Enum):
    """Why a bucket lacks an amount."""

    NOT_ASKED = "the mapping does not ask for it"
    NULL = "the reply says null"
    MISSING = "the reply does not have it"
    NOT_A_NUMBER = "the reply has something else"


_Amount = float | _Absent


def map_reply(
    mapping: ReplyMapping, body: Any, *, http_status: int, secrets: tuple[str, ...], now: float, max_buckets: int
) -> Quota | Failure:
    """Return the quota that a reply's JSON holds, or why it holds none; never raises.

    `secrets` are what the request carried, which no text taken from the reply may show. `now` is the Unix time
    that calendar intervals refer to.
    """
    if not isinstance(body, dict | list):
        return Failure(Reason.UNEXPECTED_SHAPE, f"the reply (HTTP {http_status}) is JSON, but not an object")
    reader = _Reader(Evaluation(body, now), now)
    if mapping.success is not None and not reader.holds(mapping.success, "success"):
        wanted = f"`{mapping.success.text}` does not hold"
    elif buckets := reader.buckets(mapping.buckets, max_buckets):
        name = clean_text(reader.value(mapping.key_name, "key_name"), secrets)
        expires_at = reader.time(mapping.expires_at, "expires_at")
        return Quota(buckets, name, expires_at, tuple(reader.dropped))
    else:
        wanted = f"none of {_paths(mapping)} gives a value"
    reason, has_error, message = _error_of(mapping, reader.evaluation, secrets)
    ending = f": {message}" if message else ""
    if reason is not None:
        failure = reason, f"{_REASONS[reason]}{ending}"
    elif has_error:
        failure = Reason.ERROR_REPLY, f"the gateway answered with an error{ending}"
    else:
        detail = f"the reply (HTTP {http_status}) does not fit the mapping {mapping.name}: {wanted}"
        failure = Reason.UNEXPECTED_SHAPE, detail
    return Failure(*failure, dropped=tuple(reader.dropped))


def classify_error(mapping: ReplyMapping, body: Any, *, secrets: tuple[str, ...]) -> tuple[Reason | None, str | None]:
    """Return what an error reply's JSON says: the reason, if it gives one, and its message if safe to show."""
    # An error has nothing to do with calendar intervals, so any time will do.
    reason, _, message = _error_of(mapping, Evaluation(body, now=0.0), secrets)
    return reason, message


def _error_of(
    mapping: ReplyMapping, evaluation: Evaluation, secrets: tuple[str, ...]
) -> tuple[Reason | None, bool, str | None]:
    """Return the reason, whether there is an error at all, and its message if that may be shown."""
    code = None if mapping.reason is None else evaluation.value(mapping.reason)
    reason = next((reason for reason in _REASONS if reason == code), None)
    error = None if mapping.error is None else evaluation.value(mapping.error)
    if error is None or isinstance(error, Nothing):
        return reason, False, None
    return reason, True, clean_message(error, secrets)


def _paths(mapping: ReplyMapping) -> str:
    amounts = (amount for rule in mapping.buckets for amount in (rule.limit, rule.used, rule.remaining))
    paths = list(dict.fromkeys(amount.text for amount in amounts if amount is not None and amount.path))
    if len(paths) > _MAX_PATHS_NAMED:
        paths[_MAX_PATHS_NAMED:] = ["..."]
    return ", ".join(paths) or "its expressions"


class _Reader:
    """Takes values out of one reply; `dropped` collects what it could not use."""

    def __init__(self, evaluation: Evaluation, now: float) -> None:
        self.evaluation = evaluation
        self.dropped: list[Dropped] = []
        self._now = now

    def value(self, expression: Expression | None, field: str) -> Any:
        """Return what an expression gives, None when that is nothing; an expression that fails is counted."""
        if expression is None:
            return None
        value = self.evaluation.value(expression)
        if value is Nothing.FAILED:
            self._drop(Problem.UNRESOLVED, field, expression)
        return None if isinstance(value, Nothing) else value

    def holds(self, expression: Expression, field: str) -> bool:
        """Whether an expression gives what JMESPath takes for true."""
        return is_true(self.value(expression, field))

    def time(self, expression: Expression | None, field: str) -> float | None:
        """Return a time as Unix seconds."""
        value = self.value(expression, field)
        seconds = None if value is None else parse_time(value)
        if value is not None and seconds is None:
            self._drop(Problem.BAD_TIME, field, expression)
        return seconds

    def buckets(self, rules: tuple[BucketRule, ...], max_buckets: int) -> tuple[Bucket, ...]:
        """Return the buckets that the reply says something about: at most `max_buckets`, unique per kind."""
        found: dict[tuple[Kind, str], Bucket] = {}
        for index, rule in enumerate(rules):
            field = f"buckets[{index}]"
            bucket = self._bucket(rule, field)
            if bucket is None:
                continue
            if (bucket.kind, bucket.name) in found:
                self._drop(Problem.DUPLICATE, field)
            elif len(found) >= max_buckets:
                self._drop(Problem.TOO_MANY, field)
            else:
                found[bucket.kind, bucket.name] = bucket
        return tuple(found.values())

    def _bucket(self, rule: BucketRule, field: str) -> Bucket | None:
        if rule.where is not None and not self.holds(rule.where, f"{field}.where"):
            return None
        currency = self._currency(rule, field)
        if currency == _UNUSABLE:
            return None
        limit = self._amount(rule.limit)
        unlimited = limit is _Absent.NULL and rule.unlimited is not None
        used = self._amount(rule.used)
        remaining = _Absent.NOT_ASKED if unlimited else self._amount(rule.remaining)
        limit_value, used_value, remaining_value = _derive(limit, used, remaining)
        self._count(limit, None, f"{field}.limit", rule.limit)
        self._count(used, used_value, f"{field}.used", rule.used)
        self._count(remaining, remaining_value, f"{field}.remaining", rule.remaining)
        if not unlimited and limit_value is None and used_value is None and remaining_value is None:
            return None
        limited = True if isinstance(limit, float) else None
        return Bucket(
            kind=rule.kind,
            name=rule.name,
            currency=currency,
            limit=limit_value,
            used=used_value,
            remaining=remaining_value,
            limited=False if unlimited else limited,
            resets_at=self.time(rule.resets_at, f"{field}.resets_at"),
            window_seconds=self._period(rule.window, f"{field}.window"),
        )

    def _currency(self, rule: BucketRule, field: str) -> str | None:
        value = None if rule.currency_from is None else self.evaluation.value(rule.currency_from)
        if value is None or value is Nothing.MISSING:
            return rule.currency
        if isinstance(value, str) and re.fullmatch("[A-Za-z]{3}", value):
            return value.upper()
        problem = Problem.UNRESOLVED if value is Nothing.FAILED else Problem.BAD_CURRENCY
        self._drop(problem, f"{field}.currency_from", rule.currency_from)
        return _UNUSABLE

    def _period(self, expression: Expression | None, field: str) -> float | None:
        value = self.value(expression, field)
        seconds = None if value is None else parse_period(value, self._now)
        if value is not None and seconds is None:
            self._drop(Problem.NOT_A_NUMBER, field, expression)
        return seconds

    def _amount(self, expression: Expression | None) -> _Amount:
        if expression is None:
            return _Absent.NOT_ASKED
        value = self.evaluation.value(expression)
        if isinstance(value, Nothing):
            return _Absent.MISSING
        if value is None:
            # An expression that is more than a path gives null also for what the reply does not have.
            return _Absent.NULL if expression.path else _Absent.MISSING
        number = parse_number(value)
        return _Absent.NOT_A_NUMBER if number is None else number

    def _count(self, amount: _Amount, value: float | None, field: str, expression: Expression | None) -> None:
        if amount is _Absent.NOT_A_NUMBER:
            self._drop(Problem.NOT_A_NUMBER, field, expression)
        elif amount is _Absent.MISSING and value is None:
            self._drop(Problem.UNRESOLVED, field, expression)

    def _drop(self, problem: Problem, field: str, expression: Expression | None = None) -> None:
        where = field if expression is None else f"{field} ({expression.text})"
        self.dropped.append(Dropped(problem, where))


def _derive(limit: _Amount, used: _Amount, remaining: _Amount) -> tuple[float | None, ...]:
    """Return limit, used and remaining, the one that is absent computed from the others where both are there.

    A limit that the reply gives as null or as no number stays absent: the reply did say something about it.
    """
    if isinstance(limit, float):
        if isinstance(used, float) and not isinstance(remaining, float):
            remaining = limit - used
        elif isinstance(remaining, float) and not isinstance(used, float):
            used = limit - remaining
    elif limit in (_Absent.NOT_ASKED, _Absent.MISSING) and isinstance(used, float) and isinstance(remaining, float):
        limit = used + remaining
    return tuple(
        amount if isinstance(amount, float) and math.isfinite(amount) else None for amount in (limit, used, remaining)
    )
