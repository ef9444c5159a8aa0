"""Fake gateways on loopback, whose behaviour a test changes while they run and whose connections it counts."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

_STARTED_WITHIN_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Request:
    """What a gateway was asked; `target` is the path with its query, names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    target: str = ""

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class Gate:
    """Holds replies back until it is opened."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open = asyncio.Event()

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    async def passed(self) -> None:
        await self._open.wait()


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply, sent when `gate` opens if there is one; `raw` bytes replace all of it and end the connection."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = "Whatever"
    gate: Gate | None = None
    raw: bytes | None = None

    def encoded(self) -> bytes:
        if self.raw is not None:
            return self.raw
        headers = {"Content-Type": "application/json", "Content-Length": str(len(self.body)), **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} {self.reason}\r\n{lines}\r\n".encode() + self.body


Behaviour = Callable[[Request], Reply]


def json_reply(content: Any, status: int = 200, **options: Any) -> Reply:
    return Reply(status, json.dumps(content).encode(), **options)


def quota(limit: int = 1000, used: int = 250, **options: Any) -> Reply:
    """A reply of the neutral contract with one bucket of tokens."""
    return json_reply({"tokens": {"limit": limit, "used": used, "remaining": limit - used}}, **options)


class FakeGateways:
    """One origin, a gateway at each path that was given a behaviour; 404 elsewhere.

    It serves in a thread of its own from `start` to `stop`. It also answers as a plain HTTP proxy.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._behaviours: dict[str, Behaviour] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake-gateways", daemon=True)
        self._started = threading.Event()
        self._ending = asyncio.Event()
        self._handlers: set[asyncio.Task[None]] = set()
        self._port = 0
        self.requests: list[Request] = []
        self.waiting = 0
        self.connections_opened = 0
        self.connections_open = 0
        self.most_connections_open = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(_STARTED_WITHIN_SECONDS)
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def answer(self, path: str, behaviour: Behaviour | Reply) -> None:
        """Answer requests of this path so from now on."""
        self._behaviours[path] = (lambda _request: behaviour) if isinstance(behaviour, Reply) else behaviour

    def gate(self) -> Gate:
        return Gate(self._loop)

    def hang(self, path: str) -> None:
        """Take requests of this path and never answer."""
        self.answer(path, Reply(gate=self.gate()))

    def count(self, path: str) -> int:
        """How often this path was asked for."""
        return sum(request.path == path for request in self.requests)

    def stop(self) -> None:
        """Close the port and all connections, as a killed gateway does."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join(_STARTED_WITHIN_SECONDS)
            assert not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        # a fleet's first scrape connects hundreds of times at once
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls, backlog=1024)
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._ending.wait()
        server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        self.connections_opened += 1
        self.connections_open += 1
        self.most_connections_open = max(self.most_connections_open, self.connections_open)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the exporter left, or the test is over: both are part of the game
        finally:
            self.connections_open -= 1
            self._handlers.discard(handler)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        target = start.split(" ")[1]
        request = Request(urlsplit(target).path, headers, target)
        self.requests.append(request)
        behaviour = self._behaviours.get(request.path, _unknown)
        reply = behaviour(request)
        self.waiting += 1
        try:
            if reply.gate is not None:
                await reply.gate.passed()
        finally:
            self.waiting -= 1
        writer.write(reply.encoded())
        await writer.drain()
        return reply.raw is None


def _unknown(_request: Request) -> Reply:
    return json_reply({"error": {"message": "there is no quota here"}}, status=404)
