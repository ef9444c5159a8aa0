"""The preset new-api, against replies of New API and its forks."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.mapping import map_reply
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import NOW, SECRETS, at, failure_of, fixture, preset, quota_of

PRESET = "new-api"


def cost(limit: float | None, used: float, remaining: float | None) -> Bucket:
    return Bucket(Kind.COST, "default", "USD", limit, used, remaining, limit is not None)


@pytest.mark.parametrize(
    ("name", "bucket", "expires_at"),
    [
        ("full", cost(10, 2.5, 7.5), at(2026, 12, 31, 23, 59, 59)),
        ("never_expires", cost(10, 2.5, 7.5), None),
        ("fork", cost(10, 2.5, 7.5), None),
        ("unlimited", cost(None, 2.5, None), None),
        ("exhausted", cost(10, 10, 0), None),
        ("overspent", cost(10, 10.2, -0.2), None),
    ],
)
def test_quota_is_money(name: str, bucket: Bucket, expires_at: float | None) -> None:
    """500000 units are one USD; the flag alone says unlimited; 0 and -1 never expire."""
    assert quota_of(PRESET, fixture(PRESET, name)) == Quota((bucket,), "laptop", expires_at)


def test_a_site_may_sell_in_its_own_unit_and_currency() -> None:
    """An entry's own unit and currency replace those of the preset."""
    mapping = preset(PRESET).with_overrides(currency="CNY", units={"quota": 100.0})
    quota = map_reply(mapping, fixture(PRESET, "full"), http_status=200, secrets=SECRETS, now=NOW, max_buckets=20)
    assert isinstance(quota, Quota)
    assert quota.buckets == (Bucket(Kind.COST, "default", "CNY", 50000, 12500, 37500, limited=True),)


def test_amounts_without_the_flag_are_not_believed() -> None:
    """The totals of an unlimited token mean nothing, so without the flag there is no quota at all."""
    body = fixture(PRESET, "unlimited")
    del body["data"]["unlimited_quota"]
    failure = failure_of(PRESET, body)
    assert failure.reason is Reason.UNEXPECTED_SHAPE
    assert "unlimited_quota" in failure.detail


@pytest.mark.parametrize("base_url", ["https://api.example.org", "https://api.example.org/v1"])
def test_where_it_is_asked(base_url: str) -> None:
    """The path is beside the chat API and keeps the slash at its end, and it is not asked too often."""
    urls = request_urls(preset(PRESET), base_url=base_url, quota_path=None)
    assert urls == ("https://api.example.org/api/usage/token/",)
    assert preset(PRESET).min_interval == 120


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (fixture(PRESET, "error"), "令牌不存在"),
        (fixture(PRESET, "error_no_key"), "No Authorization header"),
        ({"error": {"message": "Invalid token", "type": "new_api_error"}}, "Invalid token"),
        ({"code": False, "message": "too many requests"}, "too many requests"),
    ],
)
def test_an_error_is_told_in_its_words(body: Any, message: str) -> None:
    """A failure has HTTP status 200 and is none the less no quota; its message is shown."""
    failure = failure_of(PRESET, body)
    assert failure.reason is Reason.ERROR_REPLY
    assert failure.detail == f"the gateway answered with an error: {message}"
