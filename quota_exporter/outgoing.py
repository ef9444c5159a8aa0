"""The HTTP requests that a mapping asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import httpx

from quota_exporter import __version__
from quota_exporter.document import SURROGATE
from quota_exporter.endpoints import auth_of
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.request_language import Auth, Request, fill
from quota_exporter.settings import GatewaySettings
from quota_exporter.urls import origin_of

_MAX_VALUE_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a mapping for one gateway, with all that stays the same from poll to poll.

    `place` is where the request stands in the mapping, as in `requests[1]`. `fixed_url` is None where the URL,
    `template` with a query, depends on earlier replies or on the page. `is_own` tells whether it goes where base_url
    does, or whether no request does: only there the entry's own headers go.
    """

    request: Request
    place: str
    template: str
    fixed_url: httpx.URL | None
    headers: httpx.Headers = field(repr=False)
    auth: Auth
    extensions: Mapping[str, str]
    is_own: bool

    def can_carry(self, values: Mapping[str, str]) -> bool:
        """Whether the values of earlier replies can stand in the request without leading it elsewhere."""
        if not values:
            return True
        if any(len(value) > _MAX_VALUE_LENGTH or SURROGATE.search(value) for value in values.values()):
            return False
        pairs = zip(self.template.split("/"), _filled(self.template, values).split("/"), strict=True)
        return not any(before != after and after in ("", ".", "..") for before, after in pairs)

    def build(self, key: str, extra: Mapping[str, str], values: Mapping[str, str], page: int | None) -> httpx.Request:
        """Return the request to send.

        `extra` are the entry's own headers, for steps that are its own, `values` (that it can carry) stand for
        `{name}`, `page` is sent by requests with pages. UnicodeError when the host is not a name.
        """
        headers = self.headers.copy()
        if self.is_own:
            headers.update(extra)
        headers[self.auth.header] = f"{self.auth.scheme} {key}" if self.auth.scheme else key
        url = _url(self.request, self.template, values, page) if self.fixed_url is None else self.fixed_url
        content = None
        if self.request.body is not None:
            content = json.dumps(fill(self.request.body, dict(values))).encode()
        return httpx.Request(
            self.request.method,
            url,
            headers=headers,
            content=content,
            extensions={**self.extensions},
        )


def steps_of(mapping: ReplyMapping, settings: GatewaySettings, urls: tuple[str, ...]) -> tuple[Step, ...]:
    """Prepare the requests of a mapping, whose URLs are `urls` in the same order."""
    own_origins = {origin_of(url) for request, url in zip(mapping.steps, urls, strict=True) if request.url is None}
    steps = []
    for index, (request, url) in enumerate(zip(mapping.steps, urls, strict=True)):
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"quota-exporter/{__version__}",
        }
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        sent = httpx.Headers(headers)
        sent.update({header: value.get_secret_value() for header, value in request.headers.items()})
        steps.append(
            Step(
                request=request,
                place=place_of(index),
                template=url,
                fixed_url=_fixed_url(request, url),
                headers=sent,
                auth=auth_of(mapping, request, settings.auth),
                extensions=_tls_name(settings) if origin_of(url) in own_origins else {},
                is_own=not own_origins or origin_of(url) in own_origins,
            )
        )
    return tuple(steps)


def place_of(index: int) -> str:
    """Return where a request stands in its mapping, for messages."""
    return f"requests[{index}]"


def _tls_name(settings: GatewaySettings) -> dict[str, str]:
    return {} if settings.tls.server_name is None else {"sni_hostname": settings.tls.server_name}


def _fixed_url(request: Request, template: str) -> httpx.URL | None:
    if request.values or request.pages is not None:
        return None
    try:
        return _url(request, template, {}, None)
    except UnicodeError:  # what httpx finds wrong with an xn-- name, told at each poll
        return None


def _filled(template: str, values: Mapping[str, str]) -> str:
    url: str = fill(template, {name: quote(value, safe="") for name, value in values.items()})
    return url


def _url(request: Request, template: str, values: Mapping[str, str], page: int | None) -> httpx.URL:
    query = {name: fill(value, dict(values)) for name, value in request.query.items()}
    if request.pages is not None and page is not None:
        query[request.pages.query] = page
    url = _filled(template, values)
    return httpx.URL(f"{url}?{urlencode(query, quote_via=quote)}" if query else url)
