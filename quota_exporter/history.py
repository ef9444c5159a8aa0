"""What is remembered of one gateway's readings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from quota_exporter.quota import Dropped, GatewayStatus, Kind, Problem, Quota, Reading, Reason

NAMES_PER_BUCKET: Final = 5
"""So many different bucket names for each that `max_buckets` allows; a gateway that invents names is cut off there."""


@dataclass(frozen=True, slots=True)
class History:
    """One gateway's past up to its last reading; `read_at` and `quota_at` are times of the monotonic clock.

    `reading` is None before the first one, `last_success` is Unix seconds. `polls` and `failures` count since the
    exporter started. `names` are the buckets seen in this config generation.
    """

    reading: Reading | None = None
    read_at: float = 0.0
    quota: Quota | None = None
    quota_at: float = 0.0
    last_success: float | None = None
    polls: int = 0
    failures: tuple[tuple[Reason, int], ...] = ()
    names: frozenset[tuple[Kind, str]] = frozenset()

    def after(self, reading: Reading, *, now: float, max_buckets: int) -> History:
        """Return the history with one more reading, less its buckets whose names are too many."""
        polls, failure = self.polls + 1, reading.failure
        if failure is not None:
            failures = dict(self.failures)
            failures[failure.reason] = failures.get(failure.reason, 0) + 1
            counted = tuple(failures.items())
            return History(reading, now, self.quota, self.quota_at, self.last_success, polls, counted, self.names)
        quota, names = reading.quota, self.names
        if quota is not None and not names.issuperset(seen := {(bucket.kind, bucket.name) for bucket in quota.buckets}):
            if len(names | seen) > NAMES_PER_BUCKET * max_buckets:
                quota, names = _cut(quota, names, NAMES_PER_BUCKET * max_buckets)
                reading = replace(reading, outcome=quota)
            else:
                names = names | seen
        return History(reading, now, quota, now, reading.at, polls, self.failures, names)

    def status(self, *, now: float, stale_for: float, late: Reading | None = None) -> GatewayStatus | None:
        """Return what a scrape shows, None before the first reading.

        `late` is shown instead of the last reading. After a failure the last quota is kept for `stale_for` seconds.
        """
        reading = self.reading if late is None else late
        if reading is None:
            return None
        quota = reading.quota
        if quota is None and stale_for > 0 and now - self.quota_at <= stale_for:
            quota = self.quota
        return GatewayStatus(reading, quota, self.last_success, self.polls, self.failures)

    def counters(self) -> History:
        """Return what stays true when the gateway is read another way from now on."""
        return History(last_success=self.last_success, polls=self.polls, failures=self.failures)

    def next_generation(self) -> History:
        """Return the same for a new config generation, which counts bucket names anew."""
        return replace(self, names=frozenset())


def _cut(quota: Quota, names: frozenset[tuple[Kind, str]], most: int) -> tuple[Quota, frozenset[tuple[Kind, str]]]:
    """Return the quota without the buckets that would be one name too many, and all names seen with it."""
    known, kept = set(names), []
    for bucket in quota.buckets:
        name = (bucket.kind, bucket.name)
        if name in known or len(known) < most:
            known.add(name)
            kept.append(bucket)
    dropped = Dropped(Problem.TOO_MANY, "bucket names", len(quota.buckets) - len(kept))
    return replace(quota, buckets=tuple(kept), dropped=(*quota.dropped, dropped)), frozenset(known)
