"""The functions of expressions: what each gives, that null stays null, that nothing is made up."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.expression import Evaluation, Nothing, compile_expression
from quota_exporter.functions import OwnFunctions

NOON = 1779969600.0  # Thursday 2026-05-28 12:00:00 UTC
MIDNIGHT = 1780012800.0
MONDAY = 1780272000.0  # 2026-06-01, which is the first of a month as well
HEADERS = {
    "key": {"x-remaining": "12", "x-empty": ""},
    "usage": {"x-remaining": "7", "x-used": "5"},
}
FAILED = Nothing.FAILED


def unix(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]  # year, month, day, ...


def give(text: str, reply: Any) -> Any:
    return Evaluation(reply, NOON, HEADERS).value(compile_expression(text))


@pytest.mark.parametrize(
    ("text", "reply", "value"),
    [
        ("has(@, 'a')", {"a": None}, True),
        ("has(@, 'a')", {"b": 1}, False),
        ("has(@, 'a')", ["a"], False),
        ("has(x, 'a')", {"x": "a"}, False),
        ("has(x, 'a')", {}, None),
        ("has(@, x)", {"x": 1}, FAILED),
        ("has(@, x)", {}, FAILED),
    ],
)
def test_has_tells_a_member_that_is_null_from_one_that_is_missing(text: str, reply: Any, value: Any) -> None:
    """has() is about an object's own members; of null it knows nothing."""
    assert give(text, reply) is value


@pytest.mark.parametrize(
    ("text", "reply", "value"),
    [
        ("get(a, b)", {"a": {"x y": 5}, "b": "x y"}, 5),
        ("get(a, b)", {"a": {"x": None}, "b": "x"}, None),
        ("get(a, b)", {"a": {"x": 5}, "b": "z"}, None),
        ("get(a, b)", {"a": {"x": 5}}, None),
        ("get(a, b)", {"b": "x"}, None),
        ("get(a, b)", {"a": [5], "b": "x"}, FAILED),
        ("get(a, b)", {"a": {"5": 5}, "b": 5}, FAILED),
        ('get(`{"3": 3600}`, to_string(unit))', {"unit": 3}, 3600),
        ('get(`{"3": 3600}`, to_string(unit))', {"unit": 4}, None),
    ],
)
def test_get_finds_a_member_by_a_computed_name(text: str, reply: Any, value: Any) -> None:
    """get() is null where there is no such member, object or name."""
    assert give(text, reply) == value


def test_root_is_the_document_wherever_it_is_called() -> None:
    """root() leads back to the whole document from an item, a projection and a filter."""
    reply = {"of": "b", "list": [{"name": "a", "n": 1}, {"name": "b", "n": 2}]}
    assert give("root()", reply) is reply
    assert give("list[?name == root().of].n", reply) == [2]
    assert give("list[*].[n, root().of]", reply) == [[1, "b"], [2, "b"]]
    assert Evaluation(reply, NOON, {}).at(reply["list"][0]).value(compile_expression("root().of")) == "b"


@pytest.mark.parametrize(
    ("text", "reply", "value"),
    [
        ("items(a)", {"a": {"x": 1, "y": None}}, [{"key": "x", "value": 1}, {"key": "y", "value": None}]),
        ("items(a)", {"a": {}}, []),
        ("items(a)", {}, None),
        ("items(a)", {"a": [1]}, FAILED),
        ("items(a)[?value > `1`].key", {"a": {"x": 1, "y": 2}}, ["y"]),
    ],
)
def test_items_are_the_members_of_an_object(text: str, reply: Any, value: Any) -> None:
    """items() keeps the order and the nulls of an object."""
    assert give(text, reply) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("add(a, b)", 3.5),
        ("add(a, b, a, s)", 10.5),
        ("sub(a, b)", 0.5),
        ("sub(s, a)", 3.0),
        ("mul(a, s)", 10.0),
        ("div(s, a)", 2.5),
        ("div(a, `100`)", 0.02),
        ("sub(z, z)", 0.0),
        ("mul(a, `-1`)", -2.0),
    ],
)
def test_sums_take_numbers_and_numeric_text(text: str, value: float) -> None:
    """Arithmetic reads what any amount may be: a number or text that is one."""
    assert give(text, {"a": 2, "b": 1.5, "s": "5", "z": 0}) == pytest.approx(value)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_sums_are_null_when_a_part_is(name: str) -> None:
    """A part that is missing makes the result unknown, and never counts as 0."""
    for text in (f"{name}(gone, a)", f"{name}(a, gone)", f"{name}(gone, gone)", f"{name}(gone, text)"):
        assert give(text, {"a": 2, "text": "n/a"}) is None
    assert give("add(a, a, gone)", {"a": 2}) is None


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("wrong", ["", "n/a", "1_000", "1e400", True, [], {}, [1], math.nan, math.inf, 10**400])
def test_sums_of_what_is_no_number_fail(name: str, wrong: Any) -> None:
    """Nothing that is no number takes part in arithmetic."""
    assert give(f"{name}(a, b)", {"a": 2, "b": wrong}) is FAILED
    assert give(f"{name}(b, a)", {"a": 2, "b": wrong}) is FAILED


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("div(a, b)", {"a": 1, "b": 0}),
        ("div(a, b)", {"a": 0, "b": "0"}),
        ("div(a, b)", {"a": 1e308, "b": 1e-10}),
        ("mul(a, b)", {"a": 1e308, "b": 10}),
        ("add(a, b)", {"a": 1.7e308, "b": 1.7e308}),
        ("sub(a, b)", {"a": -1.7e308, "b": 1.7e308}),
        ("sum(a)", {"a": [1.7e308, 1.7e308]}),
        ("avg(a)", {"a": [1.7e308, 1.7e308]}),
    ],
)
def test_results_that_are_no_finite_number_fail(text: str, reply: Any) -> None:
    """A division by 0 or a number too large is no value."""
    assert give(text, reply) is FAILED


@given(st.sampled_from(["add", "sub", "mul", "div"]), st.floats(), st.floats())
def test_arithmetic_is_finite_or_fails(name: str, left: float, right: float) -> None:
    """No two numbers give NaN or an infinity."""
    value = give(f"{name}(a, b)", {"a": left, "b": right})
    assert value is FAILED or math.isfinite(value)


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("number(x)", 5, 5.0),
        ("number(x)", "5.5", 5.5),
        ("number(x)", None, None),
        ("number(x)", "", FAILED),
        ("number(x)", "$5", FAILED),
        ("number(x)", True, FAILED),
        ("number(x)", [5], FAILED),
        ("number(x, '$%,')", "$1,234.50", 1234.5),
        ("number(x, '$%,')", "85%", 85.0),
        ("number(x, '$')", "1,234", FAILED),
        ("number(x, '$')", "$", FAILED),
        ("number(x, '$')", None, None),
        ("number(x, '$')", 5, 5.0),
        ("number(x, '')", "5", 5.0),
        ("number(x, y)", "5", FAILED),
    ],
)
def test_number_reads_text_with_signs_around_it(text: str, x: Any, value: Any) -> None:
    """number() strips what it is told to strip, and is strict about the rest."""
    assert give(text, {"x": x}) == value


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("time(x, 'unix')", 1780185600, 1780185600.0),
        ("time(x, 'unix_ms')", "1780185600123", 1780185600.123),
        ("time(x, 'in_s')", 90, NOON + 90),
        ("time(x, 'in_ms')", 1600, NOON + 2),
        ("time(x, 'rfc3339')", "2026-05-28T12:00:00Z", NOON),
        ("time(x, 'rfc3339')", 1780185600, FAILED),
        ("time(x, 'unix')", "soon", FAILED),
        ("time(x, 'unix')", True, FAILED),
        ("time(x, 'unix')", [], FAILED),
        ("time(x, join('', ['epoch']))", 1780185600, FAILED),
        ("time(x, join('', ['epoch']))", None, FAILED),
        *(("time(x, 'unix')", never, None) for never in (None, 0, -1, "", "0", "-1")),
    ],
)
def test_time_reads_one_form(text: str, x: Any, value: Any) -> None:
    """time() gives Unix seconds, null for never, and fails on another form."""
    assert give(text, {"x": x}) == value


@pytest.mark.parametrize(
    ("start", "period", "end"),
    [
        ("2026-01-31T00:00:00Z", "1M", unix(2026, 2, 28)),
        ("2024-02-29T00:00:00Z", "1Y", unix(2025, 2, 28)),
        ("2026-12-31T23:00:00Z", "1h", unix(2027, 1, 1)),
        (unix(2026, 5, 1), "weekly", unix(2026, 5, 8)),
        (str(int(unix(2026, 5, 1))), "30d", unix(2026, 5, 31)),
        (unix(2026, 5, 1) * 1000, 86400, unix(2026, 5, 2)),
        (unix(2026, 5, 1), "86400", unix(2026, 5, 2)),
        (unix(2026, 5, 1), "720h0m0s", unix(2026, 5, 31)),
        (unix(2026, 5, 1), -86400, unix(2026, 4, 30)),
        (None, "1d", None),
        (0, "1d", None),
        ("", "1d", None),
        (-1, "soon", None),
        (unix(2026, 5, 1), None, None),
        (unix(2026, 5, 1), "soon", FAILED),
        (unix(2026, 5, 1), "", FAILED),
        (unix(2026, 5, 1), True, FAILED),
        ("soon", "1d", FAILED),
        ("9999-12-31T00:00:00Z", "1M", FAILED),
        (unix(2026, 5, 1), 1e300, FAILED),
    ],
)
def test_plus_is_the_time_that_comes_a_period_later(start: Any, period: Any, end: Any) -> None:
    """plus() knows calendar months and durations; without start or period there is no end."""
    assert give("plus(start, period)", {"start": start, "period": period}) == end


@pytest.mark.parametrize(
    ("x", "value"),
    [
        ("daily", MIDNIGHT),
        ("1d", MIDNIGHT),
        ("day", MIDNIGHT),
        ("hourly", NOON + 3600),
        ("weekly", MONDAY),
        ("7d", MONDAY),
        ("monthly", MONDAY),
        ("1M", MONDAY),
        ("quarterly", unix(2026, 7, 1)),
        ("yearly", unix(2027, 1, 1)),
        ("30d", None),
        ("lifetime", None),
        ("", None),
        (5, None),
        (None, None),
        (True, None),
        ({}, None),
    ],
)
def test_next_is_the_end_of_the_running_interval(x: Any, value: Any) -> None:
    """next() knows calendar intervals; all else has no end."""
    assert give("next(x)", {"x": x}) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("header('X-Remaining')", "12"),
        ("header('x-remaining', 'key')", "12"),
        ("header('x-remaining', 'usage')", "7"),
        ("header('x-used')", None),
        ("header('x-used', 'usage')", "5"),
        ("header('x-used', 'team')", None),
        ("header('x-empty')", ""),
        ("number(header('x-remaining'))", 12.0),
        ("header(gone)", FAILED),
    ],
)
def test_headers_are_those_of_the_first_reply_or_of_a_named_one(text: str, value: Any) -> None:
    """header() ignores case; a field or reply that is not there is null."""
    assert give(text, {}) == value


def test_without_replies_there_are_no_headers() -> None:
    """header() is null where nothing was asked."""
    assert Evaluation({}, NOON, {}).value(compile_expression("header('x')")) is None


@pytest.mark.parametrize(
    ("text", "reply", "value"),
    [
        ("to_number(x)", {"x": "12.5"}, 12.5),
        ("to_number(x)", {"x": "1_000"}, None),
        ("to_number(x)", {"x": " 1"}, None),
        ("to_number(x)", {"x": "Infinity"}, None),
        ("to_number(x)", {"x": True}, None),
        ("to_number(x)", {"x": ""}, None),
        ("to_number(x)", {}, None),
        ("sum(x)", {"x": [1, 2.5, "3"]}, 6.5),
        ("sum(x)", {"x": []}, None),
        ("sum(x)", {"x": [1, None]}, FAILED),
        ("sum(x)", {"x": [1, True]}, FAILED),
        ("sum(x)", {"x": [1, "abc"]}, FAILED),
        ("sum(x)", {}, FAILED),
        ("sum(items[].renamed)", {"items": [{"spent": 3}]}, None),
        ("avg(x)", {"x": [1, 2]}, 1.5),
        ("avg(x)", {"x": []}, None),
        ("avg(x)", {"x": [1, None]}, FAILED),
        ("abs(x)", {"x": "a"}, FAILED),
        ("x[::0]", {"x": [1]}, FAILED),
        ("ceil(x)", {"x": 1e999}, FAILED),
        ("max_by(x, &a)", {"x": [{"a": 1}, {"a": "b"}]}, FAILED),
        ("a || b", {"a": 0, "b": 1}, 0),
    ],
)
def test_jmespaths_own_functions_are_strict(text: str, reply: Any, value: Any) -> None:
    """Nothing that is no number is summed; every error is FAILED, not an exception."""
    assert give(text, reply) == value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "a", "daily", "1M", "5", "unix"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("name", sorted(OwnFunctions.FUNCTION_TABLE))
@given(arguments=st.lists(VALUES, min_size=3, max_size=3), count=st.integers(0, 3))
def test_no_argument_makes_a_function_raise(name: str, arguments: list[Any], count: int) -> None:
    """Whatever a reply hands to a function, the result is a value or FAILED, and no NaN or infinity of our own."""
    own = {"add", "sub", "mul", "div", "number", "time", "plus", "next", "to_number", "sum", "avg"}
    names = ", ".join(f"v{number}" for number in range(count))
    try:
        expression = compile_expression(f"{name}({names})")
    except ValueError:
        return  # so many arguments it does not take
    reply = {f"v{number}": value for number, value in enumerate(arguments)}
    value = Evaluation(reply, NOON, HEADERS).value(expression)
    if name in own and isinstance(value, float):
        assert math.isfinite(value)
