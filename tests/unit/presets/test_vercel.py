"""The preset vercel, against replies of Vercel AI Gateway."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Reason
from tests.unit.presets.amounts import amounts_of
from tests.unit.presets.replies import failure_of, fixture, preset


@pytest.mark.parametrize(
    ("name", "balance", "spent"), [("full", 95.5, 4.5), ("exhausted", 0, 100), ("overspent", -0.25, 100.25)]
)
def test_a_wallet_has_no_limit(name: str, balance: float, spent: float) -> None:
    """What was ever spent is told apart from the balance, so that no limit is made of the two."""
    assert amounts_of("vercel", name) == {
        ("cost", "default"): (None, None, balance, None),
        ("cost", "lifetime"): (None, spent, None, None),
    }


def test_where_it_is_asked() -> None:
    """The balance is asked below the base URL."""
    urls = request_urls(preset("vercel"), base_url="https://ai-gateway.vercel.sh/v1", quota_path=None)
    assert urls == ("https://ai-gateway.vercel.sh/v1/credits",)


def test_an_error_is_told_in_its_words() -> None:
    """An error envelope is no quota, and its message is shown."""
    failure = failure_of("vercel", fixture("vercel", "error"))
    assert failure.reason is Reason.ERROR_REPLY
    assert failure.detail.endswith(": Authentication failed: the API key is not valid")
