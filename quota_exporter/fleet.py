"""All gateways of one config: who is polled when, and what is shared between scrapes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quota_exporter.credentials import Credential
from quota_exporter.gateway import Gateway, bug
from quota_exporter.quota import Failure, GatewayStatus, KeySource, Quota, Reading, Reason

# A failure is remembered at least this long, so that scrapes that wait together do not retry in turn.
FAILURE_MEMORY_SECONDS = 1.0

# A reading that came too late for its scrape is shown by the next that would have none, as long as Prometheus
# itself would look back for it.
LATE_READING_SECONDS = 300.0

# Between so many polls others get their turn: a thousand requests sent in one go would bring as many replies at once.
_STARTED_AT_ONCE = 20

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
    """What is remembered of one member; times are those of the monotonic clock but for `last_success`.

    `has_slot` tells whether the poll in flight has come to its turn. `is_unseen` marks a reading that came when all
    who asked for it had given up.
    """

    poll: asyncio.Task[Reading] | None = None
    has_slot: bool = False
    is_unseen: bool = False
    credential: Credential | None = None
    reading: Reading | None = None
    read_at: float = 0.0
    paused_until: float = 0.0
    quota: Quota | None = None
    quota_at: float = 0.0
    last_success: float | None = None
    polls: int = 0
    failures: Counter[Reason] = field(default_factory=Counter)


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

    def inherit(self, previous: Fleet) -> None:
        """Take over an earlier fleet's counters, and the readings and pauses of unchanged gateways."""
        for provider_id, member in self._members.items():
            old = previous._states.get(provider_id)
            if old is None:
                continue
            state = self._states[provider_id]
            state.polls, state.failures, state.last_success = old.polls, old.failures.copy(), old.last_success
            if _reads_the_same(previous._members[provider_id].gateway, member.gateway):
                state.credential, state.reading, state.read_at = old.credential, old.reading, old.read_at
                state.paused_until, state.quota, state.quota_at = old.paused_until, old.quota, old.quota_at

    async def statuses(self, provider_ids: Iterable[str], deadline: float | None) -> list[GatewayStatus]:
        """Poll these gateways where a new reading is due, and wait for them at most `deadline` seconds.

        With None each is waited for until it is done: once it has its turn among the keys of its origin, its own
        timeout bounds it. A poll that is not done by the deadline is shown as timed out in this answer alone. It
        goes on, and where the next scrape is too short as well, that one shows the reading that came in between.
        Cancelling the caller cancels no poll. KeyError for an unknown id.
        """
        answered = asyncio.get_running_loop().create_future()
        self._asked.add(answered)
        try:
            return await self._ask(list(provider_ids), deadline)
        finally:
            self._asked.discard(answered)
            answered.set_result(None)

    def last(self, provider_id: str) -> GatewayStatus | None:
        """The status after the last poll without a new one; None before the first."""
        state = self._states[provider_id]
        return None if state.reading is None else self._shown(self._members[provider_id], state, state.reading)

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

    def _polls(self) -> list[asyncio.Task[Reading]]:
        return [state.poll for state in self._states.values() if state.poll is not None]

    async def _ask(self, provider_ids: list[str], deadline: float | None) -> list[GatewayStatus]:
        started = self._monotonic()
        # Held on to here: by the time that the slowest poll is done, other scrapes may have begun new ones.
        sources: list[Reading | asyncio.Task[Reading]] = []
        for provider_id in provider_ids:
            sources.append(self._poll_if_due(provider_id))
            if len(sources) % _STARTED_AT_ONCE == 0:
                await asyncio.sleep(0)
        polls = [source for source in sources if isinstance(source, asyncio.Task)]
        if polls:
            spent = self._monotonic() - started
            await asyncio.wait(polls, timeout=None if deadline is None else max(0.0, deadline - spent))
        waited = self._monotonic() - started
        asked = list(zip(provider_ids, sources, strict=True))
        self._tell_late([name for name, source in asked if isinstance(source, asyncio.Task) and not source.done()])
        return [self._status(provider_id, source, waited) for provider_id, source in asked]

    def _tell_late(self, provider_ids: list[str]) -> None:
        """Log who missed a scrape's deadline, when that is not the same as at the scrape before."""
        late = frozenset(provider_ids)
        if late and late != self._late:
            extra = {"gateways": len(late), "first": provider_ids[0]}
            _LOG.warning("the scrape ended before these polls; see timeout and max_concurrency", extra=extra)
        self._late = late

    def _poll_if_due(self, provider_id: str) -> Reading | asyncio.Task[Reading]:
        """Return the poll to wait for, or the reading that makes one needless."""
        member, state = self._members[provider_id], self._states[provider_id]
        if state.poll is not None:
            return state.poll
        try:
            credential = member.credential()
        except Exception as error:  # noqa: BLE001 - no bug with one gateway's key may cost another its series
            return self._record(member, state, _failed(member, KeySource.NONE, 0.0, bug(provider_id, error)))
        if state.reading is not None and credential == state.credential and self._is_fresh(member, state):
            return state.reading
        state.credential = credential
        state.poll = asyncio.get_running_loop().create_task(self._poll(member, state, credential))
        return state.poll

    def _is_fresh(self, member: Member, state: _State) -> bool:
        now = self._monotonic()
        if now < state.paused_until:
            return True
        least = member.min_interval
        if state.reading is not None and state.reading.failure is not None:
            least = max(least, FAILURE_MEMORY_SECONDS)
        return now - state.read_at < least

    async def _poll(self, member: Member, state: _State, credential: Credential) -> Reading:
        try:
            async with member.slots:
                state.has_slot = True
                reading = await member.gateway.poll(credential)
        except Exception as error:  # noqa: BLE001 - no bug in one poll may cost another gateway its series
            reading = _failed(member, credential.source, 0.0, bug(member.provider_id, error))
        finally:
            state.poll, state.has_slot = None, False
        return self._record(member, state, reading)

    def _record(self, member: Member, state: _State, reading: Reading) -> Reading:
        was_failing = state.reading is not None and state.reading.failure is not None
        state.reading, state.read_at, state.paused_until = reading, self._monotonic(), 0.0
        state.is_unseen = True
        state.polls += 1
        if reading.failure is None:
            state.quota, state.quota_at, state.last_success = reading.quota, state.read_at, reading.at
            if was_failing:
                _LOG.info("gateway can be read again", extra={"provider_id": member.provider_id})
            return reading
        state.failures[reading.failure.reason] += 1
        if reading.failure.retry_after is not None:
            state.paused_until = state.read_at + reading.failure.retry_after
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
        return reading

    def _status(self, provider_id: str, source: Reading | asyncio.Task[Reading], waited: float) -> GatewayStatus:
        member, state = self._members[provider_id], self._states[provider_id]
        if isinstance(source, asyncio.Task):
            if source.done() and not source.cancelled():
                source = source.result()
            elif state.reading is not None and self._is_late_reading(state):
                source = state.reading
        if isinstance(source, Reading):
            state.is_unseen = False
            return self._shown(member, state, source)
        assert state.credential is not None  # noqa: S101 - a poll in flight has set it
        why = "in progress" if state.has_slot else "waiting for other keys of its origin"
        late = Failure(Reason.TIMEOUT, f"the poll was still {why} when the scrape ended after {waited:.1f} s")
        return self._shown(member, state, _failed(member, state.credential.source, waited, late))

    def _is_late_reading(self, state: _State) -> bool:
        return state.is_unseen and self._monotonic() - state.read_at <= LATE_READING_SECONDS

    def _shown(self, member: Member, state: _State, reading: Reading) -> GatewayStatus:
        quota = reading.quota
        stale_for = member.gateway.settings.stale_for
        if quota is None and stale_for > 0 and self._monotonic() - state.quota_at <= stale_for:
            quota = state.quota
        return GatewayStatus(reading, quota, state.last_success, state.polls, tuple(state.failures.items()))


def _reads_the_same(one: Gateway, other: Gateway) -> bool:
    return (one.settings, one.url, one.mapping) == (other.settings, other.url, other.mapping)


def _failed(member: Member, key_source: KeySource, duration: float, failure: Failure) -> Reading:
    """Return the reading of a poll that never came to a request."""
    return Reading(member.provider_id, key_source, member.gateway.wall(), duration, None, failure)
