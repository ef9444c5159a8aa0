"""The preset synthetic, against replies of Synthetic."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Problem, Reason
from tests.unit.presets.amounts import amounts_of, refills_of
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of


def limits(hours: Any, week: Any, search: Any) -> dict[tuple[str, str], Any]:
    return {("requests", "5h"): hours, ("cost", "weekly"): week, ("requests", "search 1h"): search}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", limits((500, 135.5, 364.5, True), (24, 12.75, 11.25, True), (250, 2, 248, True))),
        ("exhausted", limits((500, 500, 0, True), (24, 24, 0, True), (250, 250, 0, True))),
        ("overspent", limits((500, 501.5, -1.5, True), (24, 24.25, -0.25, True), (250, 251, -1, True))),
        ("thousands", limits((500, 135.5, 364.5, True), (1024, 12.75, 1011.25, True), (250, 2, 248, True))),
    ],
)
def test_a_subscription_has_three_limits(name: str, expected: dict[tuple[str, str], Any]) -> None:
    """Amounts with a dollar sign are read; `limited: false` does not mean unlimited; dead counters are left out."""
    assert amounts_of("synthetic", name) == expected


def test_what_refills_little_by_little_has_no_time_of_reset() -> None:
    """The next tick is no full refill, so only the search says when it ends."""
    assert refills_of("synthetic", "full") == {
        ("requests", "5h"): (18000, None),
        ("cost", "weekly"): (604800, None),
        ("requests", "search 1h"): (3600, at(2026, 5, 17, 7, 17, 51, 500000)),
    }


@pytest.mark.parametrize("amount", ["24 credits", "€24.00", "$", True])
def test_an_amount_in_another_form_is_counted(amount: object) -> None:
    """What is no amount of dollars leaves the limit unknown."""
    body = fixture("synthetic", "full")
    body["weeklyTokenLimit"]["maxCredits"] = amount
    quota = quota_of("synthetic", body)
    assert (quota.buckets[1].limit, quota.buckets[1].remaining) == (None, 11.25)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED]


def test_where_it_is_asked() -> None:
    """The quotas are asked beside the chat API, and not below it."""
    urls = request_urls(preset("synthetic"), base_url="https://api.synthetic.new/openai/v1", quota_path=None)
    assert urls == ("https://api.synthetic.new/v2/quotas",)


def test_an_error_is_told_in_its_words() -> None:
    """An error envelope is no quota, and its message is shown."""
    failure = failure_of("synthetic", fixture("synthetic", "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: Invalid API key",
    )
