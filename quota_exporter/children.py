"""Keys that a management key lists, as gateways of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from quota_exporter.history import History
from quota_exporter.quota import Failure, GatewayStatus, Quota, Reading, Reason
from quota_exporter.reply_text import clean_text

# After so many keys others get their turn: a millisecond or two of work.
KEYS_AT_ONCE = 200

# A key that lists which are not whole lack is watched for so long: some gateways count more than they list.
_MISSED_FOR_SECONDS = 86_400.0

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
    """One gateway's history with those of the keys that it lists, by their provider ids in the order of the list.

    `has_list` tells whether the list was ever read: until then nobody knows which keys there are.
    """

    own: History = _NEW
    children: Mapping[str, History] = field(default_factory=dict)
    has_list: bool = False

    async def after(self, reading: Reading, *, now: float, max_buckets: int) -> Record:
        """Return the record with one more reading of the gateway.

        A key that a new list lacks is forgotten, unless the list is known to lack some. Without a list the failure is
        one of all keys: an alert on one of them must not end because nobody can tell how it is. `now` is a time of the
        monotonic clock.
        """
        children: dict[str, History] = {}
        for child in _child_readings(reading, self.children, now):
            before = self.children.get(child.provider_id, _NEW)
            children[child.provider_id] = before.after(child, now=now, max_buckets=max_buckets)
            if len(children) % KEYS_AT_ONCE == 0:
                await asyncio.sleep(0)
        has_list = self.has_list or (reading.quota is not None and reading.quota.children is not None)
        return Record(self.own.after(reading, now=now, max_buckets=max_buckets), children, has_list)

    def status(
        self, provider_id: str, *, now: float, stale_for: float, late: Reading | None = None
    ) -> GatewayStatus | None:
        """Return what a scrape shows of the gateway or one of its keys.

        None before the first reading, and of a key that is not listed; until a list was read each key that may be there
        fails as the gateway does. `late` is a failure of the gateway to show instead of its last reading.
        """
        _, alias = split_id(provider_id)
        if alias is None:
            return self.own.status(now=now, stale_for=stale_for, late=late)
        history = self.children.get(provider_id)
        if history is None:
            if self.has_list or clean_text(alias, ()) != alias:  # no list shows such an alias: it may be a key
                return None
            history, late = _NEW, late or self.own.reading
        late = None if late is None else _unreadable(late, provider_id)
        return history.status(now=now, stale_for=stale_for, late=late)

    def counters(self, *, keeps_keys: bool) -> Record:
        """Return what stays true when the gateway is read another way from now on.

        Where it lists the same keys they stay known: were the list out of order now, a change of the config must not
        end their alerts.
        """
        kept = self.children if keeps_keys else {}
        children = {provider_id: child.counters() for provider_id, child in kept.items()}
        return Record(self.own.counters(), children, self.has_list and keeps_keys)

    def next_generation(self) -> Record:
        """Return the same for a new config generation."""
        children = {provider_id: child.next_generation() for provider_id, child in self.children.items()}
        return Record(self.own.next_generation(), children, self.has_list)


def _child_readings(parent: Reading, known: Mapping[str, History], now: float) -> Iterator[Reading]:
    """Readings of the keys that a list gives, and of those `known` that it should have given."""
    if parent.quota is None or parent.quota.children is None:
        yield from (_unreadable(parent, provider_id) for provider_id in known)
        return
    listed = {child_id(parent.provider_id, child.alias): child.outcome for child in parent.quota.children}
    missed = () if parent.quota.lists_all else _missed(listed, known, now)
    failure = Failure(Reason.UNEXPECTED_SHAPE, f"the list of keys at {parent.provider_id} is not whole and lacks it")
    for provider_id in sorted([*listed, *missed]) if missed else listed:
        yield _of_child(parent, provider_id, listed.get(provider_id, failure))


def _missed(listed: Mapping[str, Quota | Failure], known: Mapping[str, History], now: float) -> list[str]:
    return [
        provider_id
        for provider_id, child in known.items()
        if provider_id not in listed and (child.quota is None or now - child.quota_at <= _MISSED_FOR_SECONDS)
    ]


def _unreadable(parent: Reading, provider_id: str) -> Reading:
    """Return the reading of a key whose gateway gave no list."""
    failure = parent.failure or _NO_LIST
    detail = f"the list of keys at {parent.provider_id} cannot be read: {failure.detail}"
    return _of_child(parent, provider_id, Failure(failure.reason, detail))


def _of_child(parent: Reading, provider_id: str, outcome: Quota | Failure) -> Reading:
    return Reading(provider_id, parent.key_source, parent.at, parent.duration, parent.http_status, outcome)
