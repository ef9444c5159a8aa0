"""Requests of mappings: what may be asked of a gateway, and how values of earlier replies get into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.document import parse_yaml
from quota_exporter.mapping_language import MappingError, ReplyMapping, load_mapping
from quota_exporter.request_language import fill, placeholders

WHOLE = """\
requests:
  - id: key
    path: /key/info
    root: true
    query: {full: "true", size: 100}
    headers: {X-Team: blue}
    success: has(@, 'info')
  - id: team
    url: https://billing.example.org/team
    method: POST
    body: {ids: ["{team}"]}
    auth: {header: x-bf-vk, scheme: ""}
    where: key.info.team_id
    values: {team: key.info.team_id}
    optional: true
    pages: {query: page, first: 0, step: 100, size: 100, items: teams, total: count, max_pages: 5}
buckets: [{kind: credits, remaining: key.left}]
"""


def load(text: str) -> ReplyMapping:
    return load_mapping(parse_yaml(text, Path("campus.yaml")))


def problems_of(text: str) -> list[str]:
    with pytest.raises(MappingError) as caught:
        load(text)
    return [str(problem) for problem in caught.value.problems]


def test_requests_with_every_field_load() -> None:
    """Every field of a request is read."""
    key, team = load(WHOLE).steps
    assert (key.id, key.path, key.root, key.method, key.url, key.body) == ("key", "/key/info", True, "GET", None, None)
    assert (key.query, key.optional, key.where, key.values, key.pages) == (
        {"full": "true", "size": 100},
        False,
        None,
        {},
        None,
    )
    assert {name: value.get_secret_value() for name, value in key.headers.items()} == {"X-Team": "blue"}
    assert key.success is not None
    assert (team.url, team.method, team.body) == ("https://billing.example.org/team", "POST", {"ids": ["{team}"]})
    assert team.auth is not None
    assert (team.auth.header, team.auth.scheme, team.optional) == ("x-bf-vk", "", True)
    assert team.where is not None
    assert team.values["team"].path == ("key", "info", "team_id")
    pages = team.pages
    assert pages is not None
    assert (pages.query, pages.first, pages.step, pages.size, pages.max_pages) == ("page", 0, 100, 100, 5)
    assert pages.items.text == "teams"
    assert pages.total is not None


def test_pages_have_quiet_defaults() -> None:
    """Pages are counted from 1, one by one, a hundred at most."""
    text = (
        "requests: [{path: /q, pages: {query: p, size: 50, items: '@'}}]\nbuckets: [{kind: credits, remaining: left}]"
    )
    pages = load(text).steps[0].pages
    assert pages is not None
    assert (pages.first, pages.step, pages.size, pages.total, pages.max_pages) == (1, 1, 50, None, 100)


def test_the_key_is_sent_as_bearer_unless_told_otherwise() -> None:
    """`auth` with a header alone keeps the scheme."""
    auth = load("path: /q\nauth: {header: X-Key}\nbuckets: [{kind: credits, remaining: left}]").auth
    assert auth is not None
    assert (auth.header, auth.scheme) == ("X-Key", "Bearer")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("id: key", "id: Key", "2: requests[0].id: must be 1 to 32 lower-case letters, digits or underscores"),
        ("id: key", "id: team", "8: requests[1].id: is used by an earlier request (team); give each its own id"),
        ("path: /key/info", "path: key", "3: requests[0].path: must start with exactly one /"),
        ("path: /key/info", "path:", "3: requests[0].path: is empty"),
        ("path: /key/info", "path: '/key/{id}'", "3: requests[0].path: has {id}, which `values` does not define"),
        ("root: true", "root: base", "4: requests[0].root: must be true, false or origin"),
        ('"true"', '"{x}"', "5: requests[0].query: has {x}, which `values` does not define"),
        ('"true"', "true", "5: requests[0].query.full: must be text or a whole number; put anything else in quotes"),
        ("size: 100}", "size: 1.5}", "5: requests[0].query.size: must be text or a whole number"),
        (
            "{X-Team: blue}",
            "{Cookie: blue}",
            "6: requests[0].headers.Cookie: is a header that the exporter sets itself",
        ),
        ("{X-Team: blue}", "{X-Team: a, x-team: b}", "6: requests[0].headers.x-team: is X-Team once more"),
        ("has(@, 'info')", "has(@)", "7: requests[0].success: is not valid JMESPath at character 1: has() takes 2"),
        ("    success:", "    where: a\n    success:", "7: requests[0].where: has no meaning for the first request"),
        (
            "    success:",
            "    values: {a: b}\n    success:",
            "7: requests[0].values: has no meaning for the first request",
        ),
        (
            "    success:",
            "    optional: true\n    success:",
            "7: requests[0].optional: has no meaning for the first request",
        ),
        ("url: https", "url: http", "9: requests[1].url: must start with https://: the key goes there"),
        ("https://b", "https://me:pw@b", "9: requests[1].url: must not hold a user name or password"),
        (
            "/team\n",
            "/team?a=b\n",
            "9: requests[1].url: must not hold a query or a fragment; write the query below `query`",
        ),
        ("/team\n", "/team#\n", "9: requests[1].url: must not hold a query or a fragment"),
        ("/team\n", "/team\n    path: /q\n", "9: requests[1].url: says the whole address; remove `path` and `root`"),
        ("/team\n", "/team\n    root: true\n", "9: requests[1].url: says the whole address; remove `path` and `root`"),
        ("    url: https://billing.example.org/team\n", "", "8: requests[1]: needs a `path` or a `url`"),
        ("method: POST", "method: PUT", "10: requests[1].method: must be 'GET' or 'POST'"),
        ("    method: POST\n", "", "10: requests[1].body: is sent by POST only; add method: POST"),
        ('{ids: ["{team}"]}', "text", "11: requests[1].body: must be a map or a list, which is sent as JSON"),
        ('{ids: ["{team}"]}', "", "11: requests[1].body: is empty"),
        ('["{team}"]', '[{a: "x {other}"}]', "11: requests[1].body: has {other}, which `values` does not define"),
        ("header: x-bf-vk", "headers: x-bf-vk", "12: requests[1].auth.headers: unknown key; did you mean `header`?"),
        ("{team: key.info.team_id}", "{Team: a, team: b}", "14: requests[1].values.Team: must be 1 to 32 lower-case"),
        ("{team: key.info.team_id}", "{team: 5}", "14: requests[1].values.team: must be an expression, which is text"),
        ("{team: key.info.team_id}", "{team: 'a[*]'}", "14: requests[1].values.team: never gives a number or a string"),
        ("optional: true", "optional: maybe", "15: requests[1].optional: must be true or false"),
        ("query: page, ", "", "16: requests[1].pages.query: is missing; add it"),
        ("size: 100, items", "items", "16: requests[1].pages.size: is missing; add it"),
        ("size: 100, items", "size: 0, items", "16: requests[1].pages.size: must be at least 1"),
        ("size: 100, items", "size: 5000, items", "16: requests[1].pages.size: must be at most 1000"),
        ("items: teams", "items: length(teams)", "16: requests[1].pages.items: never gives an array or an object"),
        ("first: 0", "first: -1", "16: requests[1].pages.first: must be at least 0"),
        ("org/team", "org/{team}", "9: requests[1].url: is fixed: {name} may stand in path, query and body, not in"),
        ("step: 100", "step: 0", "16: requests[1].pages.step: must be at least 1"),
        ("total: count", "total: 5", "16: requests[1].pages.total: must be an expression, which is text"),
        ("max_pages: 5", "max_pages: 0", "16: requests[1].pages.max_pages: must be at least 1"),
    ],
)
def test_mistakes_in_requests_are_named_with_file_line_and_field(old: str, new: str, problem: str) -> None:
    """Each mistake is one message: the file, the line, the field, what is wrong."""
    assert old in WHOLE
    problems = problems_of(WHOLE.replace(old, new, 1))
    assert [problems[0][: len(f"campus.yaml:{problem}")], *problems[1:]] == [f"campus.yaml:{problem}"]


def test_a_key_in_a_header_is_not_shown() -> None:
    """A header's value is kept out of every repr."""
    mapping = load(WHOLE.replace("blue", "sk-canary-4f9a1c7be2d84c55a0e3"))
    assert "canary" not in repr(mapping)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("/a/{team}/b/{key_1}", ["team", "key_1"]),
        ({"a": ["{x}", {"b": "{y} {x}"}], "{z}": 5}, ["x", "y", "x"]),
        ("{} {A} {1a} {a-b} { a } {{a}}", ["a"]),
        (None, []),
        (5, []),
        ({"a": None, "b": True}, []),
    ],
)
def test_placeholders_are_names_in_braces_within_values(value: Any, names: list[str]) -> None:
    """Only what can be a name is a placeholder; names of members are not filled."""
    assert list(placeholders(value)) == names


def test_filling_replaces_names_in_texts_only() -> None:
    """A filled copy keeps its shape; what is filled in is never filled again, and the template stays as it was."""
    template = {"a": ["{x}", 5, None, {"{x}": "<{x}-{y}>"}], "b": True, "c": "{z}"}
    filled = fill(template, {"x": "{y}", "y": "2"})
    assert filled == {"a": ["{y}", 5, None, {"{x}": "<{y}-2>"}], "b": True, "c": "{z}"}
    assert template == {"a": ["{x}", 5, None, {"{x}": "<{x}-{y}>"}], "b": True, "c": "{z}"}


TEMPLATES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["{x}", "a{y}b", "{", "plain"]) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(TEMPLATES, st.text(max_size=6))
def test_every_placeholder_that_is_known_is_filled(template: Any, value: str) -> None:
    """After filling, no placeholder is left but what the values themselves hold."""
    values = dict.fromkeys(placeholders(template), value)
    expected = [name for _ in placeholders(template) for name in placeholders(value)]
    assert len(list(placeholders(fill(template, values)))) >= len(expected)
    if "{" not in value and "}" not in value:
        assert not any(f"{{{name}}}" in str(fill(template, values)) for name in ("x", "y") if name in values)


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (
            "{path: /a, headers: {X-Id: '{v}'}}",
            "requests[0].headers.X-Id: is sent as it stands: {...} is filled in path,",
        ),
        (
            "{path: /a, headers: {authorization: Bearer x}}",
            "requests[0].headers.authorization: is the header that carries",
        ),
        (
            "{path: /a, auth: {header: X-Key, scheme: ''}, headers: {x-key: b}}",
            "requests[0].headers.x-key: is the header that carries the API key",
        ),
    ],
)
def test_headers_that_cannot_be_meant_are_refused(request_: str, problem: str) -> None:
    """A header is sent as it stands, and the one with the API key is the exporter's."""
    (found,) = problems_of(f"requests: [{request_}]\nbuckets: [{{kind: tokens, used: a}}]\n")
    assert found.startswith(f"campus.yaml:1: {problem}")


def test_a_path_alone_has_no_placeholders() -> None:
    """`path` stands for one request, which has no earlier reply to take a value from."""
    (found,) = problems_of("path: /team/{id}\nbuckets: [{kind: tokens, used: a}]\n")
    assert found.startswith("campus.yaml:1: path: has {...}, which only `requests` with several of them can fill")
