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
        self._mappings = {
            name: mapping
            for name, mapping in config.options.mappings.items()
            if not any(problem.key.startswith(f"mappings.{name}.") for problem in config.problems)
        }
        self._names = sorted({*config.options.mappings, *preset_names()})
        self._overridden: dict[tuple[object, ...], ReplyMapping] = {}

    def of(self, entry: Entry, problems: list[ConfigProblem]) -> ReplyMapping | None:
        """Return the entry's mapping; None, with the reason in `problems`, when there is none to use."""
        settings = entry.settings
        name = settings.mapping
        if name in self._declared and name not in self._mappings:
            return None
        if name not in self._names:
            problems.append(entry.problem(f"unknown mapping{quoted(name)}; {self._hint(name)}", "mapping"))
            return None
        if name not in self._mappings:
            self._mappings[name] = load_preset(name)
        mapping = self._mappings[name]
        misfits = list(_misfits(entry, mapping))
        if misfits:
            problems += misfits
            return None
        units = {unit: size for unit, size in settings.units.items() if unit in mapping.units}
        key = (name, settings.currency, *sorted(units.items()))
        if key not in self._overridden:
            self._overridden[key] = mapping.with_overrides(currency=settings.currency, units=units)
        return self._overridden[key]

    def _hint(self, name: str) -> str:
        nearest = difflib.get_close_matches(name, self._names, n=1)
        if nearest:
            return f"did you mean `{nearest[0]}`?"
        return "write one of `mappings`, or one that `quota-exporter presets` lists"


def _misfits(entry: Entry, mapping: ReplyMapping) -> Iterator[ConfigProblem]:
    """What the entry sets that its mapping cannot take; what it inherits is for the gateways that can."""
    settings = entry.settings
    own = settings.model_fields_set - entry.inherited
    for unit in settings.units if "units" in own else ():
        if unit not in mapping.units:
            known = f"known: {', '.join(sorted(mapping.units))}" if mapping.units else "it has none, so remove it"
            yield entry.problem(f"is not a unit of the mapping {mapping.name}; {known}", "units", unit)
    if "currency" in own and settings.currency is not None and not mapping.has_currency:
        message = f"has no meaning: the mapping {mapping.name} has no buckets of kind cost; remove it"
        yield entry.problem(message, "currency")
    if "max_children" in own and settings.max_children is not None and mapping.children is None:
        message = f"has no meaning: the mapping {mapping.name} lists no keys; remove it"
        yield entry.problem(message, "max_children")
    key_headers = {auth_of(mapping, request, settings.auth).header.lower() for request in mapping.steps}
    for name in settings.headers:
        if name.lower() in key_headers:
            yield entry.problem("is the header that carries the API key; choose another one", "headers", name)


def quoted(name: str) -> str:
    """A name for the end of a phrase, or nothing where it may be a key that went astray."""
    shown = clean_text(name, ())
    return " given here" if shown is None else f" {shown!r}"
