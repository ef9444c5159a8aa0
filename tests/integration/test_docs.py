"""What README and docs say is true: every config snippet loads, every command runs, every table is complete."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from quota_exporter.cli import main
from quota_exporter.config import read_config
from quota_exporter.demo import demo_config
from quota_exporter.demo_gateways import fake_gateways
from quota_exporter.files import FileReader
from quota_exporter.jsonc import parse_jsonc
from quota_exporter.mapping import map_reply
from quota_exporter.metrics import FAMILIES
from quota_exporter.opencode import OpenCode, OpenCodePaths
from quota_exporter.presets import load_preset, preset_names
from quota_exporter.quota import Quota
from quota_exporter.roster import build_roster
from quota_exporter.schema import config_schema
from quota_exporter.settings import GatewaySettings, Options
from tests.integration.programs import exporter_command, find_program

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Code blocks of a language, with where they stand."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"(?ms)^```{language}\n(.*?)^```", text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{page.name}:{line}", match[1]


def params(language: str) -> list[object]:
    return [pytest.param(text, id=where) for where, text in blocks(language)]


def table_names(page: Path, heading: str) -> set[str]:
    """The names in backticks of the first column of the table below a heading."""
    section = page.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize("text", params("yaml"))
def test_yaml_snippets_load(text: str, tmp_path: Path) -> None:
    """A YAML snippet is a config without problems, or a Prometheus config that promtool accepts."""
    path = tmp_path / "snippet.yml"
    path.write_text(text, encoding="utf-8")
    if "scrape_configs" in yaml.safe_load(text):
        subprocess.run([find_program("promtool"), "check", "config", path], check=True)
        return
    config = read_config(path, FileReader())
    roster = build_roster(config, None, environ={}, files=FileReader())
    assert roster.errors == ()


@pytest.mark.parametrize("text", params("json"))
def test_json_snippets_are_read(text: str, tmp_path: Path) -> None:
    """A JSON snippet is a reply that `neutral` maps without loss, or an OpenCode config that lists a gateway."""
    value = parse_jsonc(text, Path("snippet.json")).value
    if "experimental" in value:
        path = tmp_path / "opencode.json"
        path.write_text(text, encoding="utf-8")
        opencode = OpenCode(OpenCodePaths((path,), ()), FileReader(), {})
        config = read_config(None, FileReader())
        roster = build_roster(config, opencode, environ={}, files=FileReader())
        assert [plan.url for plan in roster.plans] == ["https://llm.example.edu/v1/quota"]
        assert opencode.problems() == ()
        return
    quota = map_reply(
        load_preset("neutral"), json.loads(text), http_status=200, secrets=("k" * 20,), now=0.0, max_buckets=20
    )
    assert isinstance(quota, Quota)
    assert [bucket.remaining for bucket in quota.buckets] == [4750000, 4.58]
    assert quota.dropped == ()


def commands() -> list[object]:
    return [
        pytest.param(line.partition("#")[0].strip(), id=f"{where}: {line.partition('#')[0].strip()}")
        for where, text in blocks("sh")
        for line in text.splitlines()
        if line.partition("#")[0].strip() != "quota-exporter"  # serving: the rest of the suite does nothing else
    ]


@pytest.mark.parametrize("command", commands())
def test_commands_run(command: str, environ: dict[str, str], tmp_path: Path) -> None:
    """Every documented command is a make target that exists, or runs in a folder with a config."""
    if command.startswith("make "):
        subprocess.run([find_program("make"), "--dry-run", "--directory", ROOT, *command.split()[1:]], check=True)
        return
    program, *arguments = shlex.split(command)
    assert program == "quota-exporter"
    if ">" in arguments:
        arguments = arguments[: arguments.index(">")]
    status, _ = run_in_demo(arguments, environ, tmp_path)
    assert status == 0


def run_in_demo(arguments: list[str], environ: dict[str, str], folder: Path) -> tuple[int, str]:
    """Exit status and output of a command, run where the demo's config and a saved reply are."""

    async def run() -> tuple[int, str]:
        async with fake_gateways() as base_urls:
            (folder / "quota-exporter.yml").write_text(demo_config(base_urls), encoding="utf-8")
            (folder / "reply.json").write_text(next(blocks("json reply"))[1], encoding="utf-8")
            process = await asyncio.create_subprocess_exec(
                *exporter_command(*arguments), cwd=folder, env=environ, stdout=subprocess.PIPE
            )
            output, _ = await process.communicate()
            assert process.returncode is not None
            return process.returncode, output.decode()

    return asyncio.run(run())


def test_explain_prints_what_is_shown_of_it(environ: dict[str, str], tmp_path: Path) -> None:
    """The excerpt of `explain` in docs/mappings.md is what the command prints for the reply that stands above it."""
    (where, excerpt), *_ = blocks("text explain")
    status, output = run_in_demo(["explain", "costhelm", "--reply", "reply.json", "--values"], environ, tmp_path)

    assert (where.partition(":")[0], status) == ("mappings.md", 0)
    lines = "\n".join(line.rstrip() for line in output.splitlines())
    assert excerpt in f"{lines}\n"


def test_readme_lists_every_metric() -> None:
    """The README's table of metrics holds every family of the one table, and no other."""
    names = {name for name in table_names(ROOT / "README.md", "Metrics") if name.startswith("llm_quota")}
    assert names == {family.name for family in FAMILIES}


def test_readme_lists_every_label() -> None:
    """The README's table gives each metric the labels that it has beside provider_id and key_source."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Metrics\n")[1]
    labels = {}
    for line in section.splitlines():
        if line.startswith("| `llm_quota"):
            cells = line.split("|")
            for name in re.findall(r"`([^`]+)`", cells[1]):
                labels[name] = set(re.findall(r"`([^`]+)`", cells[2]))
    assert labels == {family.name: set(family.labels) - {"provider_id", "key_source"} for family in FAMILIES}


def test_presets_page_lists_every_preset() -> None:
    """docs/presets.md has every preset in its table, and the README names only such that there are."""
    page = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^\| \[`([^`]+)`\]", page) == list(preset_names())
    named = table_names(ROOT / "README.md", "Watch your own gateways")
    assert {"neutral", "litellm", "openrouter"} <= named <= set(preset_names())


def test_readme_lists_every_command() -> None:
    """The README's table of commands holds every command of the command line, and no other."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Commands\n")[1].split("\n## ")[0]
    assert set(re.findall(r"(?m)^\| `([a-z]+)", section)) == set(main.commands)


def test_configuration_lists_every_key() -> None:
    """docs/configuration.md explains every key of the file and of a gateway."""
    page = ROOT / "docs" / "configuration.md"
    assert table_names(page, "The file") == {*Options.model_fields, "gateways"}
    assert table_names(page, "A gateway") == set(GatewaySettings.model_fields)


def test_links_lead_somewhere() -> None:
    """Every relative link of a page leads to a file of the project, and the README has some."""
    links = [
        (page, target)
        for page in {*PAGES, *ROOT.glob("*.md")}
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    ]
    assert {page.name for page, _ in links} >= {"README.md"}
    assert [f"{page.name}: {target}" for page, target in links if not (page.parent / target).exists()] == []


def test_the_schema_beside_the_example_is_current() -> None:
    """The schema file that the example config names is what `quota-exporter schema` prints."""
    committed = (ROOT / "deploy" / "examples" / "quota-exporter.schema.json").read_text(encoding="utf-8")
    assert json.loads(committed) == config_schema(), "run: make schema"


def test_promises_of_the_security_page_name_real_tests() -> None:
    """Each claim of SECURITY.md names a test file that exists."""
    named = re.findall(r"`(tests/[^`]+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
