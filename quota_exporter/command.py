"""What every command of the command line needs to run."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from quota_exporter.config import DEFAULT_PATHS, find_config
from quota_exporter.exporter import ConfigError, NothingConfiguredError, Sources
from quota_exporter.files import FileReader
from quota_exporter.opencode import candidate_paths
from quota_exporter.resolver import LookupLoop

_T = TypeVar("_T")
_NOTHING_CONFIGURED = """\
No gateway is configured: {where},
and none by OpenCode's global config. One of these helps:

  quota-exporter demo        the bundled gateways, no account needed
  quota-exporter guess URL   tries what a gateway answers to, and writes its config entry
  quota-exporter schema      the JSON Schema of the config file

or write quota-exporter.yml and start again:

  gateways:
    - provider_id: campus                         # its API key is taken from $CAMPUS_API_KEY
      base_url: https://llm.example.edu/v1
"""


def sources_of(config_file: Path | None) -> Sources:
    """Return where configuration comes from, with this config file or the first default one."""
    try:
        home = Path.home()
    except RuntimeError:  # a user without an entry in the password database
        home = None
    return Sources(find_config(config_file), candidate_paths(os.environ, sys.platform, home), os.environ, FileReader())


def run_async(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run work on an event loop of its own; a config that cannot be used ends the program with its problems."""
    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        try:
            return runner.run(work())
        except ConfigError as error:
            refuse(error)
        except KeyboardInterrupt:
            sys.exit(130)


def refuse(error: ConfigError) -> NoReturn:
    """Tell what is wrong with the config and end with exit status 1."""
    if not isinstance(error, NothingConfiguredError):
        fail(str(error))
    where = f"there is no {' and no '.join(map(str, DEFAULT_PATHS))}"
    if error.config_path is not None:
        where = f"{error.config_path} lists none"
    fail("\n".join([*map(str, error.problems), _NOTHING_CONFIGURED.format(where=where)]))


def fail(message: str) -> NoReturn:
    """Tell what is wrong on stderr and end with exit status 1."""
    click.echo(message.rstrip("\n"), err=True)
    sys.exit(1)
