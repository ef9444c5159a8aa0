"""The page of presets is current, complete and usable as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quota_exporter.config import read_config
from quota_exporter.document import parse_yaml
from quota_exporter.files import FileReader
from quota_exporter.mapping_language import ReplyMapping, load_mapping
from quota_exporter.preset_page import all_presets, config_entry, presets_page, presets_table
from quota_exporter.presets import load_preset, preset_names
from quota_exporter.roster import build_roster

PAGE = Path(__file__).resolve().parents[2] / "docs" / "presets.md"

OWN = """\
name: campus
description: The budget of `<one>` key <of many>.
about:
  title: Campus | own
  source: a guess
  confidence: low
  base_url: https://llm.example.edu/<team id>/v1
  key: the team's key
requests:
  - id: key
    path: /key/info
    root: true
    query: {full: "true"}
  - id: team
    url: https://teams.example.edu/budget
    values: {team: key.team}
    query: {team: "{team}"}
    optional: true
  - id: list
    path: /list
    pages: {query: page, size: 10, items: data}
auth: {header: X-Key, scheme: ""}
min_interval: 90s
units: {cent: 100}
buckets:
  - {kind: tokens, limit: key.limit, unlimited: null_limit, used: key.used}
  - {kind: cost, currency: EUR, each: list, name: model, name_from: id, used: used, unit: cent, window: period}
  - {kind: cost, currency: EUR, currency_from: team.currency, name_from: team.name, remaining: team.left}
"""


def preset(text: str) -> ReplyMapping:
    return load_mapping(parse_yaml(text, Path("campus.yaml")))


def section(page: str, name: str) -> str:
    return page.split(f"\n## {name}\n")[1].split("\n## ", maxsplit=1)[0]


@pytest.mark.skipif(not PAGE.is_file(), reason="docs is not part of the wheel")
def test_the_page_is_current() -> None:
    """docs/presets.md is what the preset files say now."""
    is_current = PAGE.read_text(encoding="utf-8") == presets_page(all_presets())
    assert is_current, "run: make presets-page"


@pytest.mark.parametrize("name", preset_names())
def test_each_entry_works_as_it_stands(name: str, tmp_path: Path) -> None:
    """The lines that a section shows are a config without problems, which asks where the section says."""
    path = tmp_path / "quota-exporter.yml"
    page = section(presets_page([load_preset(name)]), name)
    (entry,) = re.findall(r"(?ms)^```yaml\n(.*?)^```", page)
    path.write_text(entry, encoding="utf-8")
    config = read_config(path, FileReader())
    roster = build_roster(config, None, environ={}, files=FileReader())

    assert entry == config_entry(load_preset(name))
    assert (config.problems, roster.errors) == ((), ())
    assert [plan.settings.provider_id for plan in roster.plans] == [name]


def test_a_section_tells_what_one_needs_to_know() -> None:
    """Description, key, source, how the key is sent, each request and each bucket are told, each on its line."""
    lines = section(presets_page([preset(OWN)]), "campus").splitlines()

    assert "Campus | own. The budget of `<one>` key &lt;of many>." in lines
    assert lines[lines.index("```yaml") + 3] == "    base_url: https://llm.example.edu/TEAM_ID/v1"
    assert [line for line in lines if line.startswith("- ")] == [
        "- API key: the team's key",
        "- sent as: `X-Key: <key>`",
        "- asked at most once in 90 seconds (`min_interval`)",
        "- 100 `cent` of the reply are one (`units`)",
        "- known from: a guess; confidence low",
        "- `GET https://llm.example.edu/TEAM_ID/key/info?full=true`",
        (
            "- `GET https://teams.example.edu/budget?team={team}`, asks teams.example.edu, whatever `base_url` says, "
            "when an earlier reply calls for it, optional"
        ),
        "- `GET https://llm.example.edu/TEAM_ID/v1/list`, page after page",
        "- `default`, tokens: `limit`, `used`, may be unlimited",
        "- `model` with a name from the reply, cost in EUR: `used`, `window`, one for each item",
        "- named by the reply, cost in the reply's currency: `remaining`",
    ]


def test_the_overview_has_a_row_for_each_preset() -> None:
    """The table names every preset, links to its section, and no text of a preset breaks it."""
    page = presets_page([preset(OWN), load_preset("openrouter-keys")])
    rows = [line for line in page.splitlines() if line.startswith("| [")]

    assert rows[0] == (
        "| [`campus`](#campus) | Campus &#124; own | `https://llm.example.edu/TEAM_ID/v1` | the team's key | low "
        "| tokens, cost in EUR, cost in the reply's currency |"
    )
    assert "| of each key: cost in USD |" in rows[1]
    assert {row.count("|") for row in rows} == {7}


def test_the_table_of_the_command_line_names_all_presets() -> None:
    """The rows that the command line prints hold name, title and confidence of every preset."""
    rows = presets_table(all_presets())

    assert [name for name, _, _ in rows] == list(preset_names())
    assert all(title and confidence in ("high", "medium", "low") for _, title, confidence in rows)


def test_a_preset_that_tells_nothing_of_itself_is_refused() -> None:
    """A preset without `about` would make an empty section, so the page says which one lacks it."""
    bare = preset("name: bare\npath: /quota\nbuckets: [{kind: tokens, used: used}]\n")
    with pytest.raises(ValueError, match="the preset bare has no `about`"):
        presets_page([bare])


def test_a_preset_that_leaves_the_path_open_asks_for_it() -> None:
    """The entry of a preset without a path has the key under which the path belongs."""
    open_path = preset(OWN.replace("    path: /key/info\n", ""))

    assert config_entry(open_path).splitlines()[-1] == "    quota_path: /PATH"
