"""The preset novita, against replies of Novita."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "remaining"),
    [
        ("full", 100.0),
        ("exhausted", 0.0),
        ("overspent", -1.25),
    ],
)
def test_the_balance_is_what_remains(name: str, remaining: float) -> None:
    """Ten thousand units of the reply are one dollar."""
    assert quota_of("novita", fixture("novita", name)) == Quota(
        (Bucket(Kind.COST, "default", "USD", remaining=remaining),)
    )


def test_where_it_is_asked() -> None:
    """The balance is asked at the root of the host, not below the address of the chat API."""
    urls = request_urls(preset("novita"), base_url="https://api.novita.ai/v3/openai", quota_path=None)
    assert urls == ("https://api.novita.ai/openapi/v1/billing/balance/detail",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("error", "the api key is not valid"),
    ],
)
def test_an_error_is_told_in_its_words(name: str, message: str) -> None:
    """An error envelope is no quota, also at HTTP 200, and its message is shown."""
    failure = failure_of("novita", fixture("novita", name))
    assert (failure.reason, failure.detail) == (Reason.ERROR_REPLY, f"the gateway answered with an error: {message}")
