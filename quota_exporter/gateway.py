"""One poll of one gateway: a request under a deadline, its reply turned into a reading."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import os
import re
import socket
import ssl
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, cast

import httpx

from quota_exporter import __version__
from quota_exporter.credentials import Credential
from quota_exporter.files import MAX_SECRET_BYTES, FileProblem, FileReader
from quota_exporter.mapping import classify_error, map_reply
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.quota import Failure, Quota, Reading, Reason
from quota_exporter.reply import BadReplyError, parse_json, read_body
from quota_exporter.settings import GatewaySettings
from quota_exporter.values import is_header_value

MAX_PAUSE_SECONDS = 300.0

_MIN_SECRET_LENGTH = 8
_ERROR_BODY_SECONDS = 1.0

_LOG = logging.getLogger(__name__)
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
class Gateway:
    """One gateway, ready to be polled.

    `url` is where its quota is read, None when it has no base URL. `wall` gives Unix seconds.
    """

    settings: GatewaySettings
    mapping: ReplyMapping
    url: str | None
    transport: httpx.AsyncBaseTransport
    files: FileReader
    wall: Callable[[], float] = time.time

    async def poll(self, credential: Credential) -> Reading:
        """Read the quota once; every trouble, an own bug included, becomes a reading with a reason."""
        started = time.perf_counter()
        exchange = _Exchange()
        outcome: Quota | Failure
        try:
            outcome = await self._outcome(credential, exchange)
        except _UnreadableSecretError as error:
            outcome = Failure(Reason.NO_API_KEY, str(error))
        except BadReplyError as error:
            outcome = Failure(error.reason, error.detail)
        except TimeoutError:
            outcome = Failure(Reason.TIMEOUT, f"no whole reply within {self.settings.timeout:g} s")
        except (httpx.HTTPError, OSError) as error:  # a TLS alert after the handshake comes as a bare ssl.SSLError
            outcome = _transport_failure(error)
        except Exception as error:  # noqa: BLE001 - no bug in one poll may cost another gateway its series
            outcome = bug(self.settings.provider_id, error)
        return Reading(
            provider_id=self.settings.provider_id,
            key_source=credential.source,
            at=self.wall(),
            duration=time.perf_counter() - started,
            http_status=exchange.status,
            outcome=outcome,
        )

    async def _outcome(self, credential: Credential, exchange: _Exchange) -> Quota | Failure:
        if self.url is None:
            return Failure(Reason.NO_BASE_URL, "no base URL is known; set base_url")
        if credential.key is None:
            return Failure(Reason.NO_API_KEY, "no API key was found in any source")
        key = credential.key.get_secret_value()
        extra = self._extra_headers()
        # a short value is an ordinary word, which names may hold
        secrets = (key, *(value for value in extra.values() if len(value) >= _MIN_SECRET_LENGTH))
        try:
            request = httpx.Request("GET", self.url, headers=self._headers(extra, key), extensions=self._extensions())
        except UnicodeError:  # what httpx finds wrong with an xn-- name
            return Failure(Reason.DNS, "the host in base_url is not a name that DNS allows")
        async with asyncio.timeout(self.settings.timeout):
            response = await self.transport.handle_async_request(request)
            exchange.status = response.status_code
            try:
                return await self._read(response, secrets)
            finally:
                await response.aclose()

    async def _read(self, response: httpx.Response, secrets: tuple[str, ...]) -> Quota | Failure:
        if not _OK <= response.status_code < _BAD_REQUEST:
            return await self._http_error(response, secrets)
        if response.status_code >= _MULTIPLE_CHOICES:
            return Failure(
                Reason.REDIRECT,
                f"HTTP {response.status_code}: the key is not sent after a redirect; check base_url and quota_path",
            )
        return map_reply(
            self.mapping,
            parse_json(await _body(response)),
            http_status=response.status_code,
            secrets=secrets,
            now=self.wall(),
            max_buckets=self.settings.max_buckets,
        )

    async def _http_error(self, response: httpx.Response, secrets: tuple[str, ...]) -> Failure:
        status = response.status_code
        try:
            async with asyncio.timeout(_ERROR_BODY_SECONDS):
                reply = parse_json(await _body(response))
        except (BadReplyError, httpx.HTTPError, OSError):  # TimeoutError is an OSError
            reply = None  # the status alone tells enough
        said_reason, message = classify_error(self.mapping, reply, secrets=secrets)
        default = Reason.SERVER_ERROR if status >= _INTERNAL_SERVER_ERROR else Reason.HTTP_ERROR
        reason = said_reason or _REASONS.get(status, default)
        pause = None
        if status in (_TOO_MANY_REQUESTS, _SERVICE_UNAVAILABLE):
            pause = _retry_after(response.headers.get("retry-after", ""), self.wall())
            reason = reason if pause is None else Reason.RATE_LIMITED
        detail = f"HTTP {status}" if message is None else f"HTTP {status}: {message}"
        return Failure(reason, detail, retry_after=pause)

    def _headers(self, extra: dict[str, str], key: str) -> httpx.Headers:
        auth = self.settings.auth
        headers = httpx.Headers(
            {
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": f"quota-exporter/{__version__}",
            }
        )
        headers.update(extra)
        headers[auth.header] = f"{auth.scheme} {key}" if auth.scheme else key
        return headers

    def _extra_headers(self) -> dict[str, str]:
        headers = {}
        for name, value in self.settings.headers.items():
            if value.file is not None:
                headers[name] = self._secret_header(name, value.file)
            elif value.value is not None:
                headers[name] = value.value.get_secret_value()
        return headers

    def _secret_header(self, name: str, path: Path) -> str:
        try:
            text = self.files.read_text(path, max_bytes=MAX_SECRET_BYTES).strip()
        except FileProblem as problem:
            raise _UnreadableSecretError(f"the file of header {name} {problem}") from None
        if not text or not is_header_value(text):
            raise _UnreadableSecretError(f"the file of header {name} is blank or holds what a header cannot carry")
        return text

    def _extensions(self) -> dict[str, Any]:
        name = self.settings.tls.server_name
        return {} if name is None else {"sni_hostname": name}


class _Exchange:
    """What is known of a poll when it is cut short."""

    status: int | None = None


class _UnreadableSecretError(Exception):
    """A secret that the request needs, beside the key, cannot be read."""


async def _body(response: httpx.Response) -> bytes:
    # an async transport answers with an async stream, which aiter() hands on undecoded
    stream = cast("httpx.AsyncByteStream", response.stream)
    return await read_body(aiter(stream), response.headers.get("content-encoding", ""))


def bug(provider_id: str, error: Exception) -> Failure:
    """Log where an exception that nobody foresaw came from; return the failure to show."""
    # The text of an unknown exception may quote a header: type and place must do.
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    place = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    _LOG.error("poll failed by a bug", extra={"provider_id": provider_id, "error": type(error).__name__, "at": place})
    return Failure(Reason.INTERNAL, f"a bug in the exporter ({type(error).__name__}); see its log")


def _transport_failure(error: httpx.HTTPError | OSError) -> Failure:
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


def _retry_after(value: str, now: float) -> float | None:
    """Seconds of a Retry-After header (RFC 9110 10.2.3: seconds or a date), at most five minutes."""
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
