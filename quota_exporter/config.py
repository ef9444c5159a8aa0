"""Config files turned into checked settings, with every problem found on the way."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quota_exporter.document import ConfigProblem, Document, DocumentError, KeyPath, Location, parse_yaml
from quota_exporter.files import FileProblem, FileReader
from quota_exporter.settings import ALIASES, GatewayDefaults, GatewaySettings, Options
from quota_exporter.validation import Place, validate

DEFAULT_PATHS = (Path("quota-exporter.yml"), Path("/etc/quota-exporter/quota-exporter.yml"))

MAX_CONFIG_BYTES = 32 << 20

_STAND_IN_ID = "unnamed"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What gateways inherit, and where it stands; `place` is None when nothing is set."""

    settings: GatewayDefaults
    place: Place | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One gateway as some file describes it, defaults merged in; `inherited` are the keys they gave.

    Without `is_named` its id is missing or wrong: it is good for no more than finding what else is wrong with it.
    """

    settings: GatewaySettings
    place: Place
    defaults: Defaults
    inherited: frozenset[str]
    is_named: bool = True

    def problem(self, message: str, *keys: str | int) -> ConfigProblem:
        """A problem of this entry or of one of its keys, told where that key stands."""
        if keys and keys[0] in self.inherited and self.defaults.place is not None:
            return self.defaults.place.problem(message, *keys)
        return self.place.problem(message, *keys)

    @property
    def location(self) -> Location:
        """Where the entry stands."""
        return self.place.document.location(self.place.key_path)


@dataclass(frozen=True, slots=True)
class Config:
    """What the exporter's own files say; `document` is None when there is no config file.

    `lists_gateways` tells an explicit empty list from no list. `problems` holds all that is wrong; entries
    and options hold what could still be read, so that cross checks find the rest in the same run. `warnings`
    are of what is right and perhaps not meant.
    """

    document: Document | None
    options: Options
    entries: tuple[Entry, ...]
    lists_gateways: bool
    problems: tuple[ConfigProblem, ...]
    warnings: tuple[ConfigProblem, ...] = ()

    @property
    def defaults(self) -> Defaults:
        """What gateways of other files inherit."""
        place = None if self.document is None else Place(self.document, ("defaults",))
        return Defaults(self.options.defaults, place)


def find_config(explicit: Path | None) -> Path | None:
    """The config file to read: the explicit one, else the first default path where something is, else None."""
    if explicit is not None:
        return explicit
    return next((path for path in DEFAULT_PATHS if _is_there(path)), None)


def read_config(path: Path | None, files: FileReader) -> Config:
    """Read the config file and the gateway files that it names; problems are collected, never raised."""
    problems: list[ConfigProblem] = []
    warnings: list[ConfigProblem] = []
    document = None
    if path is not None:
        document = _read_document(path, files, problems, hint="check --config.file")
    if document is None:
        return Config(None, Options(), (), lists_gateways=False, problems=tuple(problems))
    place = Place(document)
    content = {} if document.value is None else document.value
    if not isinstance(content, dict):
        problems.append(place.problem("must be a map with the key `gateways`"))
        content = {}
    options = _read_options(content, place, problems)
    defaults = Defaults(options.defaults, Place(document, ("defaults",)))
    entries = _read_entries(content.get("gateways", []), document, ("gateways",), defaults, problems)
    for gateway_file in _gateway_files(content.get("gateway_files"), options, place, problems, warnings):
        listing = _read_document(gateway_file, files, problems, hint="gateway_files names it")
        if listing is not None:
            values = [] if listing.value is None else listing.value
            entries += _read_entries(values, listing, (), defaults, problems)
    lists_gateways = "gateways" in content or bool(options.gateway_files)
    return Config(document, options, tuple(entries), lists_gateways, tuple(problems), tuple(warnings))


def config_files(path: Path, options: Options) -> list[Path]:
    """The config file and the gateway files that its options name, as they are now on disk."""
    return [path, *(match for pattern in options.gateway_files for match in _matching(pattern, path.parent))]


def read_entry(
    value: Any, document: Document, key_path: KeyPath, defaults: Defaults, problems: list[ConfigProblem]
) -> Entry | None:
    """Check one gateway, and add what is wrong to `problems`.

    An entry with problems comes back without the keys that are wrong, for the checks that are still to come; None
    when it is not even a map.
    """
    place = Place(document, key_path)
    if isinstance(value, dict):
        used = {name: alias for alias, name in ALIASES.items() if alias in value}
        problems += [
            place.problem(f"is {name} once more; keep one of them", alias)
            for name, alias in used.items()
            if name in value
        ]
        if used:
            spelling = {name: alias for alias, name in ALIASES.items() if name not in value}
            place = Place(document, key_path, spelling)
            value = {ALIASES.get(key, key): item for key, item in value.items()}
    own = validate(GatewaySettings, value, place, problems)
    is_named = own is not None
    if own is None and isinstance(value, dict):
        found: list[ConfigProblem] = []
        own = validate(GatewaySettings, {**value, "provider_id": _STAND_IN_ID}, place, found)
        problems += [problem for problem in found if problem not in problems]
    if own is None:
        return None
    inherited = defaults.settings.model_fields_set - own.model_fields_set
    settings = own.model_copy(update={name: getattr(defaults.settings, name) for name in inherited})
    return Entry(settings, place, defaults, frozenset(inherited), is_named)


def _read_entries(
    values: Any, document: Document, key_path: KeyPath, defaults: Defaults, problems: list[ConfigProblem]
) -> list[Entry]:
    if not isinstance(values, list):
        problems.append(Place(document, key_path).problem("must be a list of gateways; write [] for an empty one"))
        return []
    entries = [
        read_entry(value, document, (*key_path, index), defaults, problems) for index, value in enumerate(values)
    ]
    return [entry for entry in entries if entry is not None]


def _read_options(content: dict[str, Any], place: Place, problems: list[ConfigProblem]) -> Options:
    # the defaults on their own, so that one of them that is wrong leaves the others in force
    own = {key: value for key, value in content.items() if key not in ("gateways", "defaults")}
    options = validate(Options, own, place, problems) or Options()
    if "defaults" not in content:
        return options
    inner = Place(place.document, ("defaults",))
    defaults = validate(GatewayDefaults, content["defaults"], inner, problems)
    return options if defaults is None else options.model_copy(update={"defaults": defaults})


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # to be read, and so reported
    return True


def _read_document(path: Path, files: FileReader, problems: list[ConfigProblem], *, hint: str) -> Document | None:
    try:
        document = parse_yaml(files.read_text(path, max_bytes=MAX_CONFIG_BYTES), path)
    except FileProblem as problem:
        problems.append(ConfigProblem(Location(path), "", f"{problem}; {hint}"))
        return None
    except DocumentError as error:
        problems.extend(error.problems)
        return None
    problems.extend(document.problems)
    return document


def _gateway_files(
    listed: Any, options: Options, place: Place, problems: list[ConfigProblem], warnings: list[ConfigProblem]
) -> list[Path]:
    found: dict[Path, None] = {}
    own_path = place.document.path
    for pattern in options.gateway_files:
        index = listed.index(pattern)  # options lack what is wrong in the list
        matches = _matching(pattern, own_path.parent)
        if not matches and glob.has_magic(pattern):
            message = "matches no file; its gateways are watched once there is one and the config is read again"
            warnings.append(place.problem(message, "gateway_files", index))
        elif not matches:
            problems.append(place.problem("names a file that does not exist", "gateway_files", index))
        if any(match.absolute() == own_path.absolute() for match in matches):
            message = "matches this file itself; keep the lists of gateways elsewhere, as in conf.d/*.yml"
            problems.append(place.problem(message, "gateway_files", index))
        found.update((match, None) for match in matches if match.absolute() != own_path.absolute())
    return list(found)


def _matching(pattern: str, folder: Path) -> list[Path]:
    paths = glob.glob(str(Path(pattern).expanduser()), root_dir=folder, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
    return [folder / path for path in sorted(paths)]
