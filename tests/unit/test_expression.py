"""Expressions of mappings: what is refused at load, what they give for a reply."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.expression import (
    Evaluation,
    ExpressionError,
    Nothing,
    compile_expression,
    constant,
    is_true,
)

NOON = 1779969600.0  # Thursday 2026-05-28 12:00:00 UTC
MIDNIGHT = 1780012800.0
MONDAY = 1780272000.0  # 2026-06-01, which is the first of a month as well


def give(text: str, reply: Any) -> Any:
    return Evaluation(reply, NOON).value(compile_expression(text))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("tokens", ("tokens",)),
        ("data.limit", ("data", "limit")),
        ('a.b."gpt-4.1".c', ("a", "b", "gpt-4.1", "c")),
        ("(a.b).c", ("a", "b", "c")),
        ("a[0].b", None),
        ("a || b", None),
        ("@.a", None),
        ("a.*", None),
        ("a.keys(@)", None),
        ("`5`", None),
    ],
)
def test_plain_paths_are_recognised(text: str, path: tuple[str, ...] | None) -> None:
    """A chain of members is a plain path, whatever else JMESPath offers is not."""
    assert compile_expression(text).path == path


def test_a_plain_path_tells_missing_from_null() -> None:
    """Null is a value of the reply; a member that is not there, or that nothing holds, is missing."""
    assert give("data.limit", {"data": {"limit": None}}) is None
    replies: list[Any] = [{"data": {}}, {"data": None}, {"data": 5}, {"data": [{"limit": 1}]}, {}, []]
    for reply in replies:
        assert give("data.limit", reply) is Nothing.MISSING


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("data.", 6, "not complete"),
        ("data.limit)", 11, "unexpected ')'"),
        ("data limit", 6, "unexpected 'limit'"),
        ("a # b", 3, "Unknown token #"),
        ("a == 'b", 6, "Unclosed ' delimiter"),
        ("a.sum(b) + 1", 10, "Unknown token +"),
        ("data.limit != null", 15, "write `null` in backticks"),
        ("true && a", 1, "write `true` in backticks"),
        ("a == false", 6, "write `false` in backticks"),
        ('type == "tokens"', 9, "write 'tokens' in single quotes"),
        ('type != "tokens"', 9, "write 'tokens' in single quotes"),
        ("lenght(a)", 1, "there is no function lenght()"),
        ("a[?has(@)]", 4, "has() takes 2 argument(s), not 1"),
        ("next('daily', 'x')", 1, "next() takes 1 argument(s), not 2"),
        ("not_null()", 1, "not_null() takes at least 1 argument(s), not 0"),
    ],
)
def test_wrong_expressions_are_refused_with_their_position(text: str, position: int, words: str) -> None:
    """What can be known to be wrong without a reply is refused at load, at the character where it stands."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert f"at character {position}: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "   "])
def test_empty_expressions_are_refused(text: str) -> None:
    """An expression without content is a mistake, not a null."""
    with pytest.raises(ExpressionError, match="is empty"):
        compile_expression(text)


def test_long_expressions_are_refused() -> None:
    """An expression has at most 512 characters."""
    assert compile_expression("a" * 512).path == ("a" * 512,)
    with pytest.raises(ExpressionError, match="longer than 512 characters"):
        compile_expression("a" * 513)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 250 + "a" + ")" * 250,
        "!" * 500 + "a",
        "[" * 200 + "a" + "]" * 200,
        ".".join("a" * 100),
        "||".join("a" * 100),
    ],
)
def test_deep_expressions_are_refused_or_flat(text: str) -> None:
    """No expression can exhaust the stack: parentheses and paths are flat, other nesting ends at 32 levels."""
    try:
        assert compile_expression(text).path in (("a",), ("a",) * 100)
    except ExpressionError as error:
        assert "nested more than 32 levels deep" in str(error)  # noqa: PT017 - either outcome is right


def test_members_named_like_literals_need_quotes() -> None:
    """The member "null" is reached with double quotes, the value with backticks."""
    assert give('a."null"', {"a": {"null": 1}}) == 1
    assert give("a == `null`", {"a": None}) is True


@pytest.mark.parametrize(
    ("text", "reply", "value"),
    [
        ("has(@, 'a')", {"a": None}, True),
        ("has(@, 'a')", {"b": 1}, False),
        ("has(@, 'a')", ["a"], False),
        ("has(x, 'a')", {"x": "a"}, False),
        ("has(x, 'a')", {}, None),
        ("next(x)", {"x": "daily"}, MIDNIGHT),
        ("next(x)", {"x": "weekly"}, MONDAY),
        ("next(x)", {"x": "monthly"}, MONDAY),
        ("next(x)", {"x": "yearly"}, None),
        ("next(x)", {"x": 5}, None),
        ("next(x)", {}, None),
        ("to_number(x)", {"x": "12.5"}, 12.5),
        ("to_number(x)", {"x": "1_000"}, None),
        ("to_number(x)", {"x": " 1"}, None),
        ("to_number(x)", {"x": "Infinity"}, None),
        ("to_number(x)", {"x": True}, None),
        ("to_number(x)", {"x": ""}, None),
        ("to_number(x)", {}, None),
        ("sum(x)", {"x": [1, 2.5, "3"]}, 6.5),
        ("sum(x)", {"x": []}, None),
        ("sum(x)", {"x": [1, None]}, Nothing.FAILED),
        ("sum(x)", {"x": [1, True]}, Nothing.FAILED),
        ("sum(x)", {"x": [1, "abc"]}, Nothing.FAILED),
        ("sum(x)", {}, Nothing.FAILED),
        ("sum(items[].renamed)", {"items": [{"spent": 3}]}, None),
        ("avg(x)", {"x": [1, 2]}, 1.5),
        ("avg(x)", {"x": []}, None),
        ("avg(x)", {"x": [1, None]}, Nothing.FAILED),
        ("abs(x)", {"x": "a"}, Nothing.FAILED),
        ("x[::0]", {"x": [1]}, Nothing.FAILED),
        ("ceil(x)", {"x": 1e999}, Nothing.FAILED),
        ("max_by(x, &a)", {"x": [{"a": 1}, {"a": "b"}]}, Nothing.FAILED),
        ("a || b", {"a": 0, "b": 1}, 0),
    ],
)
def test_functions_are_strict(text: str, reply: Any, value: Any) -> None:
    """Own functions pass null on; nothing that is no number is summed; every error is FAILED, not an exception."""
    assert give(text, reply) == value


def test_constants_give_themselves() -> None:
    """A number of YAML is the same for every reply, and it is finite."""
    assert Evaluation({}, NOON).value(constant(5000000)) == 5000000
    for wrong in (float("nan"), float("inf"), 10**400):
        with pytest.raises(ExpressionError, match="not a finite number"):
            constant(wrong)


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (None, False),
        (False, False),
        ("", False),
        ([], False),
        ({}, False),
        (0, True),
        (0.0, True),
        ("false", True),
        (True, True),
        ([0], True),
        (Nothing.MISSING, False),
        (Nothing.FAILED, False),
    ],
)
def test_truth_is_that_of_jmespath(value: Any, truth: bool) -> None:  # noqa: FBT001 - a column of the table
    """0 is data and true; null, false and what is empty are false."""
    assert is_true(value) is truth


PIECES = [*"ab0.[]*?@&|!=<>(){},:'\"` -#", "has", "sum", "null", "&&", "||"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
REPLY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "a", "daily"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")
@given(TEXT, REPLY)
def test_any_text_is_refused_or_evaluates(text: str, reply: Any) -> None:
    """Compiling raises ExpressionError or nothing, and evaluating never raises."""
    try:
        expression = compile_expression(text)
    except ExpressionError:
        return
    Evaluation(reply, NOON).value(expression)
