"""Replies mapped into quotas: what a value means, what is derived, what is dropped."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.document import parse_yaml
from quota_exporter.mapping import classify_error, map_reply
from quota_exporter.mapping_language import ReplyMapping, load_mapping, load_preset
from quota_exporter.quota import Bucket, Dropped, Failure, Kind, Problem, Quota, Reason

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
    """Without the rule for unlimited, null is absent: no problem, and no limit made up from the rest."""
    quota = quota_of(TOKENS.replace("unlimited: null_limit, ", ""), {"b": {"limit": None, "used": 3, "remaining": 7}})
    assert amounts_of(quota.buckets[0]) == (None, 3, 7, None)
    assert quota.dropped == ()


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
        ({"at": "soon", "every": "yearly"}, None, None, [(Problem.BAD_TIME, "resets_at"), (NOT_A_NUMBER, "window")]),
        ({"at": "", "every": ""}, None, None, [(Problem.BAD_TIME, "resets_at"), (NOT_A_NUMBER, "window")]),
        ({"at": 0, "every": 0}, None, None, [(Problem.BAD_TIME, "resets_at"), (NOT_A_NUMBER, "window")]),
        ({"at": -1, "every": -60}, None, None, [(Problem.BAD_TIME, "resets_at"), (NOT_A_NUMBER, "window")]),
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


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "1e400", "12", "NaN", "monthly", "2026-05-31T00:00:00Z", 10**400, KEY, "USD"])
)
MEMBERS = st.sampled_from(
    [
        "data",
        "tokens",
        "cost",
        "limit",
        "used",
        "remaining",
        "usage",
        "limit_remaining",
        "limit_reset",
        "key",
        "name",
        "currency",
        "resets_at",
        "expires_at",
        "error",
        "message",
        "code",
    ]
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=6), max_leaves=20
)
AMOUNT_OBJECTS = st.dictionaries(MEMBERS, SCALARS, max_size=8)
REPLIES = JSON | st.dictionaries(MEMBERS, AMOUNT_OBJECTS | JSON, max_size=4)


def numbers_in(quota: Quota) -> list[float]:
    values = [quota.expires_at]
    for bucket in quota.buckets:
        values += [bucket.limit, bucket.used, bucket.remaining, bucket.resets_at, bucket.window_seconds]
    return [value for value in values if value is not None]


def null_limits_in(body: Any) -> int:
    if not isinstance(body, dict):
        return 0
    return sum(1 for inner in body.values() if isinstance(inner, dict) and "limit" in inner and inner["limit"] is None)


@pytest.mark.parametrize("preset", ["neutral", "openrouter"])
@given(body=REPLIES)
def test_any_json_maps_to_finite_numbers_or_a_failure(preset: str, body: Any) -> None:
    """No reply raises, gives NaN or an infinity, shows the key, or reads as unlimited without a null limit in it."""
    mapping = load_preset(preset)
    outcome = map_reply(mapping, body, http_status=200, secrets=(KEY,), now=NOW, max_buckets=20)
    again = map_reply(mapping, body, http_status=200, secrets=(KEY,), now=NOW, max_buckets=20)
    assert outcome == again
    assert KEY not in repr(outcome)
    if isinstance(outcome, Quota):
        assert all(math.isfinite(value) for value in numbers_in(outcome))
        assert sum(bucket.limited is False for bucket in outcome.buckets) <= null_limits_in(body)
        assert all(bucket.limited is None or (bucket.limit is None) != bucket.limited for bucket in outcome.buckets)
    else:
        assert outcome.reason in Reason
        assert outcome.detail
    assert classify_error(mapping, body, secrets=(KEY,)) == classify_error(mapping, body, secrets=(KEY,))


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
