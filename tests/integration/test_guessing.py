"""`guess` as a program: it finds gateways on loopback, and what it proposes works."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fake_gateways import FakeGateways, Reply, Request, json_reply
from tests.integration.programs import run_exporter

FIXTURES = Path(__file__).parents[1] / "fixtures"
MAX_REQUESTS = 6


def fixture(preset: str, name: str = "full") -> Any:
    return json.loads((FIXTURES / preset / f"{name}.json").read_text(encoding="utf-8"))


def fakes() -> dict[str, tuple[str, dict[str, Any]]]:
    """For each preset the path of a base URL, and the replies of the gateway by their path, that of the quota first."""
    litellm, one_api = fixture("litellm", "recorded_team"), fixture("one-api")
    return {
        "neutral": ("/v1", {"/v1/quota": {"tokens": {"limit": 5, "used": 1, "remaining": 4}}}),
        "litellm": ("/v1", {"/key/info": litellm["key"], "/team/info": litellm["team"]}),
        "new-api": ("/v1", {"/api/usage/token/": fixture("new-api")}),
        "openrouter": ("/api/v1", {"/api/v1/key": fixture("openrouter")}),
        "bifrost": ("/v1", {"/api/governance/virtual-keys/quota": fixture("bifrost")}),
        "sub2api": ("/v1", {"/v1/usage": fixture("sub2api")}),
        "one-api": (
            "/v1",
            {
                "/v1/dashboard/billing/subscription": one_api["subscription"],
                "/v1/dashboard/billing/usage": one_api["usage"],
            },
        ),
    }


FAKES = fakes()
PLACES = [(preset, "quota") for preset in FAKES] + [(preset, "base") for preset in FAKES if preset != "one-api"]


RunCommand = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="run")
def _run(environ: dict[str, str], tmp_path: Path, canary: str) -> RunCommand:
    """Runs a command with the canary in $CAMPUS_KEY, which it does not print."""
    environ = {**environ, "CAMPUS_KEY": canary}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        result = run_exporter(*arguments, environ=environ, cwd=tmp_path)
        assert "Traceback" not in result.stderr
        assert canary[:10] not in result.stdout + result.stderr
        return result

    return run


def guess(run: RunCommand, url: str) -> subprocess.CompletedProcess[str]:
    return run("guess", url, "--api-key-env", "CAMPUS_KEY")


@pytest.mark.parametrize("place", PLACES, ids=["-".join(place) for place in PLACES])
def test_what_it_proposes_works(
    gateways: FakeGateways, run: RunCommand, canary: str, tmp_path: Path, place: tuple[str, str]
) -> None:
    """A gateway is found by its base URL and by the address of its quota, and the entry reads the same gateway."""
    preset, given = place
    base, replies = FAKES[preset]

    def only_with_the_key(reply: Any) -> Callable[[Request], Reply]:
        def behaviour(request: Request) -> Reply:
            sent = request.headers.get("x-bf-vk") if preset == "bifrost" else request.key
            return json_reply(reply) if sent == canary else json_reply({}, status=401)

        return behaviour

    for path, reply in replies.items():
        gateways.answer(path, only_with_the_key(reply))
    url = f"{gateways.url}{base if given == 'base' else next(iter(replies))}"
    guessed = guess(run, url)
    assert (guessed.returncode, guessed.stderr) == (0, "")
    assert f"\n{preset} fits. The config entry:\n" in guessed.stdout
    assert len(gateways.requests) <= MAX_REQUESTS
    asked = [line.split()[1].removesuffix(":") for line in guessed.stdout.splitlines() if line.startswith("  GET ")]
    assert [f"{gateways.url}{request.path}" for request in gateways.requests] == [
        address.partition("?")[0] for address in asked
    ]

    _, _, entry = guessed.stdout.partition("The config entry:\n")
    config = str(tmp_path / "proposed.yml")
    Path(config).write_text(f"opencode: off\n{entry}", encoding="utf-8")
    checked = run("check", "--config.file", config)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"mapping {preset}, " in checked.stdout
    polled = run("poll", "--config.file", config, "--format", "json")
    assert polled.returncode == 0, polled.stdout + polled.stderr
    (report,) = json.loads(polled.stdout)
    assert report["quota"]["buckets"]
    assert report["reading"]["dropped"] == []


@pytest.mark.parametrize("path", ["", "/v1", "/some/where"])
@pytest.mark.parametrize(
    "reply", [json_reply({}), Reply(404, b"no"), Reply(200, b"<html>")], ids=["json", "404", "html"]
)
def test_it_asks_six_times_at_most(gateways: FakeGateways, run: RunCommand, path: str, reply: Reply) -> None:
    """A server that answers everything alike gets six requests at most, and each path once."""
    every = ("/quota", "/key/info", "/api/usage/token/", "/key", "/usage", "/api/governance/virtual-keys/quota")
    for folder in ("", "/v1", "/some/where"):
        for asked in ("", *every):
            gateways.answer(f"{folder}{asked}", reply)
    result = guess(run, f"{gateways.url}{path}")
    assert result.returncode == 1
    assert "No preset fits." in result.stderr
    paths = [request.path for request in gateways.requests]
    assert len(paths) == len(set(paths)) == MAX_REQUESTS
    assert all(f"{gateways.url}{path}: HTTP {reply.status}" in result.stdout for path in paths)


def test_it_follows_no_redirect(
    gateways: FakeGateways,
    serve_gateways: Callable[[ssl.SSLContext | None], FakeGateways],
    run: RunCommand,
) -> None:
    """A server that sends on to another one does not get the key sent there."""
    other = serve_gateways(None)
    for path in ("/v1/quota", "/key/info", "/v1/key"):
        gateways.answer(path, Reply(307, b"", headers={"Location": f"{other.url}{path}"}))
    result = guess(run, f"{gateways.url}/v1")
    assert result.returncode == 1
    assert "neutral: redirect, HTTP 307: the key is not sent after a redirect" in result.stdout
    assert other.connections_opened == 0


def test_a_certificate_that_nobody_knows(
    serve_gateways: Callable[[ssl.SSLContext | None], FakeGateways],
    server_tls: ssl.SSLContext,
    run: RunCommand,
) -> None:
    """A server with an unknown certificate gets no key, and the output says how to make it known."""
    untrusted = serve_gateways(server_tls)
    result = guess(run, f"{untrusted.url}/v1")
    assert result.returncode == 1
    assert "neutral: tls, the gateway's certificate is refused" in result.stdout
    assert "SSL_CERT_FILE" in result.stderr
    assert untrusted.requests == []


def test_a_reply_that_echoes_the_key(gateways: FakeGateways, run: RunCommand, canary: str) -> None:
    """A gateway that gives the key back in names, errors and ids does not bring it into view."""
    key = fixture("litellm", "recorded_team")["key"]
    key["info"] |= {"key_alias": canary, "team_id": canary, "user_id": canary}
    gateways.answer("/key/info", json_reply(key))
    gateways.answer("/v1/quota", lambda request: json_reply({"error": {"message": request.key}}, status=403))
    result = guess(run, f"{gateways.url}/v1")
    assert result.returncode == 0
    assert "neutral: answers, but refuses this key (forbidden, HTTP 403)" in result.stdout
