"""API keys: their sources, their precedence, and what is told about them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import SecretStr

from quota_exporter.credentials import Credential, ExplicitKey, KeyCheck, env_name, resolve
from quota_exporter.files import FileReader
from quota_exporter.opencode import OpenCode, candidate_paths
from quota_exporter.quota import KeySource

UNSENDABLE = "holds a space or another character that no API key has; give the key alone"


class Sources:
    """Every place that a key can come from, all empty at first."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = {"HOME": str(home)}
        self.files = FileReader()
        self.opencode: OpenCode | None = OpenCode(candidate_paths({}, "linux", home), self.files, self.environ)
        self.jsonc = home / ".config/opencode/opencode.jsonc"
        self.json = home / ".config/opencode/opencode.json"
        self.auth = home / ".local/share/opencode/auth.json"

    def put(self, source: KeySource, key: str) -> None:
        if source is KeySource.ENV:
            self.environ["CAMPUS_API_KEY"] = key
        elif source is KeySource.AUTH_JSON:
            self.write(self.auth, {"campus": {"type": "api", "key": key}})
        else:
            path = self.jsonc if source is KeySource.OPENCODE_JSONC else self.json
            self.write(path, {"provider": {"campus": {"options": {"apiKey": key}}}})

    def write(self, path: Path, content: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def resolve(self, explicit: ExplicitKey | None = None) -> Credential:
        return resolve("campus", explicit, environ=self.environ, files=self.files, opencode=self.opencode)

    def explicit(self, source: KeySource, value: str) -> Credential:
        return self.resolve(ExplicitKey(source, SecretStr(value)))


USUAL = (KeySource.ENV, KeySource.OPENCODE_JSONC, KeySource.OPENCODE_JSON, KeySource.AUTH_JSON)


@pytest.fixture(name="sources")
def _sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def key_of(credential: Credential) -> str | None:
    return None if credential.key is None else credential.key.get_secret_value()


def outcomes(credential: Credential) -> list[tuple[KeySource, str]]:
    return [(check.source, check.outcome) for check in credential.checked]


# Names


@pytest.mark.parametrize(
    ("provider_id", "name"),
    [
        ("campus", "CAMPUS_API_KEY"),
        ("my-gateway.eu", "MY_GATEWAY_EU_API_KEY"),
        ("a--._b", "A_B_API_KEY"),
        ("a_b", "A_B_API_KEY"),
        ("edge-", "EDGE_API_KEY"),
        ("9router", "_9ROUTER_API_KEY"),
        ("team:Löwe", "TEAM_L_WE_API_KEY"),
    ],
)
def test_a_provider_names_its_variable(provider_id: str, name: str) -> None:
    """Upper case, each run of other characters one underscore, edges trimmed, no digit in front."""
    assert env_name(provider_id) == name


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True))
def test_every_provider_id_names_a_variable_that_a_shell_can_set(provider_id: str) -> None:
    """What a valid id names is a valid name."""
    assert env_name(provider_id).isidentifier()
    assert env_name(provider_id).isascii()


# The usual sources


def test_the_first_source_that_has_a_key_wins(sources: Sources) -> None:
    """Variable, opencode.jsonc, opencode.json, auth.json: each is used when all before it have nothing."""
    for source in reversed(USUAL):
        sources.put(source, f"sk-{source}")
        credential = sources.resolve()
        assert (key_of(credential), credential.source) == (f"sk-{source}", source)
        assert credential.checked[-1].outcome == "found"
    assert sources.resolve().checked == (KeyCheck(KeySource.ENV, "$CAMPUS_API_KEY", "found"),)


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n"])
@pytest.mark.parametrize("position", range(1, 4))
def test_blank_values_never_shadow(position: int, blank: str, sources: Sources) -> None:
    """Sources that are set but blank are passed over and told."""
    for source in USUAL[:position]:
        sources.put(source, blank)
    sources.put(USUAL[position], "sk-1")
    credential = sources.resolve()
    assert (key_of(credential), credential.source) == ("sk-1", USUAL[position])
    told = dict(outcomes(credential))
    assert [told[source] for source in USUAL[:position]] == ["blank"] * position


def test_without_a_key_the_checks_say_where_it_could_be(sources: Sources) -> None:
    """No key is source NONE, with every place that was looked at."""
    sources.write(sources.jsonc, "{}")
    sources.write(sources.auth, {"campus": {"type": "oauth", "access": "sk-1"}})
    assert sources.resolve() == Credential(
        None,
        KeySource.NONE,
        (
            KeyCheck(KeySource.ENV, "$CAMPUS_API_KEY", "not set"),
            KeyCheck(KeySource.OPENCODE_JSONC, str(sources.jsonc), "no entry"),
            KeyCheck(KeySource.AUTH_JSON, str(sources.auth), "entry is of type oauth"),
        ),
    )


def test_opencode_can_be_off(sources: Sources) -> None:
    """Without OpenCode the variable is the only usual source."""
    sources.put(KeySource.AUTH_JSON, "sk-1")
    sources.opencode = None
    assert sources.resolve().checked == (KeyCheck(KeySource.ENV, "$CAMPUS_API_KEY", "not set"),)
    assert key_of(sources.resolve()) is None


@pytest.mark.parametrize("source", USUAL)
def test_keys_are_trimmed(source: KeySource, sources: Sources) -> None:
    """The white space around a key is no part of it."""
    sources.put(source, "  sk-1\r\n")
    assert key_of(sources.resolve()) == "sk-1"


@pytest.mark.parametrize("key", ["sk 1", "sk-1\nX-Evil: 1", "sk-\x00", "sk-\x7f", "ключ", "sk-\u200b1", "“sk-1”"])
@pytest.mark.parametrize("source", USUAL[:3])
def test_a_key_that_cannot_be_sent_ends_the_search(source: KeySource, key: str, sources: Sources) -> None:
    """It was meant as the key: another one would be a guess, and sending this one is impossible."""
    sources.put(KeySource.AUTH_JSON, "sk-other")
    sources.put(source, key)
    credential = sources.resolve()
    assert (credential.key, credential.source) == (None, KeySource.NONE)
    assert outcomes(credential)[-1] == (source, UNSENDABLE)


def test_a_changed_variable_is_seen(sources: Sources) -> None:
    """Nothing is remembered between two look-ups."""
    sources.put(KeySource.AUTH_JSON, "sk-1")
    assert key_of(sources.resolve()) == "sk-1"
    sources.put(KeySource.ENV, "sk-2")
    assert key_of(sources.resolve()) == "sk-2"


# Explicit sources


def test_an_explicit_variable(sources: Sources) -> None:
    """`api_key_env` names the variable that counts."""
    sources.environ["OTHER"] = " sk-1 "
    credential = sources.explicit(KeySource.ENV, "OTHER")
    assert key_of(credential) == "sk-1"
    assert credential.source is KeySource.ENV
    assert credential.checked == (KeyCheck(KeySource.ENV, "$OTHER", "found"),)


def test_an_explicit_file(sources: Sources) -> None:
    """`api_key_file` is read at each look-up, so that a rotated key needs no restart."""
    path = sources.write(sources.home / "key", "\ufeffsk-1\n")
    credential = sources.explicit(KeySource.FILE, str(path))
    assert key_of(credential) == "sk-1"
    assert credential.source is KeySource.FILE
    assert credential.checked == (KeyCheck(KeySource.FILE, str(path), "found"),)
    sources.write(sources.home / "new", "sk-2\n").replace(path)
    assert key_of(sources.explicit(KeySource.FILE, str(path))) == "sk-2"


def test_an_explicit_key(sources: Sources) -> None:
    """`api_key` is the key itself."""
    credential = sources.explicit(KeySource.CONFIG, " sk-1 ")
    assert key_of(credential) == "sk-1"
    assert credential.source is KeySource.CONFIG
    assert credential.checked == (KeyCheck(KeySource.CONFIG, "api_key", "found"),)


def bad_files(home: Path) -> Iterator[tuple[str, str]]:
    yield "absent", "does not exist"
    (home / "directory").mkdir()
    yield "directory", "is a directory"
    os.mkfifo(home / "fifo")
    yield "fifo", "is not a regular file"
    (home / "large").write_text("x" * 70_000)
    yield "large", "is larger than 64 KiB"
    (home / "binary").write_bytes(b"\xff\xfe")
    yield "binary", "is not UTF-8 text"
    (home / "blank").write_text(" \n")
    yield "blank", "blank"
    (home / "two").write_text("sk-1\nsk-2\n")
    yield "two", UNSENDABLE


def test_an_explicit_file_without_a_key_never_falls_through(sources: Sources) -> None:
    """Whatever is wrong with the file, no other key is used, and the outcome says what is wrong."""
    for source in USUAL:
        sources.put(source, "sk-other")
    for name, outcome in bad_files(sources.home):
        path = str(sources.home / name)
        expected = Credential(None, KeySource.NONE, (KeyCheck(KeySource.FILE, path, outcome),))
        assert sources.explicit(KeySource.FILE, path) == expected


@pytest.mark.parametrize(
    ("source", "value", "check"),
    [
        (KeySource.ENV, "ABSENT", KeyCheck(KeySource.ENV, "$ABSENT", "not set")),
        (KeySource.ENV, "BLANK", KeyCheck(KeySource.ENV, "$BLANK", "blank")),
        (KeySource.ENV, "BAD", KeyCheck(KeySource.ENV, "$BAD", UNSENDABLE)),
        (KeySource.CONFIG, " ", KeyCheck(KeySource.CONFIG, "api_key", "blank")),
        (KeySource.CONFIG, "sk 1", KeyCheck(KeySource.CONFIG, "api_key", UNSENDABLE)),
    ],
)
def test_an_explicit_source_without_a_key_never_falls_through(
    source: KeySource, value: str, check: KeyCheck, sources: Sources
) -> None:
    """The same for variables and keys in the config."""
    for usual in USUAL:
        sources.put(usual, "sk-other")
    sources.environ |= {"BLANK": " ", "BAD": "sk\n1"}
    assert sources.explicit(source, value) == Credential(None, KeySource.NONE, (check,))


# Secrecy


def test_no_repr_shows_a_key(sources: Sources, canary: str) -> None:
    """Neither a credential nor its checks nor an explicit source print a key, whether it can be sent or not."""
    shown: list[object] = []
    for key in (canary, f"{canary} x", f"{canary}\u200b"):
        explicit = ExplicitKey(KeySource.CONFIG, SecretStr(key))
        shown += [explicit, str(explicit), sources.resolve(explicit)]
        path = sources.write(sources.home / "key", key)
        shown.append(sources.explicit(KeySource.FILE, str(path)))
        for source in USUAL:
            sources.put(source, key)
        for source in USUAL:
            shown.append(sources.resolve())
            sources.put(source, "")
    assert [each.source for each in shown if isinstance(each, Credential)][:6] == [
        KeySource.CONFIG,
        KeySource.FILE,
        *USUAL,
    ]
    assert canary not in repr(shown)
    assert canary not in str(shown)
