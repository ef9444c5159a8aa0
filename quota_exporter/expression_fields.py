"""Fields of models that hold an expression."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema

from quota_exporter.expression import Expression, compile_expression, constant
from quota_exporter.expression_types import ANY, NAME, NUMBER, ROWS, Types


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError("has no value; give one or remove the line")
    return value


def _expression(value: Any, wanted: Types) -> Expression:
    if not isinstance(value, str):
        raise ValueError("must be an expression, which is text; put it in quotes")  # noqa: TRY004 - pydantic reports it
    return compile_expression(value, wanted)


def _amount(value: Any) -> Expression:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return constant(value)
    return _expression(value, NUMBER)


_TEXT = WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 512})
_TEXT_OR_NUMBER = WithJsonSchema({"type": ["string", "number"]})

Given = BeforeValidator(_given)
"""Refuses a key without value: `limit:` is a slip, not a choice."""

Condition = Annotated[Expression, PlainValidator(partial(_expression, wanted=ANY)), _TEXT]
"""An expression of any type; JMESPath's idea of true decides."""

Name = Annotated[Expression, PlainValidator(partial(_expression, wanted=NAME)), _TEXT]
"""An expression that gives text, or a whole number."""

Rows = Annotated[Expression, PlainValidator(partial(_expression, wanted=ROWS)), _TEXT]
"""An expression that gives a list or a map to go through."""

Time = Annotated[Expression, PlainValidator(partial(_expression, wanted=NUMBER)), _TEXT]
"""An expression that gives a time, as text or as a number."""

Amount = Annotated[Expression, PlainValidator(_amount), _TEXT_OR_NUMBER]
"""An expression that gives a number, or a constant."""
