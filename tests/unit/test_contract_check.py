"""What an endpoint is asked to see whether it keeps the neutral contract, and what is told of its replies."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx
from rich.console import Console

from quota_exporter.contract_check import check_contract
from quota_exporter.contract_report import print_findings
from quota_exporter.contract_values import Finding, Look, Verdict
from quota_exporter.transport import Route, Transport

NOW = 1_767_225_600.0
URL = "https://llm.example.edu/v1/quota"
QUOTA = {"key": "course", "tokens": {"limit": 100, "used": 25, "remaining": 75}}
REFUSED = {"error": {"message": "no such key"}}
Answers = Callable[[httpx.Request], httpx.Response]


def run(connect: Callable[[Route], Transport], url: str, key: str) -> list[Finding]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: the transport is a fake
    return asyncio.run(check_contract(url, key, ssl_context=context, now=NOW, connect=connect))


def check(
    with_key: httpx.Response | Exception, key: str, without: httpx.Response | Exception | None = None
) -> list[Finding]:
    """Check an endpoint that answers so to a request with the key, and so to one without."""
    refused = httpx.Response(401, json=REFUSED) if without is None else without
    router = respx.Router()
    router.get(URL, headers={"Authorization": f"Bearer {key}"}).mock(side_effect=[with_key])
    router.get(URL).mock(side_effect=[refused])
    return run(lambda _route: httpx.MockTransport(router.async_handler), URL, key)


def of(findings: list[Finding], point: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.point == point]
    return finding


def violations(findings: list[Finding]) -> list[str]:
    return [finding.point for finding in findings if finding.verdict is Verdict.VIOLATION]


def test_a_good_endpoint_conforms(canary: str) -> None:
    """An endpoint that does all as it should gets no violation and no warning."""
    findings = check(httpx.Response(200, json=QUOTA, headers={"Cache-Control": "private, max-age=60"}), canary)
    assert {finding.verdict for finding in findings} == {Verdict.OK, Verdict.SKIPPED}
    assert "60 s" in of(findings, "Cache-Control").detail


def test_two_requests_are_made_one_without_the_key(canary: str) -> None:
    """Both requests are GET without a body, and only the first carries the key."""
    seen: list[httpx.Request] = []
    routes: list[Route] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=QUOTA)

    def connect(route: Route) -> Transport:
        routes.append(route)
        return httpx.MockTransport(answer)

    findings = run(connect, URL, canary)
    assert [(request.method, str(request.url), request.content) for request in seen] == [("GET", URL, b"")] * 2
    assert [request.headers.get("authorization") for request in seen] == [f"Bearer {canary}", None]
    assert [(route.origin, route.proxy) for route in routes] == [("https://llm.example.edu:443", None)]
    assert "two in all" in of(findings, "requests").detail


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://llm.example.edu/quota", "sk-test"),
        ("https://user:pass@llm.example.edu/quota", "sk-test"),
        ("https://llm.example.edu/quota?key=1", "sk-test"),
        ("https://llm.example.edu/quota#top", "sk-test"),
        ("https://llm.example.edu/sk-test", "sk-test"),
        ("llm.example.edu/quota", "sk-test"),
        ("https://llm.example.edu/quota", ""),
        ("https://llm.example.edu/quota", "sk-\ntest"),
    ],
)
def test_no_request_is_made_that_would_show_the_key(url: str, key: str) -> None:
    """The key never goes over plain http to a public host, nor in a URL; a key that no header carries is refused."""

    def connect(_route: Route) -> Transport:
        raise AssertionError("it must not connect")

    (finding,) = run(connect, url, key)
    assert finding.verdict is Verdict.VIOLATION
    assert "sk-" not in finding.detail
    assert "pass" not in finding.detail


@pytest.mark.parametrize(
    ("response", "point"),
    [
        (httpx.Response(404, json=REFUSED), "status"),
        (httpx.Response(307, headers={"Location": "https://elsewhere.example.edu"}), "status"),
        (httpx.Response(200, text="<html>"), "body"),
        (httpx.Response(200, content=b"\xff", headers={"Content-Type": "application/json"}), "body"),
        (httpx.Response(200, content=json.dumps(QUOTA)), "Content-Type"),
        (httpx.Response(200, content=json.dumps(QUOTA), headers={"Content-Type": "text/plain"}), "Content-Type"),
        (httpx.Response(200, json=QUOTA | {"pad": "x" * 300_000}), "body"),
        (httpx.Response(200, json=QUOTA | {"error": "no"}), "error"),
        (httpx.Response(401, json={"detail": "no"}), "error"),
    ],
)
def test_a_reply_that_breaks_a_point_is_told_so(response: httpx.Response, point: str, canary: str) -> None:
    """Status, type, size, encoding and error replies are points of their own."""
    assert point in violations(check(response, canary))


def test_gzip_is_read(canary: str) -> None:
    """A reply may be compressed with gzip."""
    body = gzip.compress(json.dumps(QUOTA).encode())
    headers = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}
    findings = check(httpx.Response(200, headers=headers, stream=httpx.ByteStream(body)), canary)
    assert violations(findings) == []


@pytest.mark.parametrize(
    ("value", "verdict", "words"),
    [
        (None, Verdict.OK, "on each scrape"),
        ("max-age=299", Verdict.OK, "at most every 299 s"),
        ("max-age=3600", Verdict.OK, "at most every 300 s, the longest"),
        ("max-age=10000000000", Verdict.OK, "at most every 300 s, the longest"),
        ("max-age=0", Verdict.OK, "on each scrape"),
        ("no-store", Verdict.OK, "on each scrape"),
        ("no-store, max-age=60", Verdict.OK, "on each scrape"),
        ('max-age="60"', Verdict.OK, "at most every 60 s"),
        ("max-age=soon", Verdict.WARNING, "no number"),
        ("s-maxage=900, max-age=30", Verdict.OK, "at most every 30 s"),
    ],
)
def test_cache_control_is_told_as_a_poll_keeps_to_it(
    value: str | None, verdict: Verdict, words: str, canary: str
) -> None:
    """What is said of the age is what the exporter does: it keeps to one, for 300 s at most, unless it may not."""
    headers = {} if value is None else {"Cache-Control": value}
    finding = of(check(httpx.Response(200, json=QUOTA, headers=headers), canary), "Cache-Control")
    assert finding.verdict is verdict
    assert words in finding.detail


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (httpx.Response(401, json=REFUSED), Verdict.OK),
        (httpx.Response(200, json=QUOTA), Verdict.VIOLATION),
        (httpx.Response(200, json=REFUSED), Verdict.VIOLATION),
        (httpx.Response(403, json=REFUSED), Verdict.WARNING),
        (httpx.Response(401, text="no"), Verdict.WARNING),
        (httpx.Response(401, json={"detail": "no"}), Verdict.WARNING),
        (httpx.Response(302, headers={"Location": "/login"}), Verdict.WARNING),
        (httpx.ReadError("gone"), Verdict.WARNING),
    ],
)
def test_a_request_without_a_key_must_be_refused(
    response: httpx.Response | Exception, verdict: Verdict, canary: str
) -> None:
    """Without a key the endpoint answers 401 with a JSON error; who reads a quota without one has found a leak."""
    findings = check(httpx.Response(200, json=QUOTA), canary, without=response)
    assert of(findings, "without a key").verdict is verdict


@pytest.mark.parametrize(
    "make",
    [
        lambda key: httpx.Response(200, json=QUOTA | {"note": key}),
        lambda key: httpx.Response(200, json=QUOTA | {key: 1}),
        lambda key: httpx.Response(200, json=QUOTA | {"buckets": [{"kind": "cost", "used": 1, "name": f"a {key}"}]}),
        lambda key: httpx.Response(200, json=QUOTA, headers={"X-Key": key}),
        lambda key: httpx.Response(500, text=f"<p>{key}"),
        lambda key: httpx.Response(401, json={"error": {"message": f"unknown key {key}", "code": key}}),
        lambda key: httpx.Response(
            200,
            content=json.dumps(QUOTA | {"note": key}).replace(key, "".join(f"\\u{ord(c):04x}" for c in key)),
            headers={"Content-Type": "application/json"},
        ),
    ],
)
def test_a_reply_that_holds_the_key_is_found_and_not_repeated(
    make: Callable[[str], httpx.Response], canary: str
) -> None:
    """A key in a value, a name, a header or a page is a violation, and is not in what people see of it."""
    findings = check(make(canary), canary)
    assert "key not echoed" in violations(findings)
    page = io.StringIO()
    print_findings(Console(file=page, width=240), findings)
    assert canary[:10] not in page.getvalue()
    assert canary not in repr(findings)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ("30", Verdict.OK),
        ("1234567", Verdict.OK),
        ("Thu, 01 Jan 2026 00:01:00 GMT", Verdict.OK),
        ("Thu, 42 Nonsense-of-a-date 00 GMT", Verdict.WARNING),
        (None, Verdict.WARNING),
        ("soon", Verdict.WARNING),
    ],
)
def test_retry_after_is_judged_of_429(value: str | None, verdict: Verdict, canary: str) -> None:
    """429 and 503 should say when to come back."""
    headers = {} if value is None else {"Retry-After": value}
    findings = check(httpx.Response(429, json=REFUSED, headers=headers), canary)
    assert of(findings, "Retry-After").verdict is verdict


def test_an_endpoint_that_hangs_is_left_at_the_deadline(canary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that never ends does not hold the check up for longer than its deadline."""
    monkeypatch.setattr("quota_exporter.contract_check._DEADLINE_SECONDS", 0.01)

    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("nothing sets it")

    findings = run(lambda _route: httpx.MockTransport(hang), URL, canary)
    assert violations(findings) == ["reachable"]


def test_a_known_error_code_is_told(canary: str) -> None:
    """Of an error reply that conforms it is told what would be shown."""
    response = httpx.Response(403, json={"error": {"message": "This key expired", "code": "key_expired"}})
    finding = of(check(response, canary), "error")
    assert finding.verdict is Verdict.OK
    assert "This key expired" in finding.detail
    assert "key_expired is shown" in finding.detail


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectError("no"), "refused or unreachable"),
        (httpx.RemoteProtocolError("no"), "not HTTP"),
        (TimeoutError(), "within 10 s"),
        (ssl.SSLError(1, "no"), "TLS"),
    ],
)
def test_an_endpoint_that_does_not_answer_is_asked_once(error: Exception, words: str, canary: str) -> None:
    """Without a reply it is told why, and there is no second request."""
    calls: list[httpx.Request] = []

    def fail(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        raise error

    findings = run(lambda _route: httpx.MockTransport(fail), URL, canary)
    assert words in of(findings, "reachable").detail
    assert violations(findings) == ["reachable"]
    assert of(findings, "without a key").verdict is Verdict.SKIPPED
    assert len(calls) == 1


def printed(*findings: Finding, encoding: str = "utf-8") -> tuple[bool, str]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="replace")
    well = print_findings(Console(file=file, width=240, highlight=False, soft_wrap=True, _environ={}), findings)
    file.flush()
    return well, raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("verdicts", "well"),
    [
        ([Verdict.OK, Verdict.SKIPPED], True),
        ([Verdict.OK, Verdict.WARNING], True),
        ([Verdict.VIOLATION, Verdict.OK], False),
    ],
)
def test_only_violations_break_the_contract(verdicts: list[Verdict], *, well: bool) -> None:
    """Warnings and skipped points conform; one violation does not."""
    assert printed(*(Finding("point", verdict, "detail") for verdict in verdicts))[0] is well


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_every_point_is_a_line_in_words(encoding: str) -> None:
    """A finding is one line with its verdict as a word, also on a terminal that has no such marks; [b] is no markup."""
    findings = [Finding(f"buckets[{verdict}]", verdict, f"all [b]{verdict}") for verdict in Verdict]
    lines = printed(*findings, encoding=encoding)[1].splitlines()
    for line, verdict in zip(lines, Verdict, strict=False):
        assert verdict in line.split("buckets[")[0]
        assert line.endswith(f"buckets[{verdict}]: all [b]{verdict}")
    assert lines[-1] == "Does not conform: 1 violation, 1 warning."


def test_secrets_are_not_in_a_repr() -> None:
    """What the check carries about shows no key when it is printed."""
    assert "sk-test" not in repr(Look(("sk-test",), NOW))


def test_any_json_answer_is_survived(canary: str) -> None:
    """Odd documents of odd statuses never raise."""
    documents: list[Any] = [None, [], 0, "", {}, {"error": None}, {"tokens": []}, {"buckets": [[]]}]
    for status in (200, 204, 301, 401, 429, 500, 599):
        for document in documents:
            assert check(httpx.Response(status, json=document), canary)
