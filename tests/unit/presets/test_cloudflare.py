"""The preset cloudflare, against replies of Cloudflare's AI Gateway."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.mapping import map_reply
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "remaining"),
    [
        ("full", 12.5),
        ("exhausted", 0.0),
        ("overspent", -0.75),
    ],
)
def test_the_balance_is_what_remains(name: str, remaining: float) -> None:
    """The balance is read as cents; the payment card is not read."""
    assert quota_of("cloudflare", fixture("cloudflare", name)) == Quota(
        (Bucket(Kind.COST, "default", "USD", remaining=remaining),)
    )


def test_where_it_is_asked() -> None:
    """The balance is asked below the account that the base URL names."""
    urls = request_urls(
        preset("cloudflare"), base_url="https://api.cloudflare.com/client/v4/accounts/0a1b", quota_path=None
    )
    assert urls == ("https://api.cloudflare.com/client/v4/accounts/0a1b/ai-gateway/billing/credit-balance",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("error", "Authentication error"),
    ],
)
def test_an_error_is_told_in_its_words(name: str, message: str) -> None:
    """An error envelope is no quota, also at HTTP 200, and its message is shown."""
    failure = failure_of("cloudflare", fixture("cloudflare", name))
    assert (failure.reason, failure.detail) == (Reason.ERROR_REPLY, f"the gateway answered with an error: {message}")


@pytest.mark.parametrize("value", [False, None, 1, "true"])
def test_success_is_taken_at_its_word(value: object) -> None:
    """Numbers beside another `success` than that of success are not a balance."""
    assert (
        failure_of("cloudflare", {**fixture("cloudflare", "full"), "success": value}).reason is Reason.UNEXPECTED_SHAPE
    )


def test_the_unit_is_the_gateway_entrys_to_say() -> None:
    """The reference does not name the unit, so the preset says how sure it is and an entry may name another."""
    mapping = preset("cloudflare")
    body = fixture("cloudflare", "full")
    dollars = mapping.with_overrides(currency=None, units={"cent": 1.0})
    quota = map_reply(dollars, body, http_status=200, secrets=(), now=0.0, max_buckets=20)
    assert quota == Quota((Bucket(Kind.COST, "default", "USD", remaining=1250.0),))
    assert mapping.about is not None
    assert mapping.about.confidence == "medium"
    assert "units: {cent: 1}" in mapping.description
