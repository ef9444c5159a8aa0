"""A transport that asks each thing once, and only so many things."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import httpx
import pytest
import respx

from quota_exporter import frugal
from quota_exporter.frugal import FrugalTransport
from quota_exporter.reply import MAX_PAGE_BYTES
from quota_exporter.transport import Route

BASE = "https://campus.example"


@pytest.fixture(name="router")
def _router(monkeypatch: pytest.MonkeyPatch) -> respx.Router:
    router = respx.Router()
    routes: list[Route] = []

    def open_transport(route: Route) -> httpx.MockTransport:
        assert route.proxy is None
        routes.append(route)
        return httpx.MockTransport(router.async_handler)

    monkeypatch.setattr(frugal, "open_transport", open_transport)
    return router


def with_transport(most: int, work: Callable[[FrugalTransport], Awaitable[None]]) -> FrugalTransport:
    async def run() -> FrugalTransport:
        transport = FrugalTransport(most)
        try:
            await work(transport)
        finally:
            await transport.aclose()
        return transport

    return asyncio.run(run())


async def ask(transport: FrugalTransport, url: str, **headers: str) -> tuple[int, bytes]:
    response = await transport.handle_async_request(httpx.Request("GET", url, headers=headers))
    stream = cast("httpx.AsyncByteStream", response.stream)
    return response.status_code, b"".join([chunk async for chunk in stream])


def test_the_same_is_asked_once(router: respx.Router) -> None:
    """A request that was made before is answered from memory, with the same status and body."""
    router.get(f"{BASE}/quota").respond(404, json={"a": 1})
    answers: list[tuple[int, bytes]] = []

    async def work(transport: FrugalTransport) -> None:
        answers.extend([await ask(transport, f"{BASE}/quota") for _ in range(3)])

    transport = with_transport(2, work)
    assert len(router.calls) == len(transport.recorded) == 1
    assert {status for status, _ in answers} == {404}
    assert len(set(answers)) == 1
    assert not transport.is_spent


def test_other_headers_make_it_another_request(router: respx.Router) -> None:
    """A gateway can answer differently to another header, so that is asked."""
    router.get(f"{BASE}/quota").respond(json={})

    async def work(transport: FrugalTransport) -> None:
        await ask(transport, f"{BASE}/quota", authorization="Bearer k")
        await ask(transport, f"{BASE}/quota", **{"x-key": "k"})

    assert len(with_transport(6, work).recorded) == 2


def test_the_rest_is_refused(router: respx.Router) -> None:
    """After so many requests none is sent; what was asked before is still answered."""
    router.get(url__startswith=BASE).respond(json={})

    async def work(transport: FrugalTransport) -> None:
        for number in range(2):
            await ask(transport, f"{BASE}/{number}")
        assert transport.is_spent
        with pytest.raises(httpx.ConnectError):
            await ask(transport, f"{BASE}/2")
        await ask(transport, f"{BASE}/0")

    transport = with_transport(2, work)
    assert len(router.calls) == 2
    assert transport.refused == 1


def test_a_failure_counts_as_asked(router: respx.Router) -> None:
    """A request that nobody answers is one of the allowed ones, and has no status."""
    router.get(f"{BASE}/quota").mock(side_effect=httpx.ConnectTimeout)

    async def work(transport: FrugalTransport) -> None:
        with pytest.raises(httpx.ConnectTimeout):
            await ask(transport, f"{BASE}/quota")

    transport = with_transport(1, work)
    assert [record.http_status for record in transport.recorded] == [None]
    assert transport.is_spent


def test_what_was_asked_is_known_whatever_the_query(router: respx.Router) -> None:
    """An address counts as asked with any query, and in any spelling that means the same."""
    router.get(url__startswith=BASE).respond(json={})

    async def work(transport: FrugalTransport) -> None:
        await ask(transport, f"{BASE}/quota?page=1")
        assert transport.has_asked(f"{BASE}/quota")
        assert transport.has_asked(f"{BASE}:443/quota")
        assert not transport.has_asked(f"{BASE}/quot")

    with_transport(6, work)


class Endless(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536


def test_a_huge_reply_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of a reply is read than a poll takes of one page, plus what tells that it is too large."""
    endless = httpx.MockTransport(lambda _request: httpx.Response(200, stream=Endless()))
    monkeypatch.setattr(frugal, "open_transport", lambda _route: endless)
    sizes: list[int] = []

    async def work(transport: FrugalTransport) -> None:
        sizes.append(len((await ask(transport, f"{BASE}/quota"))[1]))

    with_transport(6, work)
    assert MAX_PAGE_BYTES < sizes[0] <= MAX_PAGE_BYTES + 65536


def test_no_header_is_kept(router: respx.Router, canary: str) -> None:
    """The record of a request has no headers, so nobody can print the key."""
    router.get(f"{BASE}/quota").respond(json={})

    async def work(transport: FrugalTransport) -> None:
        await ask(transport, f"{BASE}/quota", authorization=canary)

    transport = with_transport(6, work)
    assert [list(record.headers) for record in transport.recorded] == [[]]
    assert canary not in repr(transport.recorded)
