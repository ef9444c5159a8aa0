"""The preset openrouter-credits, against replies of OpenRouter."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Problem, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of

PRESET = "openrouter-credits"


@pytest.mark.parametrize(("name", "balance"), [("full", 74.75), ("exhausted", 0), ("overspent", -1.75)])
def test_the_balance_is_what_was_bought_less_what_was_spent(name: str, balance: float) -> None:
    """A balance has no limit: what was bought in the account's whole life is none."""
    assert quota_of(PRESET, fixture(PRESET, name)) == Quota((Bucket(Kind.COST, "default", "USD", remaining=balance),))


@pytest.mark.parametrize("member", ["total_credits", "total_usage"])
def test_half_of_it_is_nothing(member: str) -> None:
    """Without one of the two sums there is no balance: 0 is not assumed."""
    body = fixture(PRESET, "full")
    del body["data"][member]
    failure = failure_of(PRESET, body)
    assert failure.reason is Reason.UNEXPECTED_SHAPE
    assert [dropped.problem for dropped in failure.dropped] == [Problem.UNRESOLVED]


def test_where_it_is_asked() -> None:
    """The credit is below the base URL of the chat API, and asked once a minute, for it is not newer."""
    urls = request_urls(preset(PRESET), base_url="https://openrouter.ai/api/v1", quota_path=None)
    assert urls == ("https://openrouter.ai/api/v1/credits",)
    assert preset(PRESET).min_interval == 60


def test_an_error_is_told_in_its_words() -> None:
    """The reply to a key that may not read the credit says so."""
    failure = failure_of(PRESET, fixture(PRESET, "error"))
    assert failure.detail == "the gateway answered with an error: Only management keys can fetch credits"
