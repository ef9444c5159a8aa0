"""The commands that are about mappings, run in this process with gateways behind respx."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from click.testing import CliRunner, Result

from quota_exporter import cli, config as config_module, contract_check, exporter as exporter_module, frugal
from quota_exporter.contract import contract_schema
from quota_exporter.preset_page import all_presets, presets_page
from quota_exporter.presets import load_preset, preset_names, preset_text
from quota_exporter.transport import Route, Transport

RunCli = Callable[..., Result]
QUOTA = {"tokens": {"limit": 5, "used": 1, "remaining": 4}}
BASE = "https://campus.example/v1"


@pytest.fixture(name="router")
def _router(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> respx.Router:
    """Gateways for every command; each test runs in an empty directory of a machine without a config file."""
    router = respx.Router(assert_all_called=False)

    def open_transport(_route: Route) -> Transport:
        return httpx.MockTransport(router.async_handler)

    monkeypatch.setattr(exporter_module, "open_transport", open_transport)
    monkeypatch.setattr(frugal, "open_transport", open_transport)
    real = contract_check.check_contract

    async def check_contract(*arguments: Any, **options: Any) -> Any:
        return await real(*arguments, **options, connect=open_transport)

    monkeypatch.setattr("quota_exporter.mapping_commands.check_contract", check_contract)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config_module, "DEFAULT_PATHS", (Path("quota-exporter.yml"),))
    return router


@pytest.fixture(name="run")
def _run(router: respx.Router, monkeypatch: pytest.MonkeyPatch, canary: str) -> RunCli:
    """Runs one command line with the canary in $CAMPUS_API_KEY: no traceback, and the canary is not told."""
    monkeypatch.setenv("CAMPUS_API_KEY", canary)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(cli.main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert "Traceback" not in result.output
        assert canary[:10] not in result.output
        return result

    return run


def write_config(*gateways: str, more: str = "") -> None:
    lines = "".join(f"  - {gateway}\n" for gateway in gateways)
    Path("quota-exporter.yml").write_text(f"opencode: off\n{more}gateways:\n{lines}", encoding="utf-8")


class TestExplain:
    """`explain`, from the command line; what it prints is tested with the report."""

    def test_a_gateway_that_answers(self, run: RunCli, router: respx.Router) -> None:
        """A quota gives status 0 after one poll."""
        write_config(f"{{provider_id: campus, base_url: '{BASE}'}}")
        router.get(f"{BASE}/quota").respond(json=QUOTA)
        result = run("explain", "campus")
        assert (result.exit_code, result.stderr) == (0, "")
        assert len(router.calls) == 1

    def test_a_gateway_that_does_not(self, run: RunCli, router: respx.Router) -> None:
        """Without a quota the status is 1, and all is still shown."""
        write_config(f"{{provider_id: campus, base_url: '{BASE}'}}")
        router.get(f"{BASE}/quota").respond(401, json={"error": {"message": "bad key"}})
        result = run("explain", "campus")
        assert (result.exit_code, result.stderr) == (1, "")
        assert "unauthorized: HTTP 401: bad key" in result.stdout

    def test_an_unknown_id(self, run: RunCli) -> None:
        """An id that is not configured is told with the nearest one."""
        write_config(f"{{provider_id: campus, base_url: '{BASE}'}}")
        result = run("explain", "campsu")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "no gateway of the id 'campsu' is configured; did you mean campus?\n"

    def test_a_key_of_a_list(self, run: RunCli, router: respx.Router) -> None:
        """A key that another gateway lists has no poll of its own: the gateway is named."""
        write_config(f"{{provider_id: campus, base_url: '{BASE}', mapping: litellm-keys}}")
        result = run("explain", "campus:some-key")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (
            "this is a key that campus lists, which is not asked for by itself; use `quota-exporter explain campus`\n"
        )
        assert not router.calls

    def test_a_key_of_what_is_no_list(self, run: RunCli) -> None:
        """A gateway that lists no keys is said to be none."""
        write_config(f"{{provider_id: campus, base_url: '{BASE}'}}")
        result = run("explain", "campus:some-key")
        assert result.exit_code == 1
        assert "campus lists no keys" in result.stderr

    def test_a_broken_config(self, run: RunCli) -> None:
        """A config that cannot be used is told as by every command."""
        write_config("{provider_id: campus, base_urll: x}")
        result = run("explain", "campus")
        assert result.exit_code == 1
        assert result.stderr.startswith("quota-exporter.yml:3: gateways[0].base_urll: unknown key")

    def test_a_reply_from_a_file(self, run: RunCli, router: respx.Router) -> None:
        """With --reply nobody is asked, and the status tells whether the reply holds a quota."""
        write_config(f"{{provider_id: campus, base_url: '{BASE}'}}")
        Path("good.json").write_text(json.dumps(QUOTA), encoding="utf-8")
        Path("bad.json").write_text("{}", encoding="utf-8")
        assert run("explain", "campus", "--reply", "good.json").exit_code == 0
        assert run("explain", "campus", "--reply", "bad.json").exit_code == 1
        assert not router.calls

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "reply.json: the file does not exist"),
            ("<html>", "reply.json: the reply is not JSON but an HTML page"),
            ("", "reply.json: the reply is empty"),
            ('{"a": NaN}', "reply.json: the reply holds NaN"),
            ("[" * 100 + "]" * 100, "reply.json: the reply is nested deeper"),
        ],
    )
    def test_a_file_that_is_no_reply(self, run: RunCli, content: str | None, words: str) -> None:
        """A file that cannot be read, or holds no JSON, is told in words."""
        write_config(f"{{provider_id: campus, base_url: '{BASE}'}}")
        if content is not None:
            Path("reply.json").write_text(content, encoding="utf-8")
        result = run("explain", "campus", "--reply", "reply.json")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(words)

    def test_an_own_mapping(self, run: RunCli, router: respx.Router) -> None:
        """A mapping of the config is explained as a preset is."""
        mapping = "mappings: {mine: {path: /limits, buckets: [{kind: cost, currency: USD, limit: limit_usd}]}}\n"
        write_config(f"{{provider_id: campus, base_url: '{BASE}', mapping: mine}}", more=mapping)
        router.get(f"{BASE}/limits").respond(json={"limit_usd": 5})
        result = run("explain", "campus")
        assert result.exit_code == 0
        assert "limit_usd" in result.stdout


class TestGuess:
    """`guess`, from the command line; what it tries is tested with the module."""

    def test_the_entry_is_at_the_end(self, run: RunCli, router: respx.Router) -> None:
        """All requests are listed, and the entry names the key as the flag did."""
        router.get(f"{BASE}/quota").respond(json=QUOTA)
        result = run("guess", BASE, "--api-key-env", "CAMPUS_API_KEY")
        assert (result.exit_code, result.stderr) == (0, "")
        assert f"  GET {BASE}/quota: HTTP 200\n" in result.stdout
        entry = f"gateways:\n  - provider_id: campus-example\n    base_url: {BASE}\n    api_key_env: CAMPUS_API_KEY\n"
        assert result.stdout.endswith(entry)

    def test_a_key_from_a_file(self, run: RunCli, router: respx.Router, canary: str) -> None:
        """The key is taken from a file as well, with its whole path in the entry."""
        Path("key").write_text(f"{canary}\n", encoding="utf-8")
        router.get(f"{BASE}/quota").respond(json=QUOTA)
        result = run("guess", BASE, "--api-key-file", "key")
        assert router.calls.last.request.headers["authorization"] == f"Bearer {canary}"
        assert f"    api_key_file: {json.dumps(str(Path('key').absolute()))}\n" in result.stdout

    def test_losses_are_told(self, run: RunCli, router: respx.Router) -> None:
        """Where values of the reply are not used, that is said at the preset."""
        router.get(f"{BASE}/quota").respond(json={"tokens": {"limit": 5, "used": "?", "remaining": 1}})
        router.route().respond(404)
        result = run("guess", BASE, "--api-key-env", "CAMPUS_API_KEY")
        assert result.exit_code == 0
        assert "neutral fits, with 1 value not used. The config entry:" in result.stdout

    def test_nothing_fits(self, run: RunCli, router: respx.Router) -> None:
        """Where no preset fits, status 1 and what can be done."""
        router.route().respond(json={"a": 1})
        result = run("guess", BASE, "--api-key-env", "CAMPUS_API_KEY")
        assert result.exit_code == 1
        assert "No preset fits. An own mapping takes about ten lines" in result.stderr
        assert "a reply, but not theirs: neutral, litellm" in result.stdout
        assert "not tried, for want of requests: one-api" in result.stdout

    def test_the_key_is_refused(self, run: RunCli, router: respx.Router, canary: str) -> None:
        """A gateway that refuses the key says so, and what it says of the key is not shown."""
        router.route().respond(401, json={"error": {"message": f"unknown key {canary}"}})
        result = run("guess", BASE, "--api-key-env", "CAMPUS_API_KEY")
        assert result.exit_code == 1
        assert "neutral: answers, but refuses this key (unauthorized, HTTP 401)" in result.stdout
        assert "the key is refused" in result.stderr

    def test_nobody_answers(self, run: RunCli, router: respx.Router) -> None:
        """Where nobody is there, that is what is said."""
        router.route().mock(side_effect=httpx.ConnectError)
        result = run("guess", BASE, "--api-key-env", "CAMPUS_API_KEY")
        assert result.exit_code == 1
        assert f"GET {BASE}/quota: no reply" in result.stdout
        assert "No reply came. Check the URL" in result.stderr

    def test_a_url_that_cannot_be_used(self, run: RunCli, router: respx.Router, canary: str) -> None:
        """A URL with a key in it is refused and not quoted."""
        result = run("guess", f"https://user:{canary}@campus.example", "--api-key-env", "CAMPUS_API_KEY")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("the URL must not hold a user name or password")
        assert not router.calls


@pytest.mark.parametrize(
    "command", [("guess", BASE), ("contract", "check", f"{BASE}/quota")], ids=["guess", "contract"]
)
class TestKeyFlags:
    """Where the commands that take a URL get the key from."""

    @pytest.mark.parametrize("flags", [(), ("--api-key-env", "CAMPUS_API_KEY", "--api-key-file", "key")])
    def test_one_place(
        self, run: RunCli, router: respx.Router, command: tuple[str, ...], flags: tuple[str, ...]
    ) -> None:
        """No place for the key, or two of them, is refused before anything is sent."""
        result = run(*command, *flags)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "say where the API key is, with --api-key-file or with --api-key-env\n"
        assert not router.calls

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "does not exist"),
            (" \n", "blank"),
            ("two words", "holds a space or another character that no API key has; give the key alone"),
        ],
    )
    def test_a_file_without_a_key(
        self, run: RunCli, router: respx.Router, command: tuple[str, ...], content: str | None, words: str
    ) -> None:
        """A file that holds no key is told by the flag, whatever it holds."""
        if content is not None:
            Path("key").write_text(content, encoding="utf-8")
        result = run(*command, "--api-key-file", "key")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"--api-key-file: no API key in the file: {words}\n"
        assert not router.calls

    @pytest.mark.parametrize("flag", ["--api-key-file", "--api-key-env"])
    def test_the_key_itself(
        self, run: RunCli, router: respx.Router, canary: str, command: tuple[str, ...], flag: str
    ) -> None:
        """A key given where its place belongs is not quoted."""
        result = run(*command, flag, canary)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"{flag}: no API key in the ")
        assert not router.calls


class TestPresets:
    """`presets`, the library."""

    def test_the_list(self, run: RunCli) -> None:
        """Each preset is a row with what it is for and how well it is known, within the width of a terminal."""
        header, *rows = [line.rstrip() for line in run("presets").stdout.splitlines()]
        assert header.split() == ["PRESET", "GATEWAY", "CONFIDENCE"]
        assert [row.split()[0] for row in rows] == list(preset_names())
        assert {row.split()[-1] for row in rows} <= {"high", "medium", "low"}
        assert max(map(len, rows)) <= 80

    def test_the_page(self, run: RunCli) -> None:
        """--format markdown is the page of the documentation."""
        assert run("presets", "--format", "markdown").stdout == presets_page(all_presets())

    @pytest.mark.parametrize("name", preset_names())
    def test_one(self, run: RunCli, name: str) -> None:
        """A preset is printed exactly as it is written."""
        result = run("presets", name)
        assert (result.exit_code, result.stdout, result.stderr) == (0, preset_text(name), "")

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("litelm", "unknown preset 'litelm'; did you mean litellm?\n"),
            ("nothing-alike", "unknown preset 'nothing-alike'; `quota-exporter presets` lists all\n"),
            ("../neutral", "unknown preset '../neutral'; did you mean neutral?\n"),
        ],
    )
    def test_an_unknown_one(self, run: RunCli, name: str, words: str) -> None:
        """A name that no preset has is told with the nearest one."""
        result = run("presets", name)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", words)

    def test_a_key_by_mistake(self, run: RunCli, canary: str) -> None:
        """What may be a key is not quoted."""
        assert run("presets", canary).stderr == "unknown preset given here; `quota-exporter presets` lists all\n"

    @pytest.mark.parametrize("name", preset_names())
    @pytest.mark.parametrize("own", ["mine", None])
    def test_it_can_be_pasted(self, run: RunCli, name: str, own: str | None) -> None:
        """What is printed is a mapping of one's own: without its name, or below the same one."""
        lines = run("presets", name).stdout.splitlines()
        if own is not None:
            lines = [line for line in lines if not line.startswith("name:")]
        mapping = own or name
        pasted = "\n".join(f"    {line}" for line in lines)
        first = load_preset(name).steps[0]
        path = ", quota_path: /some/path" if first.path is None and first.url is None else ""
        write_config(
            f"{{provider_id: campus, base_url: '{BASE}', mapping: {mapping}{path}}}",
            more=f"mappings:\n  {mapping}:\n{pasted}\n",
        )
        result = run("check")
        assert (result.exit_code, result.stderr) == (0, "")
        assert f"mapping {mapping}, " in result.stdout


class TestContract:
    """`contract`, for those who publish the neutral contract."""

    def test_the_schema(self, run: RunCli) -> None:
        """The schema that is printed is the contract's."""
        assert json.loads(run("contract", "schema").stdout) == contract_schema()

    def test_what_conforms(self, run: RunCli, router: respx.Router, canary: str) -> None:
        """An endpoint that keeps the contract gives status 0; the key is sent once, and then none."""

        def quota(request: httpx.Request) -> httpx.Response:
            if "authorization" not in request.headers:
                return httpx.Response(401, json={"error": {"message": "no key"}})
            return httpx.Response(200, json=QUOTA)

        router.get(f"{BASE}/quota").mock(side_effect=quota)
        result = run("contract", "check", f"{BASE}/quota", "--api-key-env", "CAMPUS_API_KEY")
        assert (result.exit_code, result.stderr) == (0, "")
        assert "Conforms: 0 violations" in result.stdout
        assert [call.request.headers.get("authorization") for call in router.calls] == [f"Bearer {canary}", None]

    @pytest.mark.parametrize("reply", [{"json": {"a": 1}}, {"html": "<html>"}, {"status_code": 404}])
    def test_what_does_not_conform(self, run: RunCli, router: respx.Router, reply: dict[str, Any]) -> None:
        """An endpoint that does not keep the contract gives status 1, and the sum at the end."""
        router.get(f"{BASE}/quota").respond(**reply)
        result = run("contract", "check", f"{BASE}/quota", "--api-key-env", "CAMPUS_API_KEY")
        assert (result.exit_code, result.stderr) == (1, "")
        assert result.stdout.splitlines()[-1].startswith("Does not conform: ")

    def test_nobody_answers(self, run: RunCli, router: respx.Router) -> None:
        """Where nobody is there, that is a violation in words."""
        router.route().mock(side_effect=httpx.ConnectError)
        result = run("contract", "check", f"{BASE}/quota", "--api-key-env", "CAMPUS_API_KEY")
        assert result.exit_code == 1
        assert "reachable: " in result.stdout

    def test_a_url_that_cannot_be_used(self, run: RunCli, router: respx.Router, canary: str) -> None:
        """A URL that would give a key away is refused, and nothing is sent."""
        result = run("contract", "check", f"https://u:{canary}@campus.example", "--api-key-env", "CAMPUS_API_KEY")
        assert result.exit_code == 1
        assert not router.calls
