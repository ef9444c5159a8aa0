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

from quota_exporter import exporter as exporter_module
from quota_exporter.exporter import Sources
from quota_exporter.files import FileReader
from quota_exporter.oneshot import NoExporterError, fetch_status, poll, reports_of
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
    "key_source": "env",
    "checked": [{"source": "env", "where": "$CAMPUS_API_KEY", "outcome": "found"}],
    "reading": SUCCESS,
    "quota": {"buckets": [BUCKET]},
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
        REPORT | {"quota": {"buckets": [1]}},
        REPORT | {"quota": {"buckets": [BUCKET | {"remaining": "75"}]}},
        REPORT | {"quota": {"buckets": [BUCKET | {"resets_at": float("nan")}]}},
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
