"""Values taken out of a document, and the notes of those that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.expression import Evaluation, Nothing, compile_expression, constant
from quota_exporter.quota import Dropped, Problem
from quota_exporter.reader import MAX_ITEMS, Absent, Evaluated, Notes, Reader

NOW = 1779000000.0  # 2026-05-17 06:40:00 UTC, a Sunday


def reader_of(document: Any, notes: Notes | None = None) -> Reader:
    return Reader(Evaluation(document, NOW, {}), NOW, Notes() if notes is None else notes)


def test_notes_count_each_problem_of_each_field() -> None:
    """What is dropped twice is one entry with its count; the expression's text tells where to look."""
    notes = Notes()
    path = compile_expression("a.b")
    notes.drop(Problem.UNRESOLVED, "limit", path)
    notes.drop(Problem.UNRESOLVED, "limit", path)
    notes.drop(Problem.NOT_A_NUMBER, "limit", path)
    notes.drop(Problem.TOO_MANY, "each", count=7)
    notes.drop(Problem.TOO_MANY, "each", count=0)
    notes.drop(Problem.DUPLICATE, "name", count=0)
    assert notes.dropped == (
        Dropped(Problem.UNRESOLVED, "limit (a.b)", 2),
        Dropped(Problem.NOT_A_NUMBER, "limit (a.b)"),
        Dropped(Problem.TOO_MANY, "each", 7),
    )


def test_what_expressions_gave_is_kept_when_asked_for() -> None:
    """A person who writes a mapping can see each value, in the order in which it was taken."""
    notes = Notes(evaluated=[])
    reader = reader_of({"a": {"b": None}}, notes)
    reader.value(compile_expression("a.b"), "used")
    reader.amount(compile_expression("a.c"), "limit")
    reader.at({"a": 5}).raw(compile_expression("abs(a)"), "x")
    reader.value(None, "never asked")
    assert notes.evaluated == [
        Evaluated("used", "a.b", None),
        Evaluated("limit", "a.c", Nothing.MISSING),
        Evaluated("x", "abs(a)", 5),
    ]


@pytest.mark.parametrize(
    ("text", "value", "counted"),
    [("a", 5, False), ("n", None, False), ("gone", None, False), ("abs(t)", None, True)],
)
def test_a_value_that_fails_is_counted_and_one_that_is_missing_is_not(text: str, value: Any, *, counted: bool) -> None:
    """Values other than amounts may be absent; an expression that breaks is noted."""
    reader = reader_of({"a": 5, "n": None, "t": "text"})
    assert reader.value(compile_expression(text), "f") == value
    assert reader.notes.dropped == ((Dropped(Problem.UNRESOLVED, f"f ({text})"),) if counted else ())


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("a", 5.0),
        ("s", 5.5),
        ("n", Absent.NULL),
        ("gone", Absent.MISSING),
        ("a.b", Absent.MISSING),
        ("t", Absent.NOT_A_NUMBER),
        ("y", Absent.NOT_A_NUMBER),
        ("l", Absent.NOT_A_NUMBER),
        ("n || gone", Absent.MISSING),  # more than a path cannot tell
        ("abs(t)", Absent.MISSING),
        ("`7`", 7.0),
    ],
)
def test_an_amount_is_a_number_or_a_reason_why_not(text: str, amount: Any) -> None:
    """Null, missing and no number are three things; none of them is counted yet."""
    reader = reader_of({"a": 5, "s": "5.5", "n": None, "t": "text", "y": True, "l": [1]})
    assert reader.amount(compile_expression(text), "f") == amount
    assert reader.notes.dropped == ()


def test_amounts_may_be_constant_or_not_asked_for() -> None:
    """A number of the mapping is its own value; no expression is no amount."""
    assert reader_of({}).amount(constant(100), "f") == 100.0
    assert reader_of({}).amount(None, "f") is Absent.NOT_ASKED


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ([1, None], [1, None]),
        ([], []),
        ({"a": 1, "b": None}, [{"key": "a", "value": 1}, {"key": "b", "value": None}]),
        ({}, []),
        (None, []),
    ],
)
def test_items_are_those_of_a_list_or_a_map(value: Any, items: Any) -> None:
    """A map is gone through by its members; null at a plain path is nothing to go through."""
    reader = reader_of({"a": value})
    assert reader.items(compile_expression("a"), "each") == items
    assert reader.notes.dropped == ()


@pytest.mark.parametrize("text", ["a[]", "a[*]", "a[?b]", "items(a)", "a || b", "@.a", "[a][0]"])
def test_null_that_an_expression_computes_is_no_empty_list(text: str) -> None:
    """What is more than a plain path gives null also for a list that was renamed, which must be seen."""
    reader = reader_of({"renamed": [1]})
    assert reader.items(compile_expression(text), "each") is None
    assert reader.notes.dropped == (Dropped(Problem.UNRESOLVED, f"each ({text})"),)


@pytest.mark.parametrize("text", ["a[]", "a[?b]", "a || `[]`", "items(a || `{}`)"])
def test_a_list_that_is_empty_or_may_be_left_out_is_no_problem(text: str) -> None:
    """An empty list has no items, and a mapping can say that a missing one is empty."""
    reader = reader_of({} if "||" in text else {"a": []})
    assert reader.items(compile_expression(text), "each") == []
    assert reader.notes.dropped == ()


@pytest.mark.parametrize("document", [{}, {"a": 5}, {"a": "text"}, {"a": True}, []])
def test_what_has_no_items_is_counted(document: Any) -> None:
    """A list that was renamed, or is something else now, must be seen."""
    reader = reader_of(document)
    assert reader.items(compile_expression("a"), "each") is None
    assert list(reader.readers(compile_expression("a"), "each")) == []
    assert reader.notes.dropped == (Dropped(Problem.UNRESOLVED, "each (a)", 2),)


def test_items_beyond_the_cap_are_counted_and_not_looked_at() -> None:
    """However long a list is, so many items are looked at."""
    reader = reader_of({"a": list(range(MAX_ITEMS + 3))})
    readers = list(reader.readers(compile_expression("a"), "each"))
    assert [inside.raw(compile_expression("@"), "f") for inside in readers] == list(range(MAX_ITEMS))
    assert reader.notes.dropped == (Dropped(Problem.TOO_MANY, "each", 3),)


def test_without_expression_the_reader_itself_is_the_only_one() -> None:
    """A rule without `each` is applied once, to the whole document."""
    reader = reader_of({})
    assert list(reader.readers(None, "each")) == [reader]


def test_a_reader_of_an_item_shares_the_notes_unless_it_gets_its_own() -> None:
    """What is dropped within an item counts for the document, or for the item alone."""
    reader, own = reader_of({}), Notes()
    assert reader.at({}).notes is reader.notes
    assert reader.at({}, own).notes is own


@pytest.mark.parametrize(
    ("value", "form", "seconds", "counted"),
    [
        (1780185600, None, 1780185600.0, False),
        (90, "in_s", NOW + 90, False),
        (0, "in_s", None, False),
        (-1, "unix", None, False),
        ("", None, None, False),
        (None, None, None, False),
        ("soon", None, None, True),
        (1780185600, "rfc3339", None, True),
        (True, "unix", None, True),
    ],
)
def test_a_time_is_read_in_its_form(value: Any, form: Any, seconds: float | None, *, counted: bool) -> None:
    """A time that means never is none and no problem; one that cannot be read is counted."""
    reader = reader_of({"a": value})
    assert reader.time(compile_expression("a"), "f", form) == seconds
    assert reader.notes.dropped == ((Dropped(Problem.BAD_TIME, "f (a)"),) if counted else ())
