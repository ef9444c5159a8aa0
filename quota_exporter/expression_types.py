"""What type an expression can give, as far as that can be told before there is a reply."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Final, get_args

from quota_exporter.functions import OwnFunctions
from quota_exporter.numbers import TimeFormat, parse_number

Types = frozenset[str]

ANY: Final[Types] = frozenset(("string", "number", "boolean", "array", "object", "null"))
NUMBER: Final[Types] = frozenset(("number", "string"))
NAME: Final[Types] = NUMBER
ROWS: Final[Types] = frozenset(("array", "object"))

_NULL: Final[Types] = frozenset(("null",))
_RESULTS: Final = {
    **dict.fromkeys(("has", "contains", "starts_with", "ends_with"), "boolean"),
    **dict.fromkeys(
        ("add", "sub", "mul", "div", "number", "time", "plus", "next", "to_number", "sum", "avg"), "number"
    ),
    **dict.fromkeys(("abs", "ceil", "floor", "length"), "number"),
    **dict.fromkeys(("join", "to_string", "type", "header"), "string"),
    **dict.fromkeys(("items", "keys", "values", "map", "sort", "sort_by", "to_array"), "array"),
    "merge": "object",
}
_LISTS = ("projection", "filter_projection", "value_projection", "flatten", "multi_select_list", "slice")
_NAMES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}


def types_of(node: Any) -> Types:
    """Return the JSON types that a node of JMESPath's syntax tree can give."""
    kind, children = node["type"], node["children"]
    if kind == "literal":
        types = {_NAMES.get(type(node["value"]), "null")}
    elif kind in ("comparator", "not_expression"):
        # an order of what is no number is null
        types = {"boolean", "null"}
    elif kind in ("or_expression", "and_expression"):
        left, right = map(types_of, children)
        # the left side of || is not given when it is null, that of && may be
        return (left - _NULL if kind == "or_expression" else left) | right
    elif kind in ("pipe", "subexpression", "index_expression"):
        return types_of(children[-1])
    elif kind == "function_expression" and node["value"] in _RESULTS:
        types = {"null", _RESULTS[node["value"]]}
    elif kind in _LISTS:
        types = {"array", "null"}
    elif kind == "multi_select_dict":
        types = {"object", "null"}
    else:
        return ANY
    return frozenset(types)


def calls_of(node: Any) -> Iterator[Any]:
    """Yield the nodes that call a function, in the order of the text."""
    children = nodes_of(node)
    if node["type"] == "function_expression":
        yield node
    elif node["type"] == "filter_projection":
        # the condition is the last child, but stands before what is taken of the items
        children.insert(1, children.pop())
    for child in children:
        yield from calls_of(child)


def mismatches(call: Any) -> Iterator[tuple[int, Types, Types]]:
    """Yield the arguments of a call that can never be what the function takes.

    Each as its number from 1, the types that the function takes and those that it is given.
    """
    declared = OwnFunctions.FUNCTION_TABLE[call["value"]]["signature"]
    for index, argument in enumerate(call["children"]):
        wanted = declared[min(index, len(declared) - 1)]["types"] if declared else []
        given = types_of(argument)
        taken = frozenset(_plain(wanted))
        # a list where a number or null is taken is a mistake, though it may be null too
        if "expref" not in wanted and taken and not (given - _NULL or given) & taken:
            yield index + 1, taken, given


def copies(node: Any) -> int:
    """How many times at most an expression gives its input, put together by [...] and {...}."""
    children = nodes_of(node)
    inner = [copies(child) for child in children] or [1]
    kind = "merge" if (node["type"], node.get("value")) == ("function_expression", "merge") else node["type"]
    if kind in ("multi_select_list", "multi_select_dict", "merge"):
        return sum(inner)
    gives_one = kind in ("or_expression", "and_expression", "comparator", "function_expression")
    if gives_one and not any(child["type"] == "expref" for child in children):
        return max(inner)
    # one works on what the other gives
    return prod(inner)


def useless_literal(call: Any) -> str | None:
    """Return why a call can never give anything because of a literal among its arguments, None when it can."""
    values = [child["value"] if child["type"] == "literal" else None for child in call["children"]]
    name = call["value"]
    if name == "time" and values[1] is not None and values[1] not in get_args(TimeFormat):
        return f"the form of time() must be one of {', '.join(get_args(TimeFormat))}"
    if name in ("add", "sub", "mul", "div") and any(
        value is not None and parse_number(value) is None for value in values
    ):
        return f"{name}() takes numbers only"
    if name == "div" and parse_number(values[1]) == 0:
        return "div() divides by 0"
    return None


def memberless(node: Any) -> Types | None:
    """Return what a member is asked of that can have none, such as the boolean in `!(a).b`; None when all is well."""
    children = nodes_of(node)
    if node["type"] == "subexpression" and not (given := types_of(children[0])) & {"object"}:
        return given
    return next((found for child in children if (found := memberless(child)) is not None), None)


def built_depth(node: Any) -> int:
    """How deep an expression nests objects that it makes by {...}, in which a member that was missing is null."""
    inner = max(map(built_depth, nodes_of(node)), default=0)
    return inner + int(node["type"] == "multi_select_dict")


def invents_truth(node: Any) -> str | None:
    """Return what may make a condition true because a member is missing, None when nothing does.

    Only a member itself, or its comparison with a literal that is not null, says what the reply says.
    """
    kind, children = node["type"], nodes_of(node)
    found = None
    if kind == "literal":
        found = "a literal is true whatever the reply says"
    elif kind == "not_expression":
        found = "! turns what is missing into true"
    elif kind == "comparator" and node["value"] in ("eq", "ne"):
        literals = [child["value"] for child in children if child["type"] == "literal"]
        if node["value"] == "ne" or len(literals) != 1 or literals[0] is None:
            found = "what is missing can make == and != true, unless it is == with a literal that is not null"
    elif kind == "function_expression" and node["value"] in ("type", "not_null"):
        found = f"{node['value']}() gives something also for a member that is missing"
    if found is None and kind in ("comparator", "function_expression"):
        children = [child for child in children if child["type"] != "literal"]
    return found or next((inside for child in children if (inside := invents_truth(child)) is not None), None)


def nodes_of(node: Any) -> list[Any]:
    """Return the nodes right below a node."""
    # a slice holds numbers where other nodes hold nodes
    return [child for child in node["children"] if isinstance(child, dict)]


def _plain(types: list[str]) -> Iterator[str]:
    # `array-number` is an array of numbers
    return (name.partition("-")[0] for name in types)


def in_words(types: Types) -> str:
    """Return types for a message, such as `a number or a string`."""
    names = sorted(types - _NULL)
    return " or ".join(f"{'an' if name[0] in 'ao' else 'a'} {name}" for name in names) or "nothing but null"
