"""Kept-alive HTTP/1.1 connections of one origin behind httpx's transport interface."""

from __future__ import annotations

import ssl
import urllib.request
from dataclasses import dataclass

import httpx

from quota_exporter.settings import ENVIRONMENT_PROXY

# Longer than any usual scrape interval: with httpx's own 5 s every scrape would pay for new handshakes.
KEEPALIVE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Route:
    """How one origin (`scheme://host:port`) is reached; gateways with equal routes share connections.

    `proxy` is an http(s) URL, the word `environment` or None; the SSL context is compared by identity.
    """

    origin: str
    ssl_context: ssl.SSLContext
    proxy: str | None
    max_connections: int


def open_transport(route: Route) -> httpx.AsyncBaseTransport:
    """Open the pool of one route; it connects at the first request."""
    proxy = _environment_proxy(route.origin) if route.proxy == ENVIRONMENT_PROXY else route.proxy
    return httpx.AsyncHTTPTransport(
        verify=route.ssl_context,
        trust_env=False,
        proxy=None if proxy is None else httpx.Proxy(proxy),
        limits=httpx.Limits(
            max_connections=route.max_connections,
            max_keepalive_connections=route.max_connections,
            keepalive_expiry=KEEPALIVE_SECONDS,
        ),
    )


def _environment_proxy(origin: str) -> str | None:
    scheme, _, host = origin.partition("://")
    if urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
