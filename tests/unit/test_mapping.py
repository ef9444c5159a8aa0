"""Replies mapped into quotas: what a value means, what is derived, what is dropped."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.document import parse_yaml
from quota_exporter.mapping import (
    Reply,
    check_reply,
    classify_error,
    is_asked_for,
    map_in_steps,
    map_replies,
    map_reply,
    request_values,
)
from quota_exporter.mapping_language import ReplyMapping, load_mapping
from quota_exporter.quota import Bucket, Child, Dropped, Failure, Kind, Problem, Quota, Reason
from quota_exporter.reader import Notes

NOW = 1779000000.0  # 2026-05-17 06:40:00 UTC, a Sunday
KEY = "sk-canary-4f9a1c7be2d84c55a0e3"

HEAD = "name: m\ndescription: d\nrequests: [{path: /q}]\n"
AMOUNTS = "limit: b.limit, unlimited: null_limit, used: b.used, remaining: b.remaining"
TOKENS = f"{HEAD}buckets: [{{kind: tokens, name: default, {AMOUNTS}}}]"
COST = f"{HEAD}buckets: [{{kind: cost, name: default, currency: USD, currency_from: b.currency, {AMOUNTS}}}]"


def mapping_of(text: str) -> ReplyMapping:
    return load_mapping(parse_yaml(text, Path("m.yaml")))


def read(text: str, body: Any, max_buckets: int = 20) -> Quota | Failure:
    return map_reply(mapping_of(text), body, http_status=200, secrets=(KEY,), now=NOW, max_buckets=max_buckets)


def quota_of(text: str, body: Any, max_buckets: int = 20) -> Quota:
    outcome = read(text, body, max_buckets)
    assert isinstance(outcome, Quota)
    return outcome


def failure_of(text: str, body: Any) -> Failure:
    outcome = read(text, body)
    assert isinstance(outcome, Failure)
    return outcome


def amounts_of(bucket: Bucket) -> tuple[float | None, float | None, float | None, bool | None]:
    return bucket.limit, bucket.used, bucket.remaining, bucket.limited


def problems_of(outcome: Quota | Failure) -> list[tuple[Problem, str]]:
    return [(dropped.problem, dropped.where.split(" ")[0].removeprefix("buckets[0].")) for dropped in outcome.dropped]


@pytest.mark.parametrize(
    ("reply", "amounts"),
    [
        ({"limit": 100, "used": 30, "remaining": 70}, (100, 30, 70, True)),
        ({"limit": "100", "used": "30.5", "remaining": "69.5"}, (100, 30.5, 69.5, True)),
        ({"limit": 100, "used": 100, "remaining": 0}, (100, 100, 0, True)),
        ({"limit": 100, "used": 130, "remaining": -30}, (100, 130, -30, True)),
        ({"limit": 0, "used": 0, "remaining": 0}, (0, 0, 0, True)),
        ({"limit": 100, "used": 30, "remaining": 60}, (100, 30, 60, True)),  # the reply's own word
        ({"limit": 100, "used": 30}, (100, 30, 70, True)),
        ({"limit": 100, "used": 30, "remaining": None}, (100, 30, 70, True)),
        ({"limit": 100, "used": 130}, (100, 130, -30, True)),
        ({"limit": 100, "remaining": 70}, (100, 30, 70, True)),
        ({"limit": 100, "used": None, "remaining": 170}, (100, -70, 170, True)),
        ({"limit": 0.3, "used": "0"}, (0.3, 0, 0.3, True)),
        ({"limit": None, "used": 30, "remaining": None}, (None, 30, None, False)),
        ({"limit": None, "used": 30}, (None, 30, None, False)),
        ({"limit": None, "used": 30, "remaining": 70}, (None, 30, None, False)),
        ({"limit": None, "used": 30, "remaining": "Unlimited"}, (None, 30, None, False)),
        ({"limit": None, "used": None}, (None, None, None, False)),
    ],
)
def test_amounts_mean_what_the_reply_says(reply: Any, amounts: Any) -> None:
    """Amounts are taken as they are, one may be derived and is never clamped, a null limit says unlimited."""
    quota = quota_of(TOKENS, {"b": reply})
    assert amounts_of(quota.buckets[0]) == amounts
    assert quota.dropped == ()


UNRESOLVED, NOT_A_NUMBER = Problem.UNRESOLVED, Problem.NOT_A_NUMBER


@pytest.mark.parametrize(
    ("reply", "amounts", "problems"),
    [
        ({"used": 30, "remaining": 70}, (100, 30, 70, None), [(UNRESOLVED, "limit")]),
        ({"used": 30}, (None, 30, None, None), [(UNRESOLVED, "limit"), (UNRESOLVED, "remaining")]),
        ({"remaining": 70}, (None, None, 70, None), [(UNRESOLVED, "limit"), (UNRESOLVED, "used")]),
        ({"limit": 100}, (100, None, None, True), [(UNRESOLVED, "used"), (UNRESOLVED, "remaining")]),
        ({"limit": 100, "used": None, "remaining": None}, (100, None, None, True), []),
        ({"limit": None}, (None, None, None, False), [(UNRESOLVED, "used")]),
        ({"limit": "", "used": 3, "remaining": 7}, (None, 3, 7, None), [(NOT_A_NUMBER, "limit")]),
        ({"limit": True, "used": 3, "remaining": 7}, (None, 3, 7, None), [(NOT_A_NUMBER, "limit")]),
        ({"limit": "no", "used": 3, "remaining": 7}, (None, 3, 7, None), [(NOT_A_NUMBER, "limit")]),
        ({"limit": [9], "used": 3, "remaining": 7}, (None, 3, 7, None), [(NOT_A_NUMBER, "limit")]),
        ({"limit": math.nan, "used": 3, "remaining": 7}, (None, 3, 7, None), [(NOT_A_NUMBER, "limit")]),
        ({"limit": math.inf, "used": 3, "remaining": 7}, (None, 3, 7, None), [(NOT_A_NUMBER, "limit")]),
        ({"limit": "1e400", "used": 3, "remaining": 7}, (None, 3, 7, None), [(NOT_A_NUMBER, "limit")]),
        ({"limit": 10**400, "used": 3, "remaining": 7}, (None, 3, 7, None), [(NOT_A_NUMBER, "limit")]),
        ({"limit": "1_000", "used": 3, "remaining": 7}, (None, 3, 7, None), [(NOT_A_NUMBER, "limit")]),
        ({"limit": 10, "used": "", "remaining": None}, (10, None, None, True), [(NOT_A_NUMBER, "used")]),
        ({"limit": 10, "used": False, "remaining": 7}, (10, 3, 7, True), [(NOT_A_NUMBER, "used")]),
        ({"limit": 10, "used": 3, "remaining": {}}, (10, 3, 7, True), [(NOT_A_NUMBER, "remaining")]),
        ({"limit": 1.7e308, "used": -1.7e308}, (1.7e308, -1.7e308, None, True), [(UNRESOLVED, "remaining")]),
        ({"used": 1.7e308, "remaining": 1.7e308}, (None, 1.7e308, 1.7e308, None), [(UNRESOLVED, "limit")]),
    ],
)
def test_what_is_missing_or_no_number_is_dropped_and_counted(reply: Any, amounts: Any, problems: Any) -> None:
    """A value that cannot be used becomes nothing, never 0 and never unlimited, and each one is counted."""
    quota = quota_of(TOKENS, {"b": reply})
    assert amounts_of(quota.buckets[0]) == amounts
    assert problems_of(quota) == problems


def test_a_null_limit_says_nothing_where_the_mapping_does_not_take_it_for_unlimited() -> None:
    """Without a rule for unlimited a null limit is no limit and none is made up from the rest, but it is counted."""
    quota = quota_of(TOKENS.replace("unlimited: null_limit, ", ""), {"b": {"limit": None, "used": 3, "remaining": 7}})
    assert amounts_of(quota.buckets[0]) == (None, 3, 7, None)
    assert quota.dropped == (Dropped(Problem.UNRESOLVED, "buckets[0].limit (b.limit)"),)


def test_a_limit_whose_parent_is_missing_is_not_null() -> None:
    """Unlimited needs the member itself: a parent that is gone, null or no object says nothing."""
    text = f"{HEAD}buckets: [{{kind: tokens, name: t, limit: b.limit, unlimited: null_limit, used: used}}]"
    for body in ({"used": 3}, {"used": 3, "b": None}, {"used": 3, "b": "x"}, {"used": 3, "b": [{"limit": None}]}):
        quota = quota_of(text, body)
        assert amounts_of(quota.buckets[0]) == (None, 3, None, None)
        assert problems_of(quota) == [(UNRESOLVED, "limit")]


def test_an_expression_without_result_is_unresolved() -> None:
    """An expression that is more than a path cannot tell null from missing, so null counts, as does an error."""
    text = f"{HEAD}buckets: [{{kind: tokens, name: t, limit: limit, used: a || b, remaining: abs(c)}}]"
    quota = quota_of(text, {"limit": 5, "c": "text"})
    assert amounts_of(quota.buckets[0]) == (5, None, None, True)
    assert quota.dropped == (
        Dropped(UNRESOLVED, "buckets[0].used (a || b)"),
        Dropped(UNRESOLVED, "buckets[0].remaining (abs(c))"),
    )


def test_amounts_the_mapping_does_not_ask_for_are_no_problem() -> None:
    """A wallet has a balance and no limit; a limit of two amounts is derived, but nobody stated it."""
    wallet = quota_of(f"{HEAD}buckets: [{{kind: credits, name: w, remaining: left}}]", {"left": "-2.5"})
    assert wallet == Quota((Bucket(Kind.CREDITS, "w", remaining=-2.5),))
    both = quota_of(f"{HEAD}buckets: [{{kind: credits, name: w, remaining: left, used: used}}]", {"left": 1, "used": 2})
    assert amounts_of(both.buckets[0]) == (3, 2, 1, None)


def test_constants_of_the_mapping_are_values() -> None:
    """A number in the mapping stands for itself."""
    quota = quota_of(f"{HEAD}buckets: [{{kind: requests, name: free, limit: 1000, used: n, window: 3600}}]", {"n": 12})
    assert quota.buckets == (
        Bucket(Kind.REQUESTS, "free", limit=1000, used=12, remaining=988, limited=True, window_seconds=3600),
    )


@pytest.mark.parametrize(
    ("reply", "resets_at", "window", "problems"),
    [
        ({}, None, None, []),
        ({"at": None, "every": None}, None, None, []),
        ({"at": "2026-05-31T00:00:00Z", "every": "weekly"}, 1780185600, 604800, []),
        ({"at": 1780185600000, "every": "monthly"}, 1780185600, 31 * 86400, []),
        ({"at": "1780185600", "every": "30d"}, 1780185600, 2592000, []),
        (
            {"at": "soon", "every": "fortnightly"},
            None,
            None,
            [(Problem.BAD_TIME, "resets_at"), (NOT_A_NUMBER, "window")],
        ),
        ({"at": "", "every": ""}, None, None, [(NOT_A_NUMBER, "window")]),
        ({"at": 0, "every": 0}, None, None, [(NOT_A_NUMBER, "window")]),
        ({"at": "0", "every": "yearly"}, None, 365 * 86400, []),
        ({"at": -1, "every": -60}, None, None, [(NOT_A_NUMBER, "window")]),
        ({"at": -2, "every": "1h"}, None, 3600, [(Problem.BAD_TIME, "resets_at")]),
        ({"at": True, "every": True}, None, None, [(Problem.BAD_TIME, "resets_at"), (NOT_A_NUMBER, "window")]),
        ({"at": 1e300, "every": "1e400"}, None, None, [(Problem.BAD_TIME, "resets_at"), (NOT_A_NUMBER, "window")]),
    ],
)
def test_times_and_periods(reply: Any, resets_at: Any, window: Any, problems: Any) -> None:
    """A time or period that is null or missing is normal; one that cannot be read is counted."""
    text = f"{HEAD}buckets: [{{kind: tokens, name: t, used: used, resets_at: at, window: every}}]"
    quota = quota_of(text, {"used": 1, **reply})
    assert (quota.buckets[0].resets_at, quota.buckets[0].window_seconds) == (resets_at, window)
    assert sorted(problems_of(quota)) == sorted(problems)


def test_key_name_and_expiry() -> None:
    """The key's name is cleaned text, its expiry a time; neither can cost the quota."""
    text = f"{HEAD}key_name: name\nexpires_at: until\nbuckets: [{{kind: tokens, name: t, used: used}}]"
    good = quota_of(text, {"used": 1, "name": " ci-\x00bot ", "until": "2026-05-31T00:00:00Z"})
    assert (good.key_name, good.expires_at, good.dropped) == ("ci-bot", 1780185600, ())
    absent = quota_of(text, {"used": 1, "until": None})
    assert (absent.key_name, absent.expires_at, absent.dropped) == (None, None, ())
    bad = quota_of(text, {"used": 1, "name": KEY, "until": "never"})
    assert (bad.key_name, bad.expires_at, problems_of(bad)) == (None, None, [(Problem.BAD_TIME, "expires_at")])


@pytest.mark.parametrize(
    ("reply", "currency"),
    [({}, "USD"), ({"currency": None}, "USD"), ({"currency": "EUR"}, "EUR"), ({"currency": "cny"}, "CNY")],
)
def test_the_replys_currency_goes_before_the_mappings(reply: Any, currency: str) -> None:
    """Money is in the currency that the reply names, else in the mapping's."""
    assert quota_of(COST, {"b": {"used": 1, "limit": 2, **reply}}).buckets[0].currency == currency


@pytest.mark.parametrize("currency", ["", "$", "US", "EURO", "EU1", "\u0131dr", 840, True, [], {}])
def test_money_in_an_unknown_currency_is_no_bucket(currency: Any) -> None:
    """A currency that is none takes its bucket along: the amount would be shown as other money."""
    failure = failure_of(COST, {"b": {"used": 1, "limit": 2, "remaining": 1, "currency": currency}})
    assert failure.reason is Reason.UNEXPECTED_SHAPE
    assert problems_of(failure) == [(Problem.BAD_CURRENCY, "currency_from")]


def test_a_currency_that_cannot_be_evaluated_is_no_bucket() -> None:
    """Where the currency's expression fails, nobody knows what the amounts are."""
    failure = failure_of(COST.replace("b.currency", "abs(b)"), {"b": {"used": 1, "limit": 2}})
    assert problems_of(failure) == [(UNRESOLVED, "currency_from")]


@pytest.mark.parametrize(
    ("where", "exists"),
    [(True, True), ("x", True), (0, True), ({"a": 1}, True), (False, False), (None, False), ("", False), ({}, False)],
)
def test_a_bucket_exists_where_its_condition_holds(where: Any, exists: bool) -> None:  # noqa: FBT001 - a column of the table
    """`where` is true as JMESPath sees it; a bucket that does not exist drops nothing."""
    text = f"{HEAD}buckets: [{{kind: tokens, name: t, used: used}}, {{kind: credits, name: c, where: on, used: gone}}]"
    quota = quota_of(text, {"used": 1, "on": where})
    assert len(quota.dropped) == (1 if exists else 0)


def test_a_condition_that_fails_is_counted() -> None:
    """A condition with an error holds no more than one that is false."""
    text = (
        f"{HEAD}buckets: [{{kind: tokens, name: t, used: used}}, {{kind: credits, name: c, where: abs(x), used: used}}]"
    )
    quota = quota_of(text, {"used": 1, "x": "text"})
    assert [bucket.name for bucket in quota.buckets] == ["t"]
    assert quota.dropped == (Dropped(UNRESOLVED, "buckets[1].where (abs(x))"),)


def test_a_bucket_without_content_is_not_shown_but_counted() -> None:
    """A bucket that the reply says nothing about is no bucket; what was looked for in vain stays counted."""
    text = f"{HEAD}buckets: [{{kind: tokens, name: t, used: used}}, {{kind: credits, name: c, limit: a, used: b}}]"
    quota = quota_of(text, {"used": 1, "b": None})
    assert [bucket.name for bucket in quota.buckets] == ["t"]
    assert quota.dropped == (Dropped(UNRESOLVED, "buckets[1].limit (a)"),)


def test_the_first_of_duplicate_buckets_wins() -> None:
    """Kind and name are unique: a second bucket of both is dropped and counted, another kind is another bucket."""
    text = (
        f"{HEAD}buckets: [{{kind: tokens, name: t, used: a}}, {{kind: tokens, name: t, used: b}}, "
        "{kind: credits, name: t, used: c}]"
    )
    quota = quota_of(text, {"a": 1, "b": 2, "c": 3})
    assert [(bucket.kind, bucket.used) for bucket in quota.buckets] == [(Kind.TOKENS, 1), (Kind.CREDITS, 3)]
    assert quota.dropped == (Dropped(Problem.DUPLICATE, "buckets[1]"),)
    assert [bucket.used for bucket in quota_of(text, {"b": 2}).buckets] == [2]


def test_buckets_beyond_the_cap_are_counted_one_by_one() -> None:
    """At most `max_buckets` come out of a reply, the first ones."""
    rules = ", ".join(f"{{kind: tokens, name: t{n}, used: u}}" for n in range(5))
    quota = quota_of(f"{HEAD}buckets: [{rules}]", {"u": 1}, max_buckets=3)
    assert [bucket.name for bucket in quota.buckets] == ["t0", "t1", "t2"]
    assert quota.dropped == (Dropped(Problem.TOO_MANY, "buckets[3]"), Dropped(Problem.TOO_MANY, "buckets[4]"))


ERRORS = (
    f"{HEAD}success: has(@, 'used')\nerror: error.message\nreason: error.code\n"
    "buckets: [{kind: tokens, name: t, used: used}]"
)


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        (
            {"error": {"code": "key_expired", "message": "Expired on 1 May"}},
            Reason.KEY_EXPIRED,
            "the gateway says that the key has expired: Expired on 1 May",
        ),
        ({"error": {"code": "key_blocked"}}, Reason.KEY_BLOCKED, "the gateway says that the key is blocked"),
        ({"error": {"code": "payment_required"}}, Reason.PAYMENT_REQUIRED, "the gateway asks for payment"),
        (
            {"error": {"code": "timeout", "message": "No such user"}},
            Reason.ERROR_REPLY,
            "the gateway answered with an error: No such user",
        ),
        (
            {"error": {"code": ["key_expired"], "message": f"Unknown key {KEY}"}},
            Reason.ERROR_REPLY,
            "the gateway answered with an error",
        ),
        ({"error": {"message": {"text": "x"}}}, Reason.ERROR_REPLY, "the gateway answered with an error"),
        (
            {"error": {"message": None}},
            Reason.UNEXPECTED_SHAPE,
            "the reply (HTTP 200) does not fit the mapping m: `has(@, 'used')` does not hold",
        ),
        (
            {"used": "n/a"},
            Reason.UNEXPECTED_SHAPE,
            "the reply (HTTP 200) does not fit the mapping m: none of used gives a value",
        ),
        (
            [],
            Reason.UNEXPECTED_SHAPE,
            "the reply (HTTP 200) does not fit the mapping m: `has(@, 'used')` does not hold",
        ),
    ],
)
def test_a_reply_without_a_quota_is_classified(body: Any, reason: Reason, detail: str) -> None:
    """A reason goes before an error, an error before an unexpected shape; no message shows a key."""
    failure = failure_of(ERRORS, body)
    assert (failure.reason, failure.detail) == (reason, detail)


def test_success_is_checked_before_the_buckets() -> None:
    """A reply that the mapping calls a failure is none the less one when it holds numbers."""
    text = f"{HEAD}success: ok\nerror: message\nbuckets: [{{kind: tokens, name: t, used: used}}]"
    failure = failure_of(text, {"ok": False, "used": 5, "message": "Database not connected"})
    assert failure.reason is Reason.ERROR_REPLY
    assert isinstance(read(text, {"ok": True, "used": 5, "message": "fine"}), Quota)


def test_failures_keep_what_was_dropped() -> None:
    """Why a reply gave nothing can be seen from the values that were dropped."""
    failure = failure_of(TOKENS, {"b": {"limit": "x"}})
    assert problems_of(failure) == [(NOT_A_NUMBER, "limit"), (UNRESOLVED, "used"), (UNRESOLVED, "remaining")]


@pytest.mark.parametrize("body", [None, True, 0, 1.5, "text"])
def test_a_reply_that_is_no_object_is_unexpected(body: Any) -> None:
    """A bare value is JSON and no quota."""
    failure = failure_of(TOKENS, body)
    assert failure == Failure(Reason.UNEXPECTED_SHAPE, "the reply (HTTP 200) is JSON, but not an object")


def test_a_list_is_read_where_the_mapping_can() -> None:
    """A reply may be a list when the mapping's expressions take one."""
    text = f'{HEAD}buckets: [{{kind: tokens, name: t, used: "[0].used"}}]'
    assert quota_of(text, [{"used": 3}]).buckets[0].used == 3
    assert failure_of(TOKENS, [{"used": 3}]).reason is Reason.UNEXPECTED_SHAPE


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"code": "key_blocked", "message": "Blocked by ops"}}, (Reason.KEY_BLOCKED, "Blocked by ops")),
        ({"error": {"code": "401", "message": "No such key"}}, (None, "No such key")),
        ({"error": {"message": f"Key {KEY} is wrong"}}, (None, None)),
        ({"detail": "x"}, (None, None)),
        ("text", (None, None)),
        (None, (None, None)),
        ([], (None, None)),
    ],
)
def test_error_replies_are_classified_by_the_mapping(body: Any, expected: Any) -> None:
    """The JSON of a reply with an error status may give a reason and a message that is safe to show."""
    assert classify_error(mapping_of(ERRORS), body, secrets=(KEY,)) == expected


# Several requests

SEVERAL = """\
name: m
requests:
  - {id: key, path: /key, success: "has(@, 'info')"}
  - id: team
    path: /team
    where: key.info.team
    values: {team: key.info.team, page: key.info.page || `1`}
    optional: true
  - {id: user, path: /user, success: ok, optional: true}
success: "!(error)"
error: error.message
reason: error.code
expires_at: key.info.until
time_format: in_s
buckets:
  - {kind: tokens, name: key, limit: key.info.limit, used: key.info.used}
  - {kind: tokens, name: team, where: team, limit: team.limit, used: "get(team.spent, key.info.name)"}
  - {kind: requests, where: "header('x-limit')", limit: header('X-Limit'), used: "header('x-used', 'team')"}
  - {each: "user.keys || `[]`", kind: credits, name_from: name, where: name == root().key.info.name, used: used}
"""


def reply(body: Any, **headers: str) -> Reply:
    return Reply(body, 200, {name.replace("_", "-"): value for name, value in headers.items()})


def map_several(replies: dict[str, Reply], **more: Any) -> Quota | Failure:
    return map_replies(mapping_of(SEVERAL), replies, secrets=(KEY,), now=NOW, max_buckets=20, **more)


def test_several_replies_are_one_document() -> None:
    """With several requests each reply stands below its id, also for root(), get() and header()."""
    info = {"name": "bot", "limit": 10, "used": 4, "team": "t1", "until": 60}
    replies = {
        "key": reply({"info": info}, x_limit="100"),
        "team": reply({"limit": 50, "spent": {"bot": 7, "other": 8}}, x_limit="5", x_used="30"),
        "user": reply({"ok": True, "keys": [{"name": "x", "used": 1}, {"name": "bot", "used": 2}]}),
    }
    assert map_several(replies) == Quota(
        (
            Bucket(Kind.TOKENS, "key", None, 10, 4, 6, limited=True),
            Bucket(Kind.TOKENS, "team", None, 50, 7, 43, limited=True),
            Bucket(Kind.REQUESTS, "default", None, 100, 30, 70, limited=True),
            Bucket(Kind.CREDITS, "bot", used=2),
        ),
        expires_at=NOW + 60,
    )


def test_a_request_that_was_not_made_costs_its_buckets_only() -> None:
    """Of an optional reply that is not there nothing is said, and what was lost before is told along."""
    notes = Notes()
    notes.drop(Problem.UNRESOLVED, "requests[2]", count=3)
    quota = map_several({"key": reply({"info": {"limit": 10, "used": 4}})}, notes=notes)
    assert isinstance(quota, Quota)
    assert [bucket.name for bucket in quota.buckets] == ["key"]
    assert quota.dropped == (Dropped(Problem.UNRESOLVED, "requests[2]", 3),)


def test_without_any_bucket_an_error_in_any_reply_is_the_reason() -> None:
    """Where no reply gives a value, the first that holds an error says why."""
    failure = map_several(
        {"key": reply({"info": {}}), "team": reply({"error": {"code": "key_blocked", "message": "by ops"}})}
    )
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.detail) == (Reason.KEY_BLOCKED, "the gateway says that the key is blocked: by ops")


@pytest.mark.parametrize(
    ("index", "body", "detail"),
    [
        (0, {"info": {}, "error": {}}, None),  # its own condition stands in for that of the mapping
        (0, {"ok": True}, "the reply (HTTP 200) does not fit the mapping m: `has(@, 'info')` does not hold"),
        (1, {}, None),
        (1, {"error": {"message": "no such team"}}, "the gateway answered with an error: no such team"),
        (1, {"error": "x"}, "the reply (HTTP 200) does not fit the mapping m: `!(error)` does not hold"),
        (2, {"ok": 0}, None),
        (2, {"ok": False}, "the reply (HTTP 200) does not fit the mapping m: `ok` does not hold"),
        (2, [], "the reply (HTTP 200) does not fit the mapping m: `ok` does not hold"),
        (2, "text", "the reply (HTTP 200) is JSON, but not an object"),
    ],
)
def test_each_reply_is_checked_by_itself(index: int, body: Any, detail: str | None) -> None:
    """A request's own `success` goes before that of the mapping, and both see that one reply as `@`."""
    mapping = mapping_of(SEVERAL)
    failure = check_reply(mapping, mapping.steps[index], reply(body), secrets=(KEY,))
    assert (None if failure is None else failure.detail) == detail


def test_a_condition_on_a_reply_that_fails_is_counted() -> None:
    """An error in `success` is a failure of the reply, and seen."""
    mapping = mapping_of(f"{HEAD}success: abs(x)\nbuckets: [{{kind: tokens, used: used}}]")
    failure = check_reply(mapping, mapping.steps[0], reply({"x": "text"}), secrets=())
    assert failure is not None
    assert failure.dropped == (Dropped(Problem.UNRESOLVED, "success (abs(x))"),)


@pytest.mark.parametrize(
    ("info", "values"),
    [
        ({"team": "t1"}, {"team": "t1", "page": "1"}),
        ({"team": "t1", "page": 7}, {"team": "t1", "page": "7"}),
        ({"team": 5, "page": "x y"}, {"team": "5", "page": "x y"}),
        ({}, None),
        ({"team": None}, None),
        ({"team": ""}, None),
        ({"team": False}, None),
        ({"team": True}, None),
        ({"team": ["t1"]}, None),
        ({"team": {"id": 1}}, None),
        ({"team": "t1", "page": [1]}, None),
    ],
)
def test_values_of_a_request_are_text_or_numbers_of_earlier_replies(info: Any, values: Any) -> None:
    """Without its condition, or with a value missing, a request is not made."""
    replies = {"key": reply({"info": info})}
    assert request_values(mapping_of(SEVERAL).steps[1], replies, "requests[1]", now=NOW) == values


@pytest.mark.parametrize(
    ("info", "dropped"),
    [
        ({"team": "t1"}, ()),
        ({"team": None}, ()),
        ({}, (Dropped(Problem.UNRESOLVED, "requests[1].values.team (key.info.team)"),)),
    ],
)
def test_a_value_that_is_gone_is_noted(info: Any, dropped: Any) -> None:
    """A member that was renamed does not read as: this key belongs to no team. Null does."""
    notes = Notes(evaluated=[])
    request_values(mapping_of(SEVERAL).steps[1], {"key": reply({"info": info})}, "requests[1]", now=NOW, notes=notes)
    assert notes.dropped == dropped
    assert notes.evaluated is not None
    assert notes.evaluated[0].field == "requests[1].values.team"


def test_a_condition_that_fails_is_noted() -> None:
    """An error in `where` skips the request in the open."""
    notes = Notes(evaluated=[])
    text = SEVERAL.replace("where: key.info.team", "where: abs(key.x) > `1`")
    request = mapping_of(text).steps[1]
    assert not is_asked_for(request, {"key": reply({"x": "text"})}, "requests[1]", now=NOW, notes=notes)
    assert notes.dropped == (Dropped(Problem.UNRESOLVED, "requests[1].where (abs(key.x) > `1`)"),)
    assert [one.field for one in notes.evaluated or ()] == ["requests[1].where"]
    assert is_asked_for(request, {"key": reply({"x": -5})}, "requests[1]", now=NOW)


def test_what_a_check_evaluates_can_be_asked_for() -> None:
    """`success`, `reason` and `error` are told along with the rest, and failing ones are counted with the failure."""
    notes = Notes(evaluated=[])
    mapping = mapping_of(f"{HEAD}success: ok\nreason: abs(x)\nerror: msg\nbuckets: [{{kind: tokens, used: used}}]")
    failure = check_reply(mapping, mapping.steps[0], reply({"x": "a", "msg": "no"}), secrets=(), notes=notes)
    assert failure is not None
    assert failure.dropped == (Dropped(Problem.UNRESOLVED, "reason (abs(x))"),)
    assert notes.dropped == ()
    assert [one.field for one in notes.evaluated or ()] == ["success", "reason", "error"]


def test_a_request_without_conditions_is_always_made() -> None:
    """A request that refers to nothing needs nothing."""
    assert request_values(mapping_of(SEVERAL).steps[2], {"key": reply({})}, "requests[2]", now=NOW) == {}


def test_a_request_may_take_a_time_from_now() -> None:
    """`next` and `time` refer to the present."""
    text = SEVERAL.replace("team: key.info.team,", "team: next('daily'),")
    values = request_values(mapping_of(text).steps[1], {"key": reply({"info": {"team": 1}})}, "requests[1]", now=NOW)
    assert values == {"team": "1779062400.0", "page": "1"}


# How long a reply may be reused


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("max-age=60", 60),
        ("private, max-age=30", 30),
        ("MAX-AGE=30, must-revalidate", 30),
        ('max-age="45"', 45),
        ("max-age=0", 0),
        ("max-age=86400", 300),
        ("max-age=999999999", 300),
        ("s-maxage=60", 0),
        ("x-max-age=60", 0),
        ("max-age=-5", 0),
        ("max-age=1.5", 0),
        ("max-age=1e9", 0),
        ("max-age=9999999999", 300),
        (f"max-age={'9' * 5000}", 300),
        ("no-store, max-age=60", 0),
        ("max-age=60,No-Cache", 0),
        ('no-cache="set-cookie", max-age=60', 0),
        ("x-no-store, max-age=60", 60),
        ("max-age=\u0663", 0),
        ("no-store", 0),
        ("", 0),
    ],
)
def test_a_gateway_may_ask_for_its_reply_to_be_reused(header: str, seconds: float) -> None:
    """max-age counts where the mapping says so, up to five minutes, and never against no-store or no-cache."""
    replies = {"reply": reply({"b": {"used": 1}}, cache_control=header)}
    for text, expected in ((f"cache_control: true\n{TOKENS}", seconds), (TOKENS, 0)):
        quota = map_replies(mapping_of(text), replies, secrets=(), now=NOW, max_buckets=20)
        assert isinstance(quota, Quota)
        assert quota.fresh_for == expected


def test_without_the_header_nothing_is_reused() -> None:
    """A reply without Cache-Control is read anew each time."""
    quota = quota_of(f"cache_control: true\n{TOKENS}", {"b": {"used": 1}})
    assert quota.fresh_for == 0


# Children

CHILDREN = """\
name: m
path: /keys
units: {cent: 100}
time_format: rfc3339
children:
  each: keys
  where: kind != 'test'
  alias: name
  reason: blocked == `true` && 'key_blocked' || `null`
  expires_at: until
  time_format: unix
  max_children: 4
  buckets:
    - {kind: cost, currency: USD, unit: cent, limit: limit, unlimited: null_limit, used: used}
    - {each: "windows || `[]`", kind: requests, name_from: n, used: root().spent}
"""


def children_of(body: Any, **more: Any) -> Quota:
    quota = map_replies(mapping_of(CHILDREN), {"reply": reply(body)}, secrets=(KEY,), now=NOW, max_buckets=20, **more)
    assert isinstance(quota, Quota)
    return quota


def aliases_of(quota: Quota) -> list[str]:
    assert quota.children is not None
    return [child.alias for child in quota.children]


def test_a_list_of_keys_becomes_children() -> None:
    """Each key has its quota, in the order of the aliases; a key that says why it is refused fails by itself."""
    keys = [
        {"name": "zoe", "limit": 1000, "used": 300, "until": 1780185600},
        {"name": " a\x00nn ", "limit": None, "used": 50, "until": -1, "windows": [{"n": "1h"}]},
        {"name": "ben", "blocked": True, "limit": 10},
        {"name": "ops", "kind": "test", "limit": 10},
    ]
    quota = children_of({"keys": keys, "spent": 7})
    assert (quota.buckets, quota.dropped) == ((), ())
    assert quota.children == (
        Child(
            "ann",
            Quota((Bucket(Kind.COST, "default", "USD", used=0.5, limited=False), Bucket(Kind.REQUESTS, "1h", used=7))),
        ),
        Child("ben", Failure(Reason.KEY_BLOCKED, "the gateway says that the key is blocked")),
        Child(
            "zoe",
            Quota((Bucket(Kind.COST, "default", "USD", 10, 3, 7, limited=True),), expires_at=1780185600.0),
        ),
    )


def test_keys_without_a_name_are_counted_and_not_shown() -> None:
    """A key that nobody named, or whose name may not be shown, is one of a count; so is a second of one name."""
    names = [KEY, "sk-...IAAw", "a" * 64, "someone@example.org", None, "", "ci", "ci", 5, ["x"]]
    keys = [{"name": name, "limit": 100, "used": number} for number, name in enumerate(names)]
    quota = children_of({"keys": [*keys, None, "text", {}]})
    assert aliases_of(quota) == ["5", "ci"]
    assert quota.children is not None
    assert isinstance(quota.children[1].outcome, Quota)
    assert quota.children[1].outcome.buckets[0].used == 0.06  # the first of that name
    assert quota.dropped == (
        Dropped(Problem.UNRESOLVED, "children.alias, of keys without one", 5),
        Dropped(Problem.UNRESOLVED, "children.alias, of keys whose alias cannot be shown", 5),
        Dropped(Problem.DUPLICATE, "children.alias (name)", 1),
    )
    assert KEY not in repr(quota)


def test_the_order_of_the_reply_does_not_choose_the_children() -> None:
    """Where there are too many, the same ones are kept however the reply is sorted; the rest is counted."""
    keys = [{"name": f"k{number}", "limit": 1, "used": 0} for number in range(9)]
    quota, other = children_of({"keys": keys}), children_of({"keys": keys[::-1]})
    assert quota == other
    assert aliases_of(quota) == ["k0", "k1", "k2", "k3"]
    assert quota.dropped == (Dropped(Problem.TOO_MANY, "children.each (keys)", 5),)
    assert aliases_of(children_of({"keys": keys}, max_children=2)) == ["k0", "k1"]


def test_a_long_list_is_mapped_in_steps() -> None:
    """Thousands of keys yield often, also those that no condition lets through, and each has work to spare."""
    for kind, least in (("test", 10), ("prod", 200)):
        keys = [{"name": f"k{number}", "kind": kind, "limit": 1, "used": 0} for number in range(5000)]
        replies = {"reply": reply({"keys": keys})}
        steps = map_in_steps(
            mapping_of(CHILDREN), replies, secrets=(), now=NOW, max_buckets=20, max_children=5000, notes=Notes()
        )
        assert len(list(steps)) >= least


def test_expressions_of_keys_cannot_work_for_ever() -> None:
    """Where each key looks at all others, the work ends, and what was not read is counted."""
    text = CHILDREN.replace("used: used}", "used: \"length(root().keys[?name != ''])\"}")
    keys = [{"name": f"k{number}", "limit": 1, "used": 0} for number in range(2000)]
    replies = {"reply": reply({"keys": keys})}
    quota = map_replies(mapping_of(text), replies, secrets=(), now=NOW, max_buckets=20, max_children=2000)
    assert isinstance(quota, Quota)
    dropped = [child.outcome.dropped for child in quota.children or ()]
    assert 0 < sum(not one for one in dropped) < 500


def test_what_a_child_drops_is_its_own() -> None:
    """Problems of one key are told of that key; one that fits nothing fails alone."""
    keys = [
        {"name": "a", "limit": "x", "used": 1, "until": "soon"},
        {"name": "b"},
        {"name": "c", "limit": 1, "used": 0},
    ]
    quota = children_of({"keys": keys})
    assert quota.dropped == ()
    assert quota.children is not None
    one, two, three = (child.outcome for child in quota.children)
    assert one.dropped == (
        Dropped(Problem.NOT_A_NUMBER, "children.buckets[0].limit (limit)"),
        Dropped(Problem.BAD_TIME, "children.expires_at (until)"),
    )
    assert isinstance(two, Failure)
    assert (two.reason, two.detail) == (
        Reason.UNEXPECTED_SHAPE,
        "its entry in the list of keys does not fit the mapping m",
    )
    assert [drop.where for drop in two.dropped] == [
        "children.buckets[0].limit (limit)",
        "children.buckets[0].used (used)",
    ]
    assert three.dropped == ()


@pytest.mark.parametrize("body", [{"keys": []}, {"keys": {}}, {"keys": None}])
def test_no_keys_are_a_quota_without_children(body: Any) -> None:
    """An account without keys is no failure."""
    quota = children_of(body)
    assert (quota.children, quota.dropped) == ((), ())


def test_a_map_of_keys_is_a_list_of_its_members() -> None:
    """Keys may come as a map by their names."""
    text = CHILDREN.replace("alias: name", "alias: key").replace("limit: limit", "limit: value.limit")
    text = text.replace("used: used", "used: value.used")
    body = {"keys": {"b": {"limit": 1, "used": 0}, "a": {"limit": 2, "used": 0}}}
    quota = map_replies(mapping_of(text), {"reply": reply(body)}, secrets=(), now=NOW, max_buckets=20)
    assert isinstance(quota, Quota)
    assert aliases_of(quota) == ["a", "b"]


@pytest.mark.parametrize("body", [{}, {"keys": 5}, {"keys": "text"}])
def test_a_reply_without_the_list_is_unexpected(body: Any) -> None:
    """A list of keys that is not there does not read as an account without keys."""
    failure = map_replies(mapping_of(CHILDREN), {"reply": reply(body)}, secrets=(), now=NOW, max_buckets=20)
    assert isinstance(failure, Failure)
    assert failure.detail == "the reply (HTTP 200) does not fit the mapping m: none of keys gives a value"
    assert failure.dropped == (Dropped(Problem.UNRESOLVED, "children.each (keys)"),)


def test_an_alias_that_fails_is_counted_once() -> None:
    """One key that cannot be named is one problem."""
    text = CHILDREN.replace("alias: name", "alias: \"join('', [a, b])\"")
    body = {"keys": [{"a": "x"}, {"a": "x", "b": "y", "limit": 1, "used": 0}]}
    quota = map_replies(mapping_of(text), {"reply": reply(body)}, secrets=(), now=NOW, max_buckets=20)
    assert isinstance(quota, Quota)
    assert aliases_of(quota) == ["xy"]
    assert quota.dropped == (Dropped(Problem.UNRESOLVED, "children.alias, of keys whose alias cannot be shown"),)


def test_what_expressions_gave_can_be_asked_for() -> None:
    """With notes that keep them, each expression is told with its value; of children those of one."""
    notes = Notes(evaluated=[])
    keys = [{"name": "b", "limit": 1, "used": 0}, {"name": "a", "limit": 2, "used": 0}]
    children_of({"keys": keys}, notes=notes)
    assert notes.evaluated is not None
    limits = [(one.field, one.text, one.value) for one in notes.evaluated if one.field.endswith(".limit")]
    assert limits == [("children.buckets[0].limit", "limit", 2)]


NUMBERS = st.none() | st.integers(-(10**9), 10**9)


@given(st.fixed_dictionaries({}, optional={"limit": NUMBERS, "used": NUMBERS, "remaining": NUMBERS}))
def test_every_number_is_in_the_reply_or_derived_from_the_two_others(reply: dict[str, int | None]) -> None:
    """No amount is invented: it stands in the reply, or it follows from two that do."""
    outcome = read(TOKENS, {"b": reply})
    if isinstance(outcome, Failure):
        assert all(value is None for value in reply.values())
        return
    bucket = outcome.buckets[0]
    limit, used, remaining = (reply.get(name) for name in ("limit", "used", "remaining"))
    if bucket.limit is not None and bucket.limit != limit:
        assert (limit, bucket.limit) == (None, (used or 0) + (remaining or 0))
        assert used is not None
        assert remaining is not None
    if bucket.used is not None and bucket.used != used:
        assert (used, bucket.used) == (None, (limit or 0) - (remaining or 0))
        assert limit is not None
        assert remaining is not None
    if bucket.remaining is not None and bucket.remaining != remaining:
        assert (remaining, bucket.remaining) == (None, (limit or 0) - (used or 0))
        assert limit is not None
        assert used is not None
    assert (bucket.limited is False) == ("limit" in reply and limit is None)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("created", "used"), [([3, 1, 2], 11), (["2026-03-01", "2026-01-01", "2026-02-01"], 11), ([None, "x", 7], 12)]
)
def test_of_keys_with_one_name_the_first_by_its_mark_is_taken(created: list[Any], used: int, order: int) -> None:
    """Which of several keys has the name does not change with the order of the list, nor when a newer one comes."""
    keys = [{"name": "ci", "limit": 100, "used": 1000 + 100 * n, "at": at} for n, at in enumerate(created)][::order]
    text = CHILDREN.replace("alias: name", "alias: name\n  first_by: at")
    quota = map_replies(mapping_of(text), {"reply": reply({"keys": keys})}, secrets=(), now=NOW, max_buckets=20)
    assert isinstance(quota, Quota)
    assert quota.children is not None
    (child,) = quota.children
    assert isinstance(child.outcome, Quota)
    assert child.outcome.buckets[0].used == used
    assert quota.dropped == (Dropped(Problem.DUPLICATE, "children.alias (name)", 2),)


def test_a_listed_key_that_has_expired_says_so() -> None:
    """A list goes on showing keys that no longer work: their time tells, and a time to come is shown."""
    keys = [
        {"name": "old", "limit": 1, "used": 0, "until": NOW - 1},
        {"name": "new", "limit": 1, "used": 0, "until": NOW + 1},
    ]
    quota = children_of({"keys": keys})
    assert quota.children is not None
    new, old = (child.outcome for child in quota.children)
    assert isinstance(new, Quota)
    assert new.expires_at == NOW + 1
    assert isinstance(old, Failure)
    assert old.reason is Reason.KEY_EXPIRED
