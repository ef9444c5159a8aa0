"""The presets minimax and minimax-cn, against replies of MiniMax."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Kind, Reason
from tests.unit.presets.amounts import amounts_of, refills_of
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of

BOTH = ("minimax", "minimax-cn")


def percent(interval: float, week: float) -> dict[tuple[str, str], Any]:
    """The shares of the general models, by what is left."""
    return {
        ("credits", "interval percent general"): (100, 100 - interval, interval, True),
        ("credits", "weekly percent general"): (100, 100 - week, week, True),
    }


def counts(name: str, interval: float, week: float) -> dict[tuple[str, str], Any]:
    """The requests of one sort of models, by what is left."""
    return {
        ("requests", f"interval {name}"): (1500, 1500 - interval, interval, True),
        ("requests", f"weekly {name}"): (15000, 15000 - week, week, True),
    }


VIDEO = {("credits", "interval percent video"): (100, 0, 100, True)}


@pytest.mark.parametrize(
    ("preset_name", "name", "expected"),
    [
        ("minimax-cn", "full", {**percent(80, 95), **VIDEO}),
        ("minimax-cn", "exhausted", percent(0, 0)),
        ("minimax-cn", "overspent", percent(-5, -2)),
        ("minimax", "full", {**percent(80, 95), **VIDEO, **counts("general", 1200, 14250)}),
        ("minimax", "exhausted", {**percent(0, 0), **counts("general", 0, 0)}),
        ("minimax", "overspent", {**percent(-5, -2), **counts("general", -75, -300)}),
        ("minimax", "counts", counts("MiniMax-M2", 1200, 14250)),
        ("minimax", "no_weekly", {("requests", "interval MiniMax-M2"): (1500, 300, 1200, True)}),
    ],
)
def test_windows_of_each_sort_of_models(preset_name: str, name: str, expected: dict[tuple[str, str], Any]) -> None:
    """A total of 0 is a plan without counts, not an exhausted one; a week of status 3 has no limit and is left out."""
    assert amounts_of(preset_name, name) == expected


def test_counts_in_china_are_not_read() -> None:
    """One host may call used what the other calls remaining, so only the share is taken from the one in China."""
    quota = quota_of("minimax-cn", fixture("minimax", "full"))
    assert {bucket.kind for bucket in quota.buckets} == {Kind.CREDITS}


@pytest.mark.parametrize("preset_name", BOTH)
def test_windows_end_where_the_reply_says(preset_name: str) -> None:
    """The short window is as long as the reply says, which is not the same for each sort of models."""
    refills = refills_of(preset_name, "full")
    assert refills["credits", "interval percent general"] == (5 * 3600, at(2026, 5, 17, 8))
    assert refills["credits", "interval percent video"] == (86400, at(2026, 5, 18))
    assert refills["credits", "weekly percent general"] == (604800, at(2026, 5, 18))


@pytest.mark.parametrize(
    ("preset_name", "base_url", "url"),
    [
        ("minimax", "https://api.minimax.io/v1", "https://api.minimax.io/v1/api/openplatform/coding_plan/remains"),
        (
            "minimax",
            "https://api.minimax.io/anthropic",
            "https://api.minimax.io/v1/api/openplatform/coding_plan/remains",
        ),
        ("minimax-cn", "https://api.minimaxi.com/v1", "https://api.minimaxi.com/v1/token_plan/remains"),
    ],
)
def test_where_it_is_asked(preset_name: str, base_url: str, url: str) -> None:
    """Each host has its own path, whichever API the base URL is of."""
    assert request_urls(preset(preset_name), base_url=base_url, quota_path=None) == (url,)


@pytest.mark.parametrize("preset_name", BOTH)
def test_an_error_is_told_in_its_words(preset_name: str) -> None:
    """A status that is not 0 is a failure also at HTTP 200, and its message is shown."""
    failure = failure_of(preset_name, fixture(preset_name, "error"))
    assert failure.reason is Reason.ERROR_REPLY
    assert "login fail: Please carry the API secret key" in failure.detail
