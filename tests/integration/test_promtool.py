"""The exposition as Prometheus's own tools and parsers see it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.integration.programs import Program, eventually, exporter_command, find_program, is_ready

_START_HERE = re.compile(r"(http://127\.0\.0\.1:[0-9]+)/ +start here")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(name="demo", scope="module")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the running `quota-exporter demo`."""
    folder = tmp_path_factory.mktemp("demo")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    program = Program(exporter_command("demo", "--web.listen-address", "127.0.0.1:0"), folder, environ, folder)
    try:
        url = program.found(lambda: program.stdout, _START_HERE, "the demo told where it is")[1]
        with httpx.Client(base_url=url, trust_env=False, timeout=20.0) as client:
            eventually(lambda: is_ready(client, "/-/ready"), "the demo is ready")
            yield client
        program.stop()
        assert "Traceback" not in program.stderr
    finally:
        program.kill()


def test_promtool_finds_nothing_to_complain_about(demo: httpx.Client) -> None:
    """Names, types, units and help texts follow the conventions that promtool checks."""
    promtool = find_program("promtool")
    metrics = demo.get("/metrics").text
    assert {"campus", "openrouter-like", "lab"} <= set(re.findall(r'llm_quota_up\{.*?provider_id="([^"]+)"', metrics))
    check = subprocess.run([promtool, "check", "metrics"], input=metrics, capture_output=True, text=True, check=False)

    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_both_formats_say_the_same(demo: httpx.Client) -> None:
    """The text format and OpenMetrics parse, under the same names; OpenMetrics ends with its mark."""
    text = demo.get("/metrics?collect[]=gateways")
    openmetrics = demo.get("/metrics?collect[]=gateways", headers={"Accept": OPENMETRICS})

    assert text.headers["Content-Type"].startswith("text/plain; version=")
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.text.endswith("# EOF\n")
    named = [
        {
            (sample.name, frozenset(sample.labels.items()))
            for family in parse(response.text)
            for sample in family.samples
            if sample.labels["provider_id"] != "lab"  # it may fail between the two
        }
        for parse, response in ((parse_text, text), (parse_openmetrics, openmetrics))
    ]
    assert named[0] == named[1]
    assert {name for name, _ in named[0]} >= {"llm_quota_up", "llm_quota_remaining_tokens", "llm_quota_polls_total"}


def test_the_whole_openmetrics_output_parses(demo: httpx.Client) -> None:
    """Also the exporter's own families, its histogram included, are valid OpenMetrics."""
    text = demo.get("/metrics", headers={"Accept": OPENMETRICS}).text
    parsed = parse_openmetrics(text)  # type: ignore[no-untyped-call]  # not annotated there
    families = {family.name: family for family in parsed}

    assert families["quota_exporter_scrape_duration_seconds"].type == "histogram"
    assert families["llm_quota_polls"].type == "counter"
    assert families["llm_quota_up"].type == "gauge"
    assert not [name for name in families if name.endswith("_created")]
