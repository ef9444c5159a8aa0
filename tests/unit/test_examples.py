"""The examples in deploy/examples are right as they stand, and with every commented key put to use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from quota_exporter.config import read_config
from quota_exporter.files import FileReader
from quota_exporter.settings import GatewaySettings, Options, Tls

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="deploy/examples is not part of the wheel")


def uncommented(text: str) -> str:
    """The example with its commented keys put to use: all # go but those that one space makes prose."""
    return re.sub(r"(?m)^( *)#(?! \S|$)", r"\1", text)


def test_the_example_config_names_the_schema_for_editors() -> None:
    """Editors read the schema's place from the first line."""
    first_line = (EXAMPLES / "quota-exporter.yml").read_text(encoding="utf-8").splitlines()[0]

    assert first_line == "# yaml-language-server: $schema=./quota-exporter.schema.json"


def test_the_example_config_has_no_problem() -> None:
    """A user who copies the example starts from a config that is accepted."""
    config = read_config(EXAMPLES / "quota-exporter.yml", FileReader())

    assert config.problems == ()
    assert [entry.settings.provider_id for entry in config.entries] == ["campus", "openrouter", "lab"]


def test_every_commented_key_of_the_example_config_works(tmp_path: Path) -> None:
    """Uncommenting all keys gives no problem, and no gateway key or option is missing from the example."""
    text = uncommented((EXAMPLES / "quota-exporter.yml").read_text(encoding="utf-8"))
    path = tmp_path / "quota-exporter.yml"
    path.write_text(text, encoding="utf-8")
    config = read_config(path, FileReader())

    assert config.problems == ()
    assert [entry.settings.provider_id for entry in config.entries] == [
        *("campus", "openrouter", "lab", "costhelm", "proxy", "partner")
    ]
    content = yaml.safe_load(text)
    used = set(content["defaults"]).union(*content["gateways"])
    assert used == set(GatewaySettings.model_fields)
    assert set(content) == {*Options.model_fields, "gateways"}
    assert set(content["gateways"][5]["tls"]) == set(Tls.model_fields)


def test_the_example_defaults_are_the_defaults(tmp_path: Path) -> None:
    """What the example shows under `defaults` and `origins` is what holds without it."""
    content = yaml.safe_load(uncommented((EXAMPLES / "quota-exporter.yml").read_text(encoding="utf-8")))
    path = tmp_path / "quota-exporter.yml"
    path.write_text(yaml.safe_dump({"defaults": content["defaults"]}), encoding="utf-8")
    shown, built_in = read_config(path, FileReader()).options.defaults, Options().defaults

    for name in set(content["defaults"]) - {"min_interval"}:  # 0s by way of the mapping
        assert getattr(shown, name) == getattr(built_in, name)
    assert shown.min_interval == 0
    assert content["origins"]["max_concurrency"] == Options().origins.max_concurrency


@pytest.mark.parametrize("alternative", [False, True])
def test_the_prometheus_example_scrapes_the_default_port(*, alternative: bool) -> None:
    """All jobs reach 127.0.0.1:9787, also the commented one that probes gateway by gateway."""
    text = (EXAMPLES / "prometheus.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(uncommented(text) if alternative else text)["scrape_configs"]

    assert jobs[0]["static_configs"] == [{"targets": ["127.0.0.1:9787"]}]
    assert jobs[0].get("params") == ({"collect[]": ["exporter"]} if alternative else None)
    assert len(jobs) == 1 + alternative
    for job in jobs[1:]:
        assert job["metrics_path"] == "/probe"
        assert job["static_configs"] == [{"targets": ["campus", "openrouter", "lab"]}]
        assert [rule["target_label"] for rule in job["relabel_configs"]] == [
            "__param_target",
            "instance",
            "__address__",
        ]
        assert job["relabel_configs"][-1]["replacement"] == "127.0.0.1:9787"
