"""The preset litellm, against replies recorded from a LiteLLM proxy."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.mapping import Reply, is_asked_for, request_values
from quota_exporter.quota import Bucket, Kind, Problem, Reason
from tests.unit.presets.replies import NOW, at, failure_of, fixture, preset, quota_of

DECEMBER = {"resets_at": at(2026, 12, 1), "window_seconds": 30 * 86400.0}
TODAY = {"resets_at": at(2026, 11, 23), "window_seconds": 86400.0}
WEEK = {"resets_at": at(2026, 11, 23), "window_seconds": 7 * 86400.0}


def cost(name: str, limit: float | None, used: float, **more: float) -> Bucket:
    remaining: Any = None if limit is None else pytest.approx(limit - used)
    return Bucket(Kind.COST, name, "USD", limit, used, remaining, limit is not None, **more)


@pytest.mark.parametrize(
    ("name", "buckets"),
    [
        ("recorded_team", (cost("key", 10, 0.29, **DECEMBER), cost("team", 100, 0.29, **DECEMBER))),
        ("daily", (cost("key", 5, 0, **TODAY),)),
        ("old_version", (cost("key", 5, 0, **TODAY),)),
        ("exhausted", (cost("key", 5, 5, **TODAY),)),
        ("overspent", (cost("key", 0.0001, 0.29, **TODAY),)),
        ("unlimited", (cost("key", None, 0.3),)),
        ("budget_table", (cost("key", 7, 0, **DECEMBER),)),
        (
            "windows",
            (cost("key", None, 0.29), cost("key 1d", 2, 0.29, **TODAY), cost("key 30d", 20, 0.29, **DECEMBER)),
        ),
        ("user", (cost("key", None, 0.3), cost("user", 50, 0.5800000000000001, **WEEK))),
        (
            "full",
            (
                cost("key", 10, 0.29, **DECEMBER),
                cost("key 1d", 2, 0.25, **TODAY),
                cost("team", 100, 0.29, **DECEMBER),
                cost("team member", 10, 3.25, **WEEK),
                cost("model gpt-4o", 5, 0.4, window_seconds=30 * 86400.0),
            ),
        ),
    ],
)
def test_budgets(name: str, buckets: tuple[Bucket, ...]) -> None:
    """A key has its budget or that of its budget table, windows and models; beside it stand those that it shares."""
    assert quota_of("litellm", fixture("litellm", name)).buckets == buckets


def test_the_key_has_a_name_and_an_end() -> None:
    """The alias is the name, never the masked key; limits per minute are no buckets."""
    quota = quota_of("litellm", fixture("litellm", "full"))
    assert (quota.key_name, quota.expires_at) == ("key-full-1795332079", at(2027, 2, 20, 7, 21, 20) + 0.823)
    assert {bucket.kind for bucket in quota.buckets} == {Kind.COST}


@pytest.mark.parametrize("change", [{"litellm_budget_table": None}, {"litellm_budget_table": {"budget_id": "b"}}])
def test_an_attached_budget_that_is_not_shown_is_not_unlimited(change: dict[str, Any]) -> None:
    """A key that is attached to a budget has a limit, also where the reply does not say which; that is counted."""
    body = fixture("litellm", "budget_table")
    body["key"]["info"] |= change
    quota = quota_of("litellm", body)
    assert [(bucket.name, bucket.limited, bucket.limit, bucket.used) for bucket in quota.buckets] == [
        ("key", None, None, 0)
    ]
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED]


def test_a_budget_table_without_budget_is_unlimited() -> None:
    """A table that holds a soft budget or limits per minute alone sets no limit."""
    body = fixture("litellm", "budget_table")
    body["key"]["info"]["litellm_budget_table"]["max_budget"] = None
    assert quota_of("litellm", body).buckets == (cost("key", None, 0, **DECEMBER),)


def test_windows_without_usage_keep_their_limits() -> None:
    """Where usage is not told, none is made up, and what is missing is counted."""
    quota = quota_of("litellm", fixture("litellm", "partial_windows"))
    assert [(bucket.name, bucket.limit, bucket.used, bucket.remaining) for bucket in quota.buckets[1:]] == [
        ("key 1d", 2, None, None),
        ("key 30d", 20, None, None),
    ]
    assert sum(dropped.count for dropped in quota.dropped) == 2


def test_other_members_of_the_team_do_not_count() -> None:
    """Only the share of the key's own user is shown."""
    body = fixture("litellm", "full")
    body["team"]["team_memberships"][1]["user_id"] = "somebody-else"
    assert "team member" not in {bucket.name for bucket in quota_of("litellm", body).buckets}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("recorded_team", {"team": {"team": "1d57a6dd-b93f-4f99-b03a-3d42139783da"}}),
        ("user", {"user": {}}),
        ("daily", {}),
    ],
)
def test_which_shared_budget_governs(name: str, asked: dict[str, dict[str, str]]) -> None:
    """A key in a team is asked for its team, another for its user, one without either for nothing more."""
    key, team, user = preset("litellm").steps
    replies = {"key": Reply(fixture("litellm", name)["key"], 200, {})}
    values = {
        request.id: request_values(request, replies, "requests", now=NOW)
        for request in (team, user)
        if is_asked_for(request, replies, "requests", now=NOW)
    }
    assert {request: found for request, found in values.items() if found is not None} == asked
    assert (key.optional, team.optional, user.optional) == (False, True, True)


@pytest.mark.parametrize(
    "base_url",
    ["https://llm.example.org/litellm", "https://llm.example.org/litellm/", "https://llm.example.org/litellm/v1"],
)
def test_where_it_is_asked(base_url: str) -> None:
    """All requests are beside the chat API, below the folder where the proxy is deployed."""
    urls = request_urls(preset("litellm"), base_url=base_url.rstrip("/"), quota_path=None)
    root = "https://llm.example.org/litellm"
    assert urls == (f"{root}/key/info", f"{root}/team/info", f"{root}/v2/user/info")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("error_expired", Reason.KEY_EXPIRED),
        ("error_blocked", Reason.KEY_BLOCKED),
        ("error", Reason.ERROR_REPLY),
        ("error_no_key", Reason.ERROR_REPLY),
        ("error_route", Reason.ERROR_REPLY),
    ],
)
def test_an_error_may_give_a_reason(name: str, reason: Reason) -> None:
    """The proxy refuses expired and blocked keys with the same status as unknown ones, but says why."""
    assert failure_of("litellm", fixture("litellm", name)).reason is reason


def test_many_models_leave_room_for_the_budgets_that_stop_the_key() -> None:
    """However many models have budgets, those of the key, its windows and its team are read first."""
    body = fixture("litellm", "full")
    usage = body["key"]["info"]["model_max_budget_usage"]
    for number in range(50):
        usage[f"model-{number}"] = usage["gpt-4o"]
    names = [bucket.name for bucket in quota_of("litellm", body).buckets]
    assert len(names) == 20
    assert names[:4] == ["key", "key 1d", "team", "team member"]
