"""Kept-alive HTTP/1.1 connections of one origin behind httpx's transport interface."""

from __future__ import annotations

import ssl
import time
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import httpx

from quota_exporter.settings import ENVIRONMENT_PROXY
from quota_exporter.urls import split_url

# Longer than any usual scrape interval: with httpx's own 5 s every scrape would pay for new handshakes.
KEEPALIVE_SECONDS = 300.0


Transport: TypeAlias = httpx.AsyncBaseTransport


@dataclass(frozen=True, slots=True)
class Route:
    """How one origin (`scheme://host:port`) is reached; gateways with equal routes share connections.

    `proxy` is an http(s) URL, the word `environment` or None; the SSL context is compared by identity.
    """

    origin: str
    ssl_context: ssl.SSLContext
    proxy: str | None = field(repr=False)  # may hold a password


def open_transport(route: Route) -> Transport:
    """Open the pool of one route; it connects at the first request.

    ValueError when the environment names a proxy that cannot be used.
    """
    proxy = _environment_proxy(route.origin) if route.proxy == ENVIRONMENT_PROXY else route.proxy
    return _Pool(route.ssl_context, None if proxy is None else httpx.Proxy(proxy))


class _Pool(httpx.AsyncBaseTransport):
    """As many connections as there are requests at once, the one used last being used again first.

    Each is an httpx pool of one: httpx looks at every connection of a pool for every request, which takes most of
    the time when many keys share an origin. How many requests run at once is the caller's to bound.
    """

    def __init__(self, ssl_context: ssl.SSLContext, proxy: httpx.Proxy | None) -> None:
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._idle: deque[tuple[_Connection, float]] = deque()  # with when it was given back
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        connection = self._idle.pop()[0] if self._idle else self._open()
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            await self._give_back(connection)  # it has closed what broke, and connects anew
            raise
        body = cast("httpx.AsyncByteStream", response.stream)
        response.stream = _Body(body, lambda: self._give_back(connection))
        return response

    async def aclose(self) -> None:
        self._is_closed = True
        while self._idle:
            await self._idle.pop()[0].aclose()

    async def _give_back(self, connection: _Connection) -> None:
        if self._is_closed:
            await connection.aclose()
            return
        now = time.monotonic()
        self._idle.append((connection, now))
        # Those at the bottom are not used any more; httpx would look at them only when they are.
        while self._idle and now - self._idle[0][1] > KEEPALIVE_SECONDS:
            await self._idle.popleft()[0].aclose()

    def _open(self) -> _Connection:
        return _Connection(
            verify=self._ssl_context,
            trust_env=False,
            proxy=self._proxy,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS),
        )


class _Body(httpx.AsyncByteStream):
    """A reply's body, which gives its connection back when it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, give_back: Callable[[], Awaitable[None]]) -> None:
        self._stream = stream
        self._give_back: Callable[[], Awaitable[None]] | None = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            try:
                await self._stream.aclose()
            finally:
                await give_back()


class _Connection(httpx.AsyncHTTPTransport):
    """Adds what httpx lacks to survive gateways that hang up or fall silent at a bad moment.

    A gateway or load balancer may close an idle connection just when it is used again. That says nothing about
    the gateway, and recurs at each scrape where idle timeout and scrape interval are alike: so a kept connection
    that breaks before any reply is replaced by one more attempt.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        connected: list[Any] = []

        async def trace(event: str, info: dict[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                connected.append(info["return_value"])
            elif event.endswith(".start_tls.failed"):
                for stream in connected:  # httpcore leaks it when the handshake is cancelled
                    await stream.aclose()

        request.extensions = {**request.extensions, "trace": trace}
        try:
            return await super().handle_async_request(request)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            if connected:
                raise
        return await super().handle_async_request(request)


def _environment_proxy(origin: str) -> str | None:
    scheme, _, host = origin.partition("://")
    if urllib.request.proxy_bypass_environment(host):  # type: ignore[attr-defined]  # typeshed does not know it
        return None
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(scheme) or proxies.get("all")
    if proxy is None:
        return None
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        split_url(url)
    except ValueError as error:
        raise ValueError(f"the proxy that the environment names for {scheme} {error}") from None
    return url
