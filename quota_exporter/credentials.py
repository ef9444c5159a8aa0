"""Which API key a gateway uses, with what was checked to find it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from quota_exporter.files import MAX_SECRET_BYTES, FileProblem, FileReader
from quota_exporter.opencode import KeyCandidate, OpenCode
from quota_exporter.quota import KeySource

_UNSENDABLE = "holds a space or another character that no API key has; give the key alone"
_SENDABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """One place that was looked at for an API key, and what was there; never the key."""

    source: KeySource
    where: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Credential:
    """The API key of one gateway; `key` is None exactly when `source` is NONE."""

    key: SecretStr | None
    source: KeySource
    checked: tuple[KeyCheck, ...]


@dataclass(frozen=True, slots=True)
class ExplicitKey:
    """The source that a gateway's entry names.

    `value` is the name of a variable (ENV), an absolute path (FILE) or the key itself (CONFIG).
    """

    source: KeySource
    value: SecretStr


def env_name(provider_id: str) -> str:
    """Return the variable that holds the key of `provider_id`: campus-eu is CAMPUS_EU_API_KEY."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", provider_id).strip("_").upper()
    return f"_{name}_API_KEY" if name[:1].isdigit() else f"{name}_API_KEY"


def resolve(
    provider_id: str,
    explicit: ExplicitKey | None,
    *,
    environ: Mapping[str, str],
    files: FileReader,
    opencode: OpenCode | None,
) -> Credential:
    """Return the first key that is not blank, read anew from its source.

    An explicit source is the only one that is looked at. A key with a character that no key has ends the
    search: it is set, so to use another one would be a guess.
    """
    if explicit is None:
        candidates = _usual_sources(provider_id, environ, opencode)
    else:
        candidates = iter([_explicit_source(explicit, environ, files)])
    checked: list[KeyCheck] = []
    for candidate in candidates:
        key = (candidate.value or "").strip()
        sendable = _SENDABLE.fullmatch(key) is not None
        outcome = _UNSENDABLE if key and not sendable else candidate.note
        checked.append(KeyCheck(candidate.source, candidate.where, outcome))
        if sendable:
            return Credential(SecretStr(key), candidate.source, tuple(checked))
        if key:
            break
    return Credential(None, KeySource.NONE, tuple(checked))


def _usual_sources(provider_id: str, environ: Mapping[str, str], opencode: OpenCode | None) -> Iterator[KeyCandidate]:
    yield _variable(env_name(provider_id), environ)
    if opencode is not None:
        yield from opencode.api_key_sources(provider_id)


def _explicit_source(explicit: ExplicitKey, environ: Mapping[str, str], files: FileReader) -> KeyCandidate:
    value = explicit.value.get_secret_value()
    if explicit.source is KeySource.ENV:
        return _variable(value, environ)
    if explicit.source is KeySource.FILE:
        try:
            text = files.read_text(Path(value), max_bytes=MAX_SECRET_BYTES)
        except FileProblem as problem:
            return KeyCandidate(KeySource.FILE, value, None, str(problem))
        return _candidate(KeySource.FILE, value, text)
    return _candidate(KeySource.CONFIG, "api_key", value)


def _variable(name: str, environ: Mapping[str, str]) -> KeyCandidate:
    if name not in environ:
        return KeyCandidate(KeySource.ENV, f"${name}", None, "not set")
    return _candidate(KeySource.ENV, f"${name}", environ[name])


def _candidate(source: KeySource, where: str, value: str) -> KeyCandidate:
    return KeyCandidate(source, where, value, "found" if value.strip() else "blank")
