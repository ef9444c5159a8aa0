"""Keys that one management key lists: each is watched like a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from quota_exporter.children import child_id, split_id
from quota_exporter.credentials import Credential
from quota_exporter.document import parse_yaml
from quota_exporter.files import FileReader
from quota_exporter.fleet import LATE_READING_SECONDS, Fleet, Member
from quota_exporter.gateway import Gateway
from quota_exporter.mapping_language import load_mapping
from quota_exporter.quota import GatewayStatus, KeySource, Problem, Reason
from quota_exporter.resolver import LookupLoop
from quota_exporter.settings import GatewaySettings

_T = TypeVar("_T")
_ENOUGH_SECONDS = 60.0  # only a failing test waits this long
_START = 1_780_000_000.0
_LISTING = load_mapping(
    parse_yaml(
        """
name: listing
path: /keys
cache_control: true
children:
  each: keys
  alias: name
  reason: blocked && 'key_blocked' || `null`
  buckets:
    - {kind: tokens, name_from: bucket, limit: limit, used: used}
buckets:
  - {kind: cost, currency: USD, used: spent}
""",
        Path("listing.yaml"),
    )
)
_PAGED = load_mapping(
    parse_yaml(
        """
name: paged
requests:
  - path: /keys
    pages: {query: page, size: 100, items: keys, total: total}
children:
  each: "@"
  alias: name
  buckets:
    - {kind: tokens, limit: limit, used: used}
""",
        Path("paged.yaml"),
    )
)
_PLAIN = load_mapping(
    parse_yaml("name: plain\npath: /quota\nbuckets: [{kind: tokens, limit: limit, used: used}]\n", Path("plain.yaml"))
)


def _key(name: str, used: int = 25, **values: Any) -> dict[str, Any]:
    return {"name": name, "bucket": "default", "limit": 100, "used": used, **values}


@dataclass
class _World:
    """A clock that stands still, and what the gateway `lite` answers: its list of keys, or another response."""

    now: float = 1000.0
    polls: int = 0
    keys: list[dict[str, Any]] = field(default_factory=lambda: [_key("bob"), _key("alice", 50)])
    response: httpx.Response | None = None
    headers: dict[str, str] = field(default_factory=dict)
    opened: asyncio.Event | None = None
    key: str = "sk-test"
    total: int = 0

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.polls += 1
        if self.opened is not None:
            await self.opened.wait()
        if self.response is not None:
            return self.response
        first = request.url.params.get("page", "1") == "1"
        body = {"keys": self.keys if first else [], "limit": 100, "used": 1, "total": self.total}
        return httpx.Response(200, json=body, headers=self.headers)

    def credential(self) -> Credential:
        return Credential(SecretStr(self.key), KeySource.FILE, ())

    def member(self, provider_id: str = "lite", *, min_interval: float = 0.0, **settings: Any) -> Member:
        checked = GatewaySettings.model_validate(
            {"provider_id": provider_id, "base_url": "https://l.example"} | settings
        )
        mapping = _LISTING if provider_id == "lite" else _PLAIN
        transport = httpx.MockTransport(self.handle)
        url = "https://l.example/keys"
        gateway = Gateway(checked, mapping, url, transport, FileReader(), wall=lambda: _START + self.now)
        return Member(gateway, asyncio.Semaphore(20), min_interval, self.credential)

    def fleet(self, *members: Member) -> Fleet:
        return Fleet(members or (self.member(),), monotonic=lambda: self.now)


@pytest.fixture(name="world")
def _world() -> _World:
    return _World()


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        return runner.run(asyncio.wait_for(work, _ENOUGH_SECONDS))


def _ask(fleet: Fleet, *provider_ids: str, deadline: float | None = None) -> Coroutine[Any, Any, list[GatewayStatus]]:
    return fleet.statuses(provider_ids or ("lite",), deadline)


def _ids(statuses: Sequence[GatewayStatus]) -> list[str]:
    return [status.reading.provider_id for status in statuses]


def _reasons(statuses: Sequence[GatewayStatus]) -> dict[str, Reason | None]:
    return {
        status.reading.provider_id: None if status.reading.failure is None else status.reading.failure.reason
        for status in statuses
    }


def _used(status: GatewayStatus) -> float | None:
    return None if status.quota is None else status.quota.buckets[0].used


def test_ids_of_keys_and_back() -> None:
    """The id of a key is its gateway's, a colon and the alias, which may hold colons itself."""
    assert child_id("lite", "team a:ci") == "lite:team a:ci"
    assert split_id("lite:team a:ci") == ("lite", "team a:ci")
    assert split_id("lite") == ("lite", None)
    assert split_id("lite:") == ("lite", "")


def test_one_poll_shows_every_key(world: _World) -> None:
    """The gateway is followed by its keys in the order of their aliases, each with a quota and the poll's facts."""
    parent, alice, bob = _run(_ask(world.fleet()))
    assert _ids([parent, alice, bob]) == ["lite", "lite:alice", "lite:bob"]
    assert (_used(alice), _used(bob), world.polls) == (50.0, 25.0, 1)
    for child in (alice, bob):
        facts = ("key_source", "at", "duration", "http_status")
        assert [getattr(child.reading, fact) for fact in facts] == [getattr(parent.reading, fact) for fact in facts]
        assert (child.last_success, child.polls, child.failures) == (_START + 1000.0, 1, ())


def test_key_with_a_failure_of_its_own(world: _World) -> None:
    """A key that the gateway calls blocked fails alone; its last success and its counters are its own."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet()
        await _ask(fleet)
        world.now += 10
        world.keys = [_key("alice"), _key("bob", blocked=True)]
        return await _ask(fleet)

    parent, alice, bob = _run(work())
    assert _reasons([parent, alice, bob]) == {"lite": None, "lite:alice": None, "lite:bob": Reason.KEY_BLOCKED}
    assert (bob.quota, bob.last_success, bob.polls, bob.failures) == (
        None,
        _START + 1000.0,
        2,
        ((Reason.KEY_BLOCKED, 1),),
    )
    assert (alice.last_success, alice.failures) == (_START + 1010.0, ())


def test_keys_come_and_go_with_the_list(world: _World) -> None:
    """A key that a new list lacks is gone with its counters; a new one counts from its first list on."""

    async def work() -> tuple[Fleet, list[GatewayStatus]]:
        fleet = world.fleet()
        await _ask(fleet)
        world.keys = [_key("bob"), _key("carol")]
        return fleet, await _ask(fleet)

    fleet, statuses = _run(work())
    assert [(status.reading.provider_id, status.polls) for status in statuses] == [
        ("lite", 2),
        ("lite:bob", 2),
        ("lite:carol", 1),
    ]
    assert fleet.ids() == ["lite", "lite:bob", "lite:carol"]
    assert fleet.last("lite:alice") is None


def test_a_failing_list_fails_every_key(world: _World) -> None:
    """When the list cannot be read, each key last known is up 0 for the same reason: no alert goes silent."""

    async def work() -> list[list[GatewayStatus]]:
        fleet = world.fleet()
        shown = [await _ask(fleet)]
        world.response = httpx.Response(401, json={})
        for _ in range(2):
            world.now += 10
            shown.append(await _ask(fleet))
        world.response = None
        world.now += 10
        return [*shown, await _ask(fleet)]

    _, failed, again, healed = _run(work())
    assert set(_reasons(failed).values()) == {Reason.UNAUTHORIZED}
    assert _ids(failed) == ["lite", "lite:alice", "lite:bob"]
    failure = failed[1].reading.failure
    assert failure is not None
    assert failure.detail == "the list of keys at lite cannot be read: HTTP 401"
    assert (again[1].quota, again[1].last_success) == (None, _START + 1000.0)
    assert (again[1].polls, again[1].failures) == (3, ((Reason.UNAUTHORIZED, 2),))
    assert set(_reasons(healed).values()) == {None}


def test_without_a_first_list_there_are_no_keys(world: _World) -> None:
    """Before a list was read nobody knows which keys there are."""
    world.response = httpx.Response(500)
    fleet = world.fleet()
    assert _ids(_run(_ask(fleet))) == ["lite"]
    assert fleet.ids() == ["lite"]


def test_reply_that_lost_its_list(world: _World) -> None:
    """A reply that gives the gateway's own buckets but no list any more fails the keys, as a renamed member would."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet()
        await _ask(fleet)
        world.response = httpx.Response(200, json={"spent": 1})
        return await _ask(fleet)

    statuses = _run(work())
    expected = {"lite": None, "lite:alice": Reason.UNEXPECTED_SHAPE, "lite:bob": Reason.UNEXPECTED_SHAPE}
    assert _reasons(statuses) == expected
    failure = statuses[1].reading.failure
    assert failure is not None
    assert failure.detail == "the list of keys at lite cannot be read: the reply does not hold it"


def test_an_empty_list_is_a_list(world: _World) -> None:
    """Where all keys were deleted they disappear, and the gateway stays up."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet()
        await _ask(fleet)
        world.keys = []
        return await _ask(fleet)

    assert _reasons(_run(work())) == {"lite": None}


def test_a_list_is_shown_while_it_is_read_again(world: _World) -> None:
    """While a list takes longer than a scrape the last one stands, for five minutes: its keys have not failed."""

    async def work() -> list[list[GatewayStatus]]:
        fleet = world.fleet()
        await _ask(fleet)
        world.opened = asyncio.Event()
        shown = [await _ask(fleet, deadline=0.0), await _ask(fleet, "lite:alice", deadline=0.0)]
        world.now += LATE_READING_SECONDS + 1
        shown.append(await _ask(fleet, deadline=0.0))
        world.opened.set()
        return [*shown, await _ask(fleet)]

    again, alice, too_old, served = _run(work())
    assert set(_reasons(again).values()) == {None}
    assert len(again) == 3
    assert _reasons(alice) == {"lite:alice": None}
    assert set(_reasons(too_old).values()) == {Reason.TIMEOUT}
    assert [(status.polls, status.quota, status.last_success) for status in too_old] == [(1, None, _START + 1000.0)] * 3
    assert set(_reasons(served).values()) == {None}
    assert world.polls == 2


@pytest.mark.parametrize("settings", [{"timeout": "40s"}, {"max_children": 1000}, {"headers": {"X-A": "b"}}])
def test_a_reload_in_an_outage_forgets_nobody(world: _World, settings: dict[str, Any]) -> None:
    """Whoever mends the config while the list cannot be read must not end the alerts on its keys."""

    async def work() -> tuple[list[GatewayStatus], list[GatewayStatus], list[GatewayStatus]]:
        fleet = world.fleet()
        await _ask(fleet)
        world.response = httpx.Response(503)
        world.now += 10
        failing = await _ask(fleet)
        reloaded = world.fleet(world.member(**settings))
        reloaded.inherit(fleet)
        still = await _ask(reloaded)
        world.response = None
        world.now += 10
        return failing, still, await _ask(reloaded)

    failing, still, mended = _run(work())
    assert _reasons(still) == _reasons(failing) == dict.fromkeys(_reasons(mended), Reason.SERVER_ERROR)
    assert set(_reasons(mended).values()) == {None}
    assert [status.polls for status in mended] == [4, 4, 4]


def test_a_gateway_that_lists_no_keys_any_more_forgets_them(world: _World) -> None:
    """With another mapping there is no list that could bring the keys back."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet()
        await _ask(fleet)
        member = world.member()
        reloaded = world.fleet(replace(member, gateway=replace(member.gateway, mapping=_PLAIN)))
        reloaded.inherit(fleet)
        return await _ask(reloaded)

    assert list(_reasons(_run(work()))) == ["lite"]


def test_a_list_that_is_not_whole_forgets_nobody(world: _World) -> None:
    """A key that a list lacks which is known to lack some shows up 0 and why; a whole list then forgets it."""
    member = world.member()
    paged = replace(member, gateway=replace(member.gateway, mapping=_PAGED))

    async def work() -> list[dict[str, Reason | None]]:
        fleet, shown = world.fleet(paged), []
        world.total = 2
        shown.append(_reasons(await _ask(fleet)))
        world.keys = [_key("bob")]
        shown.append(_reasons(await _ask(fleet)))
        world.now += 90_000
        shown.append(_reasons(await _ask(fleet)))  # a gateway that always counts more than it lists
        world.keys, world.total = [_key("alice"), _key("bob")], 2
        shown.append(_reasons(await _ask(fleet)))
        world.keys, world.total = [_key("bob")], 1
        return [*shown, _reasons(await _ask(fleet))]

    both = {"lite": None, "lite:alice": None, "lite:bob": None}
    without = {"lite": None, "lite:bob": None}
    assert _run(work()) == [both, {**both, "lite:alice": Reason.UNEXPECTED_SHAPE}, without, both, without]


def test_stale_for_holds_for_keys_too(world: _World) -> None:
    """While stale_for lasts, the quota of a key outlives its list, with up 0."""

    async def work() -> list[float | None]:
        fleet, used = world.fleet(world.member(stale_for="60s")), []
        await _ask(fleet)
        world.response = httpx.Response(500)
        for seconds in (60.0, 1.0):
            world.now += seconds
            used.append(_used((await _ask(fleet))[1]))
        return used

    assert _run(work()) == [50.0, None]


def test_min_interval_reuses_the_list(world: _World) -> None:
    """Within min_interval the same keys are shown again, without a request and without counting."""

    async def work() -> tuple[list[GatewayStatus], list[GatewayStatus]]:
        fleet = world.fleet(world.member(min_interval=60.0))
        first = await _ask(fleet)
        world.now += 59.0
        return first, await _ask(fleet)

    first, second = _run(work())
    assert second == first
    assert world.polls == 1


@pytest.mark.parametrize(("min_interval", "polls"), [(0.0, 2), (150.0, 1)], ids=["max-age", "min_interval"])
def test_cache_control_is_a_least_interval(world: _World, min_interval: float, polls: int) -> None:
    """A reading is reused as long as the gateway says, or longer where min_interval is."""

    async def work() -> list[int]:
        fleet, seen = world.fleet(world.member(min_interval=min_interval)), []
        for seconds in (0.0, 119.0, 1.0):
            world.now += seconds
            await _ask(fleet)
            seen.append(world.polls)
        return seen

    world.headers = {"Cache-Control": "max-age=120"}
    assert _run(work()) == [1, 1, polls]


def test_some_keys_alone(world: _World) -> None:
    """Keys can be asked for by id: one poll of their gateway serves all, in the order asked, each once."""
    statuses = _run(_ask(world.fleet(), "lite:bob", "lite:alice", "lite:bob"))
    assert _ids(statuses) == ["lite:bob", "lite:alice"]
    assert world.polls == 1


def test_gateway_and_key_asked_together(world: _World) -> None:
    """Asking for a key and its gateway shows each once."""
    assert _ids(_run(_ask(world.fleet(), "lite:bob", "lite"))) == ["lite:bob", "lite", "lite:alice"]


def test_key_that_is_not_listed_has_no_status(world: _World) -> None:
    """The list decides who exists: an alias that it lacks gives no status."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet()
        assert fleet.last("lite:nobody") is None
        return await _ask(fleet, "lite:nobody")

    assert _run(work()) == []
    assert world.polls == 1


@pytest.mark.parametrize(
    ("response", "reason", "detail"),
    [
        (httpx.Response(500), Reason.SERVER_ERROR, "HTTP 500"),
        (httpx.Response(200, json={"spent": 1}), Reason.UNEXPECTED_SHAPE, "the reply does not hold it"),
    ],
    ids=["failure", "no list"],
)
def test_key_asked_for_before_a_first_list(
    world: _World, response: httpx.Response, reason: Reason, detail: str
) -> None:
    """Until a list was read, a key that may be there fails as its gateway does; the first list decides."""

    async def work() -> tuple[list[str], list[GatewayStatus], GatewayStatus | None, list[GatewayStatus]]:
        fleet = world.fleet()
        world.response = response
        unread, last = await _ask(fleet, "lite:alice", "lite:nobody"), fleet.last("lite:alice")
        ids, world.response = fleet.ids(), None
        world.now += 10
        return ids, unread, last, await _ask(fleet, "lite:alice", "lite:nobody")

    ids, unread, last, read = _run(work())
    assert _reasons(unread) == {"lite:alice": reason, "lite:nobody": reason}
    assert last == unread[0]
    assert last.reading.failure is not None
    assert last.reading.failure.detail == f"the list of keys at lite cannot be read: {detail}"
    assert (last.quota, last.last_success, last.polls, last.failures) == (None, None, 0, ())
    assert ids == ["lite"]  # what was asked for is not what is known
    assert _reasons(read) == {"lite:alice": None}


def test_key_asked_for_while_the_first_list_is_late(world: _World) -> None:
    """A first list that misses the scrape's deadline shows the key asked for as timed out."""

    async def work() -> list[GatewayStatus]:
        fleet = world.fleet()
        world.opened = asyncio.Event()
        late = await _ask(fleet, "lite:alice", deadline=0.0)
        await fleet.aclose()
        return late

    assert _reasons(_run(work())) == {"lite:alice": Reason.TIMEOUT}


@pytest.mark.parametrize("keys", [[], [_key("bob")]], ids=["empty", "others"])
@pytest.mark.parametrize("reload", [False, True], ids=["same fleet", "after a reload"])
def test_a_list_once_read_decides_while_it_fails(world: _World, keys: list[dict[str, Any]], *, reload: bool) -> None:
    """A key that the last list lacked stays unknown when the list cannot be read, also after a reload."""

    async def work() -> list[GatewayStatus]:
        world.keys = keys
        fleet = world.fleet()
        await _ask(fleet)
        if reload:
            old, fleet = fleet, world.fleet()
            fleet.inherit(old)
        world.response = httpx.Response(500)
        return await _ask(fleet, "lite:nobody")

    assert _run(work()) == []


@pytest.mark.parametrize("alias", ["", "sk-4f9a1c7e2b8d6035af17", "x" * 65, "a\nb", "someone@example.org"])
def test_alias_that_no_list_can_show(world: _World, alias: str) -> None:
    """An alias that a list would not be allowed to show, as what may be a key, is not shown for being asked for."""
    world.response = httpx.Response(500)
    assert _run(_ask(world.fleet(), f"lite:{alias}")) == []


def test_ids_asked_for_are_not_kept(world: _World) -> None:
    """Thousands of made-up ids leave nothing behind in memory."""

    async def work() -> set[str]:
        fleet = world.fleet(world.member(min_interval=600.0))
        await _ask(fleet, "lite", "lite:alice", *(f"lite:nobody-{number}" for number in range(1000)))
        return fleet._states["lite"].seen_as

    assert _run(work()) == {"lite", "lite:alice"}


@pytest.mark.parametrize("provider_id", ["nobody", "nobody:alice", "plain:alice", "plain:", ":alice", ":", ""])
def test_ids_that_no_list_can_have(world: _World, provider_id: str) -> None:
    """An id of an unknown gateway, or of a key of one that lists none, is KeyError and polls nobody."""

    async def work() -> None:
        fleet = world.fleet(world.member(), world.member("plain"))
        assert not fleet.answers_for(provider_id)
        with pytest.raises(KeyError):
            await _ask(fleet, "lite", provider_id)
        with pytest.raises(KeyError):
            fleet.last(provider_id)

    _run(work())
    assert world.polls == 0


def test_known_ids_follow_the_config(world: _World) -> None:
    """All ids come in the order of the config, keys after the gateway that lists them."""

    async def work() -> tuple[list[str], list[str]]:
        fleet = world.fleet(world.member("a"), world.member(), world.member("b"))
        before = fleet.ids()
        await _ask(fleet, "b", "lite", "a")
        return before, fleet.ids()

    assert _run(work()) == (["a", "lite", "b"], ["a", "lite", "lite:alice", "lite:bob", "b"])


def test_last_shows_a_key_without_polling(world: _World) -> None:
    """The last status of a key can be looked at without a request."""

    async def work() -> tuple[GatewayStatus, GatewayStatus | None]:
        fleet = world.fleet()
        (shown,) = await _ask(fleet, "lite:bob")
        return shown, fleet.last("lite:bob")

    shown, last = _run(work())
    assert last == shown
    assert world.polls == 1


def test_invented_bucket_names_of_a_key_come_to_an_end(world: _World) -> None:
    """Each key has a bound of its own for bucket names; one that invents them costs the others nothing."""

    async def work() -> list[list[GatewayStatus]]:
        fleet, shown = world.fleet(world.member(max_buckets=1)), []
        for poll in range(6):
            world.keys = [_key("alice"), _key("bob", bucket=f"bucket {poll}")]
            shown.append(await _ask(fleet))
        return shown

    *_, (_, _, fifth), (_, alice, bob) = _run(work())
    assert (len(fifth.quota.buckets), fifth.reading.outcome.dropped) == (1, ())  # type: ignore[union-attr]  # a quota
    assert _used(alice) == 25.0
    assert bob.quota is not None
    assert bob.quota.buckets == ()
    assert [(dropped.problem, dropped.count) for dropped in bob.quota.dropped] == [(Problem.TOO_MANY, 1)]


def test_reload_keeps_keys_of_an_unchanged_gateway(world: _World) -> None:
    """After a reload the keys are known as before, also when their gateway has just begun to fail."""

    async def work() -> tuple[list[GatewayStatus], list[str], list[GatewayStatus]]:
        old = world.fleet(world.member(stale_for="5m"))
        before = await _ask(old)
        new = world.fleet(world.member(stale_for="5m"))
        new.inherit(old)
        ids = new.ids()
        world.response = httpx.Response(500)
        return before, ids, await _ask(new)

    before, ids, after = _run(work())
    assert ids == _ids(before) == _ids(after)
    assert set(_reasons(after).values()) == {Reason.SERVER_ERROR}
    assert [(_used(status), status.polls) for status in after[1:]] == [(50.0, 2), (25.0, 2)]


def test_reload_forgets_keys_of_another_address(world: _World) -> None:
    """A gateway that is asked elsewhere now may list other keys: those of before are not shown."""

    async def work() -> list[str]:
        member = world.member()
        old = world.fleet(member)
        await _ask(old)
        new = world.fleet(replace(member, gateway=replace(member.gateway, url="https://elsewhere.example/keys")))
        new.inherit(old)
        return new.ids()

    assert _run(work()) == ["lite"]


def test_new_management_key_reads_the_list_at_once(world: _World) -> None:
    """A rotated management key ends the reuse of the list."""

    async def work() -> None:
        fleet = world.fleet(world.member(min_interval=600.0))
        await _ask(fleet)
        world.key = "sk-rotated"
        await _ask(fleet, "lite:bob")

    _run(work())
    assert world.polls == 2


def test_overlapping_scrapes_see_whole_lists(world: _World) -> None:
    """While one scrape goes through thousands of keys, another's new list does not change what it shows."""
    many = [_key(f"key-{number:04}") for number in range(1000)]

    async def work() -> tuple[list[GatewayStatus], list[GatewayStatus]]:
        fleet = world.fleet(world.member(min_interval=600.0))
        world.keys = many
        await _ask(fleet)
        first = asyncio.ensure_future(_ask(fleet))
        await asyncio.sleep(0)
        world.keys, world.key = [], "sk-rotated"
        second = await _ask(fleet)
        return await first, second

    first, second = _run(work())
    assert len(first) == 1001
    assert len(second) == 1


def test_thousands_of_keys_leave_the_loop_its_turns(world: _World) -> None:
    """Showing thousands of keys of a list is done in many small parts, between which others are served."""
    world.keys = [_key(f"key-{number:04}") for number in range(3000)]

    async def work() -> tuple[int, int]:
        fleet = world.fleet(world.member(min_interval=600.0))
        await _ask(fleet)
        turns = 0
        asking = asyncio.ensure_future(_ask(fleet))
        while not asking.done():
            await asyncio.sleep(0)
            turns += 1
        return len(asking.result()), turns

    statuses, turns = _run(work())
    assert statuses == 3001
    assert turns >= 15
