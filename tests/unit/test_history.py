"""What stays of a gateway's readings."""

from __future__ import annotations

from hypothesis import given, strategies as st

from quota_exporter.history import NAMES_PER_BUCKET, History
from quota_exporter.quota import (
    Bucket,
    Dropped,
    Failure,
    GatewayStatus,
    KeySource,
    Kind,
    Problem,
    Quota,
    Reading,
    Reason,
)

FAILURE = Failure(Reason.CONNECT, "no connection")


def reading(outcome: Quota | Failure, at: float = 1_780_000_000.0) -> Reading:
    return Reading("campus", KeySource.ENV, at, 0.25, 200, outcome)


def quota(*names: str, kind: Kind = Kind.TOKENS) -> Quota:
    return Quota(tuple(Bucket(kind, name, limit=100.0, used=25.0) for name in names))


def names_in(history: History) -> list[str]:
    assert history.reading is not None
    assert history.reading.quota is not None
    return [bucket.name for bucket in history.reading.quota.buckets]


def dropped_in(history: History) -> tuple[Dropped, ...]:
    assert history.reading is not None
    return history.reading.outcome.dropped


def shown(history: History, now: float, stale_for: float) -> GatewayStatus:
    status = history.status(now=now, stale_for=stale_for)
    assert status is not None
    return status


def test_nothing_is_shown_before_the_first_reading() -> None:
    """A gateway that was never polled has no status, unless there is a reading to show instead."""
    late = reading(FAILURE)
    assert History().status(now=0.0, stale_for=0.0) is None
    assert History().status(now=0.0, stale_for=0.0, late=late) == GatewayStatus(late, None, None)


def test_polls_failures_and_the_last_success_are_kept() -> None:
    """Each reading counts, a failure under its reason; a failure leaves the time of the last quota."""
    history = History()
    for outcome in (quota("a"), FAILURE, Failure(Reason.TLS, "no TLS"), FAILURE):
        history = history.after(reading(outcome, 1_780_000_000.0 + history.polls), now=0.0, max_buckets=1)
    assert (history.polls, history.last_success) == (4, 1_780_000_000.0)
    assert history.failures == ((Reason.CONNECT, 2), (Reason.TLS, 1))


def test_stale_quota_is_bounded_in_time() -> None:
    """After a failure the last quota is shown for `stale_for` seconds from its reading on, and no longer."""
    history = (
        History().after(reading(quota("a")), now=100.0, max_buckets=1).after(reading(FAILURE), now=130.0, max_buckets=1)
    )
    assert [shown(history, now, 60.0).quota for now in (130.0, 160.0, 160.1)] == [quota("a"), quota("a"), None]
    assert shown(history, 130.0, 0.0).quota is None


def test_invented_bucket_names_come_to_an_end() -> None:
    """A gateway that gives its buckets new names each time gets five times max_buckets of them; the rest is counted."""
    history = History()
    for poll in range(4):
        history = history.after(reading(quota(*(f"{poll}-{n}" for n in range(4)))), now=0.0, max_buckets=2)
    assert NAMES_PER_BUCKET * 2 == 10
    assert names_in(history) == []
    assert dropped_in(history) == (Dropped(Problem.TOO_MANY, "bucket names", 4),)
    known = history.after(reading(quota("new", "0-0", "2-1", "2-2")), now=0.0, max_buckets=2)
    assert names_in(known) == ["0-0", "2-1"]
    assert dropped_in(known) == (Dropped(Problem.TOO_MANY, "bucket names", 2),)
    assert known.quota == shown(known, 0.0, 0.0).quota == known.reading.quota  # type: ignore[union-attr]  # names_in looked


def test_same_names_of_other_kinds_are_other_buckets() -> None:
    """What is bounded are series: the name of another kind is one more."""
    history = History()
    for kind in Kind:
        history = history.after(reading(quota("a", "b", "c", kind=kind)), now=0.0, max_buckets=1)
    assert len(history.names) == 5
    assert names_in(history) == []


def test_a_new_generation_counts_names_anew() -> None:
    """A reload forgets which names were seen, and nothing else."""
    history = History().after(reading(quota(*"abcde")), now=0.0, max_buckets=1)
    assert names_in(history.after(reading(quota("f")), now=0.0, max_buckets=1)) == []
    again = history.next_generation()
    assert shown(again, 0.0, 0.0) == shown(history, 0.0, 0.0)
    assert names_in(again.after(reading(quota("f")), now=0.0, max_buckets=1)) == ["f"]


@given(st.lists(st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=4), max_size=12))
def test_names_never_pass_the_bound(polls: list[list[str]]) -> None:
    """Whatever a gateway tells: all names ever shown keep to the bound, and no bucket is lost untold."""
    history, ever = History(), set[str]()
    for names in polls:
        history = history.after(reading(quota(*names)), now=0.0, max_buckets=1)
        ever |= set(names_in(history))
        assert len(names_in(history)) + sum(dropped.count for dropped in dropped_in(history)) == len(names)
    assert len(ever) <= NAMES_PER_BUCKET
    assert len(history.names) <= NAMES_PER_BUCKET
