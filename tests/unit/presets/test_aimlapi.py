"""The preset aimlapi, against replies of AI/ML API."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "remaining"),
    [
        ("full", 551564495.0),
        ("exhausted", 0.0),
        ("overspent", -1500.0),
    ],
)
def test_the_balance_is_what_remains(name: str, remaining: float) -> None:
    """The vendor's credits are not money."""
    assert quota_of("aimlapi", fixture("aimlapi", name)) == Quota(
        (Bucket(Kind.CREDITS, "default", remaining=remaining),)
    )


def test_where_it_is_asked() -> None:
    """The balance is asked of another host than the chat API's."""
    urls = request_urls(preset("aimlapi"), base_url="https://api.aimlapi.com/v1", quota_path=None)
    assert urls == ("https://billing.aimlapi.com/v1/billing/balance",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("error", "Unauthorized"),
    ],
)
def test_an_error_is_told_in_its_words(name: str, message: str) -> None:
    """An error envelope is no quota, also at HTTP 200, and its message is shown."""
    failure = failure_of("aimlapi", fixture("aimlapi", name))
    assert (failure.reason, failure.detail) == (Reason.ERROR_REPLY, f"the gateway answered with an error: {message}")
