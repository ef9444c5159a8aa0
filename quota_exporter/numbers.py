"""What counts as a number, a time or a period in a reply."""

from __future__ import annotations

import calendar
import math
import re
from datetime import UTC, datetime, timedelta

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_RFC3339 = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]"
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?P<fraction>\.[0-9]+)?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<offset_hours>[0-9]{2}):?(?P<offset_minutes>[0-9]{2}))?"
)
_DURATION = re.compile(
    r"(?:(?P<y>[0-9]+)y)?(?:(?P<w>[0-9]+)w)?(?:(?P<d>[0-9]+)d)?(?:(?P<h>[0-9]+)h)?"
    r"(?:(?P<m>[0-9]+)m)?(?:(?P<s>[0-9]+)s)?(?:(?P<ms>[0-9]+)ms)?"
)
_SECONDS_OF_UNIT = {
    "y": 31_536_000.0,
    "w": 604_800.0,
    "d": 86_400.0,
    "h": 3_600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 0.001,
}
_DAY = timedelta(days=1)
_MILLISECONDS_ABOVE = 1e11  # as seconds this would be the year 5138
_END_OF_TIME = 253_402_300_800.0  # the year 10000
_LONGEST_PERIOD = 100 * _SECONDS_OF_UNIT["y"]


def parse_number(value: object) -> float | None:
    """Return a JSON number or a numeric string as a finite float, None for anything else.

    A string holds ASCII digits with an optional sign, fraction and exponent: no spaces, no underscores. A
    bool, NaN, an infinity and what is too large for a float are not numbers.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number + 0.0 if math.isfinite(number) else None  # adding 0.0 turns -0.0 into 0.0


def parse_time(value: object) -> float | None:
    """Return RFC 3339 text, epoch seconds or epoch milliseconds as Unix seconds, None for anything else.

    The text may have any number of fraction digits and a leap second; without an offset it is UTC. A number
    or numeric string above 1e11 is milliseconds. The time lies in the years 1970 to 9999, and not at 0.
    """
    seconds = parse_number(value)
    if seconds is not None:
        seconds = seconds / 1000 if seconds > _MILLISECONDS_ABOVE else seconds
    elif isinstance(value, str):
        seconds = _parse_rfc3339(value)
    return seconds if seconds is not None and 0 < seconds < _END_OF_TIME else None


def _parse_rfc3339(text: str) -> float | None:
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = (int(match[part]) for part in ("hour", "minute", "second"))
    offset_hours, offset_minutes = int(match["offset_hours"] or 0), int(match["offset_minutes"] or 0)
    if hour > 23 or minute > 59 or second > 60 or offset_hours > 23 or offset_minutes > 59:  # noqa: PLR2004 - a clock
        return None
    try:
        midnight = datetime.fromisoformat(match["date"]).replace(tzinfo=UTC)
    except ValueError:
        return None
    offset = offset_hours * 3600 + offset_minutes * 60
    if match["sign"] == "-":
        offset = -offset
    whole = int(midnight.timestamp()) + hour * 3600 + minute * 60 + second - offset
    return whole + float(match["fraction"] or 0)


def parse_duration(text: str) -> float | None:
    """Return a duration as Prometheus writes it (`30s`, `1h30m`, `500ms`) in seconds, None for anything else.

    Units are y (365 days), w, d, h, m, s and ms, each at most once and in this order.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    parts = match.groupdict(default="0")
    seconds = sum(float(parts[unit]) * length for unit, length in _SECONDS_OF_UNIT.items())
    return seconds if math.isfinite(seconds) else None


def parse_period(value: object, now: float) -> float | None:
    """Return the length of a bucket's period in seconds, or None when `value` does not tell one.

    It may be seconds, a duration, or `daily`, `weekly`, `monthly`; a month is as long as the UTC month that
    `now` is in. A period lasts longer than nothing, and at most 100 years.
    """
    seconds = parse_number(value)
    if seconds is None and isinstance(value, str):
        seconds = _length_of_interval(value, now)
        if seconds is None:
            seconds = parse_duration(value)
    return seconds if seconds is not None and 0 < seconds <= _LONGEST_PERIOD else None


def _length_of_interval(word: str, now: float) -> float | None:
    if word == "monthly":
        today = datetime.fromtimestamp(now, UTC)
        return calendar.monthrange(today.year, today.month)[1] * _SECONDS_OF_UNIT["d"]
    return {"daily": _SECONDS_OF_UNIT["d"], "weekly": _SECONDS_OF_UNIT["w"]}.get(word)


def next_boundary(word: object, now: float) -> float | None:
    """Return the Unix time of the next UTC midnight, Monday or first of a month after `now`.

    `word` is `daily`, `weekly` or `monthly`; anything else gives None.
    """
    midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if word == "daily":
        return (midnight + _DAY).timestamp()
    if word == "weekly":
        return (midnight + _DAY * (7 - midnight.weekday())).timestamp()
    if word == "monthly":
        days = calendar.monthrange(midnight.year, midnight.month)[1]
        return (midnight.replace(day=1) + _DAY * days).timestamp()
    return None
