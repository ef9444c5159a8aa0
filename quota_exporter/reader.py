"""Values taken out of a document by expressions, with a note of each that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from quota_exporter.expression import Evaluation, Expression, Nothing, is_true
from quota_exporter.functions import items_of
from quota_exporter.numbers import TimeFormat, is_never, parse_number, parse_period, parse_time
from quota_exporter.quota import Dropped, Problem

# So many items of a list are looked at for buckets: no gateway has more that anybody would watch one by one.
MAX_ITEMS = 1000


class Absent(Enum):
    """Why an amount is not there."""

    NOT_ASKED = "the mapping does not ask for it"
    NULL = "the reply says null"
    MISSING = "the reply does not have it"
    NOT_A_NUMBER = "the reply has something else"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an expression of the mapping's `field` gave: a JSON value, or why it gave nothing."""

    field: str
    text: str
    value: Any


@dataclass(slots=True)
class Notes:
    """What was dropped, how often, and if asked for what each expression gave."""

    counts: dict[tuple[Problem, str], int] = field(default_factory=dict)
    evaluated: list[Evaluated] | None = None

    def drop(self, problem: Problem, where: str, expression: Expression | None = None, count: int = 1) -> None:
        """Count values that cannot be used; `where` is the mapping's field."""
        if count:
            key = problem, where if expression is None else f"{where} ({expression.text})"
            self.counts[key] = self.counts.get(key, 0) + count

    def apart(self) -> Notes:
        """Return notes with counts of their own; what each expression gives is told here."""
        return Notes(evaluated=self.evaluated)

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """What was dropped so far."""
        return tuple(Dropped(problem, where, count) for (problem, where), count in self.counts.items())


def rows(value: Any, expression: Expression) -> list[Any] | None:
    """Return the items of a list that `expression` gave, or the members of a map as {key, value}; None for all else."""
    if value is None and expression.path is not None:
        # An expression that is more than a path gives null also for what the reply does not have.
        return []
    if isinstance(value, dict):
        return items_of(value)
    return value if isinstance(value, list) else None


class Reader:
    """Takes values out of a document, or out of one item of it; `now` is Unix seconds."""

    __slots__ = ("_evaluation", "notes", "now")

    def __init__(self, evaluation: Evaluation, now: float, notes: Notes) -> None:
        self._evaluation = evaluation
        self.now = now
        self.notes = notes

    def at(self, item: Any, notes: Notes | None = None) -> Reader:
        """Return a reader of one item, with notes of its own if given."""
        return Reader(self._evaluation.at(item), self.now, self.notes if notes is None else notes)

    def raw(self, expression: Expression, field: str) -> Any:
        """Return what an expression gives, Nothing included."""
        value = self._evaluation.value(expression)
        if self.notes.evaluated is not None:
            self.notes.evaluated.append(Evaluated(field, expression.text, value))
        return value

    def value(self, expression: Expression | None, field: str) -> Any:
        """Return what an expression gives, None when that is nothing; an expression that fails is counted."""
        if expression is None:
            return None
        value = self.raw(expression, field)
        if value is Nothing.FAILED:
            self.notes.drop(Problem.UNRESOLVED, field, expression)
        return None if isinstance(value, Nothing) else value

    def holds(self, expression: Expression, field: str) -> bool:
        """Whether an expression gives what JMESPath takes for true."""
        return is_true(self.value(expression, field))

    def time(self, expression: Expression | None, field: str, form: TimeFormat | None) -> float | None:
        """Return a time as Unix seconds; one that means never is none, and no problem."""
        value = self.value(expression, field)
        if is_never(value):
            return None
        seconds = parse_time(value, form, now=self.now)
        if seconds is None:
            self.notes.drop(Problem.BAD_TIME, field, expression)
        return seconds

    def period(self, expression: Expression | None, field: str) -> float | None:
        """Return a length of time in seconds."""
        value = self.value(expression, field)
        seconds = None if value is None else parse_period(value, self.now)
        if value is not None and seconds is None:
            self.notes.drop(Problem.NOT_A_NUMBER, field, expression)
        return seconds

    def amount(self, expression: Expression | None, field: str) -> float | Absent:
        """Return a number, or why there is none, which is not counted."""
        if expression is None:
            return Absent.NOT_ASKED
        value = self.raw(expression, field)
        if isinstance(value, Nothing):
            return Absent.MISSING
        if value is None:
            # An expression that is more than a path gives null also for what the reply does not have.
            return Absent.NULL if expression.path else Absent.MISSING
        number = parse_number(value)
        return Absent.NOT_A_NUMBER if number is None else number

    def items(self, expression: Expression, field: str) -> list[Any] | None:
        """Return the items of a list, or the members of a map as {key, value}; None when it is neither, counted."""
        items = rows(self.raw(expression, field), expression)
        if items is None:
            self.notes.drop(Problem.UNRESOLVED, field, expression)
        return items

    def readers(self, expression: Expression | None, field: str) -> Iterator[Reader]:
        """Give a reader for each item, or this one without an expression."""
        if expression is None:
            yield self
            return
        items = self.items(expression, field) or []
        for item in items[:MAX_ITEMS]:
            yield self.at(item)
        self.notes.drop(Problem.TOO_MANY, field, count=len(items) - len(items[:MAX_ITEMS]))
