"""Many gateways and many scrapes: what is shared, remembered, bounded and kept apart."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import re
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from quota_exporter.credentials import Credential
from quota_exporter.files import FileReader
from quota_exporter.fleet import FAILURE_MEMORY_SECONDS, LATE_READING_SECONDS, Fleet, Member
from quota_exporter.gateway import Gateway
from quota_exporter.presets import load_preset
from quota_exporter.quota import GatewayStatus, KeySource, Reading, Reason
from quota_exporter.resolver import LookupLoop
from quota_exporter.settings import GatewaySettings, Thresholds
from quota_exporter.transport import Route, open_transport

_T = TypeVar("_T")
_NEUTRAL = load_preset("neutral")
_ENOUGH_SECONDS = 60.0  # only a failing test waits this long
_START = 1_780_000_000.0


def _quota(used: int = 25) -> httpx.Response:
    return httpx.Response(200, json={"tokens": {"limit": 100, "used": used}})


@dataclass
class _World:
    """A clock that stands still, the gateways' answers, and the keys.

    `answers` holds what a provider id answers with; all others answer with a quota that counts its polls.
    """

    now: float = 1000.0
    polls: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Callable[[], Awaitable[httpx.Response]]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    key_errors: dict[str, Exception] = field(default_factory=dict)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        provider_id = request.url.path.split("/")[1]
        self.polls[provider_id] += 1
        answer = self.answers.get(provider_id)
        return _quota(self.polls[provider_id]) if answer is None else await answer()

    def credential(self, provider_id: str) -> Credential:
        if provider_id in self.key_errors:
            raise self.key_errors[provider_id]
        return Credential(SecretStr(self.keys.get(provider_id, "sk-test")), KeySource.ENV, ())

    def member(
        self, provider_id: str, *, slots: asyncio.Semaphore | None = None, min_interval: float = 0.0, **settings: Any
    ) -> Member:
        values = {"provider_id": provider_id, "base_url": "https://llm.example.edu"} | settings
        checked = GatewaySettings.model_validate(values)
        url = f"{checked.base_url}/{provider_id}/quota"
        transport = httpx.MockTransport(self.handle)
        gateway = Gateway(checked, _NEUTRAL, url, transport, FileReader(), wall=lambda: _START + self.now)
        slots = asyncio.Semaphore(20) if slots is None else slots
        return Member(gateway, slots, min_interval, lambda: self.credential(provider_id))

    def fleet(self, *members: Member) -> Fleet:
        return Fleet(members, monotonic=lambda: self.now)

    def answer(self, provider_id: str, response: httpx.Response | Exception) -> None:
        async def reply() -> httpx.Response:
            if isinstance(response, Exception):
                raise response
            return response

        self.answers[provider_id] = reply

    def gate(self, provider_id: str) -> _Gate:
        """Make a gateway answer (with a quota) only when the gate opens."""
        gate = _Gate()

        async def reply() -> httpx.Response:
            gate.reached.set()
            await gate.opened.wait()
            return _quota()

        self.answers[provider_id] = reply
        return gate


@dataclass
class _Gate:
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture(name="world")
def _world() -> _World:
    return _World()


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        return runner.run(asyncio.wait_for(work, _ENOUGH_SECONDS))


async def _status(fleet: Fleet, provider_id: str, deadline: float | None = None) -> GatewayStatus:
    (status,) = await fleet.statuses([provider_id], deadline)
    return status


def _reason(status: GatewayStatus) -> Reason | None:
    return None if status.reading.failure is None else status.reading.failure.reason


def _used(status: GatewayStatus) -> float | None:
    return None if status.quota is None else status.quota.buckets[0].used


# What scrapes share


def test_scrapes_at_once_share_a_poll(world: _World) -> None:
    """Any number of scrapes that overlap cause one request, and all see its reading."""

    async def work() -> list[GatewayStatus]:
        fleet, gate = world.fleet(world.member("campus")), world.gate("campus")
        scrapes = [asyncio.ensure_future(_status(fleet, "campus")) for _ in range(50)]
        await gate.reached.wait()
        scrapes += [asyncio.ensure_future(_status(fleet, "campus")) for _ in range(50)]
        gate.opened.set()
        return await asyncio.gather(*scrapes)

    statuses = _run(work())
    assert world.polls == {"campus": 1}
    assert {id(status.reading) for status in statuses} == {id(statuses[0].reading)}
    assert {(status.polls, _used(status)) for status in statuses} == {(1, 25.0)}


def test_scraper_that_leaves_cancels_nothing(world: _World) -> None:
    """When the scrape that began a poll is cancelled, the poll goes on and serves the one that still waits."""

    async def work() -> GatewayStatus:
        fleet, gate = world.fleet(world.member("campus")), world.gate("campus")
        first = asyncio.ensure_future(_status(fleet, "campus"))
        await gate.reached.wait()
        second = asyncio.ensure_future(_status(fleet, "campus"))
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        gate.opened.set()
        return await second

    assert _run(work()).quota is not None
    assert world.polls == {"campus": 1}


def test_poll_goes_on_when_nobody_waits(world: _World) -> None:
    """A poll whose only scraper has left still ends in a reading that later scrapes can reuse."""

    async def work() -> GatewayStatus:
        fleet, gate = world.fleet(world.member("campus", min_interval=60.0)), world.gate("campus")
        scrape = asyncio.ensure_future(_status(fleet, "campus"))
        await gate.reached.wait()
        scrape.cancel()
        await asyncio.wait([scrape])
        gate.opened.set()
        await fleet.drain(60.0)
        return await _status(fleet, "campus")

    assert _run(work()).quota is not None
    assert world.polls == {"campus": 1}


def test_each_later_scrape_polls_anew(world: _World) -> None:
    """Without min_interval every scrape gets a reading of its own."""

    async def work() -> list[float | None]:
        fleet = world.fleet(world.member("campus"))
        return [_used(await _status(fleet, "campus")) for _ in range(3)]

    assert _run(work()) == [1.0, 2.0, 3.0]


# Deadlines


def test_deadline_ends_the_waiting_and_not_the_poll(world: _World) -> None:
    """A scrape whose time is over shows a timeout of its own; the poll goes on and serves the next scrape."""

    async def work() -> tuple[GatewayStatus, GatewayStatus]:
        fleet, gate = world.fleet(world.member("campus")), world.gate("campus")
        late = await _status(fleet, "campus", deadline=0.0)
        gate.opened.set()
        return late, await _status(fleet, "campus")

    late, served = _run(work())
    assert _reason(late) is Reason.TIMEOUT
    assert (late.reading.key_source, late.reading.http_status) == (KeySource.ENV, None)
    assert (late.quota, late.polls, late.failures, late.last_success) == (None, 0, (), None)
    assert (_used(served), served.polls, served.failures) == (25.0, 1, ())
    assert world.polls == {"campus": 1}


def test_slow_gateway_costs_its_own_series_only(world: _World) -> None:
    """When the deadline comes, the gateways that have answered are shown with their quota, in the order asked."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet(*(world.member(name) for name in ("fast", "slow", "other")))
        world.gate("slow")
        statuses = await fleet.statuses(["other", "slow", "fast"], 0.2)
        await fleet.aclose()
        return statuses

    statuses = _run(work())
    assert [status.reading.provider_id for status in statuses] == ["other", "slow", "fast"]
    assert [_reason(status) for status in statuses] == [None, Reason.TIMEOUT, None]


def test_reading_counts_though_the_next_poll_has_begun(world: _World) -> None:
    """A scrape that waits for a slow gateway shows the readings that it got, not polls that others began since."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet(world.member("fast"), world.member("slow"))
        slow = world.gate("slow")
        first = asyncio.ensure_future(fleet.statuses(["fast", "slow"], None))
        await slow.reached.wait()
        await _status(fleet, "fast")
        again = world.gate("fast")
        second = asyncio.ensure_future(_status(fleet, "fast"))
        await again.reached.wait()
        slow.opened.set()
        statuses = await first
        assert not second.done()
        again.opened.set()
        await second
        return statuses

    assert [_reason(status) for status in _run(work())] == [None, None]


def test_unknown_gateway_is_an_error_of_the_caller(world: _World) -> None:
    """Asking for an id that is not there raises KeyError, and leaves no trace that a reload could stumble over."""

    async def work() -> None:
        fleet = world.fleet(world.member("campus"))
        with pytest.raises(KeyError):
            await fleet.statuses(["nobody"], None)
        with pytest.raises(KeyError):
            fleet.last("nobody")
        world.fleet(world.member("campus"), world.member("nobody")).inherit(fleet)

    _run(work())


# What is remembered


def test_min_interval_reuses_a_reading(world: _World) -> None:
    """A younger reading is shown as it was, with its time and without counting; an older one is replaced."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet(world.member("campus", min_interval=30.0))
        statuses = []
        for seconds in (0.0, 29.9, 0.1):
            world.now += seconds
            statuses.append(await _status(fleet, "campus"))
        return statuses

    first, second, third = _run(work())
    assert second == first
    assert second.reading is first.reading
    assert (second.polls, second.reading.at, second.last_success) == (1, _START + 1000.0, _START + 1000.0)
    assert (third.polls, third.reading.at, _used(third)) == (2, _START + 1030.0, 2.0)


def test_reused_failure_is_counted_once(world: _World) -> None:
    """Within min_interval a failure is shown again as up 0 with its reason, and the counter stays."""

    async def work() -> list[GatewayStatus]:
        world.answer("campus", httpx.Response(500))
        fleet = world.fleet(world.member("campus", min_interval=30.0))
        first = await _status(fleet, "campus")
        world.now += 29.0
        return [first, await _status(fleet, "campus")]

    first, second = _run(work())
    assert second == first
    assert second.failures == ((Reason.SERVER_ERROR, 1),)


def test_failure_is_remembered_for_a_second(world: _World) -> None:
    """Scrapes that come just after a failure see it, rather than to ask a troubled gateway in turn."""

    async def work() -> list[int]:
        world.answer("campus", httpx.Response(502))
        fleet = world.fleet(world.member("campus"))
        polls = []
        for seconds in (0.0, 0.0, FAILURE_MEMORY_SECONDS - 0.01, 0.01):
            world.now += seconds
            polls.append((await _status(fleet, "campus")).polls)
        return polls

    assert _run(work()) == [1, 1, 1, 2]


def test_retry_after_pauses_and_ends(world: _World) -> None:
    """A gateway that asked for a pause is left alone for as long, shown as rate limited, and then polled again."""

    async def work() -> list[tuple[Reason | None, int]]:
        world.answer("campus", httpx.Response(429, headers={"Retry-After": "120"}))
        fleet = world.fleet(world.member("campus"))
        await _status(fleet, "campus")
        del world.answers["campus"]
        seen = []
        for seconds in (1.5, 118.4, 0.1, 0.0):
            world.now += seconds
            status = await _status(fleet, "campus")
            seen.append((_reason(status), status.polls))
        return seen

    limited = (Reason.RATE_LIMITED, 1)
    assert _run(work()) == [limited, limited, (None, 2), (None, 3)]


def test_pause_of_one_gateway_is_its_own(world: _World) -> None:
    """Other gateways of the same origin are polled while one pauses."""

    async def work() -> list[int]:
        world.answer("a", httpx.Response(503, headers={"Retry-After": "60"}))
        fleet = world.fleet(world.member("a"), world.member("b"))
        for _ in range(3):
            statuses = await fleet.statuses(["a", "b"], None)
            world.now += 5.0
        return [status.polls for status in statuses]

    assert _run(work()) == [1, 3]


def test_new_key_is_tried_at_once(world: _World) -> None:
    """A rotated key ends the reuse of a reading and a pause, both of which belong to the old one."""

    async def work() -> list[tuple[Reason | None, int]]:
        fleet = world.fleet(world.member("campus", min_interval=30.0))
        world.answer("campus", httpx.Response(429, headers={"Retry-After": "300"}))
        seen = []
        for key, seconds in (("sk-1", 0.0), ("sk-1", 1.5), ("sk-2", 0.0), ("sk-2", 10.0), ("sk-2", 30.0)):
            world.keys["campus"] = key
            world.now += seconds
            status = await _status(fleet, "campus")
            seen.append((_reason(status), status.polls))
            world.answer("campus", _quota())
        return seen

    limited = (Reason.RATE_LIMITED, 1)
    assert _run(work()) == [limited, limited, (None, 2), (None, 2), (None, 3)]


def test_key_that_disappears_is_noticed_at_once(world: _World) -> None:
    """min_interval does not hide that a gateway lost its key."""

    async def work() -> GatewayStatus:
        keys = [Credential(SecretStr("sk-1"), KeySource.FILE, ()), Credential(None, KeySource.NONE, ())]
        member = replace(world.member("campus", min_interval=30.0), credential=lambda: keys[0])
        fleet = world.fleet(member)
        await _status(fleet, "campus")
        del keys[0]
        return await _status(fleet, "campus")

    status = _run(work())
    assert (_reason(status), status.reading.key_source) == (Reason.NO_API_KEY, KeySource.NONE)
    assert world.polls == {"campus": 1}


@pytest.mark.parametrize(
    ("stale_for", "shown"), [("0s", [1.0, None, None, None]), ("60s", [1.0, 1.0, 1.0, None])], ids=["off", "on"]
)
def test_stale_for_keeps_the_last_quota(world: _World, stale_for: str, shown: list[float | None]) -> None:
    """After a failure the last quota is shown for stale_for from its reading on, while up is 0."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet(world.member("campus", stale_for=stale_for))
        statuses = [await _status(fleet, "campus")]
        world.answer("campus", httpx.Response(500))
        for seconds in (30.0, 30.0, 1.0):
            world.now += seconds
            statuses.append(await _status(fleet, "campus"))
        return statuses

    statuses = _run(work())
    assert [_used(status) for status in statuses] == shown
    assert [_reason(status) for status in statuses] == [None, *[Reason.SERVER_ERROR] * 3]
    assert {status.last_success for status in statuses} == {_START + 1000.0}


def test_reading_that_came_too_late_is_shown_by_the_next_scrape(world: _World) -> None:
    """A gateway slower than every scrape is not blind for ever: each scrape shows what came since the one before."""

    async def work() -> list[GatewayStatus]:
        fleet, statuses = world.fleet(world.member("campus")), []
        for _ in range(3):
            gate = world.gate("campus")
            statuses.append(await _status(fleet, "campus", deadline=0.0))
            gate.opened.set()
            await fleet.drain(_ENOUGH_SECONDS)
            world.now += 15
        return statuses

    first, second, third = _run(work())
    assert (_reason(first), first.quota) == (Reason.TIMEOUT, None)
    assert (_used(second), second.reading.at) == (25.0, _START + 1000)
    assert (_used(third), third.reading.at) == (25.0, _START + 1015)
    assert (third.polls, third.failures) == (2, ())


def test_late_reading_is_shown_once(world: _World) -> None:
    """A gateway that begins to hang is not covered up: what was shown once is not shown again."""

    async def work() -> list[Reason | None]:
        fleet, gate = world.fleet(world.member("campus")), world.gate("campus")
        await _status(fleet, "campus", deadline=0.0)
        gate.opened.set()
        await fleet.drain(_ENOUGH_SECONDS)
        world.gate("campus")
        reasons = [_reason(await _status(fleet, "campus", deadline=0.0)) for _ in range(3)]
        await fleet.aclose()
        return reasons

    assert _run(work()) == [None, Reason.TIMEOUT, Reason.TIMEOUT]


def test_late_reading_grows_old(world: _World) -> None:
    """A reading that nobody saw for five minutes is no news any more."""

    async def work() -> Reason | None:
        fleet, gate = world.fleet(world.member("campus")), world.gate("campus")
        await _status(fleet, "campus", deadline=0.0)
        gate.opened.set()
        await fleet.drain(_ENOUGH_SECONDS)
        world.now += LATE_READING_SECONDS + 1
        world.gate("campus")
        reason = _reason(await _status(fleet, "campus", deadline=0.0))
        await fleet.aclose()
        return reason

    assert _run(work()) is Reason.TIMEOUT


def test_no_key_of_a_crowded_origin_is_blind_for_ever(world: _World) -> None:
    """Where a scrape is too short for all keys of an origin, those that were not reached are shown by the next."""
    keys = [f"key-{number}" for number in range(10)]

    async def work() -> list[list[Reason | None]]:
        slots = asyncio.Semaphore(1)
        fleet, scrapes = world.fleet(*(world.member(key, slots=slots) for key in keys)), []
        for _ in range(2):
            gate = world.gate(keys[0])
            scrapes.append([_reason(status) for status in await fleet.statuses(keys, 0.0)])
            gate.opened.set()
            await fleet.drain(_ENOUGH_SECONDS)
        return scrapes

    first, second = _run(work())
    assert first == [Reason.TIMEOUT] * 10
    assert second == [None] * 10


def test_timeout_says_whether_the_gateway_or_the_queue_was_slow(world: _World) -> None:
    """A key that waits for its turn is not blamed on its gateway."""

    async def work() -> list[str]:
        slots = asyncio.Semaphore(1)
        world.gate("first")
        fleet = world.fleet(world.member("first", slots=slots), world.member("second", slots=slots))
        statuses = await fleet.statuses(["first", "second"], 0.05)
        await fleet.aclose()
        return [status.reading.failure.detail for status in statuses if status.reading.failure is not None]

    first, second = _run(work())
    assert "still in progress" in first
    assert "still waiting for other keys of its origin" in second


def test_missed_deadlines_are_logged_when_they_change(world: _World, caplog: pytest.LogCaptureFixture) -> None:
    """A scrape that ends too early leaves one line, not one per scrape."""

    async def work() -> None:
        world.gate("campus")
        fleet = world.fleet(world.member("campus"), world.member("other"))
        for _ in range(3):
            await fleet.statuses(["campus", "other"], 0.05)
        await fleet.aclose()

    _run(work())
    (record,) = [record for record in caplog.records if "the scrape ended before" in record.message]
    assert (record.__dict__["gateways"], record.__dict__["first"]) == (1, "campus")


def test_bug_outside_of_the_poll_costs_one_gateway(world: _World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even an exception that the poll itself did not turn into a reading leaves the others theirs."""

    async def work() -> list[GatewayStatus]:
        return await world.fleet(world.member("campus"), world.member("other")).statuses(["campus", "other"], None)

    real = Gateway.poll

    async def poll(self: Gateway, credential: Credential) -> Reading:
        if self.settings.provider_id == "campus":
            raise ZeroDivisionError
        return await real(self, credential)

    monkeypatch.setattr(Gateway, "poll", poll)
    campus, other = _run(work())
    assert (_reason(campus), _used(other)) == (Reason.INTERNAL, 1.0)


def test_poll_cancelled_before_its_first_step_is_forgotten(world: _World) -> None:
    """Ending the polls at once after they were begun leaves nothing that a drain would wait for."""

    async def work() -> None:
        fleet = world.fleet(world.member("campus"))
        asking = asyncio.ensure_future(_status(fleet, "campus"))
        await asyncio.sleep(0)
        await fleet.aclose()
        await asking
        await fleet.drain(_ENOUGH_SECONDS)

    _run(work())
    assert not world.polls


def test_stale_for_bridges_a_late_poll(world: _World) -> None:
    """A scrape that times out may show the quota of before, too."""

    async def work() -> GatewayStatus:
        fleet = world.fleet(world.member("campus", stale_for="60s"))
        await _status(fleet, "campus")
        world.gate("campus")
        status = await _status(fleet, "campus", deadline=0.0)
        await fleet.aclose()
        return status

    status = _run(work())
    assert (_reason(status), _used(status)) == (Reason.TIMEOUT, 1.0)


def test_polls_and_failures_are_counted(world: _World) -> None:
    """Every poll counts, and every failure under its reason."""

    async def work() -> GatewayStatus:
        fleet = world.fleet(world.member("campus"))
        for response in (_quota(), httpx.Response(500), httpx.Response(401), httpx.Response(502), _quota()):
            world.now += 10.0
            world.answer("campus", response)
            status = await _status(fleet, "campus")
        return status

    status = _run(work())
    assert status.polls == 5
    assert dict(status.failures) == {Reason.SERVER_ERROR: 2, Reason.UNAUTHORIZED: 1}
    assert status.last_success == _START + 1050.0


def test_last_shows_without_polling(world: _World) -> None:
    """The last status can be looked at without asking the gateway; before the first poll there is none."""

    async def work() -> tuple[GatewayStatus | None, GatewayStatus, GatewayStatus | None]:
        fleet = world.fleet(world.member("campus"))
        before = fleet.last("campus")
        return before, await _status(fleet, "campus"), fleet.last("campus")

    before, shown, after = _run(work())
    assert before is None
    assert after == shown
    assert world.polls == {"campus": 1}


def test_change_of_health_is_logged_once(world: _World, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells when a gateway fails and when it is back, and is not filled by an outage that lasts."""

    async def work() -> None:
        caplog.set_level(logging.INFO)
        fleet = world.fleet(world.member("campus"))
        for response in (httpx.Response(500), httpx.Response(500), httpx.Response(401), _quota(), _quota()):
            world.now += 10.0
            world.answer("campus", response)
            await _status(fleet, "campus")

    _run(work())
    assert [(record.levelname, record.__dict__.get("reason")) for record in caplog.records] == [
        ("WARNING", "server_error"),
        ("INFO", None),
    ]


# Trouble of one gateway


def test_bug_in_one_gateway_is_internal_and_its_own(
    world: _World, canary: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that nobody foresaw, in the poll or in the search for the key, costs that gateway alone."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet(*(world.member(name) for name in ("a", "b", "c", "d")))
        world.answer("b", RuntimeError(canary))
        world.key_errors["c"] = RuntimeError(canary)
        await fleet.statuses(["a", "b", "c", "d"], None)
        world.now += 10.0
        return await fleet.statuses(["a", "b", "c", "d"], None)

    statuses = _run(work())
    assert [_reason(status) for status in statuses] == [None, Reason.INTERNAL, Reason.INTERNAL, None]
    assert [status.polls for status in statuses] == [2, 2, 2, 2]
    assert dict(statuses[2].failures) == {Reason.INTERNAL: 2}
    assert statuses[2].reading.key_source is KeySource.NONE
    assert canary not in repr(statuses) + caplog.text + str([record.__dict__ for record in caplog.records])


def test_key_search_that_recovers(world: _World) -> None:
    """After a failing search for the key, the next one that works leads to a poll at once."""

    async def work() -> GatewayStatus:
        fleet = world.fleet(world.member("campus", min_interval=60.0))
        world.key_errors["campus"] = OSError("stale file handle")
        await _status(fleet, "campus")
        del world.key_errors["campus"]
        return await _status(fleet, "campus")

    assert _run(work()).quota is not None


# The end, and reloads


def test_drain_waits_for_polls_in_flight(world: _World) -> None:
    """Draining ends when the last poll has ended, and loses none."""

    async def work() -> None:
        fleet, gate = world.fleet(world.member("campus")), world.gate("campus")
        await fleet.drain(60.0)
        await _status(fleet, "campus", deadline=0.0)
        draining = asyncio.ensure_future(fleet.drain(60.0))
        await gate.reached.wait()
        assert not draining.done()
        gate.opened.set()
        await draining
        status = fleet.last("campus")
        assert status is not None
        assert status.quota is not None

    _run(work())


def test_close_ends_polls_without_a_reading(world: _World) -> None:
    """Closing cancels what is in flight and records nothing: a poll that was cut off has no reading."""

    async def work() -> None:
        fleet, gate = world.fleet(world.member("campus")), world.gate("campus")
        scrape = asyncio.ensure_future(_status(fleet, "campus"))
        await gate.reached.wait()
        await fleet.aclose()
        assert fleet.last("campus") is None
        assert (await scrape).polls == 0
        await fleet.aclose()

    _run(work())


def test_reload_keeps_what_is_known_of_an_unchanged_gateway(world: _World) -> None:
    """After a reload counters go on, and reading, pause and last quota hold as before."""

    async def work() -> tuple[list[GatewayStatus], list[GatewayStatus]]:
        def fleet() -> Fleet:
            return world.fleet(
                world.member("young", min_interval=60.0), world.member("paused"), world.member("stale", stale_for="5m")
            )

        old = fleet()
        await old.statuses(["young", "paused", "stale"], None)
        world.answer("paused", httpx.Response(429, headers={"Retry-After": "60"}))
        world.answer("stale", httpx.Response(500))
        world.now += 30.0
        before = await old.statuses(["young", "paused", "stale"], None)
        new = fleet()
        new.inherit(old)
        world.now += 0.5
        return before, await new.statuses(["young", "paused", "stale"], None)

    before, after = _run(work())
    assert after == before
    assert world.polls == {"young": 1, "paused": 2, "stale": 2}
    assert [_used(status) for status in after] == [1.0, None, 1.0]


@pytest.mark.parametrize(
    "change",
    [
        lambda gateway: replace(gateway, settings=gateway.settings.model_copy(update={"timeout": 1.0})),
        lambda gateway: replace(gateway, url="https://elsewhere.example/campus/quota"),
        lambda gateway: replace(gateway, mapping=load_preset("openrouter")),
    ],
    ids=["settings", "url", "mapping"],
)
def test_reload_polls_a_changed_gateway_anew(world: _World, change: Callable[[Gateway], Gateway]) -> None:
    """A gateway that is read another way now is polled at once; its counters and last success stay."""

    async def work() -> GatewayStatus:
        member = world.member("campus", min_interval=600.0)
        old = world.fleet(member)
        await _status(old, "campus")
        world.answer("campus", httpx.Response(500))
        new = world.fleet(replace(member, gateway=change(member.gateway)))
        new.inherit(old)
        assert new.last("campus") is None
        return await _status(new, "campus")

    status = _run(work())
    assert _reason(status) is Reason.SERVER_ERROR
    assert (status.polls, status.last_success) == (2, _START + 1000.0)


@pytest.mark.parametrize(
    "changed",
    [{"label": "Campus"}, {"owner": "ml"}, {"thresholds": Thresholds()}, {"stale_for": 60.0}, {"min_interval": 900.0}],
    ids=lambda changed: next(iter(changed)),
)
def test_reload_keeps_the_reading_of_a_gateway_shown_another_way(world: _World, changed: dict[str, Any]) -> None:
    """A new name, owner, threshold or interval changes nothing that was read: it is shown on, without a poll."""

    async def work() -> tuple[GatewayStatus, GatewayStatus]:
        member = world.member("campus", min_interval=600.0)
        old = world.fleet(member)
        before = await _status(old, "campus")
        settings = member.gateway.settings.model_copy(update=changed)
        new = world.fleet(replace(member, gateway=replace(member.gateway, settings=settings)))
        new.inherit(old)
        return before, await _status(new, "campus")

    before, after = _run(work())
    assert after == before
    assert world.polls == {"campus": 1}


def test_reload_does_not_tie_fleets_together(world: _World) -> None:
    """What the new fleet counts is not seen by the scrapes that still hold the old one."""

    async def work() -> tuple[GatewayStatus, GatewayStatus | None]:
        world.answer("campus", httpx.Response(500))
        old, new = (world.fleet(world.member("campus"), world.member(name)) for name in ("gone", "fresh"))
        await _status(old, "campus")
        new.inherit(old)
        world.now += 10.0
        return await _status(new, "campus"), old.last("campus")

    new, old = _run(work())
    assert old is not None
    assert (new.polls, new.failures) == (2, ((Reason.SERVER_ERROR, 2),))
    assert (old.polls, old.failures) == (1, ((Reason.SERVER_ERROR, 1),))


# Many keys of one origin


def test_five_thousand_keys_keep_to_the_bound_of_their_origin(world: _World) -> None:
    """However many keys an origin has, no more than max_concurrency of its polls run at once, and all get through."""
    running = peak = 0

    async def busy() -> httpx.Response:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1
        return _quota()

    async def work() -> list[GatewayStatus]:
        slots = asyncio.Semaphore(7)
        first = world.member("key-0", slots=slots)
        ids = [f"key-{number}" for number in range(5000)]
        settings = {name: first.gateway.settings.model_copy(update={"provider_id": name}) for name in ids}
        members = [replace(first, gateway=replace(first.gateway, settings=settings[name])) for name in ids]
        world.answers["key-0"] = busy
        return await world.fleet(*members).statuses(ids, None)

    statuses = _run(work())
    assert peak == 7
    assert len(statuses) == 5000
    assert all(status.quota is not None for status in statuses)


def test_origins_do_not_wait_for_each_other(world: _World) -> None:
    """While one origin's polls all hang, another origin's go on."""

    async def work() -> list[GatewayStatus]:
        hanging, healthy = asyncio.Semaphore(2), asyncio.Semaphore(2)
        members = [world.member(f"hang-{number}", slots=hanging) for number in range(10)]
        members += [world.member(f"good-{number}", slots=healthy) for number in range(10)]
        gates = [world.gate(f"hang-{number}") for number in range(10)]
        fleet = world.fleet(*members)
        scrape = asyncio.ensure_future(fleet.statuses([f"hang-{number}" for number in range(10)], None))
        await gates[0].reached.wait()
        statuses = await fleet.statuses([f"good-{number}" for number in range(10)], None)
        assert sum(gate.reached.is_set() for gate in gates) == 2
        for gate in gates:
            gate.opened.set()
        await scrape
        return statuses

    assert all(status.quota is not None for status in _run(work()))


@dataclass
class _Server:
    """An HTTP server on loopback that counts connections, and answers when `width` requests are there at once."""

    width: int
    accepted: int = 0
    open: int = 0
    most_open: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    _waiting: int = 0
    _full: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.requests.update(re.findall(r"Bearer (\S+)", head, re.IGNORECASE))
                await self._together()
                body = json.dumps({"tokens": {"limit": 10, "used": 1}}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        self.open -= 1

    async def _together(self) -> None:
        self._waiting += 1
        full = self._full
        if self._waiting == self.width:
            self._waiting, self._full = 0, asyncio.Event()
            full.set()
        await full.wait()


def _members(
    keys: Iterable[str], url: str, transport: httpx.AsyncBaseTransport, slots: asyncio.Semaphore
) -> list[Member]:
    members = []
    for key in keys:
        settings = GatewaySettings.model_validate({"provider_id": key, "base_url": url, "timeout": "30s"})
        gateway = Gateway(settings, _NEUTRAL, f"{url}/quota", transport, FileReader())
        credential = Credential(SecretStr(f"sk-{key}"), KeySource.ENV, ())
        members.append(Member(gateway, slots, 0.0, lambda credential=credential: credential))  # type: ignore[misc]  # mypy cannot type a lambda's default
    return members


def test_two_hundred_keys_share_a_few_kept_connections() -> None:
    """An origin gets max_concurrency connections for all its keys, kept from one scrape to the next."""
    server = _Server(width=5)
    keys = [f"key-{number}" for number in range(200)]

    async def work() -> list[int]:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        url = "http://127.0.0.1:{1}".format(*listening.sockets[0].getsockname())
        transport = open_transport(Route(url, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None))
        fleet = Fleet(_members(keys, url, transport, asyncio.Semaphore(5)))
        accepted = []
        for _ in range(2):
            statuses = await fleet.statuses(keys, None)
            assert [status.reading.failure for status in statuses] == [None] * 200
            accepted.append(server.accepted)
        await transport.aclose()
        listening.close()
        return accepted

    assert _run(work()) == [5, 5]
    assert server.most_open == 5
    assert server.requests == {f"sk-{key}": 2 for key in keys}
    gc.collect()  # an unclosed socket would be reported here
