"""The preset kimi, against replies of Kimi Code."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Problem, Quota, Reason
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of


def week(used: float) -> Bucket:
    when = {"resets_at": at(2026, 5, 20, 9, 30, 0, 123456), "window_seconds": 604800.0}
    return Bucket(Kind.CREDITS, "weekly", None, 100, used, 100 - used, limited=True, **when)


def hours(used: float) -> Bucket:
    when = {"resets_at": at(2026, 5, 17, 9, 30, 0, 123456), "window_seconds": 18000.0}
    return Bucket(Kind.CREDITS, "300m", None, 20, used, 20 - used, limited=True, **when)


@pytest.mark.parametrize(
    ("name", "buckets"),
    [
        ("full", (week(45), hours(3))),
        ("nested", (week(45), hours(3))),
        ("short", (week(45), hours(3))),
        ("exhausted", (week(100), hours(20))),
        ("overspent", (week(104), hours(21))),
    ],
)
def test_a_plan_has_a_week_and_shorter_windows(name: str, buckets: tuple[Bucket, ...]) -> None:
    """Numbers in quotes are read, at the top or within data, and the amount that is left out is derived."""
    assert quota_of("kimi", fixture("kimi", name)) == Quota(buckets)


def test_where_it_is_asked() -> None:
    """The plan is asked below the base URL."""
    urls = request_urls(preset("kimi"), base_url="https://api.kimi.com/coding/v1", quota_path=None)
    assert urls == ("https://api.kimi.com/coding/v1/usages",)


@pytest.mark.parametrize(
    ("duration", "unit", "name", "seconds"),
    [
        (90, "TIME_UNIT_MINUTE", "90m", 5400),
        ("5", "TIME_UNIT_HOUR", "5h", 18000),
        (30, "TIME_UNIT_DAY", "30d", 2592000),
    ],
)
def test_a_window_is_named_by_its_length(duration: object, unit: str, name: str, seconds: float) -> None:
    """The name and the length of a window come from the reply."""
    body = fixture("kimi", "full")
    body["limits"][0]["window"] = {"duration": duration, "timeUnit": unit}
    bucket = quota_of("kimi", body).buckets[1]
    assert (bucket.name, bucket.window_seconds) == (name, seconds)


def test_a_window_of_an_unknown_unit_is_counted() -> None:
    """A unit that is new gives no window with a wrong name."""
    body = fixture("kimi", "full")
    body["limits"][0]["window"]["timeUnit"] = "TIME_UNIT_MOON"
    quota = quota_of("kimi", body)
    assert quota.buckets == (week(45),)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED]


def test_a_plan_without_shorter_windows_is_whole() -> None:
    """A plan may have its week alone; a week that is missing is counted."""
    body = fixture("kimi", "full")
    del body["limits"]
    assert quota_of("kimi", body) == Quota((week(45),))
    quota = quota_of("kimi", {"limits": fixture("kimi", "full")["limits"]})
    assert quota.buckets == (hours(3),)
    assert {dropped.problem for dropped in quota.dropped} == {Problem.UNRESOLVED}


def test_an_error_is_told_in_its_words() -> None:
    """An error envelope is no quota, and its message is shown."""
    failure = failure_of("kimi", fixture("kimi", "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: The API Key appears to be invalid",
    )
