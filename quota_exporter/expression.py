"""One JMESPath expression of a mapping: compiled when the mapping is loaded, evaluated against replies."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import jmespath
from jmespath.exceptions import LexerError, ParseError
from jmespath.lexer import Lexer

from quota_exporter.expression_types import (
    ANY,
    Types,
    calls_of,
    copies,
    in_words,
    memberless,
    mismatches,
    nodes_of,
    types_of,
    useless_literal,
)
from quota_exporter.functions import MOST_ARGUMENTS, OwnFunctions, Surroundings
from quota_exporter.interpreter import STEPS, BoundedInterpreter
from quota_exporter.numbers import parse_number

MAX_LENGTH = 512
MAX_DEPTH = 32
MAX_COPIES = 64

_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`(?P<literal>(?:\\.|[^`\\])*)`", re.DOTALL)
_HINTS = {
    "-": 'write a."b-c" for a member with a dash, sub(a, b) for a difference',
    "+": "write add(a, b)",
    "/": "write div(a, b)",
    "=": "write ==",
    "$.": "a path begins with the name of a member, as in data.limit",
}
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


def compile_expression(text: str, wanted: Types = ANY) -> Expression:
    """Compile JMESPath that is to give one of the `wanted` JSON types.

    Raises ExpressionError for what can be known to be wrong before there is a reply.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"is longer than {MAX_LENGTH} characters")
    if not text.strip():
        raise ExpressionError("is empty: give an expression or remove the line")
    _check_literals(text)
    try:
        tokens = list(Lexer().tokenize(text))
        node: Any = jmespath.compile(text).parsed
    except LexerError as error:
        raise _error(f"{error.message}{_hint(text, error.lexer_position)}", error.lexer_position) from None
    except ParseError as error:
        ends = error.lex_position == len(text)
        what = "the expression is not complete" if ends else f"unexpected {error.token_value!r}"
        raise _error(f"{what}{_hint(text, error.lex_position)}", error.lex_position) from None
    except RecursionError:
        raise ExpressionError(f"is nested more than {MAX_DEPTH} levels deep") from None
    _check_traps(tokens)
    _check_tree(node, tokens)
    if not (given := types_of(node)) & wanted:
        raise ExpressionError(f"never gives {in_words(wanted)}: it gives {in_words(given)}")
    return Expression(text, _plain_path(node), node)


def _hint(text: str, position: int) -> str:
    """What to write instead, where other languages write what stands there."""
    character = text[position : position + 1]
    if character.isdigit():
        return "; write a number in backticks, as in `100`"
    return next((f"; {hint}" for characters, hint in _HINTS.items() if character and character in characters), "")


def constant(value: float) -> Expression:
    """Return an expression that gives `value` for any reply; raises ExpressionError if it is not finite."""
    if parse_number(value) is None:
        raise ExpressionError("is not a finite number")
    return Expression(str(value), None, {"type": "literal", "value": value, "children": []})


def is_true(value: object) -> bool:
    """Whether JMESPath takes a value for true: anything but null, false, "", [] and {}; 0 is true."""
    return not (value is None or value is False or isinstance(value, Nothing) or value in ("", [], {}))


class Evaluation:
    """Evaluates expressions against one document at one time, `now` in Unix seconds.

    `headers` are the header fields of the replies by request id. `steps` bounds the work of all expressions together;
    those after it fail.
    """

    __slots__ = ("_interpreter", "_item")

    def __init__(
        self, document: Any, now: float, headers: Mapping[str, Mapping[str, str]], *, steps: int = STEPS
    ) -> None:
        self._item = document
        self._interpreter = BoundedInterpreter(Surroundings(document, now, headers), steps)

    def at(self, item: Any) -> Evaluation:
        """Return an evaluation for which `@` is one item of the document."""
        other = object.__new__(Evaluation)
        other._item, other._interpreter = item, self._interpreter
        return other

    def value(self, expression: Expression) -> Any:
        """Return the JSON value, MISSING where a plain path leads nowhere, FAILED for an error."""
        if expression.path is not None:
            return _follow(self._item, expression.path)
        try:
            return self._interpreter.evaluate(expression.node, self._item)
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


def _check_literals(text: str) -> None:
    """Refuse `daily` in backticks, which JMESPath reads as text though it is no JSON."""
    for match in _QUOTED.finditer(text):
        literal = match["literal"]
        if literal is not None:
            try:
                json.loads(literal.replace("\\`", "`"))
            except ValueError:
                raise _error(
                    "what stands in backticks is not JSON; write text in single quotes", match.start()
                ) from None


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
        level = [child for node in level for child in nodes_of(node)]
    calls = list(zip(calls_of(root), _starts_of_calls(tokens), strict=True))
    for call, start in calls:
        _check_call(call["value"], len(call["children"]), start)
    if copies(root) > MAX_COPIES:
        # lists of lists of the same thing grow with every level
        raise ExpressionError(f"makes more than {MAX_COPIES} copies of its input by [...] and {{...}}")
    if (holder := memberless(root)) is not None:
        raise ExpressionError(
            f"asks {in_words(holder)} for a member, which is always null; a ! goes before (a.b), not (a)"
        )
    for call, start in calls:
        for number, taken, given in mismatches(call):
            message = f"argument {number} of {call['value']}() must be {in_words(taken)}, not {in_words(given)}"
            raise _error(message, start)
        if (why := useless_literal(call)) is not None:
            raise _error(why, start)


def _starts_of_calls(tokens: list[Any]) -> list[int]:
    starts, name, previous = [], 0, ""
    for token in tokens:
        # (abs)(x) is a call too
        if token["type"] == "lparen" and previous in ("unquoted_identifier", "rparen"):
            starts.append(name)
        previous = token["type"]
        if previous in ("unquoted_identifier", "quoted_identifier"):
            name = token["start"]
    return starts


def _check_call(name: str, given: int, start: int) -> None:
    function = OwnFunctions.FUNCTION_TABLE.get(name)
    if function is None:
        nearest = difflib.get_close_matches(name, OwnFunctions.FUNCTION_TABLE, n=1)
        hint = f"; did you mean {nearest[0]}()?" if nearest else ""
        raise _error(f"there is no function {name}(){hint}", start)
    least = len(function["signature"])
    most = MOST_ARGUMENTS.get(name)
    if least and most is None and not function["signature"][-1].get("variadic", False):
        most = least
    elif not least:
        most = 0
    if given < least or (most is not None and given > most):
        wanted = str(least) if least == most else f"at least {least}" if most is None else f"{least} or {most}"
        raise _error(f"{name}() takes {wanted} argument(s), not {given}", start)


def _plain_path(node: Any) -> tuple[str, ...] | None:
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] != "subexpression":
        return None
    parts = [_plain_path(child) for child in node["children"]]
    return None if None in parts else tuple(member for part in parts if part for member in part)
