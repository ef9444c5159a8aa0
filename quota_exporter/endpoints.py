"""How the requests of a mapping reach one gateway."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.request_language import Auth, Request

_VERSION = re.compile(r"/v[0-9]+")


def request_urls(mapping: ReplyMapping, *, base_url: str | None, quota_path: str | None) -> tuple[str, ...]:
    """Return the URL of each request, without its query and with `{name}` where a value belongs.

    `base_url` has been checked; where it is None and some request needs it, there are no URLs at all. `quota_path`
    goes before the first request's own path. ValueError says what is wrong with `quota_path`.
    """
    first, *others = mapping.steps
    if first.url is not None and quota_path is not None:
        raise ValueError(f"is not used by the mapping {mapping.name}, which asks at an address of its own; remove it")
    path = quota_path or first.path
    if first.url is None and path is None:
        raise ValueError(f"is missing; the mapping {mapping.name} does not say where the quota is, so add it")
    paths = [(first, path), *((request, request.path) for request in others)]
    if base_url is None and any(request.url is None for request in mapping.steps):
        return ()
    return tuple(request.url or f"{_base(request, base_url or '')}{path}" for request, path in paths)


def auth_of(mapping: ReplyMapping, request: Request, own: Auth | None) -> Auth:
    """Return how a request carries the key; the gateway entry's `own` choice goes before the mapping's."""
    return own or request.auth or mapping.auth or Auth()


def _base(request: Request, base_url: str) -> str:
    if not request.root:
        return base_url
    parts = urlsplit(base_url)
    origin = f"{parts.scheme}://{parts.netloc}"
    if request.root == "origin":
        return origin
    folder, slash, version = parts.path.rpartition("/")
    return f"{origin}{folder}" if _VERSION.fullmatch(slash + version) else base_url
