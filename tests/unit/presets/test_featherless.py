"""The preset featherless, against replies of Featherless."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "remaining"),
    [
        ("full", 42.488),
        ("exhausted", 0.0),
        ("overspent", -0.25),
    ],
)
def test_the_balance_is_what_remains(name: str, remaining: float) -> None:
    """What running requests have reserved is not left."""
    assert quota_of("featherless", fixture("featherless", name)) == Quota(
        (Bucket(Kind.COST, "default", "USD", remaining=remaining),)
    )


def test_where_it_is_asked() -> None:
    """The balance is not below /v1, which the base URL of the chat API ends in."""
    urls = request_urls(preset("featherless"), base_url="https://api.featherless.ai/v1", quota_path=None)
    assert urls == ("https://api.featherless.ai/credits/balance",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("error", "You do not have permission to manage billing"),
    ],
)
def test_an_error_is_told_in_its_words(name: str, message: str) -> None:
    """An error envelope is no quota, also at HTTP 200, and its message is shown."""
    failure = failure_of("featherless", fixture("featherless", name))
    assert (failure.reason, failure.detail) == (Reason.ERROR_REPLY, f"the gateway answered with an error: {message}")
