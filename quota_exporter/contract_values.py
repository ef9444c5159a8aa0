"""What the neutral contract asks of each single value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from quota_exporter.humanize import number, relative
from quota_exporter.numbers import LONGEST_PERIOD, parse_number
from quota_exporter.reply_text import MAX_NAME, clean_text

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_TIME_FORM = "write RFC 3339 with a zone, such as 2026-12-01T00:00:00Z"


class Verdict(StrEnum):
    """What a check says of one point."""

    OK = "ok"
    WARNING = "warning"
    VIOLATION = "violation"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one point (`tokens.limit`); `detail` is for people: it holds no key."""

    point: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Look:
    """What every check needs: texts that must not be shown, the present as Unix time."""

    secrets: tuple[str, ...] = field(repr=False)
    now: float


def ok(point: str, detail: str) -> Finding:
    """Return that a point conforms."""
    return Finding(point, Verdict.OK, detail)


def skipped(point: str, detail: str) -> Finding:
    """Return that there is nothing to judge."""
    return Finding(point, Verdict.SKIPPED, detail)


def warning(point: str, detail: str) -> Finding:
    """Return that a point is understood, but not as the contract wants it."""
    return Finding(point, Verdict.WARNING, detail)


def violation(point: str, detail: str) -> Finding:
    """Return that a point breaks the contract."""
    return Finding(point, Verdict.VIOLATION, detail)


def null(point: str) -> Finding:
    """Return what is said of a null that means nothing."""
    return warning(point, "is null, which has a meaning for `limit` alone; leave it out")


def type_name(value: Any) -> str:
    """Return the JSON type of a value in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = ((str, "text"), (int | float, "a number"), (list, "a list"))
    return next((name for kind, name in names if isinstance(value, kind)), "an object")


def text_points(point: str, value: Any, look: Look) -> Iterator[Finding]:
    """Judge text that names something for people."""
    if value is None:
        yield null(point)
    elif isinstance(value, bool) or not isinstance(value, str | int):
        yield violation(point, f"is {type_name(value)}; write text")
    elif isinstance(value, str) and not value.strip():
        yield warning(point, "is blank; write a name for people, or leave it out")
    elif (shown := clean_text(value, look.secrets)) is None:
        yield violation(
            point,
            "shows a part of the API key, or looks like a key, a hash or an e-mail address; write a name for people",
        )
    elif isinstance(value, int):
        yield warning(point, f"is a number; write text: {json.dumps(shown)}")
    elif len(value) > MAX_NAME:
        yield warning(point, f"is longer than {MAX_NAME} characters and will be cut")
    else:
        yield ok(point, shown)


def amount_points(where: str, name: str, bucket: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge one amount of a bucket: a JSON number; the limit may be null."""
    point = f"{where}.{name}"
    if name not in bucket:
        yield _missing_amount(point, name, bucket)
        return
    value = bucket[name]
    amount = parse_number(value)
    if value is None and name == "limit":
        yield ok(point, "null: unlimited")
    elif value is None:
        yield null(point)
    elif amount is None:
        yield violation(point, _no_number(value))
    elif name == "limit" and amount < 0:
        yield violation(point, "is negative; write null for unlimited")
    elif isinstance(value, str):
        yield warning(point, "is a number in quotes; write it without them")
    elif name == "remaining" and bucket.get("limit", 0) is None:
        yield warning(point, "is a number though the limit is null, unlimited; leave it out")
    else:
        yield ok(point, number(amount))


def window_points(point: str, bucket: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge the length of a bucket's period in seconds, where it is given."""
    if "window_seconds" not in bucket:
        return
    value = bucket["window_seconds"]
    seconds = parse_number(value)
    if value is None:
        yield null(point)
    elif seconds is None:
        yield violation(point, _no_number(value))
    elif not 0 < seconds <= LONGEST_PERIOD:
        yield violation(point, "must be above 0 and at most 100 years")
    elif isinstance(value, str):
        yield warning(point, "is a number in quotes; write it without them")
    else:
        yield ok(point, f"{number(seconds)} s")


def currency_points(where: str, bucket: Mapping[str, Any], look: Look) -> Iterator[Finding]:
    """Judge the currency of a bucket of kind cost."""
    point, value = f"{where}.currency", bucket.get("currency", "USD")
    if value is None:
        yield null(point)
    elif not isinstance(value, str) or not re.fullmatch("[A-Z]{3}", value) or clean_text(value, look.secrets) is None:
        yield violation(point, "is not a currency code; write three capital letters, such as EUR")
    else:
        yield ok(point, value if "currency" in bucket else "not given, so USD")


def time_points(point: str, owner: Mapping[str, Any], look: Look, advice: str) -> Iterator[Finding]:
    """Judge the time that the last part of `point` names in `owner`; `advice` is for one that has passed."""
    name = point.rpartition(".")[2]
    if name not in owner:
        yield skipped(point, "not given")
        return
    value = owner[name]
    if value is None:
        yield null(point)
        return
    if parse_number(value) is not None:
        yield violation(point, f"is an epoch number, which the exporter reads but not every client; {_TIME_FORM}")
        return
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None or match["zone"] is None:
        problem = "is not a time" if match is None else "has no zone, so it means another moment to each reader"
        yield violation(point, f"{problem}; {_TIME_FORM}")
        return
    try:
        ahead = datetime.fromisoformat(match[0].upper()).timestamp() - look.now
    except ValueError:
        yield violation(point, f"is a date or time that does not exist; {_TIME_FORM}")
        return
    yield ok(point, relative(ahead)) if ahead > 0 else warning(point, f"lies in the past; {advice}")


def _missing_amount(point: str, name: str, bucket: Mapping[str, Any]) -> Finding:
    if name == "limit":
        return warning(point, "not given, so nobody knows whether there is a limit; write null for unlimited")
    is_unlimited = bucket.get("limit", 0) is None
    others = [bucket.get(other) for other in ("limit", "used", "remaining") if other != name]
    if name == "remaining" and is_unlimited:
        return skipped(point, "not given, as it should be of an unlimited amount")
    if not is_unlimited and all(parse_number(other) is not None for other in others):
        return skipped(point, "not given, but told by the other two")
    return warning(point, "not given, nor told by the others; the exporter counts it as a problem of the reply")


def _no_number(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "is too large; write a number that a double can hold"
    return f"is {type_name(value)}; write a number"
