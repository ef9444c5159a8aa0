"""Numbers and times read as people expect, and never say more than is true."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, strategies as st

from quota_exporter import humanize
from quota_exporter.numbers import parse_duration, parse_time


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (4_750_000.0, "4,750,000"),
        (-12.5, "-12.5"),
        (0.1 + 0.2, "0.3"),
        (1234.567, "1,234.57"),
        (1000.0, "1,000"),
        (0.01, "0.01"),
        (0.00042, "0.00042"),
        (-0.0000000000015, "-0.0000000000015"),
        (2e15, "2e+15"),
        (1.7e308, "1.7e+308"),
    ],
)
def test_numbers_are_grouped_and_short(value: float, text: str) -> None:
    """A number shows its thousands, no tail of zeros, and no more digits than a person can use."""
    assert humanize.number(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4.5, "USD", "4.50 USD"),
        (0.0, "EUR", "0.00 EUR"),
        (-0.0, "EUR", "0.00 EUR"),
        (-1234.5, "USD", "-1,234.50 USD"),
        (1.0, "USD", "1.00 USD"),
        (0.0042, "USD", "0.0042 USD"),
        (5_000_000.0, "tokens", "5,000,000 tokens"),
        (1.0, "requests", "1 request"),
        (0.0, "credits", "0 credits"),
        (1234.5, "credits", "1,234.5 credits"),
    ],
)
def test_amounts_carry_their_unit(value: float, unit: str, text: str) -> None:
    """Money has two decimals unless it is less than a cent, and one token is no plural."""
    assert humanize.amount(value, unit) == text


@given(st.floats(min_value=1e-300, max_value=1e300), st.sampled_from(["USD", "tokens"]))
def test_an_amount_is_never_shown_as_nothing(value: float, unit: str) -> None:
    """What is not zero has a digit that is not zero, on either side of zero."""
    assert re.search("[1-9]", humanize.figure(value, unit))
    assert humanize.figure(-value, unit) == f"-{humanize.figure(value, unit)}"


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.0, "100%"),
        (0.999, "99%"),
        (0.957, "95%"),
        (0.29, "29%"),
        (0.0421, "4.2%"),
        (0.05, "5%"),
        (0.001, "0.1%"),
        (0.0004, "<0.1%"),
        (0.0, "0%"),
        (-0.0001, "-0.1%"),
        (-0.125, "-13%"),
        (12.5, "1,250%"),
    ],
)
def test_shares_are_rounded_down(ratio: float, text: str) -> None:
    """A percentage never promises more than is left, and is 0% for zero alone."""
    assert humanize.percent(ratio) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.0002, "<1 ms"),
        (0.3504, "350 ms"),
        (0.9999, "999 ms"),
        (1.29, "1.2 s"),
        (2.0, "2 s"),
        (12.9, "12 s"),
        (60.0, "1 min"),
        (3599.0, "59 min 59 s"),
        (3600.0, "1 h"),
        (3601.0, "1 h"),
        (273_700.0, "3 d 4 h"),
        (31_536_000.0 * 2 + 86_400, "2 y 1 d"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    """A duration is cut to its two largest units, and a zero among them is left out."""
    assert humanize.duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e13))
def test_every_duration_has_words(seconds: float) -> None:
    """No length of time is without a number and a unit."""
    assert re.fullmatch(r"<1 ms|[\d.,]+ (ms|s|min|h|d|y)( [\d,]+ (s|min|h|d))?", humanize.duration(seconds))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7200.0, "in 2 h"), (-12.3, "12 s ago"), (0.0, "now"), (0.9, "now"), (-0.9, "now"), (1.0, "in 1 s")],
)
def test_moments_are_told_from_now(seconds: float, text: str) -> None:
    """The future is `in`, the past is `ago`, and what is nearer than a second is now."""
    assert humanize.relative(seconds) == text


def test_a_time_is_utc_to_the_second() -> None:
    """A Unix time shows its date, time and zone; a part of a second is cut."""
    assert humanize.utc_time(1_780_185_600.9) == "2026-05-31 00:00:00 UTC"


@given(st.floats(min_value=1, max_value=253_402_300_799))
def test_a_time_can_be_read_back(at: float) -> None:
    """Every time that a reply can hold has a text, and the text means that time."""
    assert parse_time(humanize.utc_time(at).removesuffix(" UTC")) == math.floor(at)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (9.0, "9s"), (90.0, "1m30s"), (0.5, "500ms"), (86_400.0, "1d"), (90_061.001, "1d1h1m1s1ms")],
)
def test_settings_are_written_as_the_config_does(seconds: float, text: str) -> None:
    """A duration of the config is shown in the config's own notation."""
    assert humanize.duration_setting(seconds) == text


@given(st.integers(min_value=0, max_value=10**12))
def test_a_setting_can_be_read_back(milliseconds: int) -> None:
    """What is shown as a setting means the same when it is pasted into a config."""
    text = humanize.duration_setting(milliseconds / 1000)
    assert parse_duration(text) == pytest.approx(milliseconds / 1000)


def test_counts_take_a_plural() -> None:
    """One gateway is no gateways."""
    assert [humanize.counted(count, "gateway") for count in (0, 1, 2000)] == [
        "0 gateways",
        "1 gateway",
        "2,000 gateways",
    ]
