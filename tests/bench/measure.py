"""What scrapes of one fleet cost."""

from __future__ import annotations

import gzip
import http.client
import math
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from quota_exporter.settings import Origins
from tests.bench.gateways import DELAY_SECONDS
from tests.bench.programs import BenchError, Fleet, running

_HEALTH_INTERVAL = 0.01
_SHOWN_FAILURES = 3
# those of Prometheus, but for its patience
_SCRAPE_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "90",
}
_CLIENT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; times are in seconds, CPU times per poll."""

    fleet: Fleet
    cold: float
    warm: tuple[float, ...]
    exporter_cpu: float
    gateways_cpu: float
    resident_megabytes: float
    healthy_p99: float
    connections: int

    @property
    def warm_median(self) -> float:
        return statistics.median(self.warm)

    @property
    def own_time(self) -> float:
        """What the gateways alone take when no origin is asked more than the default concurrency allows."""
        return math.ceil(self.fleet.keys / self.fleet.origins / Origins().max_concurrency) * DELAY_SECONDS


def measure(fleet: Fleet, rounds: int) -> Figures:
    """Scrape the fleet cold, then `rounds` times warm, then as often while its health is checked.

    BenchError when a gateway was not read, or when what is called warm needed new connections.
    """
    with running(fleet) as (setup, counts), _connected(setup.address) as connection:
        cold = _scrape(connection, fleet)
        cpu_before = setup.exporter.cpu_seconds(), setup.gateways.cpu_seconds()
        warm = tuple(_scrape(connection, fleet) for _ in range(rounds))
        cpu_after = setup.exporter.cpu_seconds(), setup.gateways.cpu_seconds()
        resident = setup.exporter.resident_megabytes()
        with _health_checks(setup.address) as latencies:
            for _ in range(rounds):
                _scrape(connection, fleet)
    polls = fleet.keys * (2 * rounds + 1)
    if counts.requests != polls:
        raise BenchError(f"{fleet.name}: {polls} polls were expected, the gateways saw {counts.requests}")
    pooled = fleet.origins * min(fleet.keys // fleet.origins, Origins().max_concurrency)
    if counts.connections > pooled:
        raise BenchError(f"{fleet.name}: {counts.connections} connections were made where {pooled} suffice")
    exporter_cpu, gateways_cpu = (
        (after - before) / (fleet.keys * rounds) for before, after in zip(cpu_before, cpu_after, strict=True)
    )
    return Figures(
        fleet, cold, warm, exporter_cpu, gateways_cpu, resident, _percentile(latencies, 0.99), counts.connections
    )


@contextmanager
def _connected(address: str) -> Iterator[http.client.HTTPConnection]:
    """A kept-alive connection to the exporter, such as Prometheus has."""
    connection = http.client.HTTPConnection(address, timeout=_CLIENT_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def _scrape(connection: http.client.HTTPConnection, fleet: Fleet) -> float:
    """Seconds of one scrape, whose answer is checked to be whole."""
    started = time.perf_counter()
    connection.request("GET", "/metrics", headers=_SCRAPE_HEADERS)
    response = connection.getresponse()
    body = response.read()
    took = time.perf_counter() - started
    if response.status != http.client.OK:
        raise BenchError(f"the scrape was answered with HTTP {response.status}: {body[:200]!r}")
    _check_up(fleet, gzip.decompress(body).decode())
    return took


def _check_up(fleet: Fleet, exposition: str) -> None:
    lines = exposition.splitlines()
    ups = "".join(f"{line}\n" for line in lines if line.startswith("llm_quota_up{"))
    values = [sample.value for family in text_string_to_metric_families(ups) for sample in family.samples]
    if values != [1.0] * fleet.keys:
        failures = [line for line in lines if line.startswith("llm_quota_failure{")][:_SHOWN_FAILURES]
        raise BenchError(f"{fleet.name}: {values.count(1.0)} have llm_quota_up 1; failures: {failures}")


@contextmanager
def _health_checks(address: str) -> Iterator[list[float]]:
    """Ask for /-/healthy every 10 ms while the context lasts; gives the seconds that each check took.

    A check that falls due while an earlier one waits counts from when it was due, without being sent.
    """
    latencies: list[float] = []
    over = threading.Event()

    def check() -> None:
        with _connected(address) as connection:
            due = time.perf_counter()
            while not over.wait(max(0.0, due - time.perf_counter())):
                connection.request("GET", "/-/healthy")
                response = connection.getresponse()
                response.read()
                answered = time.perf_counter()
                if response.status != http.client.OK:
                    raise BenchError(f"/-/healthy was answered with HTTP {response.status}")
                while due <= answered:
                    latencies.append(answered - due)
                    due += _HEALTH_INTERVAL

    with ThreadPoolExecutor(max_workers=1) as checker:
        checking = checker.submit(check)
        try:
            yield latencies
        finally:
            over.set()
        checking.result()


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]
