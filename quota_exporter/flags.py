"""The kinds of command-line flags, and the terminal they print to."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.console import Console

from quota_exporter.numbers import parse_duration
from quota_exporter.web.routes import FIXED_PATHS

Command = TypeVar("Command", bound=Callable[..., Any])

_TERMINAL_WIDTH = 80
_PAGE_WIDTH = 240


class ServeByDefault(click.Group):
    """Runs `serve` when no command is named, as exporters do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` before flags that no command precedes."""
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "-h", "--version")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


def telemetry_path(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Check the path of the metrics; click.BadParameter when it is none, or one of the exporter's other paths."""
    if value in FIXED_PATHS:
        raise click.BadParameter(f"{value} is another page of the exporter; choose a path beside it, such as /metrics")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value):
        raise click.BadParameter("write a path of letters, digits and . _ ~ - such as /metrics")
    return value


def duration_option(
    flag: str, name: str, default: str, text: str, *, above_zero: bool = False
) -> Callable[[Command], Command]:
    """An option whose value is a duration, given to the command in seconds."""

    def seconds(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
        duration = _seconds(value)
        if duration is None:
            raise click.BadParameter("write a number with its unit, such as 500ms, 10s or 1m30s")
        if above_zero and duration == 0:
            raise click.BadParameter("must be above 0s")
        return duration

    return click.option(flag, name, callback=seconds, default=default, show_default=True, metavar="DURATION", help=text)


def open_console() -> Console:
    """The terminal, or a page wide enough for the longest rows when the output goes elsewhere.

    A terminal that is narrower than usual breaks the lines itself, which is better than cut numbers.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has bars and all letters of labels
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, _TERMINAL_WIDTH if console.is_terminal else _PAGE_WIDTH)
    return console


def _seconds(text: str) -> float | None:
    # The config has Prometheus's whole numbers; flags of Go programs also take 1.5s.
    decimal = re.fullmatch(r"([0-9]+\.[0-9]+)(ms|s|m|h)", text)
    if decimal is None:
        return parse_duration(text)
    unit = parse_duration(f"1{decimal[2]}")
    return None if unit is None else float(decimal[1]) * unit
