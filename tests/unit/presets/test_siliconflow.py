"""The preset siliconflow, against replies of SiliconFlow."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "remaining"),
    [
        ("full", 88.88),
        ("exhausted", 0.0),
        ("overspent", -4.25),
    ],
)
def test_the_balance_is_what_remains(name: str, remaining: float) -> None:
    """The whole balance is read, and nothing that tells who the account's owner is."""
    assert quota_of("siliconflow", fixture("siliconflow", name)) == Quota(
        (Bucket(Kind.COST, "default", "CNY", remaining=remaining),)
    )


def test_where_it_is_asked() -> None:
    """The balance is asked below the base URL."""
    urls = request_urls(preset("siliconflow"), base_url="https://api.siliconflow.cn/v1", quota_path=None)
    assert urls == ("https://api.siliconflow.cn/v1/user/info",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("error", "Account is not active"),
    ],
)
def test_an_error_is_told_in_its_words(name: str, message: str) -> None:
    """An error envelope is no quota, also at HTTP 200, and its message is shown."""
    failure = failure_of("siliconflow", fixture("siliconflow", name))
    assert (failure.reason, failure.detail) == (Reason.ERROR_REPLY, f"the gateway answered with an error: {message}")


def test_the_currency_is_the_gateway_entrys() -> None:
    """The reply does not name its currency, so an entry for api.siliconflow.com says USD."""
    mapping = preset("siliconflow").with_overrides(currency="USD", units={})
    assert [rule.currency for rule in mapping.buckets] == ["USD"]


@pytest.mark.parametrize("value", [0, 200, None, True, 20012])
def test_success_is_taken_at_its_word(value: object) -> None:
    """Numbers beside another `code` than that of success are not a balance."""
    assert failure_of("siliconflow", {**fixture("siliconflow", "full"), "code": value}).reason is Reason.ERROR_REPLY
