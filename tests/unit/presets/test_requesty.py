"""The preset requesty, against replies of Requesty."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Reason
from tests.unit.presets.amounts import amounts_of, refills_of
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", (50, 12.25, 37.75, True)),
        ("wrapped", (50, 12.25, 37.75, True)),
        ("unlimited", (None, 12.25, None, False)),
        ("exhausted", (50, 50, 0, True)),
        ("overspent", (50, 50.75, -0.75, True)),
    ],
)
def test_a_key_has_a_month(name: str, expected: tuple[Any, ...]) -> None:
    """Numbers in quotes are read, at the top or within data, and a limit of 0 is none."""
    assert amounts_of("requesty", name) == {("cost", "monthly"): expected}
    assert refills_of("requesty", name) == {("cost", "monthly"): (31 * 86400, at(2026, 6, 1))}


def test_a_limit_that_is_missing_is_not_unlimited() -> None:
    """Only a limit that is there and 0 is none."""
    body = fixture("requesty", "unlimited")
    del body["monthly_limit"]
    quota = quota_of("requesty", body)
    assert quota.buckets[0].limited is None
    assert len(quota.dropped) == 1


def test_where_it_is_asked() -> None:
    """The key is asked at another host than that of the chat API."""
    urls = request_urls(preset("requesty"), base_url="https://router.requesty.ai/v1", quota_path=None)
    assert urls == ("https://api-v2.requesty.ai/v1/manage/apikey/self",)


def test_names_and_errors() -> None:
    """The key's name is shown, not its id; an error is told in its words."""
    assert quota_of("requesty", fixture("requesty", "full")).key_name == "laptop"
    failure = failure_of("requesty", fixture("requesty", "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: Invalid API key",
    )
