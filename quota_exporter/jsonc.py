"""JSON text with comments and trailing commas made into values that know their file and line."""

from __future__ import annotations

import json
import re
from pathlib import Path

from quota_exporter.document import HALF_PAIR, MAX_DEPTH, SURROGATE, Document, KeyPath, fail, line_of

# Each alternative that starts matches to its end or to the end of the text: a search stays linear.
_STRING = r'"(?:[^"\\\n]++|\\.)*+"?'
_COMMENTS = re.compile(rf"{_STRING}|//[^\n]*+|/\*(?s:.*?)(?:\*/|\Z)")
_COMMAS = re.compile(rf"{_STRING}|[\[{{][ \t\r\n]*+,|,(?=[ \t\r\n]*+[\]}}])")
_TOKENS = re.compile(rf"{_STRING}|[\[\]{{}}:,]|[^\s\[\]{{}}:,\"]++")


def parse_jsonc(text: str, path: Path) -> Document:
    """Return the value of JSON text that may hold comments, trailing commas and a byte order mark.

    The last of duplicate keys wins; a blank file is None. Raises DocumentError for bad syntax, NaN, Infinity,
    numbers with thousands of digits, halves of surrogate pairs and deep nesting.
    """
    text = _without_comments(text.removeprefix("\ufeff"), path)
    text = _COMMAS.sub(lambda match: " " if match[0] == "," else match[0], text)
    if not text.strip():
        return Document(path, None, {})
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        message = error.msg.removesuffix(" at").rstrip(": ").replace(" enclosed", "")
        fail(path, error.lineno, f"not valid JSON: {message[:1].lower()}{message[1:]}")
    except RecursionError:
        fail(path, None, f"nested more than {MAX_DEPTH} levels deep")
    except ValueError:
        fail(path, None, "holds a number with too many digits")
    return Document(path, value, _json_lines(text, path))


def _without_comments(text: str, path: Path) -> str:
    def blank(match: re.Match[str]) -> str:
        found = match[0]
        if found[0] == '"':
            return found
        if found[1] == "*" and (len(found) < len("/**/") or not found.endswith("*/")):
            fail(path, line_of(text, match.start()), "a comment starts here that is not closed by */")
        return re.sub(r"[^\n]", " ", found)

    return _COMMENTS.sub(blank, text)


def _json_lines(text: str, path: Path) -> dict[KeyPath, int]:
    """Return the line of each key and item of valid JSON; refuses what json.loads wrongly lets pass."""
    lines: dict[KeyPath, int] = {}
    stack: list[tuple[KeyPath, bool]] = []  # what is open: its path, whether it is an object
    here: KeyPath = ()  # where the next value goes
    is_key = False
    line, counted = 1, 0
    for match in _TOKENS.finditer(text):
        part = match[0]
        line += text.count("\n", counted, match.start())
        counted = match.start()
        if part == ",":
            container, is_key = stack[-1]
            here = container if is_key else (*container, int(here[len(container)]) + 1)
        elif part in "]}":
            here, is_key = stack.pop()[0], False
        elif is_key:
            here, is_key = (*stack[-1][0], _json_text(part, path, line)), False
            lines[here] = line
        elif part != ":":
            lines.setdefault(here, line)
            if part in "[{":
                is_key = part == "{"
                stack.append((here, is_key))
                here = here if is_key else (*here, 0)
            else:
                _check_json_scalar(part, path, line)
        if len(stack) > MAX_DEPTH:
            fail(path, line, f"nested more than {MAX_DEPTH} levels deep")
    return lines


def _check_json_scalar(token: str, path: Path, line: int) -> None:
    if token in ("NaN", "Infinity", "-Infinity"):
        fail(path, line, f"{token} is not a JSON number")
    if token[0] == '"':
        _json_text(token, path, line)


def _json_text(token: str, path: Path, line: int) -> str:
    text = str(json.loads(token))
    if SURROGATE.search(text):
        fail(path, line, HALF_PAIR)
    return text
