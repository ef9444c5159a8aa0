"""The preset kilo, against replies of Kilo."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.mapping import Reply, is_asked_for
from quota_exporter.quota import Problem, Reason
from tests.unit.presets.amounts import amounts_of, refills_of
from tests.unit.presets.replies import NOW, at, failure_of, fixture, preset, quota_of


@pytest.mark.parametrize(
    ("name", "bucket", "expected"),
    [
        ("full", "pass", (28.5, 4.25, 24.25, True)),
        ("plain", "pass", (28.5, 4.25, 24.25, True)),
        ("no_bonus", "pass", (19, 4.25, 14.75, True)),
        ("exhausted", "pass", (28.5, 28.5, 0, True)),
        ("overspent", "pass", (28.5, 29, -0.5, True)),
        ("balance", "balance", (None, None, 12.25, None)),
        ("empty_balance", "balance", (None, None, 0, None)),
        ("debt", "balance", (None, None, -0.75, None)),
    ],
)
def test_a_pass_or_a_balance(name: str, bucket: str, expected: tuple[Any, ...]) -> None:
    """A Pass has its credits and bonus as limit; without one the account's balance is read."""
    assert amounts_of("kilo", name) == {("cost", bucket): expected}


def test_the_period_of_a_pass_ends_with_billing() -> None:
    """A Pass is refilled at the next billing, or else at its next renewal."""
    assert refills_of("kilo", "full") == {("cost", "pass"): (None, at(2026, 6, 1))}
    assert refills_of("kilo", "no_bonus") == {("cost", "pass"): (None, at(2026, 6, 3))}


def test_a_bonus_that_is_missing_leaves_the_limit_unknown() -> None:
    """Without the member of the bonus the paid credits alone are not the limit."""
    body = fixture("kilo", "full")
    del body["pass"][0]["result"]["data"]["json"]["subscription"]["currentPeriodBonusCreditsUsd"]
    quota = quota_of("kilo", body)
    assert (quota.buckets[0].limit, quota.buckets[0].used, quota.buckets[0].remaining) == (None, 4.25, None)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED]


@pytest.mark.parametrize(("name", "asked"), [("full", False), ("plain", False), ("balance", True)])
def test_the_balance_is_asked_only_without_a_pass(name: str, asked: bool) -> None:  # noqa: FBT001 - what is expected
    """The second request is made when the first says that there is no Pass."""
    replies = {"pass": Reply(fixture("kilo", name)["pass"], 200, {})}
    assert is_asked_for(preset("kilo").steps[1], replies, "requests[1]", now=NOW) == asked


def test_where_it_is_asked() -> None:
    """Both requests have hosts of their own, and the first carries its input as Kilo's own client does."""
    mapping = preset("kilo")
    assert request_urls(mapping, base_url="https://api.kilo.ai/api/gateway", quota_path=None) == (
        "https://app.kilo.ai/api/trpc/kiloPass.getState",
        "https://api.kilo.ai/api/profile/balance",
    )
    assert mapping.steps[0].query == {"batch": 1, "input": '{"0":null}'}


def test_an_error_is_told_in_its_words() -> None:
    """An error envelope within the list is no quota, and its message is shown."""
    failure = failure_of("kilo", fixture("kilo", "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: You must be logged in",
    )
