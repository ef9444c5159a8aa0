"""What counts as a number, a time or a period in a reply."""

from __future__ import annotations

import calendar
import math
import re
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Literal, TypeAlias

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_RFC3339 = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]"
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?P<fraction>\.[0-9]+)?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<offset_hours>[0-9]{2}):?(?P<offset_minutes>[0-9]{2}))?"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
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
# As Go writes a duration: only the seconds may have a fraction.
_GO_DURATION = re.compile(r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?")
_MONTHS = re.compile(r"([0-9]{1,4})(mo|M|Q|Y)")
_MONTHS_OF_UNIT = {"M": 1, "mo": 1, "Q": 3, "Y": 12}
_SPAN_OF_WORD: dict[str, tuple[int, float]] = {
    **dict.fromkeys(("hour", "hourly"), (0, 3_600.0)),
    **dict.fromkeys(("day", "daily"), (0, 86_400.0)),
    **dict.fromkeys(("week", "weekly"), (0, 604_800.0)),
    **dict.fromkeys(("month", "monthly"), (1, 0.0)),
    **dict.fromkeys(("quarter", "quarterly"), (3, 0.0)),
    **dict.fromkeys(("year", "yearly"), (12, 0.0)),
}
_CALENDAR_SPANS = ((1, 0.0), (3, 0.0), (12, 0.0))
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MILLISECONDS_ABOVE = 1e11  # as seconds this would be the year 5138
_END_OF_TIME = 253_402_300_800.0  # the year 10000
LONGEST_PERIOD = 100 * _SECONDS_OF_UNIT["y"]


TimeFormat: TypeAlias = Literal["rfc3339", "unix", "unix_ms", "in_s", "in_ms"]
"""How a reply writes a time: as text, as seconds or milliseconds since 1970, or as those from now on."""


def parse_number(value: object) -> float | None:
    """Return a JSON number or a numeric string as a finite float, None for anything else.

    A string holds ASCII digits with an optional sign, fraction and exponent: no spaces, no underscores. A
    bool, NaN, an infinity and what is too large for a float are not numbers.
    """
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number + 0.0 if math.isfinite(number) else None  # adding 0.0 turns -0.0 into 0.0


def is_never(value: object) -> bool:
    """Whether a reply's time says that there is none: null, "", 0 or -1, also as text."""
    return value is None or (not isinstance(value, bool) and value in (0, -1, "", "0", "-1"))


def parse_time(value: object, form: TimeFormat | None = None, *, now: float = 0.0) -> float | None:
    """Return a time as Unix seconds, None for what is none in this form.

    The text may have any number of fraction digits and a leap second; without an offset it is UTC, and a date alone is
    its midnight. Without a form
    it is text, or a number (or numeric string) that is milliseconds above 1e11 and else seconds. `now` is the Unix
    time that `in_s` and `in_ms` count from. The time lies in the years 1970 to 9999, and not at 0.
    """
    number = None if form == "rfc3339" else parse_number(value)
    if number is None:
        seconds = _parse_rfc3339(value) if isinstance(value, str) and form in (None, "rfc3339") else None
    elif form is None:
        seconds = number / 1000 if number > _MILLISECONDS_ABOVE else number
    else:
        seconds = number / (1000 if form.endswith("ms") else 1)
        if form.startswith("in_"):
            seconds = float(round(now + seconds))  # else the same moment would be another one at each poll
    return seconds if seconds is not None and 0 < seconds < _END_OF_TIME else None


def _parse_rfc3339(text: str) -> float | None:
    match = _RFC3339.fullmatch(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
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


def parse_span(text: str) -> tuple[int, float] | None:
    """Return a period as (whole months, seconds), one of them 0, or None for anything else.

    It is a word (`hourly`, `day`, `weekly`, `month`, `quarterly`, `yearly` ...), calendar months, quarters or years
    (`1M`, `1mo`, `1Q`, `1Y`), or a duration as Prometheus or Go writes it (`30d`, `1h30m`, `2m59.56s`).
    """
    if text in _SPAN_OF_WORD:
        return _SPAN_OF_WORD[text]
    if match := _MONTHS.fullmatch(text):
        return int(match[1]) * _MONTHS_OF_UNIT[match[2]], 0.0
    seconds = parse_duration(text)
    if seconds is None and (match := _GO_DURATION.fullmatch(text)) and text:
        hours, minutes, rest = (float(part or 0) for part in match.groups())
        seconds = hours * 3600 + minutes * 60 + rest
    return None if seconds is None else (0, seconds)


def parse_period(value: object, now: float) -> float | None:
    """Return the length of a bucket's period in seconds, or None when `value` does not tell one.

    It may be seconds or what `parse_span` reads; a month is as long as the UTC month that `now` is in. A period
    lasts longer than nothing, and at most 100 years.
    """
    seconds = parse_number(value)
    if seconds is None and isinstance(value, str) and (span := parse_span(value)) is not None:
        months, seconds = span
        if months:
            first = _first_of_period(datetime.fromtimestamp(now, UTC), months)
            end = add_span(first, span)
            seconds = None if end is None else end - first
    return seconds if seconds is not None and 0 < seconds <= LONGEST_PERIOD else None


def add_span(start: float, span: tuple[int, float]) -> float | None:
    """Return the Unix time that comes a span after `start`; None beyond the year 9999.

    After whole months it is the same day of the month in UTC, or the last day of a shorter one.
    """
    months, seconds = span
    if months:
        moment = datetime.fromtimestamp(start, UTC)
        year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
        if year > MAXYEAR:
            return None
        day = min(moment.day, calendar.monthrange(year, month + 1)[1])
        start = moment.replace(year=year, month=month + 1, day=day).timestamp()
    end = start + seconds
    return end if end < _END_OF_TIME else None


def next_boundary(word: object, now: float) -> float | None:
    """Return the Unix time after `now` at which the UTC hour, day, week (Monday), month, quarter or year ends.

    `word` names one of them as `parse_span` reads it (`daily`, `1d`, `1M`); anything else gives None.
    """
    span = parse_span(word) if isinstance(word, str) else None
    moment = datetime.fromtimestamp(now, UTC)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if span == (0, 3600.0):
        return (moment.replace(minute=0, second=0, microsecond=0) + _HOUR).timestamp()
    if span == (0, 86_400.0):
        return (midnight + _DAY).timestamp()
    if span == (0, 604_800.0):
        return (midnight + _DAY * (7 - midnight.weekday())).timestamp()
    if span in _CALENDAR_SPANS:
        return add_span(_first_of_period(moment, span[0]), span)
    return None


def _first_of_period(moment: datetime, months: int) -> float:
    """Return the Unix time at which the calendar month, quarter or year began; another period begins with a month."""
    month = moment.month - (moment.month - 1) % months if months in (3, 12) else moment.month
    return moment.replace(month=month, day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
