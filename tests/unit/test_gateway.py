"""One poll of one gateway: what is sent, and what each kind of reply becomes."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import logging
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given, strategies as st
from pydantic import SecretStr

from quota_exporter.credentials import Credential
from quota_exporter.document import Location
from quota_exporter.endpoints import request_urls
from quota_exporter.exchange import MAX_PAUSE_SECONDS, retry_after
from quota_exporter.files import FileReader
from quota_exporter.gateway import Gateway
from quota_exporter.presets import load_preset
from quota_exporter.quota import Failure, KeySource, Quota, Reading, Reason
from quota_exporter.roster import Plan
from quota_exporter.settings import GatewaySettings

_NOW = 1_780_000_000.0  # 2026-05-28T20:26:40Z
_URL = "https://llm.example.edu/v1/quota"
_QUOTA = {"key": "course", "tokens": {"limit": 100, "used": 25, "remaining": 75}}


def _gateway(router: respx.Router, *, mapping: str = "neutral", **settings: Any) -> Gateway:
    values = {"provider_id": "campus", "base_url": "https://llm.example.edu/v1"} | settings
    checked = GatewaySettings.model_validate(values)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: the transport is a fake
    preset = load_preset(mapping)
    urls = request_urls(preset, base_url=checked.base_url, quota_path=checked.quota_path)
    plan = Plan(checked, preset, urls, context, Location(Path("conf.yml"), 1))
    transport = httpx.MockTransport(router.async_handler)
    return Gateway(checked, plan.mapping, plan.url, transport, FileReader(), wall=lambda: _NOW)


def _poll(gateway: Gateway, key: str | None = "sk-test") -> Reading:
    if key is None:
        return asyncio.run(gateway.poll(Credential(None, KeySource.NONE, ())))
    return asyncio.run(gateway.poll(Credential(SecretStr(key), KeySource.ENV, ())))


def _reply(response: httpx.Response | Exception, **settings: Any) -> Reading:
    """Poll a gateway that answers so."""
    router = respx.Router()
    if isinstance(response, Exception):  # as it is: respx would put a cause of its own into it
        transport = httpx.MockTransport(_raising(response))
        return _poll(dataclasses.replace(_gateway(router, **settings), transport=transport))
    router.get(_URL).mock(return_value=response)
    return _poll(_gateway(router, **settings))


def _raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def handle(_request: httpx.Request) -> httpx.Response:
        raise error

    return handle


def _failure(response: httpx.Response | Exception, **settings: Any) -> Failure:
    failure = _reply(response, **settings).failure
    assert failure is not None
    return failure


def _raw(body: bytes, status: int = 200, **headers: str) -> httpx.Response:
    """A reply whose body httpx leaves as it is."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=names, stream=httpx.ByteStream(body))


def _sent(key: str = "sk-test", **settings: Any) -> httpx.Request:
    """The request that a gateway with these settings gets."""
    router = respx.Router()
    route = router.route().mock(return_value=httpx.Response(200, json=_QUOTA))
    reading = _poll(_gateway(router, **settings), key)
    assert reading.quota is not None, reading
    request: httpx.Request = route.calls.last.request
    return request


# What is sent


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"base_url": "https://llm.example.edu/v1"}, "https://llm.example.edu/v1/quota"),
        ({"base_url": "https://llm.example.edu/v1/"}, "https://llm.example.edu/v1/quota"),
        ({"base_url": "https://llm.example.edu"}, "https://llm.example.edu/quota"),
        ({"base_url": "https://llm.example.edu/team/gw/api/v1"}, "https://llm.example.edu/team/gw/api/v1/quota"),
        ({"base_url": "https://llm.example.edu:8443/a%2Fb"}, "https://llm.example.edu:8443/a%2Fb/quota"),
        ({"base_url": "http://[::1]:4000/v1"}, "http://[::1]:4000/v1/quota"),
        ({"quota_path": "/me/budget"}, "https://llm.example.edu/v1/me/budget"),
    ],
)
def test_url_is_base_url_and_path(settings: dict[str, Any], url: str) -> None:
    """The quota is asked for at the base URL, its deploy prefix included, followed by the path."""
    request = _sent(**settings)
    assert str(request.url) == url
    assert request.method == "GET"


def test_path_is_the_mappings_own() -> None:
    """Without quota_path the mapping decides where the quota is."""
    router = respx.Router()
    route = router.get("https://llm.example.edu/v1/key").mock(
        return_value=httpx.Response(200, json={"data": {"limit": 5, "usage": 1}})
    )
    assert _poll(_gateway(router, mapping="openrouter")).quota is not None
    assert route.call_count == 1


def test_headers_of_a_request() -> None:
    """The key goes into Authorization, gzip alone is accepted, and nothing unneeded is sent."""
    headers = _sent("sk-123").headers
    assert headers.pop("user-agent").startswith("quota-exporter/")
    assert dict(headers) == {
        "host": "llm.example.edu",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "authorization": "Bearer sk-123",
    }


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ({"header": "X-Api-Key", "scheme": ""}, "x-api-key", "sk-123"),
        ({"scheme": "Token"}, "authorization", "Token sk-123"),
        ({"scheme": ""}, "authorization", "sk-123"),
        ({"header": "api-key"}, "api-key", "Bearer sk-123"),
    ],
)
def test_key_is_sent_as_the_gateway_wants_it(auth: dict[str, str], name: str, value: str) -> None:
    """Header and scheme can be chosen, down to the bare key, and the key stands in no other header."""
    headers = _sent("sk-123", auth=auth).headers
    assert headers.get_list(name) == [value]
    assert [header for header, text in headers.multi_items() if "sk-123" in text] == [name]


def test_extra_headers_are_sent() -> None:
    """Configured headers are added as they are."""
    headers = _sent(headers={"X-Org": "ml", "X-Words": "two words"}).headers
    assert (headers["x-org"], headers["x-words"]) == ("ml", "two words")


@pytest.mark.parametrize("name", ["User-Agent", "user-agent", "ACCEPT"])
def test_configured_header_replaces_the_exporters(name: str) -> None:
    """A header that the exporter would set anyway is sent once, with the configured value, however spelled."""
    assert _sent(headers={name: "mine"}).headers.get_list(name) == ["mine"]


def test_header_from_a_file_follows_the_file(tmp_path: Path) -> None:
    """A header's file is read again when it changes, so a rotated secret needs no restart."""
    secret = tmp_path / "tenant"
    secret.write_text("first\n")
    os.utime(secret, (time.time() - 100, time.time() - 100))
    router = respx.Router()
    route = router.route().mock(return_value=httpx.Response(200, json=_QUOTA))
    gateway = _gateway(router, headers={"X-Tenant": {"file": str(secret)}})
    _poll(gateway)
    secret.write_text("second\n")
    _poll(gateway)
    assert [call.request.headers["x-tenant"] for call in route.calls] == ["first", "second"]


@pytest.mark.parametrize("content", [None, "", " \n", "two\nlines", "ключ", "x" * (65 << 10)])
def test_header_file_that_cannot_be_used_stops_the_poll(tmp_path: Path, content: str | None) -> None:
    """Without one of its secrets a request is not sent at all, and the header is named."""
    secret = tmp_path / "tenant"
    if content is not None:
        secret.write_text(content)
    router = respx.Router(assert_all_called=False)
    route = router.route().mock(return_value=httpx.Response(200, json=_QUOTA))
    reading = _poll(_gateway(router, headers={"X-Tenant": {"file": str(secret)}}))
    assert reading.failure is not None
    assert reading.failure.reason is Reason.NO_API_KEY
    assert "X-Tenant" in reading.failure.detail
    assert not route.called


def test_cookies_are_not_sent_back() -> None:
    """A cookie that the gateway sets is forgotten."""
    router = respx.Router()
    route = router.get(_URL).mock(return_value=httpx.Response(200, json=_QUOTA, headers={"Set-Cookie": "session=1"}))
    gateway = _gateway(router)
    _poll(gateway)
    _poll(gateway)
    assert [call.request.headers.get("cookie") for call in route.calls] == [None, None]


def test_server_name_is_for_tls_alone() -> None:
    """tls.server_name is what TLS asks for and checks; the Host header stays the URL's."""
    request = _sent(tls={"server_name": "gateway.example"})
    assert request.extensions == {"sni_hostname": "gateway.example"}
    assert request.headers["host"] == "llm.example.edu"


def test_gateway_without_key_or_url_is_not_asked() -> None:
    """Without a key or a base URL there is no request, and the reason says which is missing."""
    router = respx.Router(assert_all_called=False)
    route = router.route().mock(return_value=httpx.Response(200, json=_QUOTA))
    keyless = _poll(_gateway(router), None)
    assert keyless.failure is not None
    assert (keyless.failure.reason, keyless.key_source) == (Reason.NO_API_KEY, KeySource.NONE)
    homeless = _poll(_gateway(router, base_url=None))
    assert homeless.failure is not None
    assert homeless.failure.reason is Reason.NO_BASE_URL
    assert not route.called


def test_host_that_cannot_be_a_name_is_told_as_such() -> None:
    """A host whose xn-- form means nothing is a matter of names, not a bug."""
    failure = _poll(_gateway(respx.Router(), base_url="https://xn--0a.example/v1")).failure
    assert failure is not None
    assert failure.reason is Reason.DNS


# What a reply becomes


def test_quota_becomes_a_reading() -> None:
    """A good reply gives its quota, with source, status, time and duration of the poll."""
    reading = _reply(httpx.Response(200, json=_QUOTA))
    assert reading.failure is None
    assert reading.quota is not None
    assert [(bucket.limit, bucket.used, bucket.remaining) for bucket in reading.quota.buckets] == [(100.0, 25.0, 75.0)]
    assert (reading.provider_id, reading.key_source, reading.http_status) == ("campus", KeySource.ENV, 200)
    assert reading.at == _NOW
    assert 0 < reading.duration < 60


@pytest.mark.parametrize("status", [201, 203, 206])
def test_any_status_of_success_will_do(status: int) -> None:
    """A reply that is whole and fits is a quota under every 2xx status."""
    assert isinstance(_reply(httpx.Response(status, json=_QUOTA)).outcome, Quota)


def test_gzip_reply_is_read() -> None:
    """A reply in the compression that was asked for is a quota like any other."""
    body = gzip.compress(json.dumps(_QUOTA).encode())
    assert isinstance(_reply(_raw(body, content_encoding="gzip")).outcome, Quota)


def test_max_buckets_is_obeyed() -> None:
    """A gateway's own limit on buckets is applied to its replies."""
    both = _QUOTA | {"cost": {"limit": 5, "used": 1}}
    quota = _reply(httpx.Response(200, json=both), max_buckets=1).quota
    assert quota is not None
    assert len(quota.buckets) == 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.HTTP_ERROR),
        (401, Reason.UNAUTHORIZED),
        (402, Reason.PAYMENT_REQUIRED),
        (403, Reason.FORBIDDEN),
        (404, Reason.NOT_FOUND),
        (405, Reason.HTTP_ERROR),
        (418, Reason.HTTP_ERROR),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
        (502, Reason.SERVER_ERROR),
        (503, Reason.SERVER_ERROR),
        (599, Reason.SERVER_ERROR),
    ],
)
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "HTTP {}"),
        (b"<h1>Bad Gateway</h1>", "HTTP {}"),
        (b'{"error": {"message": "the moon is full", "code": 7}}', "HTTP {}: the moon is full"),
        (b'{"error": "the moon is full"}', "HTTP {}: the moon is full"),
        (b'{"detail": "nothing that the mapping knows"}', "HTTP {}"),
        (b'["a list"]', "HTTP {}"),
        (b"null", "HTTP {}"),
        (b"\xff\xfe", "HTTP {}"),
    ],
)
def test_http_error_has_its_reason(status: int, reason: Reason, body: bytes, detail: str) -> None:
    """The status decides the reason, whatever the body is; a message in the mapping's place is shown."""
    reading = _reply(_raw(body, status))
    assert reading.failure == Failure(reason, detail.format(status))
    assert reading.http_status == status


@pytest.mark.parametrize("code", [Reason.KEY_EXPIRED, Reason.KEY_BLOCKED, Reason.PAYMENT_REQUIRED])
@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_gateway_may_say_what_is_wrong_with_the_key(code: Reason, status: int) -> None:
    """The neutral contract's error code outranks the status: an expired key is not merely unauthorized."""
    failure = _failure(httpx.Response(status, json={"error": {"message": "see the portal", "code": code.value}}))
    assert failure.reason is code
    assert "see the portal" in failure.detail


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    """A redirect ends the poll: the key goes nowhere else."""
    router = respx.Router(assert_all_called=False)
    router.get(_URL).mock(return_value=httpx.Response(status, headers={"Location": "https://evil.example/"}))
    elsewhere = router.get("https://evil.example/").mock(return_value=httpx.Response(200, json=_QUOTA))
    reading = _poll(_gateway(router))
    assert reading.failure is not None
    assert reading.failure.reason is Reason.REDIRECT
    assert "evil" not in reading.failure.detail
    assert reading.http_status == status
    assert not elsewhere.called


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (_raw(b""), Reason.NOT_JSON),
        (_raw(b"", 204), Reason.NOT_JSON),
        (_raw(b"<!doctype html><title>Log in</title>", content_type="application/json"), Reason.NOT_JSON),
        (_raw(b'{"tokens": {"limit": NaN}}'), Reason.NOT_JSON),
        (_raw(b'{"tokens": {"limit": %s}}' % (b"1" * 10_000)), Reason.NOT_JSON),
        (_raw(b"[" * 33 + b"]" * 33), Reason.UNEXPECTED_SHAPE),
        (_raw(b"[" * 10_000 + b"]" * 10_000), Reason.UNEXPECTED_SHAPE),
        (_raw(b'"quota"'), Reason.UNEXPECTED_SHAPE),
        (_raw(b'{"balance": 5}'), Reason.UNEXPECTED_SHAPE),
        (_raw(b'{"error": {"message": "maintenance"}}'), Reason.ERROR_REPLY),
        (_raw(b'{"key": "caf\xe9"}'), Reason.BAD_ENCODING),
        (_raw(json.dumps(_QUOTA).encode("utf-16")), Reason.BAD_ENCODING),
        (_raw(b"\x0b\x02\x80{}\x03", content_encoding="br"), Reason.BAD_ENCODING),
        (_raw(gzip.compress(json.dumps(_QUOTA).encode())[:-6], content_encoding="gzip"), Reason.BAD_ENCODING),
        (_raw(b" " * 300_000), Reason.TOO_LARGE),
        (_raw(b" " * 300_000, content_length="300000"), Reason.TOO_LARGE),
        (_raw(gzip.compress(bytes(50_000_000)), content_encoding="gzip"), Reason.TOO_LARGE),
    ],
)
def test_reply_that_is_no_quota_has_its_reason(response: httpx.Response, reason: Reason) -> None:
    """Each way in which a reply can be useless has its reason, and the status of the reply stays known."""
    reading = _reply(response)
    assert reading.failure is not None
    assert reading.failure.reason is reason
    assert reading.http_status == response.status_code


def test_byte_order_mark_is_no_error() -> None:
    """A reply that starts with UTF-8's byte order mark is read."""
    assert isinstance(_reply(_raw(b"\xef\xbb\xbf" + json.dumps(_QUOTA).encode())).outcome, Quota)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectTimeout("late"), Reason.TIMEOUT),
        (httpx.ReadTimeout("late"), Reason.TIMEOUT),
        (httpx.ProxyError("407"), Reason.CONNECT),
        (httpx.ConnectError("unreachable"), Reason.CONNECT),
        (httpx.ReadError("reset"), Reason.CONNECT),
        (httpx.WriteError("reset"), Reason.CONNECT),
        (httpx.RemoteProtocolError("illegal status line"), Reason.CONNECT),
    ],
)
def test_failing_transport_has_its_reason(error: Exception, reason: Reason) -> None:
    """Whatever httpx may raise becomes a reason; no status is shown where no reply came."""
    reading = _reply(error)
    assert reading.failure is not None
    assert reading.failure.reason is reason
    assert reading.http_status is None


def test_cause_within_a_group_of_errors_is_found() -> None:
    """When several addresses were tried at once, the errors come as a group: the telling one is found."""
    error = httpx.ConnectError("all failed")
    error.__cause__ = ExceptionGroup("tried", [OSError(113, "No route to host"), OSError(111, "refused")])
    failure = _failure(error)
    assert (failure.reason, failure.detail) == (Reason.CONNECT, "no connection: no route to host")


def test_circle_of_causes_ends() -> None:
    """Exceptions that name each other as their cause do not trap the poll."""
    error, other = httpx.ReadError("one"), OSError("two")
    error.__cause__, other.__cause__ = other, error
    assert _failure(error).reason is Reason.CONNECT


def test_unforeseen_exception_is_internal(canary: str, caplog: pytest.LogCaptureFixture) -> None:
    """A bug costs this one reading, and the log says where it is without its text."""
    failure = _failure(RuntimeError(f"Bearer {canary}"))
    assert failure.reason is Reason.INTERNAL
    assert "RuntimeError" in failure.detail
    record = caplog.records[-1]
    assert record.levelno == logging.ERROR
    assert canary not in failure.detail + str(record.__dict__)
    assert record.__dict__["error"] == "RuntimeError"
    assert ".py:" in record.__dict__["at"]


def test_cancelled_poll_is_cancelled() -> None:
    """Cancelling a poll is no failure of the gateway: it gives no reading at all."""

    async def work() -> None:
        started = asyncio.Event()

        async def hang(_request: httpx.Request) -> httpx.Response:
            started.set()
            await asyncio.get_running_loop().create_future()
            raise AssertionError

        gateway = dataclasses.replace(_gateway(respx.Router()), transport=httpx.MockTransport(hang))
        poll = asyncio.ensure_future(gateway.poll(Credential(SecretStr("sk-test"), KeySource.ENV, ())))
        await started.wait()
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll

    asyncio.run(work())


# Retry-After


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("301", MAX_PAUSE_SECONDS),
        ("9" * 500, MAX_PAUSE_SECONDS),
        ("Thu, 28 May 2026 20:27:10 GMT", 30.0),
        ("Thursday, 28-May-26 20:27:10 GMT", 30.0),
        ("Thu, 28 May 2026 20:27:10 -0000", 30.0),
        ("Thu, 28 May 2026 20:26:00 GMT", 0.0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", MAX_PAUSE_SECONDS),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_becomes_a_pause(status: int, header: str, pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds and dates are understood wherever the exporter runs, and no pause is longer than five minutes."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        failure = _failure(_raw(b"", status, retry_after=header))
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert failure == Failure(Reason.RATE_LIMITED, f"HTTP {status}", retry_after=pause)


@pytest.mark.parametrize("header", ["", "soon", "-1", "1.5", "1e3", "inf", "٣", "Wed, 21 Oct 99999 07:28:00 GMT"])
@pytest.mark.parametrize(("status", "reason"), [(429, Reason.RATE_LIMITED), (503, Reason.SERVER_ERROR)])
def test_retry_after_that_makes_no_sense_is_ignored(status: int, reason: Reason, header: str) -> None:
    """A header that is neither seconds nor a date asks for nothing."""
    response = httpx.Response(status, headers=[(b"retry-after", header.encode())])
    assert _failure(response) == Failure(reason, f"HTTP {status}")


@pytest.mark.parametrize("status", [200, 301, 401, 500, 502])
def test_retry_after_counts_with_429_and_503_only(status: int) -> None:
    """With any other status the header changes nothing."""
    assert _failure(_raw(b"", status, retry_after="60")).retry_after is None


@given(st.text(), st.floats(min_value=0, max_value=4e9))
def test_any_retry_after_is_survived(header: str, now: float) -> None:
    """Whatever the header holds, the pause is absent or between 0 and 300 seconds."""
    pause = retry_after(header, now)
    assert pause is None or 0 <= pause <= MAX_PAUSE_SECONDS


# The key stays secret


def _echo(status: int, body: Callable[[str], str]) -> Callable[[str], httpx.Response]:
    return lambda key: _raw(body(key).encode(), status, www_authenticate=f"Bearer {key}", location=f"/?k={key}")


@pytest.mark.parametrize(
    "answer",
    [
        _echo(401, lambda key: json.dumps({"error": {"message": f"Incorrect API key provided: {key}", "code": key}})),
        _echo(401, lambda key: json.dumps({"error": {"message": f"no such key: {key[:9]}...{key[-4:]}"}})),
        _echo(401, lambda key: json.dumps({"error": key})),
        _echo(500, lambda key: f"<pre>Authorization: Bearer {key}</pre>"),
        _echo(302, lambda key: key),
        _echo(200, lambda key: key),
        _echo(200, lambda key: json.dumps({"error": f"key {key} is over its budget"})),
        _echo(200, lambda key: json.dumps(_QUOTA | {"key": key})),
        _echo(200, lambda key: json.dumps(_QUOTA | {"key": f"{key[:6]}****{key[-4:]}"})),
        _echo(200, lambda key: json.dumps({"tokens": {"limit": key, "used": key}})),
        lambda key: httpx.ConnectError(f"Bearer {key}"),
        lambda key: httpx.LocalProtocolError(f"Illegal header value b'Bearer {key}'"),
        KeyError,
    ],
)
def test_key_that_is_echoed_is_not_repeated(
    answer: Callable[[str], httpx.Response | Exception], canary: str, caplog: pytest.LogCaptureFixture
) -> None:
    """However a gateway or a library quotes the key, it gets into no reading and no log at any level."""
    caplog.set_level(logging.DEBUG)
    router = respx.Router()
    route = router.get(_URL).mock(side_effect=[answer(canary)])
    gateway = _gateway(router)
    reading = _poll(gateway, canary)
    assert route.calls.last.request.headers["authorization"] == f"Bearer {canary}"
    seen = repr(reading) + repr(gateway) + caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert canary not in seen
    assert canary[-8:] not in seen
