"""Which mapping a gateway entry means, with what the entry overrides in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from quota_exporter.config import Config, Entry
from quota_exporter.document import ConfigProblem
from quota_exporter.endpoints import auth_of
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.presets import load_preset, preset_names
from quota_exporter.reply_text import clean_text


class MappingChoice:
    """The config's own mappings, which go before presets of the same name, and the presets."""

    def __init__(self, config: Config) -> None:
        content = None if config.document is None else config.document.value
        declared = content.get("mappings") if isinstance(content, dict) else None
        # also those with problems, which are told where they stand and not at each gateway once more
        self._declared = frozenset(declared) if isinstance(declared, dict) else frozenset()
        self._mappings = dict(config.options.mappings)
        self._names = sorted({*self._mappings, *preset_names()})
        self._overridden: dict[tuple[object, ...], ReplyMapping] = {}

    def of(self, entry: Entry, problems: list[ConfigProblem]) -> ReplyMapping | None:
        """Return the entry's mapping; None, with the reason in `problems`, when there is none to use."""
        settings = entry.settings
        name = settings.mapping
        if name not in self._names:
            if name not in self._declared:
                problems.append(entry.problem(f"unknown mapping{quoted(name)}; {self._hint(name)}", "mapping"))
            return None
        if name not in self._mappings:
            self._mappings[name] = load_preset(name)
        mapping = self._mappings[name]
        misfits = list(_misfits(entry, mapping))
        if misfits:
            problems += misfits
            return None
        key = (name, settings.currency, *sorted(settings.units.items()))
        if key not in self._overridden:
            self._overridden[key] = mapping.with_overrides(currency=settings.currency, units=settings.units)
        return self._overridden[key]

    def _hint(self, name: str) -> str:
        nearest = difflib.get_close_matches(name, self._names, n=1)
        if nearest:
            return f"did you mean `{nearest[0]}`?"
        return "write one of `mappings`, or one that `quota-exporter presets` lists"


def _misfits(entry: Entry, mapping: ReplyMapping) -> Iterator[ConfigProblem]:
    """What the entry sets that its mapping cannot take."""
    settings = entry.settings
    for unit in settings.units:
        if unit not in mapping.units:
            known = f"known: {', '.join(sorted(mapping.units))}" if mapping.units else "it has none, so remove it"
            yield entry.problem(f"is not a unit of the mapping {mapping.name}; {known}", "units", unit)
    key_headers = {auth_of(mapping, request, settings.auth).header.lower() for request in mapping.steps}
    for name in settings.headers:
        if name.lower() in key_headers:
            yield entry.problem("is the header that carries the API key; choose another one", "headers", name)


def quoted(name: str) -> str:
    """A name for the end of a phrase, or nothing where it may be a key that went astray."""
    shown = clean_text(name, ())
    return " given here" if shown is None else f" {shown!r}"
