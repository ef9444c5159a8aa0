"""The preset moonshot, against replies of Moonshot."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "remaining"),
    [
        ("full", 49.58),
        ("debt", 46.58),
        ("exhausted", 0.0),
        ("overspent", -0.75),
    ],
)
def test_the_balance_is_what_remains(name: str, remaining: float) -> None:
    """The balance that can be spent is read; a debt in cash is not taken off it once more."""
    assert quota_of("moonshot", fixture("moonshot", name)) == Quota(
        (Bucket(Kind.COST, "default", "USD", remaining=remaining),)
    )


def test_where_it_is_asked() -> None:
    """The balance is asked below the base URL."""
    urls = request_urls(preset("moonshot"), base_url="https://api.moonshot.ai/v1", quota_path=None)
    assert urls == ("https://api.moonshot.ai/v1/users/me/balance",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("error", "0x5"),
        ("error_http", "Invalid Authentication"),
    ],
)
def test_an_error_is_told_in_its_words(name: str, message: str) -> None:
    """An error envelope is no quota, also at HTTP 200, and its message is shown."""
    failure = failure_of("moonshot", fixture("moonshot", name))
    assert (failure.reason, failure.detail) == (Reason.ERROR_REPLY, f"the gateway answered with an error: {message}")


def test_the_currency_is_the_gateway_entrys() -> None:
    """The reply does not name its currency, so an entry for api.moonshot.cn says CNY."""
    mapping = preset("moonshot").with_overrides(currency="CNY", units={})
    assert [rule.currency for rule in mapping.buckets] == ["CNY"]


@pytest.mark.parametrize("value", [1, None, True, False, "0"])
def test_success_is_taken_at_its_word(value: object) -> None:
    """Numbers beside another `code` than that of success are not a balance."""
    assert failure_of("moonshot", {**fixture("moonshot", "full"), "code": value}).reason is Reason.UNEXPECTED_SHAPE
