"""Config files turned into checked settings, with every problem found on the way."""

from __future__ import annotations

import difflib
import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from quota_exporter.document import (
    ConfigProblem,
    Document,
    DocumentError,
    KeyPath,
    Location,
    dotted,
    parse_yaml,
)
from quota_exporter.files import FileProblem, FileReader
from quota_exporter.settings import ALIASES, GatewaySettings, Model, Options

DEFAULT_PATHS = (Path("quota-exporter.yml"), Path("/etc/quota-exporter/quota-exporter.yml"))

ModelT = TypeVar("ModelT", bound=Model)

MAX_CONFIG_BYTES = 32 << 20
_MESSAGES = {
    "missing": "is missing; add it",
    "string_type": "must be text; put the value in quotes",
    "int_type": "must be a whole number without quotes",
    "float_type": "must be a number without quotes",
    "bool_type": "must be true or false",
    "model_type": "must be a map of keys",
    "dict_type": "must be a map of keys",
    "list_type": "must be a list; write [] for an empty one",
    "invalid_key": "has a key that is not text; put it in quotes",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One gateway as some file describes it, defaults merged in."""

    settings: GatewaySettings
    document: Document
    key_path: KeyPath

    def problem(self, message: str, *keys: str | int) -> ConfigProblem:
        """A problem of this entry, or of one of its keys."""
        return _problem(self.document, (*self.key_path, *keys), message)

    @property
    def location(self) -> Location:
        """Where the entry stands."""
        return self.document.location(self.key_path)


@dataclass(frozen=True, slots=True)
class Config:
    """What the exporter's own files say; `document` is None when there is no config file.

    `lists_gateways` tells an explicit empty list from no list. `problems` holds all that is wrong; entries
    and options hold what could still be read, so that cross checks find the rest in the same run.
    """

    document: Document | None
    options: Options
    entries: tuple[Entry, ...]
    lists_gateways: bool
    problems: tuple[ConfigProblem, ...]


def find_config(explicit: Path | None) -> Path | None:
    """The config file to read: the explicit one, else the first default path that exists, else None."""
    if explicit is not None:
        return explicit
    return next((path for path in DEFAULT_PATHS if path.is_file()), None)


def read_config(path: Path | None, files: FileReader) -> Config:
    """Read the config file and the gateway files that it names; problems are collected, never raised."""
    if path is None:
        return Config(None, Options(), (), lists_gateways=False, problems=())
    problems: list[ConfigProblem] = []
    document = _read_document(path, files, problems)
    if document is None:
        return Config(None, Options(), (), lists_gateways=False, problems=tuple(problems))
    content = {} if document.value is None else document.value
    if not isinstance(content, dict):
        problems.append(_problem(document, (), "must be a map with the key `gateways`"))
        content = {}
    raw_options = {key: value for key, value in content.items() if key != "gateways"}
    options = validate(Options, raw_options, document, (), problems) or _without_bad_keys(raw_options, document)
    lists_gateways = "gateways" in content or bool(options.gateway_files)
    entries = read_entries(content.get("gateways", []), document, ("gateways",), options, problems)
    for gateway_file in _gateway_files(options, document, problems):
        listing = _read_document(gateway_file, files, problems)
        if listing is not None:
            entries += read_entries(listing.value or [], listing, (), options, problems)
    return Config(document, options, tuple(entries), lists_gateways, tuple(problems))


def config_files(path: Path, options: Options) -> list[Path]:
    """The config file and the gateway files that its options name, as they are now on disk."""
    return [path, *(match for pattern in options.gateway_files for match in _matching(pattern, path.parent))]


def read_entries(
    values: Any, document: Document, key_path: KeyPath, options: Options, problems: list[ConfigProblem]
) -> list[Entry]:
    """Check a list of gateways; the good ones come back, what is wrong is added to `problems`."""
    if not isinstance(values, list):
        problems.append(_problem(document, key_path, "must be a list of gateways; write [] for an empty one"))
        return []
    entries = []
    for index, value in enumerate(values):
        entries += read_entry(value, document, (*key_path, index), options, problems)
    return entries


def read_entry(
    value: Any, document: Document, key_path: KeyPath, options: Options, problems: list[ConfigProblem]
) -> list[Entry]:
    """Check one gateway: a list of one entry, or of none after adding what is wrong to `problems`."""
    settings = validate(GatewaySettings, value, document, key_path, problems)
    if settings is None:
        return []
    inherited = options.defaults.model_fields_set - settings.model_fields_set
    update = {name: getattr(options.defaults, name) for name in inherited}
    return [Entry(settings.model_copy(update=update), document, key_path)]


def validate(
    model: type[ModelT], value: Any, document: Document, key_path: KeyPath, problems: list[ConfigProblem]
) -> ModelT | None:
    """Build a model from a value of a document; None when it has problems, which are added to `problems`."""
    spelling = {}
    if isinstance(value, dict):
        spelling = {name: alias for alias, name in ALIASES.items() if alias in value}
        problems += [
            _problem(document, (*key_path, alias), f"is {name} once more; keep one of them")
            for name, alias in spelling.items()
            if name in value
        ]
        value = {ALIASES.get(key, key): item for key, item in value.items()}
    try:
        return model.model_validate(value, context={"folder": document.path.parent})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            location = tuple(spelling.get(str(part), part) for part in detail["loc"] if part != "[key]")
            problems.append(_problem(document, (*key_path, *location), _message(detail, model)))
        return None


def _read_document(path: Path, files: FileReader, problems: list[ConfigProblem]) -> Document | None:
    try:
        document = parse_yaml(files.read_text(path, max_bytes=MAX_CONFIG_BYTES), path)
    except FileProblem as problem:
        problems.append(ConfigProblem(Location(path, None), "", f"{problem}; check --config.file"))
        return None
    except DocumentError as error:
        problems.extend(error.problems)
        return None
    problems.extend(document.problems)
    return document


def _gateway_files(options: Options, document: Document, problems: list[ConfigProblem]) -> list[Path]:
    found: dict[Path, None] = {}
    for index, pattern in enumerate(options.gateway_files):
        matches = _matching(pattern, document.path.parent)
        if not matches and not glob.has_magic(pattern):
            problems.append(_problem(document, ("gateway_files", index), "names a file that does not exist"))
        found.update(dict.fromkeys(matches))
    return list(found)


def _matching(pattern: str, folder: Path) -> list[Path]:
    # Path.glob takes no absolute patterns
    paths = glob.glob(str(folder / Path(pattern).expanduser()), recursive=True)  # noqa: PTH207
    return [Path(path) for path in sorted(paths)]


def _without_bad_keys(raw: dict[str, Any], document: Document) -> Options:
    """The options that are right, so that cross checks are not misled by defaults."""
    good = {key: value for key, value in raw.items() if validate(Options, {key: value}, document, (), []) is not None}
    return validate(Options, good, document, (), []) or Options()


def _problem(document: Document, key_path: KeyPath, message: str) -> ConfigProblem:
    return ConfigProblem(document.location(key_path), dotted(key_path), message)


def _message(detail: Mapping[str, Any], model: type[Model]) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown_key(str(detail["loc"][-1]), _model_at(model, detail["loc"][:-1]))
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "literal_error":
        return f"must be {detail['ctx']['expected']}"
    return _MESSAGES.get(kind) or str(detail["msg"].replace("Input should be", "must be"))


def _unknown_key(key: str, model: type[BaseModel]) -> str:
    known = list(model.model_fields) + (["gateways"] if model is Options else [])
    nearest = difflib.get_close_matches(key, known, n=1)
    if nearest:
        return f"unknown key; did you mean `{nearest[0]}`?"
    return f"unknown key; known here: {', '.join(sorted(known))}"


def _model_at(model: type[BaseModel], location: tuple[str | int, ...]) -> type[BaseModel]:
    """The model that a pydantic error location leads to, for naming its keys."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next(_models_in(field.annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
