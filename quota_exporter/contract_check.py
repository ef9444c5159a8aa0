"""The two requests that show whether an endpoint keeps the neutral contract."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from quota_exporter import __version__
from quota_exporter.contract import check_document, error_problem
from quota_exporter.contract_values import Finding, ok, skipped, violation, warning
from quota_exporter.exchange import retry_after, transport_failure, whole_body
from quota_exporter.key_list import KEY_REASONS
from quota_exporter.mapping import MAX_FRESH_SECONDS, max_age
from quota_exporter.reply import BadReplyError, parse_json
from quota_exporter.reply_text import clean_message, clean_text
from quota_exporter.transport import Route, Transport, open_transport
from quota_exporter.urls import is_plain_http_to_public, origin_of, split_url
from quota_exporter.values import is_header_value

_DEADLINE_SECONDS = 10.0
_OK = 200
_MULTIPLE_CHOICES = 300
_BAD_REQUEST = 400
_UNAUTHORIZED = 401
_TOO_MANY_REQUESTS = 429
_SERVICE_UNAVAILABLE = 503
_CALLS = "requests"
_WITHOUT_KEY = "without a key"


async def check_contract(
    url: str,
    key: str,
    *,
    ssl_context: ssl.SSLContext,
    now: float,
    connect: Callable[[Route], Transport] = open_transport,
) -> list[Finding]:
    """Ask an endpoint of the neutral contract twice, with the key, then without; tell of each point what conforms.

    Both are GET requests to `url` itself, with a deadline of 10 s each, and follow no redirect. `now` is Unix time.
    """
    refusal = _refusal(url, key)
    if refusal is not None:
        return [violation(_CALLS, f"none was made: {refusal}")]
    findings = [ok(_CALLS, f"GET {url} with the key, then without; two in all, and both only read")]
    transport = connect(Route(origin_of(url), ssl_context, None))
    try:
        answer = await _ask(transport, url, key)
        if isinstance(answer, str):
            return [*findings, violation("reachable", answer), skipped(_WITHOUT_KEY, "not asked")]
        findings += [ok("reachable", "an HTTP reply came within 10 s"), *_judge(answer, key, now)]
        findings += _judge_refusal(await _ask(transport, url, None))
    finally:
        await transport.aclose()
    return findings


@dataclass(frozen=True, slots=True)
class _Answer:
    """An HTTP reply; `problem` says why its body is not JSON."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    document: Any = None
    problem: BadReplyError | None = None


def _refusal(url: str, key: str) -> str | None:
    try:
        parts = split_url(url)
    except ValueError as error:
        return f"the URL {error}"
    if "@" in parts.netloc or parts.query or parts.fragment or url.endswith(("?", "#")):
        return "the URL must hold no user name, query or fragment; write https://host/quota"
    if is_plain_http_to_public(url):
        return "the key would cross a public network unencrypted; write https://"
    if not key or not is_header_value(key):
        return "the key is blank or holds what a header cannot carry"
    return "the URL holds the key; send it in the header alone" if key in url else None


async def _ask(transport: Transport, url: str, key: str | None) -> _Answer | str:
    """The reply to one request, or why there is none."""
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": f"quota-exporter/{__version__}"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    try:
        request = httpx.Request("GET", url, headers=headers)
        async with asyncio.timeout(_DEADLINE_SECONDS):
            response = await transport.handle_async_request(request)
            try:
                return await _read(response)
            finally:
                await response.aclose()
    except UnicodeError:  # what httpx finds wrong with an xn-- name
        return "the host is not a name that DNS allows"
    except TimeoutError:
        return f"no whole reply within {_DEADLINE_SECONDS:g} s"
    except (httpx.HTTPError, OSError) as error:
        return transport_failure(error).detail


async def _read(response: httpx.Response) -> _Answer:
    try:
        body = await whole_body(response)
    except BadReplyError as error:
        return _Answer(response.status_code, response.headers, problem=error)
    try:
        return _Answer(response.status_code, response.headers, body, parse_json(body))
    except BadReplyError as error:
        return _Answer(response.status_code, response.headers, body, problem=error)


def _judge(answer: _Answer, key: str, now: float) -> Iterator[Finding]:
    yield _status(answer.status)
    yield from _content_type(answer.headers)
    if answer.problem is None:
        yield ok("body", f"{len(answer.body):,} bytes of JSON in UTF-8")
    else:
        yield violation("body", answer.problem.detail)
    yield _echo(answer, key)
    if answer.status in (_TOO_MANY_REQUESTS, _SERVICE_UNAVAILABLE):
        yield _retry_after(answer.headers, now)
    if not _OK <= answer.status < _MULTIPLE_CHOICES:
        if answer.problem is None and answer.status >= _BAD_REQUEST:
            yield _error(answer.document, key)
        return
    yield _cache_control(answer.headers)
    if answer.problem is None:
        yield from check_document(answer.document, key=key, now=now)


def _status(status: int) -> Finding:
    if status == _OK:
        return ok("status", "HTTP 200")
    if _OK < status < _MULTIPLE_CHOICES:
        return warning("status", f"HTTP {status}; answer 200")
    if _MULTIPLE_CHOICES <= status < _BAD_REQUEST:
        return violation(
            "status", f"HTTP {status}: the key is not sent after a redirect; name the address that answers"
        )
    if status == _UNAUTHORIZED:
        return violation("status", "HTTP 401: the key is refused, so no quota was seen; check with one that is valid")
    return violation("status", f"HTTP {status}, so no quota was seen")


def _content_type(headers: Mapping[str, str]) -> Iterator[Finding]:
    value = headers.get("content-type", "")
    if re.fullmatch(r"(?i)application/json\s*(?:;.*)?", value):
        yield ok("Content-Type", "application/json")
    else:
        state = "is something else" if value else "is missing"
        yield violation("Content-Type", f"{state}; send application/json")


def _echo(answer: _Answer, key: str) -> Finding:
    is_in_head = any(key in value for value in answer.headers.values())
    if is_in_head or key.encode() in answer.body or _holds(answer.document, key):
        return violation("key not echoed", "the reply holds the API key; never send it back")
    if answer.problem is not None:
        return skipped("key not echoed", "the body could not be read")
    return ok("key not echoed", "the reply does not hold it")


def _holds(document: Any, key: str) -> bool:
    if isinstance(document, str):
        return key in document
    if isinstance(document, dict):
        return any(_holds(part, key) for pair in document.items() for part in pair)
    return isinstance(document, list) and any(_holds(item, key) for item in document)


def _error(document: Any, key: str) -> Finding:
    problem = error_problem(document)
    if problem is not None:
        return violation("error", f"the JSON {problem}")
    error = document["error"]
    message = clean_message(error["message"], (key,)) or "a message that is not shown, for it may hold a key"
    code = error.get("code")
    if code in KEY_REASONS:
        return ok("error", f"{message}; its code {code} is shown as the reason")
    return ok("error", f"{message}; code {clean_text(code, (key,)) or 'not given'}")


def _retry_after(headers: Mapping[str, str], now: float) -> Finding:
    if retry_after(headers.get("retry-after", ""), now) is None:
        return warning("Retry-After", "is missing or no number of seconds; send it with 429 and 503")
    return ok("Retry-After", "it says when to come back")


def _cache_control(headers: Mapping[str, str]) -> Finding:
    point, value = "Cache-Control", headers.get("cache-control", "")
    seconds = max_age(value)
    if seconds == MAX_FRESH_SECONDS:
        return ok(point, f"the endpoint is asked at most every {seconds:g} s, the longest that the exporter waits")
    if seconds:
        return ok(point, f"the endpoint is asked at most every {seconds:g} s")
    if re.search(r'(?i)\bmax-age=(?!"?[0-9])', value):
        return warning(point, "max-age is no number of seconds")
    return ok(point, "no max-age that allows to reuse a reply, so the endpoint is asked on each scrape")


def _judge_refusal(answer: _Answer | str) -> Iterator[Finding]:
    if isinstance(answer, str):
        yield warning(_WITHOUT_KEY, f"no reply: {answer}")
    elif _OK <= answer.status < _MULTIPLE_CHOICES:
        yield violation(_WITHOUT_KEY, f"HTTP {answer.status}: anyone can read the quota; answer 401")
    elif answer.status != _UNAUTHORIZED:
        yield warning(_WITHOUT_KEY, f"HTTP {answer.status}; answer 401 to a request without a key")
    elif answer.problem is not None:
        yield warning(_WITHOUT_KEY, f"HTTP 401, but {answer.problem.detail}")
    elif (problem := error_problem(answer.document)) is not None:
        yield warning(_WITHOUT_KEY, f"HTTP 401, but the JSON {problem}")
    else:
        yield ok(_WITHOUT_KEY, "refused with HTTP 401 and a JSON error")
