"""Documents, whose values know their file and line, read from YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import yaml

from quota_exporter.reply_text import clean_text

KeyPath: TypeAlias = tuple[str | int, ...]  # a key of a mapping is text, an item of a list is its index

MAX_DEPTH = 64
MAX_NODES = 2_000_000


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file; `line` counts from 1, None means the whole file."""

    path: Path
    line: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One problem for people: where, at which dotted `key` ("" for the file), what is wrong, what to do."""

    location: Location
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.key}: {self.message}" if self.key else f"{self.location}: {self.message}"


class DocumentError(Exception):
    """Text that is not a document; `problems` says why, without quoting it: it may hold a key."""

    def __init__(self, *problems: ConfigProblem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """A file's value (dict, list, str, int, float, bool or None) and the line of each of its keys and items.

    Aliases of YAML share one value, so nobody may change it. `problems` are those that leave a value to use.
    """

    path: Path
    value: Any = field(repr=False)
    lines: Mapping[KeyPath, int] = field(repr=False)
    problems: tuple[ConfigProblem, ...] = ()

    def location(self, key_path: KeyPath) -> Location:
        """Return where `key_path` is, or the nearest thing around it that has a line."""
        while key_path and key_path not in self.lines:
            key_path = key_path[:-1]
        return Location(self.path, self.lines.get(key_path))


def dotted(key_path: KeyPath) -> str:
    """Return `key_path` for people: ("gateways", 2, "timeout") is gateways[2].timeout."""
    text = ""
    for step in key_path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[\w-]+", shown := shown_key(step)):
            text += f".{shown}" if text else shown
        else:
            text += f"[{json.dumps(shown)}]"
    return text


def shown_key(key: str) -> str:
    """Return a key as it may be shown, with dots for what may be a secret: all that follows a colon may be one.

    YAML reads `{api_key:sk-1}`, where a space is missing, as one long key.
    """
    name, colon, _ = key.partition(":")
    shown = clean_text(name, ())
    if shown is None:
        return "..."
    return f"{shown}:..." if colon else shown


def fail(path: Path, line: int | None, message: str) -> NoReturn:
    """Raise DocumentError with one problem of a text."""
    raise DocumentError(ConfigProblem(Location(path, line), "", message)) from None


def line_of(text: str, position: int) -> int:
    """Return the line, counted from 1, on which a position of the text lies."""
    return text.count("\n", 0, position) + 1


SURROGATE = re.compile("[\ud800-\udfff]")
HALF_PAIR = "holds half of a surrogate pair (\\ud800 to \\udfff), which is not text"
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF_NAN = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_HINTS = {
    "cannot start any token": "indent with spaces, not tabs, and quote text that starts with @, ` or %",
    "mapping values are not allowed": "check the indentation, and quote text that holds a colon and a space",
    "could not find expected ':'": "check the indentation, and write a space after each colon that ends a key",
}
_QUOTED_TEXT = re.compile(r"'(?!<)[^']{3,}'")


def parse_yaml(text: str, path: Path) -> Document:
    """Return the one YAML document of `text`, plain scalars read by the core schema of YAML 1.2.

    Keys are text as written; an empty file is None. A duplicate key is a problem of the document, which keeps
    the first. Raises DocumentError for bad syntax, tags, keys that are not scalars, a second document and
    what is too deep or too large once its aliases are expanded.
    """
    text = text.removeprefix("\ufeff")
    if bad := _NOT_PRINTABLE.search(text):
        line = line_of(text, bad.start())
        fail(path, line, f"holds the character U+{ord(bad.group()):04X}, which YAML does not allow: remove it")
    builder = _YamlBuilder(path)
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        fail(path, mark.line + 1 if mark else None, f"not valid YAML: {_explain(error)}")
    except (yaml.YAMLError, ValueError, OverflowError):
        fail(path, None, "not valid YAML")
    return Document(path, builder.value, builder.lines, tuple(builder.problems))


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = _QUOTED_TEXT.sub("some text", error.problem or "syntax error")
    problem += next((f" ({hint})" for symptom, hint in _HINTS.items() if symptom in problem), "")
    start, here = error.context_mark, error.problem_mark
    if start is None or here is None or start.line == here.line:
        return problem
    return f"{error.context} that starts on line {start.line + 1}, {problem}"


@dataclass(frozen=True, slots=True)
class _Node:
    """A complete value, how many nodes it expands to, and how many levels it is high."""

    value: Any
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end is still to come; `key` is the one that waits for its value."""

    value: dict[str, Any] | list[Any]
    path: KeyPath
    anchor: str | None
    size: int = 1
    height: int = 1
    key: str | None = None


class _YamlBuilder:
    """Makes parser events into a value; iterative, so that no nesting can exhaust the stack."""

    def __init__(self, path: Path) -> None:
        self.value: Any = None
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[ConfigProblem] = []
        self._path = path
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Node] = {}
        self._documents = 0
        self._nodes = 0

    def take(self, event: yaml.Event) -> None:
        """Add one event; raises DocumentError."""
        # PyYAML lets events be made without a mark; its parser sets one on each.
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                fail(self._path, line, "a second YAML document starts here: keep one document in a file")
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self._stack.pop()
            self._attach(_Node(done.value, done.size, done.height), done.anchor)
        elif isinstance(event, yaml.NodeEvent):
            self._take_node(event, line)

    def _take_node(self, event: yaml.NodeEvent, line: int) -> None:
        parent = self._stack[-1] if self._stack else None
        if getattr(event, "tag", None) is not None:
            fail(self._path, line, "tags such as !!str are not supported: quote a value to make it text")
        if isinstance(event, yaml.ScalarEvent) and SURROGATE.search(event.value):
            fail(self._path, line, HALF_PAIR)
        self._count(1, line)
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            self._take_key(parent, event, line)
            return
        here: KeyPath = ()
        if parent is not None:
            here = (*parent.path, len(parent.value) if parent.key is None else parent.key)
        self.lines.setdefault(here, line)
        if isinstance(event, yaml.ScalarEvent):
            self._attach(_Node(self._scalar(event, line)), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._attach(self._aliased(event, line), None)
        else:
            self._check_depth(1, line)
            # Inside of the value its own anchor has no meaning yet.
            self._anchors.pop(event.anchor or "", None)
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            self._stack.append(_Open({} if is_mapping else [], here, event.anchor))

    def _take_key(self, parent: _Open, event: yaml.NodeEvent, line: int) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            fail(self._path, line, "a key must be text, not a list, a mapping or an alias")
        parent.key = event.value
        parent.size += 1
        if event.anchor:
            self._anchors[event.anchor] = _Node(event.value)
        here = (*parent.path, event.value)
        if event.value in parent.value:
            message = f"duplicate key; the first one is on line {self.lines[here]}: remove one of them"
            self.problems.append(ConfigProblem(Location(self._path, line), dotted(here), message))
        self.lines.setdefault(here, line)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> str | float | bool | None:
        if not event.implicit[0]:
            return str(event.value)
        try:
            return _plain_value(event.value)
        except ValueError:
            fail(self._path, line, "a number with too many digits: quote it if it is text")

    def _aliased(self, event: yaml.AliasEvent, line: int) -> _Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            fail(self._path, line, "an alias (*) of an anchor (&) that no complete value before it has")
        self._count(node.size, line)
        self._check_depth(node.height, line)
        return node

    def _attach(self, node: _Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._stack:
            self.value = node.value
            return
        parent = self._stack[-1]
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if isinstance(parent.value, list):
            parent.value.append(node.value)
        elif parent.key is not None:
            parent.value.setdefault(parent.key, node.value)
            parent.key = None

    def _check_depth(self, height: int, line: int) -> None:
        if len(self._stack) + height > MAX_DEPTH:
            fail(self._path, line, f"nested more than {MAX_DEPTH} levels deep")

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            fail(self._path, line, f"more than {MAX_NODES} values once the aliases (*) are expanded")


def _plain_value(text: str) -> str | float | bool | None:
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _INF_NAN.fullmatch(text):
        return float(f"{special[1]}inf") if special[2] else float("nan")
    return text
