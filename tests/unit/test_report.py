"""What is told about each gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from quota_exporter import credentials, exporter as exporter_module
from quota_exporter.advice import ADVICE
from quota_exporter.exporter import Sources, load, start
from quota_exporter.files import FileReader
from quota_exporter.humanize import percent
from quota_exporter.opencode import OpenCodePaths
from quota_exporter.quota import Reason
from quota_exporter.report import gateway_reports, read_status
from quota_exporter.transport import Route

URL = "https://campus.example/v1/quota"
CAMPUS = "{provider_id: campus, base_url: https://campus.example/v1/, api_key_env: CAMPUS}"
REPLY = {
    "key": "course-comp318-fall26",
    "tokens": {"limit": 100, "used": 25, "remaining": 75, "resets_at": "2026-05-31T00:00:00Z"},
    "cost": {"currency": "EUR", "limit": None, "used": 0.5},
}

Tell = Callable[..., dict[str, Any]]


@pytest.fixture(name="router")
def _router(monkeypatch: pytest.MonkeyPatch) -> respx.Router:
    router = respx.Router(assert_all_called=False)
    router.get(URL).respond(json=REPLY)

    def open_transport(_route: Route) -> httpx.MockTransport:
        return httpx.MockTransport(router.async_handler)

    monkeypatch.setattr(exporter_module, "open_transport", open_transport)
    return router


@pytest.fixture(name="tell")
def _tell(tmp_path: Path, router: respx.Router, canary: str) -> Tell:
    """Reports on the gateway of an entry after so many polls; `later` is how long after the last one."""

    def tell(entry: str = CAMPUS, *, polls: int = 1, later: float = 0.0) -> dict[str, Any]:
        config = tmp_path / "quota-exporter.yml"
        config.write_text(f"opencode: off\ngateways:\n  - {entry}\n", encoding="utf-8")

        async def poll() -> dict[str, Any]:
            sources = Sources(config, OpenCodePaths((), ()), {"CAMPUS": canary}, FileReader())
            generation = start(load(sources))
            (provider_id,) = generation.plans
            for _ in range(polls):
                await generation.fleet.statuses([provider_id], deadline=None)
            last = generation.fleet.last(provider_id)
            now = (last.reading.at if last else 0.0) + later
            (report,) = gateway_reports(generation, [provider_id], now=now)
            return report

        report = asyncio.run(poll())
        text = json.dumps(report, allow_nan=False)
        assert canary not in text
        read_status(json.dumps({"time": 0.0, "gateways": [report]}).encode())  # what `status` takes is what is told
        loaded: dict[str, Any] = json.loads(text)
        return loaded

    return tell


def test_the_configuration_of_a_gateway(tell: Tell, tmp_path: Path) -> None:
    """Before the first poll the report tells what is configured, where, and where the key is found."""
    report = tell(
        "{provider_id: campus, base_url: https://campus.example/v1/, api_key_env: CAMPUS, owner: ml}", polls=0
    )
    assert report == {
        "provider_id": "campus",
        "label": "campus",
        "parent": None,
        "owner": "ml",
        "mapping": "neutral",
        "base_url": "https://campus.example/v1",
        "url": URL,
        "urls": [URL],
        "origins": ["https://campus.example:443"],
        "configured_at": f"{tmp_path / 'quota-exporter.yml'}:3",
        "notes": [],
        "key_source": "env",
        "checked": [{"source": "env", "where": "$CAMPUS", "outcome": "found"}],
        "min_interval_seconds": 0.0,
        "reading": None,
        "quota": None,
        "last_success": None,
    }


def test_names_and_intervals_are_those_in_force(tell: Tell) -> None:
    """Label, mapping, path and min_interval are what the settings and the mapping lead to."""
    entry = CAMPUS[:-1] + ", label: The campus, mapping: openrouter, quota_path: /limits, min_interval: 1m30s}"
    report = tell(entry, polls=0)
    assert (report["label"], report["mapping"], report["min_interval_seconds"]) == ("The campus", "openrouter", 90)
    assert report["url"] == "https://campus.example/v1/limits"


def test_a_gateway_without_key_and_base_url(tell: Tell) -> None:
    """What is missing is null or `none`, with the places that were looked at."""
    report = tell("{provider_id: lab}")
    assert (report["base_url"], report["url"], report["key_source"]) == (None, None, "none")
    assert report["checked"] == [{"source": "env", "where": "$LAB_API_KEY", "outcome": "not set"}]
    assert report["reading"]["reason"] == "no_base_url"


def test_a_bug_costs_the_key_source_alone(
    tell: Tell, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, canary: str
) -> None:
    """When a bug keeps a key from being found, the report says so, with no text of the bug, and goes on."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError(canary)

    monkeypatch.setattr(credentials, "resolve", fail)
    report = tell(polls=0)
    assert (report["provider_id"], report["url"], report["key_source"]) == ("campus", URL, "none")
    outcome = "a bug in the exporter (ZeroDivisionError); see its log"
    assert report["checked"] == [{"source": "none", "where": "the API key", "outcome": outcome}]
    (record,) = [record for record in caplog.records if record.name == "quota_exporter.report"]
    assert record.__dict__["provider_id"] == "campus"


def test_a_quota(tell: Tell) -> None:
    """A reading that is a quota carries all buckets; absent is null, and unlimited is `limited: false`."""
    report = tell(later=12.5)
    reading = report["reading"]
    assert (reading["ok"], reading["http_status"], reading["key_source"]) == (True, 200, "env")
    assert reading["age_seconds"] == pytest.approx(12.5)
    assert reading["duration_seconds"] >= 0
    assert [reading[key] for key in ("reason", "meaning", "detail", "action")] == [None] * 4
    assert report["last_success"] == reading["at"]
    assert report["quota"] == {
        "key_name": "course-comp318-fall26",
        "expires_at": None,
        "children": None,
        "buckets": [
            {
                "kind": "tokens",
                "name": "default",
                "currency": None,
                "limit": 100.0,
                "used": 25.0,
                "remaining": 75.0,
                "limited": True,
                "resets_at": 1780185600.0,
                "window_seconds": None,
                "remaining_ratio": 0.75,
            },
            {
                "kind": "cost",
                "name": "default",
                "currency": "EUR",
                "limit": None,
                "used": 0.5,
                "remaining": None,
                "limited": False,
                "resets_at": None,
                "window_seconds": None,
                "remaining_ratio": None,
            },
        ],
    }


def test_dropped_values_name_the_mapping(tell: Tell, router: respx.Router) -> None:
    """What a reading had to drop is told by the mapping's field, without the reply's text."""
    router.get(URL).respond(json={"tokens": {"limit": 100, "used": "secret", "remaining": 75}})
    dropped = {"problem": "not_a_number", "where": "buckets[0].used (tokens.used)", "count": 1}
    assert tell()["reading"]["dropped"] == [dropped]


@pytest.mark.parametrize(
    ("status", "reason"), [(401, Reason.UNAUTHORIZED), (402, Reason.PAYMENT_REQUIRED), (500, Reason.SERVER_ERROR)]
)
def test_a_failure(tell: Tell, router: respx.Router, status: int, reason: Reason) -> None:
    """A failure has its reason, that in words, what was seen, and what to do; there is no quota."""
    router.get(URL).respond(status)
    report = tell()
    reading = report["reading"]
    assert (reading["ok"], reading["http_status"], reading["reason"]) == (False, status, reason)
    assert (reading["meaning"], reading["action"]) == (ADVICE[reason].meaning, ADVICE[reason].action)
    assert reading["detail"] == f"HTTP {status}"
    assert (report["quota"], report["last_success"]) == (None, None)


LISTING = (
    "{provider_id: lite, base_url: https://lite.example/v1, api_key_env: CAMPUS, mapping: litellm-keys, owner: ml}"
)


@pytest.fixture(name="tell_keys")
def _tell_keys(tmp_path: Path, router: respx.Router, canary: str) -> Callable[..., list[dict[str, Any]]]:
    """Reports on a gateway that lists the keys alice and bob, and on these ids of its keys."""

    def tell(*provider_ids: str) -> list[dict[str, Any]]:
        keys = [{"key_alias": name, "max_budget": 10.0, "spend": 4.0} for name in ("alice", "bob")]
        listed = router.get(url__startswith="https://lite.example/key/list")
        listed.respond(json={"keys": keys, "total_count": 2})
        config = tmp_path / "quota-exporter.yml"
        config.write_text(f"opencode: off\ngateways:\n  - {LISTING}\n", encoding="utf-8")

        async def poll() -> list[dict[str, Any]]:
            generation = start(load(Sources(config, OpenCodePaths((), ()), {"CAMPUS": canary}, FileReader())))
            await generation.fleet.statuses(["lite"], deadline=None)
            return gateway_reports(generation, provider_ids, now=0.0)

        reports = asyncio.run(poll())
        read_status(json.dumps({"time": 0.0, "gateways": reports}).encode())
        return reports

    return tell


def test_a_key_that_a_gateway_lists(tell_keys: Callable[..., list[dict[str, Any]]], tmp_path: Path) -> None:
    """A key of a list is told like a gateway: its alias and quota, and of its gateway how it is read."""
    parent, alice = tell_keys("lite", "lite:alice")
    assert (alice["provider_id"], alice["label"], alice["parent"]) == ("lite:alice", "alice", "lite")
    same = {
        "owner",
        "mapping",
        "base_url",
        "url",
        "urls",
        "origins",
        "configured_at",
        "key_source",
        "checked",
        "min_interval_seconds",
    }
    assert {name: alice[name] for name in same} == {name: parent[name] for name in same}
    assert (alice["owner"], alice["key_source"], alice["configured_at"]) == (
        "ml",
        "env",
        f"{tmp_path / 'quota-exporter.yml'}:3",
    )
    assert alice["reading"] == parent["reading"]
    assert alice["quota"]["buckets"][0]["remaining"] == 6
    assert (alice["quota"]["children"], alice["last_success"]) == (None, parent["last_success"])


def test_a_gateway_that_lists_keys(tell_keys: Callable[..., list[dict[str, Any]]]) -> None:
    """The gateway itself tells how many keys it lists; it needs no bucket of its own."""
    (parent,) = tell_keys("lite")
    assert (parent["parent"], parent["quota"]["children"], parent["quota"]["buckets"]) == (None, 2, [])


def test_a_key_that_is_gone(tell_keys: Callable[..., list[dict[str, Any]]]) -> None:
    """A key that vanished between the look at the list and at the key is not told of: it is no gateway any more."""
    told = tell_keys("lite", "lite:carol", "lite:bob")
    assert [report["provider_id"] for report in told] == ["lite", "lite:bob"]


def test_thousands_of_keys_look_for_one_key(
    tell_keys: Callable[..., list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reports of all keys of a list look once for the API key that reads it."""
    looked = []
    real = credentials.resolve

    def resolve(provider_id: str, *arguments: Any, **options: Any) -> Any:
        looked.append(provider_id)
        return real(provider_id, *arguments, **options)

    monkeypatch.setattr(credentials, "resolve", resolve)
    assert len(tell_keys("lite", "lite:alice", "lite:bob")) == 3
    assert looked == ["lite", "lite"]  # for the poll and for the reports


def test_the_last_quota_of_a_failing_gateway(tell: Tell, router: respx.Router) -> None:
    """While stale_for lasts, the last quota stands beside the failure; without it there is none."""
    replies = [httpx.Response(200, json=REPLY), httpx.Response(500)]
    router.get(URL).mock(side_effect=[*replies, *replies])
    stale = tell(CAMPUS[:-1] + ", stale_for: 1h}", polls=2)
    gone = tell(polls=2)
    for report in (stale, gone):
        assert report["reading"]["reason"] == "server_error"
        assert report["last_success"] is not None
    assert stale["quota"]["buckets"][0]["remaining"] == 75
    assert gone["quota"] is None


def test_a_clock_that_was_set_back(tell: Tell) -> None:
    """No reading is younger than now."""
    assert tell(later=-60.0)["reading"]["age_seconds"] == 0


@pytest.mark.parametrize(("limit", "remaining"), [(5e-324, 1.0), (1e-308, -1e308), (1.0, 1.7e308), (1.0, -1e307)])
def test_a_ratio_that_no_one_can_show(tell: Tell, router: respx.Router, limit: float, remaining: float) -> None:
    """A ratio beyond all numbers is absent: JSON has no infinity, and a page must survive every reply."""
    router.get(URL).respond(json={"tokens": {"limit": limit, "used": 0, "remaining": remaining}})
    (bucket,) = tell()["quota"]["buckets"]
    assert (bucket["limit"], bucket["remaining"], bucket["remaining_ratio"]) == (limit, remaining, None)


@pytest.mark.parametrize(("limit", "remaining", "ratio"), [(4.0, 1.0, 0.25), (4.0, -1.0, -0.25), (1.0, 1e300, 1e300)])
def test_every_other_ratio_is_told(
    tell: Tell, router: respx.Router, limit: float, remaining: float, ratio: float
) -> None:
    """A ratio that is a number is there, negative when overspent, and can be written as a percentage."""
    router.get(URL).respond(json={"tokens": {"limit": limit, "remaining": remaining}})
    (bucket,) = tell()["quota"]["buckets"]
    assert bucket["remaining_ratio"] == ratio
    assert percent(ratio).endswith("%")
