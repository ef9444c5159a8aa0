"""The flags of the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from quota_exporter.config import DEFAULT_PATHS
from quota_exporter.numbers import parse_duration
from quota_exporter.web.routes import FIXED_PATHS

Command = TypeVar("Command", bound=Callable[..., Any])


class ServeByDefault(click.Group):
    """Runs `serve` when no command is named, as exporters do; the help keeps the order in which they were added."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` before flags that no command precedes."""
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "-h", "--version")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name the commands in the order in which a user needs them, not by name."""
        return list(self.commands)


def config_file_flag(command: Command) -> Command:
    """Give a command the flag that names its config file: `config_file`, a path or None."""
    return click.option(
        "--config.file",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help=f"Config file.  [default: the first that exists of {', '.join(map(str, DEFAULT_PATHS))}]",
    )(command)


def serve_flags(command: Command) -> Command:
    """Give a command all flags of `serve`; durations reach it in seconds."""
    flags = (
        config_file_flag,
        click.option(
            "--web.listen-address",
            "listen_addresses",
            multiple=True,
            default=[":9787"],
            show_default=True,
            metavar="HOST:PORT",
            help="Address to listen on; repeatable. No host means all addresses.",
        ),
        click.option(
            "--web.telemetry-path",
            "telemetry_path",
            default="/metrics",
            show_default=True,
            metavar="PATH",
            callback=_telemetry_path,
            help="Path of the metrics.",
        ),
        _switch("--web.enable-lifecycle", "enable_lifecycle", "Allow POST /-/reload. SIGHUP always reloads."),
        _duration(
            "--web.shutdown-timeout",
            "shutdown_timeout",
            "1.5s",
            "Time for scrapes to finish and be answered after SIGTERM; late ones get 503.",
        ),
        _duration(
            "--scrape.timeout-offset",
            "timeout_offset",
            "500ms",
            "Answer this much before the scrape timeout that Prometheus sends.",
        ),
        _switch("--config.enable-auto-reload", "auto_reload", "Reload when a config file changes."),
        _duration(
            "--config.auto-reload-interval",
            "auto_reload_interval",
            "30s",
            "How often to look for changed config files.",
            above_zero=True,
        ),
        _choice("--log.level", "log_level", "info", ("debug", "info", "warning", "error"), "Least severity to log."),
        _choice("--log.format", "log_format", "logfmt", ("logfmt", "json"), "Format of the log on standard error."),
    )
    for flag in reversed(flags):  # the last one applied comes first in the help
        command = flag(command)
    return command


def _switch(flag: str, name: str, text: str) -> Callable[[Command], Command]:
    return click.option(flag, name, is_flag=True, show_default="off", help=text)


def _choice(flag: str, name: str, default: str, words: tuple[str, ...], text: str) -> Callable[[Command], Command]:
    return click.option(flag, name, type=click.Choice(words), default=default, show_default=True, help=text)


def _duration(
    flag: str, name: str, default: str, text: str, *, above_zero: bool = False
) -> Callable[[Command], Command]:
    """A flag whose value is a duration, given to the command in seconds."""

    def seconds(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
        duration = _seconds(value)
        if duration is None:
            raise click.BadParameter("write a number with its unit, such as 500ms, 10s or 1m30s")
        if above_zero and duration == 0:
            raise click.BadParameter("must be above 0s")
        return duration

    return click.option(flag, name, callback=seconds, default=default, show_default=True, metavar="DURATION", help=text)


def _telemetry_path(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if value in FIXED_PATHS:
        raise click.BadParameter(f"{value} is another page of the exporter; choose a path beside it, such as /metrics")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value):
        raise click.BadParameter("write a path of letters, digits and . _ ~ - such as /metrics")
    return value


def _seconds(text: str) -> float | None:
    # The config has Prometheus's whole numbers; flags of Go programs also take 1.5s.
    decimal = re.fullmatch(r"([0-9]+\.[0-9]+)(ms|s|m|h)", text)
    if decimal is None:
        return parse_duration(text)
    unit = parse_duration(f"1{decimal[2]}")
    return None if unit is None else float(decimal[1]) * unit
