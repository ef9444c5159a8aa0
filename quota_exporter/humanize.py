"""Amounts, shares, durations and times as people read them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

_TOO_LONG_TO_READ = 1e15
_CENT = 0.01
_ROUNDING_ERROR = 1e-9  # of 0.29 * 100, which is 28.999999999999996
_MANY = 10  # from here on a fraction of a percent or of a second tells nothing
_READABLE_UNITS = {"y": 31_536_000, "d": 86_400, "h": 3_600, "min": 60, "s": 1}
_SETTING_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def number(value: float) -> str:
    """Return 4750000.0 as 4,750,000 and 1234.5 as 1,234.5: two decimals, of tiny values two digits."""
    if abs(value) >= _TOO_LONG_TO_READ:
        return f"{value:.3g}"
    decimals = 2
    if 0 < abs(value) < _CENT:
        decimals = 1 - math.floor(math.log10(abs(value)))
    text = f"{value:,.{decimals}f}".rstrip("0").removesuffix(".")
    return "0" if text == "-0" else text


def figure(value: float, unit: str) -> str:
    """Return an amount without its unit, which is a currency code or the name of a kind: 4.50 of USD."""
    is_money = re.fullmatch("[A-Z]{3}", unit) is not None
    if is_money and (value == 0 or _CENT <= abs(value) < _TOO_LONG_TO_READ):
        return f"{abs(value) if value == 0 else value:,.2f}"
    return number(value)


def amount(value: float, unit: str) -> str:
    """Return an amount with its unit, a currency code or the name of a kind: 4.50 USD, 1 token."""
    return f"{figure(value, unit)} {unit.removesuffix('s') if value == 1 else unit}"


def percent(ratio: float) -> str:
    """Return 0.957 as 95%: rounded down, so that it never promises more than there is; below 10% to a tenth."""
    share = ratio * 100 + _ROUNDING_ERROR
    if ratio > 0 and share < 0.1:  # noqa: PLR2004 - a tenth
        return "<0.1%"
    if abs(share) < _MANY:
        return f"{math.floor(share * 10) / 10:g}%"
    return f"{math.floor(share):,}%"


def duration(seconds: float) -> str:
    """Return a length of 0 or more seconds in its two largest units, cut: 3 d 4 h, 12 s, 350 ms."""
    if 0 < seconds < 1:
        milliseconds = math.floor(seconds * 1000 + _ROUNDING_ERROR)
        return f"{milliseconds} ms" if milliseconds else "<1 ms"
    if seconds < _MANY:
        return f"{math.floor(seconds * 10 + _ROUNDING_ERROR) / 10:g} s"
    rest = math.floor(seconds)
    parts = []
    for unit, length in _READABLE_UNITS.items():
        count, rest = divmod(rest, length)
        parts.append((count, unit))
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count:,} {unit}" for count, unit in parts[first : first + 2] if count)


def relative(seconds: float) -> str:
    """Return how far a moment is from now, in seconds that are negative for the past: in 3 d 4 h, 12 s ago."""
    if abs(seconds) < 1:
        return "now"
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"


def utc_time(at: float) -> str:
    """Return a Unix time of the years 1 to 9999 as 2026-05-31 00:00:00 UTC."""
    return datetime.fromtimestamp(math.floor(at), UTC).isoformat(" ").removesuffix("+00:00") + " UTC"


def duration_setting(seconds: float) -> str:
    """Return 0 or more seconds, to the millisecond, as the config writes them: 1m30s, 500ms, 0s."""
    rest = round(seconds * 1000)
    parts = []
    for unit, length in _SETTING_UNITS_MS.items():
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which takes an s: 1 gateway, 1,000 gateways."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
