"""One HTTP request sent to a gateway, with its reply or why there is none."""

from __future__ import annotations

import asyncio
import email.utils
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import cast

import httpx

from quota_exporter.mapping import Reply, classify_error
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.outgoing import Step
from quota_exporter.quota import Failure, Reason
from quota_exporter.reader import Notes
from quota_exporter.reply import MAX_BODY_BYTES, MAX_PAGE_BYTES, BadReplyError, parse_json, read_body

MAX_PAUSE_SECONDS = 300.0

# Shorter words of a header are mostly ordinary ones, which names may hold.
_MIN_SECRET_LENGTH = 6
_ERROR_BODY_SECONDS = 1.0
_OK = 200
_MULTIPLE_CHOICES = 300
_BAD_REQUEST = 400
_TOO_MANY_REQUESTS = 429
_SERVICE_UNAVAILABLE = 503
_INTERNAL_SERVER_ERROR = 500
_REASONS = {
    401: Reason.UNAUTHORIZED,
    402: Reason.PAYMENT_REQUIRED,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    429: Reason.RATE_LIMITED,
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """What all requests of one poll carry: the key, and the gateway entry's own headers."""

    key: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def secret_texts(mapping: ReplyMapping, key: str | None, headers: Iterable[str]) -> tuple[str, ...]:
    """Return what no text shown may hold: the key, the values of `headers` and of those of the mapping's requests.

    Of a header's value each word counts by itself too; those that are too short to tell are left out.
    """
    own = (value.get_secret_value() for request in mapping.steps for value in request.headers.values())
    words = (word for value in (*headers, *own) for word in (value, *value.split()))
    texts = dict.fromkeys(word for word in words if len(word) >= _MIN_SECRET_LENGTH)
    return tuple(texts) if key is None else (key, *texts)


class Exchange:
    """Sends the requests of one poll, one after the other, before a deadline that they share.

    `status` is that of the last reply, None while there is none; `last_status` is what came to the last request alone.
    `deadline` is by the loop's clock; `texts` is what no text of a reply may show.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        mapping: ReplyMapping,
        secrets: Secrets,
        *,
        timeout: float,
        wall: Callable[[], float],
        notes: Notes | None = None,
    ) -> None:
        """Let the time run: `timeout` seconds for all requests together.

        `wall` gives Unix seconds. `notes` are given to learn what each expression gave.
        """
        self._transport = transport
        self._mapping = mapping
        self._secrets = secrets
        self._timeout = timeout
        self._wall = wall
        self._notes = notes
        self.texts = secret_texts(mapping, secrets.key, secrets.headers.values())
        self.deadline = asyncio.get_running_loop().time() + timeout
        self.status: int | None = None
        self.last_status: int | None = None

    async def send(self, step: Step, values: Mapping[str, str], page: int | None = None) -> Reply | Failure:
        """Send a request with these values; `page` is for one with pages."""
        self.last_status = None
        try:
            request = step.build(self._secrets.key, self._secrets.headers, values, page)
        except UnicodeError:  # what httpx finds wrong with an xn-- name
            key = "base_url" if step.request.url is None else "the mapping's url"
            return Failure(Reason.DNS, f"the host in {key} is not a name that DNS allows")
        try:
            async with asyncio.timeout_at(self.deadline):
                response = await self._transport.handle_async_request(request)
                self.status = self.last_status = response.status_code
                try:
                    return await self._read(response, MAX_BODY_BYTES if page is None else MAX_PAGE_BYTES)
                finally:
                    await response.aclose()
        except BadReplyError as error:
            return Failure(error.reason, error.detail)
        except TimeoutError:
            return Failure(Reason.TIMEOUT, f"no whole reply within {self._timeout:g} s")
        except (httpx.HTTPError, OSError) as error:  # a TLS alert after the handshake comes as a bare ssl.SSLError
            return transport_failure(error)

    async def _read(self, response: httpx.Response, max_bytes: int) -> Reply | Failure:
        status = response.status_code
        if not _OK <= status < _BAD_REQUEST:
            return await self._http_error(response)
        if status >= _MULTIPLE_CHOICES:
            return Failure(
                Reason.REDIRECT,
                f"HTTP {status}: the key is not sent after a redirect; check base_url and quota_path",
            )
        return Reply(parse_json(await whole_body(response, max_bytes)), status, response.headers)

    async def _http_error(self, response: httpx.Response) -> Failure:
        status = response.status_code
        try:
            async with asyncio.timeout(_ERROR_BODY_SECONDS):
                reply = parse_json(await whole_body(response))
        except (BadReplyError, httpx.HTTPError, OSError):  # TimeoutError is an OSError
            reply = None  # the status alone tells enough
        notes = Notes() if self._notes is None else self._notes.apart()
        said_reason, message = classify_error(self._mapping, reply, secrets=self.texts, notes=notes)
        default = Reason.SERVER_ERROR if status >= _INTERNAL_SERVER_ERROR else Reason.HTTP_ERROR
        reason = said_reason or _REASONS.get(status, default)
        pause = None
        if status in (_TOO_MANY_REQUESTS, _SERVICE_UNAVAILABLE):
            pause = retry_after(response.headers.get("retry-after", ""), self._wall())
            reason = reason if pause is None else Reason.RATE_LIMITED
        detail = f"HTTP {status}" if message is None else f"HTTP {status}: {message}"
        return Failure(reason, detail, pause, notes.dropped)


async def whole_body(response: httpx.Response, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Read a reply's body, decoded; BadReplyError when it is too large or not what it claims to be."""
    # an async transport answers with an async stream, which aiter() hands on undecoded
    stream = cast("httpx.AsyncByteStream", response.stream)
    return await read_body(aiter(stream), response.headers.get("content-encoding", ""), max_bytes)


def retry_after(value: str, now: float) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110 10.2.3: seconds or a date), at most five minutes.

    `now` is Unix seconds. None when the header says neither.
    """
    text = value.strip()
    if re.fullmatch(r"[0-9]+", text):
        seconds = float(text)
    else:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), MAX_PAUSE_SECONDS)


def transport_failure(error: httpx.HTTPError | OSError) -> Failure:
    """Say why an exchange ended without a whole reply."""
    causes = list(_causes(error))
    known = next((failure for cause in causes if (failure := _known_cause(cause)) is not None), None)
    if known is not None:
        return known
    if isinstance(error, httpx.TimeoutException):
        return Failure(Reason.TIMEOUT, "the connection timed out")
    if isinstance(error, httpx.ProxyError):
        return Failure(Reason.CONNECT, "the proxy did not connect to the gateway")
    if isinstance(error, httpx.ConnectError):
        return Failure(Reason.CONNECT, f"no connection: {_why_not_connected(causes)}")
    if isinstance(error, httpx.RemoteProtocolError):
        return Failure(Reason.CONNECT, "the connection ended before the reply was whole, or the reply is not HTTP")
    return Failure(Reason.CONNECT, "the connection broke before the reply was whole")


def _known_cause(cause: BaseException) -> Failure | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Failure(Reason.TLS, f"the gateway's certificate is refused: {cause.verify_message}")
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        words: str | None = getattr(cause, "reason", None)  # only OpenSSL's own errors have one
        return Failure(Reason.TLS, f"no TLS connection: {(words or 'unknown reason').replace('_', ' ').lower()}")
    if isinstance(cause, socket.gaierror):
        return Failure(Reason.DNS, "the host name cannot be resolved")
    return None


def _why_not_connected(causes: list[BaseException]) -> str:
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "it ended during the TLS handshake"
    # strerror would be asyncio's own text, which names the address instead of the cause
    number = next((cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno), None)
    return "refused or unreachable" if number is None else os.strerror(number).lower()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, members of exception groups included."""
    queue: list[BaseException | None] = [error]
    seen: set[int] = set()
    while queue:
        cause = queue.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        queue += [cause.__cause__, cause.__context__]
        if isinstance(cause, BaseExceptionGroup):
            queue += cause.exceptions
