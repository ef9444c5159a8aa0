"""docs/contract.md does what it says, and the check works on real servers."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from quota_exporter.contract import check_document, contract_schema
from quota_exporter.contract_check import check_contract
from quota_exporter.contract_report import print_findings
from quota_exporter.contract_values import Finding, Verdict
from quota_exporter.mapping import map_reply
from quota_exporter.presets import load_preset
from quota_exporter.quota import Quota
from quota_exporter.settings import Tls
from quota_exporter.tls import ssl_context
from tests.integration.fake_gateways import FakeGateways, Reply, Request, json_reply
from tests.integration.programs import eventually, run_exporter

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")
NOW = 1_795_000_000.0  # before the times of the examples
KEY = "change-me"


def snippets(fence: str) -> list[str]:
    return re.findall(rf"(?ms)^```{fence}\n(.*?)^```", PAGE)


def check(url: str, key: str) -> list[Finding]:
    return asyncio.run(check_contract(url, key, ssl_context=ssl_context(Tls()), now=time.time()))


def printed(findings: list[Finding]) -> str:
    page = io.StringIO()
    print_findings(Console(file=page, width=240, soft_wrap=True), findings)
    return page.getvalue()


def answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def example_server() -> Iterator[str]:
    """The server of the page as it stands there, but for a port that is free; the address of its quota."""
    (code,) = snippets("python")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert '"127.0.0.1", 8000' in code
    code = code.replace('"127.0.0.1", 8000', f'"127.0.0.1", {port}')
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(port), "the example server listens")
        yield f"http://127.0.0.1:{port}/quota"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("text", snippets("json contract"))
def test_examples_keep_the_contract(text: str) -> None:
    """Each example reply is valid, gets no violation and no warning, and is mapped without loss."""
    document = json.loads(text)
    Draft202012Validator(contract_schema()).validate(document)
    verdicts = {finding.verdict for finding in check_document(document, key=KEY, now=NOW)}
    assert verdicts == {Verdict.OK, Verdict.SKIPPED}
    quota = map_reply(load_preset("neutral"), document, http_status=200, secrets=(KEY,), now=NOW, max_buckets=20)
    assert isinstance(quota, Quota)
    assert quota.dropped == ()
    listed = len(document.get("buckets", [])) + sum(member in document for member in ("tokens", "cost"))
    assert len(quota.buckets) == listed


def test_there_is_an_example_of_each_version() -> None:
    """The page shows a reply of 1.0 and one of 1.1."""
    assert ["buckets" in json.loads(text) for text in snippets("json contract")] == [False, True]


def test_the_example_of_an_error_is_one() -> None:
    """The error of the page is valid by the schema's part for errors."""
    schema = contract_schema()
    (text,) = snippets("json contract-error")
    Draft202012Validator({"$defs": schema["$defs"], "$ref": "#/$defs/error"}).validate(json.loads(text))


def test_the_page_lists_every_member_of_the_schema() -> None:
    """The table of fields has the members of the schema, and no others."""
    schema = contract_schema()
    members = {name for part in ("amounts", "bucket") for name in schema["$defs"][part]["properties"]}
    members |= set(schema["properties"]) - {"error"}
    section = PAGE.split("\n## Fields\n")[1].split("\n## ")[0]
    assert {match[1] for match in re.finditer(r"(?m)^\| `(\w+)`", section)} == members


def test_the_example_server_conforms() -> None:
    """The server that the page offers passes the check without a warning."""
    with example_server() as url:
        findings = check(url, KEY)
    assert [finding for finding in findings if finding.verdict in (Verdict.WARNING, Verdict.VIOLATION)] == []


def test_the_example_command_checks_the_example_server(environ: dict[str, str], tmp_path: Path) -> None:
    """The command of the page, with its key, finds that the server of the page conforms."""
    (line,) = [line.removeprefix("$ ") for line in snippets("console")[0].splitlines()]
    variable, program, *arguments = shlex.split(line)
    name, _, key = variable.partition("=")
    assert program == "quota-exporter"
    with example_server() as url:
        words = [url if word == "http://localhost:8000/quota" else word for word in arguments]
        result = run_exporter(*words, environ={**environ, name: key}, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Conforms: 0 violations, 0 warnings." in result.stdout


def test_the_example_server_refuses_unknown_keys(canary: str) -> None:
    """A wrong key gets 401 with an error that conforms, and is not in what is printed."""
    with example_server() as url:
        findings = check(url, canary)
    assert [finding.point for finding in findings if finding.verdict is Verdict.VIOLATION] == ["status"]
    assert canary[:10] not in printed(findings)


def test_a_server_that_echoes_and_lets_anyone_in_is_found_out(gateways: FakeGateways, canary: str) -> None:
    """Against a real server the key is sent once, in its header alone, and is in nothing that is printed."""

    def echo(request: Request) -> Reply:
        return json_reply({"key": request.key or "nobody", "tokens": {"limit": 5, "used": 1, "owner": request.key}})

    gateways.answer("/quota", echo)
    findings = check(f"{gateways.url}/quota", canary)
    broken = {finding.point for finding in findings if finding.verdict is Verdict.VIOLATION}
    assert broken == {"key", "key not echoed", "without a key"}
    assert [request.key for request in gateways.requests] == [canary, ""]
    assert canary[:10] not in printed(findings)
    assert canary not in repr(findings)


def test_nobody_at_the_address_is_told(gateways: FakeGateways, canary: str) -> None:
    """Where nothing listens the check says so and ends."""
    gateways.stop()
    (finding,) = [finding for finding in check(f"{gateways.url}/quota", canary) if finding.point == "reachable"]
    assert finding.verdict is Verdict.VIOLATION
