"""The command line."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console

from quota_exporter import __version__, logs, oneshot
from quota_exporter.app import ServeOptions, run
from quota_exporter.config import DEFAULT_PATHS, find_config
from quota_exporter.demo import run_demo
from quota_exporter.exporter import ConfigError, Generation, NothingConfiguredError, Sources
from quota_exporter.files import FileReader
from quota_exporter.flags import ServeByDefault, config_file_flag, serve_flags
from quota_exporter.opencode import candidate_paths
from quota_exporter.resolver import LookupLoop
from quota_exporter.schema import config_schema
from quota_exporter.terminal import open_console, print_oldest_age, print_reports
from quota_exporter.web.routes import WebOptions
from quota_exporter.web.server import ListenError, open_sockets

_T = TypeVar("_T")
_NOTHING_CONFIGURED = """\
No gateway is configured: {where},
and none by OpenCode's global config. One of these helps:

  quota-exporter demo        three bundled gateways, no account needed
  quota-exporter schema      the JSON Schema of the config file

or write quota-exporter.yml and start again:

  gateways:
    - provider_id: campus                         # its API key is taken from $CAMPUS_API_KEY
      base_url: https://llm.example.edu/v1
"""


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
    sources = _sources(config_file)
    options = ServeOptions(
        web=WebOptions(telemetry_path, enable_lifecycle, timeout_offset),
        shutdown_timeout=shutdown_timeout,
        auto_reload_interval=auto_reload_interval if auto_reload else None,
    )
    with _listening(listen_addresses) as sockets:
        _run(lambda: run(sources, sockets, options))
    gc.freeze()  # else the interpreter looks through all its objects once more before it ends: a tenth of the drain


@main.command(short_help="Check config, API keys and mappings.")
@config_file_flag
@click.option("--online", is_flag=True, help="Also poll each gateway once.")
def check(*, config_file: Path | None, online: bool) -> None:
    """Check config, API keys and mappings; exit status 1 when anything is wrong."""
    console, sources = open_console(), _sources(config_file)
    try:
        well = oneshot.check(sources, console)
    except ConfigError as error:
        _refuse(error)
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
    sources = _sources(config_file)
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
        _fail(str(error))
    if form == "json":
        click.echo(json.dumps(reports, indent=2))
        return
    console = open_console()
    print_reports(console, reports, now=now)
    print_oldest_age(console, reports)


@main.command()
def schema() -> None:
    """Print the JSON Schema of the config file, for editors."""
    click.echo(json.dumps(config_schema(), indent=2))


@main.command(short_help="Run the exporter on three bundled fake gateways.")
@click.option(
    "--web.listen-address",
    "listen_address",
    default="127.0.0.1:9787",
    show_default=True,
    metavar="HOST:PORT",
    help="Address of the exporter; port 0 takes a free one.",
)
def demo(*, listen_address: str) -> None:
    """Run the exporter on three bundled fake gateways; needs no config, account or network."""
    logs.set_up("warning", "logfmt")
    with _listening([listen_address]) as sockets:
        _run(lambda: run_demo(sockets, click.echo))


def _poll(
    sources: Sources, provider_ids: Sequence[str], show: Callable[[Generation, Sequence[str]], _T]
) -> tuple[bool, _T]:
    logs.set_up("error", "logfmt")  # what a poll warns of is in its result
    try:
        return _run(lambda: oneshot.poll(sources, provider_ids, show))
    except oneshot.UnknownGatewayError as error:
        _fail(str(error))


def _poll_and_print(sources: Sources, provider_ids: Sequence[str], console: Console) -> bool:
    well, reports = _poll(sources, provider_ids, oneshot.reports_of)
    print_reports(console, reports, now=time.time())
    return well


def _run(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        try:
            return runner.run(work())
        except ConfigError as error:
            _refuse(error)
        except KeyboardInterrupt:
            sys.exit(130)


def _sources(config_file: Path | None) -> Sources:
    try:
        home = Path.home()
    except RuntimeError:  # a user without an entry in the password database
        home = None
    return Sources(find_config(config_file), candidate_paths(os.environ, sys.platform, home), os.environ, FileReader())


@contextmanager
def _listening(addresses: Sequence[str]) -> Iterator[list[socket.socket]]:
    try:
        sockets = open_sockets(addresses)
    except ListenError as error:
        _fail(str(error))
    try:
        yield sockets
    finally:
        for opened in sockets:
            opened.close()


def _refuse(error: ConfigError) -> NoReturn:
    if not isinstance(error, NothingConfiguredError):
        _fail(str(error))
    where = f"there is no {' and no '.join(map(str, DEFAULT_PATHS))}"
    if error.config_path is not None:
        where = f"{error.config_path} lists none"
    _fail("\n".join([*map(str, error.problems), _NOTHING_CONFIGURED.format(where=where)]))


def _fail(message: str) -> NoReturn:
    click.echo(message.rstrip("\n"), err=True)
    sys.exit(1)
