"""What holds for every mapping that ships with the package, against all replies in its fixtures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from quota_exporter.bucket_language import BucketRule
from quota_exporter.expression import Expression
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.presets import load_preset, preset_names, preset_text
from quota_exporter.quota import Bucket, Failure, Quota
from tests.unit.presets.replies import (
    FIXTURES,
    MemberPath,
    buckets_of,
    fixture,
    fixture_names,
    outcome_of,
    paths_in,
    preset,
    quota_of,
    replaced,
    without,
)

NAMES = preset_names()
REPLIES = [(name, reply) for name in NAMES for reply in fixture_names(name)]
WHOLE = [(name, reply) for name, reply in REPLIES if not reply.startswith(("error", "partial"))]
ERRORS = [(name, reply) for name, reply in REPLIES if reply.startswith("error")]

DEFAULT_CURRENCY = {"neutral": "its contract says USD where there is no currency"}
"""Presets that take money without currency for USD, and why."""

HIDES_BUCKETS = {"nanogpt": "enforceDailyLimit"}
"""The member by which a reply says that some of its amounts do not count; without it they do."""

SAYS_NONE_BY_NULL = {"litellm": "budget_id", "litellm-keys": "budget_id"}
"""The member by which a preset knows that nothing else limits a key: null says so."""

OTHER_VALUES: tuple[Any, ...] = (None, "", "abc", True, [], {})


def rules_of(mapping: ReplyMapping) -> tuple[BucketRule, ...]:
    return mapping.buckets + (() if mapping.children is None else mapping.children.buckets)


def expressions_of(value: Any) -> Iterator[Expression]:
    """Yield all expressions within a model."""
    if isinstance(value, Expression):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from expressions_of(item)
    elif hasattr(type(value), "model_fields"):
        for field in type(value).model_fields:
            yield from expressions_of(getattr(value, field))


def nodes_of(node: Any) -> Iterator[Any]:
    yield node
    for child in node["children"]:
        if isinstance(child, dict):
            yield from nodes_of(child)


def amounts(bucket: Bucket) -> tuple[float | None, float | None, float | None]:
    return bucket.limit, bucket.used, bucket.remaining


def is_same_or_gone(bucket: Bucket, whole: Bucket) -> bool:
    """Whether each amount is the whole reply's, absent, or what two of the whole reply's make together."""
    limit, used, remaining = amounts(whole)
    derived = (
        None if used is None or remaining is None else used + remaining,
        None if limit is None or remaining is None else limit - remaining,
        None if limit is None or used is None else limit - used,
    )
    return all(
        value is None or value == expected or (other is not None and math.isclose(value, other, abs_tol=1e-9))
        for value, expected, other in zip(amounts(bucket), amounts(whole), derived, strict=True)
    )


def test_the_presets_are_the_files_and_no_others() -> None:
    """Each preset is a file that is named like it, has fixtures, and no other can be loaded."""
    assert set(NAMES) == {path.name for path in FIXTURES.iterdir()}
    assert [load_preset(name).name for name in NAMES] == list(NAMES)
    for name in ("", "other", "../neutral", "neutral.yaml"):
        with pytest.raises(KeyError):
            load_preset(name)


@pytest.mark.parametrize("name", NAMES)
def test_each_preset_says_what_it_is(name: str) -> None:
    """A preset tells people what it reads, on which source and how surely it rests, and what to configure."""
    mapping = preset(name)
    assert mapping.about is not None
    assert 60 <= len(mapping.description) <= 1000
    assert mapping.description.endswith(".")
    for text in (mapping.about.title, mapping.about.source, mapping.about.base_url, mapping.about.key):
        assert text.strip() == text != ""
    assert mapping.about.base_url.startswith(("https://", "http://localhost"))
    assert not mapping.about.base_url.endswith("/")


@pytest.mark.parametrize("name", NAMES)
def test_no_preset_changes_anything(name: str) -> None:
    """A preset reads, with GET alone."""
    assert {request.method for request in preset(name).steps} == {"GET"}


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_for_many_keys_is_asked_at_most_once_a_minute(name: str) -> None:
    """A list of keys is costly for a gateway, so a preset with children sets a least interval."""
    mapping = preset(name)
    assert mapping.children is None or mapping.min_interval >= 60


@pytest.mark.parametrize("name", NAMES)
def test_no_condition_asks_for_a_member_of_its_own_negation(name: str) -> None:
    """JMESPath reads !a.b as (!a).b, which is always null: presets write !(a.b)."""
    for expression in expressions_of(preset(name)):
        for node in nodes_of(expression.node):
            is_path = node["type"] == "subexpression"
            assert not (is_path and node["children"][0]["type"] == "not_expression"), expression.text


@pytest.mark.parametrize("name", NAMES)
def test_each_preset_has_the_replies_that_prove_it(name: str) -> None:
    """A preset is tested with a full reply, one with nothing left, one overspent, an error and an unlimited one."""
    replies = set(fixture_names(name))
    assert {"full", "exhausted", "overspent", "error"} <= replies
    assert ("unlimited" in replies) == any(rule.unlimited is not None for rule in rules_of(preset(name)))
    left = [bucket.remaining for bucket in buckets_of(quota_of(name, fixture(name, "exhausted"))).values()]
    assert 0 in left
    overspent = buckets_of(quota_of(name, fixture(name, "overspent"))).values()
    assert min(bucket.remaining for bucket in overspent if bucket.remaining is not None) < 0
    if "unlimited" in replies:
        buckets = buckets_of(quota_of(name, fixture(name, "unlimited"))).values()
        unlimited = [bucket for bucket in buckets if bucket.limited is False]
        assert unlimited
        assert all((bucket.limit, bucket.remaining) == (None, None) for bucket in unlimited)


@pytest.mark.parametrize(("name", "reply"), WHOLE)
def test_a_whole_reply_drops_nothing(name: str, reply: str) -> None:
    """A reply with everything in it counts no problem, neither do the keys that it lists."""
    quota = quota_of(name, fixture(name, reply))
    assert quota.dropped == ()
    assert [child for child in quota.children or () if child.outcome.dropped] == []


@pytest.mark.parametrize(("name", "reply"), ERRORS)
def test_an_error_is_a_failure(name: str, reply: str) -> None:
    """An error envelope with HTTP status 200 is a failure, never a quota of zeros."""
    outcome = outcome_of(name, fixture(name, reply))
    assert isinstance(outcome, Failure)


@pytest.mark.parametrize(("name", "reply"), WHOLE)
def test_a_missing_member_never_reads_as_unlimited_or_as_another_number(name: str, reply: str) -> None:
    """When a gateway renames a member, its value is gone or derived rightly; no other value changes."""
    body = fixture(name, reply)
    whole = buckets_of(quota_of(name, body))
    for path in paths_in(body):
        if path[-1] == HIDES_BUCKETS.get(name):
            continue
        for key, bucket in buckets_of(outcome_of(name, without(body, path))).items():
            # without what names it, a bucket may have another name
            expected = [whole[key]] if key in whole else list(whole.values())
            assert any(is_same_or_gone(bucket, one) for one in expected), (path, bucket)
            by_default = name in DEFAULT_CURRENCY and path[-1] == "currency"
            assert by_default or bucket.currency in {one.currency for one in expected}, (path, bucket)
            assert bucket.limited is not False or any(one.limited is False for one in expected), (path, bucket)


@pytest.mark.parametrize(
    ("name", "reply"), [(name, reply) for name, reply in REPLIES if reply in ("full", "unlimited")]
)
def test_odd_values_never_make_up_numbers_or_read_as_unlimited(name: str, reply: str) -> None:
    """Whatever stands in a member's place, nothing raises, each number is finite, and null alone may mean no limit."""
    body = fixture(name, reply)
    whole = buckets_of(quota_of(name, body))
    for path in paths_in(body):
        for value in OTHER_VALUES:
            outcome = outcome_of(name, replaced(body, path, value))
            for key, bucket in buckets_of(outcome).items():
                assert all(number is None or math.isfinite(number) for number in amounts(bucket))
                # another name may make it another bucket
                expected = [whole[key]] if key in whole else list(whole.values())
                was_unlimited = any(one.limited is False for one in expected)
                assert bucket.limited is not False or was_unlimited or may_mean_unlimited(name, path, value), path


def may_mean_unlimited(name: str, path: MemberPath, value: Any) -> bool:
    """Whether a rule takes this value of this member for unlimited: null for a limit, true for a flag."""
    if value is None and path[-1] == SAYS_NONE_BY_NULL.get(name):
        return True
    for rule in rules_of(preset(name)):
        if rule.unlimited is None:
            continue
        if value is None and rule.unlimited.null_limit and rule.limit is not None and rule.limit.path:
            if path[-1] == rule.limit.path[-1]:
                return True
        elif value is True and rule.unlimited.when is not None and str(path[-1]) in rule.unlimited.when.text:
            return True
    return False


@pytest.mark.parametrize(("name", "reply"), REPLIES)
def test_nothing_private_of_a_reply_is_shown(name: str, reply: str) -> None:
    """Keys, masked keys, hashes and e-mail addresses in a reply reach neither names nor messages."""
    body = fixture(name, reply)
    shown = repr(outcome_of(name, body))
    for text in re.findall(r'"((?:[^"\\]|\\.)*)"', json.dumps(body, ensure_ascii=False)):
        if re.search(r"\S@\S|\bsk-\S|[0-9a-f]{32}|\*\*\*", text):
            assert text not in shown


@pytest.mark.parametrize("name", NAMES)
def test_outcomes_do_not_depend_on_anything_but_the_reply(name: str) -> None:
    """The same reply gives the same quota, and mapping does not change the reply."""
    body = fixture(name, "full")
    first = outcome_of(name, body)
    assert body == fixture(name, "full")
    assert outcome_of(name, body) == first
    assert isinstance(first, Quota)


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_plain_text(name: str) -> None:
    """A preset file ends with a newline and holds no tabs or trailing spaces."""
    text = preset_text(name)
    assert text.endswith("\n")
    assert "\t" not in text
    assert not re.search(r" $", text, re.MULTILINE)
