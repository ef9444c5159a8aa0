"""The preset new-api-keys, against replies of New API."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.mapping import Reply, is_asked_for
from quota_exporter.quota import Bucket, Child, Failure, Kind, Quota, Reason
from tests.unit.presets.replies import NOW, at, failure_of, fixture, preset, quota_of

PRESET = "new-api-keys"
NEW_YEAR = at(2026, 12, 31, 23, 59, 59)


def cost(limit: float | None, used: float, remaining: float | None) -> Bucket:
    return Bucket(Kind.COST, "default", "USD", limit, used, remaining, limit is not None)


LAPTOP = Child("laptop", Quota((cost(10, 2.5, 7.5),), expires_at=NEW_YEAR))
SERVER = Child("server", Quota((cost(None, 2.5, None),)))


def test_each_token_is_a_child() -> None:
    """Each token stands below its name; a disabled or expired one says so, an unlimited one has no limit."""
    blocked = Failure(Reason.KEY_BLOCKED, "the gateway says that the key is blocked")
    expired = Failure(Reason.KEY_EXPIRED, "the gateway says that the key has expired")
    assert quota_of(PRESET, fixture(PRESET, "full")) == Quota(
        (), children=(Child("disabled", blocked), LAPTOP, Child("over", expired), SERVER)
    )


def test_old_versions_answer_with_the_list_itself() -> None:
    """Without pages around it the list is the same."""
    assert quota_of(PRESET, fixture(PRESET, "list")) == Quota((), children=(LAPTOP, SERVER))


@pytest.mark.parametrize(("name", "bucket"), [("exhausted", cost(10, 10, 0)), ("overspent", cost(10, 10.2, -0.2))])
def test_nothing_left(name: str, bucket: Bucket) -> None:
    """A token with nothing left, or less, is shown with that."""
    (child,) = quota_of(PRESET, fixture(PRESET, name)).children or ()
    assert child.outcome == Quota((bucket,))


def test_an_account_without_tokens() -> None:
    """An empty page is a list: no token, no failure."""
    assert quota_of(PRESET, fixture(PRESET, "empty")) == Quota((), children=())


def test_a_token_without_the_flag_is_not_believed() -> None:
    """The amounts of an unlimited token mean nothing, so without the flag there is none, and the token is down."""
    body = fixture(PRESET, "unlimited")
    del body["first"]["data"]["items"][0]["unlimited_quota"]
    (child,) = quota_of(PRESET, body).children or ()
    assert isinstance(child.outcome, Failure)
    assert child.outcome.reason is Reason.UNEXPECTED_SHAPE


def test_where_it_is_asked() -> None:
    """The path is beside the chat API and keeps the slash at its end; both names of the page's size are sent."""
    urls = request_urls(preset(PRESET), base_url="https://api.example.org/v1", quota_path=None)
    assert urls == ("https://api.example.org/api/token/",) * 3
    assert all(request.query.items() >= {"size": 100, "page_size": 100}.items() for request in preset(PRESET).steps)


def tokens(first: int, count: int) -> list[dict[str, Any]]:
    token = fixture(PRESET, "unlimited")["first"]["data"]["items"][0]
    return [{**token, "name": f"token {number:03}"} for number in range(first, first + count)]


def paged(items: list[dict[str, Any]], total: int) -> dict[str, Any]:
    return {"success": True, "message": "", "data": {"page": 1, "page_size": 100, "total": total, "items": items}}


def listed(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"success": True, "message": "", "data": items}


@pytest.mark.parametrize(
    ("first", "asked"),
    [
        (paged(tokens(0, 100), 130), {"further": 2}),
        (paged(tokens(0, 100), 100), {}),
        (paged([], 0), {}),
        (listed(tokens(0, 100)), {"older": 1}),
        (listed(tokens(0, 99)), {}),
    ],
)
def test_which_page_comes_next(first: dict[str, Any], asked: dict[str, int]) -> None:
    """In new versions the page after 0 is 2, in old ones 1; there is none when all tokens stood on the first."""
    replies = {"first": Reply(first, 200, {})}
    made = {
        request.id: request.pages.first
        for request in preset(PRESET).steps[1:]
        if request.pages is not None and is_asked_for(request, replies, "requests", now=NOW)
    }
    assert made == asked


@pytest.mark.parametrize(
    "bodies",
    [
        {"first": paged(tokens(0, 100), 130), "further": paged(tokens(100, 30), 130)},
        {"first": listed(tokens(0, 100)), "older": listed(tokens(100, 30))},
    ],
)
def test_tokens_of_all_pages_are_children(bodies: dict[str, Any]) -> None:
    """The first page and those that follow make one list."""
    quota = quota_of(PRESET, bodies)
    assert [child.alias for child in quota.children or ()] == [f"token {number:03}" for number in range(130)]
    assert quota.dropped == ()


def test_a_list_that_moved_is_no_empty_list() -> None:
    """When a version calls the list something else, the poll fails, and no token seems to have gone."""
    body = fixture(PRESET, "full")
    body["first"]["data"]["rows"] = body["first"]["data"].pop("items")
    assert failure_of(PRESET, body).reason is Reason.UNEXPECTED_SHAPE


def test_people_are_told_of_the_header() -> None:
    """The list needs the user's id in a header, which only the gateway entry can hold."""
    assert "New-Api-User" in preset(PRESET).description


@pytest.mark.parametrize("name", ["error", "error_code"])
def test_an_error_is_told_in_its_words(name: str) -> None:
    """A failure has HTTP status 200 and is none the less no list; its message is shown."""
    body = fixture(PRESET, name)
    failure = failure_of(PRESET, body)
    assert failure.detail == f"the gateway answered with an error: {body['first']['message']}"
