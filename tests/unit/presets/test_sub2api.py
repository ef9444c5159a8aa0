"""The preset sub2api, against replies of Sub2API."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Problem, Reason
from tests.unit.presets.amounts import amounts_of, refills_of
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of


def key(used: float, short: float) -> dict[tuple[str, str], Any]:
    """What a key with limits of its own has, by what was used."""
    return {
        ("cost", "default"): (10, used, 10 - used, True),
        ("cost", "5h"): (2, short, 2 - short, True),
        ("cost", "7d"): (20, 2.25, 17.75, True),
    }


def subscription(day: Any, week: Any = (20, 4, 16, True), month: Any = (60, 9, 51, True)) -> dict[tuple[str, str], Any]:
    return {("cost", "daily"): day, ("cost", "weekly"): week, ("cost", "monthly"): month}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", key(2.5, 0.5)),
        ("exhausted", key(10, 2)),
        ("windows", {("cost", "1d"): (4, 1, 3, True)}),
        ("subscription", subscription((5, 1.5, 3.5, True))),
        ("overspent", subscription((5, 5.25, -0.25, True))),
        ("one_window", subscription((5, 1.5, 3.5, True), (None, 4, None, False), (None, 9, None, False))),
        ("unlimited", subscription((None, 1.5, None, False), (None, 4, None, False), (None, 9, None, False))),
        ("wallet", {("cost", "wallet"): (None, None, 12.3, None)}),
        ("debt", {("cost", "wallet"): (None, None, -0.5, None)}),
    ],
)
def test_the_four_shapes(name: str, expected: dict[tuple[str, str], Any]) -> None:
    """Quota, windows, subscription and wallet are read; a subscription's limit that is null or 0 is none."""
    assert amounts_of("sub2api", name) == expected


def test_windows_end_where_the_reply_says_when() -> None:
    """A window that has not begun has no end; that of a week is seven days after its start."""
    assert refills_of("sub2api", "full") == {
        ("cost", "default"): (None, None),
        ("cost", "5h"): (5 * 3600, at(2026, 5, 17, 9)),
        ("cost", "7d"): (7 * 86400, None),
    }
    assert refills_of("sub2api", "subscription") == {
        ("cost", "daily"): (86400, None),
        ("cost", "weekly"): (7 * 86400, at(2026, 5, 19, 8)),
        ("cost", "monthly"): (30 * 86400, None),
    }


@pytest.mark.parametrize(("name", "expected"), [("full", True), ("subscription", True), ("wallet", False)])
def test_keys_and_subscriptions_expire(name: str, expected: bool) -> None:  # noqa: FBT001 - what is expected
    """The time at which a key or its subscription ends is read."""
    expires_at = quota_of("sub2api", fixture("sub2api", name)).expires_at
    assert expires_at == (at(2026, 12, 31, 23, 59, 59) if expected else None)


@pytest.mark.parametrize("name", ["full", "subscription", "wallet"])
def test_money_is_in_the_unit_of_the_site(name: str) -> None:
    """A site may count in another currency, which the reply names."""
    body = fixture("sub2api", name)
    body["unit"] = "CNY"
    if "quota" in body:
        body["quota"]["unit"] = "CNY"
    assert {bucket.currency for bucket in quota_of("sub2api", body).buckets} == {"CNY"}


def test_an_older_version_does_not_say_when_the_week_began() -> None:
    """Without the start of the week there is no end of it, and that is no problem."""
    body = fixture("sub2api", "subscription")
    del body["subscription"]["weekly_window_start"]
    quota = quota_of("sub2api", body)
    assert (quota.dropped, quota.buckets[1].resets_at) == ((), None)


def test_a_limit_that_is_renamed_is_counted() -> None:
    """A window whose limit is missing keeps what was used and is not unlimited."""
    body = fixture("sub2api", "unlimited")
    del body["subscription"]["daily_limit_usd"]
    quota = quota_of("sub2api", body)
    assert (quota.buckets[0].used, quota.buckets[0].limited) == (1.5, None)
    assert {dropped.problem for dropped in quota.dropped} == {Problem.UNRESOLVED}


@pytest.mark.parametrize("base_url", ["https://relay.example.com", "https://relay.example.com/v1"])
def test_where_it_is_asked(base_url: str) -> None:
    """The usage is asked below /v1, which may stand in the base URL or not."""
    urls = request_urls(preset("sub2api"), base_url=base_url, quota_path=None)
    assert urls == ("https://relay.example.com/v1/usage",)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("error", Reason.ERROR_REPLY),
        ("error_expired", Reason.KEY_EXPIRED),
        ("error_disabled", Reason.KEY_BLOCKED),
    ],
)
def test_a_key_that_is_refused_has_no_quota(name: str, reason: Reason) -> None:
    """A key that is expired or disabled is told so with HTTP 200; what it had left does not matter."""
    assert failure_of("sub2api", fixture("sub2api", name)).reason is reason


def test_a_subscription_that_is_not_told_is_no_quota() -> None:
    """A reply that knows of a plan but not of its limits is a failure, not an unlimited key."""
    body = fixture("sub2api", "subscription")
    del body["subscription"]
    assert failure_of("sub2api", body).reason is Reason.UNEXPECTED_SHAPE


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_no_window_of_a_subscription_has_a_limit_below_one(limit: float | None) -> None:
    """A limit that is null, 0 or negative is none."""
    body = fixture("sub2api", "unlimited")
    body["subscription"]["daily_limit_usd"] = limit
    daily = quota_of("sub2api", body).buckets[0]
    assert (daily.name, daily.limit, daily.remaining, daily.limited) == ("daily", None, None, False)


def test_an_exhausted_key_that_is_called_invalid_shows_its_numbers() -> None:
    """quota_exhausted is told with isValid false: nothing is left, which is what the alert needs to know."""
    body = {"isValid": False, "status": "quota_exhausted", "quota": {"limit": 10, "used": 10, "remaining": 0}}
    bucket = quota_of("sub2api", body).buckets[0]
    assert (bucket.limit, bucket.used, bucket.remaining) == (10, 10, 0)


def test_a_disabled_key_is_blocked_also_when_it_is_called_valid() -> None:
    """The status goes before isValid."""
    body = fixture("sub2api", "full")
    failure = failure_of("sub2api", {**body, "isValid": True, "status": "disabled"})
    assert failure.reason is Reason.KEY_BLOCKED
