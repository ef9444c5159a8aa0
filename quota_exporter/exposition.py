"""Metric families written in the text format that a scraper asks for."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector


class Format(StrEnum):
    """A text format that the exporter writes; the value is its Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 -- a token of HTTP's grammar
_PARAMETER: Final = rf"({_TOKEN})=({_TOKEN}|\"(?:[^\"\\]|\\.)*\")"
# Each blank can be matched in one place only: else a header of blanks would take exponential time.
_ELEMENT: Final = re.compile(
    rf"[ \t]*(?:(?P<name>{_TOKEN}(?:/{_TOKEN})?)[ \t]*"
    rf"(?P<parameters>(?:;[ \t]*(?:{_PARAMETER}[ \t]*)?)*))?(?:,|\Z)"
)
_PARAMETERS: Final = re.compile(_PARAMETER)
_QUALITY: Final = re.compile(r"0(?:\.[0-9]*)?|1(?:\.0*)?")

# How closely a media range names a format: of several, the closest one's q counts (RFC 9110, 12.5.1).
_TEXT_RANGES: Final = {
    ("text/plain", "0.0.4"): 3,
    ("text/plain", ""): 2,
    ("text/*", ""): 1,
    ("*/*", ""): 0,
}
_OPENMETRICS_RANGES: Final = {
    ("application/openmetrics-text", "1.0.0"): 3,
    ("application/openmetrics-text", "0.0.1"): 2,
    ("application/openmetrics-text", ""): 2,
}


def choose_format(accept: str | None) -> Format:
    """Choose the format for an Accept header; several header lines are given joined by commas.

    OpenMetrics is for those who name it, never for a wildcard, and wins over text of the same q. Everybody else
    gets text, also for an Accept that is malformed or names nothing that the exporter writes.
    """
    ranges = _parse(accept or "")
    if ranges is None:
        return Format.TEXT
    wanted = _quality(ranges, _OPENMETRICS_RANGES)
    return Format.OPENMETRICS if wanted > 0 and wanted >= _quality(ranges, _TEXT_RANGES) else Format.TEXT


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether an Accept-Encoding header allows gzip, by name or by `*`; a malformed one does not."""
    codings = _parse(accept_encoding or "") or []
    return _quality(codings, {("gzip", ""): 1, ("x-gzip", ""): 1, ("*", ""): 0}) > 0


@dataclass(frozen=True, slots=True)
class Families:
    """Ready families as a collector, for `encode`."""

    metrics: Sequence[Metric]

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield from self.metrics


@dataclass(frozen=True, slots=True)
class _Chain:
    collectors: Iterable[Collector]

    def collect(self) -> Iterator[Metric]:
        for collector in self.collectors:
            yield from collector.collect()


def encode(collectors: Iterable[Collector], target: Format) -> bytes:
    """Write what the collectors hold, one after the other, as UTF-8; they must not share a family."""
    if target is Format.OPENMETRICS:
        # Our names need no escaping, so this writes what UNDERSCORES would, without a look at each character.
        body: bytes = openmetrics.generate_latest(  # type: ignore[no-untyped-call]  # not annotated there
            _Chain(collectors), escaping=openmetrics.ALLOWUTF8, version="1.0.0"
        )
        return body
    return generate_latest(_Chain(collectors), escaping=openmetrics.UNDERSCORES)


def compress(body: bytes) -> bytes:
    """Compress with gzip at its fastest level; the same body always gives the same bytes."""
    return gzip.compress(body, compresslevel=1, mtime=0)


@dataclass(frozen=True, slots=True)
class _Choice:
    """One element of an Accept or Accept-Encoding header; `version` is "" when it names none."""

    name: str
    version: str
    quality: float


def _parse(header: str) -> list[_Choice] | None:
    """Elements of the header, or None when it is malformed."""
    choices: list[_Choice] = []
    position = 0
    while position < len(header):
        element = _ELEMENT.match(header, position)
        if element is None:
            return None
        position = element.end()
        name, parameters = element["name"], element["parameters"]
        if name is None:
            continue
        values = {key.lower(): _unquoted(value) for key, value in _PARAMETERS.findall(parameters)}
        quality = values.get("q", "1")
        if _QUALITY.fullmatch(quality) is None:
            return None
        choices.append(_Choice(name.lower(), values.get("version", ""), float(quality)))
    return choices


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _quality(choices: list[_Choice], closeness: dict[tuple[str, str], int]) -> float:
    """Largest q among the choices that name the format most closely; 0 when none does."""
    matching = [
        (closeness[choice.name, choice.version], choice.quality)
        for choice in choices
        if (choice.name, choice.version) in closeness
    ]
    return max(matching, default=(0, 0.0))[1]
