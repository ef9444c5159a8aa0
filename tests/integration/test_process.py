"""The running exporter as its operator knows it: start, configuration, signals, end."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import StartExporter
from tests.integration.fake_gateways import FakeGateways, quota
from tests.integration.programs import Exporter, eventually, run_exporter

SUCCESSFUL = "quota_exporter_config_last_reload_successful"
BROKEN = "gateways:\n  - provider_id: campus\n    base_urll: https://x.example\n    timeout: 9\n"


def config_of(url: str, *provider_ids: str) -> str:
    """A config with these gateways on one origin, each at a path of its own."""
    entries = "".join(
        f"  - {{provider_id: {name}, base_url: '{url}/{name}', api_key: key-of-{name}}}\n" for name in provider_ids
    )
    return f"opencode: off\ngateways:\n{entries}"


def refuses_connections(url: str) -> bool:
    parts = httpx.URL(url)
    try:
        socket.create_connection((parts.host, parts.port or 0), timeout=1).close()
    except OSError:
        return True
    return False


class TestEnd:
    """SIGTERM ends the exporter soon, and never with a false answer."""

    def test_without_a_scrape_the_end_is_immediate(self, start_exporter: StartExporter, gateways: FakeGateways) -> None:
        """The exporter ends in less than 2 s with status 0, also while clients keep idle connections."""
        gateways.answer("/a/quota", quota())
        exporter = start_exporter(config_of(gateways.url, "a"))
        assert exporter.scrape().value("llm_quota_up") == 1

        assert exporter.stop() < 2
        assert "msg=stopped" in exporter.stderr

    def test_a_scrape_in_flight_finishes(self, start_exporter: StartExporter, gateways: FakeGateways) -> None:
        """A gateway that answers after the signal still counts: the scrape gets its whole answer."""
        gate = gateways.gate()
        gateways.answer("/slow/quota", quota(gate=gate))
        gateways.answer("/fast/quota", quota())
        exporter = start_exporter(config_of(gateways.url, "slow", "fast"))
        with ThreadPoolExecutor(1) as scraper:
            scraping = scraper.submit(exporter.scrape)
            eventually(lambda: gateways.waiting == 1, "the slow gateway was asked")
            exporter.signal(signal.SIGTERM)
            eventually(lambda: refuses_connections(exporter.url), "no new scrape is accepted")
            gate.open()
            scrape = scraping.result()

        assert scrape.value("llm_quota_remaining_tokens", provider_id="slow") == 750
        assert scrape.values("llm_quota_up") == [1.0, 1.0]
        assert exporter.wait() == 0

    @pytest.mark.parametrize("path", ["/metrics", "/probe?target=hanging"])
    def test_a_scrape_that_cannot_finish_gets_503(
        self, start_exporter: StartExporter, gateways: FakeGateways, path: str
    ) -> None:
        """No failure is invented for a gateway that hangs when the exporter ends, which is in less than 2 s."""
        gateways.hang("/hanging/quota")
        gateways.answer("/fast/quota", quota())
        exporter = start_exporter(config_of(gateways.url, "hanging", "fast"))
        with ThreadPoolExecutor(1) as scraper:
            scraping = scraper.submit(exporter.get, path)
            eventually(lambda: gateways.waiting == 1, "the hanging gateway was asked")
            took = exporter.stop()
            response = scraping.result()

        assert response.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "llm_quota" not in response.text
        assert "reason=" not in exporter.stderr
        assert took < 3  # 1.4 s, and what a busy machine adds

    def test_the_time_for_scrapes_can_be_set(self, start_exporter: StartExporter, gateways: FakeGateways) -> None:
        """--web.shutdown-timeout bounds the wait for scrapes."""
        gateways.hang("/hanging/quota")
        exporter = start_exporter(config_of(gateways.url, "hanging"), "--web.shutdown-timeout", "50ms")
        with ThreadPoolExecutor(1) as scraper:
            scraping = scraper.submit(exporter.get, "/metrics")
            eventually(lambda: gateways.waiting == 1, "the hanging gateway was asked")
            took = exporter.stop()

        assert scraping.result().status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert took < 1.2

    def test_ctrl_c_ends_it_as_well(self, start_exporter: StartExporter) -> None:
        """SIGINT ends the exporter with status 0."""
        exporter = start_exporter("gateways: []\n")
        exporter.signal(signal.SIGINT)

        assert exporter.wait() == 0


class TestReload:
    """A new config takes the place of the old one, a broken one never does."""

    def test_sighup_takes_a_good_config(self, start_exporter: StartExporter, gateways: FakeGateways) -> None:
        """A gateway that was added is polled, one that was removed is gone, one that stayed keeps its counters."""
        for path in ("/a/quota", "/b/quota", "/c/quota"):
            gateways.answer(path, quota())
        exporter = start_exporter(config_of(gateways.url, "a", "b"))
        exporter.scrape()
        exporter.config.write_text(config_of(gateways.url, "b", "c") + "# two\n", encoding="utf-8")
        exporter.signal(signal.SIGHUP)
        eventually(lambda: exporter.get("/probe?target=c").status_code == httpx.codes.OK, "c is configured")
        scrape = exporter.scrape()

        assert scrape.value("llm_quota_remaining_tokens", provider_id="c") == 750
        assert not scrape.names(provider_id="a")
        assert scrape.value("llm_quota_polls_total", provider_id="b") == 2
        assert scrape.value(SUCCESSFUL) == 1

    def test_sighup_refuses_a_broken_config(self, start_exporter: StartExporter, gateways: FakeGateways) -> None:
        """The last good config goes on with all its series; metric and log say what happened, until it is mended."""
        gateways.answer("/a/quota", quota())
        exporter = start_exporter(config_of(gateways.url, "a"))
        before = exporter.scrape()
        loaded_at = before.value("quota_exporter_config_last_reload_success_timestamp_seconds")
        good = exporter.config.read_text(encoding="utf-8")
        exporter.config.write_text(BROKEN, encoding="utf-8")
        exporter.signal(signal.SIGHUP)
        eventually(lambda: exporter.own(SUCCESSFUL) == 0, "the config is refused")
        after = exporter.scrape()

        assert after.value("llm_quota_remaining_tokens", provider_id="a") == 750
        assert after.names(provider_id="a") == before.names(provider_id="a")
        assert after.value("quota_exporter_config_last_reload_success_timestamp_seconds") == loaded_at
        assert f"{exporter.config}:3: gateways[0].base_urll" in exporter.stderr
        assert f"{exporter.config}:4: gateways[0].timeout" in exporter.stderr
        exporter.config.write_text(good, encoding="utf-8")
        exporter.signal(signal.SIGHUP)
        eventually(lambda: exporter.own(SUCCESSFUL) == 1, "the mended config is taken")

    def test_post_reload(self, start_exporter: StartExporter, gateways: FakeGateways) -> None:
        """With --web.enable-lifecycle a POST reloads: 200, or 500 with each problem on a line."""
        gateways.answer("/a/quota", quota())
        exporter = start_exporter(config_of(gateways.url, "a"), "--web.enable-lifecycle")
        exporter.config.write_text(config_of(gateways.url, "a", "b"), encoding="utf-8")
        good = exporter.client.post(f"{exporter.url}/-/reload")
        assert good.status_code == httpx.codes.OK
        assert exporter.own("quota_exporter_gateways") == 2
        exporter.config.write_text(BROKEN, encoding="utf-8")
        bad = exporter.client.post(f"{exporter.url}/-/reload")

        assert bad.status_code == httpx.codes.INTERNAL_SERVER_ERROR
        problems = [line for line in bad.text.splitlines() if line.startswith(str(exporter.config))]
        assert [problem.split(": ")[1] for problem in problems] == ["gateways[0].base_urll", "gateways[0].timeout"]
        assert "`base_url`" in problems[0]
        assert exporter.own(SUCCESSFUL) == 0
        assert exporter.scrape().value("llm_quota_remaining_tokens", provider_id="a") == 750
        get = exporter.get("/-/reload")
        assert (get.status_code, get.headers["Allow"]) == (httpx.codes.METHOD_NOT_ALLOWED, "POST")

    def test_post_reload_is_off_by_default(self, start_exporter: StartExporter) -> None:
        """Without the flag a POST is refused with the flag's name, and nothing is reloaded."""
        exporter = start_exporter("gateways: []\n")
        exporter.config.write_text(BROKEN, encoding="utf-8")
        response = exporter.client.post(f"{exporter.url}/-/reload")

        assert response.status_code == httpx.codes.FORBIDDEN
        assert "--web.enable-lifecycle" in response.text
        assert exporter.own(SUCCESSFUL) == 1

    def test_config_files_can_be_watched(self, start_exporter: StartExporter, gateways: FakeGateways) -> None:
        """With --config.enable-auto-reload a changed gateway file is taken without a signal, a broken one refused."""
        gateways.answer("/a/quota", quota())
        exporter = start_exporter(
            "opencode: off\ngateway_files: ['conf.d/*.yml']\n",
            "--config.enable-auto-reload",
            "--config.auto-reload-interval",
            "1s",
        )
        assert exporter.own("quota_exporter_gateways") == 0
        listing = exporter.config.parent / "conf.d" / "team.yml"
        listing.parent.mkdir()
        listing.write_text(f"- {{provider_id: a, base_url: '{gateways.url}/a', api_key: k}}\n", encoding="utf-8")
        eventually(lambda: exporter.own("quota_exporter_gateways") == 1, "the new file is seen")
        assert exporter.scrape().value("llm_quota_up", provider_id="a") == 1
        listing.write_text("- {provider_id: a, base_url: 5}\n", encoding="utf-8")
        eventually(lambda: exporter.own(SUCCESSFUL) == 0, "the broken file is refused")

        assert exporter.scrape().value("llm_quota_up", provider_id="a") == 1


class TestKeys:
    """Where API keys come from, and that they are read again."""

    def test_a_rotated_key_file_needs_no_reload(
        self, start_exporter: StartExporter, gateways: FakeGateways, tmp_path: Path
    ) -> None:
        """The scrape after the file has changed uses the new key, also where an older reading could be reused."""
        key_file = tmp_path / "key"
        key_file.write_text("first\n", encoding="utf-8")
        entry = f"{{provider_id: a, base_url: '{gateways.url}', api_key_file: {key_file}, min_interval: 1h}}"
        gateways.answer("/quota", lambda request: quota(used={"first": 1, "second": 2}[request.key]))
        exporter = start_exporter(f"gateways:\n  - {entry}\n")
        assert exporter.scrape().value("llm_quota_used_tokens", key_source="file") == 1
        key_file.write_text("second\n", encoding="utf-8")

        assert exporter.scrape().value("llm_quota_used_tokens", key_source="file") == 2

    def test_the_environment_names_the_key(self, start_exporter: StartExporter, gateways: FakeGateways) -> None:
        """The key of `campus-eu` is in CAMPUS_EU_API_KEY, and nothing else has to be said."""
        gateways.answer("/quota", quota())
        exporter = start_exporter(
            f"gateways:\n  - provider_id: campus-eu\n    base_url: {gateways.url}\n",
            environ={"CAMPUS_EU_API_KEY": "from-the-environment"},
        )

        assert exporter.scrape().value("llm_quota_up", provider_id="campus-eu", key_source="env") == 1
        assert [request.headers["authorization"] for request in gateways.requests] == ["Bearer from-the-environment"]

    def test_opencode_is_imported(
        self, start_exporter: StartExporter, gateways: FakeGateways, home: Path, tmp_path: Path
    ) -> None:
        """Gateways, base URLs and keys come from OpenCode's global files, and nothing from the project directory."""
        for path in ("/a/quota", "/b/quota", "/project/quota"):
            gateways.answer(path, quota())
        config_dir, data_dir = home / ".config" / "opencode", home / ".local" / "share" / "opencode"
        config_dir.mkdir(parents=True)
        data_dir.mkdir(parents=True)
        (config_dir / "opencode.jsonc").write_text(
            f"""\ufeff{{
  // the same file that OpenCode reads
  "provider": {{ "b": {{ "options": {{ "baseURL": "{gateways.url}/b/", "apiKey": "key-of-b" }} }} }},
  "experimental": {{ "quotaToast": {{ "openaiCompatibleGateways": [
    {{ "providerId": "a", "baseURL": "{gateways.url}/a", "label": "Team A" }},
    {{ "providerId": "b" }}, /* its base URL is the provider's */
  ] }} }},
}}""",
            encoding="utf-8",
        )
        (data_dir / "auth.json").write_text('{"a": {"type": "api", "key": "key-of-a"}}', encoding="utf-8")
        listing = [{"providerId": name, "baseURL": f"{gateways.url}/project"} for name in ("a", "project")]
        project = {
            "provider": {name: {"options": {"apiKey": "stolen"}} for name in ("a", "b", "project")},
            "experimental": {"quotaToast": {"openaiCompatibleGateways": listing}},
        }
        for place in (tmp_path / "opencode.json", tmp_path / ".opencode" / "opencode.json"):
            place.parent.mkdir(exist_ok=True)
            place.write_text(json.dumps(project), encoding="utf-8")
        exporter = start_exporter("opencode: auto\n", cwd=tmp_path)
        scrape = exporter.scrape()

        assert scrape.value("llm_quota_up", provider_id="a", key_source="auth.json") == 1
        assert scrape.value("llm_quota_gateway_info", provider_id="a", label="Team A") == 1
        assert scrape.value("llm_quota_up", provider_id="b", key_source="opencode.jsonc") == 1
        assert len(scrape.values("llm_quota_up")) == 2
        assert sorted((request.path, request.key) for request in gateways.requests) == [
            ("/a/quota", "key-of-a"),
            ("/b/quota", "key-of-b"),
        ]


class TestStart:
    """What the exporter needs to start, and what it says when that is missing."""

    def test_an_occupied_port_is_told_in_a_line(self, environ: dict[str, str], tmp_path: Path) -> None:
        """The line names the address, and status 1 ends the program."""
        with socket.create_server(("127.0.0.1", 0)) as occupied:
            address = f"127.0.0.1:{occupied.getsockname()[1]}"
            ended = run_exporter("--web.listen-address", address, environ=environ, cwd=tmp_path)

        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert address in line
        assert "in use" in line

    @pytest.mark.skipif(Path("/etc/quota-exporter/quota-exporter.yml").exists(), reason="this machine has a config")
    def test_without_any_config_there_is_help(self, environ: dict[str, str], tmp_path: Path) -> None:
        """With no config and nothing in OpenCode, status 1 comes with the commands that help."""
        ended = run_exporter("--web.listen-address", "127.0.0.1:0", environ=environ, cwd=tmp_path)

        assert ended.returncode == 1
        assert ended.stdout == ""
        assert "quota-exporter demo" in ended.stderr
        assert "provider_id: campus" in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_a_broken_config_is_told_line_by_line(self, environ: dict[str, str], tmp_path: Path) -> None:
        """Every problem stands on a line of its own with file, line and key; status 1 ends the program."""
        (tmp_path / "quota-exporter.yml").write_text(BROKEN, encoding="utf-8")
        ended = run_exporter("--web.listen-address", "127.0.0.1:0", environ=environ, cwd=tmp_path)

        assert ended.returncode == 1
        first, second = ended.stderr.splitlines()
        assert first == "quota-exporter.yml:3: gateways[0].base_urll: unknown key; did you mean `base_url`?"
        assert second.startswith("quota-exporter.yml:4: gateways[0].timeout: is not a duration")

    def test_several_addresses_are_served(self, start_exporter: StartExporter) -> None:
        """--web.listen-address may be repeated, and each address answers."""
        exporter = start_exporter("gateways: []\n", "--web.listen-address", "127.0.0.1:0")

        assert len(set(exporter.urls)) == 2
        for url in exporter.urls:
            assert exporter.client.get(f"{url}/-/healthy").status_code == httpx.codes.OK

    def test_the_log_can_be_json(self, start_exporter: StartExporter, gateways: FakeGateways) -> None:
        """With --log.format json each line of the log is a JSON object, failures of gateways included."""
        exporter = start_exporter(config_of(gateways.url, "a"), "--log.format", "json", "--log.level", "debug")
        exporter.scrape()
        exporter.stop()
        lines = [json.loads(line) for line in exporter.stderr.splitlines()]

        assert {"listening", "config loaded", "gateway cannot be read", "stopped"} <= {line["msg"] for line in lines}
        (failure,) = (line for line in lines if line["msg"] == "gateway cannot be read")
        assert (failure["provider_id"], failure["reason"], failure["level"]) == ("a", "not_found", "warning")


def test_health_is_answered_during_a_large_scrape(
    start_exporter: StartExporter, serve_gateways: Callable[[ssl.SSLContext | None], FakeGateways]
) -> None:
    """While 300 gateways are asked, connected and evaluated, each look at /-/healthy takes a moment only."""
    origins = [serve_gateways(None) for _ in range(15)]
    gates = []
    config = "opencode: off\ngateways:\n"
    for number, origin in enumerate(origins):
        gates.append(origin.gate())
        origin.answer("/quota", quota(gate=gates[-1]))
        config += "".join(
            f"  - {{provider_id: g{number}-{key}, base_url: '{origin.url}', api_key: k}}\n" for key in range(20)
        )
    exporter = start_exporter(config)
    looks = []
    with ThreadPoolExecutor(1) as scraper:
        scraping = scraper.submit(exporter.scrape, "/metrics", 30.0)
        while not scraping.done():
            looks.append(seconds_of_a_look(exporter))
            if sum(origin.waiting for origin in origins) == 300:
                for gate in gates:
                    gate.open()
        scrape = scraping.result()

    assert scrape.values("llm_quota_up") == [1.0] * 300
    assert len(looks) > 3
    assert max(looks) < 1  # hundreds of milliseconds, on a busy machine


def seconds_of_a_look(exporter: Exporter) -> float:
    started = time.monotonic()
    assert exporter.get("/-/healthy").status_code == httpx.codes.OK
    return time.monotonic() - started
