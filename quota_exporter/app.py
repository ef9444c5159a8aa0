"""The running program: exporter, HTTP server, signals."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from quota_exporter import __version__
from quota_exporter.exporter import ConfigError, Exporter, Sources
from quota_exporter.web.routes import Phase, WebOptions, build_app
from quota_exporter.web.server import serve, url_of

_LOG = logging.getLogger(__name__)
_SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line says of the running program; durations are in seconds.

    `auto_reload_interval` None means that config files are not watched.
    """

    web: WebOptions
    shutdown_timeout: float = 1.5
    auto_reload_interval: float | None = None


async def run(sources: Sources, sockets: Sequence[socket.socket], options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT; ConfigError when the first config cannot be used."""
    _allow_many_open_files()
    exporter = Exporter(sources)
    phase = Phase()
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def reload_now() -> None:
        reloading = loop.create_task(_reload(exporter))
        reloads.add(reloading)
        reloading.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, phase.stopping.set)
    loop.add_signal_handler(signal.SIGHUP, reload_now)
    watching = None
    if options.auto_reload_interval is not None:
        watching = loop.create_task(_watch(exporter, options.auto_reload_interval))
    for listening in sockets:
        _LOG.info("listening", extra={"url": url_of(listening), "version": __version__})
    try:
        await serve(build_app(exporter, options.web, phase), list(sockets), phase, options.shutdown_timeout)
    finally:
        if watching is not None:
            watching.cancel()
        await exporter.close()
    _LOG.info("stopped")


async def _reload(exporter: Exporter) -> None:
    try:
        await exporter.reload()
    except ConfigError:
        _LOG.error("reload failed", extra={"hint": "mend the config, then reload again"})


async def _watch(exporter: Exporter, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        if exporter.has_changed():
            await _until_written(exporter)
            await _reload(exporter)


async def _until_written(exporter: Exporter) -> None:
    """Wait until the files stop changing, so that a half-written one is not taken for the whole."""
    before, now = None, exporter.fingerprint()
    while before != now:
        await asyncio.sleep(_SETTLE_SECONDS)
        before, now = now, exporter.fingerprint()


def _allow_many_open_files() -> None:
    """Take all the sockets that the system grants: the usual soft limit of 1,024 is meant for select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS says unlimited, and grants less
        _LOG.debug("open files stay limited", extra={"soft": soft, "hard": hard, "error": type(error).__name__})
