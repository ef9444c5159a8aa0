"""`explain` as a program, against gateways on loopback that answer in every way."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fake_gateways import FakeGateways, Reply, Request, json_reply, quota
from tests.integration.programs import run_exporter

FIXTURES = Path(__file__).parents[1] / "fixtures"
# One that looks like a key, and one that is found out by comparison alone.
KEYS = ["sk-canary-4f9a1c7be2d84c55a0e3", "purple-otter-lantern"]
EXTRA = "copper.lagoon.window"
_TELLING = 8


def fixture(preset: str, name: str) -> Any:
    return json.loads((FIXTURES / preset / f"{name}.json").read_text(encoding="utf-8"))


class Explainer:
    """Runs `explain` on one gateway of a config."""

    def __init__(self, gateways: FakeGateways, environ: dict[str, str], cwd: Path) -> None:
        self._gateways, self._environ, self._cwd = gateways, environ, cwd

    def __call__(
        self, *flags: str, path: str = "/v1", settings: str = "", key: str = KEYS[0]
    ) -> subprocess.CompletedProcess[str]:
        entry = f"{{provider_id: campus, base_url: '{self._gateways.url}{path}', {settings}}}"
        (self._cwd / "quota-exporter.yml").write_text(f"opencode: off\ngateways: [{entry}]\n", encoding="utf-8")
        environ = {**self._environ, "CAMPUS_API_KEY": key}
        result = run_exporter("explain", *(flags or ("campus",)), environ=environ, cwd=self._cwd)
        assert "Traceback" not in result.stderr
        return result


@pytest.fixture(name="explain")
def _explain(gateways: FakeGateways, environ: dict[str, str], tmp_path: Path) -> Explainer:
    return Explainer(gateways, environ, tmp_path)


def echo(request: Request) -> Reply:
    """A quota that gives the key back in every way that gateways have."""
    key = request.key
    texts = [key, f"{key[:10]}...{key[-10:]}", f"****{key[-10:]}", f"x {key} y", key.upper(), " ".join(key)]
    names = {text: text for text in texts}
    return json_reply(
        {
            "key": key,
            "tokens": {"limit": 5, "used": key, "remaining": 1, "resets_at": key},
            "cost": {"currency": key, "limit": 5, "used": 1},
            "buckets": [{"kind": "tokens", "name": text, "limit": 5, "used": 1, "remaining": 4} for text in texts],
            "texts": texts,
            "names": names,
            "headers": dict(request.headers),
            "extra": request.headers.get("x-extra"),
            "hash": "9c0b6d5c0f7e4a1db2f3c4d5e6f7a8b9",
            "mail": "somebody@example.org",
        }
    )


def echo_error(request: Request) -> Reply:
    return json_reply({"error": {"message": f"no such key {request.key}", "sent": dict(request.headers)}}, status=401)


def echo_html(request: Request) -> Reply:
    return Reply(200, f"<html>{dict(request.headers)}".encode(), reason=request.key)


def echo_redirect(request: Request) -> Reply:
    return json_reply({}, status=302, headers={"Location": f"http://127.0.0.1:1/{request.key}", "X-Key": request.key})


@pytest.mark.parametrize("flags", [("campus",), ("campus", "--values")], ids=["types", "values"])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("behaviour", [echo, echo_error, echo_html, echo_redirect])
def test_no_output_holds_a_secret(
    gateways: FakeGateways, explain: Explainer, key: str, flags: tuple[str, ...], behaviour: Any
) -> None:
    """Whatever a gateway gives back of the key and of extra headers, no telling piece of them is printed."""
    gateways.answer("/v1/quota", behaviour)
    result = explain(*flags, settings=f"headers: {{X-Extra: {EXTRA}}}", key=key)
    assert [request.key for request in gateways.requests] == [key]
    assert gateways.requests[0].headers["x-extra"] == EXTRA
    output = (result.stdout + result.stderr).casefold()
    pieces = {secret[at : at + _TELLING] for secret in (key, EXTRA) for at in range(len(secret) - _TELLING + 1)}
    assert not [piece for piece in pieces if piece in output]
    assert " ".join(key) not in output
    assert "9c0b6d5c0f7e4a1d" not in output
    assert "somebody@" not in output
    assert "authorization: (not shown)" in output
    assert "x-extra: (not shown)" in output


def test_it_asks_once(gateways: FakeGateways, explain: Explainer) -> None:
    """One request is made, and what came of it is printed with status 0."""
    gateways.answer("/v1/quota", quota())
    result = explain()
    assert (result.returncode, result.stderr) == (0, "")
    assert [request.path for request in gateways.requests] == ["/v1/quota"]
    assert f"GET {gateways.url}/v1/quota" in result.stdout


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(200, b"<html>"), "not_json: the reply is not JSON but an HTML page"),
        (Reply(200, b'{"a": "' + b"x" * 1_000_000 + b'"}'), "too_large: the reply is larger than 256 KiB"),
        (Reply(200, b'{"a": 1', headers={"Content-Length": "100"}), "timeout: no whole reply within 1 s"),
        (Reply(raw=b""), "connect: the connection ended before the reply was whole"),
        (Reply(raw=b"nonsense\r\n\r\n"), "connect: the connection ended before the reply was whole"),
        (Reply(200, b"\x1f\x8bnonsense", headers={"Content-Encoding": "gzip"}), "bad_encoding: "),
    ],
    ids=["html", "large", "cut", "closed", "no-http", "no-gzip"],
)
def test_what_is_no_quota_is_told(gateways: FakeGateways, explain: Explainer, reply: Reply, words: str) -> None:
    """Whatever a server sends, status 1 and what is wrong in words."""
    gateways.answer("/v1/quota", reply)
    result = explain(settings="timeout: 1s")
    assert (result.returncode, result.stderr) == (1, "")
    assert f"\nNo quota\n  {words}" in result.stdout


def test_a_gateway_that_hangs(gateways: FakeGateways, explain: Explainer) -> None:
    """A gateway that never answers is left after the timeout of its entry."""
    gateways.hang("/v1/quota")
    result = explain(settings="timeout: 300ms")
    assert result.returncode == 1
    assert "\n  nothing came back\n\nNo quota\n  timeout: no whole reply within 0.3 s\n" in result.stdout


def test_nobody_listens(gateways: FakeGateways, explain: Explainer) -> None:
    """A closed port is told as one."""
    gateways.stop()
    result = explain()
    assert result.returncode == 1
    assert "\nNo quota\n  connect: no connection: connection refused\n" in result.stdout


def test_requests_that_follow_each_other(gateways: FakeGateways, explain: Explainer) -> None:
    """A second request that the first reply calls for is made and shown, without the id in it."""
    replies = fixture("litellm", "recorded_team")
    gateways.answer("/key/info", json_reply(replies["key"]))
    gateways.answer("/team/info", json_reply(replies["team"]))
    result = explain(settings="mapping: litellm")
    assert result.returncode == 0
    assert [request.path for request in gateways.requests] == ["/key/info", "/team/info"]
    assert f"  GET {gateways.url}/team/info?team_id=...\n" in result.stdout
    assert replies["key"]["info"]["team_id"] not in result.stdout


def test_a_file_needs_no_network(explain: Explainer, tmp_path: Path) -> None:
    """With --reply nothing is asked, not even the name of the host."""
    (tmp_path / "reply.json").write_bytes(quota().body)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        entry = f"{{provider_id: campus, base_url: 'http://127.0.0.1:{server.getsockname()[1]}/v1'}}"
        config = tmp_path / "own.yml"
        config.write_text(f"opencode: off\ngateways: [{entry}]\n", encoding="utf-8")
        result = explain("campus", "--config.file", str(config), "--reply", "reply.json")
        with pytest.raises(BlockingIOError):
            server.accept()
    assert (result.returncode, result.stderr) == (0, "")
    assert "\nReply from reply.json\n" in result.stdout
    assert "\nRequest" not in result.stdout


def test_it_can_be_piped(gateways: FakeGateways, explain: Explainer) -> None:
    """What goes elsewhere than to a terminal has no escape sequences, and no row is broken."""
    gateways.answer("/key/info", json_reply(fixture("litellm", "recorded_team")["key"]))
    result = explain(settings="mapping: litellm")
    assert "\x1b" not in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["buckets[0].limit", "key.info.max_budget", "number"] in rows
