"""JSON of a reply drawn for people: types in place of values, or values that are safe to show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from quota_exporter.document import shown_key
from quota_exporter.humanize import counted
from quota_exporter.reply_text import clean_message, names_secret

_HIDDEN = "text that is not shown"
_ITEMS_SHOWN = 3
_INDENT = "  "
_MEMBERS_SHOWN = 100
_KEY_PIECE = 8


def draw(value: Any, *, values: bool, secrets: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a JSON value: each text, number and so on as its type, or with `values` as it is.

    Text and names of members that may be keys, hashes or e-mail addresses are never shown, nor what shows `secrets`.
    """
    yield from _lines(value, "", values, secrets)


def in_short(value: Any, *, values: bool, secrets: tuple[str, ...]) -> str:
    """Return one line about a JSON value: its type and size, or with `values` itself where it is no map or list."""
    if isinstance(value, dict):
        return f"object of {counted(len(value), 'member')}"
    if isinstance(value, list):
        return f"list of {counted(len(value), 'item')}"
    return _scalar(value, secrets) if values else _type(value)


def _lines(value: Any, name: str, values: bool, secrets: tuple[str, ...]) -> Iterator[str]:  # noqa: FBT001 - one of `draw`'s own
    if isinstance(value, dict) and value:
        yield f"{name}{{"
        for count, (key, item) in enumerate(value.items()):
            if count == _MEMBERS_SHOWN:
                yield f"{_INDENT}... {len(value) - count} more"
                break
            shown = _member(key, secrets)
            if isinstance(item, str) and item and names_secret(key):
                yield f"{_INDENT}{shown}: {_HIDDEN if values else _type(item)}"
                continue
            yield from (_INDENT + line for line in _lines(item, f"{shown}: ", values, secrets))
        yield "}"
    elif isinstance(value, list) and value:
        yield f"{name}["
        shown_items = value[: _ITEMS_SHOWN if values else 1]
        for item in shown_items:
            yield from (_INDENT + line for line in _lines(item, "", values, secrets))
        if len(value) > len(shown_items):
            yield f"{_INDENT}... {len(value) - len(shown_items)} more"
        yield "]"
    elif isinstance(value, dict | list):
        yield f"{name}{'{}' if isinstance(value, dict) else '[]'}"
    else:
        yield f"{name}{_scalar(value, secrets) if values else _type(value)}"


def _member(key: str, secrets: tuple[str, ...]) -> str:
    shown = shown_key(key)
    return json.dumps(shown if clean_message(key, secrets) is not None else "...", ensure_ascii=False)


def _scalar(value: Any, secrets: tuple[str, ...]) -> str:
    if isinstance(value, str) and value:
        text = clean_message(value, secrets)
        return _HIDDEN if text is None else json.dumps(text, ensure_ascii=False)
    text = json.dumps(value)
    return "number that is not shown" if _tells(text, secrets) else text


def _tells(number: str, secrets: tuple[str, ...]) -> bool:
    """Whether a number shows a piece of a key of digits that is long enough to matter."""
    pieces = {number[start : start + _KEY_PIECE] for start in range(max(1, len(number) - _KEY_PIECE + 1))}
    return any(
        secret in number or (len(number) >= _KEY_PIECE and any(piece in secret for piece in pieces))
        for secret in secrets
        if secret
    )


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "text"
