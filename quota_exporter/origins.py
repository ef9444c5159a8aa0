"""One transport for requests that go to several origins."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from quota_exporter.urls import origin_of


class ByOrigin(httpx.AsyncBaseTransport):
    """Hands each request to the transport of its origin (`scheme://host:port`); closing those is their owner's."""

    def __init__(self, transports: Mapping[str, httpx.AsyncBaseTransport]) -> None:
        self.transports = transports

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; KeyError for an origin that none of the transports is for."""
        return await self.transports[origin_of(str(request.url))].handle_async_request(request)
