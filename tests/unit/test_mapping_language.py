"""Mapping documents: what is accepted, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.bucket_language import Unlimited
from quota_exporter.document import Document, DocumentError, parse_yaml
from quota_exporter.mapping_language import MappingError, ReplyMapping, load_mapping
from quota_exporter.presets import load_preset, preset_names, preset_text
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
time_format: unix_ms
min_interval: 1m30s
cache_control: true
units: {cent: 100, point: 2}
auth: {header: x-key, scheme: ""}
about: {title: t, source: s, confidence: high, base_url: u, key: k, hosts: [a.example]}
buckets:
  - kind: cost
    name: key
    currency: EUR
    currency_from: data.currency
    unit: cent
    where: data.limit != `0`
    limit: data.limit
    unlimited: null_limit
    used: data.used
    remaining: data.left
    window: 86400
    resets_at: next('daily')
    time_format: unix
  - kind: requests
    name: free models
    limit: 1000
    used: data.free
  - each: data.more
    kind_from: kind
    name_from: name
    currency: USD
    unlimited: {values: [100000000], of: used, tolerance: 0.01, when: flag}
    used: n
children:
  each: data.keys
  where: alias
  alias: alias
  reason: status
  expires_at: until
  time_format: in_s
  max_children: 10
  buckets: [{kind: credits, remaining: left}]
"""
SMALL = "path: /q\nbuckets: [{kind: credits, remaining: left}]\n"


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
    assert (mapping.name, mapping.description, mapping.min_interval) == ("campus", "A gateway.", 90.0)
    assert (mapping.time_format, mapping.cache_control, mapping.units) == (
        "unix_ms",
        True,
        {"cent": 100.0, "point": 2.0},
    )
    assert [request.path for request in mapping.steps] == ["/budget"]
    assert mapping.auth is not None
    assert (mapping.auth.header, mapping.auth.scheme) == ("x-key", "")
    assert mapping.about is not None
    assert (mapping.about.confidence, mapping.about.hosts) == ("high", ("a.example",))
    assert mapping.key_name is not None
    assert mapping.key_name.path == ("data", "alias")
    cost, requests, more = mapping.buckets
    assert (cost.kind, cost.literal_name, cost.currency, cost.unit) == (Kind.COST, "key", "EUR", "cent")
    assert cost.unlimited == Unlimited(null_limit=True)
    assert (requests.kind, requests.name, requests.currency) == (Kind.REQUESTS, "free models", None)
    assert requests.limit is not None
    assert requests.limit.text == "1000"
    assert more.kind is None
    assert more.unlimited is not None
    assert (more.unlimited.values, more.unlimited.of, more.unlimited.tolerance) == ((1e8,), "used", 0.01)
    assert mapping.children is not None
    assert (mapping.children.max_children, mapping.children.time_format) == (10, "in_s")
    assert [rule.literal_name for rule in mapping.children.buckets] == ["default"]


def test_optional_fields_have_quiet_defaults() -> None:
    """A mapping needs a bucket with one amount; the path may be the gateway entry's."""
    mapping = load("buckets: [{kind: credits, remaining: left}]")
    assert (mapping.name, mapping.description, mapping.min_interval, mapping.units) == ("", "", 0.0, {})
    assert mapping.success is mapping.error is mapping.reason is mapping.key_name is mapping.expires_at is None
    assert (mapping.auth, mapping.about, mapping.children, mapping.time_format) == (None, None, None, None)
    assert (mapping.cache_control, mapping.buckets[0].literal_name) == (False, "default")
    (step,) = mapping.steps
    assert (step.id, step.path, step.method, step.root) == ("reply", None, "GET", False)


def test_a_path_stands_for_one_request() -> None:
    """`path` is short for one GET."""
    (step,) = load(SMALL).steps
    assert (step.id, step.path, step.method, step.url) == ("reply", "/q", "GET", None)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: campus", "name: Campus!", "1: name: must be 1 to 64 lower-case letters"),
        ("name: campus", "name: 5", "1: name: must be text"),
        ("path: /budget", "path: budget", "4: requests[0].path: must start with exactly one /"),
        ("path: /budget", "path: //evil.example", "4: requests[0].path: must start with exactly one /"),
        ("path: /budget", "path: /a?b=c", "4: requests[0].path: must start with exactly one /"),
        ("path: /budget", "path: /../admin", "4: requests[0].path: must not climb with .."),
        ("requests:", "path: /q\nrequests:", "3: path: stands for one request; keep either `path` or `requests`"),
        ("\n  - path: /budget", " []", "3: requests: must hold at least one request"),
        ("\n  - path: /budget", " /budget", "3: requests: must be a list"),
        ("- path: /budget", "- /budget", "4: requests[0]: must be a map of keys"),
        ("success:", "sucess:", "5: sucess: unknown key; did you mean `success`?"),
        ("error.message", "error.", "6: error: is not valid JMESPath at character 7: the expression is not complete"),
        ("reason: error.code", "reason:", "7: reason: is empty; give it a value or remove it"),
        ("reason: error.code", "reason: has(@, 'a')", "7: reason: never gives a number or a string"),
        ("data.alias", "[data, alias]", "8: key_name: must be an expression, which is text; put it in quotes"),
        ("data.alias", "data[*].alias", "8: key_name: never gives a number or a string: it gives an array"),
        ("data.expires", "true", "9: expires_at: must be an expression, which is text"),
        ("data.expires", "5", "9: expires_at: must be an expression, which is text"),
        ("data.expires", "a == b", "9: expires_at: never gives a number or a string: it gives a boolean"),
        (
            "time_format: unix_ms",
            "time_format: epoch",
            "10: time_format: must be 'rfc3339', 'unix', 'unix_ms', 'in_s' or",
        ),
        ("1m30s", "90", "11: min_interval: is not a duration; write a number with its unit"),
        ("1m30s", "1.5h", "11: min_interval: is not a duration; write a number with its unit"),
        ("cache_control: true", "cache_control: 60", "12: cache_control: must be true or false, without quotes"),
        ("point: 2", "point: 0", "13: units.point: must be a number above 0"),
        ("point: 2", "point: -1", "13: units.point: must be a number above 0"),
        ("point: 2", "point: .inf", "13: units.point: must be a number above 0"),
        ("point: 2", "point: '2'", "13: units.point: must be a number above 0"),
        ("point: 2", "point: true", "13: units.point: must be a number above 0"),
        ("point: 2", "US: 2", "13: units.US: must be 1 to 32 lower-case letters"),
        ("units: {cent: 100, point: 2}", "units: 100", "13: units: must be a map of keys"),
        ("header: x-key", "header: 'x key'", "14: auth.header: is not a header name"),
        ("header: x-key", "header: cookie", "14: auth.header: is a header that the exporter sets itself"),
        ('scheme: ""', "scheme: a b", "14: auth.scheme: must be one word, or empty for the bare key"),
        ("confidence: high", "confidence: sure", "15: about.confidence: must be 'high', 'medium' or 'low'"),
        ("title: t, ", "", "15: about.title: is missing; add it"),
        ("kind: cost", "kind: money", "17: buckets[0].kind: must be one of 'tokens', 'requests', 'cost' or 'credits'"),
        ("kind: cost", "name_from: a", "17: buckets[0]: give either `kind` or `kind_from`"),
        ("kind: cost", "kind: cost\n    kind_from: a", "17: buckets[0]: give either `kind` or `kind_from`"),
        ("name: key", "name: ''", "18: buckets[0].name: must be 1 to 64 letters"),
        ("    currency: EUR\n", "", "17: buckets[0].currency: is needed by buckets of kind cost"),
        ("    currency: USD\n", "", "34: buckets[2].currency: is needed by buckets of kind cost"),
        ("currency: EUR", "currency: eur", "19: buckets[0].currency: must be three capital letters"),
        ("unit: cent", "unit: mark", "21: buckets[0].unit: is not among the mapping's `units`; add it there"),
        ("data.limit != `0`", "data.limit != null", "22: buckets[0].where: is not valid JMESPath at character 15"),
        ("limit: data.limit", "limit: .inf", "23: buckets[0].limit: is not a finite number"),
        ("limit: data.limit", "limit: true", "23: buckets[0].limit: must be an expression, which is text"),
        ("limit: data.limit", "limit: yes please", "23: buckets[0].limit: is not valid JMESPath at character 5"),
        ("limit: data.limit", "limit: data[*].limit", "23: buckets[0].limit: never gives a number or a string"),
        ("limit: data.limit", "limit: 5", "24: buckets[0].unlimited: null_limit needs a `limit` that is a plain path"),
        ("limit: data.limit", "limit: a || b", "24: buckets[0].unlimited: null_limit needs a `limit`"),
        ("null_limit\n", "[1]\n", "24: buckets[0].unlimited: must be null_limit, an expression that gives true"),
        ("null_limit\n", "-1\n", "24: buckets[0].unlimited: must be null_limit, an expression that gives true"),
        ("null_limit\n", "null_limt\n", "24: buckets[0].unlimited: is read as a member named null_limt; did you mean"),
        ("null_limit\n", "{of: used}\n", "24: buckets[0].unlimited: must be null_limit, an expression, or a map with"),
        ("null_limit\n", "{values: [.inf]}\n", "24: buckets[0].unlimited.values: must hold finite numbers"),
        ("null_limit\n", "{values: many}\n", "24: buckets[0].unlimited.values: "),
        (
            "null_limit\n",
            "{values: [1], of: cost}\n",
            "24: buckets[0].unlimited.of: must be 'limit', 'used' or 'remaining'",
        ),
        ("null_limit\n", "{values: [1], tolerance: 0.5}\n", "24: buckets[0].unlimited.tolerance: must be at most 0.1"),
        (
            "null_limit\n",
            "data.limit == `null`\n",
            "24: buckets[0].unlimited: must be true only when the reply says so",
        ),
        ("null_limit\n", "'a || `null` != b'\n", "24: buckets[0].unlimited: must be true only when the reply says so"),
        ("null_limit\n", "a b\n", "24: buckets[0].unlimited: is not valid JMESPath at character 3"),
        ("unlimited: null_limit", "unlimited:", "24: buckets[0].unlimited: is empty; give it a value or remove it"),
        ("used: data.used", "usd: data.used", "25: buckets[0].usd: unknown key; did you mean `used`?"),
        ("window: 86400", "window: monthly", "27: buckets[0].window: is read as a member named monthly; write"),
        ("window: 86400", "window: has(@, 'a')", "27: buckets[0].window: never gives a number or a string"),
        (
            "    limit: 1000\n    used: data.free\n",
            "",
            "30: buckets[1]: needs at least one of limit, used and remaining",
        ),
        ("limit: 1000", "currency: EUR", "32: buckets[1].currency: belongs to buckets of kind cost only"),
        ("limit: 1000", "currency_from: a", "32: buckets[1].currency_from: belongs to buckets of kind cost only"),
        ("data.more", "length(data)", "34: buckets[2].each: never gives an array or an object: it gives a number"),
        (
            "kind_from: kind\n    name_from: name",
            "kind: cost",
            "34: buckets[2].each: goes through many buckets, which need names",
        ),
        ("of: used", "of: limit", "38: buckets[2].unlimited: compares `limit`, which this bucket does not have"),
        ("  alias: alias\n", "", "40: children.alias: is missing; add it"),
        ("  each: data.keys\n", "", "40: children.each: is missing; add it"),
        ("max_children: 10", "max_children: 0", "47: children.max_children: must be at least 1"),
        ("max_children: 10", "max_children: 1000000", "47: children.max_children: must be at most 100000"),
        ("[{kind: credits, remaining: left}]", "[]", "48: children.buckets: must hold at least one bucket"),
        (
            "remaining: left}",
            "remaining: left, unit: x}",
            "48: children.buckets[0].unit: is not among the mapping's `units`",
        ),
        ("remaining: left}", "rest: left}", "48: children.buckets[0].rest: unknown key"),
        ("key_name: data.alias", "name: twice", "8: name: duplicate key"),
    ],
)
def test_mistakes_are_named_with_file_line_and_field(old: str, new: str, problem: str) -> None:
    """Each mistake is one message: the file, the line, the field, what is wrong."""
    assert old in WHOLE
    problems = problems_of(WHOLE.replace(old, new, 1))
    assert [problems[0][: len(f"campus.yaml:{problem}")], *problems[1:]] == [f"campus.yaml:{problem}"]


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
    for text in ("path: /q\nbuckets: []\n", "path: /q\n"):
        assert problems_of(text) == ["campus.yaml:1: needs `buckets` (or `children`)"]


def test_children_alone_are_enough() -> None:
    """A management key may have no quota of its own."""
    mapping = load("path: /q\nchildren: {each: '@', alias: a, buckets: [{kind: credits, remaining: left}]}")
    assert mapping.buckets == ()
    assert mapping.children is not None
    assert mapping.children.max_children == 5000


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("null_limit", "{null_limit: true}"),
        ("flag", "{when: flag}"),
        ('"flag == `true`"', "{when: 'flag == `true`'}"),
    ],
)
def test_unlimited_has_short_forms(text: str, same: str) -> None:
    """The word and the expression stand for maps."""
    rule = "path: /q\nbuckets: [{kind: credits, limit: l, unlimited: %s}]"
    assert load(rule % text).buckets[0].unlimited == load(rule % same).buckets[0].unlimited


def test_overrides_replace_currency_and_units_everywhere() -> None:
    """A gateway entry's currency and units go before those of the mapping, also for its children."""
    text = (
        "path: /q\nunits: {cent: 100, quota: 5}\n"
        "buckets: [{kind: cost, currency: USD, unit: cent, used: u}, {kind: tokens, used: t}]\n"
        "children: {each: '@', alias: a, buckets: [{kind: cost, currency: USD, used: u}, {kind: tokens, used: t}]}\n"
    )
    mapping = load(text)
    assert mapping.with_overrides(currency=None, units={}) is mapping
    other = mapping.with_overrides(currency="CNY", units={"quota": 7.0})
    assert other.children is not None
    assert [rule.currency for rule in (*other.buckets, *other.children.buckets)] == ["CNY", None, "CNY", None]
    assert other.units == {"cent": 100.0, "quota": 7.0}
    only_units = mapping.with_overrides(currency=None, units={"cent": 1.0})
    assert (only_units.units["cent"], only_units.buckets, only_units.children) == (
        1.0,
        mapping.buckets,
        mapping.children,
    )
    assert [rule.currency for rule in mapping.buckets] == ["USD", None]
    assert mapping.units == {"cent": 100.0, "quota": 5.0}
    wallet = load(SMALL).with_overrides(currency="EUR", units={})
    assert (wallet.children, wallet.buckets[0].currency) == (None, None)


def test_a_mapping_does_not_change() -> None:
    """Compiled mappings are shared, so nobody may change one."""
    mapping = load(SMALL)
    with pytest.raises(ValueError, match="frozen"):
        mapping.name = "other"  # type: ignore[misc]  # that is the point
    with pytest.raises(ValueError, match="frozen"):
        mapping.buckets[0].name = "other"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_carries_its_own_name(name: str) -> None:
    """The file and the mapping in it have one name."""
    assert load_preset(name).name == name


KEYS = [
    *("name", "description", "about", "path", "requests", "auth", "success", "error", "reason", "key_name", "units"),
    *("expires_at", "time_format", "min_interval", "cache_control", "buckets", "children", "each", "where", "kind"),
    *("kind_from", "name_from", "currency", "currency_from", "unit", "limit", "unlimited", "used", "remaining"),
    *("window", "resets_at", "alias", "max_children", "null_limit", "values", "of", "tolerance", "when", "id", "url"),
    *("root", "method", "query", "headers", "body", "optional", "pages", "size", "items", "title", "x", "0", ""),
]
TEXTS = [
    *("a", "a.b", "@", "cost", "tokens", "USD", "/q", "/q/{x}", "null_limit", "null", "a == b", "a[*]", "GET", "POST"),
    *("https://x.example/y", "http://u:p@[", "origin", "1m", "unix", "high", "1e999", "sum(", "'x'", "{x}", "", "\x00"),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10**18) | st.floats() | st.sampled_from(TEXTS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")
@given(VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8))
def test_any_document_is_a_mapping_or_a_mapping_error(value: Any) -> None:
    """Whatever YAML holds, loading gives a mapping or problems with file and message, and nothing else."""
    _load_or_refuse(Document(Path("campus.yaml"), value, {}))


MUTATIONS = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from([*KEYS, *TEXTS, ":", "- ", "[", "}", "\n", "  "])), max_size=4
)


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")
@given(st.sampled_from(preset_names()), MUTATIONS, st.booleans())
def test_a_preset_with_slips_is_a_mapping_or_refused(
    name: str,
    mutations: list[tuple[int, str]],
    replace: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    """A slip anywhere in a mapping is told as a problem, or the mapping still is one."""
    text = preset_text(name)
    for position, piece in mutations:
        at = position % len(text)
        text = text[:at] + piece + text[at + (len(piece) if replace else 0) :]
    try:
        document = parse_yaml(text, Path("campus.yaml"))
    except DocumentError:
        return
    _load_or_refuse(document)


def _load_or_refuse(document: Document) -> None:
    try:
        mapping = load_mapping(document)
    except MappingError as error:
        problems = error.problems
    else:
        assert mapping.steps
        return
    assert problems
    assert all(problem.message for problem in problems)
