"""Bucket rules: unlimited in its forms, lists and maps of buckets, names, kinds, units, caps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quota_exporter.document import parse_yaml
from quota_exporter.mapping import map_reply
from quota_exporter.mapping_language import load_mapping
from quota_exporter.quota import Bucket, Dropped, Failure, Kind, Problem, Quota
from quota_exporter.reader import MAX_ITEMS

NOW = 1779000000.0  # 2026-05-17 06:40:00 UTC, a Sunday
KEY = "sk-canary-4f9a1c7be2d84c55a0e3"
HASH = "8232bfd695b81de138e6684a07ce0f8c35ff5b06bfadbe433248a0f554315866"

KEEP = "{kind: requests, name: keep, used: keep}"


def read(rules: str, body: Any, more: str = "", max_buckets: int = 20) -> Quota | Failure:
    mapping = load_mapping(parse_yaml(f"name: m\n{more}\nbuckets: [{rules}]", Path("m.yaml")))
    return map_reply(mapping, body, http_status=200, secrets=(KEY,), now=NOW, max_buckets=max_buckets)


def quota_of(rules: str, body: Any, more: str = "", max_buckets: int = 20) -> Quota:
    outcome = read(rules, body, more, max_buckets)
    assert isinstance(outcome, Quota)
    return outcome


def amounts_of(rules: str, body: Any) -> tuple[tuple[float | None, float | None, float | None, bool | None], int]:
    quota = quota_of(rules, body)
    (bucket,) = quota.buckets
    return (bucket.limit, bucket.used, bucket.remaining, bucket.limited), sum(drop.count for drop in quota.dropped)


# Unlimited


@pytest.mark.parametrize(
    ("reply", "amounts", "dropped"),
    [
        ({"limit": None, "used": 3, "left": 9}, (None, 3, None, False), 0),
        ({"limit": 10, "used": 3, "left": 7}, (10, 3, 7, True), 0),
        ({"used": 3, "left": 7}, (10, 3, 7, None), 1),
        ({"limit": "null", "used": 3, "left": 7}, (None, 3, 7, None), 1),
        ({"limit": -1, "used": 3, "left": 7}, (-1, 3, 7, True), 0),
    ],
)
def test_a_null_limit_is_unlimited(reply: Any, amounts: Any, dropped: int) -> None:
    """Only a member that is there and null says unlimited; what was used stays."""
    rule = "{kind: tokens, limit: limit, unlimited: null_limit, used: used, remaining: left}"
    assert amounts_of(rule, reply) == (amounts, dropped)


@pytest.mark.parametrize(
    ("limit", "limited"),
    [
        (100000000, False),
        (100000000.0, False),
        ("100000000", False),
        (-1, False),
        (100000000.05, False),  # within a billionth
        (100000001, True),
        (99999999, True),
        (-1.001, True),
        (0, True),
        (None, None),
        ("many", None),
    ],
)
def test_a_sentinel_is_unlimited(limit: Any, *, limited: bool | None) -> None:
    """Amounts that the mapping names mean unlimited, give or take a rounding; null and text do not."""
    rule = "{kind: tokens, limit: limit, unlimited: {values: [100000000, -1]}, used: used}"
    (found, used, _, was), _ = amounts_of(rule, {"limit": limit, "used": 3})
    assert (was, used) == (limited, 3)
    assert (found is None) == (limited is not True)


@pytest.mark.parametrize(("limit", "limited"), [(1e8, False), (1.01e8, False), (0.99e8, False), (1.02e8, True)])
def test_a_sentinels_tolerance_is_a_share_of_it(limit: float, *, limited: bool) -> None:
    """A gateway that converts its sentinel into another currency is still understood."""
    rule = "{kind: tokens, limit: limit, unlimited: {values: [100000000], tolerance: 0.01}, used: used}"
    assert amounts_of(rule, {"limit": limit, "used": 3})[0][3] is limited


def test_a_sentinel_of_0_takes_0_alone() -> None:
    """A share of 0 is 0: no small amount is mistaken for it."""
    rule = "{kind: tokens, limit: limit, unlimited: {values: [0], tolerance: 0.1}, used: used}"
    assert amounts_of(rule, {"limit": 0, "used": 3})[0] == (None, 3, None, False)
    assert amounts_of(rule, {"limit": 0.001, "used": 0})[0] == (0.001, 0, 0.001, True)


def test_a_sentinel_may_stand_in_another_amount() -> None:
    """`of` says which amount is compared; a sentinel in what remains takes the limit along."""
    rule = "{kind: tokens, limit: limit, unlimited: {values: [-1], of: remaining}, used: used, remaining: left}"
    assert amounts_of(rule, {"limit": 10, "used": 3, "left": -1})[0] == (None, 3, None, False)
    assert amounts_of(rule, {"limit": -1, "used": 3, "left": 7})[0] == (-1, 3, 7, True)
    used = "{kind: tokens, unlimited: {values: [-1], of: used}, used: used, remaining: left}"
    assert amounts_of(used, {"used": 3, "left": 4})[0] == (7, 3, 4, None)


@pytest.mark.parametrize(
    ("flag", "amounts", "dropped"),
    [
        ({"flag": True}, (None, 3, None, False), 0),
        ({"flag": False}, (10, 3, 7, True), 0),
        ({}, (10, 3, 7, None), 1),
        ({"flag": None}, (10, 3, 7, None), 1),
        ({"flag": "true"}, (10, 3, 7, None), 1),
        ({"flag": 1}, (10, 3, 7, None), 1),
        ({"flag": 0}, (10, 3, 7, None), 1),
        ({"flag": []}, (10, 3, 7, None), 1),
        ({"flag": {}}, (10, 3, 7, None), 1),
    ],
)
def test_a_flag_is_unlimited_when_it_is_true_itself(flag: Any, amounts: Any, dropped: int) -> None:
    """A flag that is missing or no boolean is counted and says neither; the amounts stay."""
    rule = "{kind: tokens, limit: limit, unlimited: flag, used: used, remaining: left}"
    assert amounts_of(rule, {"limit": 10, "used": 3, "left": 7, **flag}) == (amounts, dropped)


def test_a_flag_that_cannot_be_evaluated_says_nothing() -> None:
    """An expression that breaks is counted under `unlimited`."""
    quota = quota_of("{kind: tokens, unlimited: abs(flag) == `1`, limit: l}", {"flag": "x", "l": 5})
    assert (quota.buckets[0].limit, quota.buckets[0].limited) == (5, None)
    assert quota.dropped == (Dropped(Problem.UNRESOLVED, "buckets[0].unlimited (abs(flag) == `1`)"),)


def test_one_form_of_several_is_enough() -> None:
    """null_limit, a sentinel and a flag stand side by side; the flag is not asked when another form holds."""
    rule = "{kind: tokens, limit: l, unlimited: {null_limit: true, values: [-1], when: flag}, used: u}"
    assert amounts_of(rule, {"l": None, "u": 1})[0] == (None, 1, None, False)
    assert amounts_of(rule, {"l": -1, "u": 1})[0] == (None, 1, None, False)
    assert amounts_of(rule, {"l": 5, "u": 1, "flag": True})[0] == (None, 1, None, False)
    assert amounts_of(rule, {"l": 5, "u": 1, "flag": False})[0] == (5, 1, 4, True)


def test_an_unlimited_bucket_without_any_amount_is_shown() -> None:
    """That no limit applies is worth a bucket of its own; a bucket that says nothing is none."""
    rule = "{kind: tokens, unlimited: flag, used: used}"
    assert quota_of(rule, {"flag": True}).buckets == (Bucket(Kind.TOKENS, "default", limited=False),)
    assert isinstance(read(rule, {"flag": False}), Failure)


# Lists and maps


def test_a_list_becomes_buckets() -> None:
    """Each item is seen as `@`; the order is that of the reply."""
    rule = "{each: data.list, kind: tokens, name_from: name, limit: limit, used: used}"
    body = {"data": {"list": [{"name": "b", "limit": 10, "used": 1}, {"name": "a", "limit": 20, "used": 2}]}}
    assert quota_of(rule, body).buckets == (
        Bucket(Kind.TOKENS, "b", None, 10, 1, 9, limited=True),
        Bucket(Kind.TOKENS, "a", None, 20, 2, 18, limited=True),
    )


def test_a_map_becomes_buckets() -> None:
    """The members of a map are objects with `key` and `value`."""
    rule = "{each: models, kind: tokens, name: model, name_from: key, used: value.spent}"
    quota = quota_of(rule, {"models": {"gpt-x": {"spent": 1}, "o9": {"spent": 2}}})
    assert [(bucket.name, bucket.used) for bucket in quota.buckets] == [("model gpt-x", 1), ("model o9", 2)]


@pytest.mark.parametrize("body", [{"list": None}, {"list": []}, {"list": {}}])
def test_nothing_to_go_through_is_no_problem(body: Any) -> None:
    """A list that is null or empty has no buckets; the others stand."""
    quota = quota_of(f"{{each: list, kind: tokens, name_from: n, used: u}}, {KEEP}", {"keep": 1, **body})
    assert ([bucket.name for bucket in quota.buckets], quota.dropped) == (["keep"], ())


@pytest.mark.parametrize("body", [{}, {"list": 5}, {"list": "text"}, {"list": True}])
def test_a_list_that_is_missing_or_none_is_counted(body: Any) -> None:
    """A list that was renamed must be seen; it costs nothing else."""
    quota = quota_of(f"{{each: list, kind: tokens, name_from: n, used: u}}, {KEEP}", {"keep": 1, **body})
    assert [bucket.name for bucket in quota.buckets] == ["keep"]
    assert quota.dropped == (Dropped(Problem.UNRESOLVED, "buckets[0].each (list)"),)


def test_a_condition_sees_the_item_and_the_document() -> None:
    """`where` chooses among the items, and may compare them with the rest of the reply."""
    rule = "{each: list, where: id == root().me, kind: tokens, name_from: name, used: used}"
    body = {"me": 2, "list": [{"id": 1, "name": "a", "used": 1}, {"id": 2, "name": "b", "used": 2}]}
    quota = quota_of(rule, body)
    assert ([bucket.name for bucket in quota.buckets], quota.dropped) == (["b"], ())


def test_items_of_any_type_cost_only_themselves() -> None:
    """An item that is no object has no name, and the other items stay."""
    rule = "{each: list, kind: tokens, name_from: name, used: used}"
    body: Any = {"list": [None, 5, "text", [], {}, {"name": "a", "used": 1}, {"name": "b"}]}
    quota = quota_of(rule, body)
    assert [bucket.name for bucket in quota.buckets] == ["a"]
    assert quota.dropped == (
        Dropped(Problem.UNRESOLVED, "buckets[0].name_from (name)", 5),
        Dropped(Problem.UNRESOLVED, "buckets[0].used (used)", 1),
    )


@pytest.mark.parametrize(
    "name",
    [KEY, "sk-...IAAw", "someone@example.org", HASH, "https://a.example/x", "", " ", None, True, 1.5, [], {}, KEY[:12]],
)
def test_a_name_that_may_not_be_shown_drops_its_bucket(name: Any) -> None:
    """A bucket named by a key, a hash, an address or nothing is counted once, and not shown under another name."""
    rule = "{each: list, kind: tokens, name: budget, name_from: name, used: used}"
    quota = quota_of(f"{rule}, {KEEP}", {"list": [{"name": name, "used": 1}], "keep": 1})
    assert [bucket.name for bucket in quota.buckets] == ["keep"]
    assert quota.dropped == (Dropped(Problem.UNRESOLVED, "buckets[0].name_from (name)"),)
    assert KEY not in repr(quota)


def test_a_name_that_fails_is_counted_once() -> None:
    """One name that cannot be told is one problem."""
    rule = "{each: list, kind: tokens, name_from: \"join(' ', [a, b])\", used: used}"
    quota = quota_of(f"{rule}, {KEEP}", {"list": [{"a": "x", "used": 1}], "keep": 1})
    assert quota.dropped == (Dropped(Problem.UNRESOLVED, "buckets[0].name_from (join(' ', [a, b]))"),)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("gpt-4.1", "x gpt-4.1"), (30, "x 30"), (" a\x00 \u202eb ", "x a b"), ("y" * 100, ("x " + "y" * 62))],
)
def test_names_are_cleaned_and_cut(name: Any, shown: str) -> None:
    """A name is a label: visible text of at most 64 characters, the mapping's word first."""
    quota = quota_of("{each: list, kind: tokens, name: x, name_from: n, used: u}", {"list": [{"n": name, "u": 1}]})
    assert [bucket.name for bucket in quota.buckets] == [shown]


def test_the_reply_may_say_the_kind() -> None:
    """A kind that is none of ours drops its bucket, counted once; only money has a currency."""
    rule = "{each: list, kind_from: kind, name_from: n, currency: USD, currency_from: cur, used: u}"
    kinds = ["tokens", "cost", "credits", "requests", "Tokens", "", None, 5, ["cost"]]
    body = {"list": [{"kind": kind, "n": f"b{number}", "u": 1, "cur": "EUR"} for number, kind in enumerate(kinds)]}
    quota = quota_of(rule, body)
    assert [(bucket.kind, bucket.name, bucket.currency) for bucket in quota.buckets] == [
        (Kind.TOKENS, "b0", None),
        (Kind.COST, "b1", "EUR"),
        (Kind.CREDITS, "b2", None),
        (Kind.REQUESTS, "b3", None),
    ]
    assert quota.dropped == (Dropped(Problem.UNRESOLVED, "buckets[0].kind_from (kind)", 5),)


def test_a_kind_that_fails_is_counted_once() -> None:
    """One kind that cannot be told is one problem."""
    rule = "{kind_from: \"join('', [a, b])\", currency: USD, used: u}"
    quota = quota_of(f"{rule}, {KEEP}", {"u": 1, "keep": 1})
    assert quota.dropped == (Dropped(Problem.UNRESOLVED, "buckets[0].kind_from (join('', [a, b]))"),)


def test_the_first_of_duplicates_wins_across_rules_and_items() -> None:
    """Kind and name are unique in a reply; each further one is counted."""
    rule = "{each: list, kind: tokens, name_from: n, used: u}"
    body = {"list": [{"n": "a", "u": 1}, {"n": "a", "u": 2}, {"n": " a ", "u": 3}, {"n": "b", "u": 4}], "t": 5}
    quota = quota_of(f"{rule}, {{kind: tokens, name: b, used: t}}, {{kind: credits, name: b, used: t}}", body)
    assert [(bucket.kind, bucket.name, bucket.used) for bucket in quota.buckets] == [
        (Kind.TOKENS, "a", 1),
        (Kind.TOKENS, "b", 4),
        (Kind.CREDITS, "b", 5),
    ]
    assert quota.dropped == (
        Dropped(Problem.DUPLICATE, "buckets[0]", 2),
        Dropped(Problem.DUPLICATE, "buckets[1]", 1),
    )


def test_too_many_buckets_are_counted() -> None:
    """The first `max_buckets` are shown."""
    rule = "{each: list, kind: tokens, name_from: n, used: u}"
    quota = quota_of(rule, {"list": [{"n": f"b{number}", "u": 1} for number in range(30)]}, max_buckets=4)
    assert [bucket.name for bucket in quota.buckets] == ["b0", "b1", "b2", "b3"]
    assert quota.dropped == (Dropped(Problem.TOO_MANY, "buckets[0]", 26),)


def test_too_many_items_are_counted_without_being_looked_at() -> None:
    """Of a very long list the first items are looked at, and the rest is counted."""
    rule = "{each: list, where: on, kind: tokens, name_from: n, used: u}"
    items = [{"n": f"b{number}", "u": 1, "on": number == MAX_ITEMS - 1} for number in range(MAX_ITEMS)]
    quota = quota_of(rule, {"list": [*items, *({"n": "late", "u": 1, "on": True} for _ in range(5))]})
    assert [bucket.name for bucket in quota.buckets] == [f"b{MAX_ITEMS - 1}"]
    assert quota.dropped == (Dropped(Problem.TOO_MANY, "buckets[0].each", 5),)


# Units and times


def test_amounts_in_units_are_divided() -> None:
    """So many units of the reply are one; without `unit` amounts stay as they are."""
    rule = "{kind: cost, currency: USD, unit: cent, limit: l, used: u}, {kind: credits, used: u}"
    quota = quota_of(rule, {"l": 1050, "u": "50"}, "units: {cent: 100}")
    assert quota.buckets[0] == Bucket(Kind.COST, "default", "USD", 10.5, 0.5, 10.0, limited=True)
    assert quota.buckets[1].used == 50


def test_a_sentinel_is_compared_before_units() -> None:
    """A sentinel is what the reply holds, not what it is worth."""
    rule = "{kind: cost, currency: USD, unit: cent, limit: l, unlimited: {values: [-1]}, used: u}"
    assert quota_of(rule, {"l": -1, "u": 5}, "units: {cent: 100}").buckets[0].limited is False
    assert quota_of(rule, {"l": -100, "u": 5}, "units: {cent: 100}").buckets[0].limit == -1


def test_an_amount_too_large_in_its_unit_is_absent() -> None:
    """A unit much smaller than one cannot make an infinity."""
    quota = quota_of("{kind: credits, unit: k, limit: l, used: u}", {"l": 1e308, "u": 1}, "units: {k: 0.001}")
    assert (quota.buckets[0].limit, quota.buckets[0].used, quota.buckets[0].remaining) == (None, 1000, None)


@pytest.mark.parametrize(
    ("form", "value", "at"),
    [
        ("", 1780185600123, 1780185600.123),
        ("unix", 1780185600, 1780185600),
        ("unix_ms", 5000, 5),
        ("in_s", 60, NOW + 60),
        ("in_ms", 60000, NOW + 60),
        ("rfc3339", "2026-05-31T00:00:00Z", 1780185600),
        ("in_s", 0, None),
        ("unix", -1, None),
    ],
)
def test_a_bucket_says_how_its_reset_is_written(form: str, value: Any, at: float | None) -> None:
    """With `time_format` nothing is guessed; 0 and -1 are never."""
    text = f", time_format: {form}" if form else ""
    quota = quota_of(f"{{kind: tokens, used: u, resets_at: at{text}}}", {"u": 1, "at": value})
    assert (quota.buckets[0].resets_at, quota.dropped) == (at, ())


def test_a_time_in_another_form_is_counted() -> None:
    """A number where text is due is no time."""
    quota = quota_of("{kind: tokens, used: u, resets_at: at, time_format: rfc3339}", {"u": 1, "at": 1780185600})
    assert quota.dropped == (Dropped(Problem.BAD_TIME, "buckets[0].resets_at (at)"),)


def test_an_amount_too_large_in_its_unit_is_counted() -> None:
    """What no float can hold once it is divided is dropped and counted, like anything that is no number."""
    quota = quota_of("{kind: tokens, unit: k, limit: a, used: b}", {"a": 1e308, "b": 3}, more="units: {k: 0.001}")
    assert (quota.buckets[0].limit, quota.buckets[0].used) == (None, 3000)
    assert Dropped(Problem.NOT_A_NUMBER, "buckets[0].limit") in quota.dropped
