"""What people are told of the presets: rows for a table, a page of the documentation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from quota_exporter.bucket_language import BucketRule
from quota_exporter.endpoints import request_urls
from quota_exporter.humanize import counted
from quota_exporter.mapping_language import About, ReplyMapping
from quota_exporter.presets import load_preset, preset_names
from quota_exporter.quota import Kind

_WIDTH = 120
_PATH = "/PATH"  # of a preset that leaves it to the gateway's entry; its description says what belongs there
_INTRODUCTION = """\
# Presets

<!-- Made from quota_exporter/data/presets by `make presets-page`: change those files, not this one. -->

A preset is a mapping that ships with quota-exporter. Each section below begins with the lines that go into
`quota-exporter.yml`; the key is found as for [any gateway](../README.md#where-the-api-key-comes-from).
`quota-exporter presets NAME` prints a preset, [mappings.md](mappings.md) explains its language and how a gateway's
entry changes single things of it.

Confidence says how well the replies are known. High: recorded, or from source code or a reference that shows them.
Medium: from clients that read them, or with a detail that nobody documents. Low: from hearsay. Unless it is high,
compare the first numbers with what the gateway itself shows. All requests only read.
"""


def all_presets() -> tuple[ReplyMapping, ...]:
    """Load every preset, sorted by name."""
    return tuple(map(load_preset, preset_names()))


def presets_table(presets: Iterable[ReplyMapping]) -> tuple[tuple[str, str, str], ...]:
    """Return name, title and confidence of each preset; ValueError for one without `about`."""
    return tuple((preset.name, _about(preset).title, _about(preset).confidence) for preset in presets)


def config_entry(preset: ReplyMapping) -> str:
    """Return the YAML of a config that watches one gateway with a preset; ValueError for one without `about`."""
    name, path = preset.name, _path(preset)
    lines = ["gateways:", f"  - provider_id: {name}", f"    base_url: {_base_url(preset)}", f"    mapping: {name}"]
    return "\n".join([*lines, *([] if path is None else [f"    quota_path: {path}"]), ""])


def presets_page(presets: Sequence[ReplyMapping]) -> str:
    """Return the page in Markdown: a table of all presets, then a section for each.

    ValueError for a preset without `about`.
    """
    table = [
        "| preset | for | `base_url` | API key | confidence | buckets |",
        "|---|---|---|---|---|---|",
        *map(_row, presets),
    ]
    return "\n".join([_INTRODUCTION, *table, *map(_section, presets)])


def _about(preset: ReplyMapping) -> About:
    if preset.about is None:
        raise ValueError(f"the preset {preset.name} has no `about`; add it to its file")
    return preset.about


def _base_url(preset: ReplyMapping) -> str:
    # a placeholder such as <account id> is no part of a URL
    return re.sub(r"<([^<>]+)>", lambda match: re.sub(r"\W+", "_", match[1]).upper(), _about(preset).base_url)


def _path(preset: ReplyMapping) -> str | None:
    first = preset.steps[0]
    return _PATH if first.path is None and first.url is None else None


def _row(preset: ReplyMapping) -> str:
    about = _about(preset)
    kinds = ", ".join(dict.fromkeys(map(_kind, _rules(preset))))
    cells = (
        f"[`{preset.name}`](#{preset.name})",
        _prose(about.title),
        f"`{_base_url(preset)}`",
        _prose(about.key),
        about.confidence,
        kinds if preset.children is None else f"of each key: {kinds}",
    )
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _section(preset: ReplyMapping) -> str:
    about = _about(preset)
    requests = _requests(preset)
    whose = "The reply gives" if preset.children is None else "Each key of the list becomes a gateway, with"
    return "\n".join(
        [
            f"\n## {preset.name}\n",
            textwrap.fill(_prose(f"{about.title}. {preset.description}"), _WIDTH, break_on_hyphens=False),
            f"\n```yaml\n{config_entry(preset)}```\n",
            f"- API key: {_prose(about.key)}",
            *map("- {}".format, _settings(preset)),
            f"- known from: {_prose(about.source)}; confidence {about.confidence}",
            f"\nIt makes {counted(len(requests), 'request')}:\n",
            *map("- {}".format, requests),
            f"\n{whose} {counted(len(_rules(preset)), 'sort')} of bucket:\n",
            *map("- {}".format, map(_bucket, _rules(preset))),
        ]
    )


def _settings(preset: ReplyMapping) -> Iterable[str]:
    if preset.auth is not None:
        yield f"sent as: `{preset.auth.header}: {f'{preset.auth.scheme} <key>'.strip()}`"
    if preset.min_interval:
        yield f"asked at most once in {preset.min_interval:g} seconds (`min_interval`)"
    for unit, per in preset.units.items():
        yield f"{per:g} `{unit}` of the reply are one (`units`)"


def _requests(preset: ReplyMapping) -> list[str]:
    urls = request_urls(preset, base_url=_base_url(preset), quota_path=_path(preset))
    lines = []
    for request, url in zip(preset.steps, urls, strict=True):
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        notes = []
        if request.url is not None:
            notes.append(f"asks {urlsplit(url).netloc}, whatever `base_url` says")
        if request.pages is not None:
            notes.append("page after page")
        if request.where is not None or request.values:
            notes.append("when an earlier reply calls for it")
        if request.optional:
            notes.append("optional")
        address = f"`{request.method} {url}{f'?{query}' if query else ''}`"
        lines.append(", ".join([address, *notes]))
    return lines


def _bucket(rule: BucketRule) -> str:
    name = f"`{rule.literal_name}`"
    if rule.name_from is not None:
        name = "named by the reply" if rule.name is None else f"{name} with a name from the reply"
    values = [key for key in ("limit", "used", "remaining", "window", "resets_at") if getattr(rule, key) is not None]
    several = "" if rule.each is None else ", one for each item"
    unlimited = "" if rule.unlimited is None else ", may be unlimited"
    return f"{name}, {_kind(rule)}: {', '.join(map('`{}`'.format, values))}{several}{unlimited}"


def _kind(rule: BucketRule) -> str:
    if rule.kind is None:
        return "any kind"
    if rule.kind is not Kind.COST:
        return rule.kind.value
    return f"cost in {rule.currency}" if rule.currency_from is None else "cost in the reply's currency"


def _rules(preset: ReplyMapping) -> Sequence[BucketRule]:
    return preset.buckets if preset.children is None else preset.children.buckets


def _prose(text: str) -> str:
    """Return text in which Markdown takes no `<` for HTML, but for what stands in backticks, where it cannot."""
    return re.sub(r"(`[^`]*`)|<", lambda match: match[1] or "&lt;", text)
