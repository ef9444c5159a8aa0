"""The command line."""

from __future__ import annotations

import gc
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from quota_exporter import __version__, logs, oneshot
from quota_exporter.app import ServeOptions, run
from quota_exporter.command import fail, refuse, run_async, sources_of
from quota_exporter.demo import run_demo
from quota_exporter.exporter import ConfigError, Generation, Sources
from quota_exporter.flags import ServeByDefault, config_file_flag, serve_flags
from quota_exporter.mapping_commands import contract, explain, guess, presets
from quota_exporter.schema import config_schema
from quota_exporter.terminal import open_console, print_oldest_age, print_reports
from quota_exporter.web.routes import WebOptions
from quota_exporter.web.server import ListenError, open_sockets

_T = TypeVar("_T")


@click.group(
    cls=ServeByDefault,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Without a command `serve` runs; `quota-exporter serve --help` tells its flags.",
)
@click.version_option(__version__, prog_name="quota-exporter")
def main() -> None:
    """Prometheus exporter for the token and money quotas of LLM gateways."""


@main.command(epilog="A DURATION is a number with its unit, such as 500ms, 10s or 1m30s.")
@serve_flags
def serve(
    *,
    config_file: Path | None,
    listen_addresses: tuple[str, ...],
    telemetry_path: str,
    enable_lifecycle: bool,
    shutdown_timeout: float,
    timeout_offset: float,
    auto_reload: bool,
    auto_reload_interval: float,
    log_level: str,
    log_format: logs.LogFormat,
) -> None:
    """Run the exporter (the default command)."""
    logs.set_up(log_level, log_format)
    sources = sources_of(config_file)
    options = ServeOptions(
        web=WebOptions(telemetry_path, enable_lifecycle, timeout_offset),
        shutdown_timeout=shutdown_timeout,
        auto_reload_interval=auto_reload_interval if auto_reload else None,
    )
    with _listening(listen_addresses) as sockets:
        run_async(lambda: run(sources, sockets, options))
    gc.freeze()  # else the interpreter looks through all its objects once more before it ends: a tenth of the drain


@main.command(short_help="Check config, API keys and mappings.")
@config_file_flag
@click.option("--online", is_flag=True, help="Also poll each gateway once.")
def check(*, config_file: Path | None, online: bool) -> None:
    """Check config, API keys and mappings; exit status 1 when anything is wrong."""
    console, sources = open_console(), sources_of(config_file)
    try:
        well = oneshot.check(sources, console)
    except ConfigError as error:
        refuse(error)
    if online:
        well = _poll_and_print(sources, (), console) and well
    sys.exit(0 if well else 1)


@main.command(short_help="Poll gateways once, now.")
@config_file_flag
@click.argument("provider_ids", metavar="[PROVIDER_ID]...", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "openmetrics"]),
    default="table",
    show_default=True,
    help="How to print the readings.",
)
def poll(*, config_file: Path | None, provider_ids: tuple[str, ...], form: str) -> None:
    """Poll gateways once, now; exit status 1 when one cannot be read."""
    sources = sources_of(config_file)
    if form == "table":
        sys.exit(0 if _poll_and_print(sources, provider_ids, open_console()) else 1)
    well, output = _poll(sources, provider_ids, oneshot.openmetrics_of if form == "openmetrics" else oneshot.reports_of)
    click.echo(output if isinstance(output, str) else json.dumps(output, indent=2), nl=form == "json")
    sys.exit(0 if well else 1)


@main.command()
@click.option("--url", default="http://localhost:9787", show_default=True, help="Address of the running exporter.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)
def status(*, url: str, form: str) -> None:
    """Show what a running exporter knows of its gateways."""
    try:
        reports, now = oneshot.fetch_status(url)
    except oneshot.NoExporterError as error:
        fail(str(error))
    if form == "json":
        click.echo(json.dumps(reports, indent=2))
        return
    console = open_console()
    print_reports(console, reports, now=now)
    print_oldest_age(console, reports)


for command in (explain, guess, presets, contract):
    main.add_command(command)


@main.command()
def schema() -> None:
    """Print the JSON Schema of the config file, for editors."""
    click.echo(json.dumps(config_schema(), indent=2))


@main.command(short_help="Run the exporter on the bundled fake gateways.")
@click.option(
    "--web.listen-address",
    "listen_address",
    default="127.0.0.1:9787",
    show_default=True,
    metavar="HOST:PORT",
    help="Address of the exporter; port 0 takes a free one.",
)
def demo(*, listen_address: str) -> None:
    """Run the exporter on the bundled fake gateways; needs no config, account or network."""
    logs.set_up("warning", "logfmt")
    with _listening([listen_address]) as sockets:
        run_async(lambda: run_demo(sockets, click.echo))


def _poll(
    sources: Sources, provider_ids: Sequence[str], show: Callable[[Generation, Sequence[str]], _T]
) -> tuple[bool, _T]:
    logs.set_up("error", "logfmt")  # what a poll warns of is in its result
    try:
        return run_async(lambda: oneshot.poll(sources, provider_ids, show))
    except oneshot.UnknownGatewayError as error:
        fail(str(error))


def _poll_and_print(sources: Sources, provider_ids: Sequence[str], console: Console) -> bool:
    well, reports = _poll(sources, provider_ids, oneshot.reports_of)
    print_reports(console, reports, now=time.time())
    return well


@contextmanager
def _listening(addresses: Sequence[str]) -> Iterator[list[socket.socket]]:
    try:
        sockets = open_sockets(addresses)
    except ListenError as error:
        fail(str(error))
    try:
        yield sockets
    finally:
        for opened in sockets:
            opened.close()
