"""The preset zai, against replies of Z.ai and Zhipu."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Problem, Quota, Reason
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of

HOURS: dict[str, Any] = {"resets_at": at(2026, 5, 17, 10), "window_seconds": 18000.0}
WEEK: dict[str, Any] = {"resets_at": at(2026, 5, 20), "window_seconds": 604800.0}


def bucket(kind: Kind, name: str, limit: float, used: float, **more: Any) -> Bucket:
    return Bucket(kind, name, None, limit, used, limit - used, limited=True, **more)


def tools(used: float) -> Bucket:
    return bucket(Kind.REQUESTS, "tools", 1000, used, resets_at=at(2026, 6, 1))


@pytest.mark.parametrize(
    ("name", "buckets"),
    [
        (
            "full",
            (
                bucket(Kind.TOKENS, "5h", 2e8, 8e6, **HOURS),
                bucket(Kind.TOKENS, "1w", 1.5e9, 3e8, **WEEK),
                tools(12),
            ),
        ),
        (
            "percent",
            (
                bucket(Kind.CREDITS, "5h percent", 100, 42, **HOURS),
                bucket(Kind.CREDITS, "1w percent", 100, 7, **WEEK),
                tools(12),
            ),
        ),
        ("exhausted", (bucket(Kind.TOKENS, "5h", 2e8, 2e8, **HOURS), tools(1000))),
        (
            "overspent",
            (
                bucket(Kind.TOKENS, "5h", 2e8, 2.005e8, **HOURS),
                bucket(Kind.CREDITS, "1w percent", 100, 103, **WEEK),
                tools(1004),
            ),
        ),
    ],
)
def test_a_plan_has_windows_and_tools(name: str, buckets: tuple[Bucket, ...]) -> None:
    """`usage` is the limit; tokens that are told in percent only are percent of 100, and no tokens."""
    assert quota_of("zai", fixture("zai", name)) == Quota(buckets)


@pytest.mark.parametrize("host", ["api.z.ai", "open.bigmodel.cn"])
def test_where_it_is_asked(host: str) -> None:
    """The plan is asked at the root of the host, not below the address of the chat API."""
    urls = request_urls(preset("zai"), base_url=f"https://{host}/api/coding/paas/v4", quota_path=None)
    assert urls == (f"https://{host}/api/monitor/usage/quota/limit",)


@pytest.mark.parametrize("percentage", [None, "missing"])
def test_a_row_without_any_amount_is_no_bucket(percentage: str | None) -> None:
    """A limit of 100 alone, which the reply did not give, is never shown; the loss is counted."""
    body = fixture("zai", "percent")
    del body["data"]["limits"][1:]
    row = body["data"]["limits"][0]
    if percentage is None:
        row["percentage"] = None
    else:
        del row["percentage"]
    assert failure_of("zai", body).reason is Reason.UNEXPECTED_SHAPE
    body["data"]["limits"] += fixture("zai", "full")["data"]["limits"][2:]
    quota = quota_of("zai", body)
    assert quota.buckets == (tools(12),)
    assert Problem.UNRESOLVED in [dropped.problem for dropped in quota.dropped]


def test_amounts_that_are_null_leave_the_percentage() -> None:
    """A row whose amounts are there and null is a row that tells percent only."""
    body = fixture("zai", "percent")
    body["data"]["limits"][0] |= {"usage": None, "currentValue": None, "remaining": None}
    assert bucket(Kind.CREDITS, "5h percent", 100, 42, **HOURS) in quota_of("zai", body).buckets


def test_a_window_of_an_unknown_unit_is_counted() -> None:
    """A unit that is new gives no window with a wrong name."""
    body = fixture("zai", "full")
    body["data"]["limits"][0]["unit"] = 9
    quota = quota_of("zai", body)
    assert [found.name for found in quota.buckets] == ["1w", "tools"]
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED]


def test_a_failure_at_status_200_is_a_failure() -> None:
    """Z.ai answers 200 to a wrong key; its message is shown."""
    failure = failure_of("zai", fixture("zai", "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: token expired or incorrect",
    )


def test_a_plan_without_limits_is_not_unlimited() -> None:
    """A team's plan asked without its headers answers with no limits, which says nothing."""
    assert failure_of("zai", fixture("zai", "error_no_limits")).reason is Reason.UNEXPECTED_SHAPE
