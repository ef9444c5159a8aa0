"""The preset ngrok, against replies of ngrok's AI gateway."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "remaining"),
    [
        ("full", 12.34),
        ("exhausted", 0.0),
        ("overspent", -0.05),
    ],
)
def test_the_balance_is_what_remains(name: str, remaining: float) -> None:
    """A hundred cents are one dollar."""
    assert quota_of("ngrok", fixture("ngrok", name)) == Quota(
        (Bucket(Kind.COST, "default", "USD", remaining=remaining),)
    )


def test_where_it_is_asked() -> None:
    """The balance is asked of another host than the gateway's."""
    urls = request_urls(preset("ngrok"), base_url="https://gateway.ngrok.ai/v1", quota_path=None)
    assert urls == ("https://api.ngrok.ai/credits/balance",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("error", "The authentication you specified is not valid."),
    ],
)
def test_an_error_is_told_in_its_words(name: str, message: str) -> None:
    """An error envelope is no quota, also at HTTP 200, and its message is shown."""
    failure = failure_of("ngrok", fixture("ngrok", name))
    assert (failure.reason, failure.detail) == (Reason.ERROR_REPLY, f"the gateway answered with an error: {message}")
