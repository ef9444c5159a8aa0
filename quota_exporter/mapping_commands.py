"""The commands of the command line that are about mappings."""

from __future__ import annotations

import difflib
import json
import os
import sys
import time
from pathlib import Path

import click
from pydantic import SecretStr
from rich.table import Table
from rich.text import Text

from quota_exporter import logs
from quota_exporter.children import split_id
from quota_exporter.command import fail, run_async, sources_of
from quota_exporter.contract import contract_schema
from quota_exporter.contract_check import check_contract
from quota_exporter.contract_report import print_findings
from quota_exporter.credentials import ExplicitKey, resolve
from quota_exporter.explain import ExplainError, Explanation, explain_file, explain_poll
from quota_exporter.explain_report import print_explanation
from quota_exporter.exporter import Sources, load, start
from quota_exporter.files import FileReader
from quota_exporter.flags import Command, config_file_flag
from quota_exporter.guess import GuessError, entry_of, guess as try_presets
from quota_exporter.guess_report import loss, print_guess, why_none
from quota_exporter.mapping_choice import quoted
from quota_exporter.oneshot import UnknownGatewayError
from quota_exporter.preset_page import all_presets, presets_page, presets_table
from quota_exporter.presets import preset_names, preset_text
from quota_exporter.quota import KeySource
from quota_exporter.settings import Tls
from quota_exporter.terminal import open_console
from quota_exporter.tls import ssl_context
from quota_exporter.unknown import unknown_id


def _key_flags(command: Command) -> Command:
    flags = (
        click.option(
            "--api-key-file",
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="File that holds the API key.",
        ),
        click.option("--api-key-env", metavar="NAME", help="Environment variable that holds the API key."),
    )
    for flag in flags:
        command = flag(command)
    return command


@click.command(short_help="Show what a mapping makes of a gateway's reply.")
@config_file_flag
@click.argument("provider_id")
@click.option("--reply", type=click.Path(path_type=Path), metavar="FILE", help="Map this reply instead of polling.")
@click.option("--values", is_flag=True, help="Show the reply's values, not only their types.")
def explain(*, config_file: Path | None, provider_id: str, reply: Path | None, values: bool) -> None:
    """Poll one gateway and show the request, the reply, what each expression gave, the buckets and the series."""
    logs.set_up("error", "logfmt")  # what a poll warns of is in its result
    sources = sources_of(config_file)
    try:
        explanation = run_async(lambda: _explanation(sources, provider_id, reply))
    except (ExplainError, UnknownGatewayError) as error:
        fail(str(error))
    print_explanation(open_console(), explanation, values=values)
    sys.exit(0 if explanation.reading.quota is not None else 1)


async def _explanation(sources: Sources, provider_id: str, reply: Path | None) -> Explanation:
    generation = start(load(sources))
    try:
        parent, alias = split_id(provider_id)
        if alias is not None and parent in generation.plans and generation.plans[parent].mapping.children is not None:
            raise ExplainError(
                f"this is a key that {parent} lists, which is not asked for by itself;"
                f" use `quota-exporter explain {parent}`"
            )
        if provider_id not in generation.plans:
            raise UnknownGatewayError(unknown_id(generation, provider_id, typed=True))
        if reply is not None:
            return explain_file(generation, provider_id, reply, sources.files)
        return await explain_poll(generation, provider_id)
    finally:
        await generation.close()


@click.command(short_help="Find out which preset fits an address.")
@click.argument("url")
@_key_flags
def guess(*, url: str, api_key_file: Path | None, api_key_env: str | None) -> None:
    """Try the presets that may fit the gateway at URL and write its config entry.

    URL is a base URL, such as https://llm.example.edu/v1, or the address of the quota itself. Only reading requests
    are made, at most six, and all are listed. No preset waits longer than 5 seconds, so it is over within half a
    minute.
    """
    logs.set_up("error", "logfmt")
    key, key_line = _key(api_key_file, api_key_env)
    try:
        found = run_async(lambda: try_presets(url, key, FileReader()))
    except GuessError as error:
        fail(str(error))
    console = open_console()
    print_guess(console, found)
    best = found.best
    if best is None:
        fail(f"\n{why_none(found)}")
    console.print(Text(f"\n{best.mapping.name} fits{loss(best)}. The config entry:\n", "bold"))
    click.echo(entry_of(best, key_line), nl=False)


@click.command(short_help="List the presets, or print one.")
@click.argument("name", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown"]),
    default="table",
    show_default=True,
    help="How to print the list.",
)
def presets(*, name: str | None, form: str) -> None:
    """List the mappings that ship with the exporter, or print the one that NAME names."""
    if name is not None:
        if name not in preset_names():
            nearest = difflib.get_close_matches(name, preset_names(), n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else "`quota-exporter presets` lists all"
            fail(f"unknown preset{quoted(name)}; {hint}")
        click.echo(preset_text(name), nl=False)
    elif form == "markdown":
        click.echo(presets_page(all_presets()), nl=False)
    else:
        table = Table("PRESET", "GATEWAY", "CONFIDENCE", box=None, pad_edge=False, header_style="bold")
        for row in presets_table(all_presets()):
            table.add_row(*row)
        open_console().print(table)


@click.group(short_help="Check an endpoint of the neutral contract.")
def contract() -> None:
    """Help for those who publish the neutral quota contract."""


@contract.command("check", short_help="Check the quota endpoint at URL, point by point.")
@click.argument("url")
@_key_flags
def contract_check(*, url: str, api_key_file: Path | None, api_key_env: str | None) -> None:
    """Call the quota endpoint at URL and say point by point what conforms and what does not.

    Two requests are made, one with the key and one without. Exit status 1 when something does not conform.
    """
    key, _ = _key(api_key_file, api_key_env)
    context, now = ssl_context(Tls()), time.time()
    findings = run_async(lambda: check_contract(url, key.get_secret_value(), ssl_context=context, now=now))
    sys.exit(0 if print_findings(open_console(), findings) else 1)


@contract.command("schema")
def contract_schema_command() -> None:
    """Print the JSON Schema of the contract's reply."""
    click.echo(json.dumps(contract_schema(), indent=2))


def _key(path: Path | None, variable: str | None) -> tuple[SecretStr, str]:
    """The API key that the flags name, and the line of a config entry that names it alike."""
    if path is not None and variable is None:
        flag, line = "--api-key-file", f"api_key_file: {json.dumps(str(path.absolute()))}"
        source = ExplicitKey(KeySource.FILE, SecretStr(str(path.absolute())))
    elif path is None and variable is not None:
        flag, line = "--api-key-env", f"api_key_env: {variable}"
        source = ExplicitKey(KeySource.ENV, SecretStr(variable))
    else:
        fail("say where the API key is, with --api-key-file or with --api-key-env")
    credential = resolve("", source, environ=os.environ, files=FileReader(), opencode=None)
    if credential.key is None:
        # what the flag names is not quoted: it may be the key itself
        what = "file" if source.source is KeySource.FILE else "variable"
        fail(f"{flag}: no API key in the {what}: {credential.checked[0].outcome}")
    return credential.key, line
