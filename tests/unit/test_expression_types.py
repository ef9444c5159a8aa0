"""What can be told of an expression's type without a reply."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import given, strategies as st

from quota_exporter.expression import Evaluation, ExpressionError, Nothing, compile_expression
from quota_exporter.expression_types import (
    ANY,
    Types,
    built_depth,
    calls_of,
    copies,
    in_words,
    invents_truth,
    mismatches,
    types_of,
)
from quota_exporter.functions import OwnFunctions

NOW = 1779969600.0


def tree(text: str) -> Any:
    return jmespath.compile(text).parsed


def types(text: str) -> Types:
    return types_of(tree(text))


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("`null`", "null"),
        ("`true`", "boolean"),
        ("`5`", "number"),
        ("`1.5`", "number"),
        ("'x'", "string"),
        ("`[]`", "array"),
        ("`{}`", "object"),
        ("a == b", "boolean null"),
        ("a < b", "boolean null"),
        ("!a", "boolean null"),
        ("a[*].b", "array null"),
        ("a[]", "array null"),
        ("a[?b]", "array null"),
        ("a.*", "array null"),
        ("a[1:2]", "array null"),
        ("[a, b]", "array null"),
        ("{a: b}", "object null"),
        ("merge(a, b)", "object null"),
        ("items(a)", "array null"),
        ("has(a, 'b')", "boolean null"),
        ("sum(a)", "number null"),
        ("next(a)", "number null"),
        ("header('a')", "string null"),
        ("length(a)", "number null"),
        ("to_string(a)", "string null"),
        ("a | 'x'", "string"),
        ("a.length(@)", "number null"),
        ("a == b && 'x'", "boolean null string"),
        ("a == b || 'x'", "boolean string"),
        ("a == b && `1` || 'x'", "boolean number string"),
    ],
)
def test_types_of_what_is_known(text: str, given: str) -> None:
    """Literals, comparisons, projections and most functions give one type, or null."""
    assert types(text) == frozenset(given.split())


@pytest.mark.parametrize("text", ["a", "a.b", "@", "a[0]", "get(a, b)", "root()", "not_null(a, b)", "max(a)", "a || b"])
def test_members_of_a_reply_can_be_anything(text: str) -> None:
    """What the reply decides is not guessed."""
    assert types(text) == ANY


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("abs('x')", ("abs", 1, "number", "string")),
        ("a && abs(b == c)", ("abs", 1, "number", "boolean null")),
        ("length(`5`)", ("length", 1, "array object string", "number")),
        ("add(a, `true`)", ("add", 2, "null number string", "boolean")),
        ("add(a, b, [c])", ("add", 3, "null number string", "array null")),
        ("has(a, `5`)", ("has", 2, "string", "number")),
        ("get(`[]`, a)", ("get", 1, "null object", "array")),
        ("items(a[*])", ("items", 1, "null object", "array null")),
        ("items(`null`)", None),
        ("header('a', `5`)", ("header", 2, "string", "number")),
        ("sum('x')", ("sum", 1, "array", "string")),
        ("sum(`5`)", ("sum", 1, "array", "number")),
        ("join(`5`, a)", ("join", 1, "string", "number")),
        ("a[?contains('x', abs('y'))]", ("abs", 1, "number", "string")),
        ("sort_by(a, &abs('x'))", ("abs", 1, "number", "string")),
        ("sort_by(a, &b)", None),
        ("to_string(a)", None),
        ("root()", None),
        ("abs(a)", None),
        ("abs(a || 'x')", None),
        ("number('x')", None),
    ],
)
def test_arguments_that_can_never_fit_are_found(text: str, found: Any) -> None:
    """A call is wrong when no reply can make it right; its function, argument and both types are told."""
    told = [
        (call["value"], number, " ".join(sorted(taken)), " ".join(sorted(had)))
        for call in calls_of(tree(text))
        for number, taken, had in mismatches(call)
    ]
    assert told == ([] if found is None else [found])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a", ""),
        ("abs(ceil(a)) && floor(b)", "abs ceil floor"),
        ("a[?has(@, 'b')].abs(c) | sum(@)", "has abs sum"),
        ("{a: keys(a), b: [values(a), map(&abs(@), a)]}", "keys values map abs"),
        ("[keys(b)[0:1], !(length(c) == `1`)][]", "keys length"),
    ],
)
def test_calls_come_in_the_order_of_the_text(text: str, names: str) -> None:
    """Whatever the tree looks like, a call's place among the calls is that of its name in the text."""
    assert [call["value"] for call in calls_of(tree(text))] == names.split()


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("a.b[*].c", 1),
        ("[a, b]", 2),
        ("[a, [b, c]]", 3),
        ("[a, b] | [@, @, @]", 6),
        ("{a: @, b: @}.[a, b]", 4),
        ("a[*].[b, c] | [0:1]", 2),
        ("[a, b] && {c: @, d: @, e: @} || [f]", 3),
        ("[a, b] == [c, d, e]", 3),
        ("join('', [a, b, c])", 3),
        ("map(&[@, @], [a, b, c])", 6),
        ("merge({a: @}, {b: @})", 2),
        ("merge({a: @}, {b: @}) | merge({a: @}, {b: @})", 4),
        ("!merge || 'merge'", 1),
    ],
)
def test_copies_multiply_only_where_one_works_on_what_the_other_gives(text: str, times: int) -> None:
    """What stands side by side adds up, or is one of several."""
    assert copies(tree(text)) == times


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("number", "a number"),
        ("number null", "a number"),
        ("string number", "a number or a string"),
        ("object array null", "an array or an object"),
        ("null", "nothing but null"),
        ("", "nothing but null"),
    ],
)
def test_types_in_words(names: str, words: str) -> None:
    """Types are told as one would say them."""
    assert in_words(frozenset(names.split())) == words


_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
LEAVES = st.sampled_from(
    ["a", "b", "@", "`1`", "`null`", "`true`", "'x'", "`[]`", "`{}`", "a.b", "a[0]", "a[*].b", "a.*"]
)
CALLS = [
    *("has({0}, 'a')", "get({0}, 'a')", "items({0})", "add({0}, {1})", "sub({0}, {1})", "div({0}, {1})", "number({0})"),
    *("next({0})", "plus({0}, '1d')", "time({0}, 'unix')", "header('x')", "sum({0})", "avg({0})", "to_number({0})"),
    *("length({0})", "abs({0})", "type({0})", "to_string({0})", "to_array({0})", "keys({0})", "values({0})"),
    *("map(&a, {0})", "merge({0}, {1})", "join('', {0})", "contains({0}, {1})", "not_null({0}, {1})", "reverse({0})"),
    *("{0} == {1}", "{0} < {1}", "!({0})", "({0}) || ({1})", "({0}) && ({1})", "({0}) | ({1})", "[{0}, {1}]"),
    *("{{a: {0}}}", "({0})[]", "({0})[*]", "({0})[?@]", "({0})[0:1]", "root()", "max({0})", "sort({0})"),
]
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.builds(lambda call, one, two: call.format(one, two), st.sampled_from(CALLS), inner, inner),
    max_leaves=6,
)
REPLIES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "1", "daily"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=6,
)


@given(EXPRESSIONS, REPLIES)
def test_no_expression_gives_another_type_than_was_told(text: str, reply: Any) -> None:
    """What a field refuses at load for its type could indeed never have been of use to it."""
    try:
        expression = compile_expression(text)
    except ExpressionError:
        return
    value = Evaluation(reply, NOW, {}).value(expression)
    if not isinstance(value, Nothing):
        assert _NAMES[type(value)] in types_of(expression.node)


@given(st.sampled_from(sorted(OwnFunctions.FUNCTION_TABLE)), REPLIES)
def test_every_function_keeps_to_its_type(name: str, reply: Any) -> None:
    """The table of results holds for each function that takes one value."""
    try:
        expression = compile_expression(f"{name}(@)")
    except ExpressionError:
        return
    value = Evaluation(reply, NOW, {}).value(expression)
    if not isinstance(value, Nothing):
        assert _NAMES[type(value)] in types_of(expression.node)


@pytest.mark.parametrize(
    "text",
    [
        *("!limit", "type(limit) == 'null'", "limit == used", "limit == `null`", "limit != `0`", "`true`"),
        *("flag || `true`", "flag && !limit", "not_null(flag, `true`)"),
    ],
)
def test_conditions_that_a_missing_member_makes_true_are_told(text: str) -> None:
    """What may hold because the reply lost a member is found before it can read as unlimited."""
    assert invents_truth(compile_expression(text).node) is not None


@pytest.mark.parametrize(
    "text",
    ["flag", "a.b[0]", "kind == 'unlimited'", "limit < `0`", "a == `1` || b", "has(@, 'unlimited')", "x[?a==`1`]"],
)
def test_conditions_that_the_reply_itself_makes_true_are_fine(text: str) -> None:
    """A member, or its comparison with a literal, says what the reply says."""
    assert invents_truth(compile_expression(text).node) is None


@pytest.mark.parametrize(("text", "depth"), [("a[*]", 0), ("a[*].{b: c}", 1), ("{a: {b: c}, d: e}", 2), ("a[::2]", 0)])
def test_depth_of_made_objects(text: str, depth: int) -> None:
    """Objects that an expression makes, in which missing members are null, are counted by their nesting."""
    assert built_depth(compile_expression(text).node) == depth
