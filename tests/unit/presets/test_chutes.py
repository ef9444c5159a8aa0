"""The preset chutes, against replies of Chutes."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Reason
from tests.unit.presets.amounts import amounts_of, refills_of
from tests.unit.presets.replies import at, failure_of, fixture, preset


@pytest.mark.parametrize(
    ("name", "hours", "month"), [("full", 0.5, 55.25), ("exhausted", 8.25, 100), ("overspent", 8.5, 100.5)]
)
def test_a_subscription_has_four_hours_and_a_month(name: str, hours: float, month: float) -> None:
    """Use is in USD, in two windows at once."""
    assert amounts_of("chutes", name) == {
        ("cost", "4h"): (8.25, hours, 8.25 - hours, True),
        ("cost", "monthly"): (100, month, 100 - month, True),
    }
    assert refills_of("chutes", name) == {
        ("cost", "4h"): (14400, at(2026, 5, 17, 8)),
        ("cost", "monthly"): (None, at(2026, 6, 4)),
    }


def test_where_it_is_asked() -> None:
    """The subscription is asked at another host than that of the chat API."""
    urls = request_urls(preset("chutes"), base_url="https://llm.chutes.ai/v1", quota_path=None)
    assert urls == ("https://api.chutes.ai/users/me/subscription_usage",)


@pytest.mark.parametrize(
    ("name", "reason"), [("error", Reason.ERROR_REPLY), ("error_no_subscription", Reason.UNEXPECTED_SHAPE)]
)
def test_without_a_subscription_there_is_no_quota(name: str, reason: Reason) -> None:
    """An error, or an account without a subscription, is a failure and not unlimited."""
    assert failure_of("chutes", fixture("chutes", name)).reason is reason
