"""The preset portkey, against replies of Portkey."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import auth_of, request_urls
from quota_exporter.quota import Problem, Reason
from tests.unit.presets.amounts import amounts_of, refills_of
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of

JUNE = at(2026, 6, 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", {("cost", "ml"): (50, 12.5, 37.5, True), ("cost", "web"): (50, 3.25, 46.75, True)}),
        ("tokens", {("tokens", "default"): (1000000, 250000, 750000, True)}),
        ("requests", {("requests", "default"): (1000, 250, 750, True)}),
        ("exhausted", {("cost", "default"): (50, 50, 0, True)}),
        ("overspent", {("cost", "default"): (50, 50.5, -0.5, True)}),
        ("unused", {("cost", "default"): (50, None, None, True)}),
    ],
)
def test_a_policy_counts_by_value(name: str, expected: dict[tuple[str, str], Any]) -> None:
    """The policy's type is the kind; each value has the whole limit; nothing used yet is not 0 used."""
    assert amounts_of("portkey", name) == expected


@pytest.mark.parametrize(
    ("name", "bucket", "expected"),
    [
        ("full", ("cost", "web"), (31 * 86400, JUNE)),
        ("tokens", ("tokens", "default"), (10 * 86400, JUNE)),
        ("requests", ("requests", "default"), (None, None)),
        ("unused", ("cost", "default"), (31 * 86400, JUNE)),
    ],
)
def test_a_policy_may_be_reset(name: str, bucket: tuple[str, str], expected: tuple[float | None, ...]) -> None:
    """The period is a word or a number of days, or there is none."""
    assert refills_of("portkey", name)[bucket] == expected


def test_values_that_are_personal_are_left_out() -> None:
    """Of several values, one that is named by an e-mail address is not shown but counted."""
    quota = quota_of("portkey", fixture("portkey", "partial_personal"))
    assert [bucket.name for bucket in quota.buckets] == ["web"]
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED]


def test_a_policy_of_a_new_type_is_counted() -> None:
    """What is counted in is never guessed."""
    body = fixture("portkey", "unused")
    body["type"] = "images"
    failure = failure_of("portkey", body)
    assert failure.reason is Reason.UNEXPECTED_SHAPE
    assert [dropped.problem for dropped in failure.dropped] == [Problem.UNRESOLVED]


def test_usage_that_is_missing_is_counted() -> None:
    """A reply without usage, though it was asked for, is a failure and no unused limit."""
    body = fixture("portkey", "full")
    del body["value_key_usage_map"]
    assert failure_of("portkey", body).reason is Reason.UNEXPECTED_SHAPE


def test_where_and_how_it_is_asked() -> None:
    """The policy is named by quota_path, without which there is nothing to ask; the key has a header of its own."""
    mapping = preset("portkey")
    base_url, path = "https://api.portkey.ai/v1", "/policies/usage-limits/0c1d2e3f-4a5b-4c6d-8e7f-901a2b3c4d5e"
    assert request_urls(mapping, base_url=base_url, quota_path=path) == (base_url + path,)
    with pytest.raises(ValueError, match="is missing"):
        request_urls(mapping, base_url=base_url, quota_path=None)
    assert mapping.steps[0].query == {"include_usage": "true"}
    auth = auth_of(mapping, mapping.steps[0], None)
    assert (auth.header, auth.scheme) == ("x-portkey-api-key", "")


def test_an_error_is_told_in_its_words() -> None:
    """An error envelope is no quota, and its message is shown."""
    failure = failure_of("portkey", fixture("portkey", "error"))
    assert failure.reason is Reason.ERROR_REPLY
    assert failure.detail.endswith(": You do not have enough permissions to execute this request")
