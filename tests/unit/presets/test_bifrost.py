"""The preset bifrost, against replies of Bifrost."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import auth_of, request_urls
from quota_exporter.quota import Problem, Reason
from tests.unit.presets.amounts import amounts_of, refills_of
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of

JUNE = at(2026, 6, 1)


def own(month: float, day: float, tokens: float, requests: float) -> dict[tuple[str, str], Any]:
    """What the virtual key itself has, by what was used."""
    return {
        ("cost", "1M"): (100, month, 100 - month, True),
        ("cost", "1d"): (10, day, 10 - day, True),
        ("tokens", "1h"): (100000, tokens, 100000 - tokens, True),
        ("requests", "1d"): (500, requests, 500 - requests, True),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "full",
            {
                **own(23.5, 2.25, 42000, 12),
                ("cost", "openai 1M"): (50, 20.5, 29.5, True),
                ("cost", "openai 1w"): (5, 1.5, 3.5, True),
                ("cost", "openai gpt-4o 1Q"): (30, 12.75, 17.25, True),
                ("tokens", "openai 1h"): (60000, 41000, 19000, True),
                ("requests", "openai 1m"): (60, 7, 53, True),
            },
        ),
        ("exhausted", own(100, 10, 100000, 500)),
        ("overspent", own(101.5, 10.25, 100250, 501)),
        (
            "unlimited",
            {("tokens", "default"): (None, 42000, None, False), ("requests", "default"): (None, 12, None, False)},
        ),
        ("old", {("cost", "1M"): (100, 23.5, 76.5, True), ("requests", "1d"): (500, 12, 488, True)}),
    ],
)
def test_each_limit_is_a_bucket(name: str, expected: dict[tuple[str, str], Any]) -> None:
    """Limits of the key, of its providers and of its models stay apart; what is not limited has no limit."""
    assert amounts_of("bifrost", name) == expected


def test_a_period_ends_a_duration_after_its_start() -> None:
    """The end is the start and the duration together: a month is a calendar month, and m is a minute."""
    assert refills_of("bifrost", "full") == {
        ("cost", "1M"): (31 * 86400, JUNE),
        ("cost", "1d"): (86400, pytest.approx(at(2026, 5, 18, 3, 30, 0, 123457))),
        ("tokens", "1h"): (3600, at(2026, 5, 17, 7)),
        ("requests", "1d"): (86400, at(2026, 5, 18)),
        ("cost", "openai 1M"): (31 * 86400, JUNE),
        ("cost", "openai 1w"): (7 * 86400, at(2026, 5, 18)),
        ("cost", "openai gpt-4o 1Q"): (91 * 86400, at(2026, 7, 1)),
        ("tokens", "openai 1h"): (3600, at(2026, 5, 17, 7)),
        ("requests", "openai 1m"): (60, at(2026, 5, 17, 6, 40, 30)),
    }
    assert refills_of("bifrost", "old")["cost", "1M"] == (31 * 86400, at(2026, 6, 9, 12))
    assert set(refills_of("bifrost", "unlimited").values()) == {(None, None)}


@pytest.mark.parametrize(
    ("override", "limit"),
    [
        ({"override_amount": 25, "override_mode": "cycles", "override_cycles_remaining": 2}, 125),
        ({"override_amount": 25, "override_cycles_remaining": 1}, 125),
        ({"override_amount": 25, "override_mode": "forever"}, 125),
        ({"override_amount": 25, "override_mode": "cycles", "override_cycles_remaining": 0}, 100),
        ({"override_amount": 25, "override_mode": "cycles"}, 100),
        ({"override_amount": None, "override_mode": None, "override_cycles_remaining": None}, 100),
        ({}, 100),
    ],
)
def test_an_override_counts_while_it_is_in_force(override: dict[str, Any], limit: float) -> None:
    """Bifrost lets more be spent than max_limit while an override holds, and no longer."""
    body = fixture("bifrost", "old")
    body["budgets"][0] |= override
    bucket = quota_of("bifrost", body).buckets[0]
    assert (bucket.limit, bucket.remaining) == (limit, limit - 23.5)


def test_an_override_without_amount_leaves_the_limit_unknown() -> None:
    """An override that holds but does not say how much is counted, and not taken for none."""
    body = fixture("bifrost", "old")
    body["budgets"][0] |= {"override_mode": "forever"}
    quota = quota_of("bifrost", body)
    assert (quota.buckets[0].limit, quota.buckets[0].remaining) == (None, None)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED]


def test_a_limit_that_is_renamed_is_counted() -> None:
    """A rate limit that has a period but no limit is a problem, and not one without limit."""
    body = fixture("bifrost", "full")
    del body["rate_limit"]["token_max_limit"]
    quota = quota_of("bifrost", body)
    bucket = next(bucket for bucket in quota.buckets if (bucket.kind, bucket.name) == ("tokens", "1h"))
    assert (bucket.limit, bucket.used, bucket.limited) == (None, 42000, None)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED]


def test_where_and_how_it_is_asked() -> None:
    """The quota is asked at the root, also below a folder, with the bare key in a header of its own."""
    mapping = preset("bifrost")
    urls = request_urls(mapping, base_url="https://llm.example.edu/bifrost/v1", quota_path=None)
    assert urls == ("https://llm.example.edu/bifrost/api/governance/virtual-keys/quota",)
    auth = auth_of(mapping, mapping.steps[0], None)
    assert (auth.header, auth.scheme) == ("x-bf-vk", "")


def test_the_key_is_named_as_somebody_named_it() -> None:
    """The virtual key's name is shown."""
    assert quota_of("bifrost", fixture("bifrost", "full")).key_name == "team-a"


def test_errors_and_blocked_keys() -> None:
    """An error is told in its words; a key that is switched off is blocked, whatever is left of its budget."""
    failure = failure_of("bifrost", fixture("bifrost", "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: virtual key not found",
    )
    assert failure_of("bifrost", fixture("bifrost", "error_blocked")).reason is Reason.KEY_BLOCKED
