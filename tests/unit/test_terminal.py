"""Reports drawn for a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len
from rich.console import Console

from quota_exporter.terminal import print_oldest_age, print_reports

NOW = 1_767_225_600.0
ROOM = 200


def draw(*reports: dict[str, Any], width: int = ROOM, colour: bool = False) -> list[str]:
    """The lines that `print_reports` writes to a terminal of this many cells, without trailing blanks."""
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        highlight=False,
        soft_wrap=True,
        force_terminal=colour,
        color_system="standard" if colour else None,
        _environ={},
    )
    print_reports(console, reports, now=NOW)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def bucket(kind: str = "tokens", name: str = "default", **values: Any) -> dict[str, Any]:
    blank = dict.fromkeys(("currency", "limit", "used", "remaining", "limited", "resets_at", "remaining_ratio"))
    if kind == "cost":
        blank["currency"] = "USD"
    return {"kind": kind, "name": name, "window_seconds": None, **blank, **values}


def report(provider_id: str, *buckets: dict[str, Any], **values: Any) -> dict[str, Any]:
    reading = {"ok": True, "age_seconds": 0.5, "dropped": []}
    quota = {"key_name": None, "expires_at": None, "children": None, "buckets": list(buckets)}
    return {
        "provider_id": provider_id,
        "parent": None,
        "key_source": "env",
        "checked": [],
        "reading": reading,
        "quota": quota,
        **values,
    }


def failing(provider_id: str, reason: str, **values: Any) -> dict[str, Any]:
    reading = {
        "ok": False,
        "age_seconds": 0.5,
        "dropped": [],
        "reason": reason,
        "meaning": "it refused the API key",
        "detail": "HTTP 401",
        "action": "Check that the key is current.",
    }
    return report(provider_id, **{"quota": None, "reading": reading, **values})


def cells(line: str) -> list[str]:
    """The columns of a row, which two blanks or more part."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.mark.parametrize(
    ("one", "row"),
    [
        (bucket(limit=5e6, remaining=4.75e6, remaining_ratio=0.95), ["tokens", "4,750,000", "██████████ 95%"]),
        (bucket("cost", limit=5, remaining=4.5, remaining_ratio=0.9), ["cost", "4.50 USD", "█████████░ 90%"]),
        (bucket("requests", remaining=1, remaining_ratio=0.5), ["requests", "1", "█████░░░░░ 50%"]),
        (bucket("credits", "team", remaining=3), ["credits team", "3"]),
        (bucket(limit=10, used=10, remaining=0, remaining_ratio=0), ["tokens", "0", "░░░░░░░░░░ 0%"]),
        (bucket(limit=10, used=15, remaining=-5, remaining_ratio=-0.5), ["tokens", "-5", "░░░░░░░░░░ -50%"]),
        (
            bucket("cost", currency="EUR", remaining=-0.75, remaining_ratio=-0.15),
            ["cost", "-0.75 EUR", "░░░░░░░░░░ -15%"],
        ),
        (bucket(limit=5, remaining=10, remaining_ratio=2), ["tokens", "10", "██████████ 200%"]),
        (bucket(limit=0, used=0, remaining=0), ["tokens", "0"]),
        (bucket(limited=False, used=250_000), ["tokens", "unlimited", "250,000 used"]),
        (bucket("cost", limited=False, used=0), ["cost", "unlimited", "0.00 USD used"]),
        (bucket(limited=False), ["tokens", "unlimited"]),
        (bucket(used=1234), ["tokens", "not said", "1,234 used"]),
        (bucket(limit=1234), ["tokens", "not said"]),
        (bucket("cost", remaining=12.5), ["cost", "12.50 USD"]),
        (bucket(remaining=1, resets_at=NOW + 93_600), ["tokens", "1", "1 d 2 h"]),
        (bucket(remaining=1, resets_at=NOW), ["tokens", "1", "0 s"]),
        (bucket(remaining=1, resets_at=NOW - 1), ["tokens", "1", "overdue"]),
    ],
)
def test_a_bucket_is_a_row(one: dict[str, Any], row: list[str]) -> None:
    """What is left stands in figures and as a bar; unlimited and unknown are words, never numbers."""
    header, line = draw(report("campus", one))
    assert cells(header) == ["GATEWAY", "KEY", "BUCKET", "LEFT", "REFILLS IN"]
    assert cells(line) == ["campus", "env", *row]


@pytest.mark.parametrize(
    ("ratio", "colour"), [(0.2, 32), (0.199, 33), (0.05, 33), (0.049, 31), (0.0, 31), (-3.0, 31), (1.5, 32)]
)
def test_the_colour_of_a_bar_warns(ratio: float, colour: int) -> None:
    """Green turns to yellow below a fifth and to red below a twentieth."""
    (line,) = [
        line for line in draw(report("campus", bucket(remaining=1, remaining_ratio=ratio)), colour=True) if "%" in line
    ]
    assert f"\x1b[{colour}m" in line


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_a_bar_has_ten_cells(ratio: float) -> None:
    """Whatever the ratio, the bar is ten cells long, and full only where nine tenths and more are left."""
    _, line = draw(report("campus", bucket(remaining=1, remaining_ratio=ratio)))
    filled, empty = line.count("█"), line.count("░")
    assert filled + empty == 10
    assert abs(filled - 10 * min(max(ratio, 0), 1)) <= 0.5


def test_a_gateway_that_was_never_polled() -> None:
    """Before the first poll there is a row that says so, and no trouble."""
    assert [cells(line) for line in draw(report("campus", reading=None, quota=None))[1:]] == [
        ["campus", "env", "-", "-", "not polled yet"]
    ]


def test_a_failure_is_a_row_and_advice() -> None:
    """A gateway that fails keeps its row, with the reason; below stand why, in whose words and what to do."""
    assert draw(failing("campus", "unauthorized"), report("lab", bucket(remaining=1)))[1:] == [
        "campus   env  -          -  unauthorized",
        "lab      env  tokens     1",
        "",
        "campus cannot be read: it refused the API key (unauthorized)",
        "  HTTP 401",
        "  Check that the key is current.",
    ]


def test_the_last_quota_of_a_failing_gateway() -> None:
    """While stale_for keeps the last quota its rows stay, and the failure is told as well."""
    lines = draw(failing("campus", "unauthorized", quota={"buckets": [bucket(remaining=7)]}))
    assert cells(lines[1]) == ["campus", "env", "tokens", "7"]
    assert lines[3] == "campus cannot be read: it refused the API key (unauthorized)"


def test_sources_are_listed_where_no_key_was_found() -> None:
    """The places that were looked at are told for a missing key, and for no other failure."""
    checked = [
        {"source": "env", "where": "$CAMPUS_API_KEY", "outcome": "not set"},
        {"source": "auth.json", "where": "/home/me/auth.json", "outcome": "no entry"},
    ]
    keyless = draw(failing("campus", "no_api_key", key_source="none", checked=checked))
    assert keyless[-2:] == ["  checked $CAMPUS_API_KEY: not set", "  checked /home/me/auth.json: no entry"]
    assert not [line for line in draw(failing("campus", "unauthorized", checked=checked)) if "checked" in line]


def test_dropped_values_are_listed() -> None:
    """Where a reply does not fit the mapping in places, these are named: a missing number has a cause."""
    reading = {
        "ok": True,
        "age_seconds": 0.5,
        "dropped": [
            {"problem": "not_a_number", "where": "buckets[1].used (cost.used)", "count": 1},
            {"problem": "unresolved", "where": "children.alias (key_alias)", "count": 1200},
        ],
    }
    lines = draw(report("campus", bucket(remaining=1), reading=reading))
    assert lines[2:] == [
        "",
        "campus: 1,201 values of the reply not used",
        "  buckets[1].used (cost.used): not_a_number",
        "  children.alias (key_alias): unresolved, 1,200 values",
    ]


def test_a_gateway_that_only_lists_keys_is_a_row() -> None:
    """A gateway without a bucket of its own is there too, with the number of the keys that it lists."""
    lite = report("lite")
    lite["quota"]["children"] = 1200
    lines = draw(lite, report("lite:alice", bucket(remaining=1), parent="lite"), report("cut"))
    assert [cells(line) for line in lines[1:]] == [
        ["lite", "env", "-", "-", "lists 1,200 keys"],
        ["lite:alice", "env", "tokens", "1"],
        ["cut", "env", "-", "-", "no buckets"],
    ]


def test_trouble_of_a_list_is_told_once() -> None:
    """Keys whose list cannot be read have a row each, and one advice together; a key's own trouble has its own."""
    unreadable = [failing("lite", "unauthorized"), failing("lite:a", "unauthorized", parent="lite")]
    lines = draw(*unreadable, report("new", parent=None), failing("new:b", "key_blocked", parent="new"))
    assert [cells(line)[0] for line in lines[1:5]] == ["lite", "lite:a", "new", "new:b"]
    assert [line.split(" cannot be read")[0] for line in lines if " cannot be read" in line] == ["lite", "new:b"]


def test_nothing_is_markup() -> None:
    """Brackets in names are text: rich's markup in a label or bucket name has no effect."""
    _, line = draw(report("campus", bucket(name="[red]team[/red]", remaining=1)))
    assert "tokens [red]team[/red]" in line


def typical() -> list[dict[str, Any]]:
    """Gateways as they are seen in practice, with the longest key source."""
    refill = NOW + 16_000_000
    return [
        report(
            "campus-gateway",
            bucket(limit=5e6, used=1, remaining=4_750_000, remaining_ratio=0.95, resets_at=refill),
            bucket("cost", limit=5, used=0.5, remaining=4.5, remaining_ratio=0.9, resets_at=refill),
            key_source="opencode.jsonc",
        ),
        report("openrouter", bucket("cost", limited=False, used=12.5)),
        report("lab", bucket("cost", currency="EUR", limit=200, used=217, remaining=-17.25, remaining_ratio=-0.08625)),
        failing("broken", "payment_required"),
    ]


def test_typical_gateways_fit_80_columns() -> None:
    """On the usual terminal each bucket of usual gateways is one line, and columns are aligned."""
    lines = draw(*typical(), width=80)[:6]
    assert max(map(cell_len, lines)) <= 80
    assert [line.split()[0] for line in lines] == [
        "GATEWAY",
        "campus-gateway",
        "campus-gateway",
        "openrouter",
        "lab",
        "broken",
    ]
    assert [line.find("185 d 4 h") for line in lines[1:3]] == [lines[0].index("REFILLS IN")] * 2
    end_of_left = lines[0].index("LEFT") + len("LEFT")
    assert [line[:end_of_left].split()[-1] for line in lines[1:5]] == ["4,750,000", "USD", "unlimited", "EUR"]


def test_long_names_fold() -> None:
    """Names that are too long go on in the next line; nothing is lost, and figures stay in one line."""
    provider_id, name = "p" * 64, "b" * 64
    lines = draw(report(provider_id, bucket("cost", name, remaining=1234.5, remaining_ratio=1)), width=80)
    assert max(map(cell_len, lines)) <= 80
    assert sum(line.count("p") for line in lines) == 64
    assert sum(line.count("b") for line in lines) == 64
    assert "1,234.50 USD  ██████████ 100%" in lines[1]


def test_wide_letters_keep_the_columns() -> None:
    """Letters that take two cells do not shift the columns behind them."""
    first, second = draw(report("a", bucket(name="团队", remaining=1), bucket(name="team", remaining=1)))[1:]
    assert cell_len(first) == cell_len(second)


def test_the_oldest_reading() -> None:
    """The age that is told is that of the oldest reading; without readings there is none."""
    file = io.StringIO()
    console = Console(file=file, width=ROOM)
    old = report("old", reading={"ok": True, "age_seconds": 75.0, "dropped": []})
    print_oldest_age(console, [report("new"), old, report("never", reading=None)])
    assert file.getvalue() == "\nOldest reading: 1 min 15 s ago.\n"
    print_oldest_age(console, [report("never", reading=None)])
    assert file.getvalue().count("Oldest") == 1
