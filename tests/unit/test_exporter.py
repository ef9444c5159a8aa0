"""The config generation in force: how it is built, replaced and ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from quota_exporter import exporter as exporter_module
from quota_exporter.exporter import (
    ConfigError,
    Exporter,
    Generation,
    Loaded,
    NothingConfiguredError,
    Sources,
    load,
    start,
)
from quota_exporter.files import FileReader
from quota_exporter.metrics import GatewayLabels
from quota_exporter.opencode import OpenCodePaths
from quota_exporter.transport import Route, open_transport

REPLY = {"tokens": {"limit": 100, "used": 25, "remaining": 75}}


class FakeTransport(httpx.AsyncBaseTransport):
    """Answers at once, or when `gate` opens; counts what it is asked."""

    def __init__(self, route: Route, gate: asyncio.Event | None) -> None:
        self.route = route
        self.gate = gate
        self.asked: list[str] = []
        self.cancelled = 0
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert not self.closed
        self.asked.append(request.url.path)
        if self.gate is not None:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return httpx.Response(200, json=REPLY)

    async def aclose(self) -> None:
        self.closed = True


class Network:
    """All transports that were opened; those opened while `gate` is set wait for it before they answer."""

    def __init__(self) -> None:
        self.transports: list[FakeTransport] = []
        self.gate: asyncio.Event | None = None

    def open(self, route: Route) -> FakeTransport:
        transport = FakeTransport(route, self.gate)
        self.transports.append(transport)
        return transport

    @property
    def routes(self) -> list[Route]:
        return [transport.route for transport in self.transports]


@pytest.fixture(name="network")
def _network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setattr(exporter_module, "open_transport", network.open)
    return network


def entry(provider_id: str, base_url: str = "https://a.example/v1", more: str = "") -> str:
    key = f"api_key: key-of-{provider_id}-0123"
    return f"{{provider_id: {provider_id}, base_url: '{base_url}', {key}{', ' if more else ''}{more}}}"


def config_of(*gateways: str, more: str = "opencode: off\n") -> str:
    return more + "gateways:\n" + "".join(f"  - {gateway}\n" for gateway in gateways)


class Place:
    """A directory with a config file and OpenCode's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "quota-exporter.yml"
        self.opencode = (folder / "opencode.jsonc", folder / "opencode.json")
        self.environ: dict[str, str] = {}

    def write(self, *gateways: str, more: str = "opencode: off\n") -> None:
        self.config.write_text(config_of(*gateways, more=more), encoding="utf-8")

    def sources(self, *, with_config: bool = True) -> Sources:
        paths = OpenCodePaths(self.opencode, ())
        return Sources(self.config if with_config else None, paths, self.environ, FileReader())

    def generation(self, *gateways: str, more: str = "opencode: off\n") -> Generation:
        self.write(*gateways, more=more)
        return start(load(self.sources()))

    def run(self, work: Callable[[Exporter], Awaitable[Any]], *, with_config: bool = True) -> Any:
        """Run a coroutine function on a fresh exporter, which is closed in the end."""

        async def run() -> Any:
            exporter = Exporter(self.sources(with_config=with_config))
            try:
                return await work(exporter)
            finally:
                await exporter.close()

        return asyncio.run(asyncio.wait_for(run(), timeout=30))


@pytest.fixture(name="place")
def _place(tmp_path: Path, network: Network) -> Place:
    return Place(tmp_path)


class TestGeneration:
    """From files to gateways that are ready to be polled."""

    def test_gateways_of_one_origin_share_connections(self, place: Place, network: Network) -> None:
        """Many keys on one host open one transport, however host and port are spelt."""
        spellings = ["https://a.example", "https://A.example:443/v1", "https://a.example/v2/", "https://a.example./x"]
        gateways = [entry(f"g{number}", spellings[number % 4]) for number in range(200)]
        generation = place.generation(*gateways)
        assert len(network.transports) == len(generation.transports) == 1
        assert network.routes[0].origin == "https://a.example:443"
        assert {id(member.gateway.transport) for member in generation.fleet.members.values()} == {
            id(network.transports[0])
        }

    def test_other_origins_have_their_own(self, place: Place, network: Network) -> None:
        """Scheme, host and port make an origin; origins share no connection but the SSL context."""
        urls = ["https://a.example", "https://b.example", "https://a.example:8443", "http://a.internal:443"]
        generation = place.generation(*(entry(f"g{number}", url) for number, url in enumerate(urls)))
        assert [route.origin for route in network.routes] == [
            *("https://a.example:443", "https://b.example:443", "https://a.example:8443", "http://a.internal:443")
        ]
        assert len({id(route.ssl_context) for route in network.routes}) == 1
        assert len({id(member.slots) for member in generation.fleet.members.values()}) == 4

    def test_tls_and_proxy_part_connections(self, place: Place, network: Network) -> None:
        """A connection is shared only by gateways with the same TLS settings and proxy; equal settings are the same."""
        strict, proxied = "tls: {min_version: TLS13}", "proxy_url: 'http://proxy.example:3128'"
        generation = place.generation(
            entry("plain"),
            entry("written-out", more="tls: {min_version: TLS12}"),
            entry("strict", more=strict),
            entry("strict-too", more=strict),
            entry("strict-elsewhere", "https://b.example", strict),
            entry("proxied", more=proxied),
            entry("proxied-too", more=proxied),
        )
        owner = {
            provider_id: network.transports.index(member.gateway.transport)  # type: ignore[arg-type]  # all are fakes
            for provider_id, member in generation.fleet.members.items()
        }
        assert owner == {
            "plain": 0,
            "written-out": 0,
            "strict": 1,
            "strict-too": 1,
            "strict-elsewhere": 2,
            "proxied": 3,
            "proxied-too": 3,
        }
        plain, strict_a, strict_b, proxy = network.routes
        assert strict_a.ssl_context is strict_b.ssl_context
        assert plain.ssl_context is proxy.ssl_context
        assert plain.ssl_context is not strict_a.ssl_context
        assert (plain.proxy, proxy.proxy) == (None, "http://proxy.example:3128")

    def test_a_mapping_with_several_origins_uses_the_connections_of_each(self, place: Place, network: Network) -> None:
        """Requests to another host share that host's connections; the slots are those of the first request's origin."""
        own = (
            "opencode: off\norigins: {max_concurrency: 7, per_origin: {'https://b.example': 3}}\n"
            "mappings:\n"
            "  two:\n"
            "    requests: [{id: key, path: /key}, {id: pay, url: 'https://b.example/pay'}]\n"
            "    buckets: [{kind: tokens, limit: key.tokens.limit, used: pay.tokens.used}]\n"
            "  away: {requests: [{url: 'https://b.example/pay'}], buckets: [{kind: tokens, used: tokens.used}]}\n"
        )
        tls = "tls: {min_version: TLS13}"
        place.write(
            entry("both", more="mapping: two"),
            entry("first"),
            entry("second", "https://b.example"),
            "{provider_id: away, mapping: away, api_key: key-of-away}",
            entry("strict", more=f"mapping: two, {tls}"),
            more=own,
        )

        async def poll(exporter: Exporter) -> None:
            fleet = exporter.generation.fleet
            statuses = await fleet.statuses(["both", "away"], deadline=None)
            assert [status.reading.failure for status in statuses] == [None, None]
            assert [fleet.members[name].slots._value for name in ("both", "second", "away")] == [7, 3, 3]
            assert fleet.members["both"].slots is fleet.members["first"].slots
            assert fleet.members["away"].slots is fleet.members["second"].slots
            assert len(exporter.generation.transports) == 4

        place.run(poll)
        assert [(transport.route.origin, transport.asked) for transport in network.transports[:2]] == [
            ("https://a.example:443", ["/v1/key"]),
            ("https://b.example:443", ["/pay", "/pay"]),
        ]
        assert network.routes[2].ssl_context is network.routes[3].ssl_context is not network.routes[0].ssl_context
        assert all(transport.closed for transport in network.transports)

    def test_an_origin_is_pressed_as_hard_as_it_may(self, place: Place, network: Network) -> None:
        """All gateways of an origin share its slots, also over several routes; pools are as large as that."""
        generation = place.generation(
            entry("one"),
            entry("two", more="tls: {min_version: TLS13}"),
            entry("other", "https://b.example"),
            more="opencode: off\norigins: {max_concurrency: 7, per_origin: {'https://B.example:443/x': 3}}\n",
        )
        members = generation.fleet.members
        assert members["one"].slots is members["two"].slots
        assert members["one"].slots is not members["other"].slots
        assert [members[name].slots._value for name in ("one", "other")] == [7, 3]

    def test_polls_of_an_origin_wait_for_a_slot(self, place: Place, network: Network) -> None:
        """No more polls of an origin run at once than its limit, whatever scrapes want."""
        place.write(
            *(entry(f"g{number}", more="min_interval: 1m") for number in range(5)),
            more="opencode: off\norigins: {max_concurrency: 2}\n",
        )

        async def poll(exporter: Exporter) -> int:
            fleet = exporter.generation.fleet
            statuses = await fleet.statuses(fleet.members, deadline=0.05)
            assert {str(status.reading.failure and status.reading.failure.reason) for status in statuses} == {"timeout"}
            asked = len(network.transports[0].asked)
            assert network.gate is not None
            network.gate.set()
            statuses = await fleet.statuses(fleet.members, deadline=None)
            assert all(status.reading.quota is not None for status in statuses)
            assert len(network.transports[0].asked) == 5
            return asked

        network.gate = asyncio.Event()
        assert place.run(poll) == 2

    def test_ids_plans_and_labels_go_together(self, place: Place) -> None:
        """The same ids, in the order of the config, lead to plans, labels and gateways."""
        more = "label: The lab, owner: vision, mapping: openrouter, thresholds: {warning: {cost: 10}, critical: 0.1}"
        generation = place.generation(entry("lab", more=more), entry("campus"))
        assert list(generation.plans) == list(generation.labels) == list(generation.fleet.members) == ["lab", "campus"]
        assert generation.labels["lab"] == GatewayLabels(
            "lab", "The lab", "openrouter", "vision", (("warning", "cost", 10), ("critical", "ratio", 0.1))
        )
        assert generation.labels["campus"] == GatewayLabels(
            "campus", "campus", "neutral", "", (("warning", "ratio", 0.2), ("critical", "ratio", 0.05))
        )

    def test_keys_are_looked_up_again(self, place: Place) -> None:
        """A gateway's key is that of its source at the moment of the poll."""
        generation = place.generation("{provider_id: lab, base_url: https://a.example}")
        found = []
        for environ in ({}, {"LAB_API_KEY": "first"}, {"LAB_API_KEY": "second"}):
            place.environ.clear()
            place.environ.update(environ)
            key = generation.fleet.members["lab"].credential().key
            found.append(None if key is None else key.get_secret_value())
        assert found == [None, "first", "second"]

    def test_a_config_with_errors_is_refused(self, place: Place, network: Network) -> None:
        """All that is wrong is raised together, and no connection is opened."""
        with pytest.raises(ConfigError) as caught:
            place.generation(entry("lab", more="mapping: none"), entry("lab"), "{}")
        assert len(caught.value.problems) == 3
        assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
        assert not network.transports

    def test_no_config_at_all(self, place: Place) -> None:
        """Without config file and OpenCode's list the error says that nothing is configured."""
        with pytest.raises(NothingConfiguredError, match=r"^no gateway is configured$") as caught:
            start(load(place.sources(with_config=False)))
        assert (caught.value.config_path, caught.value.problems) == (None, ())

    def test_a_config_without_a_list(self, place: Place) -> None:
        """A config file that lists no gateways is named, with what was wrong where else they may be listed."""
        place.config.write_text("defaults: {timeout: 5s}\n", encoding="utf-8")
        place.opencode[1].write_text("{", encoding="utf-8")
        with pytest.raises(NothingConfiguredError) as caught:
            start(load(place.sources()))
        assert caught.value.config_path == place.config
        (problem,) = caught.value.problems
        assert problem.location.path == place.opencode[1]
        assert str(caught.value) == f"{problem}\nno gateway is configured"

    @pytest.mark.parametrize(
        "text",
        [
            "gateways: []\n",
            "gateway_files: ['conf.d/*.yml']\n",
            f"gateways: [{entry('resting')}]\nenabled_providers: []\n",
        ],
    )
    def test_an_empty_list_is_a_config(self, place: Place, text: str) -> None:
        """Who lists no gateways on purpose gets an exporter without gateways."""
        place.config.write_text(text, encoding="utf-8")
        assert not start(load(place.sources())).plans

    def test_gateways_of_opencode_need_no_config(self, place: Place) -> None:
        """OpenCode's list alone is enough."""
        place.opencode[0].write_text(OPENCODE, encoding="utf-8")
        generation = start(load(place.sources(with_config=False)))
        assert [plan.url for plan in generation.plans.values()] == ["https://o.example/v1/quota"]

    def test_a_bad_proxy_of_the_environment(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy that the environment names and that cannot be used is a problem of each gateway that relies on it."""
        monkeypatch.setattr(exporter_module, "open_transport", open_transport)
        monkeypatch.setenv("HTTPS_PROXY", "ftp://user:secret@proxy.example")
        with pytest.raises(ConfigError) as caught:
            place.generation(
                entry("direct"),
                entry("one", more="proxy_url: environment"),
                entry("two", "https://b.example", more="proxy_url: environment"),
            )
        assert [str(problem.location) for problem in caught.value.problems] == [
            f"{place.config}:4",
            f"{place.config}:5",
        ]
        assert {problem.key for problem in caught.value.problems} == {"proxy_url"}
        assert "secret" not in str(caught.value)

    def test_the_end_waits_for_polls(self, place: Place, network: Network) -> None:
        """Closing a generation lets its polls end, then closes all its connections."""

        async def close() -> None:
            network.gate = asyncio.Event()
            generation = place.generation(entry("one"), entry("two", "https://b.example"))
            scrape = asyncio.create_task(generation.fleet.statuses(["one"], deadline=None))
            await asked(network.transports[0])
            closing = asyncio.create_task(generation.close())
            await asyncio.sleep(0)
            assert not any(transport.closed for transport in network.transports)
            network.gate.set()
            await closing
            (status,) = await scrape
            assert status.reading.quota is not None
            assert all(transport.closed for transport in network.transports)

        asyncio.run(close())


async def asked(transport: FakeTransport) -> None:
    """Return once a request has reached the transport."""
    for _ in range(1000):
        if transport.asked:
            return
        await asyncio.sleep(0)
    raise AssertionError


OPENCODE = """{
  // gateways of all projects
  "experimental": {"quotaToast": {"openaiCompatibleGateways": [
    {"providerId": "open", "baseURL": "https://o.example/v1"},
  ]}},
  "provider": {"open": {"options": {"apiKey": "key-of-open-0123"}}},
}"""


def own(exporter: Exporter, name: str) -> float | None:
    return exporter.metrics.registry.get_sample_value(f"quota_exporter_{name}")


class TestReload:
    """The next generation, or the last good one."""

    def test_the_first_load_is_told(self, place: Place, caplog: pytest.LogCaptureFixture) -> None:
        """Metrics and log say what is loaded, and log what is doubtful in it."""
        place.write(entry("a"), entry("b", more="tls: {insecure_skip_verify: true}"))

        async def look(exporter: Exporter) -> list[float | None]:
            names = ("config_last_reload_successful", "gateways", "insecure_tls_gateways")
            assert (own(exporter, "config_last_reload_success_timestamp_seconds") or 0) > 0
            return [own(exporter, name) for name in names]

        with caplog.at_level(logging.INFO):
            assert place.run(look) == [1, 2, 1]
        (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert "gateways[1].tls.insecure_skip_verify" in warning.__dict__["problem"]

    def test_a_bad_first_config_raises(self, place: Place) -> None:
        """There is no exporter without a config that can be used."""
        place.write("{}")
        with pytest.raises(ConfigError):
            Exporter(place.sources())

    def test_a_good_config_takes_over(self, place: Place) -> None:
        """After a reload the new gateways are in force, and the metrics count them."""
        place.write(entry("a"))

        async def reload(exporter: Exporter) -> tuple[list[str], float | None]:
            place.write(entry("b"), entry("c"))
            await exporter.reload()
            return list(exporter.generation.plans), own(exporter, "gateways")

        assert place.run(reload) == (["b", "c"], 2)

    @pytest.mark.parametrize("text", ["gateways: [{}]\n", "gateways: [", "opencode: off\n", "", "gateways: {}\n"])
    def test_the_last_good_config_stays(self, place: Place, text: str, caplog: pytest.LogCaptureFixture) -> None:
        """A config that cannot be used changes nothing but one metric, and each problem is logged."""
        place.write(entry("a"))

        async def reload(exporter: Exporter) -> None:
            before = exporter.generation
            loaded_at = own(exporter, "config_last_reload_success_timestamp_seconds")
            place.config.write_text(text, encoding="utf-8")
            with pytest.raises(ConfigError) as caught:
                await exporter.reload()
            assert exporter.generation is before
            assert own(exporter, "config_last_reload_successful") == 0
            assert own(exporter, "config_last_reload_success_timestamp_seconds") == loaded_at
            assert own(exporter, "gateways") == 1
            logged = [record.__dict__["problem"] for record in caplog.records if record.levelname == "ERROR"]
            assert logged == str(caught.value).splitlines() != []
            (status,) = await exporter.generation.fleet.statuses(["a"], deadline=None)
            assert status.reading.quota is not None
            place.write(entry("a"))
            await exporter.reload()
            assert own(exporter, "config_last_reload_successful") == 1

        place.run(reload)

    def test_a_vanished_config_stays_in_force(self, place: Place) -> None:
        """A config file that is gone is an error like another."""
        place.write(entry("a"))

        async def reload(exporter: Exporter) -> list[str]:
            place.config.unlink()
            with pytest.raises(ConfigError, match=r"quota-exporter\.yml: does not exist"):
                await exporter.reload()
            return list(exporter.generation.plans)

        assert place.run(reload) == ["a"]

    def test_counters_go_on_and_unchanged_readings_stay(self, place: Place, network: Network) -> None:
        """A reload resets no counter; what is configured as before is not polled earlier than it would have been."""
        place.write(entry("same", more="min_interval: 1h"), entry("moved", more="min_interval: 1h"), entry("gone"))

        async def reload(exporter: Exporter) -> None:
            first = await exporter.generation.fleet.statuses(["same", "moved", "gone"], deadline=None)
            place.write(
                entry("new"),
                entry("moved", more="min_interval: 1h, quota_path: /limits"),
                entry("same", more="min_interval: 1h"),
            )
            await exporter.reload()
            fleet = exporter.generation.fleet
            assert fleet.last("same") == first[0]
            assert (fleet.last("moved"), fleet.last("new")) == (None, None)
            same, moved, new = await fleet.statuses(["same", "moved", "new"], deadline=None)
            assert same == first[0]
            assert (moved.polls, new.polls) == (2, 1)
            assert sorted(network.transports[-1].asked) == ["/v1/limits", "/v1/quota"]

        place.run(reload)

    def test_a_scrape_of_the_old_generation_ends_well(self, place: Place, network: Network) -> None:
        """Polls in flight at a reload come to their end, and only then their connections are closed."""
        place.write(entry("a"))

        async def reload(exporter: Exporter) -> None:
            (old,) = network.transports
            scrape = asyncio.create_task(exporter.generation.fleet.statuses(["a"], deadline=None))
            await asked(old)
            await exporter.reload()
            assert not old.closed
            assert network.gate is not None
            network.gate.set()
            (status,) = await scrape
            assert status.reading.quota is not None
            for _ in range(1000):
                await asyncio.sleep(0)
            assert (old.closed, old.cancelled) == (True, 0)
            assert not network.transports[1].closed

        network.gate = asyncio.Event()
        place.run(reload)

    def test_the_end_ends_all_polls(self, place: Place, network: Network) -> None:
        """Closing the exporter waits for no gateway: polls of this and of replaced generations are cancelled."""
        place.write(entry("a", more="timeout: 1h"))

        async def leave_hanging(exporter: Exporter) -> list[asyncio.Task[Any]]:
            scrapes = []
            for number in range(3):
                if number:
                    await exporter.reload()
                scrapes.append(asyncio.create_task(exporter.generation.fleet.statuses(["a"], deadline=None)))
                await asked(network.transports[-1])
            await exporter.reload()
            return scrapes

        network.gate = asyncio.Event()
        place.run(leave_hanging)
        assert [transport.cancelled for transport in network.transports] == [1, 1, 1, 0]
        assert all(transport.closed for transport in network.transports)

    def test_reloads_take_turns(self, place: Place, network: Network) -> None:
        """Reloads that come together leave one generation open: no transport is lost on the way."""
        place.write(entry("a"))

        async def reload(exporter: Exporter) -> None:
            await asyncio.gather(*(exporter.reload() for _ in range(3)))
            for _ in range(1000):
                await asyncio.sleep(0)
            assert [transport.closed for transport in network.transports] == [True, True, True, False]

        place.run(reload)

    def test_a_reload_stops_no_other_work(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Files are read beside the event loop, so that scrapes go on while a large config loads."""
        place.write(entry("a"))
        load = exporter_module.load

        async def reload(exporter: Exporter) -> bool:
            loop = asyncio.get_running_loop()

            def load_while_the_loop_answers(sources: Sources) -> Loaded:
                answered = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, True), loop)  # noqa: FBT003 - its result
                assert answered.result(timeout=20)
                return load(sources)

            monkeypatch.setattr(exporter_module, "load", load_while_the_loop_answers)
            await exporter.reload()
            return True

        assert place.run(reload)

    def test_a_bug_in_a_reload_is_told_by_the_metric(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever ends a reload, the metric says that it failed and the last good config stays."""
        place.write(entry("a"))

        def fail(_sources: Sources) -> Loaded:
            raise ZeroDivisionError

        async def reload(exporter: Exporter) -> tuple[float | None, list[str]]:
            monkeypatch.setattr(exporter_module, "load", fail)
            with pytest.raises(ZeroDivisionError):
                await exporter.reload()
            successful = "quota_exporter_config_last_reload_successful"
            return exporter.metrics.registry.get_sample_value(successful), list(exporter.generation.plans)

        assert place.run(reload) == (0.0, ["a"])

    def test_one_connection_that_cannot_be_closed_keeps_none_open(
        self, place: Place, network: Network, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Closing a generation goes on after one of its connections fails to close."""
        place.write(entry("a"), entry("b", "https://b.example"))

        async def break_one(_exporter: Exporter) -> None:
            async def fail() -> None:
                raise OSError("not now")

            network.transports[0].aclose = fail  # type: ignore[method-assign]  # only this one

        place.run(break_one)
        assert network.transports[1].closed
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert [record.__dict__.get("error") for record in warnings] == ["OSError"]


FILES = "opencode: auto\ngateway_files: ['conf.d/*.yml']\n"


class TestChange:
    """Which files are watched for changes."""

    @pytest.fixture(name="changed")
    def _changed(self, place: Place) -> Callable[[Callable[[], object]], bool]:
        """Whether the exporter sees a change after something was done; it saw none before, and none after a reload."""
        place.write(entry("a"), more=FILES)
        (place.folder / "conf.d").mkdir()
        (place.folder / "conf.d" / "team.yml").write_text(f"- {entry('b')}\n", encoding="utf-8")
        (place.folder / "conf.d" / "more.yml").write_text(f"- {entry('c')}\n", encoding="utf-8")
        place.opencode[1].write_text(OPENCODE, encoding="utf-8")

        def changed(do: Callable[[], object]) -> bool:
            async def look(exporter: Exporter) -> bool:
                assert not exporter.has_changed()
                do()
                seen = exporter.has_changed()
                await exporter.reload()
                assert not exporter.has_changed()
                return seen

            return bool(place.run(look))

        return changed

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("quota-exporter.yml", config_of(entry("z"), more=FILES)),
            ("conf.d/team.yml", f"- {entry('b2')}\n"),
            ("conf.d/new.yml", f"- {entry('d')}\n"),
            ("conf.d/team.yml", None),
            ("opencode.json", OPENCODE.replace("o.example", "p.example")),
            ("opencode.json", None),
            ("opencode.jsonc", OPENCODE),
            ("opencode.jsonc", "{ no JSON"),
        ],
    )
    def test_is_seen(
        self, place: Place, changed: Callable[[Callable[[], object]], bool], name: str, content: str | None
    ) -> None:
        """Another content counts, of any file that lists gateways; and files that come, also to a glob, or go."""
        path = place.folder / name
        assert changed(path.unlink if content is None else lambda: path.write_text(content, encoding="utf-8"))

    def test_tls_files_are_watched(self, place: Place) -> None:
        """A certificate that is renewed counts as a change: TLS files are read at a load only."""
        authority = place.folder / "ca.pem"
        trustme.CA().cert_pem.write_to_path(str(authority))
        place.write(entry("a", more="tls: {ca_file: ca.pem}"))

        async def renew(exporter: Exporter) -> tuple[bool, bool]:
            before = exporter.has_changed()
            trustme.CA().cert_pem.write_to_path(str(authority))
            return before, exporter.has_changed()

        assert place.run(renew) == (False, True)

    @pytest.mark.parametrize("name", ["quota-exporter.yml", "conf.d/team.yml", "opencode.json"])
    def test_the_same_content_is_no_change(
        self, place: Place, changed: Callable[[Callable[[], object]], bool], name: str
    ) -> None:
        """A file that is written again as it was leaves the config in force."""
        path = place.folder / name
        assert not changed(lambda: path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8"))

    @pytest.mark.parametrize("name", ["notes.txt", "conf.d/notes.txt", "opencode.json.bak"])
    def test_other_files_are_none_of_its_business(
        self, place: Place, changed: Callable[[Callable[[], object]], bool], name: str
    ) -> None:
        """What no setting names is not watched."""
        assert not changed(lambda: (place.folder / name).write_text("- 1\n", encoding="utf-8"))

    def test_opencode_off_never_looks(self, place: Place) -> None:
        """With `opencode: off` OpenCode's files do not matter."""
        place.write(entry("a"))

        async def look(exporter: Exporter) -> bool:
            place.opencode[0].write_text(OPENCODE, encoding="utf-8")
            return exporter.has_changed() or bool(set(exporter.fingerprint()) & set(place.opencode))

        assert place.run(look) is False

    def test_without_config_file_opencode_is_watched(self, place: Place) -> None:
        """An exporter that lives from OpenCode's list alone sees its changes."""
        place.opencode[0].write_text(OPENCODE, encoding="utf-8")

        async def look(exporter: Exporter) -> tuple[bool, bool]:
            before = exporter.has_changed()
            place.opencode[0].write_text(OPENCODE.replace("o.example", "p.example"), encoding="utf-8")
            return before, exporter.has_changed()

        assert place.run(look, with_config=False) == (False, True)

    def test_a_refused_config_is_not_tried_again(self, place: Place) -> None:
        """Until the next change: else its problems would fill the log."""
        place.write(entry("a"))

        async def look(exporter: Exporter) -> list[bool]:
            place.write("{}")
            seen = [exporter.has_changed()]
            with pytest.raises(ConfigError):
                await exporter.reload()
            seen.append(exporter.has_changed())
            place.write(entry("a"))
            return [*seen, exporter.has_changed()]

        assert place.run(look) == [True, False, True]

    def test_the_files_of_a_refused_config_are_watched(self, place: Place) -> None:
        """Where a new config is refused for a file that only it names, mending that file is a change."""
        place.write(entry("a"))
        extra = place.folder / "extra.yml"
        extra.write_text("- {}\n", encoding="utf-8")

        async def look(exporter: Exporter) -> bool:
            place.write(entry("a"), more="opencode: off\ngateway_files: [extra.yml]\n")
            with pytest.raises(ConfigError):
                await exporter.reload()
            assert not exporter.has_changed()
            extra.write_text(f"- {entry('b')}\n", encoding="utf-8")
            return exporter.has_changed()

        assert place.run(look)

    def test_a_write_during_the_reload_is_not_lost(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is written after it was read and before the reload is over is a change for the next look."""
        place.write(entry("a"))
        load = exporter_module.load

        async def look(exporter: Exporter) -> list[bool]:
            def load_and_write(sources: Sources) -> Loaded:
                loaded = load(sources)
                place.write(entry("b"))
                return loaded

            monkeypatch.setattr(exporter_module, "load", load_and_write)
            await exporter.reload()
            seen = [exporter.has_changed()]
            monkeypatch.setattr(exporter_module, "load", load)
            await exporter.reload()
            assert list(exporter.generation.plans) == ["b"]
            return [*seen, exporter.has_changed()]

        assert place.run(look) == [True, False]
