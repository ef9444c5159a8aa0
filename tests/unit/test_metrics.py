"""What readings look like as metric families, seen through prometheus_client's own parsers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from quota_exporter.exposition import Families, Format, encode
from quota_exporter.metrics import (
    EXPORTER_FAMILIES,
    FAMILIES,
    ExporterMetrics,
    GatewayLabels,
    gateway_families,
)
from quota_exporter.quota import (
    Bucket,
    Dropped,
    Failure,
    GatewayStatus,
    KeySource,
    Kind,
    Problem,
    Quota,
    Reading,
    Reason,
)

BOTH = frozenset({"provider_id", "key_source"})
CAMPUS = {"provider_id": "campus", "key_source": "env"}

# DESIGN, written out once more by hand: name -> labels.
PROMISED = {
    "llm_quota_up": BOTH,
    **{
        f"llm_quota_{amount}_{kind}": BOTH | {"bucket"}
        for amount in ("limit", "used", "remaining")
        for kind in ("tokens", "requests", "credits")
    },
    "llm_quota_limit_cost": BOTH | {"bucket", "currency"},
    "llm_quota_used_cost": BOTH | {"bucket", "currency"},
    "llm_quota_remaining_cost": BOTH | {"bucket", "currency"},
    "llm_quota_remaining_ratio": BOTH | {"kind", "bucket"},
    "llm_quota_reset_timestamp_seconds": BOTH | {"kind", "bucket"},
    "llm_quota_window_seconds": BOTH | {"kind", "bucket"},
    "llm_quota_limited": BOTH | {"kind", "bucket"},
    "llm_quota_gateway_info": BOTH | {"label", "mapping", "owner"},
    "llm_quota_key_info": BOTH | {"key_name"},
    "llm_quota_key_expires_timestamp_seconds": BOTH,
    "llm_quota_failure": BOTH | {"reason"},
    "llm_quota_poll_duration_seconds": BOTH,
    "llm_quota_http_status_code": BOTH,
    "llm_quota_last_success_timestamp_seconds": BOTH,
    "llm_quota_alert_threshold_ratio": BOTH | {"severity"},
    "llm_quota_alert_threshold_remaining_tokens": BOTH | {"severity"},
    "llm_quota_alert_threshold_remaining_requests": BOTH | {"severity"},
    "llm_quota_alert_threshold_remaining_cost": BOTH | {"severity"},
    "llm_quota_alert_threshold_remaining_credits": BOTH | {"severity"},
    "llm_quota_mapping_problems": BOTH | {"problem"},
    "llm_quota_polls_total": frozenset({"provider_id"}),
    "llm_quota_poll_failures_total": frozenset({"provider_id", "reason"}),
}
PROMISED_OF_EXPORTER = {
    "quota_exporter_build_info": frozenset({"version"}),
    "quota_exporter_config_last_reload_successful": frozenset(),
    "quota_exporter_config_last_reload_success_timestamp_seconds": frozenset(),
    "quota_exporter_scrapes_in_flight": frozenset(),
    "quota_exporter_scrape_duration_seconds": frozenset(),
    "quota_exporter_gateways": frozenset(),
    "quota_exporter_insecure_tls_gateways": frozenset(),
}

Series = tuple[str, frozenset[tuple[str, str]]]


def labels_of(**changes: object) -> GatewayLabels:
    values = {"provider_id": "campus", "label": "Campus", "mapping": "neutral", "owner": "ml-platform"}
    return GatewayLabels(**{**values, **changes})  # type: ignore[arg-type]  # the test gives what the field takes


def quota_of(*buckets: Bucket, **changes: object) -> Quota:
    return Quota(buckets, **changes)  # type: ignore[arg-type]  # the test gives what the field takes


def status_of(outcome: Quota | Failure, **changes: object) -> GatewayStatus:
    reading = Reading("campus", KeySource.ENV, 1_700_000_000.0, 0.25, 200, outcome)
    status = GatewayStatus(reading, reading.quota, 1_700_000_000.0 if reading.quota else None, polls=1)
    return replace(status, **changes)  # type: ignore[arg-type]  # the test gives what the field takes


def samples_in(families: Iterable[Metric]) -> list[Sample]:
    return [sample for family in families for sample in family.samples]


def parse(body: bytes, target: Format) -> list[Metric]:
    if target is Format.TEXT:
        return list(parse_text(body.decode()))
    return list(parse_openmetrics(body.decode()))  # type: ignore[no-untyped-call]  # not annotated there


def series_in(families: list[Metric]) -> dict[Series, float]:
    """Samples by series after a round trip through each format, which must agree and repeat nothing."""
    per_format = []
    for target in Format:
        samples = samples_in(parse(encode([Families(families)], target), target))
        series = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
        assert len(series) == len(samples)
        assert {sample.timestamp for sample in samples} <= {None}
        per_format.append(series)
    assert per_format[0] == per_format[1]
    return per_format[0]


def scrape(status: GatewayStatus, labels: GatewayLabels | None = None, *, counters: bool = True) -> dict[Series, float]:
    return series_in(gateway_families([(labels or labels_of(), status)], counters=counters))


def values_of(series: dict[Series, float], name: str) -> dict[frozenset[tuple[str, str]], float]:
    """Values of one family by the labels that it has beside provider_id and key_source."""
    return {
        frozenset((key, value) for key, value in labels if key not in BOTH): number
        for (family, labels), number in series.items()
        if family == name
    }


def only(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


FULL_BUCKETS = tuple(
    Bucket(
        kind,
        "default",
        "USD" if kind is Kind.COST else None,
        limit=100.0,
        used=25.0,
        remaining=75.0,
        limited=True,
        resets_at=1_800_000_000.0,
        window_seconds=86400.0,
    )
    for kind in Kind
)
FULL_LABELS = labels_of(
    thresholds=(
        ("warning", "ratio", 0.2),
        ("warning", "tokens", 1000.0),
        ("warning", "requests", 10.0),
        ("warning", "cost", 5.0),
        ("critical", "credits", 1.0),
    )
)
FULL_QUOTA = quota_of(
    *FULL_BUCKETS,
    key_name="course-comp318",
    expires_at=1_900_000_000.0,
    dropped=(Dropped(Problem.BAD_TIME, "buckets[0].resets_at"),),
)
# One gateway that reads, one that fails: together they touch every family.
FULL = [
    (FULL_LABELS, status_of(FULL_QUOTA)),
    (
        labels_of(provider_id="broken"),
        replace(
            status_of(Failure(Reason.TLS, "no"), failures=((Reason.TLS, 1),)),
            reading=Reading("broken", KeySource.FILE, 1.0, 0.1, None, Failure(Reason.TLS, "no")),
        ),
    ),
]


def test_table_is_the_promised_one() -> None:
    """The table holds exactly the promised families with the promised labels, each once."""
    assert {family.name: frozenset(family.labels) for family in FAMILIES} == PROMISED
    assert {family.name: frozenset(family.labels) for family in EXPORTER_FAMILIES} == PROMISED_OF_EXPORTER
    assert len(FAMILIES) == len(PROMISED)
    assert len(EXPORTER_FAMILIES) == len(PROMISED_OF_EXPORTER)


def test_types_follow_the_names() -> None:
    """Counters alone end in _total, and what falls back at a reset is a gauge."""
    assert {family.name for family in FAMILIES if family.type == "counter"} == {
        "llm_quota_polls_total",
        "llm_quota_poll_failures_total",
    }
    assert all(family.name.endswith("_total") == (family.type == "counter") for family in FAMILIES)


def test_help_texts_are_sentences() -> None:
    """Every HELP text starts like a sentence, ends like one, and is no other family's."""
    texts = [family.help for family in (*FAMILIES, *EXPORTER_FAMILIES)]
    assert [text for text in texts if not text.endswith(".") or text[0].islower()] == []
    assert len(set(texts)) == len(texts)


def test_help_tells_of_min_interval() -> None:
    """HELP of each family that shows a poll's result says that it may be older than the scrape."""
    aged = {family.name for family in FAMILIES if "min_interval" in family.help}
    from_config = {name for name in PROMISED if "alert_threshold" in name or name.endswith("gateway_info")}
    counted = {name for name in PROMISED if name.endswith("_total")}
    assert aged == set(PROMISED) - from_config - counted - {"llm_quota_last_success_timestamp_seconds"}


@pytest.mark.parametrize("target", Format)
def test_exposition_follows_the_table(target: Format) -> None:
    """In both formats a full scrape has every family, in the table's order, with its type, HELP and labels."""
    families = parse(encode([Families(gateway_families(FULL, counters=True))], target), target)
    assert [(family.name, family.type, family.documentation) for family in families] == [
        (family.name.removesuffix("_total"), family.type, family.help) for family in FAMILIES
    ]
    for family, promised in zip(families, FAMILIES, strict=True):
        assert {sample.name for sample in family.samples} == {promised.name}
        assert {frozenset(sample.labels) for sample in family.samples} == {frozenset(promised.labels)}


def test_full_scrape_values() -> None:
    """Each value of a reading arrives in the family that is named after it."""
    series = scrape(status_of(FULL_QUOTA), FULL_LABELS)
    for kind in ("tokens", "requests", "credits"):
        assert values_of(series, f"llm_quota_limit_{kind}") == {only(bucket="default"): 100}
        assert values_of(series, f"llm_quota_used_{kind}") == {only(bucket="default"): 25}
        assert values_of(series, f"llm_quota_remaining_{kind}") == {only(bucket="default"): 75}
    money = only(bucket="default", currency="USD")
    assert values_of(series, "llm_quota_limit_cost") == {money: 100}
    assert values_of(series, "llm_quota_used_cost") == {money: 25}
    assert values_of(series, "llm_quota_remaining_cost") == {money: 75}
    for name, value in {
        "llm_quota_remaining_ratio": 0.75,
        "llm_quota_reset_timestamp_seconds": 1_800_000_000,
        "llm_quota_window_seconds": 86400,
        "llm_quota_limited": 1,
    }.items():
        assert values_of(series, name) == {
            only(kind=kind, bucket="default"): value for kind in ("tokens", "requests", "cost", "credits")
        }
    assert values_of(series, "llm_quota_key_info") == {only(key_name="course-comp318"): 1}
    assert values_of(series, "llm_quota_key_expires_timestamp_seconds") == {only(): 1_900_000_000}
    assert values_of(series, "llm_quota_poll_duration_seconds") == {only(): 0.25}
    assert values_of(series, "llm_quota_http_status_code") == {only(): 200}
    assert values_of(series, "llm_quota_last_success_timestamp_seconds") == {only(): 1_700_000_000}


def test_gauges_carry_both_identities() -> None:
    """Gauges carry provider_id and the key source of the reading; counters provider_id alone."""
    series = scrape(status_of(FULL_QUOTA, failures=((Reason.DNS, 1),)), FULL_LABELS)
    for name, labels in series:
        identity = {key: value for key, value in labels if key in BOTH}
        assert identity == ({"provider_id": "campus"} if name.endswith("_total") else CAMPUS), name


def test_up_with_a_quota() -> None:
    """A reading that is a quota is up 1, with no failure series at all."""
    series = scrape(status_of(quota_of()))
    assert values_of(series, "llm_quota_up") == {only(): 1}
    assert values_of(series, "llm_quota_failure") == {}


def test_failure_removes_the_quota() -> None:
    """A failure is up 0 with its reason and the last success; nothing of a quota is left."""
    failed = status_of(Failure(Reason.UNAUTHORIZED, "refused"), last_success=1_600_000_000.0)
    series = scrape(failed, counters=False)
    assert values_of(series, "llm_quota_up") == {only(): 0}
    assert values_of(series, "llm_quota_failure") == {only(reason="unauthorized"): 1}
    assert values_of(series, "llm_quota_last_success_timestamp_seconds") == {only(): 1_600_000_000}
    assert {name for name, _ in series} == {
        "llm_quota_up",
        "llm_quota_failure",
        "llm_quota_gateway_info",
        "llm_quota_poll_duration_seconds",
        "llm_quota_http_status_code",
        "llm_quota_last_success_timestamp_seconds",
    }


def test_stale_quota_while_down() -> None:
    """A kept quota is shown beside up 0 and the reason, so that nobody takes it for fresh."""
    status = status_of(Failure(Reason.TIMEOUT, "slow"), quota=FULL_QUOTA, last_success=1_600_000_000.0)
    series = scrape(status)
    assert values_of(series, "llm_quota_up") == {only(): 0}
    assert values_of(series, "llm_quota_failure") == {only(reason="timeout"): 1}
    assert values_of(series, "llm_quota_used_tokens") == {only(bucket="default"): 25}
    assert values_of(series, "llm_quota_key_info") == {only(key_name="course-comp318"): 1}


def test_problems_are_those_of_the_reading() -> None:
    """Mapping problems are counted from the reading shown, also a failed one, not from the quota kept."""
    dropped = (
        Dropped(Problem.UNRESOLVED, "a"),
        Dropped(Problem.NOT_A_NUMBER, "b"),
        Dropped(Problem.UNRESOLVED, "c", count=40),
    )
    status = status_of(Failure(Reason.UNEXPECTED_SHAPE, "nothing there", dropped=dropped), quota=FULL_QUOTA)
    assert values_of(scrape(status), "llm_quota_mapping_problems") == {
        only(problem="unresolved"): 41,
        only(problem="not_a_number"): 1,
    }


def test_no_problems_no_series() -> None:
    """A reading that dropped nothing has no mapping problem series."""
    assert values_of(scrape(status_of(quota_of())), "llm_quota_mapping_problems") == {}


def test_nothing_known_is_absent() -> None:
    """Without a reply or a success there is no status code and no time of success, rather than a 0."""
    reading = Reading("campus", KeySource.NONE, 1.0, 0.0, None, Failure(Reason.NO_API_KEY, "no key"))
    series = series_in(gateway_families([(labels_of(), GatewayStatus(reading, None, None))], counters=True))
    none = frozenset({("provider_id", "campus"), ("key_source", "none")})
    assert series == {
        ("llm_quota_up", none): 0,
        ("llm_quota_failure", none | {("reason", "no_api_key")}): 1,
        ("llm_quota_gateway_info", none | only(label="Campus", mapping="neutral", owner="ml-platform")): 1,
        ("llm_quota_poll_duration_seconds", none): 0,
        ("llm_quota_polls_total", frozenset({("provider_id", "campus")})): 0,
    }


def test_zero_is_data() -> None:
    """Amounts of 0 are samples; a limit of 0 has no ratio."""
    series = scrape(status_of(quota_of(Bucket(Kind.TOKENS, "default", limit=0, used=0, remaining=0, limited=True))))
    for amount in ("limit", "used", "remaining"):
        assert values_of(series, f"llm_quota_{amount}_tokens") == {only(bucket="default"): 0}
    assert values_of(series, "llm_quota_remaining_ratio") == {}
    assert values_of(series, "llm_quota_limited") == {only(kind="tokens", bucket="default"): 1}


def test_null_is_absent() -> None:
    """A bucket of which nothing is known has no sample of any kind."""
    series = scrape(status_of(quota_of(Bucket(Kind.COST, "default", "USD"))))
    assert [name for name, labels in series if "bucket" in dict(labels)] == []


def test_unlimited() -> None:
    """Unlimited is limited 0 beside what is used, with no limit, remaining or ratio."""
    series = scrape(status_of(quota_of(Bucket(Kind.COST, "default", "EUR", used=3.5, limited=False))))
    assert values_of(series, "llm_quota_limited") == {only(kind="cost", bucket="default"): 0}
    assert values_of(series, "llm_quota_used_cost") == {only(bucket="default", currency="EUR"): 3.5}
    for name in ("limit_cost", "remaining_cost", "remaining_ratio"):
        assert values_of(series, f"llm_quota_{name}") == {}


def test_overspent_is_not_clamped() -> None:
    """An overspent bucket has a negative rest and a negative ratio."""
    bucket = Bucket(Kind.COST, "default", "USD", limit=4.0, used=5.0, remaining=-1.0, limited=True)
    series = scrape(status_of(quota_of(bucket)))
    assert values_of(series, "llm_quota_remaining_cost") == {only(bucket="default", currency="USD"): -1}
    assert values_of(series, "llm_quota_remaining_ratio") == {only(kind="cost", bucket="default"): -0.25}


def test_ratio_beyond_floats_is_absent() -> None:
    """A ratio too large for a float is absent, never +Inf."""
    bucket = Bucket(Kind.TOKENS, "default", limit=1e-300, remaining=1e300)
    assert values_of(scrape(status_of(quota_of(bucket))), "llm_quota_remaining_ratio") == {}


def test_currencies_stay_apart() -> None:
    """Money of two currencies is two series, neither converted nor summed."""
    series = scrape(
        status_of(quota_of(Bucket(Kind.COST, "usd", "USD", used=1.0), Bucket(Kind.COST, "eur", "EUR", used=2.0)))
    )
    assert values_of(series, "llm_quota_used_cost") == {
        only(bucket="usd", currency="USD"): 1,
        only(bucket="eur", currency="EUR"): 2,
    }


def test_duplicates_first_wins() -> None:
    """Whatever is named twice, bucket, gateway, threshold or reason, the first value is the one exposed."""
    buckets = (Bucket(Kind.TOKENS, "default", used=1.0), Bucket(Kind.TOKENS, "default", used=2.0))
    labels = labels_of(thresholds=(("warning", "ratio", 0.2), ("warning", "ratio", 0.3)))
    status = status_of(quota_of(*buckets), failures=((Reason.DNS, 4), (Reason.DNS, 5)))
    again = status_of(quota_of(Bucket(Kind.TOKENS, "default", used=3.0)), polls=9)
    series = series_in(gateway_families([(labels, status), (labels, again)], counters=True))
    assert values_of(series, "llm_quota_used_tokens") == {only(bucket="default"): 1}
    assert values_of(series, "llm_quota_alert_threshold_ratio") == {only(severity="warning"): 0.2}
    assert values_of(series, "llm_quota_poll_failures_total") == {only(reason="dns"): 4}
    assert values_of(series, "llm_quota_polls_total") == {only(): 1}


def test_thresholds() -> None:
    """Each threshold of the configuration is a gauge of its unit by severity, also while the gateway fails."""
    labels = labels_of(thresholds=(("warning", "ratio", 0.2), ("critical", "ratio", 0.0), ("critical", "cost", 2.0)))
    series = scrape(status_of(Failure(Reason.DNS, "gone")), labels)
    assert values_of(series, "llm_quota_alert_threshold_ratio") == {
        only(severity="warning"): 0.2,
        only(severity="critical"): 0,
    }
    assert values_of(series, "llm_quota_alert_threshold_remaining_cost") == {only(severity="critical"): 2}
    assert values_of(series, "llm_quota_alert_threshold_remaining_tokens") == {}


def test_gateway_info_never_flips() -> None:
    """The info series is the same whether the gateway answers or fails."""
    wanted = {only(label="Campus", mapping="neutral", owner="ml-platform"): 1}
    for outcome in (FULL_QUOTA, Failure(Reason.CONNECT, "refused")):
        assert values_of(scrape(status_of(outcome)), "llm_quota_gateway_info") == wanted


def test_counters_only_when_asked_for() -> None:
    """Counters exist on request alone; failures are counted for the reasons that occurred."""
    status = status_of(quota_of(), polls=7, failures=((Reason.DNS, 2),))
    series = scrape(status, counters=True)
    assert values_of(series, "llm_quota_polls_total") == {only(): 7}
    assert values_of(series, "llm_quota_poll_failures_total") == {only(reason="dns"): 2}
    assert [name for name, _ in scrape(status, counters=False) if name.endswith("_total")] == []


def test_families_without_samples_are_left_out() -> None:
    """No gateways, no families; and no family comes without a sample."""
    assert gateway_families([], counters=True) == []
    assert [family.name for family in gateway_families(FULL[1:], counters=False) if not family.samples] == []


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_a_label(reason: Reason) -> None:
    """Each reason of the closed list is exposed under its own name, as the only one."""
    status = status_of(Failure(reason, "why"), failures=((reason, 1),))
    assert values_of(scrape(status), "llm_quota_failure") == {only(reason=str(reason)): 1}
    assert values_of(scrape(status), "llm_quota_poll_failures_total") == {only(reason=str(reason)): 1}


@pytest.mark.parametrize("source", KeySource)
def test_every_key_source_is_a_label(source: KeySource) -> None:
    """Each key source of the closed list is exposed under its own name."""
    reading = Reading("campus", source, 1.0, 0.0, 200, quota_of())
    series = scrape(GatewayStatus(reading, reading.quota, 1.0))
    up = frozenset({("provider_id", "campus"), ("key_source", str(source))})
    assert series["llm_quota_up", up] == 1


HOSTILE = 'he said "\\n"\n{a="b",c} # HELP x\\\r\n\t\u2028\u202e\x00 1e9'


def test_hostile_text_round_trips() -> None:
    """Quotes, newlines, backslashes and braces in a label arrive as they were and make no second series."""
    labels = labels_of(label=HOSTILE, owner="back\\slash\\", mapping='"')
    quota = quota_of(Bucket(Kind.TOKENS, HOSTILE, used=1.0), key_name="new\nline")
    series = scrape(status_of(quota), labels)
    assert values_of(series, "llm_quota_gateway_info") == {only(label=HOSTILE, owner="back\\slash\\", mapping='"'): 1}
    assert values_of(series, "llm_quota_used_tokens") == {only(bucket=HOSTILE): 1}
    assert values_of(series, "llm_quota_key_info") == {only(key_name="new\nline"): 1}


names = st.one_of(st.sampled_from(["default", "team"]), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
amounts = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.none() | amounts
any_bucket = st.builds(
    Bucket,
    kind=st.sampled_from(Kind),
    name=names,
    currency=st.one_of(st.none(), st.sampled_from(["USD", "EUR"])),
    limit=numbers,
    used=numbers,
    remaining=numbers,
    limited=st.one_of(st.none(), st.booleans()),
    resets_at=numbers,
    window_seconds=numbers,
)


@settings(deadline=None)
@given(
    labels=st.builds(
        GatewayLabels,
        provider_id=st.sampled_from(["a", "b"]),
        label=names,
        mapping=names,
        owner=names,
        thresholds=st.lists(st.tuples(names, st.sampled_from(["ratio", *Kind]), amounts), max_size=3).map(tuple),
    ),
    quota=st.builds(
        Quota,
        buckets=st.lists(any_bucket, max_size=5).map(tuple),
        key_name=st.one_of(st.none(), names),
        expires_at=numbers,
    ),
)
def test_any_quota_can_be_exposed(labels: GatewayLabels, quota: Quota) -> None:
    """Whatever buckets and labels hold, both formats parse, agree, repeat no series and hold finite numbers."""
    families = gateway_families([(labels, status_of(quota)), (labels, status_of(quota))], counters=True)
    values = series_in(families).values()
    assert [value for value in values if not math.isfinite(value)] == []


def own_value(metrics: ExporterMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_exporter_families_follow_the_table() -> None:
    """The exporter's own registry holds the table's families with type, HELP and labels, and the process's."""
    exposed = encode([ExporterMetrics("1.2.3").registry], Format.OPENMETRICS)
    families = {family.name: family for family in parse(exposed, Format.OPENMETRICS)}
    own = [family for name, family in families.items() if name.startswith("quota_exporter_")]
    assert {(family.name, family.type, family.documentation) for family in own} == {
        (family.name, family.type, family.help) for family in EXPORTER_FAMILIES
    }
    for family in own:
        labels = PROMISED_OF_EXPORTER[family.name]
        assert {frozenset(sample.labels) - {"le"} for sample in family.samples} == {labels}
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "python_info", "python_gc_collections"} <= set(
        families
    )


@pytest.mark.parametrize("target", Format)
def test_no_created_series(target: Format) -> None:
    """Neither the exporter's families nor the gateways' bring _created series or timestamps."""
    metrics = ExporterMetrics("1.2.3")
    with metrics.scrape():
        gateways = Families(gateway_families(FULL, counters=True))
        exposed = encode([metrics.registry, gateways], target)
    samples = samples_in(parse(exposed, target))
    assert [sample.name for sample in samples if sample.name.endswith("_created")] == []
    assert {sample.timestamp for sample in samples} == {None}


def test_exporters_share_nothing() -> None:
    """Two exporters in one process keep their own values."""
    one, other = ExporterMetrics("1.0"), ExporterMetrics("2.0")
    one.config_loaded(at=5.0, gateways=3, insecure_tls_gateways=1)
    assert own_value(one, "quota_exporter_gateways") == 3
    assert own_value(other, "quota_exporter_gateways") == 0
    assert own_value(one, "quota_exporter_build_info", version="1.0") == 1
    assert own_value(other, "quota_exporter_build_info", version="1.0") is None


def test_config_reload() -> None:
    """A refused configuration clears the success flag alone: time and gateways are those of the one in use."""
    metrics = ExporterMetrics("1.2.3")
    metrics.config_loaded(at=1_700_000_000.5, gateways=12, insecure_tls_gateways=2)
    assert own_value(metrics, "quota_exporter_config_last_reload_successful") == 1
    metrics.config_rejected()
    assert own_value(metrics, "quota_exporter_config_last_reload_successful") == 0
    assert own_value(metrics, "quota_exporter_config_last_reload_success_timestamp_seconds") == 1_700_000_000.5
    assert own_value(metrics, "quota_exporter_gateways") == 12
    assert own_value(metrics, "quota_exporter_insecure_tls_gateways") == 2


def test_scrapes_in_flight() -> None:
    """Scrapes that overlap are in flight together; each is observed once, also when it raises."""
    metrics = ExporterMetrics("1.2.3")

    async def one(both_there: asyncio.Barrier) -> None:
        with metrics.scrape():
            await both_there.wait()
            assert own_value(metrics, "quota_exporter_scrapes_in_flight") == 2
            await both_there.wait()
            raise ValueError

    async def two() -> list[BaseException | None]:
        both_there = asyncio.Barrier(2)
        return list(await asyncio.gather(one(both_there), one(both_there), return_exceptions=True))

    assert [type(ended) for ended in asyncio.run(two())] == [ValueError, ValueError]
    assert own_value(metrics, "quota_exporter_scrapes_in_flight") == 0
    assert own_value(metrics, "quota_exporter_scrape_duration_seconds_count") == 2
    assert own_value(metrics, "quota_exporter_scrape_duration_seconds_bucket", le="+Inf") == 2
