"""Many keys that one management key lists, seen by scrapes of the running exporter."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from tests.integration.conftest import StartExporter
from tests.integration.fake_gateways import FakeGateways, Reply, Request, json_reply
from tests.integration.programs import Exporter, Scrape

ROOT = Path(__file__).resolve().parents[2]
KEYS = 5000
PAGE = 100
ADMIN_KEY = "sk-canary-admin-5c1e7d9b3f2a48e6a0b4"
KEY_OF_A_REPLY = json.loads((ROOT / "tests/fixtures/litellm/full.json").read_text(encoding="utf-8"))["key"]["info"]


def listed_key(number: int, **members: Any) -> dict[str, Any]:
    """A key as LiteLLM lists it, as large as a recorded one."""
    return {
        **copy.deepcopy(KEY_OF_A_REPLY),
        "token": f"{number:064x}",
        "key_alias": f"team-{number:04}",
        "max_budget": 10.0,
        "spend": number / 1000,
        **members,
    }


class LiteLLM:
    """The list of a proxy's keys, page by page as the query asks."""

    def __init__(self, gateways: FakeGateways, keys: list[dict[str, Any]]) -> None:
        self.keys = keys
        self.failing: Reply | None = None
        gateways.answer("/key/list", self.answer)

    def answer(self, request: Request) -> Reply:
        if self.failing is not None:
            return self.failing
        query = parse_qs(urlsplit(request.target).query)
        assert query["return_full_object"] == ["true"]
        page, size = int(query["page"][0]), int(query["size"][0])
        total = len(self.keys)
        return json_reply(
            {
                "keys": self.keys[(page - 1) * size : page * size],
                "total_count": total,
                "current_page": page,
                "total_pages": -(-total // size),
            }
        )


def config(url: str, **settings: Any) -> str:
    entry = {
        "provider_id": "proxy",
        "base_url": url,
        "mapping": "litellm-keys",
        "api_key": ADMIN_KEY,
        "owner": "platform",
        "min_interval": "0s",
        **settings,
    }
    return json.dumps({"opencode": "off", "gateways": [entry]})


def probe(exporter: Exporter, target: str) -> httpx.Response:
    return exporter.get(f"/probe?target={quote(target)}")


def test_five_thousand_keys_cost_fifty_requests(start_exporter: StartExporter, gateways: FakeGateways) -> None:
    """Each listed key is a gateway of its own in one scrape, and the list takes a request for each hundred keys."""
    LiteLLM(gateways, [listed_key(number) for number in range(KEYS)])
    exporter = start_exporter(config(gateways.url, timeout="30s"))
    scrape = exporter.scrape(timeout=60)

    assert gateways.count("/key/list") == KEYS // PAGE
    assert {request.key for request in gateways.requests} == {ADMIN_KEY}
    up = scrape.values("llm_quota_up")
    assert up == [1.0] * (KEYS + 1)
    assert scrape.value("llm_quota_remaining_cost", provider_id="proxy:team-4321") == pytest.approx(10 - 4.321)
    assert scrape.value("llm_quota_gateway_info", provider_id="proxy:team-0007", owner="platform", label="team-0007")
    assert "canary" not in exporter.stderr


def test_keys_come_and_go_and_survive_a_failing_list(start_exporter: StartExporter, gateways: FakeGateways) -> None:
    """A key that leaves the list loses its series; when the list itself fails, all known keys show up 0 and why."""
    proxy = LiteLLM(gateways, [listed_key(number) for number in range(3)])
    exporter = start_exporter(config(gateways.url))
    assert len(exporter.scrape().values("llm_quota_up")) == 4

    proxy.keys = [listed_key(0), listed_key(2), listed_key(3, blocked=True)]
    scrape = exporter.scrape()
    assert scrape.labels("llm_quota_up", "provider_id") == [
        *("proxy", "proxy:team-0000", "proxy:team-0002", "proxy:team-0003")
    ]
    assert scrape.value("llm_quota_failure", provider_id="proxy:team-0003", reason="key_blocked") == 1
    assert scrape.value("llm_quota_up", provider_id="proxy:team-0003") == 0

    proxy.failing = Reply(503, b"{}")
    scrape = exporter.scrape()
    assert scrape.values("llm_quota_up") == [0.0] * 4
    assert scrape.values("llm_quota_failure", reason="server_error") == [1.0] * 4
    assert scrape.values("llm_quota_remaining_cost") == []


def test_odd_names_are_counted_and_never_shown(start_exporter: StartExporter, gateways: FakeGateways) -> None:
    """Keys without a usable alias are counted, aliases that occur twice too; nothing secret becomes a label."""
    keys = [
        listed_key(0),
        listed_key(1, key_alias=None),
        listed_key(2, key_alias=ADMIN_KEY),
        listed_key(3, key_alias="someone@example.org"),
        listed_key(4, key_alias="team-0000", spend=9.0),
        listed_key(5, key_alias='quo"ted\n name \\ (EU)'),
    ]
    LiteLLM(gateways, keys)
    exporter = start_exporter(config(gateways.url))
    scrape = exporter.scrape()

    odd = 'proxy:quo"ted name \\ (EU)'
    assert sorted(scrape.labels("llm_quota_up", "provider_id")) == ["proxy", odd, "proxy:team-0000"]
    assert scrape.value("llm_quota_mapping_problems", provider_id="proxy", problem="unresolved") == 3
    assert scrape.value("llm_quota_mapping_problems", provider_id="proxy", problem="duplicate") == 1
    assert scrape.value("llm_quota_used_cost", provider_id="proxy:team-0000") == 0
    assert probe(exporter, odd).status_code == 200
    page = exporter.get("/quota_status").text
    assert "someone@example.org" not in page
    assert ADMIN_KEY not in page


def test_one_key_can_be_probed(start_exporter: StartExporter, gateways: FakeGateways) -> None:
    """A probe of a listed key answers with it alone, also before anything was polled; an unknown one is 404."""
    LiteLLM(gateways, [listed_key(number) for number in range(3)])
    exporter = start_exporter(config(gateways.url, max_children=2))

    scrape = Scrape(probe(exporter, "proxy:team-0001").text)
    assert scrape.labels("llm_quota_up", "provider_id") == ["proxy:team-0001"]
    assert probe(exporter, "proxy:team-0002").status_code == 404  # more than max_children
    assert Scrape(probe(exporter, "proxy").text).labels("llm_quota_up", "provider_id") == ["proxy"]
    both = exporter.get("/metrics?provider_id=proxy&collect[]=gateways").text
    assert len(Scrape(both).values("llm_quota_up")) == 3
    assert Scrape(both).value("llm_quota_mapping_problems", provider_id="proxy", problem="too_many") == 1
