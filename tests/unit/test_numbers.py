"""What counts as a number, a time or a period."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.numbers import (
    TimeFormat,
    add_span,
    is_never,
    next_boundary,
    parse_duration,
    parse_number,
    parse_period,
    parse_span,
    parse_time,
)


def unix(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]  # year, month, day, ...


JSON_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
CLOCK = st.floats(min_value=0, max_value=unix(2200, 1, 1))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0.0),
        (7, 7.0),
        (-3, -3.0),
        (0.42, 0.42),
        ("0", 0.0),
        ("250000", 250000.0),
        ("-1.5", -1.5),
        ("+4", 4.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("2.5E-2", 0.025),
        ("007", 7.0),
        (10**300, 1e300),
    ],
)
def test_ints_floats_and_numeric_strings_are_numbers(value: Any, number: float) -> None:
    """An amount may be an int, a float or a numeric string."""
    result = parse_number(value)
    assert result == number
    assert isinstance(result, float)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        True,
        False,
        [],
        [1],
        {},
        "abc",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "1e400",
        10**400,
        math.nan,
        math.inf,
        -math.inf,
        "1_000",
        "1,000",
        " 1",
        "1 ",
        "1\n",
        "0x10",
        "$5",
        "85%",
        "1.",
        "e5",
        "+",
        "--1",
        "٣",
        "\uff11",
        "1e",
        "5 USD",
    ],
)
def test_anything_else_is_not_a_number(value: Any) -> None:
    """Null, bools, non-finite values and loosely written text are not numbers, and never become 0."""
    assert parse_number(value) is None


@pytest.mark.parametrize("value", [-0.0, "-0", "-0.0", "-0e5"])
def test_negative_zero_is_zero(value: Any) -> None:
    """No series ever shows -0."""
    assert math.copysign(1, parse_number(value) or 0.0) == 1.0


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_text_of_a_float_reads_as_that_float(value: float) -> None:
    """A number means the same whether the gateway quotes it or not."""
    assert parse_number(repr(value)) == parse_number(value) == value


@given(JSON_SCALARS)
def test_numbers_are_finite_floats_or_none(value: Any) -> None:
    """No input gives NaN, an infinity or an exception."""
    result = parse_number(value)
    assert result is None or math.isfinite(result)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-05-31T00:00:00Z", unix(2026, 5, 31)),
        ("2026-05-31t00:00:00z", unix(2026, 5, 31)),
        ("2026-05-31 00:00:00Z", unix(2026, 5, 31)),
        ("2026-05-31T00:00:00", unix(2026, 5, 31)),
        ("2026-05-31T02:30:00+02:30", unix(2026, 5, 31)),
        ("2026-05-31T02:30:00+0230", unix(2026, 5, 31)),
        ("2026-05-30T17:00:00-07:00", unix(2026, 5, 31)),
        ("2026-05-31T00:00:00.5Z", unix(2026, 5, 31) + 0.5),
        ("2026-05-31T00:00:00.250000+00:00", unix(2026, 5, 31) + 0.25),
        ("2026-05-31T00:00:00.123456789012345Z", unix(2026, 5, 31) + 0.123456789),
        ("2016-12-31T23:59:60Z", unix(2017, 1, 1)),
        ("2024-02-29T12:00:00Z", unix(2024, 2, 29, 12)),
        ("9999-12-31T23:59:59Z", unix(9999, 12, 31, 23, 59, 59)),
        (1780185600, 1780185600.0),
        (1780185600.5, 1780185600.5),
        ("1780185600", 1780185600.0),
        (1780185600123, 1780185600.123),
        ("1780185600123", 1780185600.123),
        (1e11, 1e11),
    ],
)
def test_times_in_every_accepted_form(value: Any, expected: float) -> None:
    """A time is RFC 3339 (without an offset it is UTC), epoch seconds or epoch milliseconds."""
    assert parse_time(value) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "never",
        "00:00:00Z",
        "2026-5-31T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-05-31T24:00:00Z",
        "2026-05-31T00:60:00Z",
        "2026-05-31T00:00:61Z",
        "2026-05-31T00:00:00+24:00",
        "2026-05-31T00:00:00+01:60",
        "2026-05-31T00:00:00+1",
        "2026-05-31T00:00:00 Z",
        "2026-05-31T00:00:00.Z",
        "2026-05-31T00:00:00,5Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        0,
        "0",
        -1,
        2.6e14,
        1e300,
        math.nan,
        True,
        [],
        {},
        "٢026-05-31T00:00:00Z",
    ],
)
def test_anything_else_is_not_a_time(value: Any) -> None:
    """Dates that do not exist, 0, -1 and what lies outside of 1970 to 9999 are no times."""
    assert parse_time(value) is None


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001 - wanted naive
    st.integers(min_value=-23 * 60 - 59, max_value=23 * 60 + 59),
)
def test_times_agree_with_the_standard_library(moment: datetime, offset: int) -> None:
    """Any time that Python writes is read back as the same instant."""
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert parse_time(aware.isoformat()) == pytest.approx(aware.timestamp(), abs=1e-4)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0.0),
        ("30s", 30.0),
        ("1m30s", 90.0),
        ("1h30m", 5400.0),
        ("30d", 2592000.0),
        ("2w", 1209600.0),
        ("1y", 31536000.0),
        ("500ms", 0.5),
        ("1d1ms", 86400.001),
    ],
)
def test_durations_are_written_as_in_prometheus(text: str, seconds: float) -> None:
    """A duration is whole numbers with units, the largest unit first."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "0", "10", "s", "1.5h", "-1s", "1m1h", "1s1s", "1 s", "1S", "1mo", "٣s", "9" * 400 + "s"]
)
def test_other_text_is_not_a_duration(text: str) -> None:
    """Bare numbers, fractions, other units and other orders are refused rather than guessed."""
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3600, 3600.0),
        ("3600", 3600.0),
        ("daily", 86400.0),
        ("hourly", 3600.0),
        ("weekly", 604800.0),
        ("30d", 2592000.0),
        ("1h30m", 5400.0),
        ("2m59.5s", 179.5),
        ("100y", 3_153_600_000.0),
    ],
)
def test_periods_are_seconds_words_or_durations(value: Any, seconds: float) -> None:
    """A bucket's period may be a number of seconds, the word for an interval, or a duration."""
    assert parse_period(value, unix(2026, 5, 15)) == seconds


@pytest.mark.parametrize(
    ("now", "days"),
    [
        (unix(2026, 1, 31, 23, 59, 59), 31),
        (unix(2026, 2, 1), 28),
        (unix(2024, 2, 10), 29),
        (unix(2026, 4, 30, 23, 59, 59), 30),
    ],
)
def test_a_month_is_as_long_as_the_present_one(now: float, days: int) -> None:
    """`monthly` is the real length of the UTC month that is running."""
    assert [parse_period(word, now) for word in ("monthly", "month", "1M", "1mo")] == [days * 86400.0] * 4


@pytest.mark.parametrize(
    ("word", "now", "days"),
    [
        ("quarterly", unix(2026, 2, 10), 90),
        ("1Q", unix(2024, 3, 31, 23, 59, 59), 91),
        ("3M", unix(2026, 8, 1), 92),
        ("2M", unix(2026, 8, 9), 61),  # two months have no fixed place in the year: from the running month on
        ("yearly", unix(2026, 12, 31, 23), 365),
        ("1Y", unix(2024, 1, 1), 366),
        ("12M", unix(2024, 2, 29), 366),
    ],
)
def test_longer_calendar_periods_are_as_long_as_the_present_one(word: str, now: float, days: int) -> None:
    """A quarter or year is the UTC one that is running."""
    assert parse_period(word, now) == days * 86400.0


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        "0s",
        "0M",
        "",
        "fortnightly",
        "Daily",
        True,
        None,
        [],
        {},
        math.inf,
        "1e400",
        1e300,
        "101y",
        3_153_600_001,
    ],
)
def test_other_values_are_not_periods(value: Any) -> None:
    """A period is longer than nothing and at most 100 years; an unknown word is no period."""
    assert parse_period(value, unix(2026, 5, 15)) is None


@pytest.mark.parametrize(
    ("word", "now", "boundary"),
    [
        ("daily", unix(2026, 5, 30, 23, 59, 59), unix(2026, 5, 31)),
        ("daily", unix(2026, 5, 31), unix(2026, 6, 1)),
        ("daily", unix(2026, 12, 31, 5), unix(2027, 1, 1)),
        ("weekly", unix(2026, 5, 31, 12), unix(2026, 6, 1)),  # a Sunday
        ("weekly", unix(2026, 6, 1), unix(2026, 6, 8)),  # a Monday
        ("monthly", unix(2026, 5, 1), unix(2026, 6, 1)),
        ("monthly", unix(2026, 12, 31, 23), unix(2027, 1, 1)),
        ("monthly", unix(2024, 2, 29), unix(2024, 3, 1)),
        ("month", unix(2026, 1, 31, 12), unix(2026, 2, 1)),
        ("1M", unix(2024, 2, 28, 23, 59, 59), unix(2024, 3, 1)),
        ("1mo", unix(2026, 2, 28), unix(2026, 3, 1)),
        ("hourly", unix(2026, 12, 31, 23, 30), unix(2027, 1, 1)),
        ("1h", unix(2026, 5, 31, 12), unix(2026, 5, 31, 13)),
        ("day", unix(2024, 2, 29, 5), unix(2024, 3, 1)),
        ("1d", unix(2024, 2, 28, 5), unix(2024, 2, 29)),
        ("24h", unix(2026, 5, 30, 5), unix(2026, 5, 31)),
        ("1w", unix(2026, 12, 30), unix(2027, 1, 4)),
        ("7d", unix(2026, 5, 31, 12), unix(2026, 6, 1)),
        ("quarterly", unix(2026, 3, 31, 23, 59, 59), unix(2026, 4, 1)),
        ("1Q", unix(2026, 11, 30), unix(2027, 1, 1)),
        ("3M", unix(2026, 4, 1), unix(2026, 7, 1)),
        ("yearly", unix(2024, 2, 29), unix(2025, 1, 1)),
        ("1Y", unix(2026, 1, 1), unix(2027, 1, 1)),
    ],
)
def test_next_boundary_is_the_end_of_the_running_interval(word: str, now: float, boundary: float) -> None:
    """Calendar intervals end at a full hour, UTC midnight, Monday 00:00 or the first of a month, always after now."""
    assert next_boundary(word, now) == boundary


@pytest.mark.parametrize(
    "word", [None, "", "fortnightly", "DAILY", "2d", "5h", "30d", "2M", "0M", 1, 86400, True, [], {}]
)
def test_other_words_have_no_boundary(word: Any) -> None:
    """An interval that is not known has no end that could be shown."""
    assert next_boundary(word, unix(2026, 5, 15)) is None


@given(st.sampled_from(["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"]), CLOCK)
def test_boundaries_lie_ahead_within_one_period(word: str, now: float) -> None:
    """The next boundary is in the future, and not further away than the interval is long."""
    boundary, period = next_boundary(word, now), parse_period(word, now)
    assert boundary is not None
    assert period is not None
    assert 0 < boundary - now <= period


@pytest.mark.parametrize("value", [None, "", 0, 0.0, -0.0, "0", -1, -1.0, "-1"])
def test_gateways_write_never_in_these_ways(value: Any) -> None:
    """Null, empty text, 0 and -1 in the place of a time say that there is none."""
    assert is_never(value)


@pytest.mark.parametrize("value", [False, True, 1, -2, 0.5, " ", "00", "-1.0", "never", math.nan, [], {}, [0]])
def test_nothing_else_is_never(value: Any) -> None:
    """What merely looks empty is no time, and is to be noticed."""
    assert not is_never(value)


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (1780185600, "unix", 1780185600.0),
        ("1780185600.5", "unix", 1780185600.5),
        (1e11, "unix_ms", 1e8),
        (5000, "unix_ms", 5.0),
        ("1780185600123", "unix_ms", 1780185600.123),
        (200_000_000_000, "unix", 200_000_000_000.0),  # the form decides, not the size
        (90, "in_s", 1090.0),
        ("90", "in_s", 1090.0),
        (1500, "in_ms", 1002.0),
        (-60, "in_s", 940.0),
        ("2026-05-31T00:00:00Z", "rfc3339", unix(2026, 5, 31)),
    ],
)
def test_a_form_says_how_a_time_is_written(value: Any, form: TimeFormat, expected: float) -> None:
    """With a form nothing is guessed from the size of a number."""
    assert parse_time(value, form, now=1000.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (1780185600, "rfc3339"),
        ("1780185600", "rfc3339"),
        ("2026-05-31T00:00:00Z", "unix"),
        ("2026-05-31T00:00:00Z", "in_s"),
        (1780185600123, "unix"),  # the year 58381
        (-2000, "in_s"),  # before 1970
        (1e300, "in_ms"),
        (True, "unix"),
        ("soon", "in_s"),
    ],
)
def test_a_time_in_another_form_is_none(value: Any, form: TimeFormat) -> None:
    """What is not written as the form says is no time."""
    assert parse_time(value, form, now=1000.0) is None


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("hour", (0, 3600.0)),
        ("daily", (0, 86400.0)),
        ("week", (0, 604800.0)),
        ("monthly", (1, 0.0)),
        ("quarter", (3, 0.0)),
        ("yearly", (12, 0.0)),
        ("1M", (1, 0.0)),
        ("6mo", (6, 0.0)),
        ("2Q", (6, 0.0)),
        ("3Y", (36, 0.0)),
        ("0M", (0, 0.0)),
        ("1m", (0, 60.0)),
        ("1y", (0, 31536000.0)),
        ("30d", (0, 2592000.0)),
        ("1h30m", (0, 5400.0)),
        ("500ms", (0, 0.5)),
        ("2m59.56s", (0, 179.56)),
        ("720h0m0s", (0, 2592000.0)),
        ("0.5s", (0, 0.5)),
    ],
)
def test_spans_are_words_calendar_units_or_durations(text: str, span: Any) -> None:
    """A capital M is a month and a small one a minute; Go's seconds may have a fraction."""
    found = parse_span(text)
    assert found is not None
    assert found[0] == span[0]
    assert found[1] == pytest.approx(span[1])


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "M", "1 M", "-1M", "1.5M", "12345M", "1M1d", "1q", "1MO", "Daily", "fortnight", "1.5h", "1m2"),
        *("0.5", ".5s", "1.s", "-1s", "1h1h", "1s1m", "1us", "\u0663s", "\u0663M", "9" * 400 + "s"),
    ],
)
def test_other_text_is_no_span(text: str) -> None:
    """What is not surely a period is none."""
    assert parse_span(text) is None


@pytest.mark.parametrize(
    ("start", "span", "end"),
    [
        (unix(2026, 1, 31, 12), "1M", unix(2026, 2, 28, 12)),
        (unix(2024, 1, 31), "1M", unix(2024, 2, 29)),
        (unix(2024, 2, 29), "1Y", unix(2025, 2, 28)),
        (unix(2024, 2, 29), "4Y", unix(2028, 2, 29)),
        (unix(2026, 11, 30, 23, 59, 59), "1Q", unix(2027, 2, 28, 23, 59, 59)),
        (unix(2026, 12, 31), "monthly", unix(2027, 1, 31)),
        (unix(2026, 12, 1), "1M", unix(2027, 1, 1)),
        (unix(2026, 12, 31, 23), "90m", unix(2027, 1, 1, 0, 30)),
        (unix(2024, 2, 28), "daily", unix(2024, 2, 29)),
        (unix(2026, 3, 1), "0M", unix(2026, 3, 1)),
        (unix(9999, 12, 31, 23), "1h", None),
        (unix(9999, 12, 5), "1M", None),
        (unix(2026, 1, 1), "9999Y", None),
    ],
)
def test_a_span_later_is_the_same_day_or_the_last_of_a_shorter_month(start: float, span: str, end: float) -> None:
    """A month after 31 January is the last of February; nothing lies beyond the year 9999."""
    parsed = parse_span(span)
    assert parsed is not None
    assert add_span(start, parsed) == end


@given(CLOCK, st.integers(0, 12 * 9000), st.integers(0, 10**9))
def test_a_span_never_leads_back_and_never_raises(start: float, months: int, seconds: int) -> None:
    """The end of a span is at or after its start, or none."""
    end = add_span(start, (months, float(seconds)))
    assert end is None or end >= start - 1e-5  # a date has whole microseconds


@given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,4}(M|mo|Q|Y|d|h|ms|\.[0-9]s)", fullmatch=True), CLOCK)
def test_periods_are_positive_or_none(text: str, now: float) -> None:
    """No text makes a period that is nothing, negative or endless."""
    period = parse_period(text, now)
    assert period is None or 0 < period <= 3_153_600_000
    boundary = next_boundary(text, now)
    assert boundary is None or boundary > now


def test_a_date_is_its_midnight() -> None:
    """A period that starts at a date starts at 00:00 UTC; a date that is none gives no time."""
    assert parse_time("2026-11-01") == unix(2026, 11, 1)
    assert parse_time("2026-02-30") is None
    assert parse_time("2026-11-01", "rfc3339") == unix(2026, 11, 1)


def test_times_from_now_are_whole_seconds() -> None:
    """What counts from now is told to the second, so that the series of a reset does not change at each poll."""
    assert parse_time(90_000, "in_ms", now=1000.4) == parse_time(89_900, "in_ms", now=1000.6) == 1090
    assert parse_time(90, "in_s", now=1000.4) == 1090
