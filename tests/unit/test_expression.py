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
from quota_exporter.expression_types import NAME, NUMBER, ROWS, Types

NOON = 1779969600.0  # Thursday 2026-05-28 12:00:00 UTC


def give(text: str, reply: Any) -> Any:
    return Evaluation(reply, NOON, {}).value(compile_expression(text))


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
        ("root(@)", 1, "root() takes 0 argument(s), not 1"),
        ("a.get(@)", 3, "get() takes 2 argument(s), not 1"),
        ("add(a)", 1, "add() takes at least 2 argument(s), not 1"),
        ("sub(a, b, c)", 1, "sub() takes 2 argument(s), not 3"),
        ("number()", 1, "number() takes 1 or 2 argument(s), not 0"),
        ("number(a, 'b', 'c')", 1, "number() takes 1 or 2 argument(s), not 3"),
        ("header()", 1, "header() takes 1 or 2 argument(s), not 0"),
        ("header('a', 'b', 'c')", 1, "header() takes 1 or 2 argument(s), not 3"),
        ("next(nxt(a))", 6, "there is no function nxt(); did you mean next()?"),
        ("abs(a) || head('x')", 11, "there is no function head(); did you mean header()?"),
        ("a.zzzzzz(b)", 3, "there is no function zzzzzz()"),
        ("abs('x')", 1, "argument 1 of abs() must be a number, not a string"),
        ("a || add(b, `true`)", 6, "argument 2 of add() must be a number or a string, not a boolean"),
        ("has(a, 'b') && has(c)", 16, "has() takes 2 argument(s), not 1"),
        ("abs(a) || abs('x')", 11, "argument 1 of abs() must be a number, not a string"),
        ("a[?has(@)].has(@, 'b')", 4, "has() takes 2 argument(s), not 1"),
        ("a[?has(@, 'b')].has(@)", 17, "has() takes 2 argument(s), not 1"),
        ("abs.abs('abs(') || abs(has(a, 'b'))", 5, "argument 1 of abs() must be a number, not a string"),
        ("abs(a) || (abs) ('x')", 12, "argument 1 of abs() must be a number, not a string"),
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


def test_constants_give_themselves() -> None:
    """A number of YAML is the same for every reply, and it is finite."""
    assert Evaluation({}, NOON, {}).value(constant(5000000)) == 5000000
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
    Evaluation(reply, NOON, {}).value(expression)


def test_a_hint_names_only_what_is_near() -> None:
    """A name like no other is refused without a guess."""
    with pytest.raises(ExpressionError, match=r"there is no function zzzzzz\(\)$"):
        compile_expression("zzzzzz(a)")


@pytest.mark.parametrize(
    ("text", "wanted", "words"),
    [
        ("has(@, 'a')", NUMBER, "never gives a number or a string: it gives a boolean"),
        ("a == `1`", NUMBER, "never gives a number or a string: it gives a boolean"),
        ("a[*].b", NUMBER, "never gives a number or a string: it gives an array"),
        ("`null`", NUMBER, "never gives a number or a string: it gives nothing but null"),
        ("{a: b}", NAME, "never gives a number or a string: it gives an object"),
        ("length(a)", ROWS, "never gives an array or an object: it gives a number"),
        ("'daily'", ROWS, "never gives an array or an object: it gives a string"),
    ],
)
def test_a_type_that_a_field_cannot_use_is_refused(text: str, wanted: Types, words: str) -> None:
    """An expression that can never give what its field is for is a mistake that is known at load."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, wanted)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a.b", NUMBER),
        ("a || `0`", NUMBER),
        ("a == `1` && b || `null`", NUMBER),
        ("'daily'", NAME),
        ("a[0]", NUMBER),
        ("a[*].b | [0]", NUMBER),
        ("data || `[]`", ROWS),
        ("items(a)", ROWS),
        ("get(a, b)", ROWS),
        ("@", ROWS),
    ],
)
def test_what_may_give_the_type_is_accepted(text: str, wanted: Types) -> None:
    """Only what can never be right is refused; the reply decides the rest."""
    assert compile_expression(text, wanted).text == text


@pytest.mark.parametrize(
    "text",
    [
        "[@,@]|[@,@]|[@,@]|[@,@]|[@,@]|[@,@]",
        "[[[a,a],[a,a]],a][]",
        "{a: @, b: @}.a",
        "&&".join(["{a: a, b: b, c: c, d: d, e: e}"] * 3),
        "[[a, b, c, d, e], [a, b, c, d, e], [a, b, c, d, e]]",
        "[a, b, c, d, e] == [a, b, c, d, e] || [a, b, c, d, e] == [f, g, h, i, j]",
    ],
)
def test_a_few_copies_are_fine(text: str) -> None:
    """Lists and objects made of several members stay possible."""
    compile_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "[@,@]|[@,@]|[@,@]|[@,@]|[@,@]|[@,@]|[@,@]",
        "|".join(["{a: @, b: @}"] * 7),
        "[" + ",".join("a" * 65) + "]",
        "|".join(["merge({a: @}, {b: @})"] * 7),
        "a && " + "|".join(["[@,@]"] * 7) + " == b",
        "map(&[@,@,@,@,@], map(&[@,@,@,@,@], map(&[@,@,@,@,@], a)))",
    ],
)
def test_copies_of_copies_are_refused(text: str) -> None:
    """A reply cannot be made to grow by a power of the expression's length."""
    with pytest.raises(ExpressionError, match="makes more than 64 copies of its input"):
        compile_expression(text)


def test_an_item_of_a_document_is_seen_as_the_current_value() -> None:
    """`@` is the item, `root()` stays the document, and the evaluation of the document sees what it saw."""
    document = {"a": [{"b": 1}, {"b": 2}], "b": 3}
    whole = Evaluation(document, NOON, {})
    item = whole.at(document["a"][1])  # type: ignore[index]  # the list within
    path, computed = compile_expression("b"), compile_expression("[b, root().b]")
    assert (item.value(path), item.value(computed)) == (2, [2, 3])
    assert (whole.value(path), whole.value(computed)) == (3, [3, 3])
    assert item.at("text").value(compile_expression("root().b")) == 3


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("data.max-tokens", "at character 9: Unknown token '-'; write a.\"b-c\" for a member with a dash"),
        ("a / b", "at character 3: Unknown token /; write div(a, b)"),
        ("a + b", "at character 3: Unknown token +; write add(a, b)"),
        ("a = 'x'", "at character 3: Unknown token '='; write =="),
        ("a > 0", "at character 5: unexpected 0; write a number in backticks, as in `100`"),
        ("$.data.limit", "at character 1: Unknown token $; a path begins with the name of a member"),
        (".data.limit", "at character 1: unexpected '.'; a path begins with the name of a member"),
        ("a.b.", "at character 5: the expression is not complete"),
    ],
)
def test_what_other_languages_write_gets_a_hint(text: str, hint: str) -> None:
    """A newcomer who writes it as elsewhere reads how it is written here."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("time(a, 'epoch')", "at character 1: the form of time() must be one of rfc3339, unix, unix_ms, in_s, in_ms"),
        ("a || sub('x', b)", "at character 6: sub() takes numbers only"),
        ("add(a, b, 'c')", "at character 1: add() takes numbers only"),
        ("div(a, `0`)", "at character 1: div() divides by 0"),
    ],
)
def test_calls_that_can_never_give_anything_are_refused(text: str, problem: str) -> None:
    """A literal that cannot be right is told when the config is read, not at each poll."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize("text", ["time(a, b)", "sub('1.5', a)", "div(a, `100`)", "add(a, `1`, b)", "div(`0`, a)"])
def test_calls_that_may_give_something_are_fine(text: str) -> None:
    """Literals that are right, and members that nobody knows yet, are no mistake."""
    assert compile_expression(text).text == text
