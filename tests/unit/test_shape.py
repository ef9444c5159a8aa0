"""JSON drawn for people: types or values, and never a secret."""

from __future__ import annotations

from typing import Any

import pytest

from quota_exporter.shape import draw, in_short

REPLY = {"key": "course-a", "tokens": {"limit": 5, "used": 2.5, "ok": True, "none": None}, "list": [1, 2, 3, 4, 5]}


def drawn(value: Any, *secrets: str, values: bool = False) -> list[str]:
    return list(draw(value, values=values, secrets=secrets))


def test_types_stand_for_values() -> None:
    """Without values, each is its type, a list shows its first item, and how many more there are."""
    assert drawn(REPLY) == [
        "{",
        '  "key": text',
        '  "tokens": {',
        '    "limit": number',
        '    "used": number',
        '    "ok": boolean',
        '    "none": null',
        "  }",
        '  "list": [',
        "    number",
        "    ... 4 more",
        "  ]",
        "}",
    ]


def test_values_are_shown_when_asked_for() -> None:
    """With values, each is as the reply has it, and of a list there are three."""
    assert drawn(REPLY, values=True) == [
        "{",
        '  "key": "course-a"',
        '  "tokens": {',
        '    "limit": 5',
        '    "used": 2.5',
        '    "ok": true',
        '    "none": null',
        "  }",
        '  "list": [',
        "    1",
        "    2",
        "    3",
        "    ... 2 more",
        "  ]",
        "}",
    ]


@pytest.mark.parametrize(("value", "line"), [({}, "{}"), ([], "[]"), ("", "text"), (0, "number"), (None, "null")])
def test_what_holds_nothing_is_one_line(value: Any, line: str) -> None:
    """Empty maps and lists, and what is neither, take one line."""
    assert drawn(value) == [line]


@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        "a@b.example",
        "0123456789abcdef0123",
        "sk-abcdefgh",
        "****1c96",
        "sk-...IAAw",
        "purple-otter-lantern",
        "https://x",
    ],
)
def test_secrets_are_not_shown(name: str, *, values: bool) -> None:
    """A key, its mask, a hash or an e-mail address is shown neither as a value nor as the name of a member."""
    text = "\n".join(drawn({"list": [name], name: {"a": name}}, "purple-otter-lantern", values=values))
    assert name not in text
    assert '"...": {' in text
    assert text.count("text that is not shown" if values else "text") == 2


@pytest.mark.parametrize("number", [4915660283017, -4915660283017, 1.4915660283017, 49156602.5, 14915660283017000])
def test_a_key_of_digits_is_no_number_to_show(number: float) -> None:
    """Where a gateway gives a key of digits, or most of it, as a number, that is not shown."""
    assert drawn([number], "4915660283017", values=True) == ["[", "  number that is not shown", "]"]


@pytest.mark.parametrize("number", [0, 5, 4915, 0.30000000000000004, 1e300, 123456789012345678])
def test_other_numbers_are_shown(number: float) -> None:
    """A number is no secret for being long."""
    assert drawn([number], "4915660283017", "key-of-campus-0123", values=True)[1] == f"  {number}"


def test_a_short_key_of_digits_is_hidden() -> None:
    """A number that holds the whole of a short key is not shown either."""
    assert in_short(1234567, values=True, secrets=("12345",)) == "number that is not shown"


def test_text_cannot_control_the_terminal() -> None:
    """Escape sequences, and what turns text around, do not survive in values and names."""
    evil = "\x1b[31mred\x07\x9b2J\u202eable\r\n"
    text = "".join(drawn({evil: evil}, values=True))
    assert text.isprintable()
    assert "[31mred" in text


def test_a_wide_map_is_cut() -> None:
    """Of more than a hundred members the rest is counted."""
    lines = drawn({f"name {number}": number for number in range(250)})
    assert lines[-2:] == ["  ... 150 more", "}"]
    assert len(lines) == 103


@pytest.mark.parametrize(
    ("value", "short"),
    [
        ({"a": 1}, "object of 1 member"),
        ([1, 2], "list of 2 items"),
        ("course", '"course"'),
        (None, "null"),
        (False, "false"),
        (2.5, "2.5"),
    ],
)
def test_one_line(value: Any, short: str) -> None:
    """In short, a map or list is its size; anything else is itself."""
    assert in_short(value, values=True, secrets=()) == short


def test_one_line_without_values() -> None:
    """In short and without values, there are types and sizes only."""
    assert [in_short(value, values=False, secrets=()) for value in ("a", 1, [5], None)] == [
        *("text", "number", "list of 1 item", "null")
    ]


@pytest.mark.parametrize("name", ["password", "access_token", "client_secret", "apiKey", "Authorization", "set-cookie"])
def test_members_named_like_secrets_are_not_shown(name: str) -> None:
    """What a reply itself calls a secret is hidden however it looks; numbers such as counts of tokens are not."""
    assert list(draw({name: "hunter2"}, values=True, secrets=())) == ["{", f'  "{name}": text that is not shown', "}"]
    assert list(draw({"total_tokens": 5, "token": 7}, values=True, secrets=()))[1:3] == [
        '  "total_tokens": 5',
        '  "token": 7',
    ]
