"""A real Prometheus that scrapes the real exporter over real sockets."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.fake_gateways import FakeGateways, json_reply, quota
from tests.integration.programs import Exporter, Prometheus, eventually, find_program

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "prometheus.yml"

CAMPUS = {
    "key": "course-comp318-fall26",
    "tokens": {"limit": 5_000_000, "used": 250_000, "remaining": 4_750_000, "resets_at": "2026-05-31T00:00:00Z"},
    "cost": {"currency": "EUR", "limit": 5.0, "used": 0.42, "remaining": 4.58},
}
CONFIG = """
opencode: off
gateways:
  - {{provider_id: campus, base_url: '{url}/campus', label: Campus, owner: ml-platform}}
  - {{provider_id: hanging, base_url: '{url}/hanging', api_key: h}}
  - {{provider_id: keyless, base_url: '{url}/keyless'}}
  - {{provider_id: doomed, base_url: '{doomed_url}', api_key: d}}
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """A Prometheus with an exporter and its gateways; `doomed` is the origin of one of them alone."""

    prometheus: Prometheus
    exporter: Exporter
    doomed: FakeGateways

    def becomes(self, expression: str, value: float | None) -> None:
        """Wait until an instant query gives this value; None: no series."""
        eventually(lambda: self.prometheus.value(expression) == value, f"{expression} is {value}")


def uncommented_example() -> str:
    """The example with its alternative put to use: all # go but those that one space makes prose."""
    return re.sub(r"(?m)^( *)#(?! \S|$)", r"\1", EXAMPLE.read_text(encoding="utf-8"))


def prometheus_config(exporter_address: str) -> dict[str, Any]:
    """Both jobs of the example, each with the fast interval and the addresses of this test."""
    config: dict[str, Any] = yaml.safe_load(uncommented_example())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    everything, by_gateway = config["scrape_configs"]
    del everything["params"]  # both halves: here the two ways are compared, not combined
    everything["static_configs"][0]["targets"] = [exporter_address]
    del by_gateway["scrape_interval"]
    by_gateway["static_configs"][0]["targets"] = ["campus", "hanging", "keyless", "unknown"]
    by_gateway["relabel_configs"][-1]["replacement"] = exporter_address
    return config


@pytest.fixture(name="stack", scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Shared by the tests of this module, of which each looks at gateways that no other changes."""
    program = find_program("prometheus")
    folder, home = tmp_path_factory.mktemp("stack"), tmp_path_factory.mktemp("home")
    with FakeGateways() as gateways, FakeGateways() as doomed:
        gateways.answer("/campus/quota", json_reply(CAMPUS))
        gateways.hang("/hanging/quota")
        doomed.answer("/quota", quota())
        config = folder / "quota-exporter.yml"
        config.write_text(CONFIG.format(url=gateways.url, doomed_url=doomed.url), encoding="utf-8")
        environ = {"PATH": os.environ["PATH"], "HOME": str(home), "CAMPUS_API_KEY": "8d1f0c6e5b7a4923"}
        exporter = Exporter(config, folder, environ, folder)
        try:
            prometheus_file = tmp_path_factory.mktemp("prometheus") / "prometheus.yml"
            address = exporter.url.removeprefix("http://")
            prometheus_file.write_text(yaml.safe_dump(prometheus_config(address)), encoding="utf-8")
            prometheus = Prometheus(program, prometheus_file, prometheus_file.parent)
            try:
                yield Stack(prometheus, exporter, doomed)
            finally:
                prometheus.close()
            assert exporter.stop() < 2
            assert "Traceback" not in exporter.stderr
        finally:
            exporter.close()


def test_the_series_of_a_quota_arrive(stack: Stack) -> None:
    """Each number of a reply becomes a series with the labels of the contract, and the target is up."""
    stack.becomes('up{job="quota-exporter"}', 1)
    common = {"provider_id": "campus", "key_source": "env"}
    tokens = common | {"bucket": "default"}
    cost = tokens | {"currency": "EUR"}
    expected: list[tuple[str, dict[str, str], float]] = [
        ("llm_quota_up", common, 1),
        ("llm_quota_limit_tokens", tokens, 5_000_000),
        ("llm_quota_used_tokens", tokens, 250_000),
        ("llm_quota_remaining_tokens", tokens, 4_750_000),
        ("llm_quota_limit_cost", cost, 5),
        ("llm_quota_used_cost", cost, 0.42),
        ("llm_quota_remaining_cost", cost, 4.58),
        ("llm_quota_remaining_ratio", tokens | {"kind": "tokens"}, 0.95),
        ("llm_quota_remaining_ratio", tokens | {"kind": "cost"}, 0.916),
        ("llm_quota_limited", tokens | {"kind": "tokens"}, 1),
        ("llm_quota_reset_timestamp_seconds", tokens | {"kind": "tokens"}, 1_780_185_600),
        ("llm_quota_gateway_info", common | {"label": "Campus", "mapping": "neutral", "owner": "ml-platform"}, 1),
        ("llm_quota_key_info", common | {"key_name": "course-comp318-fall26"}, 1),
        ("llm_quota_http_status_code", common, 200),
        ("llm_quota_alert_threshold_ratio", common | {"severity": "warning"}, 0.2),
        ("llm_quota_alert_threshold_ratio", common | {"severity": "critical"}, 0.05),
    ]

    def arrived() -> list[tuple[dict[str, str], float]]:
        return stack.prometheus.query('{job="quota-exporter", provider_id="campus"}')

    instance = stack.exporter.url.removeprefix("http://")
    series = eventually(arrived, "the campus's series are there")
    for name, labels, value in expected:
        whole = {"__name__": name, "job": "quota-exporter", "instance": instance, **labels}
        assert [found for metric, found in series if metric == whole] == [pytest.approx(value)], whole
    assert not [metric for metric, _ in series if metric["__name__"] == "llm_quota_failure"]
    assert stack.prometheus.value('quota_exporter_gateways{job="quota-exporter"}') == 4


def test_a_gateway_that_hangs_costs_its_own_series_only(stack: Stack) -> None:
    """Longer than the scrape timeout: the target stays up, the gateway alone shows a timeout."""
    stack.becomes('count_over_time(llm_quota_up{job="quota-exporter", provider_id="hanging"}[1m]) >= bool 3', 1)

    query = stack.prometheus.value
    assert query('max_over_time(llm_quota_up{job="quota-exporter", provider_id="hanging"}[1m])') == 0
    assert query('llm_quota_failure{job="quota-exporter", provider_id="hanging", reason="timeout"}') == 1
    assert query('min_over_time(llm_quota_up{job="quota-exporter", provider_id="campus"}[1m])') == 1
    assert query('min_over_time(up{job="quota-exporter"}[1m])') == 1


def test_a_gateway_without_a_key_stays_visible(stack: Stack) -> None:
    """The gateway shows that no source has a key, while the others go on."""
    stack.becomes('llm_quota_up{job="quota-exporter", provider_id="keyless", key_source="none"}', 0)

    query = stack.prometheus.value
    assert query('llm_quota_failure{job="quota-exporter", provider_id="keyless", reason="no_api_key"}') == 1
    assert query('llm_quota_up{job="quota-exporter", provider_id="campus"}') == 1


def test_the_quota_of_a_killed_gateway_goes_stale(stack: Stack) -> None:
    """Nobody is shown the last known quota as if it were current; that the gateway is down is shown instead."""
    remaining = 'llm_quota_remaining_tokens{job="quota-exporter", provider_id="doomed"}'
    up = 'llm_quota_up{job="quota-exporter", provider_id="doomed"}'
    last_success = 'llm_quota_last_success_timestamp_seconds{job="quota-exporter", provider_id="doomed"}'
    stack.becomes(remaining, 750)
    assert stack.prometheus.value(up) == 1
    stack.doomed.stop()
    stack.becomes(remaining, None)

    assert stack.prometheus.value(up) == 0
    assert stack.prometheus.value('llm_quota_failure{job="quota-exporter", provider_id="doomed"}') == 1
    failures = stack.prometheus.query('llm_quota_failure{job="quota-exporter", provider_id="doomed"}')
    assert [labels["reason"] for labels, _ in failures] == ["connect"]
    assert stack.prometheus.value(last_success) is not None


def test_each_gateway_can_be_a_target_of_its_own(stack: Stack) -> None:
    """The example's relabelling scrapes /probe: the instance is the gateway, failures keep the target up."""
    stack.becomes(
        'llm_quota_remaining_tokens{job="quota-gateways", instance="campus", provider_id="campus"}', 4_750_000
    )
    stack.becomes('llm_quota_up{job="quota-gateways", instance="hanging", provider_id="hanging"}', 0)
    stack.becomes('llm_quota_up{job="quota-gateways", instance="keyless", provider_id="keyless"}', 0)
    for instance in ("campus", "hanging", "keyless"):
        stack.becomes(f'up{{job="quota-gateways", instance="{instance}"}}', 1)
    stack.becomes('up{job="quota-gateways", instance="unknown"}', 0)

    assert stack.prometheus.value('count(llm_quota_up{job="quota-gateways"})') == 3
    assert stack.prometheus.query('{__name__=~".*_total|quota_exporter_.*|process_.*", job="quota-gateways"}') == []


@pytest.mark.parametrize("alternative", [False, True])
def test_prometheus_accepts_the_example(tmp_path: Path, *, alternative: bool) -> None:
    """The example is valid for promtool as it stands, and with its alternative uncommented."""
    promtool = find_program("promtool")
    config = tmp_path / "prometheus.yml"
    config.write_text(uncommented_example() if alternative else EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    check = subprocess.run(
        [promtool, "check", "config", "--lint-fatal", str(config)], capture_output=True, text=True, check=False
    )

    assert check.returncode == 0, check.stderr
    assert check.stderr == ""
