"""The one table of metric families, by which readings become samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from quota_exporter.quota import Bucket, GatewayStatus, Kind, Quota


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family: its name as Prometheus stores it, its label names in the order of their values."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help: str


def _gauge(name: str, text: str, *labels: str) -> Family:
    return Family(name, "gauge", ("provider_id", "key_source", *labels), text)


def _read(name: str, text: str, *labels: str) -> Family:
    """Gauge of something that a poll found out."""
    return _gauge(name, f"{text} Polled at the scrape, or up to min_interval earlier.", *labels)


def _amounts(kind: Kind, noun: str, *labels: str) -> tuple[Family, ...]:
    limit = f"{noun} that the bucket allows in its period; absent when unlimited or unknown."
    used = f"{noun} used from the bucket since it was last refilled."
    remaining = f"{noun} left in the bucket, negative when overspent; absent when unlimited or unknown."
    return (
        _read(f"llm_quota_limit_{kind}", limit, "bucket", *labels),
        _read(f"llm_quota_used_{kind}", used, "bucket", *labels),
        _read(f"llm_quota_remaining_{kind}", remaining, "bucket", *labels),
    )


def _threshold(name: str, watched: str) -> Family:
    return _gauge(name, f"Configured {watched} below which an alert of this severity is wanted.", "severity")


FAMILIES: Final[tuple[Family, ...]] = (
    _read("llm_quota_up", "1 if the last poll of the gateway read a quota, 0 if it failed."),
    *_amounts(Kind.TOKENS, "Tokens"),
    *_amounts(Kind.REQUESTS, "Requests"),
    *_amounts(Kind.COST, "Money, in units of the labelled currency,", "currency"),
    *_amounts(Kind.CREDITS, "Credits (points that are not money)"),
    _read(
        "llm_quota_remaining_ratio",
        "Share of the bucket's limit that is left, from 1 (all) to 0 (none), negative when overspent.",
        "kind",
        "bucket",
    ),
    _read(
        "llm_quota_reset_timestamp_seconds",
        "Unix time in seconds at which the bucket is refilled.",
        "kind",
        "bucket",
    ),
    _read("llm_quota_window_seconds", "Length of the bucket's period in seconds.", "kind", "bucket"),
    _read(
        "llm_quota_limited",
        "1 if a limit applies to the bucket, 0 if the gateway says unlimited; absent if it does not say.",
        "kind",
        "bucket",
    ),
    _gauge(
        "llm_quota_gateway_info",
        "Always 1; what the configuration calls the gateway, how it is read, whose it is.",
        "label",
        "mapping",
        "owner",
    ),
    _read("llm_quota_key_info", "Always 1; the name that the gateway gives to the API key.", "key_name"),
    _read(
        "llm_quota_key_expires_timestamp_seconds",
        "Unix time in seconds at which the API key expires, where the gateway says.",
    ),
    _read("llm_quota_failure", "1 while the last poll failed for this reason; absent for all others.", "reason"),
    _read("llm_quota_poll_duration_seconds", "Seconds that the last poll took."),
    _read("llm_quota_http_status_code", "Status of the last HTTP reply in the last poll; absent when none came."),
    _gauge(
        "llm_quota_last_success_timestamp_seconds",
        "Unix time in seconds of the last poll that read a quota; absent before the first.",
    ),
    _threshold("llm_quota_alert_threshold_ratio", "llm_quota_remaining_ratio"),
    *(_threshold(f"llm_quota_alert_threshold_remaining_{kind}", f"llm_quota_remaining_{kind}") for kind in Kind),
    _read(
        "llm_quota_mapping_problems",
        "Values that the mapping dropped from the last reply, by what was wrong with them.",
        "problem",
    ),
    Family("llm_quota_polls_total", "counter", ("provider_id",), "Polls since the exporter started."),
    Family(
        "llm_quota_poll_failures_total",
        "counter",
        ("provider_id", "reason"),
        "Polls since the exporter started that read no quota, by reason.",
    ),
)
"""Every family that speaks of gateways, in the order of exposition."""


def _own(name: str, text: str, *labels: str) -> Family:
    return Family(name, "gauge", labels, text)


EXPORTER_FAMILIES: Final[tuple[Family, ...]] = (
    _own("quota_exporter_build_info", "Always 1; the version of the exporter.", "version"),
    _own(
        "quota_exporter_config_last_reload_successful",
        "1 if the last attempt to load the configuration succeeded, 0 if an earlier one is still in use.",
    ),
    _own(
        "quota_exporter_config_last_reload_success_timestamp_seconds",
        "Unix time in seconds at which the configuration in use was loaded.",
    ),
    _own("quota_exporter_scrapes_in_flight", "Scrapes being answered now, this one included."),
    Family(
        "quota_exporter_scrape_duration_seconds",
        "histogram",
        (),
        "Seconds from the arrival of a scrape until its answer was ready.",
    ),
    _own("quota_exporter_gateways", "Gateways in the configuration in use."),
    _own("quota_exporter_insecure_tls_gateways", "Gateways in use whose TLS certificate is not verified."),
)
"""Every family that speaks of the exporter itself."""

_SCRAPE_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds


@dataclass(frozen=True, slots=True)
class GatewayLabels:
    """What the configuration alone says of a gateway; of a key that a gateway lists its alias is the label.

    `label`, `mapping` and `owner` may be empty. `thresholds` holds (severity, unit, value); a unit is `ratio` or
    the value of a `Kind`.
    """

    provider_id: str
    label: str
    mapping: str
    owner: str
    thresholds: tuple[tuple[str, str, float], ...] = ()


class _Series:
    """The samples of one scrape by family: the first value of a series wins, so that none appears twice."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {family.name: {} for family in FAMILIES}

    def add(self, name: str, labels: tuple[str, ...], value: float | None) -> None:
        """Take one sample, unless it has no value."""
        if value is not None:
            self._values[name].setdefault(labels, value)

    def metrics(self) -> list[Metric]:
        """Families that have samples, in the order of the table."""
        return [_metric(family, self._values[family.name]) for family in FAMILIES if self._values[family.name]]


def _metric(family: Family, values: Mapping[tuple[str, ...], float]) -> Metric:
    build = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
    metric = build(family.name, family.help, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric


def gateway_families(gateways: Iterable[tuple[GatewayLabels, GatewayStatus]], *, counters: bool) -> list[Metric]:
    """Families of `FAMILIES` that have samples for these gateways; the counters only if asked for."""
    series = _Series()
    for labels, status in gateways:
        gauges = (labels.provider_id, status.reading.key_source)
        _add_config(series, gauges, labels)
        _add_reading(series, gauges, status)
        if status.quota is not None:
            _add_quota(series, gauges, status.quota)
        if counters:
            _add_counters(series, labels.provider_id, status)
    return series.metrics()


def _add_config(series: _Series, gauges: tuple[str, str], labels: GatewayLabels) -> None:
    series.add("llm_quota_gateway_info", (*gauges, labels.label, labels.mapping, labels.owner), 1)
    for severity, unit, value in labels.thresholds:
        what = unit if unit == "ratio" else f"remaining_{unit}"
        series.add(f"llm_quota_alert_threshold_{what}", (*gauges, severity), value)


def _add_reading(series: _Series, gauges: tuple[str, str], status: GatewayStatus) -> None:
    reading = status.reading
    series.add("llm_quota_up", gauges, reading.quota is not None)
    if reading.failure is not None:
        series.add("llm_quota_failure", (*gauges, reading.failure.reason), 1)
    series.add("llm_quota_poll_duration_seconds", gauges, reading.duration)
    series.add("llm_quota_http_status_code", gauges, reading.http_status)
    series.add("llm_quota_last_success_timestamp_seconds", gauges, status.last_success)
    problems: Counter[str] = Counter()
    for dropped in reading.outcome.dropped:
        problems[dropped.problem] += dropped.count
    for problem, count in problems.items():
        series.add("llm_quota_mapping_problems", (*gauges, problem), count)


def _add_quota(series: _Series, gauges: tuple[str, str], quota: Quota) -> None:
    if quota.key_name is not None:
        series.add("llm_quota_key_info", (*gauges, quota.key_name), 1)
    series.add("llm_quota_key_expires_timestamp_seconds", gauges, quota.expires_at)
    for bucket in quota.buckets:
        _add_bucket(series, gauges, bucket)


def _add_bucket(series: _Series, gauges: tuple[str, str], bucket: Bucket) -> None:
    kind = bucket.kind
    amount = (*gauges, bucket.name, bucket.currency or "") if kind is Kind.COST else (*gauges, bucket.name)
    series.add(f"llm_quota_limit_{kind}", amount, bucket.limit)
    series.add(f"llm_quota_used_{kind}", amount, bucket.used)
    series.add(f"llm_quota_remaining_{kind}", amount, bucket.remaining)
    other = (*gauges, kind, bucket.name)
    series.add("llm_quota_remaining_ratio", other, bucket.remaining_ratio)
    series.add("llm_quota_reset_timestamp_seconds", other, bucket.resets_at)
    series.add("llm_quota_window_seconds", other, bucket.window_seconds)
    series.add("llm_quota_limited", other, bucket.limited)


def _add_counters(series: _Series, provider_id: str, status: GatewayStatus) -> None:
    series.add("llm_quota_polls_total", (provider_id,), status.polls)
    for reason, count in status.failures:
        series.add("llm_quota_poll_failures_total", (provider_id, reason), count)


class ExporterMetrics:
    """What one exporter says of itself and its process, in a registry of its own."""

    def __init__(self, version: str) -> None:
        # The library keeps this choice for the whole process: asking again changes nothing.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # not annotated there
        self.registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        prometheus_client.PlatformCollector(registry=self.registry)
        prometheus_client.GCCollector(registry=self.registry)
        self._gauges = {
            family.name: prometheus_client.Gauge(family.name, family.help, family.labels, registry=self.registry)
            for family in EXPORTER_FAMILIES
            if family.type == "gauge"
        }
        (self._durations,) = (
            prometheus_client.Histogram(family.name, family.help, registry=self.registry, buckets=_SCRAPE_BUCKETS)
            for family in EXPORTER_FAMILIES
            if family.type == "histogram"
        )
        self._gauges["quota_exporter_build_info"].labels(version).set(1)

    def config_loaded(self, *, at: float, gateways: int, insecure_tls_gateways: int) -> None:
        """Note that a configuration came into use at the Unix time `at`, with what it holds."""
        self._gauges["quota_exporter_config_last_reload_successful"].set(1)
        self._gauges["quota_exporter_config_last_reload_success_timestamp_seconds"].set(at)
        self._gauges["quota_exporter_gateways"].set(gateways)
        self._gauges["quota_exporter_insecure_tls_gateways"].set(insecure_tls_gateways)

    def config_rejected(self) -> None:
        """Note that a configuration could not be loaded; the one in use stays."""
        self._gauges["quota_exporter_config_last_reload_successful"].set(0)

    @contextmanager
    def scrape(self) -> Iterator[None]:
        """Count what happens inside as one scrape in flight, then observe how long it took."""
        with self._gauges["quota_exporter_scrapes_in_flight"].track_inprogress(), self._durations.time():
            yield
