"""The functions that expressions may call: JMESPath's, our own, strict ones for those that invent numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from jmespath.exceptions import JMESPathTypeError
from jmespath.functions import Functions, signature

from quota_exporter.numbers import (
    TimeFormat,
    add_span,
    is_never,
    next_boundary,
    parse_number,
    parse_span,
    parse_time,
)

_MAX_JOINED = 1 << 16  # characters of separators
_ANY: Any = {"types": []}
_AMOUNT: Any = {"types": ["number", "string", "null"]}
_AMOUNTS: Any = {**_AMOUNT, "variadic": True}
_TEXT_AND_MORE: Any = {"types": ["string"], "variadic": True}
_ANY_AND_MORE: Any = {"types": [], "variadic": True}

MOST_ARGUMENTS: Mapping[str, int] = {"number": 2, "header": 2}
"""How many arguments a function takes at most that may be called with fewer."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an expression can see beside the value that it is evaluated on.

    `root` is the whole document, `now` Unix seconds. `headers` holds the header fields of the replies by request
    id, the first request's first.
    """

    root: Any
    now: float
    headers: Mapping[str, Mapping[str, str]]


class OwnFunctions(Functions):
    """What a call in an expression does."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    @signature(_ANY, {"types": ["string"]})
    def _func_has(self, value: Any, member: str) -> bool | None:
        """Whether `value` is an object with this member, be it null; null for null."""
        return None if value is None else isinstance(value, dict) and member in value

    @signature({"types": ["object", "null"]}, {"types": ["string", "null"]})
    def _func_get(self, value: dict[str, Any] | None, member: str | None) -> Any:
        """The member of an object whose name is computed; null when there is none."""
        return None if value is None or member is None else value.get(member)

    @signature()
    def _func_root(self) -> Any:
        """The whole document, also where `@` is one item of it."""
        return self._surroundings.root

    @signature({"types": ["object", "null"]})
    def _func_items(self, value: dict[str, Any] | None) -> list[dict[str, Any]] | None:
        """The members of an object as a list of {key, value}."""
        return None if value is None else items_of(value)

    @signature(_AMOUNT, _AMOUNTS)
    def _func_add(self, *values: Any) -> float | None:
        numbers = _numbers_or_none("add", values)
        return None if numbers is None else _finite("add", math.fsum(numbers))

    @signature(_AMOUNT, _AMOUNT)
    def _func_sub(self, minuend: Any, subtrahend: Any) -> float | None:
        numbers = _numbers_or_none("sub", (minuend, subtrahend))
        return None if numbers is None else _finite("sub", numbers[0] - numbers[1])

    @signature(_AMOUNT, _AMOUNT)
    def _func_mul(self, left: Any, right: Any) -> float | None:
        numbers = _numbers_or_none("mul", (left, right))
        return None if numbers is None else _finite("mul", numbers[0] * numbers[1])

    @signature(_AMOUNT, _AMOUNT)
    def _func_div(self, dividend: Any, divisor: Any) -> float | None:
        numbers = _numbers_or_none("div", (dividend, divisor))
        return None if numbers is None else _finite("div", numbers[0] / numbers[1])

    @signature(_ANY_AND_MORE)
    def _func_number(self, value: Any, *strip: Any) -> float | None:
        """A number, or text that is one once the characters of `strip` are removed, as in number(x, '$,')."""
        if value is None:
            return None
        if isinstance(value, str) and strip:
            value = value.translate(str.maketrans("", "", _text("number", strip[0])))
        return _number("number", value)

    @signature(_AMOUNT, {"types": ["string"]})
    def _func_time(self, value: Any, form: TimeFormat) -> float | None:
        """A time in this form as Unix seconds; null for what means never."""
        if form not in get_args(TimeFormat):
            raise JMESPathTypeError("time", form, "string", list(get_args(TimeFormat)))
        if is_never(value):
            return None
        seconds = parse_time(value, form, now=self._surroundings.now)
        if seconds is None:
            raise JMESPathTypeError("time", value, type(value).__name__, ["time"])
        return seconds

    @signature(_AMOUNT, _AMOUNT)
    def _func_plus(self, start: Any, period: Any) -> float | None:
        """Unix seconds of the time that comes a period (seconds, `1h`, `1M`, `weekly`) after a start; null for null."""
        if is_never(start) or period is None:
            return None
        seconds, span = parse_time(start), _span(period)
        end = None if seconds is None or span is None else add_span(seconds, span)
        if end is None:
            raise JMESPathTypeError("plus", period, type(period).__name__, ["time", "duration"])
        return end

    @signature(_ANY)
    def _func_next(self, word: Any) -> float | None:
        """Unix time at which the `daily`, `weekly`, `monthly` ... interval ends (UTC); null for all else."""
        return next_boundary(word, self._surroundings.now)

    @signature(_TEXT_AND_MORE)
    def _func_header(self, name: str, *request: str) -> str | None:
        """A header field of the reply; with several requests of the first one's, or of the one that is named."""
        fields = self._surroundings.headers
        chosen = fields.get(request[0]) if request else next(iter(fields.values()), None)
        return None if chosen is None else chosen.get(name.lower())

    @signature({"types": ["string", "number", "boolean", "null"]})
    def _func_to_string(self, value: Any) -> str:
        """Text of what is no list and no object: theirs could be as large as the reply, again and again."""
        return value if isinstance(value, str) else json.dumps(value)

    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, texts: list[str]) -> str:
        if len(separator) * len(texts) > _MAX_JOINED:
            raise JMESPathTypeError("join", separator, "string", ["shorter string"])
        return separator.join(texts)

    @signature(_ANY)
    def _func_to_number(self, value: Any) -> float | None:
        return parse_number(value)

    @signature({"types": ["array"]})
    def _func_sum(self, values: list[Any]) -> float | None:
        # The sum of nothing is unknown: a list that lost its members must not read as 0.
        return _finite("sum", math.fsum(_number("sum", value) for value in values)) if values else None

    @signature({"types": ["array"]})
    def _func_avg(self, values: list[Any]) -> float | None:
        return _finite("avg", math.fsum(_number("avg", value) for value in values) / len(values)) if values else None


def items_of(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the members of an object as a list of {key, value}."""
    return [{"key": key, "value": item} for key, item in value.items()]


def _numbers_or_none(function: str, values: tuple[Any, ...]) -> list[float] | None:
    return None if any(value is None for value in values) else [_number(function, value) for value in values]


def _number(function: str, value: Any) -> float:
    number = parse_number(value)
    if number is None:
        raise JMESPathTypeError(function, value, type(value).__name__, ["number"])
    return number


def _finite(function: str, number: float) -> float:
    if not math.isfinite(number):
        raise JMESPathTypeError(function, number, "number", ["finite number"])
    return number


def _text(function: str, value: Any) -> str:
    if not isinstance(value, str):
        raise JMESPathTypeError(function, value, type(value).__name__, ["string"])
    return value


def _span(period: Any) -> tuple[int, float] | None:
    seconds = parse_number(period)
    if seconds is not None:
        return (0, seconds)
    return parse_span(period) if isinstance(period, str) else None
