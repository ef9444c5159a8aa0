"""The commands that look once, where the command line does not show how they do it."""

from __future__ import annotations

import asyncio
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from quota_exporter import exporter as exporter_module
from quota_exporter.exporter import Sources
from quota_exporter.files import FileReader
from quota_exporter.oneshot import NoExporterError, UnknownGatewayError, fetch_status, poll, reports_of
from quota_exporter.opencode import OpenCodePaths

BUCKET = {
    "kind": "tokens",
    "name": "default",
    "currency": None,
    "limit": 100,
    "used": 25,
    "remaining": 75.0,
    "limited": True,
    "resets_at": None,
    "window_seconds": None,
    "remaining_ratio": 0.75,
}
SUCCESS = {"ok": True, "age_seconds": 12.5, "dropped": [], "reason": None}
FAILURE = {"ok": False, "age_seconds": 1, "reason": "tls", "meaning": "m", "detail": "d", "action": "a", "dropped": []}
REPORT = {
    "provider_id": "campus",
    "parent": None,
    "key_source": "env",
    "checked": [{"source": "env", "where": "$CAMPUS_API_KEY", "outcome": "found"}],
    "reading": SUCCESS,
    "quota": {"children": None, "buckets": [BUCKET]},
    "of_a_later_version": 1,
}
REPORTS = [REPORT, REPORT | {"reading": FAILURE, "quota": None}, REPORT | {"reading": None, "quota": None}]
STATUS = json.dumps({"version": "1", "time": 1_767_225_600.5, "gateways": REPORTS}).encode()

Serve = Callable[[bytes], str]


def http_reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body)


@pytest.fixture(name="asked")
def _asked() -> list[bytes]:
    """First lines of the requests that came in."""
    return []


@pytest.fixture(name="serve")
def _serve(asked: list[bytes]) -> Iterator[Serve]:
    """Starts a server that answers everything with these bytes; gives host and port."""
    servers: list[socketserver.TCPServer] = []

    def serve(answer: bytes) -> str:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                asked.append(self.rfile.readline())
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(answer)

        server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("url", ["http://{}", "http://{}/", "{}"])
def test_status_is_asked_for_as_json(serve: Serve, asked: list[bytes], url: str) -> None:
    """The exporter's status page is asked for as JSON, with or without scheme and slash in its address."""
    assert fetch_status(url.format(serve(http_reply(STATUS)))) == (REPORTS, 1_767_225_600.5)
    assert asked == [b"GET /quota_status?format=json HTTP/1.1\r\n"]


def test_status_asks_no_proxy(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter is nearby: a proxy of the environment is not asked."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert fetch_status(f"http://{serve(http_reply(STATUS))}")[0] == REPORTS


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
        http_reply(b"<html>"),
        http_reply(b"\xff\xfe"),
        http_reply(b"[]"),
        http_reply(b"null"),
        http_reply(b"{}"),
        http_reply(b'{"gateways": [], "time": "soon"}'),
        http_reply(b'{"gateways": null, "time": 1}'),
        http_reply(b'{"gateways": [], "time": NaN}'),
        http_reply(b"[" * 100_000),
    ],
)
def test_what_is_no_exporter(serve: Serve, answer: bytes) -> None:
    """Whatever else listens there is told as no exporter, with the address and what to do."""
    url = f"http://{serve(answer)}"
    with pytest.raises(NoExporterError) as caught:
        fetch_status(url)
    hint = "name the exporter's address with --url, or use `quota-exporter poll`"
    assert str(caught.value) == f"no quota-exporter answers at {url}; {hint}"


@pytest.mark.parametrize(
    "report",
    [
        None,
        "campus",
        {},
        {"provider_id": "campus"},
        REPORT | {"provider_id": 1},
        REPORT | {"key_source": None},
        REPORT | {"checked": [{}]},
        REPORT | {"reading": {"ok": True}},
        REPORT | {"reading": SUCCESS, "quota": None},
        REPORT | {"reading": FAILURE | {"reason": None}},
        REPORT | {"parent": 1},
        REPORT | {"reading": SUCCESS | {"dropped": [{"where": "each", "problem": "too_many"}]}},
        REPORT | {"quota": {"children": "5", "buckets": []}},
        REPORT | {"quota": {"children": None, "buckets": [1]}},
        REPORT | {"quota": {"children": None, "buckets": [BUCKET | {"remaining": "75"}]}},
        REPORT | {"quota": {"children": None, "buckets": [BUCKET | {"resets_at": float("nan")}]}},
    ],
)
def test_json_of_another_program_is_no_exporter(serve: Serve, report: Any) -> None:
    """JSON that only looks like an exporter's, down to each value that people are shown, is told as none."""
    url = f"http://{serve(http_reply(json.dumps({'time': 1.0, 'gateways': [report]}).encode()))}"
    with pytest.raises(NoExporterError, match=f"^no quota-exporter answers at {url}; "):
        fetch_status(url)


@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found", "503 Service Unavailable"])
def test_an_answer_that_is_an_error(serve: Serve, status: str) -> None:
    """The HTTP status of a refusal is told: something is there, but does not show its gateways."""
    url = f"http://{serve(http_reply(b'', status.encode()))}"
    with pytest.raises(NoExporterError, match=f"^{url} answers with HTTP {status[:3]}; "):
        fetch_status(url)


@pytest.mark.parametrize(
    "url", ["", "http://", "http://127.0.0.1:port", "ftp://127.0.0.1:1", "http://[::1", "http://a b"]
)
def test_what_is_no_address(url: str) -> None:
    """An address that cannot be asked is told like one where nobody answers."""
    with pytest.raises(NoExporterError):
        fetch_status(url)


class _Hanging(httpx.AsyncBaseTransport):
    """Never answers; notes what became of the request."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.left = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left = True
        raise AssertionError


def test_an_interrupt_ends_the_polls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C does not wait for gateways that hang: their polls are cancelled with the command."""
    config = tmp_path / "quota-exporter.yml"
    config.write_text(
        "opencode: off\ngateways: [{provider_id: a, base_url: https://a.example, api_key: key, timeout: 1h}]\n",
        encoding="utf-8",
    )

    async def interrupt() -> bool:
        transport = _Hanging()
        monkeypatch.setattr(exporter_module, "open_transport", lambda _route: transport)
        sources = Sources(config, OpenCodePaths((), ()), {}, FileReader())
        polling = asyncio.create_task(poll(sources, (), reports_of))
        await transport.asked.wait()
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
        return transport.left

    assert asyncio.run(asyncio.wait_for(interrupt(), timeout=30))


LISTING = """
opencode: off
gateways:
  - {provider_id: a, base_url: https://a.example, api_key: key-of-a-0123456789}
  - {provider_id: lite, base_url: https://lite.example/v1, api_key: key-of-lite-0123456789, mapping: litellm-keys}
"""
Poll = Callable[..., tuple[bool, list[str]]]


@pytest.fixture(name="keys")
def _keys() -> list[dict[str, Any]]:
    """What the gateway `lite` lists."""
    return [{"key_alias": alias, "max_budget": 10.0, "spend": 4.0} for alias in ("bob", "alice")]


@pytest.fixture(name="poll_ids")
def _poll_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: list[dict[str, Any]]) -> Poll:
    """Polls these ids; gives whether all is well and the ids that are shown. `status` is the list's HTTP status."""
    config = tmp_path / "quota-exporter.yml"
    config.write_text(LISTING, encoding="utf-8")

    def poll_ids(*provider_ids: str, status: int = 200) -> tuple[bool, list[str]]:
        router = respx.Router(assert_all_called=False)
        router.get("https://a.example/quota").respond(json={"tokens": {"limit": 100, "used": 25}})
        listed = router.get(url__startswith="https://lite.example/key/list")
        listed.respond(status, json={"keys": keys, "total_count": len(keys)})
        transport = httpx.MockTransport(router.async_handler)
        monkeypatch.setattr(exporter_module, "open_transport", lambda _route: transport)
        sources = Sources(config, OpenCodePaths((), ()), {}, FileReader())
        well, reports = asyncio.run(asyncio.wait_for(poll(sources, provider_ids, reports_of), timeout=30))
        return well, [report["provider_id"] for report in reports]

    return poll_ids


def test_poll_shows_the_keys_of_a_list(poll_ids: Poll) -> None:
    """`poll` shows each key after the gateway that lists it, and of the keys named those alone."""
    assert poll_ids() == (True, ["a", "lite", "lite:alice", "lite:bob"])
    assert poll_ids("lite:bob") == (True, ["lite:bob"])
    assert poll_ids("lite:bob", "a", "lite") == (True, ["lite:bob", "a", "lite", "lite:alice"])


def test_poll_tells_of_a_key_that_cannot_be_used(poll_ids: Poll, keys: list[dict[str, Any]]) -> None:
    """One blocked key of a list makes the poll a failure, as one gateway does."""
    keys[0]["blocked"] = True
    assert poll_ids("lite:alice")[0] is True
    assert poll_ids("lite")[0] is False


@pytest.mark.parametrize(
    ("provider_id", "words"),
    [
        ("lite:bobb", "lite lists no key of the id 'lite:bobb'; did you mean lite:bob?"),
        ("lite:ci-bot", "lite lists no key of the id 'lite:ci-bot'; did you mean 'lite:ci bot'?"),
        (
            "lite:sk-4f9a1c7e2b8d6035af17",
            "lite lists no key of this id; `quota-exporter poll lite` lists its keys",
        ),
        ("sk-4f9a1c7e2b8d6035af17", "no gateway of this id is configured; `quota-exporter check` lists all"),
        ("lite:zzzzzz", "lite lists no key of the id 'lite:zzzzzz'; `quota-exporter poll lite` lists its keys"),
        ("a:bob", "a lists no keys: its mapping neutral has no `children`"),
        ("x:bob", "no gateway of the id 'x:bob' is configured; `quota-exporter check` lists all"),
    ],
)
def test_poll_of_an_unknown_key(poll_ids: Poll, keys: list[dict[str, Any]], provider_id: str, words: str) -> None:
    """A key that is not listed is told in words, with what may have been meant; what may be a key is not repeated."""
    keys.append(keys[0] | {"key_alias": "ci bot"})
    with pytest.raises(UnknownGatewayError) as caught:
        poll_ids(provider_id)
    assert str(caught.value) == words


def test_poll_of_a_key_whose_list_cannot_be_read(poll_ids: Poll) -> None:
    """Where the list cannot be read, the key is shown as failed for that, not as one that is not there."""
    assert poll_ids("lite:bob", status=503) == (False, ["lite:bob"])
