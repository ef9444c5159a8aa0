"""YAML and JSONC: values, lines, and what is refused."""

from __future__ import annotations

import json
import math
import re
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from quota_exporter.document import (
    ConfigProblem,
    Document,
    DocumentError,
    KeyPath,
    Location,
    dotted,
    parse_yaml,
)
from quota_exporter.jsonc import parse_jsonc

Parse = Callable[[str, Path], Document]

YML = Path("conf.yml")
JSONC = Path("opencode.jsonc")


def parse_yaml_without_libyaml(text: str, path: Path) -> Document:
    with mock.patch.object(yaml, "CSafeLoader", yaml.SafeLoader):
        return parse_yaml(text, path)


each_yaml = pytest.mark.parametrize("parse", [parse_yaml, parse_yaml_without_libyaml])
each_format = pytest.mark.parametrize("parse", [parse_yaml, parse_yaml_without_libyaml, parse_jsonc])


def outcome_of(parse: Parse, text: str, path: Path = YML) -> Document | DocumentError:
    try:
        return parse(text, path)
    except DocumentError as error:
        return error


def error_of(parse: Parse, text: str, path: Path = YML) -> str:
    with pytest.raises(DocumentError) as caught:
        parse(text, path)
    return str(caught.value)


# What problems look like


@pytest.mark.parametrize(
    ("key_path", "text"),
    [
        ((), ""),
        (("gateways", 2, "timeout"), "gateways[2].timeout"),
        ((0, "tls"), "[0].tls"),
        (("provider", "my.gateway", "options"), 'provider["my.gateway"].options'),
        (('a\nb"',), '["a b\\""]'),
        (("X-Key:word",), '["X-Key:..."]'),
        (("origins", "https://user:word@h"), 'origins["https:..."]'),
        (("headers", "sk-abc123"), 'headers["..."]'),
        (("sk-abc123:x", "user@example.edu", ""), '["..."]["..."]["..."]'),
    ],
)
def test_a_key_path_is_written_with_dots_and_brackets(key_path: KeyPath, text: str) -> None:
    """A path reads as people write it; odd keys are quoted, and what may be a secret is left out."""
    assert dotted(key_path) == text


def test_a_colon_without_a_space_is_explained_and_not_quoted() -> None:
    """In a block the mistake is one of syntax: the message says what to look for, without the key."""
    error = error_of(parse_yaml, "gateways:\n  - provider_id: a\n    api_key:sk-CANARY\n    timeout: 5s\n")
    assert "write a space after each colon that ends a key" in error
    assert "CANARY" not in error


def test_a_problem_names_file_line_and_key() -> None:
    """A problem is `file:line: key: message`, without the parts that are not known."""
    problem = ConfigProblem(Location(YML, 12), "gateways[2].timeout", "must be text")
    assert str(problem) == "conf.yml:12: gateways[2].timeout: must be text"
    assert str(ConfigProblem(Location(YML), "", "is a directory")) == "conf.yml: is a directory"


def test_an_error_lists_its_problems() -> None:
    """str() of the error is all of its problems, one on a line."""
    problems = (ConfigProblem(Location(YML, 1), "a", "one"), ConfigProblem(Location(YML, 2), "b", "two"))
    error = DocumentError(*problems)
    assert error.problems == problems
    assert str(error) == "conf.yml:1: a: one\nconf.yml:2: b: two"


def test_a_location_is_that_of_the_nearest_known_key() -> None:
    """A missing key is reported where the mapping that lacks it stands."""
    document = parse_yaml("a: 1\ngateways:\n  - x: 1\n    y:\n      z: 1\n", YML)
    assert document.location(("gateways", 0, "y", "z")) == Location(YML, 5)
    assert document.location(("gateways", 0, "y", "absent", 3)) == Location(YML, 4)
    assert document.location(("gateways", 0, "absent")) == Location(YML, 3)
    assert document.location(("absent",)) == Location(YML, 1)
    assert parse_yaml("", YML).location(("absent",)) == Location(YML, None)


# YAML

SCALARS = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], None),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    "0": 0,
    "-7": -7,
    "+12": 12,
    "010": 10,
    "0o17": 15,
    "0x1F": 31,
    "1.": 1.0,
    ".5": 0.5,
    "-1.5e3": -1500.0,
    "1e3": 1000.0,
    ".inf": math.inf,
    "+.Inf": math.inf,
    "-.INF": -math.inf,
    **{
        text: text
        for text in (
            *("no", "yes", "on", "off", "y", "n", "nUll", "tRue", "None", "<<", "="),
            *("1_000", "12:30:00", "2026-05-31", "2026-05-31T00:00:00Z", "0b11", "-0x1F", "0o8", "1e", "."),
            *(".INf", "-.nan", "10s", "sk-or-v1-0e12", "٣"),
        )
    },
    "'12'": "12",
    '"true"': "true",
    "'null'": "null",
    '""': "",
    "|-\n  12": "12",
    ">-\n  true": "true",
}


@each_yaml
@pytest.mark.parametrize("text", SCALARS)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, parse: Parse) -> None:
    """Plain scalars are null, bool, int or float by YAML 1.2 only; all else, and all in quotes, is text."""
    value = parse(f"a: {text}", YML).value["a"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


@each_yaml
@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_nan_is_a_float(text: str, parse: Parse) -> None:
    """The core schema's spellings of NaN are floats: who asks for a number must refuse it, not the reader."""
    assert math.isnan(parse(text, YML).value)


@each_yaml
def test_each_key_and_item_has_its_line(parse: Parse) -> None:
    """Lines count from 1 and are those of the key, or of the item's first key."""
    document = parse("# comment\n\na: 1\nb:\n  - x: [p,\n      q]\n    y: |\n      t\n  -\n    z:\n", YML)
    assert document.value == {"a": 1, "b": [{"x": ["p", "q"], "y": "t\n"}, {"z": None}]}
    assert dict(document.lines) == {
        (): 3,
        ("a",): 3,
        ("b",): 4,
        ("b", 0): 5,
        ("b", 0, "x"): 5,
        ("b", 0, "x", 0): 5,
        ("b", 0, "x", 1): 6,
        ("b", 0, "y"): 7,
        ("b", 1): 10,
        ("b", 1, "z"): 10,
    }


@each_yaml
def test_keys_are_text_as_written(parse: Parse) -> None:
    """A key that looks like a number, null or bool stays the text that is in the file."""
    assert parse("1: a\nnull: b\ntrue: c\n'q': d\n? e\n: f\n", YML).value == {
        "1": "a",
        "null": "b",
        "true": "c",
        "q": "d",
        "e": "f",
    }


@each_yaml
@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "\ufeff", "null"])
def test_an_empty_file_is_none(text: str, parse: Parse) -> None:
    """A file that says nothing is None and no error."""
    assert parse(text, YML).value is None


@each_yaml
def test_a_byte_order_mark_is_skipped(parse: Parse) -> None:
    """The mark that some editors write is no part of the first key."""
    assert parse("\ufeffa: 1", YML).value == {"a": 1}


@each_yaml
def test_duplicate_keys_are_problems_and_the_first_one_counts(parse: Parse) -> None:
    """Every duplicate is reported with both lines, at any depth, and the document stays usable."""
    document = parse("a: 1\nb:\n  c: 1\n  'c': 2\na: {x: 1}\nb: {c: 3}\na: 4\n", YML)
    assert document.value == {"a": 1, "b": {"c": 1}}
    assert [str(problem) for problem in document.problems] == [
        "conf.yml:4: b.c: duplicate key; the first one is on line 3: remove one of them",
        "conf.yml:5: a: duplicate key; the first one is on line 1: remove one of them",
        "conf.yml:6: b: duplicate key; the first one is on line 2: remove one of them",
        "conf.yml:7: a: duplicate key; the first one is on line 1: remove one of them",
    ]


@each_yaml
def test_aliases_repeat_the_value_of_their_anchor(parse: Parse) -> None:
    """Scalars, lists, mappings and keys can be anchored; a second use of a name replaces the first."""
    document = parse("&k a: &x [1, {b: 2}]\nc: *x\nd: &x 3\ne: *x\nf: *k\n", YML)
    assert document.value == {"a": [1, {"b": 2}], "c": [1, {"b": 2}], "d": 3, "e": 3, "f": "a"}
    assert document.location(("c", 1, "b")) == Location(YML, 2)


@each_yaml
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\nb: !!str x",
            "conf.yml:2: tags such as !!str are not supported: quote a value to make it text",
        ),
        ("!secret x", "conf.yml:1: tags such as !!str are not supported: quote a value to make it text"),
        ("a: 1\n---\nb: 2", "conf.yml:2: a second YAML document starts here: keep one document in a file"),
        ("a: 1\n? [x]\n: 2", "conf.yml:2: a key must be text, not a list, a mapping or an alias"),
        ("a: 1\n{b: 1}: 2", "conf.yml:2: a key must be text, not a list, a mapping or an alias"),
        ("a: &x b\n*x : 2", "conf.yml:2: a key must be text, not a list, a mapping or an alias"),
        ("a: *x", "conf.yml:1: an alias (*) of an anchor (&) that no complete value before it has"),
        ("a: &x\n  - *x", "conf.yml:2: an alias (*) of an anchor (&) that no complete value before it has"),
        (
            "a: &x 1\nb: &x [*x]",
            "conf.yml:2: an alias (*) of an anchor (&) that no complete value before it has",
        ),
        ("a: 1\nb: \x07", "conf.yml:2: holds the character U+0007, which YAML does not allow: remove it"),
        ("a: \ud800", "conf.yml:1: holds the character U+D800, which YAML does not allow: remove it"),
        ("a: " + "9" * 5000, "conf.yml:1: a number with too many digits: quote it if it is text"),
        (
            "a: b: c",
            "(check the indentation, and quote text that holds a colon and a space)",
        ),
        ("a:\n\t- b", "(indent with spaces, not tabs, and quote text that starts with @, ` or %)"),
        (
            "a:\n  b: 1\n c: 2",
            "conf.yml:3: not valid YAML: while parsing a block mapping that starts on line 1, ",
        ),
    ],
)
def test_what_is_not_supported_is_refused_with_its_line(text: str, message: str, parse: Parse) -> None:
    """Each refusal says where it is and what to do."""
    assert message in error_of(parse, text)


@each_yaml
@pytest.mark.parametrize("text", ['a: "\\ud800"', 'a: "\\UFFFFFFFF"', "%YAML 9.9\n---\na", "a: [", "'", "- a\nb"])
def test_broken_yaml_is_a_document_error(text: str, parse: Parse) -> None:
    """Whatever the parser underneath raises ends in the one error that callers know."""
    assert error_of(parse, text).startswith("conf.yml")


@each_yaml
def test_billion_laughs_end_at_once(parse: Parse) -> None:
    """Aliases that would expand to 10**9 values are refused without expanding them."""
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    text = "\n".join(["l0: &l0 x", *levels])
    started = time.process_time()
    assert "conf.yml:8: more than 2000000 values once the aliases (*) are expanded" in error_of(parse, text)
    assert time.process_time() - started < 1


@each_yaml
def test_deep_nesting_through_aliases_is_refused(parse: Parse) -> None:
    """A chain of aliases cannot build what plain text could not: 64 levels are the limit."""
    chain = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 64))]
    assert parse("\n".join(chain[:63]), YML).value["a62"]
    assert "conf.yml:64: nested more than 64 levels deep" in error_of(parse, "\n".join(chain))


@each_format
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
def test_nesting_has_a_limit(opening: str, closing: str, parse: Parse) -> None:
    """64 levels are read, 65 are refused, and any number more ends in the same error."""
    assert parse(opening * 64 + "1" + closing * 64, YML).value
    for levels in (65, 1000, 100_000):
        assert "nested more than 64 levels deep" in error_of(parse, opening * levels + "1" + closing * levels)


BROKEN_YAML = (
    "api_key: {}: x",
    "api_key: '{}",
    'api_key: "{}',
    "api_key: !{}!x y",
    "api_key: !{} y",
    "api_key: *{}",
    "api_key: &{} [*{}",
    "%TAG !{}! x\n%TAG !{}! y\n---\n",
    "- {}\nb",
    '{{"api_key": "{}"',
    '{{"api_key": "{}\\q"}}',
    '{{"api_key": "{}", "b": "\\ud800"}}',
    "api_key: {}\nb: \x07",
)
BROKEN_JSON = (
    '{{"api_key": {}}}',
    '{{"api_key": "{}}}',
    '{{"api_key": "{}"',
    '{{"api_key": "{}\\q"}}',
    '{{"api_key": "{}", "b": NaN}}',
    '{{"api_key": "{}\\ud800"}}',
    '{{"api_key": "{}\n"}}',
    "/* {}",
)


@pytest.mark.parametrize(
    ("parse", "template"),
    [
        *((parse_yaml, template) for template in BROKEN_YAML),
        *((parse_yaml_without_libyaml, template) for template in BROKEN_YAML),
        *((parse_jsonc, template) for template in BROKEN_JSON),
    ],
)
def test_no_error_quotes_the_file(parse: Parse, template: str, canary: str) -> None:
    """A broken line may hold a key, so neither the error, its repr nor its traceback shows any of it."""
    with pytest.raises(DocumentError) as caught:
        parse(template.format(canary, canary), YML)
    shown = str(caught.value) + repr(caught.value) + repr(caught.value.problems)
    assert canary not in shown
    assert canary not in "".join(traceback.format_exception(caught.value))


@each_format
def test_no_repr_shows_a_value(parse: Parse, canary: str) -> None:
    """A document's repr has no values: one of them may be a key."""
    document = parse(f'{{"api_key": "{canary}"}}', YML)
    assert document.value == {"api_key": canary}
    assert canary not in repr(document)


# JSONC


def test_comments_commas_and_mark_are_no_part_of_the_value() -> None:
    """JSONC is JSON with comments, trailing commas and a byte order mark; its lines are those of the file."""
    text = """\ufeff// head, "not text"
{
  /* a "block", [over
     two lines] */ "url": "https://llm.example.edu/v1", // tail
  "text": "/* no */ // comment \\" , ] } \\\\", /**/
  "list": [
    1, {"a": 2 , } , // ]
  /* last */ ] ,
} /* end **/ // of file"""
    document = parse_jsonc(text, JSONC)
    assert document.value == {
        "url": "https://llm.example.edu/v1",
        "text": '/* no */ // comment " , ] } \\',
        "list": [1, {"a": 2}],
    }
    assert dict(document.lines) == {
        (): 2,
        ("url",): 4,
        ("text",): 5,
        ("list",): 6,
        ("list", 0): 7,
        ("list", 1): 7,
        ("list", 1, "a"): 7,
    }


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "// nothing", "/* nothing\n */"])
def test_a_blank_json_file_is_none(text: str) -> None:
    """A file that says nothing is None and no error."""
    assert parse_jsonc(text, JSONC).value is None


def test_the_last_of_duplicate_json_keys_counts() -> None:
    """JSON keys may be repeated; the last one wins, as in OpenCode, and gives the line."""
    document = parse_jsonc('{"a": 1,\n"a": 2}', JSONC)
    assert document.value == {"a": 2}
    assert document.location(("a",)) == Location(JSONC, 2)
    assert document.problems == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n"a": 1\n"b": 2}', "opencode.jsonc:3: not valid JSON: expecting ',' delimiter"),
        ('{"a":\n1} x', "opencode.jsonc:2: not valid JSON: extra data"),
        ("\n{'a': 1}", "opencode.jsonc:2: not valid JSON: expecting property name in double quotes"),
        ("[,]", "opencode.jsonc:1: not valid JSON: expecting value"),
        ("{ , }", "opencode.jsonc:1: not valid JSON: expecting property name in double quotes"),
        ("[1,,]", "opencode.jsonc:1: not valid JSON: "),
        ('["a\nb"]', "opencode.jsonc:1: not valid JSON: invalid control character"),
        ("[1,\n/* a\n*", "opencode.jsonc:2: a comment starts here that is not closed by */"),
        ("/*/", "opencode.jsonc:1: a comment starts here that is not closed by */"),
        ("[1,\nNaN]", "opencode.jsonc:2: NaN is not a JSON number"),
        ("[-Infinity]", "opencode.jsonc:1: -Infinity is not a JSON number"),
        ('{"a": {"b":\nInfinity}}', "opencode.jsonc:2: Infinity is not a JSON number"),
        ("9" * 5000, "opencode.jsonc: holds a number with too many digits"),
        ('{\n"\\ud800": 1}', "opencode.jsonc:2: holds half of a surrogate pair"),
        ('\n["\\udc00x"]', "opencode.jsonc:2: holds half of a surrogate pair"),
    ],
)
def test_broken_json_is_refused_with_its_line(text: str, message: str) -> None:
    """Each refusal says where it is and what is wrong."""
    assert error_of(parse_jsonc, text, JSONC).startswith(message)


@pytest.mark.parametrize("part", ['"', '\\"', '"\\', "/*", "//", ",", ", ", "[ ", "[,", "{", "/", '""', "*/"])
def test_hostile_text_takes_no_time(part: str) -> None:
    """Half a megabyte of anything ends in linear time."""
    for text in (part * (500_000 // len(part)), '"' + part * (500_000 // len(part))):
        started = time.process_time()
        outcome_of(parse_jsonc, text, JSONC)
        assert time.process_time() - started < 2


# Any input

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xD7FF, exclude_categories=["Cc"]), max_size=20)
PRINTABLE_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | PRINTABLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PRINTABLE, inner, max_size=4),
    max_leaves=12,
)
NOISE = st.sampled_from(["", " ", "\n", "\t", "//\n", '// "a": [1,\n', "/**/", "/* { // */", '/* "\n* */', "/***/"])
SNIPPETS = st.lists(
    st.sampled_from([*"[]{},:\"'\\/*-?&!|>%@#~ \n\t\r0a.", "\\u", "d800", "&a", "*a", ": ", "- ", "---", "...", "\0"])
    | st.text(max_size=2),
    max_size=30,
).map("".join)


def paths_of(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in pairs:
        yield from paths_of(inner, (*path, step))


@settings(deadline=None)  # this machine may be busy
@given(value=JSON_VALUES, data=st.data())
def test_comments_and_commas_never_change_a_value(value: Any, data: st.DataObject) -> None:
    """Any JSON with comments between its tokens and commas before its ends has the value of that JSON."""
    parts = re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+', json.dumps(value))
    text = data.draw(NOISE)
    previous = ""
    for part in parts:
        if part in "]}" and previous not in "[{" and data.draw(st.booleans()):
            text += "," + data.draw(NOISE)
        text += part + data.draw(NOISE)
        previous = part
    document = parse_jsonc(text, JSONC)
    assert document.value == value
    assert json.dumps(document.value) == json.dumps(value)
    assert set(document.lines) == set(paths_of(value))


@settings(deadline=None)  # this machine may be busy
@given(value=JSON_VALUES)
def test_the_line_of_a_json_key_holds_that_key(value: Any) -> None:
    """In indented JSON the line that is given for a key is one that has this key."""
    text = json.dumps(value, indent=1)
    lines = text.split("\n")
    for path, line in parse_jsonc(text, JSONC).lines.items():
        if path and isinstance(path[-1], str):
            assert lines[line - 1].startswith(" " * len(path) + json.dumps(path[-1]) + ": ")
        elif path:
            assert re.match(" " * len(path) + r"[^ \]}]", lines[line - 1])


@each_yaml
@settings(deadline=None)  # this machine may be busy
@given(value=PRINTABLE_VALUES)
def test_json_of_printable_text_is_yaml(value: Any, parse: Parse) -> None:
    """YAML 1.2 contains JSON: the same text means the same value."""
    document = parse(json.dumps(value, ensure_ascii=False), YML)
    assert document.value == value
    assert set(document.lines) == set(paths_of(value))


@each_format
@settings(deadline=None)  # this machine may be busy
@given(text=st.text() | SNIPPETS)
def test_any_text_is_a_document_or_a_document_error(text: str, parse: Parse) -> None:
    """No input ends in another exception, and what is read is text that can be sent on."""
    outcome = outcome_of(parse, text)
    if isinstance(outcome, Document):
        json.dumps(outcome.value, ensure_ascii=False).encode()
        assert all(line >= 1 for line in outcome.lines.values())
    else:
        assert outcome.problems
