"""The demo: an exporter that watches the bundled fake gateways."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import indent
from urllib.parse import urlsplit

from quota_exporter.app import ServeOptions, run
from quota_exporter.demo_gateways import GATEWAYS, fake_gateways
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


def demo_config(base_urls: Mapping[str, str]) -> str:
    """Return the YAML config of an exporter that watches the gateways at these base URLs, by provider id."""
    entries = "".join(
        f"  - provider_id: {gateway.provider_id}\n"
        f"    base_url: {base_urls[gateway.provider_id]}\n"
        f"    mapping: {gateway.mapping}\n"
        f"    label: {gateway.label}\n"
        f"    owner: {gateway.owner}\n"
        f"    api_key: {gateway.api_key}\n"
        f"    thresholds: {gateway.thresholds}\n"
        for gateway in GATEWAYS
    )
    mappings = "".join(
        f"  {gateway.mapping}:\n{indent(gateway.own_mapping, '    ')}" for gateway in GATEWAYS if gateway.own_mapping
    )
    comment = "# The gateways and keys are the demo's own: no secrets here."
    return f"{comment}\nopencode: off\nmappings:\n{mappings}gateways:\n{entries}"


def first_words(base_urls: Mapping[str, str], exporter_url: str) -> str:
    """Return what the demo prints when it is up: what runs where, and what to do with it."""
    exporter_url = exporter_url.rstrip("/")
    gateways = "\n".join(
        f"  {gateway.provider_id:<16} {base_urls[gateway.provider_id]:<32} {gateway.about}" for gateway in GATEWAYS
    )
    first = GATEWAYS[0]
    return f"""\
The exporter watches four fake gateways; all of it runs on this machine only, until Ctrl+C.

  {exporter_url + "/":<36} start here
  {exporter_url + "/quota_status":<36} each gateway: where its key came from, what it answered
  {exporter_url + "/metrics":<36} what Prometheus reads

{gateways}

Watch a quota shrink, and ask the gateway itself:

  curl -s {exporter_url}/metrics | grep ^llm_quota_remaining
  curl -s -H "Authorization: Bearer {first.api_key}" {base_urls[first.provider_id]}{first.quota_path}

For the scrape_configs of your Prometheus:

  - job_name: quota-exporter
    scrape_interval: 5s
    static_configs:
      - targets: ["{urlsplit(exporter_url).netloc}"]
"""
