"""The body of an HTTP reply turned into JSON under limits that no gateway can exceed."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, NoReturn

from quota_exporter.quota import Reason

MAX_BODY_BYTES = 256 * 1024
MAX_PAGE_BYTES = 2 * 1024 * 1024  # a hundred keys of LiteLLM take 250 KiB
MAX_DEPTH = 32


class BadReplyError(Exception):
    """A reply that cannot be used; `detail` says why without quoting it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


async def read_body(chunks: AsyncIterator[bytes], encoding: str, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Read a body, decode gzip on the way; BadReplyError past `max_bytes`, before or after decompression."""
    if encoding.strip().lower() in ("", "identity"):
        inflate = None
    elif encoding.strip().lower() in ("gzip", "x-gzip"):
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    else:
        raise BadReplyError(Reason.BAD_ENCODING, "the reply is compressed in a way that was not asked for")
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            body += chunk if inflate is None else inflate.decompress(chunk, max_bytes + 1 - len(body))
        except zlib.error:
            raise BadReplyError(Reason.BAD_ENCODING, "the reply is not the gzip data it claims to be") from None
        if max(len(body), received) > max_bytes:
            raise BadReplyError(Reason.TOO_LARGE, f"the reply is larger than {max_bytes // 1024} KiB")
    if inflate is not None and received and not inflate.eof:
        raise BadReplyError(Reason.BAD_ENCODING, "the reply's gzip data ends early")
    if inflate is not None and inflate.unused_data:
        raise BadReplyError(Reason.BAD_ENCODING, "the reply goes on after the end of its gzip data")
    return bytes(body)


def parse_json(body: bytes) -> Any:
    """Parse a UTF-8 JSON body (a byte order mark is allowed); BadReplyError says what is wrong with it."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadReplyError(Reason.BAD_ENCODING, "the reply is not UTF-8 text") from None
    if not text.strip():
        raise BadReplyError(Reason.NOT_JSON, "the reply is empty")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError:
        hint = "an HTML page" if text.lstrip().startswith("<") else "something else"
        raise BadReplyError(Reason.NOT_JSON, f"the reply is not JSON but {hint}") from None
    except ValueError:
        raise BadReplyError(
            Reason.NOT_JSON, "the reply holds NaN, Infinity or a number with thousands of digits"
        ) from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _containers(item.values() if isinstance(item, dict) else item)]
    if level:
        raise _too_deep()


def _containers(items: Iterable[Any]) -> list[Any]:
    return [item for item in items if isinstance(item, dict | list)]


def _too_deep() -> BadReplyError:
    return BadReplyError(Reason.UNEXPECTED_SHAPE, f"the reply is nested deeper than {MAX_DEPTH} levels")


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
