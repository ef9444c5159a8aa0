"""The preset neutral, against replies of the neutral contract."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.mapping import classify_error
from quota_exporter.quota import Bucket, Kind, Problem, Reason
from tests.unit.presets.replies import SECRETS, at, failure_of, fixture, preset, quota_of

END_OF_MAY = at(2026, 5, 31)


def tokens(limit: float | None, used: float, remaining: float | None, **more: Any) -> Bucket:
    return Bucket(Kind.TOKENS, "default", None, limit, used, remaining, limit is not None, **more)


def cost(limit: float | None, used: float, remaining: float | None, currency: str = "USD") -> Bucket:
    return Bucket(Kind.COST, "default", currency, limit, used, remaining, limit is not None)


DAILY = Bucket(
    Kind.REQUESTS, "daily", None, 1000, 12, 988, limited=True, resets_at=at(2026, 5, 18), window_seconds=86400
)
TEAM = Bucket(
    Kind.COST, "team", "EUR", 50, 12.5, 37.5, limited=True, resets_at=at(2026, 6, 1), window_seconds=31 * 86400
)
IMAGES = Bucket(Kind.CREDITS, "images", used=3, limited=False)
MODEL = Bucket(Kind.TOKENS, "gpt-4o", None, 100000, 100100, -100, limited=True)


@pytest.mark.parametrize(
    ("name", "buckets"),
    [
        ("full", (tokens(5e6, 250000, 4.75e6, resets_at=END_OF_MAY), cost(5, 0.5, 4.5))),
        ("unlimited", (tokens(None, 250000, None), cost(None, 0.5, None, "EUR"))),
        ("exhausted", (tokens(5e6, 5e6, 0, resets_at=END_OF_MAY), cost(5, 5, 0))),
        ("overspent", (tokens(5e6, 5000100, -100), cost(5, 5.75, -0.75))),
        ("buckets", (tokens(5e6, 250000, 4.75e6, resets_at=END_OF_MAY), cost(5, 0.5, 4.5), DAILY, TEAM, IMAGES, MODEL)),
        ("buckets_alone", (DAILY, TEAM)),
    ],
)
def test_amounts_are_read_as_they_stand(name: str, buckets: tuple[Bucket, ...]) -> None:
    """Tokens, cost and further buckets are read as they stand: 0 is data, null is unlimited."""
    assert quota_of("neutral", fixture("neutral", name)).buckets == buckets


def test_where_it_is_asked() -> None:
    """The contract's path is below the base URL."""
    urls = request_urls(preset("neutral"), base_url="https://llm.example.edu/v1", quota_path=None)
    assert urls == ("https://llm.example.edu/v1/quota",)


def test_the_key_has_a_name_and_an_end() -> None:
    """`key` is the key's name for people, `expires_at` when it ends."""
    quota = quota_of("neutral", fixture("neutral", "buckets"))
    assert (quota.key_name, quota.expires_at) == ("course-comp318-fall26", at(2026, 12, 31, 23, 59, 59))


@pytest.mark.parametrize(
    ("header", "fresh_for"),
    [("max-age=30", 30), ("private, max-age=60", 60), ("max-age=86400", 300), ("no-store", 0), (None, 0)],
)
def test_the_gateway_says_how_long_a_reply_may_be_reused(header: str | None, fresh_for: float) -> None:
    """max-age of Cache-Control is taken, at most five minutes of it."""
    headers = {} if header is None else {"cache-control": header}
    assert quota_of("neutral", fixture("neutral", "full"), headers=headers).fresh_for == fresh_for


@pytest.mark.parametrize("absent", ["missing", None])
def test_tokens_or_cost_alone_are_a_smaller_quota(absent: str | None) -> None:
    """A gateway may publish tokens or cost alone: an object that is absent or null is no problem."""
    for member, kind in (("tokens", Kind.COST), ("cost", Kind.TOKENS)):
        body = fixture("neutral", "full")
        if absent is None:
            body[member] = None
        else:
            del body[member]
        quota = quota_of("neutral", body)
        assert [bucket.kind for bucket in quota.buckets] == [kind]
        assert quota.dropped == ()


@pytest.mark.parametrize("wrong", ["many", 5, True, [], [{"limit": None}]])
def test_something_else_for_tokens_counts_problems(wrong: Any) -> None:
    """What is there and no object is a mistake of the gateway, which is counted and costs no other bucket."""
    quota = quota_of("neutral", {**fixture("neutral", "full"), "tokens": wrong})
    assert quota.buckets == (cost(5, 0.5, 4.5),)
    assert [dropped.problem for dropped in quota.dropped] == [Problem.UNRESOLVED] * 3


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "minutes"}, Problem.UNRESOLVED),
        ({"kind": None}, Problem.UNRESOLVED),
        ({"name": 5.5}, Problem.UNRESOLVED),
        ({"name": "sk-proj-4f9a1c7be2d84c55a0e3"}, Problem.UNRESOLVED),
        ({"kind": "cost", "currency": "dollars"}, Problem.BAD_CURRENCY),
        ({"kind": "tokens", "name": "default"}, Problem.DUPLICATE),
    ],
)
def test_a_bucket_that_cannot_be_used_costs_itself_alone(change: dict[str, Any], problem: Problem) -> None:
    """A bucket without usable kind, name or currency, or one that is there already, is dropped and counted."""
    body = fixture("neutral", "full")
    body["buckets"] = [{"kind": "requests", "name": "daily", "limit": 5, "used": 1, **change}]
    quota = quota_of("neutral", body)
    assert quota.buckets == quota_of("neutral", fixture("neutral", "full")).buckets
    assert problem in {dropped.problem for dropped in quota.dropped}


@pytest.mark.parametrize("more", [{}, {"name": None}])
def test_a_bucket_without_name_is_the_default_one(more: dict[str, None]) -> None:
    """The only limit of a kind needs no name."""
    bucket = Bucket(Kind.REQUESTS, "default", None, 5, 1, 4, limited=True)
    assert quota_of("neutral", {"buckets": [{"kind": "requests", "limit": 5, "used": 1, **more}]}).buckets == (bucket,)


def test_numbers_in_quotes_and_money_without_currency() -> None:
    """Numeric strings are numbers, and money is in USD unless the reply says otherwise."""
    quota = quota_of("neutral", {"cost": {"limit": "5.0", "used": "0.42", "remaining": "4.58"}})
    assert quota.buckets == (cost(5, 0.42, 4.58),)


@pytest.mark.parametrize("body", [{}, {"key": "x"}, {"tokens": None, "cost": None}, {"data": {"limit": 5}}, []])
def test_replies_of_another_shape_are_refused(body: Any) -> None:
    """A reply without tokens, cost and buckets is not the contract, and the failure says what was looked for."""
    failure = failure_of("neutral", body)
    assert failure.reason is Reason.UNEXPECTED_SHAPE
    assert "the mapping neutral: none of tokens.limit, tokens.used, tokens.remaining, cost.limit" in failure.detail


@pytest.mark.parametrize("reason", [Reason.KEY_EXPIRED, Reason.KEY_BLOCKED, Reason.PAYMENT_REQUIRED])
def test_errors_may_give_a_reason(reason: Reason) -> None:
    """An operator's gateway says in error.code why it refuses a key, at whatever HTTP status."""
    body = {"error": {"message": "Ask the course staff", "code": str(reason)}}
    assert failure_of("neutral", body).reason is reason
    assert failure_of("neutral", body).detail.endswith(": Ask the course staff")
    assert classify_error(preset("neutral"), body, secrets=SECRETS) == (reason, "Ask the course staff")


def test_errors_may_be_text() -> None:
    """An error that is one string is shown as the message."""
    failure = failure_of("neutral", {"error": "Database not connected"})
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: Database not connected",
    )
    assert failure_of("neutral", fixture("neutral", "error")).reason is Reason.KEY_EXPIRED
