"""The hunt for canary keys in everything that the exporter lets out."""

from __future__ import annotations

import base64
import json
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.integration.conftest import StartExporter
from tests.integration.fake_gateways import FakeGateways, Reply, Request, json_reply
from tests.integration.programs import eventually, run_exporter

# One canary for each way that a secret comes in: what leaks tells from where. Some do not look like keys:
# those are found out by comparison alone.
CANARIES = {
    "env": "sk-env-5b1f83d09c7a4e62b8d7",
    "file": "purple-otter-lantern",
    "config": "sk-cfg-7e2d91b5a0c84f36952f",
    "opencode": "velvet.thunder.pocket",
    "auth": "sk-aut-e83c27d61f0b49a7a94d",
    "header": "bronze harbour sixteen",
    "header-file": "copper.lagoon.window",
    "proxy": "marble-glacier-tulip",
}
# Less than eight characters of a key are a mask that tells nobody anything.
_TELLING = 8


def pieces(secret: str) -> Iterator[str]:
    """Every part of a secret that is long enough to matter."""
    return (secret[start : start + _TELLING] for start in range(len(secret) - _TELLING + 1))


FORBIDDEN = {
    piece: source
    for source, canary in CANARIES.items()
    for secret in (canary, base64.b64encode(f"user:{canary}".encode()).decode())
    for piece in pieces(secret)
}


def assert_clean(outputs: Mapping[str, str]) -> None:
    leaks = [
        f"{where} holds {piece!r} of the canary {source!r}"
        for where, text in outputs.items()
        for piece, source in FORBIDDEN.items()
        if piece in text
    ]
    assert not leaks, "\n".join(leaks[:10])


def secret_of(request: Request) -> str:
    return request.headers.get("x-key") or request.key


def echo_name(request: Request) -> Reply:
    """A quota whose every text is the key."""
    key = secret_of(request)
    cost = {"currency": key, "limit": 5, "used": key, "resets_at": key}
    return json_reply({"key": key, "tokens": {"limit": 100, "used": 1}, "cost": cost})


def echo_openrouter(request: Request) -> Reply:
    """OpenRouter's shape with the key, and masked as it does, where a name could be."""
    key = secret_of(request)
    masked = f"{key[:10]}...{key[-10:]}"
    return json_reply({"data": {"label": masked, "name": masked, "limit": 5, "usage": 1, "limit_remaining": 4}})


def echo_masked_tail(request: Request) -> Reply:
    return json_reply({"key": f"****{secret_of(request)[-10:]}", "tokens": {"limit": 100, "used": 1}})


def echo_message(request: Request) -> Reply:
    message = f"Incorrect API key provided: {secret_of(request)}. You sent {dict(request.headers)}"
    return json_reply({"error": {"message": message, "code": secret_of(request)}}, status=401)


def echo_masked_message(request: Request) -> Reply:
    key = secret_of(request)
    return json_reply({"error": {"message": f"the key {key[:8]}***{key[-9:]} is unknown"}}, status=403)


def echo_message_with_200(request: Request) -> Reply:
    return json_reply({"error": f"no such key: {secret_of(request)}"})


def echo_html(request: Request) -> Reply:
    return Reply(500, f"<html><pre>{dict(request.headers)}</pre></html>".encode(), reason=secret_of(request))


def echo_not_json(request: Request) -> Reply:
    return Reply(200, f"Authorization: Bearer {secret_of(request)}".encode())


def echo_headers(request: Request) -> Reply:
    """A redirect to an address that holds the key, with the key in each header that somebody reads."""
    key = secret_of(request)
    headers = {"Location": f"http://127.0.0.1:1/?key={key}", "Retry-After": key, "Content-Encoding": key}
    return json_reply({}, status=302, headers={**headers, "Set-Cookie": f"key={key}", "X-Error": key})


def echo_encoding(request: Request) -> Reply:
    return json_reply({}, headers={"Content-Encoding": secret_of(request)})


def echo_broken_http(request: Request) -> Reply:
    """No HTTP: h11 quotes the line that it does not understand in its error."""
    return Reply(raw=f"HTTP/1.1 200 OK\r\n{secret_of(request)}\r\n\x00: {secret_of(request)}\r\n\r\n".encode())


def echo_broken_start(request: Request) -> Reply:
    return Reply(raw=f"{secret_of(request)} {secret_of(request)}\r\n\r\n".encode())


ECHOES: dict[str, Callable[[Request], Reply]] = {
    "name": echo_name,
    "masked-tail": echo_masked_tail,
    "message": echo_message,
    "masked-message": echo_masked_message,
    "message-with-200": echo_message_with_200,
    "html": echo_html,
    "not-json": echo_not_json,
    "headers": echo_headers,
    "encoding": echo_encoding,
    "broken-http": echo_broken_http,
    "broken-start": echo_broken_start,
}


@dataclass(frozen=True, slots=True)
class World:
    """A config with all canaries, and the environment in which they are found."""

    config: str
    environ: dict[str, str]
    gateways: FakeGateways


@pytest.fixture(name="world")
def _world(
    gateways: FakeGateways,
    serve_gateways: Callable[[ssl.SSLContext | None], FakeGateways],
    server_tls: ssl.SSLContext,
    home: Path,
    tmp_path: Path,
) -> World:
    """Each key source with the echo of names, and each other echo with the key of the environment."""
    untrusted = serve_gateways(server_tls)
    for name, echo in ECHOES.items():
        gateways.answer(f"/{name}/quota", echo)
    gateways.answer("/openrouter/key", echo_openrouter)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        closed_port = closed.getsockname()[1]
    (tmp_path / "key").write_text(CANARIES["file"], encoding="utf-8")
    (tmp_path / "header").write_text(CANARIES["header-file"], encoding="utf-8")
    config_dir, data_dir = home / ".config" / "opencode", home / ".local" / "share" / "opencode"
    config_dir.mkdir(parents=True)
    data_dir.mkdir(parents=True)
    literal = {"provider": {"by-opencode": {"options": {"apiKey": CANARIES["opencode"]}}}}
    (config_dir / "opencode.json").write_text(json.dumps(literal), encoding="utf-8")
    auth = {"by-auth": {"type": "api", "key": CANARIES["auth"]}}
    (data_dir / "auth.json").write_text(json.dumps(auth), encoding="utf-8")
    url = gateways.url
    base, key_file, header_file = f"base_url: '{url}/name'", tmp_path / "key", tmp_path / "header"
    proxy, proxy_address = f"http://user:{CANARIES['proxy']}@", url.removeprefix("http://")
    entries = [
        f"provider_id: by-env, {base}, api_key_env: CANARY",
        f"provider_id: by-file, {base}, api_key_file: {key_file}",
        f"provider_id: by-config, {base}, api_key: {CANARIES['config']}",
        f"provider_id: by-opencode, {base}",
        f"provider_id: by-auth, {base}",
        f"provider_id: by-header, {base}, api_key: k, headers: {{X-Key: '{CANARIES['header']}'}}",
        f"provider_id: by-header-file, {base}, api_key: k, headers: {{X-Key: {{file: {header_file}}}}}",
        f"provider_id: by-proxy, {base}, api_key_env: CANARY, proxy_url: '{proxy}{proxy_address}'",
        f"provider_id: proxy-refused, {base}, api_key_env: CANARY, proxy_url: '{proxy}127.0.0.1:{closed_port}'",
        f"provider_id: no-tunnel, base_url: '{untrusted.url}', api_key: k, proxy_url: '{proxy}{proxy_address}'",
        f"provider_id: openrouter, base_url: '{url}/openrouter', api_key_env: CANARY, mapping: openrouter",
        f"provider_id: refused, base_url: 'http://127.0.0.1:{closed_port}', api_key_env: CANARY",
        f"provider_id: untrusted, base_url: '{untrusted.url}', api_key_env: CANARY",
        *(f"provider_id: echo-{name}, base_url: '{url}/{name}', api_key_env: CANARY" for name in ECHOES),
    ]
    config = "gateways:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)
    environ = {"CANARY": CANARIES["env"], "PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}
    return World(config, environ, gateways)


def broken_config(config: str) -> str:
    """The config with mistakes that all have a secret nearby."""
    secret = CANARIES["config"]
    return f"""{config}
  - {{provider_id: wrong-type, base_url: 'http://localhost', api_key: [{secret}]}}
  - {{provider_id: pasted, base_url: 'http://localhost', api_key_env: {secret}}}
  - {{provider_id: typo, base_url: 'http://localhost', api_kee: {secret}}}
  - {{provider_id: two, base_url: 'http://localhost', api_key: {secret}, api_key_env: CANARY}}
  - {{provider_id: userinfo, base_url: 'https://user:{secret}@example.com', api_key: k}}
  - {{provider_id: query, base_url: 'https://example.com/?key={secret}', api_key: k}}
  - {{provider_id: proxy, base_url: 'http://localhost', proxy_url: 'ftp://user:{secret}@localhost'}}
  - {{provider_id: port, base_url: 'http://localhost', proxy_url: 'http://user:{secret}@localhost:{secret}'}}
  - {{provider_id: header, base_url: 'http://localhost', headers: {{X-Key: "{secret}\\n"}}}}
  - {{provider_id: header-type, base_url: 'http://localhost', headers: {{X-Key: {{value: [{secret}]}}}}}}
  - {{provider_id: timeout, base_url: 'http://localhost', timeout: {secret}}}
  - {{provider_id: limits, base_url: 'http://localhost', max_buckets: {secret}}}
"""


REASONS = {
    "bad_encoding",
    "connect",
    "error_reply",
    "forbidden",
    "not_json",
    "redirect",
    "server_error",
    "tls",
    "unauthorized",
}


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_no_page_and_no_log_line_holds_a_key(start_exporter: StartExporter, world: World, log_format: str) -> None:
    """Every path in every format, with gateways that echo keys in every way, at the most talkative log level."""
    flags = ("--log.level", "debug", "--log.format", log_format, "--web.enable-lifecycle")
    exporter = start_exporter(world.config, *flags, environ=world.environ)
    scrape = exporter.scrape()
    bodies: dict[str, str] = {}

    def fetch(path: str, **headers: str) -> None:
        response = exporter.get(path, **headers)
        bodies[f"{path} {headers}"] = f"{response.headers}\n{response.text}"

    openmetrics = "application/openmetrics-text; version=1.0.0"
    for path in ("/", "/metrics", "/quota_status", "/quota_status?format=json", "/config", "/-/healthy", "/-/ready"):
        fetch(path)
    fetch("/metrics", Accept=openmetrics)
    fetch("/metrics", Authorization=f"Bearer {CANARIES['env']}")
    for name in ("by-proxy", "echo-message", "echo-broken-http", "untrusted"):
        fetch(f"/probe?target={name}")
        fetch(f"/probe?model={name}/gpt", Accept=openmetrics)
    for path in ("/missing", "/probe", "/probe?target=unknown", "/metrics?provider_id=unknown", "/-/reload"):
        fetch(path)
    exporter.config.write_text(broken_config(world.config), encoding="utf-8")
    reload = exporter.client.post(f"{exporter.url}/-/reload")
    bodies["reload"] = reload.text
    no_yaml = f"gateways:\n  - api_key: '{CANARIES['config']}\n  {CANARIES['file']}: ["
    exporter.config.write_text(no_yaml, encoding="utf-8")
    bodies["reload of what is no YAML"] = exporter.client.post(f"{exporter.url}/-/reload").text
    exporter.signal(signal.SIGHUP)
    eventually(lambda: "reload failed" in exporter.stderr, "the config is refused")
    exporter.stop()

    # the hunt is worth something only if the keys were on their way
    assert scrape.value("llm_quota_up", provider_id="by-proxy") == 1
    for source in ("env", "file", "config", "opencode.json", "auth.json"):
        assert scrape.values("llm_quota_up", key_source=source), source
    sent = {value for request in world.gateways.requests for value in request.headers.values()}
    for source, canary in CANARIES.items():
        secret = base64.b64encode(f"user:{canary}".encode()).decode() if source == "proxy" else canary
        assert any(secret in value for value in sent), source
    assert {reason for reason in REASONS if scrape.values("llm_quota_failure", reason=reason)} == REASONS
    assert len([line for line in reload.text.splitlines() if "quota-exporter.yml:" in line]) >= 12
    assert not scrape.names(provider_id="by-env") & {"llm_quota_key_info"}
    assert_clean({**bodies, "stdout": exporter.stdout, "stderr": exporter.stderr})


def test_no_command_prints_a_key(start_exporter: StartExporter, world: World, tmp_path: Path) -> None:
    """check, poll and status in every format, and check of a config full of mistakes."""
    config = tmp_path / "quota-exporter.yml"
    config.write_text(world.config, encoding="utf-8")
    broken = tmp_path / "broken.yml"
    broken.write_text(broken_config(world.config), encoding="utf-8")
    exporter = start_exporter(world.config, environ=world.environ)
    exporter.scrape()
    commands = [
        ("check", "--config.file", str(config), "--online"),
        ("check", "--config.file", str(broken)),
        ("--config.file", str(broken)),
        ("poll", "--config.file", str(config)),
        ("poll", "--config.file", str(config), "--format", "json"),
        ("poll", "--config.file", str(config), "--format", "openmetrics"),
        ("poll", "--config.file", str(config), "unknown"),
        ("status", "--url", exporter.url),
        ("status", "--url", exporter.url, "--format", "json"),
    ]
    with ThreadPoolExecutor(4) as runners:
        run = partial(run_exporter, environ=world.environ, cwd=tmp_path)
        results = list(runners.map(lambda command: run(*command), commands))
    outputs = {}
    for command, ended in zip(commands, results, strict=True):
        outputs[f"stdout of {command}"] = ended.stdout
        outputs[f"stderr of {command}"] = ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout + ended.stderr

    assert "by-header-file" in outputs[f"stdout of {commands[0]}"]
    assert_clean(outputs)
