"""All gateways of one config: who is polled when, and what is shared between scrapes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quota_exporter.children import KEYS_AT_ONCE, Record, split_id
from quota_exporter.credentials import Credential
from quota_exporter.gateway import Gateway, bug
from quota_exporter.quota import Failure, GatewayStatus, KeySource, Reading, Reason

# A failure is remembered at least this long, so that scrapes that wait together do not retry in turn.
FAILURE_MEMORY_SECONDS = 1.0

# A reading that came too late for its scrape is shown by the next that would have none, as long as Prometheus
# itself would look back for it.
LATE_READING_SECONDS = 300.0

# Between so many polls others get their turn: a thousand requests sent in one go would bring as many replies at once.
_STARTED_AT_ONCE = 20

# Settings that change how a reading is shown or how long it is reused, but not what a poll reads.
_NOT_OF_THE_READING = ("label", "owner", "thresholds", "stale_for", "min_interval")

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Member:
    """One gateway of a fleet.

    `slots` is shared by all members of an origin and bounds their polls; `min_interval` is in seconds.
    """

    gateway: Gateway
    slots: asyncio.Semaphore
    min_interval: float
    credential: Callable[[], Credential]

    @property
    def provider_id(self) -> str:
        """The gateway's id."""
        return self.gateway.settings.provider_id


@dataclass(slots=True)
class _State:
    """What is remembered of one member; times are those of the monotonic clock.

    `has_slot` tells whether the poll in flight has come to its turn. `seen_as` are the ids, of the member and its known
    keys, under which the last reading was shown: to those who ask for another it is news, also when they had given up
    before it came.
    """

    poll: asyncio.Task[None] | None = None
    has_slot: bool = False
    credential: Credential | None = None
    paused_until: float = 0.0
    record: Record = field(default_factory=Record)
    seen_as: set[str] = field(default_factory=set)


class Fleet:
    """Polls its members on demand, and remembers their last readings."""

    def __init__(self, members: Sequence[Member], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._members: Mapping[str, Member] = {member.provider_id: member for member in members}
        self._states = {provider_id: _State() for provider_id in self._members}
        self._monotonic = monotonic
        self._asked: set[asyncio.Future[None]] = set()
        self._late: frozenset[str] = frozenset()

    @property
    def members(self) -> Mapping[str, Member]:
        """The members by provider id, in the order of the config."""
        return self._members

    def ids(self) -> list[str]:
        """Provider ids of all members, each followed by those of the keys that it is known to list."""
        return [name for provider_id, state in self._states.items() for name in (provider_id, *state.record.children)]

    def answers_for(self, provider_id: str) -> bool:
        """Whether statuses can be asked for: of a member, or of a key where a member lists keys."""
        parent, alias = split_id(provider_id)
        return parent in self._members and (alias is None or _lists_keys(self._members[parent]))

    def inherit(self, previous: Fleet) -> None:
        """Take over an earlier fleet's counters, and the readings and pauses of unchanged gateways."""
        for provider_id, member in self._members.items():
            old = previous._states.get(provider_id)
            if old is None:
                continue
            state, before = self._states[provider_id], previous._members[provider_id].gateway
            if _reads_the_same(before, member.gateway):
                state.credential, state.paused_until = old.credential, old.paused_until
                state.record, state.seen_as = old.record.next_generation(), old.seen_as.copy()
            else:
                is_same_list = _lists_keys(member) and before.url == member.gateway.url
                state.record = old.record.counters(keeps_keys=is_same_list)

    async def statuses(self, provider_ids: Iterable[str], deadline: float | None) -> list[GatewayStatus]:
        """Poll these gateways where a new reading is due, and wait for them at most `deadline` seconds.

        A gateway is followed by the keys that it lists. The id of such a key gives that key alone, and nothing when the
        gateway's list lacks it; while no list could be read yet, it fails as the gateway does. Each status comes once.

        With None each poll is waited for until it is done: once it has its turn among the keys of its origin, its own
        timeout bounds it. A poll that is not done by the deadline is shown as timed out in this answer alone. It
        goes on, and where the next scrape is too short as well, that one shows the reading that came in between.
        Cancelling the caller cancels no poll. KeyError for an id that the fleet does not answer for.
        """
        answered = asyncio.get_running_loop().create_future()
        self._asked.add(answered)
        try:
            return await self._ask(list(provider_ids), deadline)
        finally:
            self._asked.discard(answered)
            answered.set_result(None)

    def last(self, provider_id: str) -> GatewayStatus | None:
        """The status after the last poll without a new one; None before the first, and of a key that is not listed."""
        member_id = self._member_id(provider_id)
        stale_for = self._members[member_id].gateway.settings.stale_for
        return self._states[member_id].record.status(provider_id, now=self._monotonic(), stale_for=stale_for)

    async def drain(self, grace: float) -> None:
        """Wait until nobody waits for statuses and no poll is in flight, at most `grace` seconds; then cancel."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while self._asked or self._polls():
                    busy: list[asyncio.Future[Any]] = [*self._asked, *self._polls()]
                    await asyncio.wait(busy)
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel the polls in flight."""
        polls = self._polls()
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
        for state in self._states.values():
            if state.poll is not None and state.poll.done():
                state.poll = None  # cancelled before its first step

    def _polls(self) -> list[asyncio.Task[None]]:
        return [state.poll for state in self._states.values() if state.poll is not None]

    def _member_id(self, provider_id: str) -> str:
        if not self.answers_for(provider_id):
            raise KeyError(provider_id)
        return split_id(provider_id)[0]

    async def _ask(self, provider_ids: list[str], deadline: float | None) -> list[GatewayStatus]:
        started = self._monotonic()
        # Held on to here: by the time that the slowest poll is done, other scrapes may have begun new ones.
        polls: dict[str, asyncio.Task[None] | None] = {}
        for member_id in dict.fromkeys([self._member_id(provider_id) for provider_id in provider_ids]):
            polls[member_id] = self._poll_if_due(member_id)
            if len(polls) % _STARTED_AT_ONCE == 0:
                await asyncio.sleep(0)
        waiting = [poll for poll in polls.values() if poll is not None]
        if waiting:
            spent = self._monotonic() - started
            await asyncio.wait(waiting, timeout=None if deadline is None else max(0.0, deadline - spent))
        waited = self._monotonic() - started
        self._tell_late([name for name, poll in polls.items() if poll is not None and not poll.done()])
        late = {asked: self._late_reading(asked, polls[split_id(asked)[0]], waited) for asked in provider_ids}
        return await self._shown(late)

    async def _shown(self, asked: Mapping[str, Reading | None]) -> list[GatewayStatus]:
        """Return the statuses asked for, each once, with the readings given here instead of the last."""
        now = self._monotonic()
        records = [self._states[split_id(provider_id)[0]].record for provider_id in asked]  # all of the same moment
        shown: dict[str, GatewayStatus | None] = {}
        for (provider_id, late), record in zip(asked.items(), records, strict=True):
            member_id, alias = split_id(provider_id)
            stale_for = self._members[member_id].gateway.settings.stale_for
            for name in (provider_id, *record.children) if alias is None else (provider_id,):
                shown[name] = record.status(name, now=now, stale_for=stale_for, late=late)
                if len(shown) % KEYS_AT_ONCE == 0:
                    await asyncio.sleep(0)
        return [status for status in shown.values() if status is not None]

    def _tell_late(self, provider_ids: list[str]) -> None:
        """Log who missed a scrape's deadline, when that is not the same as at the scrape before."""
        late = frozenset(provider_ids)
        if late and late != self._late:
            extra = {"gateways": len(late), "first": provider_ids[0]}
            _LOG.warning("the scrape ended before these polls; see timeout and max_concurrency", extra=extra)
        self._late = late

    def _poll_if_due(self, provider_id: str) -> asyncio.Task[None] | None:
        """Return the poll to wait for, None when the last reading makes one needless."""
        member, state = self._members[provider_id], self._states[provider_id]
        if state.poll is not None:
            return state.poll
        trouble = None
        try:
            credential = member.credential()
        except Exception as error:  # noqa: BLE001 - no bug with one gateway's key may cost another its series
            credential, trouble = Credential(None, KeySource.NONE, ()), bug(provider_id, error)
        if trouble is None and credential == state.credential and self._is_fresh(member, state):
            return None
        state.credential = credential
        state.poll = asyncio.get_running_loop().create_task(self._poll(member, state, credential, trouble))
        return state.poll

    def _is_fresh(self, member: Member, state: _State) -> bool:
        now, last = self._monotonic(), state.record.own
        if last.reading is None:
            return False
        if now < state.paused_until:
            return True
        least = FAILURE_MEMORY_SECONDS if last.reading.quota is None else last.reading.quota.fresh_for
        return now - last.read_at < max(member.min_interval, least)

    async def _poll(self, member: Member, state: _State, credential: Credential, trouble: Failure | None) -> None:
        try:
            if trouble is None:
                reading = await self._read(member, state, credential)
            else:
                reading = _failed(member, credential.source, 0.0, trouble)
            await self._record(member, state, reading)
        finally:
            state.poll, state.has_slot = None, False

    async def _read(self, member: Member, state: _State, credential: Credential) -> Reading:
        try:
            async with member.slots:
                state.has_slot = True
                return await member.gateway.poll(credential)
        except Exception as error:  # noqa: BLE001 - no bug in one poll may cost another gateway its series
            return _failed(member, credential.source, 0.0, bug(member.provider_id, error))

    async def _record(self, member: Member, state: _State, reading: Reading) -> None:
        now, last = self._monotonic(), state.record.own.reading
        max_buckets = member.gateway.settings.max_buckets
        state.record = await state.record.after(reading, now=now, max_buckets=max_buckets)
        state.paused_until, state.seen_as = 0.0, set()
        was_failing = last is not None and last.failure is not None
        if reading.failure is None:
            if was_failing:
                _LOG.info("gateway can be read again", extra={"provider_id": member.provider_id})
            return
        if reading.failure.retry_after is not None:
            state.paused_until = now + reading.failure.retry_after
        _LOG.log(
            logging.DEBUG if was_failing else logging.WARNING,
            "gateway cannot be read",
            extra={
                "provider_id": member.provider_id,
                "reason": reading.failure.reason.value,
                "detail": reading.failure.detail,
                "key_source": reading.key_source.value,
            },
        )

    def _late_reading(self, asked: str, poll: asyncio.Task[None] | None, waited: float) -> Reading | None:
        """Return what to show instead of the last reading because of a poll that is not done; None when that is one."""
        member_id, _ = split_id(asked)
        member, state = self._members[member_id], self._states[member_id]
        is_done = poll is None or (poll.done() and not poll.cancelled())
        if is_done and poll is not None:
            poll.result()  # a bug that kept the reading from being recorded must not pass the one before for it
        last = state.record.own
        # a list of keys takes long: while it is read again, all of them must not look as if they had failed
        is_list = last.reading is not None and last.reading.quota is not None and _lists_keys(member)
        is_news = last.reading is not None and asked not in state.seen_as
        if is_done or ((is_news or is_list) and self._monotonic() - last.read_at <= LATE_READING_SECONDS):
            if asked == member_id or asked in state.record.children:  # others come from requests, without end
                state.seen_as.add(asked)
            return None
        assert state.credential is not None  # noqa: S101 - a poll in flight has set it
        why = "in progress" if state.has_slot else "waiting for other keys of its origin"
        late = Failure(Reason.TIMEOUT, f"the poll was still {why} when the scrape ended after {waited:.1f} s")
        return _failed(member, state.credential.source, waited, late)


def _lists_keys(member: Member) -> bool:
    return member.gateway.mapping.children is not None


def _reads_the_same(one: Gateway, other: Gateway) -> bool:
    settings = other.settings.model_copy(update={name: getattr(one.settings, name) for name in _NOT_OF_THE_READING})
    return (one.settings, one.url, one.mapping) == (settings, other.url, other.mapping)


def _failed(member: Member, key_source: KeySource, duration: float, failure: Failure) -> Reading:
    """Return the reading of a poll that never came to a request."""
    return Reading(member.provider_id, key_source, member.gateway.wall(), duration, None, failure)
