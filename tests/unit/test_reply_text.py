"""Text of replies that may be shown, and text that may not."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.reply_text import clean_message, clean_text

KEY = "sk-or-v1-0e6abcdd91f2774cab55a4f8c1c96"
PLAIN_KEY = "Campus-Zr8KfQ2m-x"


@pytest.mark.parametrize(
    "name",
    [
        "course-comp318-fall26",
        "ci-bot",
        "Prod key (EU)",
        "team-ml",
        "ключ",
        "gpt-4.1",
        "task-runner",
        "risk-desk 3",
        "MyVeryLongProjectName2024",
        "gpt-4.1-mini-2025-04-14",
        "kubernetes-cluster-prod-eu-west-1",
        "ml • prod",
        "gpt-*",
        "Köln \u2013 Büro",
        "internationalization-team",
        "budget 2026/05",
        "日本語チーム",
        "a",
        "0",
        "v1.2.3",
        "anthropic/claude-sonnet-4.5",
        "team_data_science_2026",
        "eu.prod.chat",
        "Fall 2026: Comp 318",
    ],
)
def test_ordinary_names_are_kept_as_they_are(name: str) -> None:
    """A name that somebody gave a key stays readable."""
    assert clean_text(name, (KEY,)) == name


@pytest.mark.parametrize(
    "shown",
    [
        KEY,
        KEY.upper(),
        f"key {KEY} of ci",
        KEY[:12],
        KEY[-10:],
        f"Key {KEY[10:22]}",
        " ".join(KEY),
        KEY.replace("-", "\u2011"),
        KEY[:9] + "\u200b" + KEY[9:],
        "".join(chr(ord(c) + 0xFEE0) for c in KEY),
    ],
)
def test_the_credential_is_never_shown(shown: str) -> None:
    """A reply that echoes the key, whole, in part or disguised, names nothing."""
    assert clean_text(shown, (KEY,)) is None


@pytest.mark.parametrize(
    "shown", [PLAIN_KEY, "campus-zr8kfq2m-x", "Zr8KfQ", "x Zr8KfQ2m x", "Campus Zr8K fQ2m", "ZR8KFQ2M"]
)
def test_a_credential_without_the_look_of_a_key_is_never_shown(shown: str) -> None:
    """A gateway's own sort of key is recognised by comparison, not by its looks."""
    assert clean_text(shown, (PLAIN_KEY,)) is None


@pytest.mark.parametrize(
    ("shown", "secret"),
    [("Camp", PLAIN_KEY), ("2m-x", PLAIN_KEY), ("2M-X", PLAIN_KEY), ("8207", "x-9-8207"), (8207, "x-9-8207")],
)
def test_the_ends_of_a_credential_are_never_shown(shown: object, secret: str) -> None:
    """Gateways show the last four characters of a key as its name, also where they are digits."""
    assert clean_text(shown, (secret,)) is None


@pytest.mark.parametrize("shown", ["m-x", "team 2m-x", "Zr8K", 207])
def test_less_than_an_end_of_the_credential_is_kept(shown: object) -> None:
    """Three characters, a part of a longer name and four from within say nothing of a key."""
    assert clean_text(shown, (PLAIN_KEY, "x-9-8207")) == str(shown)


def test_names_that_share_little_with_the_credential_are_kept() -> None:
    """A short piece that a name and a key have in common does not hide the name."""
    assert clean_text("Campus", ("campu-s12345678",)) == "Campus"
    assert clean_text("ci-bot", ("",)) == "ci-bot"


@pytest.mark.parametrize(
    "masked",
    [
        "sk-or-v1-abc...123",
        "sk-...IAAw",
        "sk-…IAAw",
        "****1c96",
        "abcd****",
        "••••1c96",
        "abcd…",
        "XXXXXXXX1c96",
        "----1c96",
        "key ending in ..1c96",
        "f1d2….9a",
        "ab⋯yz",
    ],
)
def test_masked_keys_are_dropped(masked: str) -> None:
    """What a gateway shows instead of a key is no name: OpenRouter's label is one."""
    assert clean_text(masked, (PLAIN_KEY,)) is None


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abc",
        "my sk-live-1",
        "pk-abc123",
        "rk-abc123",
        "gsk_abcDEF123",
        "xai-abc123",
        "ghp_abc123",
        "hf_abc123",
        "AIzaSyD-9tSrke72PouQMnMX",
        "eyJhbGciOiJIUzI1NiJ9.e30.abc",
        "Bearer abcdefgh",
        "AKIAABCDEFGHIJKLMNOP",
        "88dc28d0f030c55ed4ab77ed8faf098196cb1c05",
        "0123456789abcdef",
        "550e8400-e29b-41d4-a716-446655440000",
        "user_2abCdEfGh1jK3mNo5",
        "QmFzZTY0RW5jb2RlZA==",
        "JBSWY3DPEHPK3PXP",
        "alice@example.edu",
        "Alice <a@x.org>",
        "alice\uff20example.edu",
        "https://example.edu/x",
        "aa:bb:cc:dd:ee:ff:00:11:22",
    ],
)
def test_other_keys_hashes_ids_and_addresses_are_dropped(secret: str) -> None:
    """Keys of others, hashes, account ids, e-mail addresses and URLs never become labels."""
    assert clean_text(secret, (PLAIN_KEY,)) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  ci-bot\n", "ci-bot"),
        ("ci\x00-\x1bbot\x7f", "ci-bot"),
        ("ci\u202e-bot\u2069", "ci-bot"),
        ("ci\u200b-\ufeffbot", "ci-bot"),
        ("ci\ud800-bot", "ci-bot"),
        ("ci\ue000-bot\U000e0001", "ci-bot"),
        ("two\r\nlines\u2028more", "two lines more"),
        (12345, "12345"),
        (0, "0"),
        ("n" * 100, "n" * 64),
        ("ab " * 40, "ab " * 21 + "a"),
        ("word " * 12 + "abc defgh", "word " * 12 + "abc"),
    ],
)
def test_characters_that_do_not_belong_in_a_label_are_removed(value: Any, text: str) -> None:
    """Labels hold at most 64 visible characters on one line."""
    assert clean_text(value, (KEY,)) == text


@pytest.mark.parametrize("value", [None, "", " \t\n", "\u200b\u202e", True, False, 1.5, [], ["ci-bot"], {}, 10**400])
def test_values_without_text_give_none(value: Any) -> None:
    """Only text and whole numbers can be names; an empty one is none."""
    assert clean_text(value, (KEY,)) is None


def test_messages_may_be_longer_than_names() -> None:
    """An error message keeps 200 characters, since people read it on a page and not in a label."""
    assert clean_message("Insufficient credits. " * 20, (KEY,)) == ("Insufficient credits. " * 20)[:200].rstrip()


@pytest.mark.parametrize(
    "message",
    [
        "Invalid proxy server token. Received API Key = sk-...IAAw, Key Hash (Token) =88dc28d0f030c55ed4ab77",
        f"Key {KEY} is unknown",
        "User alice@example.edu has no budget",
        "x " * 300 + "y" + KEY,
    ],
)
def test_messages_that_quote_a_secret_are_dropped_whole(message: str) -> None:
    """A message that holds a key, a hash or an address anywhere near the part that is shown is not shown."""
    assert clean_message(message, (KEY,)) is None


@given(st.text(max_size=120), st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40))
def test_cleaned_text_is_short_printable_and_free_of_the_credential(text: str, credential: str) -> None:
    """Whatever a gateway answers, a label is short, visible and does not hold the key."""
    cleaned = clean_text(text, (credential,))
    if cleaned is not None:
        assert 1 <= len(cleaned) <= 64
        assert cleaned == cleaned.strip()
        assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") for character in cleaned)
        assert credential.casefold() not in unicodedata.normalize("NFKC", cleaned).casefold()


@given(st.text(max_size=20), st.text(max_size=20))
def test_text_around_the_credential_never_lets_it_through(before: str, after: str) -> None:
    """No text around a key makes it look harmless."""
    assert clean_text(f"{before}{KEY}{after}", (KEY,)) is None


def test_names_that_look_alike_are_one() -> None:
    """An accented letter is the same name whether it came as one character or as two."""
    assert clean_text("caf\u0065\u0301", ()) == clean_text("caf\u00e9", ()) == "caf\u00e9"
