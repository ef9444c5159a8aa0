"""The bound on the work of expressions."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.expression import Evaluation, Nothing, compile_expression
from quota_exporter.interpreter import STEPS_OF_EXPRESSION

NOW = 1779000000.0
OBJECTS = {"a": [{"b": 1}] * 30_000}
NUMBERS = {"a": [0] * 120_000}
TEXTS = {"s": "x" * 128_000, "a": [""] * 40_000}

# Each takes from seconds to years without a bound, within the limits on length and nesting.
ENDLESS = [
    ("length(join(s, a))", TEXTS),
    ("length(a[*].to_string(root()))", OBJECTS),
    ("length(a[?length(root().a[?b==`1`]) == `1`])", OBJECTS),
    ("length(a[?contains(root().a, `1`)])", NUMBERS),
    ("length(a[?root().a == `[1]`])", NUMBERS),
    ("length(a[*].root().a[*].root().a[])", NUMBERS),
    ("sort_by(" * 28 + "a" + ",&@)" * 28, NUMBERS),
    ("map(&@," * 28 + "a" + ")" * 28, NUMBERS),
    ("map(&abs(@)," * 8 + "[" + ",".join(["a"] * 64) + "][]" + ")" * 8, NUMBERS),
]


@pytest.mark.parametrize(("text", "document"), ENDLESS)
def test_no_expression_goes_on_for_ever(text: str, document: Any) -> None:
    """An expression that would take too long on a large reply is given up, as one that fails."""
    assert Evaluation(document, NOW, {}).value(compile_expression(text)) is Nothing.FAILED


def test_what_a_mapping_takes_is_far_below_the_bound() -> None:
    """A sum over the largest list that a reply can hold is evaluated."""
    assert Evaluation(OBJECTS, NOW, {}).value(compile_expression("sum(a[].b)")) == 30_000


def test_all_expressions_of_a_document_share_a_bound() -> None:
    """Many expressions that take long cannot add up; an endless one leaves something to those after it."""
    heavy, light = compile_expression("sum(a[].b)"), compile_expression("length(a)")
    evaluation = Evaluation(OBJECTS, NOW, {}, steps=3 * STEPS_OF_EXPRESSION // 2)
    assert evaluation.value(compile_expression(ENDLESS[6][0].replace("@", "b"))) is Nothing.FAILED
    assert evaluation.value(light) == 30_000
    given = [evaluation.value(heavy) for _ in range(10)]
    assert given[0] == 30_000
    assert given[-1] is Nothing.FAILED
    assert evaluation.at({"a": [1]}).value(light) is Nothing.FAILED


@pytest.mark.parametrize("text", ["to_string(`[]`)", "to_string(a[*])", "to_string({a: b})"])
def test_lists_and_objects_have_no_text(text: str) -> None:
    """to_string() of a list or an object is refused: text of a whole reply is no value of a quota."""
    with pytest.raises(ValueError, match="must be a boolean or a number or a string"):
        compile_expression(text)
    assert Evaluation({"a": 5}, NOW, {}).value(compile_expression("to_string(a)")) == "5"
