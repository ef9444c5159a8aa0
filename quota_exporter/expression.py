"""One JMESPath expression of a mapping: compiled when the mapping is loaded, evaluated against replies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathTypeError, LexerError, ParseError
from jmespath.functions import Functions, signature
from jmespath.lexer import Lexer
from jmespath.visitor import Options, TreeInterpreter

from quota_exporter.numbers import next_boundary, parse_number

MAX_LENGTH = 512
MAX_DEPTH = 32

_ANY: Any = {"types": []}
_WORDS_OF_OTHER_LANGUAGES = ("null", "true", "false")


class ExpressionError(ValueError):
    """An expression that cannot be used; str() says why, and at which character where that is known."""


class Nothing(Enum):
    """Why an expression has no value, not even null."""

    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    `path` holds the members of a plain path (`a.b."c d"`), for which a member that is missing can be told
    from one that is null; it is None for all else. `node` is JMESPath's syntax tree.
    """

    text: str
    path: tuple[str, ...] | None
    node: Any = field(repr=False, compare=False)


def compile_expression(text: str) -> Expression:
    """Compile JMESPath; raises ExpressionError for what can be known to be wrong before there is a reply."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"is longer than {MAX_LENGTH} characters")
    if not text.strip():
        raise ExpressionError("is empty: give an expression or remove the line")
    try:
        tokens = list(Lexer().tokenize(text))
        node: Any = jmespath.compile(text).parsed
    except LexerError as error:
        raise _error(error.message, error.lexer_position) from None
    except ParseError as error:
        ends = error.lex_position == len(text)
        what = "the expression is not complete" if ends else f"unexpected {error.token_value!r}"
        raise _error(what, error.lex_position) from None
    except RecursionError:
        raise ExpressionError(f"is nested more than {MAX_DEPTH} levels deep") from None
    _check_traps(tokens)
    _check_tree(node, tokens)
    return Expression(text, _plain_path(node), node)


def constant(value: float) -> Expression:
    """Return an expression that gives `value` for any reply; raises ExpressionError if it is not finite."""
    if parse_number(value) is None:
        raise ExpressionError("is not a finite number")
    return Expression(str(value), None, {"type": "literal", "value": value, "children": []})


def is_true(value: object) -> bool:
    """Whether JMESPath takes a value for true: anything but null, false, "", [] and {}; 0 is true."""
    return not (value is None or value is False or isinstance(value, Nothing) or value in ("", [], {}))


class Evaluation:
    """Evaluates expressions against one reply at one time (Unix seconds)."""

    def __init__(self, reply: Any, now: float) -> None:
        self._reply = reply
        self._interpreter = TreeInterpreter(Options(custom_functions=_Functions(now)))

    def value(self, expression: Expression) -> Any:
        """Return the JSON value, MISSING where a plain path leads nowhere, FAILED for an error."""
        if expression.path is not None:
            return _follow(self._reply, expression.path)
        try:
            return self._interpreter.visit(expression.node, self._reply)
        except Exception:  # noqa: BLE001 - whatever goes wrong inside of JMESPath costs this one value
            return Nothing.FAILED


def _follow(value: Any, path: tuple[str, ...]) -> Any:
    for member in path:
        if not isinstance(value, dict) or member not in value:
            return Nothing.MISSING
        value = value[member]
    return value


def _error(what: str, position: int) -> ExpressionError:
    return ExpressionError(f"is not valid JMESPath at character {position + 1}: {what}")


def _check_traps(tokens: list[Any]) -> None:
    previous = None
    for token in tokens:
        kind, value = token["type"], token["value"]
        if kind == "unquoted_identifier" and value in _WORDS_OF_OTHER_LANGUAGES:
            trap = f'{value} is read as a member named "{value}"; write `{value}` in backticks for the value'
            raise _error(f'{trap}, "{value}" in double quotes for the member', token["start"])
        if kind == "quoted_identifier" and previous in ("eq", "ne"):
            trap = f'"{value}" is read as the name of a member'
            raise _error(f"{trap}; write '{value}' in single quotes for text", token["start"])
        previous = kind


def _check_tree(root: Any, tokens: list[Any]) -> None:
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ExpressionError(f"is nested more than {MAX_DEPTH} levels deep")
        for node in level:
            if node["type"] == "function_expression":
                _check_call(node["value"], len(node["children"]), tokens)
        level = [child for node in level for child in _children(node)]


def _children(node: Any) -> Iterator[Any]:
    # A slice holds numbers where other nodes hold nodes.
    return (child for child in node["children"] if isinstance(child, dict))


def _check_call(name: str, given: int, tokens: list[Any]) -> None:
    pairs = pairwise(tokens)
    start = next(token["start"] for token, then in pairs if token["value"] == name and then["type"] == "lparen")
    function = _Functions.FUNCTION_TABLE.get(name)
    if function is None:
        raise _error(f"there is no function {name}()", start)
    wanted = len(function["signature"])
    variadic = wanted > 0 and function["signature"][-1].get("variadic", False)
    if given < wanted or (given > wanted and not variadic):
        raise _error(f"{name}() takes {'at least ' * variadic}{wanted} argument(s), not {given}", start)


def _plain_path(node: Any) -> tuple[str, ...] | None:
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] != "subexpression":
        return None
    parts = [_plain_path(child) for child in node["children"]]
    return None if None in parts else tuple(member for part in parts if part for member in part)


class _Functions(Functions):
    """JMESPath's functions, our own, and strict ones for those that make numbers of what is none."""

    def __init__(self, now: float) -> None:
        self._now = now

    @signature(_ANY, {"types": ["string"]})
    def _func_has(self, value: Any, member: str) -> bool | None:
        """Whether `value` is an object with this member, be it null; null for null."""
        return None if value is None else isinstance(value, dict) and member in value

    @signature(_ANY)
    def _func_next(self, word: Any) -> float | None:
        """Unix time at which the `daily`, `weekly` or `monthly` interval ends (UTC); null for all else."""
        return next_boundary(word, self._now)

    @signature(_ANY)
    def _func_to_number(self, value: Any) -> float | None:
        return parse_number(value)

    @signature({"types": ["array"]})
    def _func_sum(self, values: list[Any]) -> float | None:
        # The sum of nothing is unknown: a list that lost its members must not read as 0.
        return math.fsum(_numbers("sum", values)) if values else None

    @signature({"types": ["array"]})
    def _func_avg(self, values: list[Any]) -> float | None:
        return math.fsum(_numbers("avg", values)) / len(values) if values else None


def _numbers(function: str, values: list[Any]) -> list[float]:
    numbers = []
    for value in values:
        number = parse_number(value)
        if number is None:
            raise JMESPathTypeError(function, value, type(value).__name__, ["number"])
        numbers.append(number)
    return numbers
