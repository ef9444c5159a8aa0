"""Keys that a management key lists, as gateways of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from quota_exporter.history import History
from quota_exporter.quota import Failure, GatewayStatus, Quota, Reading, Reason

# After so many keys others get their turn: a millisecond or two of work.
KEYS_AT_ONCE = 200

_SEPARATOR = ":"  # no id of a configured gateway holds one
_NEW = History()
_NO_LIST = Failure(Reason.UNEXPECTED_SHAPE, "the reply does not hold it")


def child_id(parent: str, alias: str) -> str:
    """Return the provider id of a key that the gateway `parent` lists."""
    return f"{parent}{_SEPARATOR}{alias}"


def split_id(provider_id: str) -> tuple[str, str | None]:
    """Return the configured gateway of an id with the alias of its key, None where the gateway itself is meant."""
    parent, separator, alias = provider_id.partition(_SEPARATOR)
    return parent, alias if separator else None


@dataclass(frozen=True, slots=True)
class Record:
    """One gateway's history with those of the keys that it lists, by their provider ids in the order of the list."""

    own: History = _NEW
    children: Mapping[str, History] = field(default_factory=dict)

    async def after(self, reading: Reading, *, now: float, max_buckets: int) -> Record:
        """Return the record with one more reading of the gateway.

        A key that a new list lacks is forgotten. Without a list the failure is one of all keys: an alert on one of them
        must not end because nobody can tell how it is. `now` is a time of the monotonic clock.
        """
        children: dict[str, History] = {}
        for child in _child_readings(reading, self.children):
            before = self.children.get(child.provider_id, _NEW)
            children[child.provider_id] = before.after(child, now=now, max_buckets=max_buckets)
            if len(children) % KEYS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return Record(self.own.after(reading, now=now, max_buckets=max_buckets), children)

    def status(
        self, provider_id: str, *, now: float, stale_for: float, late: Reading | None = None
    ) -> GatewayStatus | None:
        """Return what a scrape shows of the gateway or one of its keys.

        None before the first reading, and of a key that is not listed. `late` is a failure of the gateway to show
        instead of its last reading.
        """
        if split_id(provider_id)[1] is None:
            return self.own.status(now=now, stale_for=stale_for, late=late)
        history = self.children.get(provider_id)
        if history is None:
            return None
        late = None if late is None or late.failure is None else _unreadable(late, late.failure, provider_id)
        return history.status(now=now, stale_for=stale_for, late=late)

    def counters(self) -> Record:
        """Return what stays true when the gateway is read another way from now on."""
        return Record(self.own.counters())

    def next_generation(self) -> Record:
        """Return the same for a new config generation."""
        children = {provider_id: child.next_generation() for provider_id, child in self.children.items()}
        return Record(self.own.next_generation(), children)


def _child_readings(parent: Reading, known: Iterable[str]) -> Iterator[Reading]:
    outcome = parent.outcome
    if isinstance(outcome, Quota) and outcome.children is not None:
        listed = outcome.children
        return (_of_child(parent, child_id(parent.provider_id, child.alias), child.outcome) for child in listed)
    failure = outcome if isinstance(outcome, Failure) else _NO_LIST
    return (_unreadable(parent, failure, provider_id) for provider_id in known)


def _unreadable(parent: Reading, failure: Failure, provider_id: str) -> Reading:
    detail = f"the list of keys at {parent.provider_id} cannot be read: {failure.detail}"
    return _of_child(parent, provider_id, Failure(failure.reason, detail))


def _of_child(parent: Reading, provider_id: str, outcome: Quota | Failure) -> Reading:
    return Reading(provider_id, parent.key_source, parent.at, parent.duration, parent.http_status, outcome)
