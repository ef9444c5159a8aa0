"""What a reply must hold to keep the neutral contract, and how each point is told."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator

from quota_exporter.contract import check_document, contract_schema, error_problem
from quota_exporter.contract_values import Finding, Verdict

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
KEY = "sk-canary-4f9a1c7be2d84c55a0e3"
FULL: dict[str, Any] = {
    "key": "course",
    "expires_at": "2026-06-30T22:00:00Z",
    "tokens": {"limit": 100, "used": 25, "remaining": 75, "resets_at": "2026-02-01T00:00:00+01:00"},
    "cost": {"currency": "EUR", "limit": 5.0, "used": 0.42, "remaining": 4.58},
    "buckets": [{"kind": "requests", "name": "a minute", "limit": 60, "used": 12, "window_seconds": 60}],
}
BUCKET = {"kind": "credits", "limit": 10, "used": 1}


def check(document: Any) -> list[Finding]:
    return list(check_document(document, key=KEY, now=NOW))


def points(document: Any, verdict: Verdict) -> list[str]:
    return [finding.point for finding in check(document) if finding.verdict is verdict]


def detail(document: Any, point: str) -> str:
    (text,) = [finding.detail for finding in check(document) if finding.point == point]
    return text


def changed(path: str, value: Any) -> dict[str, Any]:
    """The full reply with another value at `tokens.limit` or `buckets.0.kind`."""
    document = copy.deepcopy(FULL)
    *owners, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    owner: Any = document
    for part in owners:
        owner = owner[part]
    owner[last] = value
    return document


def is_valid(document: Any) -> bool:
    return Draft202012Validator(contract_schema()).is_valid(document)


def test_a_full_reply_conforms_in_every_point() -> None:
    """A reply with every member is told point by point, with no violation and no warning."""
    findings = check(FULL)
    assert {finding.verdict for finding in findings} <= {Verdict.OK, Verdict.SKIPPED}
    told = {finding.point for finding in findings if finding.verdict is Verdict.OK}
    assert told >= {
        "key",
        "expires_at",
        "tokens.limit",
        "tokens.resets_at",
        "cost.currency",
        "buckets[0].window_seconds",
    }
    assert is_valid(FULL)


def test_the_schema_is_a_schema() -> None:
    """The published schema is valid JSON Schema of draft 2020-12."""
    Draft202012Validator.check_schema(contract_schema())


@pytest.mark.parametrize(
    ("path", "value", "point"),
    [
        ("tokens.limit", True, "tokens.limit"),
        ("tokens.limit", -1, "tokens.limit"),
        ("tokens.limit", "unlimited", "tokens.limit"),
        ("tokens.used", [], "tokens.used"),
        ("cost.remaining", {}, "cost.remaining"),
        ("tokens", 5, "tokens"),
        ("tokens", {}, "tokens"),
        ("cost.currency", "usd", "cost.currency"),
        ("cost.currency", 5, "cost.currency"),
        ("tokens.resets_at", 1_780_000_000, "tokens.resets_at"),
        ("tokens.resets_at", "2026-02-01T00:00:00", "tokens.resets_at"),
        ("tokens.resets_at", "tomorrow", "tokens.resets_at"),
        ("expires_at", "2026-06-30", "expires_at"),
        ("expires_at", False, "expires_at"),
        ("key", ["course"], "key"),
        ("buckets", {}, "buckets"),
        ("buckets.0", "tokens", "buckets[0]"),
        ("buckets.0.kind", "dollars", "buckets[0].kind"),
        ("buckets.0.kind", ["cost"], "buckets[0].kind"),
        ("buckets.0.name", 1.5, "buckets[0].name"),
        ("buckets.0.window_seconds", 0, "buckets[0].window_seconds"),
        ("buckets.0.window_seconds", "1h", "buckets[0].window_seconds"),
        ("error", "no such key", "error"),
    ],
)
def test_a_wrong_value_is_a_violation(path: str, value: Any, point: str) -> None:
    """A member of a wrong type or out of its bounds breaks the contract, and the schema refuses it too."""
    document = changed(path, value)
    assert point in points(document, Verdict.VIOLATION)
    assert not is_valid(document)


@pytest.mark.parametrize(
    ("path", "value", "point"),
    [
        ("tokens.resets_at", "2026-02-30T00:00:00Z", "tokens.resets_at"),
        ("tokens.resets_at", "2026-02-01T25:00:00Z", "tokens.resets_at"),
        ("key", KEY, "key"),
        ("key", f"****{KEY[-6:]}", "key"),
        ("key", "someone@example.edu", "key"),
        ("buckets.0.name", KEY[:12], "buckets[0].name"),
        ("tokens.limit", float("inf"), "tokens.limit"),
    ],
)
def test_what_no_schema_sees_is_a_violation_too(path: str, value: Any, point: str) -> None:
    """Times that do not exist, names that show a key and numbers past a double break the contract."""
    assert point in points(changed(path, value), Verdict.VIOLATION)


@pytest.mark.parametrize(
    ("path", "value", "point"),
    [
        ("tokens.used", "25", "tokens.used"),
        ("tokens.used", None, "tokens.used"),
        ("tokens.remaining", None, "tokens.remaining"),
        ("cost.currency", None, "cost.currency"),
        ("tokens.resets_at", None, "tokens.resets_at"),
        ("tokens", None, "tokens"),
        ("buckets", None, "buckets"),
        ("key", None, "key"),
        ("key", 318, "key"),
        ("key", " ", "key"),
        ("key", "n" * 65, "key"),
        ("buckets.0.window_seconds", "60", "buckets[0].window_seconds"),
        ("buckets.0.window_seconds", None, "buckets[0].window_seconds"),
    ],
)
def test_what_clients_still_read_is_a_warning(path: str, value: Any, point: str) -> None:
    """What the exporter understands although the schema refuses it is warned of, not refused."""
    document = changed(path, value)
    assert point in points(document, Verdict.WARNING)
    assert points(document, Verdict.VIOLATION) == []


@pytest.mark.parametrize(
    ("document", "point"),
    [
        ({"tokens": {"limit": 100, "used": 25, "remaining": 60}}, "tokens: used + remaining = limit"),
        ({"tokens": {"remaining": 60}}, "tokens.limit"),
        ({"tokens": {"limit": 100}}, "tokens.remaining"),
        ({"tokens": {"limit": None, "used": 1, "remaining": 9}}, "tokens.remaining"),
        (
            {"buckets": [BUCKET], "tokens": {"limit": 1, "used": 1, "resets_at": "2025-12-31T23:59:59Z"}},
            "tokens.resets_at",
        ),
        ({"buckets": [BUCKET], "expires_at": "2025-01-01T00:00:00Z"}, "expires_at"),
        ({"buckets": [BUCKET | {"currency": "USD"}]}, "buckets[0].currency"),
        ({"buckets": [BUCKET | {"name": f"b{number}"} for number in range(21)]}, "buckets"),
        ({"tokens": {"limit": 1, "used": 1}, "buckets": []}, "buckets"),
    ],
)
def test_what_is_odd_is_a_warning(document: Any, point: str) -> None:
    """A valid reply that contradicts itself, or tells less than it could, is warned of."""
    assert point in points(document, Verdict.WARNING)
    assert points(document, Verdict.VIOLATION) == []
    assert is_valid(document)


@pytest.mark.parametrize("document", [{}, {"key": "course"}, {"tokens": None}, {"buckets": []}])
def test_a_reply_without_any_quota_is_a_violation(document: Any) -> None:
    """There must be something in tokens, cost or buckets."""
    assert points(document, Verdict.VIOLATION) == ["quota"]
    assert not is_valid(document)


@pytest.mark.parametrize("document", [[], "text", 5, True, None])
def test_what_is_no_object_is_told_as_that(document: Any) -> None:
    """A reply that is no object has one finding."""
    assert points(document, Verdict.VIOLATION) == ["reply"]
    assert not is_valid(document)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"tokens": {"limit": 1, "used": 1}}, {"kind": "tokens"}),
        ({"cost": {"limit": 1, "used": 1}}, {"kind": "cost", "name": "default"}),
        ({"buckets": [BUCKET | {"name": "team"}]}, {"kind": "credits", "name": " team "}),
    ],
)
def test_a_bucket_given_twice_is_a_violation(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Kind and name together are unique, those of tokens and cost being named default."""
    document = {**first, "buckets": [*first.get("buckets", []), {"limit": 1, "used": 1, **second}]}
    assert points(document, Verdict.VIOLATION) == [f"buckets[{len(document['buckets']) - 1}]"]


def test_one_name_may_stand_for_two_kinds() -> None:
    """Buckets of two kinds may share their name."""
    buckets = [BUCKET | {"name": "team"}, BUCKET | {"name": "team", "kind": "requests"}]
    assert points({"buckets": buckets}, Verdict.VIOLATION) == []


@pytest.mark.parametrize(
    ("path", "hint"),
    [("tokens.reset_at", "`resets_at`"), ("buckets.0.windowSeconds", "`window_seconds`"), ("token", "`tokens`")],
)
def test_a_misspelt_member_is_named_with_its_neighbour(path: str, hint: str) -> None:
    """An unknown member is warned of, with the known name that is nearest; the schema lets it pass."""
    document = changed(path, 1)
    point = path.replace(".0", "[0]")
    assert point in points(document, Verdict.WARNING)
    assert hint in detail(document, point)
    assert is_valid(document)


def test_unknown_members_are_not_told_without_end() -> None:
    """Of many unknown members some are named, the others counted."""
    document = FULL | {f"extra{number}": 1 for number in range(100)}
    assert len(points(document, Verdict.WARNING)) == 6
    assert detail(document, "unknown members").startswith("95 ")


def test_rounding_is_no_contradiction() -> None:
    """Amounts that add up to the limit but for a cent agree."""
    document = {"cost": {"limit": 5, "used": 0.424, "remaining": 4.57}}
    assert points(document, Verdict.WARNING) == []


def test_an_overspent_amount_conforms() -> None:
    """What is left may be below zero."""
    document = {"cost": {"limit": 5, "used": 6, "remaining": -1}}
    assert points(document, Verdict.WARNING) == []
    assert points(document, Verdict.VIOLATION) == []


@pytest.mark.parametrize(
    ("document", "conforms"),
    [
        ({"error": {"message": "no"}}, True),
        ({"error": {"message": "no", "code": "key_expired", "more": 1}}, True),
        ({"error": {"message": "no", "code": 401}}, False),
        ({"error": {"code": "key_expired"}}, False),
        ({"error": "no"}, False),
        ({"detail": "no"}, False),
        ([], False),
        (None, False),
    ],
)
def test_error_replies_are_judged_as_the_schema_does(document: Any, *, conforms: bool) -> None:
    """An error is an object with a message and maybe a code, both text: so say the check and the schema."""
    schema = contract_schema()
    validator = Draft202012Validator({"$defs": schema["$defs"], "$ref": "#/$defs/error"})
    assert (error_problem(document) is None) is conforms
    assert validator.is_valid(document) is conforms


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=40),
    st.sampled_from([KEY, "2026-02-01T00:00:00Z", "cost", "EUR"]),
)
_NAMES = st.one_of(
    st.sampled_from([*FULL, *FULL["cost"], *FULL["buckets"][0], "resets_at", "error", KEY]), st.text(max_size=10)
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_NAMES, inner, max_size=6)),
    max_leaves=25,
)


def _texts(findings: list[Finding]) -> Iterator[str]:
    return (text for finding in findings for text in (finding.point, finding.detail))


@given(st.dictionaries(_NAMES, _JSON, max_size=6))
def test_no_reply_breaks_the_check_or_makes_it_show_the_key(document: dict[str, Any]) -> None:
    """Whatever JSON comes, the check ends, shows no key, and tells of all that the schema refuses."""
    findings = check(json.loads(json.dumps(document)))
    assert not any(KEY[:10] in text for text in _texts(findings))
    if not is_valid(document):
        assert any(finding.verdict in (Verdict.WARNING, Verdict.VIOLATION) for finding in findings)
