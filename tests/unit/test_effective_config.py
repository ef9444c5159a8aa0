"""The config in force shows the mappings that it defines, and they can be used again."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from quota_exporter.config import read_config
from quota_exporter.exporter import Generation, Sources, load, start
from quota_exporter.files import FileReader
from quota_exporter.opencode import OpenCodePaths
from quota_exporter.web.effective_config import config_yaml

CONFIG = """\
opencode: off
mappings:
  costhelm:
    min_interval: 60s
    requests:
      - {id: key, path: /limits, headers: {X-Version: %s}}
      - {id: more, url: "https://other.example/more", method: POST, body: {headers: all, "null": null}}
      - {id: sent, path: /a, method: POST, body: {token: %s, by: [%s], who: ada}, query: {api_key: copper, page: 1}}
    units: {cent: 100}
    buckets:
      - {kind: cost, currency: USD, unit: cent, limit: key.limit, unlimited: null_limit, used: 5}
  away: {requests: [{url: "https://other.example/self"}], buckets: [{kind: tokens, used: used}]}
gateways:
  - {provider_id: a, base_url: "https://h.example/v1", mapping: costhelm, units: {cent: 50}, currency: EUR, api_key: k}
  - {provider_id: b, mapping: away, api_key: k}
"""


@pytest.fixture(name="generation")
def _generation(tmp_path: Path, canary: str) -> Generation:
    path = tmp_path / "c.yml"
    path.write_text(CONFIG.replace("%s", canary), encoding="utf-8")
    return start(load(Sources(path, OpenCodePaths((), ()), {}, FileReader())))


def test_own_mappings_are_shown_without_their_header_values(generation: Generation, canary: str) -> None:
    """A header's value may be a secret; names and all else stay as written."""
    text = config_yaml(generation)

    assert canary not in text
    assert "X-Version: <secret>" in text


def test_what_a_request_sends_is_shown_without_secrets(generation: Generation) -> None:
    """Of query and body members named like secrets and values that look like keys are hidden, the rest is told."""
    shown = yaml.safe_load(config_yaml(generation))["mappings"]["costhelm"]["requests"][2]

    assert shown["body"] == {"token": "<secret>", "by": ["<secret>"], "who": "ada"}
    assert shown["query"] == {"api_key": "<secret>", "page": 1}


def test_the_config_with_its_mappings_is_a_config(generation: Generation, tmp_path: Path) -> None:
    """What is shown is read back with the same mappings and gateways."""
    shown = tmp_path / "shown.yml"
    shown.write_text(config_yaml(generation), encoding="utf-8")
    config = read_config(shown, FileReader())
    costhelm, away = (config.options.mappings[name] for name in ("costhelm", "away"))
    before = generation.config.options.mappings

    assert config.problems == ()
    assert (costhelm.buckets, costhelm.units, costhelm.min_interval) == (before["costhelm"].buckets, {"cent": 100}, 60)
    assert costhelm.requests[1] == before["costhelm"].requests[1]
    assert away == before["away"]
    a, b = (entry.settings for entry in config.entries)
    assert (a.quota_path, a.currency, a.units, b.quota_path) == ("/limits", "EUR", {"cent": 50}, None)
