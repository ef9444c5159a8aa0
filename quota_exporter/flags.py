"""The kinds of command-line flags, and the terminal they print to."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.console import Console

from quota_exporter.numbers import parse_duration
from quota_exporter.web.routes import FIXED_PATHS

Command = TypeVar("Command", bound=Callable[..., Any])


class ServeByDefault(click.Group):
    """Runs `serve` when no command is named, as exporters do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` before flags that no command precedes."""
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "-h", "--version")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


def telemetry_path(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Check the path of the metrics; click.BadParameter when it is none, or one of the exporter's other paths."""
    if not value.startswith("/") or value in FIXED_PATHS or not value.isprintable() or set(value) & set(" ?#{}"):
        raise click.BadParameter(f"must start with / and not be one of {', '.join(FIXED_PATHS)}")
    return value


def duration_option(flag: str, name: str, default: str, text: str) -> Callable[[Command], Command]:
    """An option whose value is a duration, given to the command in seconds."""
    return click.option(
        flag, name, callback=_seconds, default=default, show_default=True, metavar="DURATION", help=text
    )


def open_console() -> Console:
    """The terminal, or a page wide enough for tables when the output goes elsewhere."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, 120)
    return console


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    # The config has Prometheus's whole numbers; flags of Go programs also take 1.5s.
    decimal = re.fullmatch(r"([0-9]+\.[0-9]+)(ms|s|m|h)", value)
    unit = parse_duration(value if decimal is None else f"1{decimal[2]}")
    if unit is None:
        raise click.BadParameter("write a number with its unit, such as 500ms, 10s or 1m30s")
    return unit if decimal is None else float(decimal[1]) * unit
