"""What holds for every preset and every reply: nothing raises, nothing is made up, nothing is unlimited unasked."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from quota_exporter.bucket_language import BucketRule
from quota_exporter.expression import Expression
from quota_exporter.functions import OwnFunctions
from quota_exporter.mapping import classify_error
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.numbers import parse_number
from quota_exporter.presets import load_preset, preset_names
from quota_exporter.quota import Bucket, Failure, Quota, Reason
from tests.unit.presets.replies import SECRETS, fixture, fixture_names, outcome_of, paths_in, preset

NAMES = preset_names()
FEW = settings(max_examples=30)  # for each of some forty presets

COMPUTED = {
    "bifrost": "an override is added to the limit",
    "deepinfra": "credit is a negative balance, and recent use is taken off",
    "kilo": "the bonus is added to the limit",
    "new-api-keys": "the limit of a key is what it used and what is left",
    "one-api": "usage is told in cents",
    "openrouter-credits": "what remains is what was bought less what was spent",
}
"""Presets whose expressions compute amounts, and why: there an amount may follow from two numbers by itself."""

ARITHMETIC = {"add", "sub", "mul", "div", "sum", "avg"}

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["", "1e400", "12", "-1", "NaN", "$1,5", "monthly", "1h", "2026-05-31T00:00:00Z", "USD", *SECRETS]
    )
    | st.sampled_from([10**400, -1, 0, 100000000, -0.000002, 1780185600, 1780185600000, 1.7e308])
)
MEMBERS = st.sampled_from(
    [
        *("data", "tokens", "cost", "limit", "used", "remaining", "usage", "limit_remaining", "limit_reset", "key"),
        *("name", "currency", "resets_at", "expires_at", "error", "message", "code", "buckets", "kind", "success"),
        *("info", "max_budget", "spend", "unlimited_quota", "total_available", "balance", "total_usage", "limits"),
    ]
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=6), max_leaves=20
)
SLIPS = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(["delete", "rename", "replace", "repeat"]), SCALARS | JSON),
    max_size=4,
)
CHOICE = st.integers(0, 10_000)


def rules_of(mapping: ReplyMapping) -> tuple[BucketRule, ...]:
    return mapping.buckets + (() if mapping.children is None else mapping.children.buckets)


def shaped(name: str, choice: int, slips: list[tuple[int, str, Any]]) -> Any:
    """One of the preset's fixtures in which some members are gone, renamed, repeated or something else."""
    names = fixture_names(name)
    body = fixture(name, names[choice % len(names)])
    return slipped(body, slips)


def slipped(body: Any, slips: list[tuple[int, str, Any]]) -> Any:
    for index, slip, value in slips:
        paths = list(paths_in(body))
        if not paths:
            return body
        *above, last = paths[index % len(paths)]
        parent = body
        for member in above:
            parent = parent[member]
        if slip == "replace":
            parent[last] = copy.deepcopy(value)
        elif slip == "repeat" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[last]))  # type: ignore[index]  # an item of a list
        elif slip == "rename" and isinstance(parent, dict):
            parent[f"{last}_renamed"] = parent.pop(last)
        else:
            del parent[last]
    return body


def quotas_in(outcome: Quota | Failure) -> Iterator[Quota]:
    if isinstance(outcome, Quota):
        yield outcome
        for child in outcome.children or ():
            yield from quotas_in(child.outcome)


def check(name: str, body: Any) -> Quota | Failure:
    """Map a reply and check what must hold for any."""
    before = copy.deepcopy(body)
    outcome = outcome_of(name, body)
    assert repr(body) == repr(before)  # NaN is not equal to itself
    assert outcome_of(name, before) == outcome
    assert not any(secret in repr(outcome) for secret in SECRETS)
    if isinstance(outcome, Failure):
        assert outcome.reason in Reason
        assert outcome.detail
    for quota in quotas_in(outcome):
        numbers = [quota.expires_at, quota.fresh_for]
        for bucket in quota.buckets:
            numbers += [bucket.limit, bucket.used, bucket.remaining, bucket.resets_at, bucket.window_seconds]
            numbers.append(bucket.remaining_ratio)
            assert bucket.limited is None or (bucket.limit is None) != bucket.limited
            if bucket.limited is False:
                assert bucket.remaining is None
        assert all(number is None or math.isfinite(number) for number in numbers)
    return outcome


@given(st.sampled_from(NAMES), JSON | st.lists(JSON, max_size=3) | st.dictionaries(MEMBERS, JSON, max_size=4))
def test_any_json_is_a_quota_or_a_failure(name: str, body: Any) -> None:
    """No reply raises, gives NaN or an infinity, shows the key or is changed; the same reply gives the same quota."""
    mapping = preset(name)
    several = len(mapping.steps) > 1
    check(name, {request.id: body for request in mapping.steps} if several else body)
    assert classify_error(mapping, body, secrets=SECRETS) == classify_error(mapping, body, secrets=SECRETS)


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(choice=CHOICE, slips=SLIPS)
def test_replies_with_slips_are_a_quota_or_a_failure(name: str, choice: int, slips: Any) -> None:
    """The same holds for replies that are nearly right, where most of a mapping is reached."""
    body = shaped(name, choice, slips)
    if len(preset(name).steps) > 1 and not isinstance(body, dict):
        return
    check(name, body)


# No number is made up


def scalars_in(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from scalars_in(item)
    else:
        yield value


def numbers_in(value: Any) -> set[float]:
    """All that could be read as a number, also after stripping signs of money."""
    found = set()
    for scalar in scalars_in(value):
        texts = (scalar, scalar.translate(str.maketrans("", "", "$%,"))) if isinstance(scalar, str) else (scalar,)
        found |= {number for text in texts if (number := parse_number(text)) is not None}
    return found


def nodes_of(node: Any) -> Iterator[Any]:
    yield node
    for child in node["children"]:
        if isinstance(child, dict):
            yield from nodes_of(child)


def amounts_of(rule: BucketRule) -> tuple[Expression, ...]:
    return tuple(amount for amount in (rule.limit, rule.used, rule.remaining) if amount is not None)


def constants_of(mapping: ReplyMapping) -> set[float]:
    """Numbers that stand in the mapping's amounts."""
    nodes = (node for rule in rules_of(mapping) for amount in amounts_of(rule) for node in nodes_of(amount.node))
    return {number for node in nodes if node["type"] == "literal" for number in numbers_in(node["value"])}


def computes(mapping: ReplyMapping) -> bool:
    nodes = (node for rule in rules_of(mapping) for amount in amounts_of(rule) for node in nodes_of(amount.node))
    return any(node["type"] == "function_expression" and node["value"] in ARITHMETIC for node in nodes)


def test_the_presets_that_compute_amounts_are_known() -> None:
    """All other presets take amounts as they stand in the reply."""
    assert OwnFunctions.FUNCTION_TABLE.keys() >= ARITHMETIC
    assert {name for name in NAMES if computes(preset(name))} == COMPUTED.keys()


def stated(mapping: ReplyMapping, body: Any) -> set[float]:
    """Amounts that may come out of a reply without deriving one from the two others."""
    constants = constants_of(mapping)
    numbers = numbers_in(body) | constants
    if mapping.name in COMPUTED:
        try:
            scaled = {number * by for number in numbers for by in constants} | {
                number / by for number in numbers for by in constants if by
            }
        except OverflowError:
            scaled = set()
        numbers |= scaled
        numbers |= {one + two for one in numbers for two in numbers} | {one - two for one in numbers for two in numbers}
    units = {1.0} | {mapping.units[rule.unit] for rule in rules_of(mapping) if rule.unit is not None}
    return {number / unit for number in numbers for unit in units}


def follows(amount: float, bucket: Bucket) -> bool:
    """Whether one amount is what the two others make it."""
    limit, used, remaining = bucket.limit, bucket.used, bucket.remaining
    others = [other for other in (limit, used, remaining) if other is not None]
    if len(others) < 3 or limit is None or used is None or remaining is None:
        return False
    near = 1e-9 * max(map(abs, others))
    expected = {limit: used + remaining, used: limit - remaining, remaining: limit - used}[amount]
    return math.isclose(amount, expected, rel_tol=1e-9, abs_tol=near)


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(choice=CHOICE, slips=SLIPS)
def test_every_amount_is_in_the_reply_or_follows_from_the_two_others(name: str, choice: int, slips: Any) -> None:
    """At most one amount of a bucket is derived; all others stand in the reply, but for the mapping's unit."""
    body = shaped(name, choice, slips)
    if len(preset(name).steps) > 1 and not isinstance(body, dict):
        return
    found = stated(preset(name), body)
    for quota in quotas_in(outcome_of(name, body)):
        for bucket in quota.buckets:
            amounts = [amount for amount in (bucket.limit, bucket.used, bucket.remaining) if amount is not None]
            derived = [amount for amount in amounts if amount not in found]
            assert len(derived) <= 1
            assert all(follows(amount, bucket) for amount in derived)


# Nothing is unlimited unless the reply says so


def says_unlimited(value: Any, sentinels: set[float]) -> bool:
    number = parse_number(value)
    if number is not None and number <= 0 and -math.inf in sentinels:
        return True
    near = number is not None and any(math.isclose(number, sentinel, rel_tol=1e-6) for sentinel in sentinels)
    return value is None or value is True or near


def purged(value: Any, sentinels: set[float]) -> Any:
    """A copy without null, true and sentinels."""
    if isinstance(value, dict):
        kept = {key: purged(item, sentinels) for key, item in value.items() if not says_unlimited(item, sentinels)}
        # without these flags most replies would be refused before their amounts are looked at
        return kept | {key: key in ("success", "status") or 0.25 for key, item in value.items() if item is True}
    if isinstance(value, list):
        return [purged(item, sentinels) for item in value if not says_unlimited(item, sentinels)]
    return value


def sentinels_of(name: str) -> set[float]:
    """The amounts that a preset takes for unlimited; minus infinity stands for 0 and all below."""
    rules = [rule.unlimited for rule in rules_of(load_preset(name)) if rule.unlimited is not None]
    found = {value for rule in rules for value in rule.values}
    none_or_less = any(rule.when is not None and rule.when.text.endswith("<= `0`") for rule in rules)
    return found | ({-math.inf} if none_or_less else set())


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(choice=CHOICE, slips=SLIPS, flag=st.sampled_from([False, "true", 1, "null", ""]))
def test_nothing_is_unlimited_unless_the_reply_says_so(name: str, choice: int, slips: Any, flag: Any) -> None:
    """Without null, true and declared amounts in a reply nothing is unlimited, whatever is missing or renamed."""
    sentinels = sentinels_of(name)
    body = purged(shaped(name, choice, []), sentinels)
    body = slipped(body, [(index, slip, flag) for index, slip, _ in slips])
    if says_unlimited(flag, sentinels) or (len(preset(name).steps) > 1 and not isinstance(body, dict)):
        return
    for quota in quotas_in(outcome_of(name, body)):
        assert not any(bucket.limited is False for bucket in quota.buckets)
