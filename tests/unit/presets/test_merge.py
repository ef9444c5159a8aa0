"""The preset merge, against replies of Merge Gateway."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "remaining"),
    [
        ("full", 12.5),
        ("exhausted", 0.0),
        ("overspent", -4.25),
    ],
)
def test_the_balance_is_what_remains(name: str, remaining: float) -> None:
    """The balance is read alone: with lifetime spend it would give a limit that nobody set."""
    assert quota_of("merge", fixture("merge", name)) == Quota(
        (Bucket(Kind.COST, "default", "USD", remaining=remaining),)
    )


def test_where_it_is_asked() -> None:
    """The balance is asked below the base URL."""
    urls = request_urls(preset("merge"), base_url="https://api-gateway.merge.dev/v1", quota_path=None)
    assert urls == ("https://api-gateway.merge.dev/v1/credits",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("error", "This key lacks the scope view_billing"),
        ("error_text", "Invalid API key"),
    ],
)
def test_an_error_is_told_in_its_words(name: str, message: str) -> None:
    """An error envelope is no quota, also at HTTP 200, and its message is shown."""
    failure = failure_of("merge", fixture("merge", name))
    assert (failure.reason, failure.detail) == (Reason.ERROR_REPLY, f"the gateway answered with an error: {message}")
