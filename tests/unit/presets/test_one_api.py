"""The preset one-api, against replies of One API."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.mapping import Reply, classify_error, map_replies
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import NOW, SECRETS, at, failure_of, fixture, preset, quota_of

PRESET = "one-api"


def cost(limit: float | None, used: float, remaining: float | None) -> Bucket:
    return Bucket(Kind.COST, "default", "USD", limit, used, remaining, limit is not None)


@pytest.mark.parametrize(
    ("name", "bucket", "expires_at"),
    [
        ("full", cost(20, 3.5, 16.5), at(2026, 12, 31, 23, 59, 59)),
        ("unlimited", cost(None, 3.5, None), None),
        ("exhausted", cost(20, 20, 0), None),
        ("overspent", cost(20, 20.5, -0.5), None),
    ],
)
def test_the_limit_is_in_dollars_and_usage_in_cents(name: str, bucket: Bucket, expires_at: float | None) -> None:
    """Two replies make one bucket; a hundred million says unlimited; 0 never expires."""
    assert quota_of(PRESET, fixture(PRESET, name)) == Quota((bucket,), None, expires_at)


@pytest.mark.parametrize(
    ("limit", "bucket"), [(10_000_000.0, cost(20, 3.5, 16.5)), (100_000_000, cost(None, 3.5, None))]
)
def test_a_site_may_show_raw_quota(limit: float, bucket: Bucket) -> None:
    """With `units` in the entry raw quota becomes money, and the number for unlimited stays what it is."""
    mapping = preset(PRESET).with_overrides(currency=None, units={"amount": 500000.0})
    bodies = fixture(PRESET, "full")
    bodies["subscription"]["hard_limit_usd"] = limit
    bodies["usage"]["total_usage"] = 1_750_000 * 100
    replies = {name: Reply(body, 200, {}) for name, body in bodies.items()}
    quota = map_replies(mapping, replies, secrets=SECRETS, now=NOW, max_buckets=20)
    assert isinstance(quota, Quota)
    assert quota.buckets == (bucket,)


def test_where_it_is_asked() -> None:
    """Both requests are needed, and below the base URL of the chat API."""
    urls = request_urls(preset(PRESET), base_url="https://api.example.org/v1", quota_path=None)
    root = "https://api.example.org/v1/dashboard/billing"
    assert urls == (f"{root}/subscription", f"{root}/usage")
    assert not any(request.optional for request in preset(PRESET).steps)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("error", Reason.ERROR_REPLY),
        ("error_usage", Reason.ERROR_REPLY),
        ("error_exhausted", Reason.PAYMENT_REQUIRED),
        ("error_expired", Reason.KEY_EXPIRED),
        ("error_disabled", Reason.KEY_BLOCKED),
    ],
)
def test_a_refused_token_says_why(name: str, reason: Reason) -> None:
    """With nothing left there is no number, but a reason; so it is at HTTP status 200 and at 401."""
    body = fixture(PRESET, name)
    assert failure_of(PRESET, body).reason is reason
    if reason is not Reason.ERROR_REPLY:
        assert classify_error(preset(PRESET), body["subscription"], secrets=SECRETS)[0] is reason


def test_an_unknown_token_gives_no_reason() -> None:
    """A token that the site does not know is not taken for an exhausted one."""
    body = {"error": {"message": "无效的令牌", "type": "one_api_error"}}
    assert classify_error(preset(PRESET), body, secrets=SECRETS) == (None, "无效的令牌")
