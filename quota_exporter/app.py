"""The running program: exporter, HTTP server, signals."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from quota_exporter import __version__
from quota_exporter.exporter import ConfigError, Exporter, Sources
from quota_exporter.web.routes import Phase, WebOptions, build_app
from quota_exporter.web.server import serve, url_of

if sys.platform != "win32":
    import resource

_LOG = logging.getLogger(__name__)
_SETTLE_SECONDS = 1.0
_OPEN_FILES = (1 << 16, 10_240)


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
    phase = Phase()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, phase.stopping.set)
    hangup = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    exporter = Exporter(sources)
    reloaders = [loop.create_task(_reload_at_hangup(exporter, hangup))]
    if options.auto_reload_interval is not None:
        reloaders.append(loop.create_task(_watch(exporter, options.auto_reload_interval)))
    for listening in sockets:
        _LOG.info("listening", extra={"url": url_of(listening), "version": __version__})
    try:
        await serve(build_app(exporter, options.web, phase), list(sockets), phase, options.shutdown_timeout)
    finally:
        for reloader in reloaders:
            reloader.cancel()
        await asyncio.gather(*reloaders, return_exceptions=True)
        await exporter.close()
    _LOG.info("stopped")


async def _reload_at_hangup(exporter: Exporter, hangup: asyncio.Event) -> None:
    while True:
        await hangup.wait()
        hangup.clear()
        await _reload(exporter)


async def _watch(exporter: Exporter, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        if await asyncio.to_thread(exporter.has_changed):
            await _until_written(exporter)
            await _reload(exporter)


async def _reload(exporter: Exporter) -> None:
    try:
        await exporter.reload()
    except ConfigError:
        _LOG.error("reload failed", extra={"hint": "mend the config, then reload again"})
    except Exception as error:  # noqa: BLE001 - a bug in one reload must not end those to come
        _LOG.error("reload failed by a bug", exc_info=error)


async def _until_written(exporter: Exporter) -> None:
    """Wait until the files stop changing, so that a half-written one is not taken for the whole."""
    before, now = None, await asyncio.to_thread(exporter.fingerprint)
    while before != now:
        await asyncio.sleep(_SETTLE_SECONDS)
        before, now = now, await asyncio.to_thread(exporter.fingerprint)


def _allow_many_open_files() -> None:
    """Take all the sockets that the system grants: the usual soft limit of 1,024 is meant for select()."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, *_OPEN_FILES):  # macOS says that the hard limit is none, and grants less
        if wanted == resource.RLIM_INFINITY or wanted > soft:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            except (OSError, ValueError):
                continue
            return
