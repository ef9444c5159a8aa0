"""The preset nanogpt, against replies of NanoGPT."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of


def day(used: float) -> Bucket:
    when = {"resets_at": at(2026, 5, 18), "window_seconds": 86400.0}
    return Bucket(Kind.REQUESTS, "daily", None, 5000, used, 5000 - used, limited=True, **when)


def month(used: float) -> Bucket:
    return Bucket(Kind.REQUESTS, "monthly", None, 60000, used, 60000 - used, limited=True, resets_at=at(2026, 6, 2))


@pytest.mark.parametrize(
    ("name", "buckets"),
    [
        ("full", (day(5), month(4500))),
        ("exhausted", (day(5000), month(60000))),
        ("overspent", (day(5004), month(60010))),
        ("not_enforced", (month(45000),)),
    ],
)
def test_a_plan_has_a_day_and_a_month(name: str, buckets: tuple[Bucket, ...]) -> None:
    """Operations of the day and the billing month are read, with resets in milliseconds; no share, no grace."""
    assert quota_of("nanogpt", fixture("nanogpt", name)) == Quota(buckets)


def test_where_it_is_asked() -> None:
    """The plan is asked beside the chat API, and not below it."""
    urls = request_urls(preset("nanogpt"), base_url="https://nano-gpt.com/api/v1", quota_path=None)
    assert urls == ("https://nano-gpt.com/api/subscription/v1/usage",)


def test_a_daily_limit_counts_where_the_reply_does_not_say_otherwise() -> None:
    """Only `false` itself takes the daily limit away."""
    body = fixture("nanogpt", "full")
    del body["enforceDailyLimit"]
    assert quota_of("nanogpt", body) == Quota((day(5), month(4500)))


def test_an_error_is_told_in_its_words() -> None:
    """An error envelope is no quota, and its message is shown."""
    failure = failure_of("nanogpt", fixture("nanogpt", "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: Invalid session",
    )
