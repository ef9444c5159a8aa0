"""Content negotiation, and the bytes that a scraper receives."""

from __future__ import annotations

import gzip
import time

import pytest
from hypothesis import given, strategies as st
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from quota_exporter.exposition import Families, Format, accepts_gzip, choose_format, compress, encode

OPENMETRICS = "application/openmetrics-text"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7," + PROMETHEUS_3
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def gauge(name: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(name, f"The value of {name}.", labels=tuple(labels))
    family.add_metric(tuple(labels.values()), value)
    return family


def test_content_types() -> None:
    """A format's value is the exact Content-Type of its version."""
    assert [str(target) for target in Format] == [
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ]


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2,
        PROMETHEUS_3,
        PROMETHEUS_PROTOBUF,
        OPENMETRICS,
        f"{OPENMETRICS}; version=1.0.0; charset=utf-8",
        f'{OPENMETRICS}; version="1.0.0"',
        f"{OPENMETRICS};version=0.0.1",
        f"{OPENMETRICS.upper()} ; VERSION=1.0.0 ; Q=1.000",
        f"{OPENMETRICS}, text/plain",
        f"text/plain, {OPENMETRICS}",
        f"text/plain;q=0.5, {OPENMETRICS};q=0.6",
        f"*/*;q=0.1, {OPENMETRICS};q=0.2",
        f"text/plain;q=0, {OPENMETRICS};q=0.001",
        f"text/html;q=1, {OPENMETRICS};q=0.5",
        f", ,{OPENMETRICS},",
        f"{OPENMETRICS};version=2.0.0, {OPENMETRICS};version=1.0.0;q=0.9",
    ],
)
def test_openmetrics_for_those_who_name_it(accept: str) -> None:
    """OpenMetrics is chosen when it is named and nothing that we write is wanted more."""
    assert choose_format(accept) is Format.OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/*",
        "text/*",
        "text/plain",
        "text/plain;version=0.0.4",
        "text/plain;version=1.0.0;escaping=allow-utf-8",
        "application/json",
        BROWSER,
        f"{OPENMETRICS};q=0",
        f"{OPENMETRICS};Q=0",
        f"{OPENMETRICS};VERSION=2.0.0",
        f"{OPENMETRICS};q=0.000, */*",
        f"{OPENMETRICS};q=0.4, text/plain;version=0.0.4;q=0.5",
        f"{OPENMETRICS};q=0.4, text/*;q=0.5",
        f"{OPENMETRICS};q=0.4, */*",
        f"{OPENMETRICS};version=2.0.0",
        f"{OPENMETRICS};version=1.0.0;q=0, {OPENMETRICS}",
        "application/openmetrics-text2",
        'text/x; note="application/openmetrics-text, application/openmetrics-text"',
    ],
)
def test_text_for_everybody_else(accept: str | None) -> None:
    """Text is chosen when OpenMetrics is not named, is excluded, or is wanted less."""
    assert choose_format(accept) is Format.TEXT


@pytest.mark.parametrize(
    "accept",
    [
        f"{OPENMETRICS};q=2",
        f"{OPENMETRICS};q=-1",
        f"{OPENMETRICS};q=nan",
        f"{OPENMETRICS};q=1e0",
        f"{OPENMETRICS};q=",
        f"{OPENMETRICS};q=\u0661",
        f'{OPENMETRICS};version="1.0.0',
        f"{OPENMETRICS} text/plain",
        f"{OPENMETRICS}, @",
        f"{OPENMETRICS}/x",
        f"{OPENMETRICS}\n",
    ],
)
def test_malformed_accept_gets_text(accept: str) -> None:
    """An Accept that breaks the grammar of HTTP gets text, whatever it names."""
    assert choose_format(accept) is Format.TEXT


@given(st.text(alphabet='aq01.*/;,="\\ \t-@é', max_size=40) | st.text())
def test_any_accept_has_a_format(accept: str) -> None:
    """No header is too odd to be answered."""
    assert choose_format(accept) in Format
    assert accepts_gzip(accept) in {True, False}


@pytest.mark.parametrize(
    "hostile",
    [
        "a/b" + "; " * 20_000 + "@",
        "a/b;" + "c=d ; " * 10_000 + "@",
        "a/b;" + " " * 60_000 + "@",
        'a/b;c="' + "\\a" * 30_000,
        "a" * 60_000 + "@",
    ],
)
def test_hostile_header_is_read_in_linear_time(hostile: str) -> None:
    """A header of 64 KiB made to confuse the parser is done with at once (it would take hours otherwise)."""
    started = time.process_time()
    assert choose_format(hostile) is Format.TEXT
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "accept_encoding", ["gzip", "GZIP", "x-gzip", "*", "deflate, gzip;q=0.001", "br;q=1, *;q=0.1", "identity, gzip"]
)
def test_gzip_accepted(accept_encoding: str) -> None:
    """Gzip is used when it is named, or `*` stands for it, with a q above 0."""
    assert accepts_gzip(accept_encoding) is True


@pytest.mark.parametrize(
    "accept_encoding",
    [None, "", "identity", "br", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "gzip2", "gzip;q=x", "gzip gzip"],
)
def test_gzip_refused(accept_encoding: str | None) -> None:
    """Gzip is not used when it is not named, has q=0 even beside `*`, or the header is malformed."""
    assert accepts_gzip(accept_encoding) is False


@pytest.mark.parametrize("target", Format)
def test_collectors_follow_each_other(target: Format) -> None:
    """Families of all collectors stand in one exposition, in their order."""
    parse = parse_text if target is Format.TEXT else parse_openmetrics
    one, two = gauge("a_ratio", 0.5), gauge("b_ratio", -2.0, bucket="x")
    body = encode([Families([one]), Families([]), Families([two])], target).decode()
    assert list(parse(body)) == [one, two]


@pytest.mark.parametrize("target", Format)
def test_nothing_is_a_valid_exposition(target: Format) -> None:
    """With no families the body is still one that a scraper accepts."""
    parse = parse_text if target is Format.TEXT else parse_openmetrics
    assert list(parse(encode([], target).decode())) == []


def test_openmetrics_is_as_the_library_writes_it() -> None:
    """The way to encode that skips the escaping of names writes the same bytes as the library's default."""
    counter = CounterMetricFamily("polls_total", 'Polls, "quoted" \\ and\nbroken.', labels=("provider_id",))
    counter.add_metric(('a"\\\n',), 3)
    families = Families([gauge("a_b_ratio", 1e300, kind="tokens"), counter])
    wanted = openmetrics.generate_latest(families)  # type: ignore[no-untyped-call]  # not annotated there
    assert encode([families], Format.OPENMETRICS) == wanted


def test_compress() -> None:
    """Compressed bytes are gzip of the body, and the same ones at any time of day."""
    body = b"llm_quota_up 1\n" * 1000
    packed = compress(body)
    assert gzip.decompress(packed) == body
    assert len(packed) < len(body) / 10
    assert packed[4:8] == bytes(4)
