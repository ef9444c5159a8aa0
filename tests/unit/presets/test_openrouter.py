"""The preset openrouter, against replies of OpenRouter and of gateways that copy them."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Problem, Quota, Reason
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of, without

JUNE = at(2026, 6, 1)
NEW_YEAR = at(2026, 12, 31, 23, 59, 59)
TOMORROW = at(2026, 5, 18)
MAY: dict[str, Any] = {"resets_at": JUNE, "window_seconds": 31 * 86400.0}
TODAY: dict[str, Any] = {"resets_at": TOMORROW, "window_seconds": 86400.0}


def cost(limit: float | None, used: float, remaining: float | None, name: str = "default", **more: Any) -> Bucket:
    return Bucket(Kind.COST, name, "USD", limit, used, remaining, limit is not None, **more)


@pytest.mark.parametrize(
    ("name", "bucket", "expires_at"),
    [
        ("full", cost(100, 25.5, 74.5, **MAY), NEW_YEAR),
        ("lifetime", cost(100, 25.5, 74.5), None),
        ("unlimited", cost(None, 325.5, None), None),
        ("exhausted", cost(100, 100, 0, **MAY), NEW_YEAR),
        ("overspent", cost(100, 101.5, -1.5, **MAY), NEW_YEAR),
        ("no_budgets", cost(None, 325.5, None), NEW_YEAR),
    ],
)
def test_the_limit_of_the_key(name: str, bucket: Bucket, expires_at: float | None) -> None:
    """Used is what was spent in the limit's interval, not in the key's life; the interval ends at UTC midnight."""
    assert quota_of("openrouter", fixture("openrouter", name)) == Quota((bucket,), "Prod key (EU)", expires_at, ())


def test_budgets_and_free_models() -> None:
    """Each budget is a bucket by scope and interval, the key's own limit only once, and free requests are counted."""
    assert quota_of("openrouter", fixture("openrouter", "budgets")).buckets == (
        cost(100, 25.5, 74.5, **MAY),
        cost(500, 510, -10, "workspace"),
        cost(20, 4.5, 15.5, "member daily", **TODAY),
        Bucket(Kind.REQUESTS, "free models", None, 1000, 12, 988, limited=True, **TODAY),
    )


def test_two_budgets_of_one_scope_and_interval() -> None:
    """Budgets differ by an id alone, which is no name: the first is shown, the others are counted."""
    body = fixture("openrouter", "budgets")
    body["data"]["budgets"].append(dict(body["data"]["budgets"][1], limit_usd=1.0))
    quota = quota_of("openrouter", body)
    assert cost(500, 510, -10, "workspace") in quota.buckets
    assert [(dropped.problem, dropped.count) for dropped in quota.dropped] == [(Problem.DUPLICATE, 1)]


def test_where_it_is_asked() -> None:
    """The key is described below the base URL of the chat API."""
    urls = request_urls(preset("openrouter"), base_url="https://openrouter.ai/api/v1", quota_path=None)
    assert urls == ("https://openrouter.ai/api/v1/key",)


@pytest.mark.parametrize(
    ("interval", "window", "resets_at"),
    [
        ("daily", 86400.0, TOMORROW),
        ("weekly", 604800.0, TOMORROW),  # the day of the tests is a Sunday
        ("monthly", 31 * 86400.0, JUNE),
        (None, None, None),
    ],
)
def test_intervals(interval: str | None, window: float | None, resets_at: float | None) -> None:
    """limit_reset names the bucket's period; null is a limit for the key's whole life."""
    body = fixture("openrouter", "lifetime")
    body["data"]["limit_reset"] = interval
    bucket = quota_of("openrouter", body).buckets[0]
    assert (bucket.window_seconds, bucket.resets_at) == (window, resets_at)


def test_an_unknown_interval_keeps_the_amounts() -> None:
    """A word for an interval that is new gives no window, which is counted, and no wrong one."""
    body = fixture("openrouter", "full")
    body["data"]["limit_reset"] = "fortnightly"
    quota = quota_of("openrouter", body)
    assert quota.buckets == (cost(100, 25.5, 74.5),)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.NOT_A_NUMBER]


def test_without_limit_there_is_no_period() -> None:
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
def test_the_short_form_that_others_copy(data: Any, bucket: Any, problems: int) -> None:
    """The short form of the reply is read too; a limit that is missing is not unlimited."""
    quota = quota_of("openrouter", {"data": {"label": "course", **data}})
    read = quota.buckets[0]
    assert (read.limit, read.used, read.remaining, read.limited) == bucket
    assert len(quota.dropped) == problems


def test_the_masked_key_is_never_shown() -> None:
    """data.label is a masked key: without a name that somebody chose there is no name."""
    body = without(fixture("openrouter", "full"), ("data", "name"))
    quota = quota_of("openrouter", body)
    assert quota.key_name is None
    assert quota.dropped == ()
    assert quota_of("openrouter", {"data": {**body["data"], "name": body["data"]["label"]}}).key_name is None


def test_an_error_is_told_in_its_words() -> None:
    """An error envelope is an error reply also at status 200, and its message is shown."""
    failure = failure_of("openrouter", fixture("openrouter", "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: No auth credentials found",
    )


@pytest.mark.parametrize("body", [{}, {"tokens": {"limit": 5}}, {"data": None}, {"data": []}, {"data": {}}, []])
def test_replies_of_another_shape_are_refused(body: Any) -> None:
    """A reply without key data is no quota, and the failure names the mapping."""
    failure = failure_of("openrouter", body)
    assert failure.reason is Reason.UNEXPECTED_SHAPE
    assert "the mapping openrouter: " in failure.detail
