"""Mapping documents: what is accepted, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from quota_exporter.document import parse_yaml
from quota_exporter.mapping_language import MappingError, ReplyMapping, load_mapping
from quota_exporter.quota import Kind

WHOLE = """\
name: campus
description: A gateway.
requests:
  - path: /budget
success: has(@, 'data')
error: error.message
reason: error.code
key_name: data.alias
expires_at: data.expires
min_interval: 1m30s
buckets:
  - kind: cost
    name: key
    currency: EUR
    currency_from: data.currency
    where: data.limit != `0`
    limit: data.limit
    unlimited: null_limit
    used: data.used
    remaining: data.left
    window: 86400
    resets_at: next('daily')
  - kind: requests
    name: free models
    limit: 1000
    used: data.free
"""


def load(text: str) -> ReplyMapping:
    return load_mapping(parse_yaml(text, Path("campus.yaml")))


def problems_of(text: str) -> list[str]:
    with pytest.raises(MappingError) as caught:
        load(text)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


def test_a_mapping_with_every_field_loads() -> None:
    """Every field of the language is read, and expressions are compiled."""
    mapping = load(WHOLE)
    assert (mapping.name, mapping.path, mapping.min_interval) == ("campus", "/budget", 90.0)
    assert mapping.key_name is not None
    assert mapping.key_name.path == ("data", "alias")
    cost, requests = mapping.buckets
    assert (cost.kind, cost.name, cost.currency, cost.unlimited) == (Kind.COST, "key", "EUR", "null_limit")
    assert (requests.kind, requests.name, requests.currency) == (Kind.REQUESTS, "free models", None)
    assert requests.limit is not None
    assert requests.limit.text == "1000"


def test_optional_fields_have_quiet_defaults() -> None:
    """A mapping needs a name, a description, a request and one bucket with one amount."""
    mapping = load(
        "name: m\ndescription: d\nrequests: [{path: /q}]\nbuckets: [{kind: credits, name: c, remaining: left}]"
    )
    assert mapping.min_interval == 0.0
    assert mapping.success is mapping.error is mapping.reason is mapping.key_name is mapping.expires_at is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: campus", "name: Campus!", "1: name: must be 1 to 64 lower-case letters"),
        ("name: campus", "name: 5", "1: name: must be text"),
        ("description: A gateway.\n", "", "1: description: is missing"),
        ("path: /budget", "path: budget", "4: requests[0].path: must start with exactly one /"),
        ("path: /budget", "path: //evil.example", "4: requests[0].path: must start with exactly one /"),
        ("path: /budget", "path: /a?b=c", "4: requests[0].path: must start with exactly one /"),
        ("path: /budget", "path: /../admin", "4: requests[0].path: must not climb with .."),
        ("  - path: /budget", "  - path: /a\n  - path: /b", "3: requests: must hold exactly one request"),
        ("\n  - path: /budget", " []", "3: requests: must hold exactly one request"),
        ("\n  - path: /budget", " /budget", "3: requests: must be a list"),
        ("- path: /budget", "- /budget", "4: requests[0]: must be a map of keys"),
        ("- path: /budget", "- {path: /b, method: POST}", "4: requests[0].method: unknown key; known here: path"),
        ("success:", "sucess:", "5: sucess: unknown key; did you mean `success`?"),
        ("error.message", "error.", "6: error: is not valid JMESPath at character 7: the expression is not complete"),
        ("reason: error.code", "reason:", "7: reason: is empty; give it a value or remove it"),
        ("data.alias", "[data, alias]", "8: key_name: must be an expression, which is text"),
        ("data.expires", "true", "9: expires_at: must be an expression, which is text"),
        ("data.expires", "5", "9: expires_at: must be an expression, which is text"),
        ("1m30s", "90", "10: min_interval: is not a duration; write a number with its unit"),
        ("1m30s", "1.5h", "10: min_interval: is not a duration; write a number with its unit"),
        ("kind: cost", "kind: money", "12: buckets[0].kind: must be one of 'tokens', 'requests', 'cost' or 'credits'"),
        ("name: key", "name: ''", "13: buckets[0].name: must be 1 to 64 letters"),
        ("    currency: EUR\n", "", "12: buckets[0]: needs `currency`"),
        ("currency: EUR", "currency: eur", "14: buckets[0].currency: must be three capital letters"),
        ("data.limit != `0`", "data.limit != null", "16: buckets[0].where: is not valid JMESPath at character 15"),
        ("limit: data.limit", "limit: .inf", "17: buckets[0].limit: is not a finite number"),
        ("limit: data.limit", "limit: yes please", "17: buckets[0].limit: is not valid JMESPath at character 5"),
        ("limit: data.limit", "limit: 5", "18: buckets[0].unlimited: null_limit needs a `limit` that is a plain path"),
        ("limit: data.limit", "limit: a || b", "18: buckets[0].unlimited: null_limit needs a `limit`"),
        ("null_limit", "always", "18: buckets[0].unlimited: must be 'null_limit'"),
        ("unlimited: null_limit", "unlimited:", "18: buckets[0].unlimited: is empty"),
        ("used: data.used", "usd: data.used", "19: buckets[0].usd: unknown key; did you mean `used`?"),
        (
            "    limit: 1000\n    used: data.free\n",
            "",
            "23: buckets[1]: needs at least one of limit, used and remaining",
        ),
        ("limit: 1000", "currency: EUR", "25: buckets[1].currency: belongs to buckets of kind cost only"),
        ("limit: 1000", "currency_from: a", "25: buckets[1].currency_from: belongs to buckets of kind cost only"),
        ("key_name: data.alias", "name: twice", "8: name: duplicate key"),
    ],
)
def test_mistakes_are_named_with_file_line_and_field(old: str, new: str, problem: str) -> None:
    """Each mistake is one message: the file, the line, the field, what is wrong."""
    assert old in WHOLE
    problems = problems_of(WHOLE.replace(old, new, 1))
    assert len(problems) == 1
    assert problems[0].startswith(f"campus.yaml:{problem}")


def test_all_mistakes_are_found_in_one_run() -> None:
    """Nobody has to repair one mistake to hear of the next."""
    text = WHOLE.replace("/budget", "budget").replace("kind: cost", "kind: money").replace("data.left", "data.")
    assert [problem.split(": ")[1] for problem in problems_of(text)] == [
        "requests[0].path",
        "buckets[0].kind",
        "buckets[0].remaining",
    ]


@pytest.mark.parametrize(
    ("text", "problem"), [("", "is empty"), ("[]", "must be a map of keys"), ("just text", "must be a map of keys")]
)
def test_a_document_that_is_no_map_is_refused(text: str, problem: str) -> None:
    """A mapping is a map of keys."""
    assert problem in problems_of(text)[0]


def test_a_mapping_without_buckets_is_refused() -> None:
    """A mapping that could never yield a bucket is a mistake."""
    text = WHOLE[: WHOLE.index("buckets:")] + "buckets: []\n"
    assert problems_of(text) == ["campus.yaml:11: buckets: must hold at least one bucket"]
