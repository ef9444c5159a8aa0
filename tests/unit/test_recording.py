"""Requests and replies as they passed through a transport."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import cast

import httpx
import pytest
import respx

from quota_exporter.recording import Recorded, RecordingTransport
from quota_exporter.reply import BadReplyError

URL = "https://campus.example/v1/quota"


def pass_through(router: respx.Router, request: httpx.Request, *, read: bool = True) -> tuple[bytes, Recorded]:
    """Send one request through a recording transport: what the caller got, and the record."""
    recorded: list[Recorded] = []
    transport = RecordingTransport(httpx.MockTransport(router.async_handler), recorded)

    async def send() -> bytes:
        response = await transport.handle_async_request(request)
        stream = cast("httpx.AsyncByteStream", response.stream)
        body = b"".join([chunk async for chunk in stream]) if read else b""
        await response.aclose()
        return body

    body = asyncio.run(send())
    (record,) = recorded
    return body, record


@pytest.mark.parametrize("encode", [lambda body: body, gzip.compress])
def test_what_passes_is_kept(encode: Callable[[bytes], bytes]) -> None:
    """The caller gets the reply as it came, and the record has request, status and JSON, compressed or not."""
    sent = encode(b'{"a": 1}')
    headers = {"Content-Encoding": "gzip"} if sent.startswith(b"\x1f\x8b") else {}
    router = respx.Router()
    router.get(URL).respond(200, content=sent, headers=headers)
    body, record = pass_through(router, httpx.Request("GET", URL, headers={"X-Key": "secret"}))
    assert body == sent
    assert (record.method, record.url, record.http_status, record.is_whole) == ("GET", URL, 200, True)
    assert ("x-key", "secret") in record.headers
    assert asyncio.run(record.document()) == {"a": 1}


def test_a_reply_that_nobody_read_is_not_whole() -> None:
    """Where the caller reads no body, the record says that it is not whole."""
    router = respx.Router()
    router.get(URL).respond(302)
    _, record = pass_through(router, httpx.Request("GET", URL), read=False)
    assert (record.http_status, record.chunks, record.is_whole) == (302, [], False)


def test_no_reply() -> None:
    """A request that fails is recorded without a status, and the failure reaches the caller."""
    router = respx.Router()
    router.get(URL).mock(side_effect=httpx.ConnectError)
    recorded: list[Recorded] = []
    transport = RecordingTransport(httpx.MockTransport(router.async_handler), recorded)
    with pytest.raises(httpx.ConnectError):
        asyncio.run(transport.handle_async_request(httpx.Request("GET", URL)))
    assert [record.http_status for record in recorded] == [None]


def test_what_is_no_json_is_told() -> None:
    """A reply that is no JSON has no document, for a reason in words."""
    record = Recorded("GET", URL, (), 200, chunks=[b"<html>"])
    with pytest.raises(BadReplyError, match="HTML"):
        asyncio.run(record.document())


def test_its_repr_tells_no_secret(canary: str) -> None:
    """What a log would show of a record holds neither URL, headers nor reply."""
    record = Recorded("GET", f"{URL}?key={canary}", [("authorization", canary)], 200, chunks=[canary.encode()])
    assert canary not in repr(record)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/teams?size=100&name=a%20b", "/v1/teams?size=100&name=a b"),
        ("/v1/0123456789abcdef0123/quota", "/v1/0123456789abcdef0123/quota"),
        ("/v1/fedcba98765432100123/quota", "/v1/.../quota"),
        ("/v1/sk-canary-4f9a1c7be2d84c55a0e3", "/v1/..."),
        ("/v1/%73k-canary-4f9a1c7be2d84c55a0e3", "/v1/..."),
        ("/v1/a?id=sk-canary-4f9a1c7be2d84c55a0e3", "/v1/a?id=..."),
        ("/v1/a?id=who%40example.org&b=", "/v1/a?id=...&b=..."),
        ("/v1/a?id=%1b%5B31mred%0d%0a", "/v1/a?id=[31mred"),
        ("/v1/a?id=plain-words-of-a-secret", "/v1/a?id=..."),
        ("/v1/a?api_key=copper&page=1", "/v1/a?api_key=...&page=1"),
    ],
)
def test_its_address_tells_no_secret(path: str, shown: str, canary: str) -> None:
    """A value of an earlier reply may be the key or an id: dots stand for it, but not for what was configured."""
    record = Recorded("GET", f"https://campus.example{path}", ())
    configured = ("https://campus.example/v1/0123456789abcdef0123/quota",)
    assert record.address(configured, (canary, "plain-words-of-a-secret")) == f"https://campus.example{shown}"
