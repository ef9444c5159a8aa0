"""The demo: an exporter that watches the bundled fake gateways."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from quota_exporter.app import ServeOptions, run
from quota_exporter.demo_gateways import demo_config, fake_gateways, first_words
from quota_exporter.exporter import Sources
from quota_exporter.files import FileReader
from quota_exporter.oneshot import openmetrics_of, poll
from quota_exporter.opencode import OpenCodePaths
from quota_exporter.web.routes import WebOptions
from quota_exporter.web.server import url_of

_SHOWN = ("llm_quota_up{", "llm_quota_remaining_")


async def run_demo(sockets: Sequence[socket.socket], say: Callable[[str], object]) -> None:
    """Start the gateways, say where everything is with the first gauges, serve until SIGINT or SIGTERM.

    Nothing of the user's is read: no config file, no environment, no OpenCode.
    """
    async with fake_gateways() as base_urls:
        with tempfile.TemporaryDirectory(prefix="quota-exporter-demo-") as folder:
            config = Path(folder) / "quota-exporter.yml"
            config.write_text(demo_config(base_urls), encoding="utf-8")
            sources = Sources(config, OpenCodePaths((), ()), {}, FileReader())
            say(first_words(base_urls, url_of(sockets[0])))
            _, gauges = await poll(sources, (), openmetrics_of)
            say("The first gauges:\n")
            say("".join(f"  {line}\n" for line in gauges.splitlines() if line.startswith(_SHOWN)))
            await run(sources, sockets, ServeOptions(WebOptions(enable_lifecycle=True)))
