"""Connections to gateways: bounded, kept alive, shared by scrapes."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from tests.integration.conftest import StartExporter
from tests.integration.fake_gateways import FakeGateways, Reply, quota
from tests.integration.programs import Scrape, eventually


def many_keys(url: str, count: int, **keys: str) -> str:
    """Gateways k0, k1 ... on one origin, each with a key and a path of its own."""
    own = "".join(f", {key}: {value}" for key, value in keys.items())
    entries = "".join(
        f"  - {{provider_id: k{number}, base_url: '{url}', quota_path: /k{number}, api_key: key-{number}{own}}}\n"
        for number in range(count)
    )
    return f"opencode: off\ngateways:\n{entries}"


def answer_all(gateways: FakeGateways, count: int, reply: Reply) -> None:
    for number in range(count):
        gateways.answer(f"/k{number}", reply)


def test_a_thousand_keys_on_one_host_open_few_sockets(start_exporter: StartExporter, gateways: FakeGateways) -> None:
    """However many keys an origin has, at most max_concurrency connections are opened, and all keys are read."""
    count, most = 1000, 10
    answer_all(gateways, count, quota())
    config = many_keys(gateways.url, count) + f"origins: {{max_concurrency: {most}}}\n"
    exporter = start_exporter(config)
    scrape = exporter.scrape(timeout=30)

    assert scrape.values("llm_quota_up") == [1.0] * count
    assert 1 <= gateways.most_connections_open <= most
    assert gateways.connections_opened <= most
    assert [request.key for request in gateways.requests if request.path == "/k7"] == ["key-7"]


@pytest.mark.parametrize("tls", [False, True])
def test_connections_outlive_a_scrape(
    start_exporter: StartExporter,
    serve_gateways: Callable[[ssl.SSLContext | None], FakeGateways],
    authority: trustme.CA,
    server_tls: ssl.SSLContext,
    tmp_path: Path,
    *,
    tls: bool,
) -> None:
    """The second scrape needs no new connection and, with TLS, no new handshake."""
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    gateways = serve_gateways(server_tls if tls else None)
    answer_all(gateways, 30, quota())
    trust = {"tls": f"{{ca_file: {tmp_path / 'authority.pem'}}}"} if tls else {}
    exporter = start_exporter(many_keys(gateways.url, 30, **trust))
    first = exporter.scrape()
    opened = gateways.connections_opened
    second = exporter.scrape()

    assert first.values("llm_quota_up") == second.values("llm_quota_up") == [1.0] * 30
    assert gateways.connections_opened == opened
    assert len(gateways.requests) == 60


def test_a_gateway_that_closes_its_connections_is_read_again(
    start_exporter: StartExporter, gateways: FakeGateways
) -> None:
    """A connection that the gateway closed between two scrapes costs no reading."""
    body = b'{"tokens": {"limit": 10, "used": 1}}'
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)  # keep-alive as told, closed as done
    gateways.answer("/k0", Reply(raw=raw))
    exporter = start_exporter(many_keys(gateways.url, 1))
    readings = []
    for _ in range(3):
        readings.append(exporter.scrape().value("llm_quota_up"))
        eventually(lambda: gateways.connections_open == 0, "the gateway has closed its end")

    assert readings == [1.0, 1.0, 1.0]


def test_concurrent_scrapes_share_their_polls(start_exporter: StartExporter, gateways: FakeGateways) -> None:
    """Two scrapes at the same time ask each gateway once, and both show its quota."""
    count = 50
    gate = gateways.gate()
    answer_all(gateways, count, quota(gate=gate))
    exporter = start_exporter(many_keys(gateways.url, count))

    def both_wait() -> bool:
        # this look counts itself
        return exporter.own("quota_exporter_scrapes_in_flight") == 3

    with ThreadPoolExecutor(2) as scrapers:
        scrapes = [scrapers.submit(exporter.scrape) for _ in range(2)]
        eventually(both_wait, "both scrapes are in flight")
        gate.open()
        results: list[Scrape] = [scrape.result() for scrape in scrapes]

    for result in results:
        assert result.values("llm_quota_remaining_tokens") == [750.0] * count
        assert result.values("llm_quota_polls_total") == [1.0] * count
    assert [gateways.count(f"/k{number}") for number in range(count)] == [1] * count


def test_one_key_that_hangs_costs_its_origin_one_slot(start_exporter: StartExporter, gateways: FakeGateways) -> None:
    """Of many keys on one host, the one that is never answered times out alone."""
    answer_all(gateways, 100, quota())
    gateways.hang("/k42")
    exporter = start_exporter(many_keys(gateways.url, 100) + "origins: {max_concurrency: 2}\n")
    scrape = exporter.scrape(timeout=3)

    assert scrape.value("llm_quota_failure", reason="timeout") == 1.0
    assert scrape.value("llm_quota_up", provider_id="k42") == 0.0
    assert sum(scrape.values("llm_quota_up")) == 99
