"""Requests and replies as they passed through a transport, for those who want to see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx

from quota_exporter.reply import MAX_PAGE_BYTES, parse_json, read_body
from quota_exporter.reply_text import clean_text, names_secret


@dataclass(slots=True)
class Recorded:
    """One request and what came back; `http_status` is None while nothing has.

    `headers` and `sent`, its body, are the request's, the former as (name, value): the caller must not show what is
    secret in them. `is_whole` tells that the reply was read to its end.
    """

    method: str
    url: str = field(repr=False)
    headers: Sequence[tuple[str, str]] = field(repr=False)
    http_status: int | None = None
    encoding: str = ""
    chunks: list[bytes] = field(default_factory=list, repr=False)
    is_whole: bool = False
    sent: bytes = field(default=b"", repr=False)

    async def document(self) -> Any:
        """Return the reply's JSON; BadReplyError when it is none."""
        return parse_json(await read_body(_each(self.chunks), self.encoding, MAX_PAGE_BYTES))

    def address(self, configured: Iterable[str], secrets: tuple[str, ...]) -> str:
        """Return the URL for people, with dots for what may be a key: a gateway's reply can have led to it.

        The path segments of `configured` URLs are shown as they are.
        """
        address, mark, query = self.url.partition("?")
        known = {segment for url in configured for segment in url.split("/")}
        segments = (part if part in known or _is_clean(part, secrets) else "..." for part in address.split("/"))
        values = parse_qsl(query, keep_blank_values=True)
        pairs = (
            f"{name}={'...' if names_secret(name) else (value and clean_text(value, secrets)) or '...'}"
            for name, value in values
        )
        return f"{'/'.join(segments)}{mark}{'&'.join(pairs)}"


@dataclass(frozen=True, slots=True)
class RecordingTransport(httpx.AsyncBaseTransport):
    """Hands requests to another transport and keeps what passes, in `recorded`."""

    inner: httpx.AsyncBaseTransport
    recorded: list[Recorded]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and record it."""
        record = Recorded(request.method, str(request.url), list(request.headers.items()), sent=request.content)
        self.recorded.append(record)
        response = await self.inner.handle_async_request(request)
        record.http_status = response.status_code
        record.encoding = response.headers.get("content-encoding", "")
        response.stream = _Tee(response, record)
        return response


class _Tee(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response, record: Recorded) -> None:
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - what async transports answer with
        self._stream = stream
        self._record = record

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._record.chunks.append(chunk)
            yield chunk
        self._record.is_whole = True

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _is_clean(segment: str, secrets: tuple[str, ...]) -> bool:
    return not segment or clean_text(unquote(segment), secrets) is not None
