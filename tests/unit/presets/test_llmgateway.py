"""The preset llmgateway, against replies of LLM Gateway."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Problem, Reason
from tests.unit.presets.amounts import amounts_of, refills_of
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of


def all_of(key: float, plan: float, premium: float) -> dict[tuple[str, str], Any]:
    return {
        ("cost", "default"): (100, key, 100 - key, True),
        ("cost", "plan"): (237, plan, 237 - plan, True),
        ("cost", "premium"): (35.5, premium, 35.5 - premium, True),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", all_of(31.5, 25, 5)),
        ("exhausted", all_of(100, 237, 35.5)),
        ("overspent", all_of(100.25, 237.5, 36)),
        ("unlimited", {("cost", "default"): (None, 31.5, None, False)}),
        ("old", {("cost", "default"): (100, 31.5, 68.5, True)}),
    ],
)
def test_a_key_and_its_plan(name: str, expected: dict[tuple[str, str], Any]) -> None:
    """The zeros of a key without a plan are no exhausted plan, and numbers in quotes are read."""
    assert amounts_of("llmgateway", name) == expected


def test_only_the_premium_week_says_when_it_ends() -> None:
    """The key's limit is for its life; the plan's cycle is not told; a week that has not begun has no end."""
    assert refills_of("llmgateway", "full") == {
        ("cost", "default"): (None, None),
        ("cost", "plan"): (None, None),
        ("cost", "premium"): (604800, at(2026, 5, 20, 12)),
    }
    body = fixture("llmgateway", "full")
    body["data"]["devPlanPremiumWeekResetsAt"] = None
    quota = quota_of("llmgateway", body)
    assert (quota.dropped, quota.buckets[2].resets_at) == ((), None)


@pytest.mark.parametrize("name", ["full", "unlimited"])
def test_a_plan_that_is_not_named_is_told_by_its_credits(name: str) -> None:
    """When the plan's name is missing, credits that are there count, and zeros still mean nothing."""
    body = fixture("llmgateway", name)
    del body["data"]["devPlan"]
    assert quota_of("llmgateway", body) == quota_of("llmgateway", fixture("llmgateway", name))


def test_credits_that_are_renamed_are_counted() -> None:
    """A plan whose limit is missing is a problem, and neither unlimited nor exhausted."""
    body = fixture("llmgateway", "full")
    del body["data"]["devPlanCreditsLimit"], body["data"]["devPlanCreditsRemaining"]
    quota = quota_of("llmgateway", body)
    plan = quota.buckets[1]
    assert (plan.limit, plan.used, plan.remaining, plan.limited) == (None, 25, None, None)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED] * 2


def test_where_it_is_asked() -> None:
    """The key is asked below the base URL."""
    urls = request_urls(preset("llmgateway"), base_url="https://api.llmgateway.io/v1", quota_path=None)
    assert urls == ("https://api.llmgateway.io/v1/key",)


def test_names_and_errors() -> None:
    """The key's label is shown, and an error in its words."""
    assert quota_of("llmgateway", fixture("llmgateway", "full")).key_name == "My coding tool"
    failure = failure_of("llmgateway", fixture("llmgateway", "error"))
    assert failure.reason is Reason.ERROR_REPLY
    assert failure.detail.endswith(": Unauthorized: Invalid LLMGateway API token")
