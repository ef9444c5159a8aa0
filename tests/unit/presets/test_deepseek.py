"""The preset deepseek, against replies of DeepSeek."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Problem, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of


def balance(currency: str, remaining: float) -> Bucket:
    return Bucket(Kind.COST, currency.lower(), currency, remaining=remaining)


@pytest.mark.parametrize(
    ("name", "buckets"),
    [
        ("full", (balance("CNY", 110), balance("USD", 7.5))),
        ("single", (balance("USD", 7.5),)),
        ("exhausted", (balance("USD", 0),)),
        ("overspent", (balance("USD", -1.25),)),
    ],
)
def test_each_currency_is_a_bucket(name: str, buckets: tuple[Bucket, ...]) -> None:
    """Amounts of different currencies stay apart, each below the name of its currency."""
    assert quota_of("deepseek", fixture("deepseek", name)) == Quota(buckets)


@pytest.mark.parametrize("base_url", ["https://api.deepseek.com", "https://api.deepseek.com/v1"])
def test_where_it_is_asked(base_url: str) -> None:
    """The balance is not below /v1, which people write in the base URL."""
    urls = request_urls(preset("deepseek"), base_url=base_url, quota_path=None)
    assert urls == ("https://api.deepseek.com/user/balance",)


def test_money_without_currency_is_not_taken_for_dollars() -> None:
    """A row that lost its currency is dropped and counted."""
    body = fixture("deepseek", "full")
    del body["balance_infos"][0]["currency"]
    quota = quota_of("deepseek", body)
    assert quota.buckets == (balance("USD", 7.5),)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED]


def test_a_currency_that_is_new_has_its_own_name() -> None:
    """Nothing but the currency's code is needed to show a balance."""
    body = fixture("deepseek", "single")
    body["balance_infos"][0]["currency"] = "EUR"
    assert quota_of("deepseek", body) == Quota((Bucket(Kind.COST, "EUR", "EUR", remaining=7.5),))


def test_an_error_is_told_in_its_words() -> None:
    """An error envelope is no quota, and its message is shown."""
    failure = failure_of("deepseek", fixture("deepseek", "error"))
    assert failure.reason is Reason.ERROR_REPLY
    assert failure.detail.endswith(": Authentication Fails, Your api key is invalid")
