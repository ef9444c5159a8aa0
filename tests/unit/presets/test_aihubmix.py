"""The preset aihubmix, against replies of AIHubMix."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.mapping import classify_error
from quota_exporter.quota import Reason
from tests.unit.presets.amounts import amounts_of
from tests.unit.presets.replies import SECRETS, failure_of, fixture, preset


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", (None, None, 12.25, None)),
        ("wrapped", (None, None, 12.25, None)),
        ("unlimited", (None, None, None, False)),
        ("exhausted", (None, None, 0, None)),
        ("overspent", (None, None, -0.5, None)),
    ],
)
def test_what_remains_is_called_usage(name: str, expected: tuple[Any, ...]) -> None:
    """total_usage is what remains; one amount below 0 means unlimited, and all others do not."""
    assert amounts_of("aihubmix", name) == {("cost", "default"): expected}


def test_where_it_is_asked() -> None:
    """The balance is asked beside the chat API, and not below it."""
    urls = request_urls(preset("aihubmix"), base_url="https://aihubmix.com/v1", quota_path=None)
    assert urls == ("https://aihubmix.com/dashboard/billing/remain",)


def test_an_exhausted_key_is_refused() -> None:
    """A key with nothing left is answered with an error, which asks for payment at whatever HTTP status."""
    body = fixture("aihubmix", "error_exhausted")
    assert failure_of("aihubmix", body).reason is Reason.PAYMENT_REQUIRED
    assert classify_error(preset("aihubmix"), body, secrets=SECRETS)[0] is Reason.PAYMENT_REQUIRED


def test_an_error_is_told_in_its_words() -> None:
    """Another error gives no reason, and its message is shown."""
    failure = failure_of("aihubmix", fixture("aihubmix", "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: Invalid token",
    )
