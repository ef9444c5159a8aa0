"""The mappings that ship with the package, against replies of their gateways."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quota_exporter.mapping import classify_error, map_reply
from quota_exporter.mapping_language import load_preset, preset_names
from quota_exporter.quota import Bucket, Failure, Kind, Problem, Quota, Reason

FIXTURES = Path(__file__).parents[1] / "fixtures"
NOW = datetime(2026, 5, 17, 6, 40, tzinfo=UTC).timestamp()
JUNE = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
END_OF_MAY = datetime(2026, 5, 31, tzinfo=UTC).timestamp()
NEW_YEAR = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
CREDENTIAL = "sk-or-v1-0e6f2a9b44d17c83aa5521d7b9e40c96"


def fixture(preset: str, name: str) -> Any:
    return json.loads((FIXTURES / preset / f"{name}.json").read_text(encoding="utf-8"))


def outcome_of(preset: str, body: Any) -> Quota | Failure:
    return map_reply(load_preset(preset), body, http_status=200, secrets=(CREDENTIAL,), now=NOW, max_buckets=20)


def quota_of(preset: str, body: Any) -> Quota:
    outcome = outcome_of(preset, body)
    assert isinstance(outcome, Quota)
    return outcome


def failure_of(preset: str, body: Any) -> Failure:
    outcome = outcome_of(preset, body)
    assert isinstance(outcome, Failure)
    return outcome


def tokens(limit: float | None, used: float, remaining: float | None, **more: Any) -> Bucket:
    return Bucket(Kind.TOKENS, "default", None, limit, used, remaining, limit is not None, **more)


def cost(limit: float | None, used: float, remaining: float | None, currency: str = "USD", **more: Any) -> Bucket:
    return Bucket(Kind.COST, "default", currency, limit, used, remaining, limit is not None, **more)


def paths_in(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for member, inner in value.items():
            yield (*path, member)
            yield from paths_in(inner, (*path, member))


def without(body: Any, path: tuple[str, ...]) -> Any:
    body = copy.deepcopy(body)
    parent = body
    for member in path[:-1]:
        parent = parent[member]
    del parent[path[-1]]
    return body


# All presets


def test_the_presets_are_these() -> None:
    """The names of the presets are known, and no other can be loaded."""
    assert preset_names() == ("neutral", "openrouter")
    for name in ("", "other", "../neutral", "neutral.yaml"):
        with pytest.raises(KeyError):
            load_preset(name)


@pytest.mark.parametrize("name", preset_names())
def test_each_preset_says_where_it_comes_from(name: str) -> None:
    """A preset is named like its file, and says on which source and how surely it rests."""
    mapping = load_preset(name)
    assert mapping.name == name
    assert "Source: " in mapping.description
    assert "Confidence: " in mapping.description


@pytest.mark.parametrize(("name", "path"), [("neutral", "/quota"), ("openrouter", "/key")])
def test_the_path_belongs_to_the_preset(name: str, path: str) -> None:
    """Each preset knows where below the base URL its gateway answers."""
    assert load_preset(name).path == path


WHOLE_REPLIES = [("neutral", "full"), ("openrouter", "full"), ("openrouter", "lifetime")]


@pytest.mark.parametrize(("preset", "name"), WHOLE_REPLIES)
def test_a_whole_reply_drops_nothing(preset: str, name: str) -> None:
    """A reply with everything in it counts no problem."""
    assert quota_of(preset, fixture(preset, name)).dropped == ()


@pytest.mark.parametrize(
    ("preset", "name", "path"),
    [(preset, name, path) for preset, name in WHOLE_REPLIES for path in paths_in(fixture(preset, name))],
)
def test_a_missing_member_never_reads_as_unlimited_or_as_another_number(
    preset: str, name: str, path: tuple[str, ...]
) -> None:
    """When a gateway renames a member, its value is gone or derived rightly; no other value changes."""
    whole = {bucket.kind: bucket for bucket in quota_of(preset, fixture(preset, name)).buckets}
    outcome = outcome_of(preset, without(fixture(preset, name), path))
    for bucket in outcome.buckets if isinstance(outcome, Quota) else ():
        expected = whole[bucket.kind]
        assert bucket.limited in (True, None)
        assert bucket.limit in (None, expected.limit)
        assert bucket.used in (None, expected.used)
        assert bucket.remaining in (None, expected.remaining)
        assert bucket.currency == expected.currency


# neutral


@pytest.mark.parametrize(
    ("name", "buckets"),
    [
        ("full", (tokens(5e6, 250000, 4.75e6, resets_at=END_OF_MAY), cost(5, 0.5, 4.5))),
        ("unlimited", (tokens(None, 250000, None), cost(None, 0.5, None, "EUR"))),
        ("exhausted", (tokens(5e6, 5e6, 0, resets_at=END_OF_MAY), cost(5, 5, 0))),
        ("overspent", (tokens(5e6, 5000100, -100), cost(5, 5.75, -0.75))),
    ],
)
def test_neutral_replies(name: str, buckets: tuple[Bucket, ...]) -> None:
    """The neutral contract's tokens and cost are read as they stand: 0 is data, null is unlimited."""
    quota = quota_of("neutral", fixture("neutral", name))
    assert quota.buckets == buckets
    assert quota.dropped == ()


def test_neutral_names_the_key() -> None:
    """`key` of the neutral contract is the key's name for people."""
    assert quota_of("neutral", fixture("neutral", "full")).key_name == "course-comp318-fall26"


@pytest.mark.parametrize("absent", ["missing", None])
def test_neutral_without_tokens_or_cost_is_a_smaller_quota(absent: str | None) -> None:
    """A gateway may publish tokens or cost alone: an object that is absent or null is no problem."""
    for member, kind in (("tokens", Kind.COST), ("cost", Kind.TOKENS)):
        body = fixture("neutral", "full")
        if absent is None:
            body[member] = None
        else:
            del body[member]
        quota = quota_of("neutral", body)
        assert [bucket.kind for bucket in quota.buckets] == [kind]
        assert quota.dropped == ()


@pytest.mark.parametrize("wrong", ["many", 5, True, [], [{"limit": None}]])
def test_neutral_with_something_else_for_tokens_counts_problems(wrong: Any) -> None:
    """What is there and no object is a mistake of the gateway, which is counted and costs no other bucket."""
    quota = quota_of("neutral", {**fixture("neutral", "full"), "tokens": wrong})
    assert quota.buckets == (cost(5, 0.5, 4.5),)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED] * 3


def test_neutral_takes_numbers_in_quotes_and_defaults_to_dollars() -> None:
    """Numeric strings are numbers, and money is in USD unless the reply says otherwise."""
    quota = quota_of("neutral", {"cost": {"limit": "5.0", "used": "0.42", "remaining": "4.58"}})
    assert quota.buckets == (cost(5, 0.42, 4.58),)


@pytest.mark.parametrize("body", [{}, {"key": "x"}, {"tokens": None, "cost": None}, {"data": {"limit": 5}}, []])
def test_neutral_refuses_replies_of_another_shape(body: Any) -> None:
    """A reply with neither tokens nor cost is not the neutral contract, and the failure says what was looked for."""
    failure = failure_of("neutral", body)
    assert failure.reason is Reason.UNEXPECTED_SHAPE
    assert "the mapping neutral: none of tokens.limit, tokens.used, tokens.remaining, cost.limit" in failure.detail


@pytest.mark.parametrize("reason", [Reason.KEY_EXPIRED, Reason.KEY_BLOCKED, Reason.PAYMENT_REQUIRED])
def test_neutral_errors_may_give_a_reason(reason: Reason) -> None:
    """An operator's gateway says in error.code why it refuses a key, at whatever HTTP status."""
    body = {"error": {"message": "Ask the course staff", "code": str(reason)}}
    assert failure_of("neutral", body).reason is reason
    assert failure_of("neutral", body).detail.endswith(": Ask the course staff")
    assert classify_error(load_preset("neutral"), body, secrets=(CREDENTIAL,)) == (reason, "Ask the course staff")


def test_neutral_errors_may_be_text() -> None:
    """An error that is one string is shown as the message."""
    failure = failure_of("neutral", {"error": "Database not connected"})
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: Database not connected",
    )
    assert failure_of("neutral", fixture("neutral", "error")).reason is Reason.KEY_EXPIRED


# openrouter

MAY: dict[str, Any] = {"resets_at": JUNE, "window_seconds": 31 * 86400.0}


@pytest.mark.parametrize(
    ("name", "bucket", "expires_at"),
    [
        ("full", cost(100, 25.5, 74.5, **MAY), NEW_YEAR),
        ("lifetime", cost(100, 25.5, 74.5), None),
        ("unlimited", cost(None, 325.5, None), None),
        ("exhausted", cost(100, 100, 0, **MAY), NEW_YEAR),
        ("overspent", cost(100, 101.5, -1.5, **MAY), NEW_YEAR),
    ],
)
def test_openrouter_replies(name: str, bucket: Bucket, expires_at: float | None) -> None:
    """Used is what was spent in the limit's interval, not in the key's life; the interval ends at UTC midnight."""
    quota = quota_of("openrouter", fixture("openrouter", name))
    assert quota == Quota((bucket,), "Prod key (EU)", expires_at, ())


@pytest.mark.parametrize(
    ("interval", "window", "resets_at"),
    [
        ("daily", 86400.0, datetime(2026, 5, 18, tzinfo=UTC).timestamp()),
        ("weekly", 604800.0, datetime(2026, 5, 18, tzinfo=UTC).timestamp()),  # NOW is a Sunday
        ("monthly", 31 * 86400.0, JUNE),
        (None, None, None),
    ],
)
def test_openrouter_intervals(interval: str | None, window: float | None, resets_at: float | None) -> None:
    """limit_reset names the bucket's period; null is a limit for the key's whole life."""
    body = fixture("openrouter", "lifetime")
    body["data"]["limit_reset"] = interval
    bucket = quota_of("openrouter", body).buckets[0]
    assert (bucket.window_seconds, bucket.resets_at) == (window, resets_at)


def test_openrouter_with_an_unknown_interval_keeps_the_amounts() -> None:
    """A word for an interval that is new gives no window, which is counted, and no wrong one."""
    body = fixture("openrouter", "full")
    body["data"]["limit_reset"] = "hourly"
    quota = quota_of("openrouter", body)
    assert quota.buckets == (cost(100, 25.5, 74.5),)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.NOT_A_NUMBER]


def test_openrouter_without_limit_has_no_period() -> None:
    """Where no limit applies, nothing refills: an interval that is named none the less is not shown."""
    body = fixture("openrouter", "unlimited")
    body["data"]["limit_reset"] = "monthly"
    assert quota_of("openrouter", body).buckets == (cost(None, 325.5, None),)


@pytest.mark.parametrize(
    ("data", "bucket", "problems"),
    [
        ({"usage": 0.42, "limit": 5.0, "limit_remaining": 4.58}, (5.0, pytest.approx(0.42), 4.58, True), 0),
        ({"usage": 0.42, "limit": 5.0}, (5.0, 0.42, pytest.approx(4.58), True), 0),
        ({"usage": "0.5", "limit": "5.0", "limit_remaining": "4.5"}, (5.0, 0.5, 4.5, True), 0),
        ({"usage": 0.42, "limit": None}, (None, 0.42, None, False), 0),
        ({"usage": 0, "limit": None}, (None, 0, None, False), 0),
        ({"usage": 0.42}, (None, 0.42, None, None), 2),
        ({"limit_remaining": 3.5}, (None, None, 3.5, None), 2),
    ],
)
def test_openrouter_shaped_replies_of_other_gateways(data: Any, bucket: Any, problems: int) -> None:
    """The short form of the reply, which others copy, is read too; a limit that is missing is not unlimited."""
    quota = quota_of("openrouter", {"data": {"label": "course", **data}})
    read = quota.buckets[0]
    assert (read.limit, read.used, read.remaining, read.limited) == bucket
    assert len(quota.dropped) == problems


def test_openrouter_never_shows_the_masked_key() -> None:
    """data.label is a masked key: without a name that somebody chose there is no name."""
    body = without(fixture("openrouter", "full"), ("data", "name"))
    quota = quota_of("openrouter", body)
    assert quota.key_name is None
    assert quota.dropped == ()
    assert quota_of("openrouter", {"data": {**body["data"], "name": body["data"]["label"]}}).key_name is None


def test_openrouter_errors() -> None:
    """An error envelope is an error reply also at status 200, and its message is shown."""
    failure = failure_of("openrouter", fixture("openrouter", "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: No auth credentials found",
    )


@pytest.mark.parametrize("body", [{}, {"tokens": {"limit": 5}}, {"data": None}, {"data": []}, {"data": {}}, []])
def test_openrouter_refuses_replies_of_another_shape(body: Any) -> None:
    """A reply without key data is no quota, and the failure names the mapping."""
    failure = failure_of("openrouter", body)
    assert failure.reason is Reason.UNEXPECTED_SHAPE
    assert "the mapping openrouter: " in failure.detail
