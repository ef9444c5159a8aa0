"""The preset deepinfra, against replies of DeepInfra."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "remaining"),
    [
        ("full", 21.25),
        ("exhausted", 0.0),
        ("overspent", -3.75),
    ],
)
def test_the_balance_is_what_remains(name: str, remaining: float) -> None:
    """Credit is negative in the reply, and what is not billed yet is spent."""
    assert quota_of("deepinfra", fixture("deepinfra", name)) == Quota(
        (Bucket(Kind.COST, "default", "USD", remaining=remaining),)
    )


def test_where_it_is_asked() -> None:
    """The balance is asked at the root of the host, not below the address of the chat API."""
    urls = request_urls(preset("deepinfra"), base_url="https://api.deepinfra.com/v1/openai", quota_path=None)
    assert urls == ("https://api.deepinfra.com/payment/checklist",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("error", "Unauthorized"),
    ],
)
def test_an_error_is_told_in_its_words(name: str, message: str) -> None:
    """An error envelope is no quota, also at HTTP 200, and its message is shown."""
    failure = failure_of("deepinfra", fixture("deepinfra", name))
    assert (failure.reason, failure.detail) == (Reason.ERROR_REPLY, f"the gateway answered with an error: {message}")


@pytest.mark.parametrize("member", ["stripe_balance", "recent"])
def test_half_of_it_is_not_a_balance(member: str) -> None:
    """Without the one or the other the balance is unknown, and not what the other one says."""
    body = fixture("deepinfra", "full")
    del body[member]
    assert failure_of("deepinfra", body).reason is Reason.UNEXPECTED_SHAPE
