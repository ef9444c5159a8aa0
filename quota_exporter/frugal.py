"""A transport that asks each thing once, whoever asks, and only so many things."""

from __future__ import annotations

from typing import cast

import httpx

from quota_exporter.recording import Recorded
from quota_exporter.reply import MAX_PAGE_BYTES
from quota_exporter.settings import Tls
from quota_exporter.tls import ssl_context
from quota_exporter.transport import Route, Transport, open_transport
from quota_exporter.urls import origin_of


class FrugalTransport(httpx.AsyncBaseTransport):
    """Answers a request that was made before from memory; `recorded` holds those that were sent.

    The first `most` requests are sent, further ones fail with httpx.ConnectError; `refused` counts them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._transports: dict[str, Transport] = {}
        self._ssl_context = ssl_context(Tls())
        self._answers: dict[tuple[str, ...], tuple[int, httpx.Headers, bytes]] = {}
        self.recorded: list[Recorded] = []
        self.refused = 0

    @property
    def is_spent(self) -> bool:
        """Whether no further request would be sent."""
        return len(self.recorded) >= self._most

    def has_asked(self, address: str) -> bool:
        """Whether this address was asked, whatever the query."""
        wanted = str(httpx.URL(address))
        return any(record.url.partition("?")[0] == wanted for record in self.recorded)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer from memory or send the request."""
        headers = sorted(f"{name}: {value}" for name, value in request.headers.items())
        question = (request.method, str(request.url), *headers)
        if question not in self._answers:
            if self.is_spent:
                self.refused += 1
                raise httpx.ConnectError("enough requests were made", request=request)
            self._answers[question] = await self._ask(request)
        status, fields, body = self._answers[question]
        return httpx.Response(status, headers=fields, stream=httpx.ByteStream(body))

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            await transport.aclose()

    async def _ask(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        record = Recorded(request.method, str(request.url), ())
        self.recorded.append(record)
        origin = origin_of(record.url)
        if origin not in self._transports:
            self._transports[origin] = open_transport(Route(origin, self._ssl_context, None))
        response = await self._transports[origin].handle_async_request(request)
        record.http_status = response.status_code
        body = bytearray()
        try:
            # an async transport answers with an async stream, which aiter() hands on undecoded
            async for chunk in cast("httpx.AsyncByteStream", response.stream):
                body += chunk
                if len(body) > MAX_PAGE_BYTES:
                    break  # more than any poll accepts: it will say so
        finally:
            await response.aclose()
        return response.status_code, response.headers, bytes(body)
