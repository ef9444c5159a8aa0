"""What OpenCode's global files say about gateways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from quota_exporter.document import (
    ConfigProblem,
    Document,
    DocumentError,
    KeyPath,
    Location,
    dotted,
)
from quota_exporter.files import MAX_SECRET_BYTES, FileMissing, FileProblem, FileReader
from quota_exporter.jsonc import parse_jsonc
from quota_exporter.quota import KeySource
from quota_exporter.values import looks_like_key

_GATEWAYS: KeyPath = ("experimental", "quotaToast", "openaiCompatibleGateways")
_CONFIG_NAMES = ("opencode.jsonc", "opencode.json")
_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "text"}
_TEMPLATE = re.compile(r"\{(env|file):([^}]+)\}")
_SKIPPED = "this file of OpenCode is skipped until that is mended"


@dataclass(frozen=True, slots=True)
class OpenCodePaths:
    """Where OpenCode's files may be: absolute paths, in order of precedence, each once."""

    config_files: tuple[Path, ...]
    auth_files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class KeyCandidate:
    """What the file `where` says about one provider's API key; `note` is "found" or why `value` is None."""

    source: KeySource
    where: str
    value: str | None = field(repr=False)
    note: str


def candidate_paths(environ: Mapping[str, str], platform: str, home: Path | None) -> OpenCodePaths:
    """Return where OpenCode keeps its global files on `platform` (as in sys.platform).

    A home or XDG directory that is not absolute is passed over: it would be one of the current project.
    """
    flavour = PureWindowsPath if platform == "win32" else PurePosixPath

    def directory(base: str | PurePath | None, *parts: str) -> PurePath | None:
        path = flavour(str(base or "").strip(), *parts)
        return path if path.is_absolute() else None

    def below(variable: str, *default: str) -> PurePath | None:
        """The directory that `variable` names, else the default one in the home directory."""
        return directory(environ.get(variable)) or directory(home, *default)

    data = [below("XDG_DATA_HOME", ".local", "share")]
    config = [below("XDG_CONFIG_HOME", ".config")]
    if platform == "win32":
        app_data = [below("APPDATA", "AppData", "Roaming"), below("LOCALAPPDATA", "AppData", "Local")]
        data += app_data
        config += app_data
    else:
        data.append(directory(home, ".local", "share"))
        config.append(directory(home, ".config"))
    if platform == "darwin":
        data.append(directory(home, "Library", "Application Support"))
        config.append(directory(home, "Library", "Application Support"))
    data_dirs = [base / "opencode" for base in data if base]
    config_dirs = [base / "opencode" for base in config if base]
    if own := environ.get("OPENCODE_CONFIG_DIR", "").strip():
        own_dir = directory(own) or directory(config[0], "opencode", own)
        config_dirs = [own_dir, *config_dirs] if own_dir else config_dirs
    config_files = [Path(str(base / name)) for base in config_dirs for name in _CONFIG_NAMES]
    auth_files = [Path(str(base / "auth.json")) for base in data_dirs]
    return OpenCodePaths(tuple(dict.fromkeys(config_files)), tuple(dict.fromkeys(auth_files)))


class OpenCode:
    """Answers from OpenCode's files as they are now; missing files are normal, invalid ones are skipped."""

    def __init__(self, paths: OpenCodePaths, files: FileReader, environ: Mapping[str, str]) -> None:
        self._paths = paths
        self._files = files
        self._environ = environ
        every = (*paths.config_files, *paths.auth_files)
        self._parsers = {path: partial(_parse, path=path) for path in every}

    def entries(self) -> tuple[tuple[dict[str, Any], Document, KeyPath], ...]:
        """Return the raw gateway entries of the first config file that lists any, each with where it stands.

        A template in an entry's base URL is resolved; one that yields nothing leaves the entry without it.
        """
        document, gateways = self._gateways()
        if document is None:
            return ()
        return tuple(
            (self._resolved_entry(document, entry), document, (*_GATEWAYS, index))
            for index, entry in enumerate(gateways)
            if isinstance(entry, dict)
        )

    def base_url(self, provider_id: str) -> str | None:
        """Return the first base URL that a config file gives this provider, or None."""
        for document in self._config_documents():
            text, _ = _member(document, ("provider", provider_id, "options", "baseURL"), str)
            url = self._resolve(text, document)[0] if text else None
            if url is not None:
                return url
        return None

    def api_key_sources(self, provider_id: str) -> Iterator[KeyCandidate]:
        """Yield what each existing config file says of the provider's API key, then each auth.json."""
        for path in self._paths.config_files:
            loaded = self._load(path)
            if loaded is not None:
                value, note = self._config_key(loaded, provider_id)
                is_jsonc = path.suffix == ".jsonc"
                source = KeySource.OPENCODE_JSONC if is_jsonc else KeySource.OPENCODE_JSON
                yield KeyCandidate(source, str(path), value, note)
        for path in self._paths.auth_files:
            value, note = _auth_key(self._load(path), provider_id)
            yield KeyCandidate(KeySource.AUTH_JSON, str(path), value, note)

    def problems(self) -> tuple[ConfigProblem, ...]:
        """Return what is wrong with the files: unreadable, bad syntax, or values of the wrong type."""
        found: dict[ConfigProblem | None, None] = {}
        for path in (*self._paths.config_files, *self._paths.auth_files):
            loaded = self._load(path)
            if isinstance(loaded, ConfigProblem):
                found[loaded] = None
            elif loaded is not None:
                is_auth = path in self._paths.auth_files
                found |= dict.fromkeys(_auth_problems(loaded) if is_auth else _config_problems(loaded))
        found |= dict.fromkeys(self._entry_problems())
        return tuple(problem for problem in found if problem is not None)

    def _load(self, path: Path) -> Document | ConfigProblem | None:
        try:
            return self._files.parsed(path, self._parsers[path])
        except FileMissing:
            return None
        except FileProblem as problem:
            return ConfigProblem(Location(path), "", f"{problem}; {_SKIPPED}")

    def _config_documents(self) -> Iterator[Document]:
        for path in self._paths.config_files:
            loaded = self._load(path)
            if isinstance(loaded, Document):
                yield loaded

    def _gateways(self) -> tuple[Document | None, list[Any]]:
        for document in self._config_documents():
            gateways, _ = _member(document, _GATEWAYS, list)
            if gateways is not None:
                return document, gateways
        return None, []

    def _resolved_entry(self, document: Document, entry: dict[str, Any]) -> dict[str, Any]:
        resolved = {}
        for key, value in entry.items():
            if key in ("baseURL", "base_url") and isinstance(value, str):
                url, _ = self._resolve(value, document)
                if url is not None:
                    resolved[key] = url
            else:
                resolved[key] = value
        return resolved

    def _entry_problems(self) -> Iterator[ConfigProblem]:
        document, gateways = self._gateways()
        if document is None:
            return
        for index, entry in enumerate(gateways):
            here = (*_GATEWAYS, index)
            if not isinstance(entry, dict):
                yield _problem(document, here, 'must be an object such as {"providerId": "campus"}')
                continue
            for key in ("baseURL", "base_url"):
                if isinstance(entry.get(key), str):
                    url, note = self._resolve(entry[key], document)
                    if url is None:
                        yield _problem(document, (*here, key), f"gives no URL: {note}")

    def _config_key(self, loaded: Document | ConfigProblem, provider_id: str) -> tuple[str | None, str]:
        if isinstance(loaded, ConfigProblem):
            return None, "is not valid"
        text, problem = _member(loaded, ("provider", provider_id, "options", "apiKey"), str)
        if text is None:
            return None, "entry is not valid" if problem else "no entry"
        return self._resolve(text, loaded)

    def _resolve(self, text: str, document: Document) -> tuple[str | None, str]:
        """Return the value that OpenCode's `text` stands for, None when it is blank, and a note on it."""
        template = _TEMPLATE.fullmatch(text.strip())
        if template is None:
            if _TEMPLATE.search(text):
                return None, "{env:...} and {file:...} are read only where they are the whole value"
            return _not_blank(text, "blank")
        kind, name = template[1], template[2].strip()
        if kind == "env":
            value = self._environ.get(name)
            shown = "the variable" if looks_like_key(name) else f"${name}"
            return (None, f"{shown} is not set") if value is None else _not_blank(value, f"{shown} is blank")
        return self._resolve_file(name, document)

    def _resolve_file(self, name: str, document: Document) -> tuple[str | None, str]:
        path = document.path.parent / name
        shown = "the file" if looks_like_key(name) else str(path)
        if name.startswith("~/"):
            home = Path(self._environ.get("HOME") or self._environ.get("USERPROFILE") or "")
            if not home.is_absolute():
                return None, f"{name}: the home directory is not known"
            path = home / name.removeprefix("~/")
            shown = str(path)
        try:
            text = self._files.read_text(path, max_bytes=MAX_SECRET_BYTES)
        except FileProblem as problem:
            return None, f"{shown} {problem}"
        return _not_blank(text, f"{shown} is blank")


def _parse(text: str, path: Path) -> Document | ConfigProblem:
    # An error is a value here, so that a broken file is not parsed again at every poll.
    try:
        return parse_jsonc(text, path)
    except DocumentError as error:
        problem = error.problems[0]
        return ConfigProblem(problem.location, "", f"{problem.message}; {_SKIPPED}")


def _not_blank(text: str, note: str) -> tuple[str | None, str]:
    text = text.strip()
    return (text, "found") if text else (None, note)


def _member(document: Document, key_path: KeyPath, kind: type) -> tuple[Any, ConfigProblem | None]:
    """Return the member at `key_path`, None when it is missing, null or not of `kind`, which is a problem."""
    value = document.value
    for depth, key in enumerate(key_path):
        if value is None:
            return None, None
        if not isinstance(value, dict):
            return None, _problem(document, key_path[:depth], "must be an object")
        value = value.get(key)
    if value is None or isinstance(value, kind):
        return value, None
    return None, _problem(document, key_path, f"must be {_KINDS[kind]}")


def _problem(document: Document, key_path: KeyPath, message: str) -> ConfigProblem:
    return ConfigProblem(document.location(key_path), dotted(key_path), message)


def _config_problems(document: Document) -> Iterator[ConfigProblem | None]:
    yield _member(document, _GATEWAYS, list)[1]
    providers, problem = _member(document, ("provider",), dict)
    yield problem
    for provider_id in providers or ():
        for option in ("apiKey", "baseURL"):
            yield _member(document, ("provider", provider_id, "options", option), str)[1]


def _auth_problems(document: Document) -> Iterator[ConfigProblem | None]:
    entries, problem = _member(document, (), dict)
    yield problem
    for provider_id, entry in (entries or {}).items():
        if not isinstance(entry, dict):
            yield _problem(document, (provider_id,), "must be an object")
        elif entry.get("type") == "api":
            yield _member(document, (provider_id, "key"), str)[1]


def _auth_key(loaded: Document | ConfigProblem | None, provider_id: str) -> tuple[str | None, str]:
    if loaded is None:
        return None, "does not exist"
    if isinstance(loaded, ConfigProblem):
        return None, "is not valid"
    entry, problem = _member(loaded, (provider_id,), dict)
    if entry is None:
        return None, "entry is not valid" if problem else "no entry"
    kind = entry.get("type")
    if kind in ("oauth", "wellknown"):
        return None, f"entry is of type {kind}"
    if kind != "api" or not isinstance(entry.get("key"), str):
        return None, "entry is not valid"
    return _not_blank(entry["key"], "blank")
