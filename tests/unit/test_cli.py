"""The command line, run in this process with gateways behind respx."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import respx
from click.testing import CliRunner, Result
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from quota_exporter import __version__, cli, config as config_module, exporter as exporter_module, oneshot, transport
from quota_exporter.app import ServeOptions
from quota_exporter.exporter import Sources
from quota_exporter.schema import config_schema
from quota_exporter.transport import Route

RunCli = Callable[..., Result]

CAMPUS = "{provider_id: campus, base_url: https://campus.example/v1, api_key: key-of-campus-0123}"
OPENROUTER = (
    "{provider_id: openrouter, base_url: https://router.example/api/v1, mapping: openrouter, api_key: key-of-or-0123}"
)
LAB = "{provider_id: lab, base_url: https://lab.example, api_key: key-of-lab-0123}"
KEYLESS = "{provider_id: keyless, base_url: https://keyless.example}"
HOMELESS = "{provider_id: homeless, api_key: key-of-homeless-0123}"

REPLIES = {
    "https://campus.example/v1/quota": {
        "key": "course-comp318-fall26",
        "tokens": {"limit": 5_000_000, "used": 250_000, "remaining": 4_750_000},
        "cost": {"currency": "USD", "limit": 5.0, "used": 0.5, "remaining": 4.5},
    },
    "https://router.example/api/v1/key": {"data": {"limit": None, "usage": 1.5, "limit_remaining": None}},
    "https://lab.example/quota": {"cost": {"currency": "EUR", "limit": 5.0, "used": 5.75, "remaining": -0.75}},
    "https://keyless.example/quota": {"tokens": {"limit": 1, "used": 0, "remaining": 1}},
}


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in an empty directory of a machine without a config file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config_module, "DEFAULT_PATHS", (Path("quota-exporter.yml"), tmp_path / "etc" / "q.yml"))


@pytest.fixture(name="router")
def _router(monkeypatch: pytest.MonkeyPatch) -> respx.Router:
    router = respx.Router(assert_all_called=False)
    for url, reply in REPLIES.items():
        router.get(url).respond(json=reply)

    def open_transport(_route: Route) -> httpx.MockTransport:
        return httpx.MockTransport(router.async_handler)

    monkeypatch.setattr(exporter_module, "open_transport", open_transport)
    return router


@pytest.fixture(name="run")
def _run(router: respx.Router) -> RunCli:
    """Runs one command line; whatever it does, it ends with a status and without a traceback."""

    def run(*arguments: str, charset: str = "utf-8", **options: Any) -> Result:
        result = CliRunner(charset=charset).invoke(cli.main, arguments, **options)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture(name="serving")
def _serving(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sources, list[str], ServeOptions]]:
    """What `serve` would have run: sources, the addresses of its sockets, options."""
    served: list[tuple[Sources, list[str], ServeOptions]] = []

    async def run(sources: Sources, sockets: list[socket.socket], options: ServeOptions) -> None:
        served.append((sources, ["{}:{}".format(*opened.getsockname()[:2]) for opened in sockets], options))

    monkeypatch.setattr(cli, "run", run)
    return served


def write_config(*gateways: str, more: str = "opencode: off\n") -> Path:
    path = Path("quota-exporter.yml")
    path.write_text(more + "gateways:\n" + "".join(f"  - {gateway}\n" for gateway in gateways), encoding="utf-8")
    return path


def value_of(families: dict[str, Any], name: str, **labels: str) -> float | None:
    """The value of the one such sample, None when there is none."""
    found = [s.value for s in families[name].samples if labels.items() <= s.labels.items()] if name in families else []
    assert len(found) <= 1
    return found[0] if found else None


COMMANDS = ["serve", "check", "poll", "status", "explain", "guess", "presets", "contract", "schema", "demo"]


class TestHelp:
    """What the program says of itself."""

    def test_there_are_these_commands_and_no_other(self) -> None:
        """The commands are the documented ones: what is printed exists, and nothing is hidden."""
        assert list(cli.main.commands) == COMMANDS
        assert not [name for name, command in cli.main.commands.items() if command.hidden]

    @pytest.mark.parametrize("arguments", [("--help",), ("-h",)])
    def test_help_lists_every_command(self, run: RunCli, arguments: tuple[str, ...]) -> None:
        """--help names each command with a whole line on what it is for, those first that come first in use."""
        result = run(*arguments)
        assert result.exit_code == 0
        listed = result.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
        assert [line.split()[0] for line in listed] == COMMANDS
        assert all(len(line) < 80 and len(line.split()) > 2 and line.endswith(".") for line in listed)
        assert not [line for line in listed if line.endswith("...")]
        assert "Without a command `serve` runs" in result.stdout

    def test_version(self, run: RunCli) -> None:
        """--version prints name and version."""
        assert run("--version").stdout == f"quota-exporter, version {__version__}\n"

    def test_serve_has_these_flags(self) -> None:
        """The flags of `serve` are the ones that the documentation names, in Prometheus' style."""
        flags = {option for parameter in cli.serve.params for option in parameter.opts}
        assert flags == {
            "--config.file",
            "--config.enable-auto-reload",
            "--config.auto-reload-interval",
            "--web.listen-address",
            "--web.telemetry-path",
            "--web.enable-lifecycle",
            "--web.shutdown-timeout",
            "--scrape.timeout-offset",
            "--log.level",
            "--log.format",
        }

    @pytest.mark.parametrize("parameter", cli.serve.params, ids=lambda parameter: str(parameter.opts[0]))
    def test_every_flag_of_serve_names_its_default_and_unit(self, parameter: click.Parameter) -> None:
        """The help of a flag says what holds without it; that of a duration has its unit."""
        assert isinstance(parameter, click.Option)
        record = parameter.get_help_record(click.Context(cli.serve))
        assert record is not None
        flag, text = record
        default = text.partition("[default: ")[2]
        assert default
        if flag.endswith("DURATION"):
            assert default in {"1.5s]", "500ms]", "30s]"}

    def test_serve_explains_durations(self, run: RunCli) -> None:
        """The help of `serve` says how a duration is written."""
        text = " ".join(run("serve", "--help").stdout.split())
        assert "A DURATION is a number with its unit, such as 500ms, 10s or 1m30s." in text

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_explains_itself(self, run: RunCli, command: str) -> None:
        """Each command has help, and each of its flags a text."""
        assert run(command, "--help").exit_code == 0
        options = [parameter for parameter in cli.main.commands[command].params if isinstance(parameter, click.Option)]
        assert all(option.help for option in options)

    @pytest.mark.parametrize("arguments", [("start",), ("poll", "--fromat", "json"), ("status", "extra")])
    def test_unknown_words_are_told(self, run: RunCli, arguments: tuple[str, ...]) -> None:
        """A command or flag that does not exist is an error of usage, which is named."""
        result = run(*arguments)
        assert result.exit_code == 2
        assert arguments[-2 if "json" in arguments else -1] in result.stderr


class TestServe:
    """`serve`, up to where the server takes over."""

    @pytest.mark.parametrize("command", [(), ("serve",)])
    def test_is_what_runs_without_a_command(
        self, run: RunCli, serving: list[tuple[Sources, list[str], ServeOptions]], command: tuple[str, ...]
    ) -> None:
        """Flags without a command are those of `serve`."""
        result = run(*command, "--web.listen-address", "127.0.0.1:0", "--config.file", "elsewhere.yml")
        assert (result.exit_code, result.output) == (0, "")
        ((sources, addresses, _),) = serving
        assert sources.config_path == Path("elsewhere.yml")
        assert [address.rpartition(":")[0] for address in addresses] == ["127.0.0.1"]

    def test_nothing_at_all_serves_too(self, run: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without any argument the exporter listens on port 9787 of all addresses."""
        asked: list[tuple[str, ...]] = []

        def open_sockets(addresses: tuple[str, ...]) -> list[socket.socket]:
            asked.append(addresses)
            return []

        monkeypatch.setattr(cli, "open_sockets", open_sockets)
        result = run()
        assert asked == [(":9787",)]
        assert (result.exit_code, "No gateway is configured" in result.stderr) == (1, True)

    def test_hands_over_its_flags(self, run: RunCli, serving: list[tuple[Sources, list[str], ServeOptions]]) -> None:
        """Each flag reaches the running program, durations in seconds; addresses may be repeated."""
        local = ("--web.listen-address", "127.0.0.1:0")
        run(*local, *local, "--web.telemetry-path", "/quota/metrics", "--web.enable-lifecycle")
        run(*local, "--web.shutdown-timeout", "2m", "--scrape.timeout-offset", "0.25s")
        run(*local, "--config.enable-auto-reload", "--config.auto-reload-interval", "1m30s")
        (_, addresses, first), (_, _, second), (_, _, third) = serving
        assert len(set(addresses)) == 2
        assert (first.web.telemetry_path, first.web.enable_lifecycle) == ("/quota/metrics", True)
        assert (first.shutdown_timeout, first.web.timeout_offset, first.auto_reload_interval) == (1.5, 0.5, None)
        assert (second.shutdown_timeout, second.web.timeout_offset) == (120, 0.25)
        assert (second.web.telemetry_path, second.web.enable_lifecycle) == ("/metrics", False)
        assert third.auto_reload_interval == 90

    def test_finds_the_config_in_the_working_directory(
        self, run: RunCli, serving: list[tuple[Sources, list[str], ServeOptions]]
    ) -> None:
        """Without --config.file the first default path where something is counts."""
        address = ("--web.listen-address", "127.0.0.1:0")
        run(*address)
        Path("etc").mkdir()
        Path("etc/q.yml").touch()
        run(*address)
        Path("quota-exporter.yml").touch()
        run(*address)
        assert [sources.config_path for sources, _, _ in serving] == [
            None,
            Path.cwd() / "etc" / "q.yml",
            Path("quota-exporter.yml"),
        ]

    @pytest.mark.parametrize("path", ["", "metrics", "/", "/metrics?x", "/a b", "/a%20b", "//x", "/{x}", "/é", "/x\n"])
    def test_refuses_what_is_no_path(self, run: RunCli, path: str) -> None:
        """A telemetry path that no scraper could ask for is refused in one line that names the flag."""
        result = run("--web.telemetry-path", path)
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1].startswith("Error: Invalid value for '--web.telemetry-path': ")

    @pytest.mark.parametrize("path", ["/", "/probe", "/quota_status", "/config", "/-/healthy", "/-/ready", "/-/reload"])
    def test_refuses_a_telemetry_path_that_is_taken(self, run: RunCli, path: str) -> None:
        """The metrics cannot hide another page of the exporter."""
        result = run("--web.telemetry-path", path)
        assert result.exit_code == 2
        assert f"{path} is another page of the exporter" in result.stderr.splitlines()[-1]

    @pytest.mark.parametrize(
        "flag", ["--web.shutdown-timeout", "--scrape.timeout-offset", "--config.auto-reload-interval"]
    )
    @pytest.mark.parametrize("value", ["", "5", "-1s", "soon", "1.5", "1.5.0s", "1.5y", "10 s", "s", "1s1h", "\u0661s"])
    def test_refuses_what_is_no_duration(self, run: RunCli, flag: str, value: str) -> None:
        """A duration without its unit is refused in one line that names the flag and shows how to write it."""
        result = run(f"{flag}={value}")
        assert result.exit_code == 2
        wanted = f"Error: Invalid value for '{flag}': write a number with its unit, such as 500ms, 10s or 1m30s"
        assert result.stderr.splitlines()[-1] == wanted

    def test_refuses_to_look_for_changes_all_the_time(self, run: RunCli) -> None:
        """An interval of 0 would leave no time for anything else."""
        result = run("--config.enable-auto-reload", "--config.auto-reload-interval", "0s")
        assert result.exit_code == 2
        assert "'--config.auto-reload-interval': must be above 0s" in result.stderr

    @pytest.mark.parametrize("address", ["", "9787", "localhost", ":port", ":65536", "[::1", "a:b:1", "http://h:1"])
    def test_refuses_what_is_no_address(self, run: RunCli, address: str) -> None:
        """A bad listen address is told in one line that shows how to write it."""
        result = run("--web.listen-address", address)
        assert result.exit_code == 1
        assert result.stderr == f"{address!r} is no address to listen on; write host:port, [ipv6]:port or :port\n"

    def test_says_that_a_port_is_taken(self, run: RunCli) -> None:
        """An occupied port is told in one line that names address and flag."""
        write_config(CAMPUS)
        with socket.create_server(("127.0.0.1", 0)) as occupied:
            address = f"127.0.0.1:{occupied.getsockname()[1]}"
            result = run("--web.listen-address", address)
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"cannot listen on {address}: Address already in use")
        assert line.endswith("; choose --web.listen-address")

    @pytest.mark.parametrize("flag", ["--log.level=loud", "--log.format=xml"])
    def test_refuses_other_logs(self, run: RunCli, flag: str) -> None:
        """Levels and formats are a closed list, which the error names."""
        result = run(flag)
        assert result.exit_code == 2
        assert "is not one of" in result.stderr.splitlines()[-1]


NOT_SERVED = ("--web.listen-address", "127.0.0.1:0")
LOADING = [("serve", *NOT_SERVED), ("check",), ("check", "--online"), ("poll",), ("poll", "--format", "json")]


@pytest.mark.parametrize("command", LOADING, ids=" ".join)
class TestUnusableConfig:
    """What every command that needs a config says when there is none to use."""

    def test_nothing_configured(self, run: RunCli, command: tuple[str, ...]) -> None:
        """With no config file and nothing in OpenCode, help is printed that names commands that exist."""
        result = run(*command)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("No gateway is configured: there is no quota-exporter.yml and no /etc/")
        named = {line.split()[1] for line in result.stderr.splitlines() if line.startswith("  quota-exporter ")}
        assert named == {"demo", "guess", "schema"}
        assert named < set(cli.main.commands)
        assert "provider_id: campus" in result.stderr

    def test_a_config_without_gateways(self, run: RunCli, command: tuple[str, ...]) -> None:
        """A config file that says nothing of gateways is named."""
        Path("my.yml").write_text("defaults: {timeout: 5s}\n", encoding="utf-8")
        result = run(*command, "--config.file", "my.yml")
        assert result.exit_code == 1
        assert result.stderr.startswith("No gateway is configured: my.yml lists none,\n")

    def test_a_broken_file_of_opencode_is_told(self, run: RunCli, command: tuple[str, ...], home: Path) -> None:
        """Where the only list of gateways cannot be read, that is said and not only that there is none."""
        folder = home / ".config" / "opencode"
        folder.mkdir(parents=True)
        (folder / "opencode.json").write_text('{\n  "experimental": {', encoding="utf-8")
        result = run(*command)
        assert result.exit_code == 1
        assert f"{folder / 'opencode.json'}:2: " in result.output
        assert "No gateway is configured" in result.stderr

    def test_every_problem_is_told_once(self, run: RunCli, command: tuple[str, ...]) -> None:
        """A broken config is refused with each of its problems on one line: file, line, key, what to do."""
        broken = "{provider_id: lab, base_urll: https://lab.example, timeout: 5}"
        write_config(CAMPUS, broken, CAMPUS)
        result = run(*command)
        assert (result.exit_code, result.stdout) == (1, "")
        first, second, third = sorted(result.stderr.splitlines())
        assert first == "quota-exporter.yml:4: gateways[1].base_urll: unknown key; did you mean `base_url`?"
        assert second.startswith("quota-exporter.yml:4: gateways[1].timeout: is not a duration; write a number with")
        assert third.startswith("quota-exporter.yml:5: gateways[2].provider_id: campus is used already")

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("missing.yml", "does not exist; check --config.file"),
            ("missing/quota.yml", "does not exist; check --config.file"),
            (".", "is a directory; check --config.file"),
            ("binary.yml", "is not UTF-8 text; check --config.file"),
        ],
    )
    def test_a_path_that_is_no_config(self, run: RunCli, command: tuple[str, ...], path: str, words: str) -> None:
        """A --config.file that cannot be read is told in one line; no other file is tried."""
        write_config(CAMPUS)
        Path("binary.yml").write_bytes(b"\xff\xfe")
        result = run(*command, "--config.file", path)
        assert (result.exit_code, result.stderr) == (1, f"{path}: {words}\n")

    def test_a_proxy_of_the_environment_that_cannot_be_used(
        self, run: RunCli, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A bad HTTPS_PROXY is a problem of the gateways that rely on it, told without quoting it."""
        monkeypatch.setattr(exporter_module, "open_transport", transport.open_transport)
        monkeypatch.setenv("HTTPS_PROXY", "socks5://user:secret@proxy.example:1080")
        write_config(CAMPUS[:-1] + ", proxy_url: environment}")
        result = run(*command)
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith("quota-exporter.yml:3: proxy_url: the proxy that the environment names for https must")
        assert "secret" not in line


class TestCheck:
    """`check`, before the exporter is started or reloaded."""

    def test_all_is_well(self, run: RunCli, router: respx.Router) -> None:
        """A config that can be used gives status 0, with each gateway's key source and URL; nobody is asked."""
        write_config(CAMPUS, OPENROUTER)
        result = run("check")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.splitlines() == [
            "campus: key from config, mapping neutral, https://campus.example/v1/quota",
            "  api_key: found",
            "openrouter: key from config, mapping openrouter, https://router.example/api/v1/key",
            "  api_key: found",
            "2 gateways, config valid.",
        ]
        assert not router.calls

    def test_where_the_key_goes(self, run: RunCli) -> None:
        """Further addresses are listed, and another host than that of base_url is pointed out."""
        write_config(
            "{provider_id: router, base_url: 'https://router.requesty.ai/v1', mapping: requesty, api_key: key-0123456}",
            "{provider_id: lite, base_url: 'https://lite.example/v1', mapping: litellm, api_key: key-0123456}",
        )
        assert run("check").stdout.splitlines() == [
            "router: key from config, mapping requesty, https://api-v2.requesty.ai/v1/manage/apikey/self",
            "  the key goes to https://api-v2.requesty.ai:443, another host than that of base_url",
            "  api_key: found",
            "lite: key from config, mapping litellm, https://lite.example/key/info",
            "  also asks https://lite.example/team/info",
            "  also asks https://lite.example/v2/user/info",
            "  api_key: found",
            "2 gateways, config valid.",
        ]

    def test_an_explicit_empty_list_is_well(self, run: RunCli) -> None:
        """`gateways: []` is a config like another."""
        Path("quota-exporter.yml").write_text("gateways: []\n", encoding="utf-8")
        result = run("check")
        assert (result.exit_code, result.stdout) == (0, "0 gateways, config valid.\n")

    def test_a_gateway_without_key(self, run: RunCli, home: Path) -> None:
        """A gateway without an API key gives status 1, and each place that was looked at is listed."""
        write_config(CAMPUS, KEYLESS, more="opencode: auto\n")
        result = run("check")
        assert result.exit_code == 1
        assert result.stdout.splitlines()[2:] == [
            "keyless: no API key, mapping neutral, https://keyless.example/quota",
            "  $KEYLESS_API_KEY: not set",
            f"  {home / '.local/share/opencode/auth.json'}: does not exist",
            "2 gateways, config valid, with remarks above.",
        ]

    def test_a_key_of_the_environment(self, run: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable that is named after the gateway is found, and a blank one is none."""
        write_config(KEYLESS)
        monkeypatch.setenv("KEYLESS_API_KEY", "key-of-keyless-0123")
        found = run("check")
        monkeypatch.setenv("KEYLESS_API_KEY", " ")
        blank = run("check")
        assert (found.exit_code, blank.exit_code) == (0, 1)
        assert "keyless: key from env" in found.stdout
        assert "  $KEYLESS_API_KEY: blank" in blank.stdout

    def test_a_gateway_without_base_url(self, run: RunCli) -> None:
        """A gateway whose base URL is nowhere gives status 1."""
        write_config(HOMELESS)
        result = run("check")
        assert result.exit_code == 1
        assert "homeless: key from config, mapping neutral, no base URL" in result.stdout

    def test_remarks_have_their_place(self, run: RunCli, tmp_path: Path) -> None:
        """What does not forbid the config is told with file, line and key as well, and gives status 1."""
        missing = tmp_path / "missing"
        write_config(f"{{provider_id: campus, base_url: https://campus.example/v1, api_key_file: {missing}}}")
        result = run("check")
        assert (result.exit_code, result.stderr) == (1, "")
        remark = "quota-exporter.yml:3: gateways[0].api_key_file: the file does not exist; the gateway shows no_api_key"
        assert result.stdout.splitlines()[0] == remark

    def test_remarks_are_told_beside_errors(self, run: RunCli) -> None:
        """One run tells all: also of a config that is refused the remarks are printed."""
        write_config(LAB[:-1] + ", tls: {insecure_skip_verify: true}}", "{provider_id: campus, mapping: neutrl}")
        result = run("check")
        assert result.exit_code == 1
        assert result.stdout.startswith("quota-exporter.yml:3: gateways[0].tls.insecure_skip_verify: ")
        assert result.stderr.endswith("unknown mapping 'neutrl'; did you mean `neutral`?\n")

    def test_online(self, run: RunCli, router: respx.Router) -> None:
        """--online polls each gateway once and shows what it read."""
        write_config(CAMPUS, OPENROUTER)
        result = run("check", "--online")
        assert result.exit_code == 0
        assert len(router.calls) == 2
        assert "2 gateways, config valid." in result.stdout
        assert "4,750,000" in result.stdout

    def test_online_fails_with_a_gateway(self, run: RunCli, router: respx.Router) -> None:
        """--online gives status 1 when one gateway cannot be read, and says why and what to do."""
        write_config(CAMPUS, OPENROUTER)
        router.get("https://campus.example/v1/quota").respond(401)
        result = run("check", "--online")
        assert result.exit_code == 1
        assert "2 gateways, config valid." in result.stdout
        assert "campus cannot be read: it refused the API key (unauthorized)" in result.stdout

    def test_online_does_not_hide_a_remark(self, run: RunCli) -> None:
        """Status 1 stays when all gateways can be read but something else is wrong."""
        write_config(CAMPUS[:-1] + ", tls: {insecure_skip_verify: true}}")
        assert run("check", "--online").exit_code == 1


class TestPoll:
    """`poll`, one look at the gateways."""

    def test_all_as_a_table(self, run: RunCli, router: respx.Router) -> None:
        """Each bucket is a row with what is left, as a bar and in words."""
        write_config(CAMPUS, OPENROUTER, LAB)
        result = run("poll")
        assert (result.exit_code, result.stderr) == (0, "")
        rows = [line.split() for line in result.stdout.splitlines()]
        assert rows == [
            ["GATEWAY", "KEY", "BUCKET", "LEFT", "REFILLS", "IN"],
            ["campus", "config", "tokens", "4,750,000", "██████████", "95%"],
            ["campus", "config", "cost", "4.50", "USD", "█████████░", "90%"],
            ["openrouter", "config", "cost", "unlimited", "1.50", "USD", "used"],
            ["lab", "config", "cost", "-0.75", "EUR", "░░░░░░░░░░", "-15%"],
        ]
        assert len(router.calls) == 3

    def test_some(self, run: RunCli, router: respx.Router) -> None:
        """Only the gateways that are named are asked, each once, in the order of the command line."""
        write_config(CAMPUS, OPENROUTER, LAB)
        result = run("poll", "lab", "openrouter", "lab")
        assert result.exit_code == 0
        assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == ["lab", "openrouter"]
        assert len(router.calls) == 2

    @pytest.mark.parametrize("form", ["table", "json", "openmetrics"])
    @pytest.mark.parametrize(
        ("provider_id", "words"),
        [
            ("lap", "no gateway of the id 'lap' is configured; did you mean lab?"),
            ("nobody", "no gateway of the id 'nobody' is configured; `quota-exporter check` lists all"),
            ("campus", "campus is disabled by enabled_providers; add it there"),
        ],
    )
    def test_an_unknown_one(self, run: RunCli, router: respx.Router, form: str, provider_id: str, words: str) -> None:
        """An id that cannot be polled is told in one line with status 1, and nobody is asked."""
        write_config(CAMPUS, LAB, more="opencode: off\nenabled_providers: [lab]\n")
        result = run("poll", "lab", provider_id, "--format", form)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"{words}\n")
        assert not router.calls

    def test_failures_come_with_advice(self, run: RunCli, router: respx.Router) -> None:
        """A gateway that fails gives status 1 and a line each on why, in whose words, and what to do."""
        write_config(CAMPUS, LAB)
        router.get("https://campus.example/v1/quota").respond(403, json={"error": {"message": "Key of another team"}})
        result = run("poll")
        assert (result.exit_code, result.stderr) == (1, "")
        lines = result.stdout.splitlines()
        assert lines[1].split() == ["campus", "config", "-", "-", "forbidden"]
        assert lines[2].split()[0] == "lab"
        assert lines[4:] == [
            "campus cannot be read: the API key may not read the quota (forbidden)",
            "  HTTP 403: Key of another team",
            "  Give the key the right to read it, or use another key for this gateway.",
        ]

    def test_a_missing_key_names_the_places(self, run: RunCli) -> None:
        """Without a key the places that were looked at are listed, so that it can be put into one of them."""
        write_config(KEYLESS)
        result = run("poll")
        assert result.exit_code == 1
        assert "keyless cannot be read: no API key was found (no_api_key)" in result.stdout
        assert "  checked $KEYLESS_API_KEY: not set" in result.stdout.splitlines()

    def test_json(self, run: RunCli) -> None:
        """--format json gives a list of reports, one for each gateway, with numbers as they are."""
        write_config(CAMPUS, KEYLESS)
        result = run("poll", "--format", "json")
        assert (result.exit_code, result.stderr) == (1, "")
        campus, keyless = json.loads(result.stdout)
        assert set(campus) == {
            *(
                "provider_id",
                "parent",
                "label",
                "owner",
                "mapping",
                "base_url",
                "url",
                "urls",
                "origins",
                "configured_at",
                "notes",
            ),
            *("key_source", "checked", "min_interval_seconds", "reading", "quota", "last_success"),
        }
        assert campus["provider_id"] == "campus"
        assert campus["quota"]["buckets"][1] == {
            "kind": "cost",
            "name": "default",
            "currency": "USD",
            "limit": 5,
            "used": 0.5,
            "remaining": 4.5,
            "limited": True,
            "resets_at": None,
            "window_seconds": None,
            "remaining_ratio": 0.9,
        }
        assert (keyless["key_source"], keyless["quota"], keyless["reading"]["reason"]) == ("none", None, "no_api_key")

    def test_openmetrics(self, run: RunCli) -> None:
        """--format openmetrics gives the gauges of the metrics page, for the textfile collector and scripts."""
        write_config(CAMPUS, KEYLESS)
        result = run("poll", "--format", "openmetrics")
        assert (result.exit_code, result.stderr) == (1, "")
        assert result.stdout.endswith("# EOF\n")
        parsed = parse_openmetrics(result.stdout)  # type: ignore[no-untyped-call]  # not annotated there
        families = {family.name: family for family in parsed}
        assert value_of(families, "llm_quota_up", provider_id="campus", key_source="config") == 1
        assert value_of(families, "llm_quota_remaining_tokens", provider_id="campus", bucket="default") == 4_750_000
        assert value_of(families, "llm_quota_up", provider_id="keyless", key_source="none") == 0
        assert value_of(families, "llm_quota_failure", provider_id="keyless", reason="no_api_key") == 1
        assert "llm_quota_polls" not in families

    @pytest.mark.parametrize(
        ("form", "output"), [("json", "[]\n"), ("openmetrics", "# EOF\n"), ("table", "GATEWAY  KEY  BUCKET  LEFT")]
    )
    def test_no_gateways(self, run: RunCli, form: str, output: str) -> None:
        """An explicit empty list is no failure, and every format has a form for it."""
        Path("quota-exporter.yml").write_text("gateways: []\n", encoding="utf-8")
        result = run("poll", "--format", form)
        assert result.exit_code == 0
        assert result.stdout.startswith(output)

    @pytest.mark.parametrize("environ", [{"FORCE_COLOR": "1", "COLUMNS": "30"}, {"COLUMNS": "30"}])
    def test_a_narrow_terminal_cuts_nothing(self, run: RunCli, environ: dict[str, str]) -> None:
        """A row that does not fit is left to the terminal to wrap, so that every figure stays whole."""
        write_config(CAMPUS)
        result = run("poll", env={**environ, "NO_COLOR": "1", "TERM": "xterm"})
        assert "campus   config  tokens  4,750,000  ██████████ 95%" in result.stdout
        assert "campus   config  cost     4.50 USD  █████████░ 90%" in result.stdout

    def test_a_page_folds_nothing(self, run: RunCli) -> None:
        """Where the output goes to a file or program, the longest name stays in one line with its figures."""
        write_config(LAB.replace("lab,", f"{'p' * 64},"))
        assert f"{'p' * 64}  config  cost    -0.75 EUR  ░░░░░░░░░░ -15%" in run("poll").stdout

    def test_a_terminal_without_bars(self, run: RunCli) -> None:
        """Where the output's encoding has no bars, marks stand in for them and the numbers stay."""
        write_config(CAMPUS)
        result = run("poll", charset="ascii")
        assert result.exit_code == 0
        assert "4,750,000  ?????????? 95%" in result.stdout

    def test_a_bug_is_logged_for_its_report(
        self, run: RunCli, monkeypatch: pytest.MonkeyPatch, router: respx.Router
    ) -> None:
        """The advice for a bug is to report the line of the log, so there is one: on standard error."""
        write_config(CAMPUS)
        router.get("https://campus.example/v1/quota").mock(side_effect=ZeroDivisionError)
        result = run("poll")
        assert result.exit_code == 1
        assert "Report it with the line of the exporter's log." in result.stdout
        (line,) = result.stderr.splitlines()
        assert "provider_id=campus" in line
        assert "ZeroDivisionError" in line


class TestStatus:
    """`status`, a look at the exporter that runs."""

    @pytest.fixture(name="reports")
    def _reports(self, run: RunCli, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
        """What a running exporter tells: one gateway read 75 s ago, one that failed just now."""
        write_config(CAMPUS, KEYLESS)
        reports: list[dict[str, Any]] = json.loads(run("poll", "--format", "json").stdout)
        reports[0]["reading"]["age_seconds"] = 75.25

        def fetch_status(url: str) -> tuple[list[dict[str, Any]], float]:
            assert url == "http://localhost:9787"
            return reports, 1_767_225_600.0

        monkeypatch.setattr(oneshot, "fetch_status", fetch_status)
        return reports

    def test_table(self, run: RunCli, reports: list[dict[str, Any]]) -> None:
        """The exporter at the default address is asked; its readings are shown with the age of the oldest."""
        result = run("status")
        assert (result.exit_code, result.stderr) == (0, "")
        assert "campus   config  tokens  4,750,000  ██████████ 95%" in result.stdout
        assert "keyless cannot be read: no API key was found" in result.stdout
        assert result.stdout.endswith("\nOldest reading: 1 min 15 s ago.\n")

    def test_json(self, run: RunCli, reports: list[dict[str, Any]]) -> None:
        """--format json prints the same reports as `poll` does."""
        result = run("status", "--format", "json")
        assert result.exit_code == 0
        assert json.loads(result.stdout) == reports

    def test_an_exporter_without_gateways(self, run: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
        """With nothing to watch there is no oldest reading."""
        monkeypatch.setattr(oneshot, "fetch_status", lambda _url: ([], 0.0))
        result = run("status")
        assert result.exit_code == 0
        assert "Oldest" not in result.stdout

    def test_no_exporter(self, run: RunCli) -> None:
        """Where no exporter answers, one line names the address and what else to do, with status 1."""
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))  # but not listening
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            result = run("status", "--url", url)
        assert (result.exit_code, result.stdout) == (1, "")
        hint = "name the exporter's address with --url, or use `quota-exporter poll`"
        assert result.stderr == f"no quota-exporter answers at {url}; {hint}\n"


class TestSchema:
    """`schema`, for editors."""

    def test_is_the_schema(self, run: RunCli) -> None:
        """The JSON Schema of the config file is printed, and nothing else; no config is needed."""
        result = run("schema")
        assert (result.exit_code, result.stderr) == (0, "")
        assert json.loads(result.stdout) == config_schema()


class TestDemo:
    """`demo`, up to where the gateways start."""

    def test_listens_on_loopback(self, run: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
        """The demo takes the exporter's port on this machine only, and another one where that is asked for."""
        asked: list[str] = []

        def open_sockets(addresses: list[str]) -> list[socket.socket]:
            asked.extend(addresses)
            return []

        async def run_demo(_sockets: list[socket.socket], say: Callable[[str], object]) -> None:
            say("the first gauges")

        monkeypatch.setattr(cli, "open_sockets", open_sockets)
        monkeypatch.setattr(cli, "run_demo", run_demo)
        assert run("demo").stdout == "the first gauges\n"
        run("demo", "--web.listen-address", "127.0.0.1:0")
        assert asked == ["127.0.0.1:9787", "127.0.0.1:0"]

    def test_says_that_a_port_is_taken(self, run: RunCli) -> None:
        """An occupied port is told in one line."""
        with socket.create_server(("127.0.0.1", 0)) as occupied:
            result = run("demo", "--web.listen-address", f"127.0.0.1:{occupied.getsockname()[1]}")
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1

    def test_ends_with_ctrl_c(self, run: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
        """An interrupt before the server runs ends the program without a traceback, with the shell's status."""

        async def run_demo(_sockets: list[socket.socket], _say: Callable[[str], object]) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "run_demo", run_demo)
        assert run("demo", "--web.listen-address", "127.0.0.1:0").exit_code == 130


def echo(request: httpx.Request) -> httpx.Response:
    """A gateway that shows the key wherever text may stand."""
    key = request.headers["authorization"].removeprefix("Bearer ")
    bucket = {"limit": 5, "used": 1, "remaining": 4, "currency": key, "resets_at": key}
    return httpx.Response(200, json={"key": key, "tokens": bucket, "cost": bucket, key: key})


def refuse(request: httpx.Request) -> httpx.Response:
    """A gateway that quotes the key in its error."""
    words = f"Incorrect API key: {request.headers['authorization']}"
    return httpx.Response(401, json={"error": {"message": words, "code": words}}, headers={"x-key": words})


@pytest.fixture(name="echoing", params=[echo, refuse])
def _echoing(router: respx.Router, request: pytest.FixtureRequest) -> respx.Router:
    for name in ("by-env", "by-file", "by-config"):
        router.get(f"https://{name}.example/quota").mock(side_effect=request.param)
    return router


@pytest.mark.parametrize(
    "command",
    [
        ("check",),
        ("check", "--online"),
        ("poll",),
        ("poll", "--format", "json"),
        ("poll", "--format", "openmetrics"),
        ("status",),
        ("status", "--format", "json"),
        ("schema",),
    ],
    ids=" ".join,
)
def test_no_command_prints_a_key(
    run: RunCli,
    echoing: respx.Router,
    monkeypatch: pytest.MonkeyPatch,
    canary: str,
    command: tuple[str, ...],
) -> None:
    """A key is in no output, from whichever source it comes and however the gateway repeats it."""
    monkeypatch.setenv("BY_ENV_API_KEY", canary)
    Path("key").write_text(f"{canary}\n", encoding="utf-8")
    write_config(
        "{provider_id: by-env, base_url: https://by-env.example}",
        "{provider_id: by-file, base_url: https://by-file.example, api_key_file: key}",
        f"{{provider_id: by-config, base_url: https://by-config.example, api_key: {canary}}}",
    )
    told: list[dict[str, Any]] = json.loads(run("poll", "--format", "json").stdout)
    monkeypatch.setattr(oneshot, "fetch_status", lambda _url: (told, 1_767_225_600.0))

    result = run(*command)
    assert result.output
    assert canary not in result.output
    assert canary.removeprefix("sk-") not in result.output
    assert {call.request.headers["authorization"] for call in echoing.calls} == {f"Bearer {canary}"}


def test_no_problem_quotes_a_key(run: RunCli, canary: str) -> None:
    """A config whose mistakes have keys nearby is refused without showing one."""
    write_config(
        f"{{provider_id: one, base_url: 'https://user:{canary}@one.example'}}",
        f"{{provider_id: two, base_url: 'https://two.example/?key={canary}'}}",
        f"{{provider_id: three, api_key: [{canary}]}}",
        f"{{provider_id: four, api_key_env: {canary}}}",
        f"{{provider_id: five, api_kee: {canary}}}",
        f"{{provider_id: six, api_key: {canary}, api_key_file: key}}",
        f"{{provider_id: seven, proxy_url: 'ftp://user:{canary}@seven.example'}}",
    )
    result = run("check")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 7
    assert canary not in result.output
