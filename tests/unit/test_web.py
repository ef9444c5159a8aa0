"""The HTTP surface, asked through ASGI with gateways behind respx."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from quota_exporter import credentials, exporter as exporter_module
from quota_exporter.exporter import Exporter, Sources
from quota_exporter.files import FileReader
from quota_exporter.opencode import OpenCodePaths
from quota_exporter.transport import Route
from quota_exporter.web import pages
from quota_exporter.web.routes import Phase, WebOptions, build_app, scrape_deadline

CONFIG = """
opencode: off
enabled_providers: [a, b.c]
gateways:
  - {provider_id: a, base_url: https://a.example/v1, api_key: key-of-a-0123456789}
  - {provider_id: b.c, base_url: https://b.example, api_key: key-of-b-0123456789, mapping: openrouter}
  - {provider_id: resting, base_url: https://r.example, api_key: key-of-r-0123456789}
"""
NEUTRAL = {"tokens": {"limit": 100, "used": 25, "remaining": 75}}
OPENROUTER = {"data": {"limit": None, "usage": 1.5, "limit_remaining": None, "limit_reset": None}}
PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


class Surface:
    """An exporter with its ASGI app, and the router that stands for its gateways."""

    def __init__(self, config: Path, router: respx.Router, options: WebOptions) -> None:
        self.config = config
        self.router = router
        sources = Sources(config, OpenCodePaths((), ()), {}, FileReader())
        self.exporter = Exporter(sources)
        self.phase = Phase()
        self.app = build_app(self.exporter, options, self.phase)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://exporter")


@pytest.fixture(name="router")
def _router(monkeypatch: pytest.MonkeyPatch) -> respx.Router:
    router = respx.Router(assert_all_called=False)
    router.get("https://a.example/v1/quota", name="a").respond(json=NEUTRAL)
    router.get("https://b.example/key", name="b").respond(json=OPENROUTER)

    def open_transport(_route: Route) -> httpx.MockTransport:
        return httpx.MockTransport(router.async_handler)

    monkeypatch.setattr(exporter_module, "open_transport", open_transport)
    return router


@pytest.fixture(name="ask")
def _ask(tmp_path: Path, router: respx.Router) -> Callable[..., Any]:
    """Runs a coroutine function against a fresh surface."""
    config = tmp_path / "quota-exporter.yml"

    def ask(
        work: Callable[[Surface], Awaitable[Any]],
        options: WebOptions = WebOptions(),  # noqa: B008 - frozen
        gateways: str = CONFIG,
    ) -> Any:
        config.write_text(gateways, encoding="utf-8")

        async def run() -> Any:
            surface = Surface(config, router, options)
            try:
                async with surface.app.router.lifespan_context(surface.app):
                    return await work(surface)
            finally:
                await surface.exporter.close()

        async def run_at_most(seconds: float) -> Any:
            async with asyncio.timeout(seconds):
                return await run()

        return asyncio.run(run_at_most(30))

    return ask


def samples(body: str) -> dict[tuple[str, str], float]:
    """Values by sample name and provider id ("" without one)."""
    families = parse_text(body)
    return {
        (sample.name, sample.labels.get("provider_id", "")): sample.value
        for family in families
        for sample in family.samples
    }


def get(path: str, **options: Any) -> Callable[[Surface], Awaitable[httpx.Response]]:
    return lambda surface: surface.client.get(path, **options)


def test_metrics_shows_exporter_and_all_enabled_gateways(ask: Callable[..., Any]) -> None:
    """/metrics holds every enabled gateway and the exporter's own series, in the text format by default."""
    response = ask(get("/metrics"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(response.text)
    assert found["llm_quota_up", "a"] == 1
    assert found["llm_quota_remaining_tokens", "a"] == 75
    assert found["llm_quota_limited", "b.c"] == 0
    assert found["llm_quota_polls_total", "a"] == 1
    assert found["quota_exporter_gateways", ""] == 2
    assert found["quota_exporter_scrapes_in_flight", ""] == 1
    assert ("process_start_time_seconds", "") in found
    assert not [name for name, _ in found if name.endswith("_created")]
    assert {provider_id for _, provider_id in found} == {"", "a", "b.c"}


def test_prometheus_gets_openmetrics_and_gzip(ask: Callable[..., Any]) -> None:
    """What Prometheus 2.42 asks for is answered in OpenMetrics, compressed, with an end mark."""
    headers = {"Accept": PROMETHEUS_2_42, "Accept-Encoding": "gzip"}

    async def raw(surface: Surface) -> tuple[httpx.Response, bytes]:
        async with surface.client.stream("GET", "/metrics", headers=headers) as response:
            return response, b"".join([chunk async for chunk in response.aiter_raw()])

    response, body = ask(raw)
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["vary"] == "Accept, Accept-Encoding"
    families = parse_openmetrics(gzip.decompress(body).decode())  # type: ignore[no-untyped-call]  # not annotated there
    names = {family.name for family in families}
    assert {"llm_quota_up", "llm_quota_polls", "quota_exporter_build_info"} <= names


@pytest.mark.parametrize(
    ("query", "gateways", "has_exporter"),
    [
        ("provider_id=a", {"a"}, True),
        ("provider_id=b.c&provider_id=a&provider_id=a", {"a", "b.c"}, True),
        ("collect[]=exporter", set(), True),
        ("collect[]=gateways", {"a", "b.c"}, False),
        ("collect[]=gateways&collect[]=exporter&provider_id=a", {"a"}, True),
    ],
)
def test_metrics_can_be_narrowed(ask: Callable[..., Any], query: str, gateways: set[str], has_exporter: bool) -> None:  # noqa: FBT001 - a column of the table
    """provider_id limits the gateways, collect[] chooses a half, and what is left out is not polled."""
    found = samples(ask(get(f"/metrics?{query}")).text)
    assert {provider_id for name, provider_id in found if name == "llm_quota_up"} == gateways
    assert (("quota_exporter_gateways", "") in found) == has_exporter


def test_collect_exporter_polls_nobody(ask: Callable[..., Any], router: respx.Router) -> None:
    """The exporter's own half costs no poll."""
    ask(get("/metrics?collect[]=exporter"))
    assert router["a"].call_count == 0


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/metrics?provider_id=nobody", 400, "no gateway of this id is configured; known: a, b.c"),
        ("/metrics?provider_id=a&provider_id=resting", 400, "disabled by enabled_providers"),
        ("/metrics?collect[]=all", 400, "collect[] must be one of: exporter, gateways"),
        ("/probe", 400, "exactly one of target"),
        ("/probe?target=a&target=b.c", 400, "exactly one of target"),
        ("/probe?target=a&model=a/gpt", 400, "exactly one of target"),
        ("/probe?model=a", 400, "model must be <provider_id>/<model>"),
        ("/probe?target=nobody", 404, "no gateway of this id is configured"),
        ("/probe?target=", 400, "exactly one of target"),
        ("/probe?target=&target=a", 400, "exactly one of target"),
        ("/probe?model=", 400, "model must be <provider_id>/<model>"),
        ("/probe?model=a/", 400, "model must be <provider_id>/<model>"),
        ("/probe?model=/gpt", 400, "model must be <provider_id>/<model>"),
        ("/probe?model=nobody/gpt", 404, "no gateway of this id is configured"),
        ("/probe?target=resting", 404, "disabled by enabled_providers"),
        ("/probe?target=https://evil.example/", 404, "no gateway of this id is configured"),
        ("/quota_status?format=xml", 400, "format must be html or json"),
        ("/nothing", 404, "Not Found"),
    ],
)
def test_wrong_requests_get_a_clear_answer(ask: Callable[..., Any], path: str, status: int, words: str) -> None:
    """A request that cannot be answered gets a 4xx whose text says why, and polls nobody."""
    response = ask(get(path))
    assert response.status_code == status
    assert words in response.text
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/metrics/", "/probe/?target=a", "/-/ready/", "/-/reload/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_slash_at_the_end_is_another_path(ask: Callable[..., Any], method: str, path: str) -> None:
    """No request is redirected: the way would lead to whatever host the request names."""
    response = ask(lambda surface: surface.client.request(method, path, headers={"Host": "evil.example"}))
    assert response.status_code == 404
    assert "location" not in response.headers
    assert "evil" not in response.text


@pytest.mark.parametrize("path", ["/", "/metrics", "/probe", "/quota_status", "/config", "/-/healthy", "/-/ready"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_refused(ask: Callable[..., Any], method: str, path: str) -> None:
    """Another method than GET or HEAD is 405 and names what is allowed."""
    response = ask(lambda surface: surface.client.request(method, path))
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_reload_is_post_only(ask: Callable[..., Any]) -> None:
    """GET /-/reload is 405 and names POST."""
    response = ask(get("/-/reload"), WebOptions(enable_lifecycle=True))
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("query", ["target=a", "model=a/gpt-4.1", "model=a/meta/llama-3"])
def test_probe_shows_one_gateway(ask: Callable[..., Any], query: str) -> None:
    """/probe polls the one gateway and shows its gauges: no counters, no exporter."""
    found = samples(ask(get(f"/probe?{query}")).text)
    assert found["llm_quota_up", "a"] == 1
    assert found["llm_quota_remaining_ratio", "a"] == 0.75
    assert {provider_id for _, provider_id in found} == {"a"}
    assert not [name for name, _ in found if name.endswith("_total")]


def test_probe_of_a_failing_gateway_is_200(ask: Callable[..., Any], router: respx.Router) -> None:
    """A failing gateway is data: 200 with up 0 and the reason."""
    router["a"].respond(401)
    response = ask(get("/probe?target=a"))
    assert response.status_code == 200
    families = parse_text(response.text)
    found = {sample.name: sample for family in families for sample in family.samples}
    assert found["llm_quota_up"].value == 0
    assert found["llm_quota_failure"].labels["reason"] == "unauthorized"
    assert "llm_quota_remaining_tokens" not in found


def test_a_failing_gateway_costs_only_its_own_series(ask: Callable[..., Any], router: respx.Router) -> None:
    """When one gateway fails, the others keep theirs."""
    router["b"].mock(side_effect=httpx.ConnectError("refused"))
    found = samples(ask(get("/metrics")).text)
    assert found["llm_quota_up", "a"] == 1
    assert found["llm_quota_remaining_tokens", "a"] == 75
    assert found["llm_quota_up", "b.c"] == 0


def test_a_slow_gateway_costs_only_its_own_series(ask: Callable[..., Any], router: respx.Router) -> None:
    """At the scrape's deadline a gateway that still hangs shows timeout, and the answer comes in time."""

    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    router["b"].mock(side_effect=hang)

    async def scrape(surface: Surface) -> tuple[httpx.Response, float]:
        started = asyncio.get_running_loop().time()
        response = await surface.client.get("/metrics", headers={"X-Prometheus-Scrape-Timeout-Seconds": "2"})
        return response, asyncio.get_running_loop().time() - started

    response, took = ask(scrape)
    found = samples(response.text)
    assert (found["llm_quota_up", "a"], found["llm_quota_up", "b.c"]) == (1, 0)
    assert took < 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("10", 9.5),
        ("0.6", 0.3),
        ("0.8", 0.4),
        ("2.0", 1.5),
        (None, 9.5),
        ("", 9.5),
        ("0", 9.5),
        ("-3", 9.5),
        ("nan", 9.5),
        ("inf", 9.5),
        ("1e400", 9.5),
        ("ten", 9.5),
        ("1_0", 9.5),
    ],
)
def test_deadline_follows_prometheus(header: str | None, seconds: float) -> None:
    """The deadline is the scrape timeout less the offset, at least half of it; nonsense counts as 10 s."""
    assert scrape_deadline(header, 0.5) == pytest.approx(seconds)


def test_quota_status_as_json(ask: Callable[..., Any]) -> None:
    """/quota_status polls what was never polled, and tells source, sources checked, URL, mapping and reading."""
    status = ask(get("/quota_status?format=json")).json()
    first, second = status["gateways"]
    assert (first["provider_id"], first["key_source"], first["mapping"]) == ("a", "config", "neutral")
    assert (first["base_url"], first["url"]) == ("https://a.example/v1", "https://a.example/v1/quota")
    assert first["checked"] == [{"source": "config", "where": "api_key", "outcome": "found"}]
    assert first["reading"]["ok"] is True
    assert first["reading"]["age_seconds"] >= 0
    assert first["quota"]["buckets"][0]["remaining"] == 75
    assert second["quota"]["buckets"][0]["limited"] is False


def test_quota_status_says_what_to_do(ask: Callable[..., Any], router: respx.Router) -> None:
    """A failure comes with its reason, the reason in words, and what to do."""
    router["a"].respond(404)
    reading = ask(get("/quota_status?format=json")).json()["gateways"][0]["reading"]
    assert (reading["ok"], reading["reason"], reading["http_status"]) == (False, "not_found", 404)
    assert reading["meaning"]
    assert "quota_path" in reading["action"]


def test_quota_status_does_not_poll_again(ask: Callable[..., Any], router: respx.Router) -> None:
    """The page shows the last reading; looking at it costs the gateways nothing."""

    async def look_twice(surface: Surface) -> None:
        await surface.client.get("/quota_status")
        await surface.client.get("/quota_status")

    ask(look_twice)
    assert router["a"].call_count == 1


@pytest.mark.parametrize("path", ["/", "/quota_status", "/config"])
def test_pages_are_html_that_runs_nothing(ask: Callable[..., Any], path: str) -> None:
    """Pages are HTML under a policy that allows no script and no foreign source."""
    response = ask(get(path))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "key-of-a" not in response.text


def test_health_and_readiness(ask: Callable[..., Any]) -> None:
    """Both are 200 while serving; readiness ends with the start of the shutdown, health does not."""

    async def look(surface: Surface) -> list[int]:
        before = [(await surface.client.get(path)).status_code for path in ("/-/healthy", "/-/ready")]
        surface.phase.stopping.set()
        return before + [(await surface.client.get(path)).status_code for path in ("/-/healthy", "/-/ready")]

    assert ask(look) == [200, 200, 200, 503]


def test_the_end_of_the_drain_is_a_503(ask: Callable[..., Any], router: respx.Router) -> None:
    """A scrape that cannot finish before the exporter ends gets 503, never an invented failure."""
    reached = asyncio.Event()

    async def hang(_request: httpx.Request) -> httpx.Response:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    router["a"].mock(side_effect=hang)

    async def end_during_scrape(surface: Surface) -> httpx.Response:
        scrape = asyncio.create_task(surface.client.get("/metrics"))
        await reached.wait()
        surface.phase.over.set()
        return await scrape

    response = ask(end_during_scrape)
    assert response.status_code == 503
    assert "llm_quota" not in response.text


def test_reload_needs_the_flag(ask: Callable[..., Any]) -> None:
    """Without --web.enable-lifecycle POST /-/reload is 403 and says how to reload."""
    response = ask(lambda surface: surface.client.post("/-/reload"))
    assert response.status_code == 403
    assert "--web.enable-lifecycle" in response.text


def test_reload_swaps_to_a_good_config(ask: Callable[..., Any]) -> None:
    """A good config takes over at once, and the counters go on."""

    async def reload(surface: Surface) -> tuple[int, httpx.Response]:
        await surface.client.get("/metrics")
        surface.config.write_text(CONFIG.replace("[a, b.c]", "[a]"), encoding="utf-8")
        status = (await surface.client.post("/-/reload")).status_code
        return status, await surface.client.get("/metrics")

    status, response = ask(reload, WebOptions(enable_lifecycle=True))
    found = samples(response.text)
    assert status == 200
    assert ("llm_quota_up", "b.c") not in found
    assert found["llm_quota_polls_total", "a"] == 2


def test_a_bad_config_leaves_the_good_one_in_force(ask: Callable[..., Any]) -> None:
    """Reloading a broken config is a 5xx with every problem; the last good config and its series stay."""

    async def reload(surface: Surface) -> tuple[httpx.Response, httpx.Response]:
        surface.config.write_text("gateways:\n  - {provider_id: a, base_urll: x}\n", encoding="utf-8")
        answer = await surface.client.post("/-/reload")
        return answer, await surface.client.get("/metrics")

    answer, response = ask(reload, WebOptions(enable_lifecycle=True))
    assert answer.status_code == 500
    assert "quota-exporter.yml:2: gateways[0].base_urll: unknown key; did you mean `base_url`?" in answer.text
    found = samples(response.text)
    assert found["llm_quota_up", "a"] == 1
    assert found["quota_exporter_config_last_reload_successful", ""] == 0


def test_concurrent_scrapes_share_polls(ask: Callable[..., Any], router: respx.Router) -> None:
    """Scrapes that overlap poll each gateway once."""
    gate, polls = asyncio.Event(), []

    async def answer(request: httpx.Request) -> httpx.Response:
        polls.append(request.url)
        await gate.wait()
        return httpx.Response(200, json=NEUTRAL)

    router["a"].mock(side_effect=answer)

    async def scrape_together(surface: Surface) -> list[httpx.Response]:
        scrapes = [asyncio.create_task(surface.client.get("/metrics")) for _ in range(5)]
        in_flight = "quota_exporter_scrapes_in_flight"
        while surface.exporter.metrics.registry.get_sample_value(in_flight) != len(scrapes):  # noqa: ASYNC110 - a gauge
            await asyncio.sleep(0)
        gate.set()
        return list(await asyncio.gather(*scrapes))

    responses = ask(scrape_together)
    assert [samples(response.text)["llm_quota_up", "a"] for response in responses] == [1] * 5
    assert len(polls) == 1


def test_telemetry_path_can_be_moved(ask: Callable[..., Any]) -> None:
    """--web.telemetry-path moves the metrics, and only them."""

    async def look(surface: Surface) -> list[int]:
        return [(await surface.client.get(path)).status_code for path in ("/quota-metrics", "/metrics", "/-/ready")]

    assert ask(look, WebOptions(telemetry_path="/quota-metrics")) == [200, 404, 200]


def test_a_bug_with_one_key_leaves_the_page(ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """When a bug keeps one gateway's key from being found, the status page shows that, and all others."""
    real = credentials.resolve

    def resolve(provider_id: str, *arguments: Any, **options: Any) -> Any:
        if provider_id == "a":
            raise ZeroDivisionError
        return real(provider_id, *arguments, **options)

    monkeypatch.setattr(credentials, "resolve", resolve)
    response = ask(get("/quota_status?format=json"))
    assert response.status_code == 200
    first, second = response.json()["gateways"]
    assert (first["key_source"], first["reading"]["reason"]) == ("none", "internal")
    assert (second["key_source"], second["reading"]["ok"]) == ("config", True)


def test_the_end_gives_up_pages_that_wait(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """At the end the page being rendered is the last one, and the threads end: none holds up the exit."""
    entered, leave = threading.Event(), threading.Event()
    request.addfinalizer(leave.set)
    rendered: list[int] = []

    def slow_page(*_arguments: object) -> str:
        rendered.append(1)
        entered.set()
        leave.wait(30)
        return ""

    monkeypatch.setattr(pages, "config_page", slow_page)
    before = set(threading.enumerate())

    async def end_with_pages_waiting(surface: Surface) -> list[threading.Thread]:
        await surface.client.get("/metrics")
        asked = [asyncio.create_task(surface.client.get("/config")) for _ in range(3)]
        await asyncio.to_thread(entered.wait, 30)
        started = [thread for thread in threading.enumerate() if thread.name.startswith(("encoder", "page-renderer"))]
        assert [request.done() for request in asked] == [False] * 3
        return started

    threads = set(ask(end_with_pages_waiting)) - before
    leave.set()
    for thread in threads:
        thread.join(30)
    assert sorted(thread.name for thread in threads) == ["encoder_0", "page-renderer_0"]
    assert not any(thread.is_alive() for thread in threads)
    assert len(rendered) == 1


def test_an_empty_list_is_served(ask: Callable[..., Any]) -> None:
    """An explicit empty list of gateways is no error: the exporter runs and says so."""

    async def empty(surface: Surface) -> httpx.Response:
        surface.config.write_text("opencode: off\ngateways: []\n", encoding="utf-8")
        await surface.client.post("/-/reload")
        return await surface.client.get("/metrics")

    found = samples(ask(empty, WebOptions(enable_lifecycle=True)).text)
    assert found["quota_exporter_gateways", ""] == 0
    assert not [name for name, _ in found if name.startswith("llm_quota")]


LISTING = """
opencode: off
gateways:
  - {provider_id: a, base_url: https://a.example/v1, api_key: key-of-a-0123456789}
  - provider_id: lite
    base_url: https://lite.example/v1
    api_key: key-of-lite-0123456789
    mapping: litellm-keys
    min_interval: 0s
    owner: ml
    thresholds: {critical: 0.05}
"""
AskKeys = Callable[..., Any]


def keys(*aliases: str, **values: Any) -> dict[str, Any]:
    listed = [{"key_alias": alias, "max_budget": 10.0, "spend": 4.0, **values} for alias in aliases]
    return {"keys": listed, "total_count": len(listed)}


@pytest.fixture(name="ask_keys")
def _ask_keys(ask: Callable[..., Any], router: respx.Router) -> AskKeys:
    """Runs against a surface whose gateway `lite` lists the keys "ci bot" and alice."""
    router.get(url__startswith="https://lite.example/key/list", name="lite").respond(json=keys("ci bot", "alice"))
    return lambda work: ask(work, gateways=LISTING)


def ids_in(body: str) -> list[str]:
    """Provider ids in the order in which `llm_quota_up` has them."""
    samples_of_up = (family.samples for family in parse_text(body) if family.name == "llm_quota_up")
    return [sample.labels["provider_id"] for samples in samples_of_up for sample in samples]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["a", "lite", "lite:alice", "lite:ci bot"]),
        ("?provider_id=lite", ["lite", "lite:alice", "lite:ci bot"]),
        ("?provider_id=lite:ci%20bot", ["lite:ci bot"]),
        ("?provider_id=lite:alice&provider_id=a", ["lite:alice", "a"]),
    ],
)
def test_metrics_shows_keys_after_their_gateway(ask_keys: AskKeys, query: str, shown: list[str]) -> None:
    """/metrics has each key that a gateway lists right after it; narrowed to a gateway it has its keys too."""
    assert ids_in(ask_keys(get(f"/metrics{query}")).text) == shown


def test_labels_of_keys(ask_keys: AskKeys) -> None:
    """A key has its alias for a label, and mapping, owner, key source and thresholds of its gateway."""
    families = {family.name: family.samples for family in parse_text(ask_keys(get("/metrics")).text)}

    def of(family: str) -> dict[str, str]:
        (sample,) = [one for one in families[family] if one.labels["provider_id"] == "lite:ci bot"]
        return {name: value for name, value in sample.labels.items() if name != "provider_id"}

    info = {"label": "ci bot", "mapping": "litellm-keys", "owner": "ml", "key_source": "config"}
    assert of("llm_quota_gateway_info") == info
    assert of("llm_quota_alert_threshold_ratio") == {"key_source": "config", "severity": "critical"}
    assert of("llm_quota_remaining_cost") == {"key_source": "config", "bucket": "key", "currency": "USD"}


@pytest.mark.parametrize(
    ("target", "shown"), [("lite", ["lite"]), ("lite:ci%20bot", ["lite:ci bot"]), ("a", ["a"])], ids=str
)
def test_probe_shows_one_key_or_its_gateway(ask_keys: AskKeys, target: str, shown: list[str]) -> None:
    """/probe shows exactly what it names: a gateway without its keys, or one key, also when nothing was polled yet."""
    response = ask_keys(get(f"/probe?target={target}"))
    assert (response.status_code, ids_in(response.text)) == (200, shown)
    assert not [name for name, _ in samples(response.text) if name.endswith("_total")]


def test_probe_of_a_key_by_model(ask_keys: AskKeys) -> None:
    """A key can be named before a model as a gateway can."""
    assert ids_in(ask_keys(get("/probe?model=lite:alice/gpt-4.1")).text) == ["lite:alice"]


@pytest.mark.parametrize(
    ("provider_id", "words"),
    [
        ("a:alice", "a lists no keys: its mapping neutral has no `children`"),
        ("nobody:alice", "no gateway of this id is configured; known: a, lite"),
    ],
)
def test_keys_of_no_list_get_a_clear_answer(ask_keys: AskKeys, provider_id: str, words: str) -> None:
    """A key of a gateway that lists none is 404 for a probe and 400 for /metrics, in words that do not repeat it."""

    async def look(surface: Surface) -> list[httpx.Response]:
        paths = (f"/probe?target={provider_id}", f"/metrics?provider_id=a&provider_id={provider_id}")
        return [await surface.client.get(path) for path in paths]

    responses = ask_keys(look)
    assert [response.status_code for response in responses] == [404, 400]
    assert all(words in response.text for response in responses)
    assert not any("nobody" in response.text for response in responses)


@pytest.mark.parametrize("alias", ["nobody", "", "sk-4f9a1c7e2b8d6035af17"])
def test_key_that_a_list_lacks(ask_keys: AskKeys, alias: str) -> None:
    """A key that the list does not hold (any more) is 404 for a probe; /metrics shows what else was asked for."""

    async def look(surface: Surface) -> list[httpx.Response]:
        paths = (f"/probe?target=lite:{alias}", f"/metrics?provider_id=a&provider_id=lite:{alias}")
        return [await surface.client.get(path) for path in paths]

    probe, scrape = ask_keys(look)
    assert (probe.status_code, probe.text) == (404, "lite lists no key of this id; known: lite:alice, lite:ci bot\n")
    assert (scrape.status_code, ids_in(scrape.text)) == (200, ["a"])


def test_many_keys_of_a_list_are_not_all_named(ask_keys: AskKeys, router: respx.Router) -> None:
    """What is known is named up to a bound."""
    router["lite"].respond(json=keys(*(f"key-{number:02}" for number in range(23))))
    response = ask_keys(get("/probe?target=lite:nobody"))
    assert response.text.endswith("lite:key-18, lite:key-19, and 3 more\n")


def test_key_of_a_list_that_was_never_read(ask_keys: AskKeys, router: respx.Router) -> None:
    """While the list could not be read yet, as in an outage after a restart, a key asked for is up 0 for its reason."""
    router["lite"].respond(500)

    async def look(surface: Surface) -> list[httpx.Response]:
        paths = ("/metrics?provider_id=a&provider_id=lite:alice", "/probe?target=lite:alice")
        return [await surface.client.get(path) for path in paths]

    responses = ask_keys(look)
    for response, shown in zip(responses, (["a", "lite:alice"], ["lite:alice"]), strict=True):
        assert (response.status_code, ids_in(response.text)) == (200, shown)
        assert samples(response.text)["llm_quota_up", "lite:alice"] == 0
        reasons = [
            sample.labels["reason"]
            for family in parse_text(response.text)
            for sample in family.samples
            if sample.name == "llm_quota_failure"
        ]
        assert reasons == ["server_error"]


def test_what_may_be_a_key_is_no_series_of_a_list_never_read(ask_keys: AskKeys, router: respx.Router) -> None:
    """A key in place of an alias never reaches a label, also while nobody knows the list."""
    router["lite"].respond(500)
    canary = "sk-4f9a1c7e2b8d6035af17"

    async def look(surface: Surface) -> list[httpx.Response]:
        return [await surface.client.get(f"/{path}=lite:{canary}") for path in ("probe?target", "metrics?provider_id")]

    responses = ask_keys(look)
    assert [response.status_code for response in responses] == [404, 200]
    assert not any(canary in response.text for response in responses)


def test_probe_of_a_key_whose_list_fails(ask_keys: AskKeys, router: respx.Router) -> None:
    """A key once known stays a target when its list fails: 200 with up 0. One that is deleted is 404."""

    async def look(surface: Surface) -> list[httpx.Response]:
        responses = [await surface.client.get("/probe?target=lite:alice")]
        router["lite"].respond(401)
        responses.append(await surface.client.get("/probe?target=lite:alice"))
        router["lite"].respond(json=keys("ci bot"))
        surface.exporter.generation.fleet._monotonic = lambda: 1e9
        return [*responses, await surface.client.get("/probe?target=lite:alice")]

    well, failing, gone = ask_keys(look)
    assert [response.status_code for response in (well, failing, gone)] == [200, 200, 404]
    assert samples(well.text)["llm_quota_up", "lite:alice"] == 1
    assert samples(failing.text)["llm_quota_up", "lite:alice"] == 0
    assert samples(failing.text)["llm_quota_failure", "lite:alice"] == 1


def test_probes_of_many_keys_share_a_list(ask_keys: AskKeys, router: respx.Router) -> None:
    """Probes of different keys that overlap cost one reading of the list."""

    async def look(surface: Surface) -> list[httpx.Response]:
        probes = [surface.client.get(f"/probe?target=lite:{alias}") for alias in ("alice", "ci bot", "alice")]
        return await asyncio.gather(*probes)

    assert [response.status_code for response in ask_keys(look)] == [200] * 3
    assert router["lite"].call_count == 1


def test_status_page_has_keys_as_gateways(ask_keys: AskKeys) -> None:
    """/quota_status lists each key after its gateway in JSON, and has a card for each in HTML; one list is read."""

    async def look(surface: Surface) -> tuple[httpx.Response, httpx.Response]:
        return await surface.client.get("/quota_status?format=json"), await surface.client.get("/quota_status")

    listed, page = ask_keys(look)
    told = [(report["provider_id"], report["parent"]) for report in listed.json()["gateways"]]
    assert told == [("a", None), ("lite", None), ("lite:alice", "lite"), ("lite:ci bot", "lite")]
    assert page.status_code == 200
    assert page.text.count("key of ") == 2
    assert "key-of-lite" not in page.text + listed.text
