"""The preset litellm-keys, against keys recorded from a LiteLLM proxy."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Child, Failure, Kind, Problem, Quota, Reason
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of

PRESET = "litellm-keys"
DECEMBER: dict[str, Any] = {"resets_at": at(2026, 12, 1), "window_seconds": 30 * 86400.0}
TODAY: dict[str, Any] = {"resets_at": at(2026, 11, 23), "window_seconds": 86400.0}


def key(limit: float | None, used: float, *, limited: bool | None = True, **more: float) -> Bucket:
    remaining = None if limit is None else limit - used
    return Bucket(Kind.COST, "key", "USD", limit, used, remaining, limited, **more)


def test_each_key_is_a_child() -> None:
    """Each key stands below its alias; of an attached budget that is not shown nothing is made up."""
    blocked = Failure(Reason.KEY_BLOCKED, "the gateway says that the key is blocked")
    expires_at = at(2027, 2, 20, 7, 21, 20) + 0.823
    assert quota_of(PRESET, fixture(PRESET, "full")).children == (
        Child("key-attached-shown", Quota((key(7, 0, **DECEMBER),))),
        Child("key-blocked", blocked),
        Child("key-budgetid-1795335537", Quota((key(None, 0, limited=None),))),
        Child("key-daily-1795332079", Quota((key(5, 0, **TODAY),))),
        Child("key-full-1795332079", Quota((key(10, 0.29, **DECEMBER),), expires_at=expires_at)),
        Child("key-nobudget-1795332079", Quota((key(None, 0.3, limited=False),))),
        Child("key-tiny-1795332079", Quota((key(0.0001, 0.29, **TODAY),))),
        Child("key-windows-1795332079", Quota((key(None, 0.29, limited=False),))),
    )


@pytest.mark.parametrize(
    ("name", "bucket"), [("exhausted", key(5, 5, **TODAY)), ("overspent", key(0.0001, 0.29, **TODAY))]
)
def test_nothing_left(name: str, bucket: Bucket) -> None:
    """A key with nothing left, or less, is shown with that."""
    (child,) = quota_of(PRESET, fixture(PRESET, name)).children or ()
    assert child.outcome == Quota((bucket,))


def test_a_proxy_without_keys() -> None:
    """An empty list is a list: no key, no failure."""
    assert quota_of(PRESET, fixture(PRESET, "empty")) == Quota((), children=())


def test_keys_without_a_name_of_their_own_are_counted() -> None:
    """A key without alias, and a second one with the same, is counted and not named."""
    quota = quota_of(PRESET, fixture(PRESET, "partial_no_alias"))
    assert [child.alias for child in quota.children or ()] == ["key-daily-1795332079"]
    assert {(dropped.problem, dropped.count) for dropped in quota.dropped} == {
        (Problem.UNRESOLVED, 1),
        (Problem.DUPLICATE, 1),
    }


def test_a_list_of_hashes_names_no_key() -> None:
    """A version that lists hashes instead of keys gives no key, and says how many it could not read."""
    quota = quota_of(PRESET, fixture(PRESET, "partial_hashes"))
    assert quota.children == ()
    assert [(dropped.problem, dropped.count) for dropped in quota.dropped] == [(Problem.UNRESOLVED, 2)]


def test_where_it_is_asked() -> None:
    """Keys are listed beside the chat API, a hundred at a time and whole."""
    (request,) = preset(PRESET).steps
    urls = request_urls(preset(PRESET), base_url="https://llm.example.org/litellm/v1", quota_path=None)
    assert urls == ("https://llm.example.org/litellm/key/list",)
    assert request.query == {"return_full_object": "true", "size": 100}
    assert request.pages is not None
    assert (request.pages.query, request.pages.first, request.pages.step, request.pages.size) == ("page", 1, 1, 100)


def test_an_error_is_told_in_its_words() -> None:
    """The reply to a key that may not list keys says so."""
    failure = failure_of(PRESET, fixture(PRESET, "error"))
    assert failure.reason is Reason.ERROR_REPLY
    assert "Only proxy admin" in failure.detail
