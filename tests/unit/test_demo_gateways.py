"""The demo's gateways keep the contracts they stand for, and move."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx
import pytest
from hypothesis import given, strategies as st

from quota_exporter import demo_gateways as demo
from quota_exporter.config import read_config
from quota_exporter.demo import demo_config, first_words
from quota_exporter.document import parse_yaml
from quota_exporter.files import FileReader
from quota_exporter.mapping import map_reply
from quota_exporter.mapping_language import ReplyMapping, load_mapping
from quota_exporter.presets import load_preset
from quota_exporter.quota import Bucket, Kind, Quota

STARTED = 1_780_000_000.25  # 2026-05-28 20:26:40 UTC
CAMPUS, OPENROUTER, LAB, COSTHELM = demo.GATEWAYS
MIDNIGHT = 1_780_012_800.0  # 2026-05-29 00:00:00 UTC

moments = st.floats(min_value=0, max_value=3 * 86_400).map(lambda passed: STARTED + passed)


def mapping_of(gateway: demo.FakeGateway) -> ReplyMapping:
    if gateway.own_mapping:
        return load_mapping(parse_yaml(gateway.own_mapping, Path("own.yml")))
    return load_preset(gateway.mapping)


def quota_of(gateway: demo.FakeGateway, now: float) -> Quota:
    outcome = map_reply(
        mapping_of(gateway),
        gateway.reply(now, STARTED),
        http_status=200,
        secrets=(gateway.api_key,),
        now=now,
        max_buckets=20,
    )
    assert isinstance(outcome, Quota)
    return outcome


def bucket_of(gateway: demo.FakeGateway, kind: Kind, now: float) -> Bucket:
    return next(bucket for bucket in quota_of(gateway, now).buckets if bucket.kind == kind)


@pytest.mark.parametrize("gateway", demo.GATEWAYS, ids=lambda gateway: gateway.provider_id)
@given(now=moments)
def test_every_reply_maps_without_a_loss(gateway: demo.FakeGateway, now: float) -> None:
    """At any time the gateway's mapping reads the reply, drops nothing and finds amounts that add up."""
    quota = quota_of(gateway, now)

    assert quota.dropped == ()
    for bucket in quota.buckets:
        assert bucket.used is not None
        assert bucket.used >= 0
        if bucket.limited:
            assert bucket.limit is not None
            assert bucket.remaining == pytest.approx(bucket.limit - bucket.used, abs=1e-3)
            assert bucket.resets_at is not None
            assert bucket.resets_at > now


@given(now=moments)
def test_campus_publishes_the_whole_neutral_contract(now: float) -> None:
    """The first gateway shows what an operator may publish: exactly the members of the neutral contract."""
    reply = demo.campus_reply(now, STARTED)

    assert set(reply) == {"key", "tokens", "cost"}
    assert set(reply["tokens"]) == {"limit", "used", "remaining", "resets_at"}
    assert set(reply["cost"]) == {"currency", "limit", "used", "remaining", "resets_at"}
    assert all(isinstance(reply["tokens"][member], int) for member in ("limit", "used", "remaining"))
    assert reply["tokens"]["remaining"] == reply["tokens"]["limit"] - reply["tokens"]["used"]


def test_campus_grows_by_the_second_and_falls_back_when_it_said() -> None:
    """Usage grows from scrape to scrape until the announced reset, where it is 0 again."""
    seen = [bucket_of(CAMPUS, Kind.TOKENS, STARTED + second) for second in range(0, 270, 5)]
    used = [bucket.used for bucket in seen if bucket.used is not None]

    assert used == sorted(set(used))
    assert len(used) == 54
    assert used[0] == pytest.approx(450_000, abs=5_000)
    assert used[-1] == pytest.approx(4_430_000, abs=5_000)
    (resets_at,) = {bucket.resets_at for bucket in seen}
    assert resets_at == 1_780_000_270
    after = bucket_of(CAMPUS, Kind.TOKENS, resets_at)
    assert (after.used, after.resets_at) == (0, resets_at + 300)


def test_campus_sinks_below_its_warning_threshold() -> None:
    """A visitor who waits one window sees a warning come and go."""
    seen = [bucket_of(CAMPUS, Kind.TOKENS, STARTED + second).remaining_ratio for second in range(300)]
    ratios = [ratio for ratio in seen if ratio is not None]

    assert (min(ratios), max(ratios)) == pytest.approx((0.1, 1), abs=0.01)


def test_openrouter_spends_by_the_day() -> None:
    """What is used of the daily limit grows with time, follows limit and remaining, and is 0 at UTC midnight."""
    first, later, last, midnight = (
        bucket_of(OPENROUTER, Kind.COST, now) for now in (STARTED, STARTED + 15, MIDNIGHT - 1, MIDNIGHT)
    )

    assert first.used is not None
    assert later.used is not None
    assert last.used is not None
    assert later.used - first.used == pytest.approx(15 * 375 / 86_400, abs=1e-3)
    assert last.used == pytest.approx(375, abs=0.01)
    assert (midnight.used, midnight.remaining, midnight.limit) == (0, 500, 500)
    assert (first.resets_at, midnight.resets_at) == (MIDNIGHT, MIDNIGHT + 86_400)
    assert first.window_seconds == 86_400


@given(now=moments)
def test_openrouter_has_the_traps_of_the_real_one(now: float) -> None:
    """`usage` is far above the limit because it is lifetime, and the masked key in `label` becomes no name."""
    data = demo.openrouter_reply(now, STARTED)["data"]

    assert data["usage"] > 10 * data["limit"]
    assert demo.openrouter_reply(now + 60, STARTED)["data"]["usage"] > data["usage"]
    assert data["label"] == "sk-or-v1-dem...key"
    assert quota_of(OPENROUTER, now).key_name is None


@given(now=moments)
def test_lab_is_nearly_exhausted(now: float) -> None:
    """The third gateway never has more than 6 % of its money left, and its tokens are unlimited."""
    cost, tokens = bucket_of(LAB, Kind.COST, now), bucket_of(LAB, Kind.TOKENS, now)

    assert cost.currency == "EUR"
    assert cost.remaining_ratio is not None
    assert -0.01 <= cost.remaining_ratio <= 0.06
    assert (tokens.limited, tokens.limit, tokens.remaining) == (False, None, None)


def test_lab_is_overspent_before_its_reset() -> None:
    """In each window the lab's money falls from 6 % of the limit to below 0, then starts again."""
    resets_at = bucket_of(LAB, Kind.COST, STARTED).resets_at
    assert resets_at is not None
    ratios = [bucket_of(LAB, Kind.COST, resets_at + second).remaining_ratio for second in (0, 120, 239, 240)]

    assert ratios == pytest.approx([0.06, 0.025, -0.0097, 0.06], abs=1e-4)


def test_lab_fails_ten_seconds_of_every_seventy() -> None:
    """The outage comes at the same times in each cycle, and not in the first minute, when gauges are shown."""
    down = [second for second in range(140) if demo.lab_fails(STARTED + second, STARTED)]

    assert down == [*range(60, 70), *range(130, 140)]


@pytest.mark.parametrize("interval", [5, 10, 15, 30, 60])
def test_lab_outage_is_met_by_any_usual_scrape_interval(interval: int) -> None:
    """Whatever the interval and its offset, scrapes of half an hour meet the outage and the time between."""
    for offset in range(interval):
        scrapes = range(offset, offset + 1800, interval)
        met = {demo.lab_fails(STARTED + second, STARTED) for second in scrapes}
        assert met == {True, False}


@given(now=moments)
def test_costhelm_has_the_reply_of_the_documentation(now: float) -> None:
    """The fourth gateway answers with exactly the members that docs/mappings.md maps, at its month's budget."""
    reply = demo.costhelm_reply(now, STARTED)

    assert set(reply) == {"limit_usd", "spent_usd", "remaining_usd", "period_start", "period"}
    assert reply["period"] == "monthly"
    (bucket,) = quota_of(COSTHELM, now).buckets
    assert (bucket.kind, bucket.currency, bucket.limit) == (Kind.COST, "USD", 40_000)


def test_costhelm_spends_by_the_month() -> None:
    """What is used grows within seconds, is three quarters at the end of the UTC month, and 0 at the next."""
    june = 1_780_272_000.0  # 2026-06-01 00:00:00 UTC
    first, later, last, june_first = (
        bucket_of(COSTHELM, Kind.COST, now) for now in (STARTED, STARTED + 5, june - 1, june)
    )

    assert first.used is not None
    assert later.used is not None
    assert later.used > first.used
    assert last.used == pytest.approx(30_000, abs=0.02)
    assert (june_first.used, june_first.remaining) == (0, 40_000)
    assert (first.resets_at, june_first.resets_at) == (june, june + 30 * 86_400)
    assert (first.window_seconds, june_first.window_seconds) == (31 * 86_400, 30 * 86_400)


def answer(gateway: demo.FakeGateway, now: float, headers: dict[str, str]) -> httpx.Response:
    async def ask() -> httpx.Response:
        app = demo.gateway_app(gateway, started=STARTED, wall=lambda: now)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway.local", headers=headers
        ) as client:
            return await client.get(gateway.base_path + gateway.quota_path)

    return asyncio.run(ask())


@pytest.mark.parametrize("gateway", demo.GATEWAYS, ids=lambda gateway: gateway.provider_id)
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "demo-campus-key", "Bearer "])
def test_a_wrong_key_is_refused(gateway: demo.FakeGateway, authorization: str | None) -> None:
    """Without `Bearer` and the demo's key there is a 401 in JSON, which does not tell the key."""
    headers = {} if authorization is None else {"Authorization": authorization}
    response = answer(gateway, STARTED, headers)

    assert response.status_code == 401
    assert response.json() == {"error": {"message": "this is not the API key of this demo gateway"}}
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("gateway", demo.GATEWAYS, ids=lambda gateway: gateway.provider_id)
def test_the_right_key_gets_the_reply_of_the_moment(gateway: demo.FakeGateway) -> None:
    """The application answers with the reply for its clock's time."""
    response = answer(gateway, STARTED + 7, {"Authorization": f"Bearer {gateway.api_key}"})

    assert response.status_code == 200
    assert response.json() == gateway.reply(STARTED + 7, STARTED)


def test_the_lab_answers_503_in_its_outage() -> None:
    """The failure is an HTTP 503 with a message in JSON, as a gateway behind a proxy gives it."""
    response = answer(LAB, STARTED + 65, {"Authorization": f"Bearer {LAB.api_key}"})

    assert response.status_code == 503
    assert response.json() == {"error": {"message": "this demo gateway is out of order for a moment"}}


def test_all_gateways_serve_on_loopback_while_the_context_lasts() -> None:
    """Each gateway answers on a port of its own of 127.0.0.1; afterwards nothing listens there."""

    async def visit() -> None:
        async with demo.fake_gateways(wall=lambda: STARTED) as base_urls, httpx.AsyncClient() as client:
            assert list(base_urls) == ["campus", "openrouter-like", "lab", "costhelm"]
            assert len({httpx.URL(url).port for url in base_urls.values()}) == 4
            urls = {gateway: base_urls[gateway.provider_id] + gateway.quota_path for gateway in demo.GATEWAYS}
            for gateway, url in urls.items():
                assert httpx.URL(url).host == "127.0.0.1"
                reply = await client.get(url, headers={"Authorization": f"Bearer {gateway.api_key}"})
                assert reply.json() == gateway.reply(STARTED, STARTED)
                assert (await client.get(url)).status_code == 401
        async with httpx.AsyncClient() as client:
            for url in urls.values():
                with pytest.raises(httpx.ConnectError):
                    await client.get(url)

    asyncio.run(visit())


def test_the_gateways_leave_signals_alone() -> None:
    """Ctrl+C and SIGTERM stay with the program around the gateways."""

    def handlers() -> list[object]:
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async def visit() -> None:
        before = handlers()
        async with demo.fake_gateways() as base_urls, httpx.AsyncClient() as client:
            assert (await client.get(base_urls["campus"])).status_code == 404
            assert handlers() == before

    asyncio.run(visit())


def test_an_error_inside_ends_the_gateways_and_comes_out_as_it_is() -> None:
    """What fails while the gateways serve is not wrapped, and leaves no port open."""
    ports: list[str] = []

    async def fail() -> None:
        async with demo.fake_gateways() as base_urls:
            ports.extend(base_urls.values())
            raise LookupError("the exporter has a bug")

    with pytest.raises(LookupError, match="the exporter has a bug"):
        asyncio.run(fail())
    with pytest.raises(httpx.ConnectError):
        httpx.get(ports[0])


def test_the_config_is_one_that_the_exporter_accepts(tmp_path: Path) -> None:
    """The demo's config has no problem, leaves OpenCode alone, maps one gateway itself, and names keys and owners."""
    urls = {gateway.provider_id: f"http://127.0.0.1:4001{gateway.base_path}" for gateway in demo.GATEWAYS}
    path = tmp_path / "demo.yml"
    path.write_text(demo_config(urls), encoding="utf-8")
    config = read_config(path, FileReader())

    assert config.problems == ()
    assert config.options.opencode == "off"
    assert list(config.options.mappings) == ["costhelm"]
    settings = [entry.settings for entry in config.entries]
    assert {entry.provider_id: entry.base_url for entry in settings} == urls
    assert [entry.mapping for entry in settings] == ["neutral", "openrouter", "neutral", "costhelm"]
    assert [entry.owner for entry in settings] == ["ml-platform", "web-team", "vision-lab", "finance"]
    assert [entry.label for entry in settings] == [
        "Campus gateway",
        "Production at OpenRouter",
        "Vision lab",
        "CostHelm",
    ]
    keys = [entry.api_key.get_secret_value() for entry in settings if entry.api_key is not None]
    assert keys == ["demo-campus-key", "sk-or-v1-demo-key", "demo-lab-key", "demo-costhelm-key"]
    warnings = [entry.thresholds.warning for entry in settings]
    assert [None if warning is None else (warning.ratio, warning.cost) for warning in warnings] == [
        (0.2, None),
        (0.2, 50),
        (0.2, None),
        (0.2, None),
    ]


def test_the_first_words_name_everything_there_is_to_see() -> None:
    """The text has the exporter's pages, the gateways, a curl line that works, and a scrape config."""
    urls = {
        gateway.provider_id: f"http://127.0.0.1:400{number}{gateway.base_path}"
        for number, gateway in enumerate(demo.GATEWAYS)
    }
    text = first_words(urls, "http://localhost:9787/")
    lines = text.splitlines()

    for url in ("http://localhost:9787/", "http://localhost:9787/quota_status", "http://localhost:9787/metrics"):
        assert any(line.startswith(f"  {url} ") for line in lines)
    for provider_id, url in urls.items():
        assert any(line.split()[:2] == [provider_id, url] for line in lines)
    assert '  curl -s -H "Authorization: Bearer demo-campus-key" http://127.0.0.1:4000/v1/quota' in lines
    start = lines.index("  - job_name: quota-exporter")
    assert lines[start : start + 4] == [
        "  - job_name: quota-exporter",
        "    scrape_interval: 5s",
        "    static_configs:",
        '      - targets: ["localhost:9787"]',
    ]
    assert text.isascii()
    assert max(map(len, lines)) <= 120
