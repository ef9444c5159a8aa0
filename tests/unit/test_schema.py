"""The JSON Schema says the same as the loader, so that an editor can be believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from quota_exporter import schema as schema_module
from quota_exporter.bucket_language import BucketRule
from quota_exporter.config import read_config
from quota_exporter.document import parse_yaml
from quota_exporter.files import FileReader
from quota_exporter.mapping_language import About, ChildrenRule, ReplyMapping
from quota_exporter.request_language import Auth, Pages, Request
from quota_exporter.schema import config_schema
from quota_exporter.settings import GatewaySettings, Options, Threshold, Tls

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "quota-exporter.yml"

ALL_KEYS = """
defaults: {timeout: 9s, min_interval: 0s, max_buckets: 20}
gateways:
  - provider_id: campus
    base_url: https://llm.example.edu/v1
    mapping: neutral
    quota_path: /quota
    label: campus
    owner: ml-platform
    timeout: 1m30s
    min_interval: 500ms
    stale_for: 1h
    max_buckets: 3
    max_children: 10
    currency: EUR
    units: {quota: 500000}
    api_key_file: /run/secrets/campus
    auth: {header: Authorization, scheme: Bearer}
    headers: {X-Team: ml, X-Token: {file: /run/secrets/token}, X-Plain: {value: a}}
    tls: {ca_file: a, cert_file: b, key_file: c, server_name: d, min_version: TLS12, insecure_skip_verify: false}
    proxy_url: environment
    allow_http: false
    thresholds: {warning: {ratio: 0.2, cost: 10, tokens: 1, requests: 1, credits: 1}, critical: 0.05}
  - {providerId: lab, baseURL: "http://lab:4000", quotaPath: /key, api_key_env: LAB, label: no}
  - {provider_id: third, api_key: word, thresholds: {warning: 1}}
gateway_files: ["conf.d/*.yml"]
origins: {max_concurrency: 20, per_origin: {"https://llm.example.edu": 5, "http://lab:4000": {max_concurrency: 1}}}
mappings:
  costhelm:
    description: text
    about: {title: a, source: b, confidence: low, base_url: c, key: d, hosts: [e]}
    requests:
      - {id: key, path: /key, root: true, query: {a: 1, b: c}, headers: {X-A: b}, auth: {scheme: ""}, success: a}
      - id: team
        url: https://elsewhere.example/team
        method: POST
        body: {team: "{team}"}
        where: key.team
        values: {team: key.team}
        optional: true
        pages: {query: page, first: 0, step: 100, size: 100, items: keys, total: total_count, max_pages: 5}
    auth: {header: X-Key, scheme: ""}
    success: has(@, 'a')
    error: error.message
    reason: error.code
    key_name: name
    expires_at: expires
    time_format: unix_ms
    min_interval: 60s
    timeout: 1m
    cache_control: true
    units: {quota: 500000}
    buckets:
      - {kind: tokens, limit: a, unlimited: null_limit, used: b, remaining: 5, window: c, resets_at: d, unit: quota}
      - {kind_from: k, name_from: n, name: x, currency: USD, currency_from: c, each: rows, where: w, used: u}
      - {kind: requests, limit: a, unlimited: {values: [-1, 0], of: limit, tolerance: 0.01}, time_format: unix}
      - {kind: credits, limit: a, unlimited: {null_limit: true, when: flag}}
      - {kind: credits, name: other, limit: a, unlimited: flag}
    children:
      each: keys
      alias: name
      first_by: created
      where: w
      reason: r
      expires_at: e
      time_format: in_s
      max_children: 7
      buckets: [{kind: tokens, used: u}]
  other: {name: other, path: /quota, buckets: [{kind: tokens, used: u}]}
opencode: off
enabled_providers: [campus, lab]
"""


@pytest.fixture(name="schema", scope="module")
def _schema() -> dict[str, Any]:
    return config_schema()


def agreed(schema: dict[str, Any], text: str, folder: Path) -> bool:
    """Whether the schema accepts what the text says; the loader has to be of the same opinion."""
    path = folder / "c.yml"
    path.write_text(text, encoding="utf-8")
    document = parse_yaml(text, path)
    by_schema = jsonschema.Draft202012Validator(schema).is_valid({} if document.value is None else document.value)
    problems = read_config(path, FileReader()).problems
    assert by_schema is not bool(problems), (text, by_schema, [str(problem) for problem in problems])
    return by_schema


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All keys of all maps with what the schema says of them."""
    for model in (schema, *schema["$defs"].values()):
        yield from model.get("properties", {}).items()


def test_the_schema_is_well_formed_and_plain_json(schema: dict[str, Any]) -> None:
    """Any editor can read it: it follows its own draft, and survives JSON unchanged."""
    jsonschema.Draft202012Validator.check_schema(schema)

    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_schema_accepts_every_key_in_every_form(schema: dict[str, Any], tmp_path: Path) -> None:
    """All keys, in both spellings and with both forms of thresholds, are in the schema."""
    assert agreed(schema, ALL_KEYS, tmp_path)
    content = yaml.safe_load(ALL_KEYS)
    campus = content["gateways"][0]
    assert {*campus, "api_key_env", "api_key"} == set(GatewaySettings.model_fields)
    assert set(content) == {*Options.model_fields, "gateways"}
    assert set(campus["tls"]) == set(Tls.model_fields)
    assert set(campus["auth"]) == set(Auth.model_fields)
    assert set(campus["thresholds"]["warning"]) == set(Threshold.model_fields)
    costhelm = content["mappings"]["costhelm"]
    assert {*costhelm, "name", "path"} == set(ReplyMapping.model_fields)
    assert set().union(*costhelm["requests"]) == set(Request.model_fields)
    assert set(costhelm["requests"][1]["pages"]) == set(Pages.model_fields)
    assert set().union(*costhelm["buckets"]) == set(BucketRule.model_fields)
    assert set(costhelm["children"]) == set(ChildrenRule.model_fields)
    assert set(costhelm["about"]) == set(About.model_fields)


def test_every_key_is_explained(schema: dict[str, Any]) -> None:
    """An editor shows one sentence for each key."""
    assert [key for key, value in properties(schema) if not value.get("description", "").endswith(".")] == []


def test_every_default_is_a_value_that_the_file_may_hold(schema: dict[str, Any]) -> None:
    """Editors insert defaults: a duration comes as 9s and not as 9.0."""
    defaults = {key: value["default"] for key, value in properties(schema) if "default" in value}

    for key, value in properties(schema):
        if "default" in value:
            rules = {**value, "$defs": schema["$defs"]}
            assert jsonschema.Draft202012Validator(rules).is_valid(value["default"]), key
    assert (defaults["timeout"], defaults["stale_for"], defaults["max_buckets"]) == ("9s", "0s", 20)
    assert (defaults["enabled_providers"], defaults["opencode"]) == ("auto", "auto")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "gateways: []",
        "gateways: [{provider_id: campus}]",
        "gateways: [{providerId: campus}]",
        "gateways: [{provider_id: a, label: }]",
        "gateways: [{provider_id: a, headers: {X: '', Y: {file: a}}}]",
        "gateways: [{provider_id: a, base_url: 'HTTP://[::1]:8080/a@b'}]",
        "gateways: [{provider_id: a, timeout: 1y2w3d4h5m6s7ms}]",
        "gateways: [{provider_id: a, thresholds: {warning: 0, critical: {cost: 0.5}}}]",
        "gateways: [{provider_id: a, quota_path: /}]",
        "enabled_providers: auto",
        "enabled_providers: []",
        "mappings: {}",
        "mappings: {a: {path: /a, buckets: [{kind: tokens, used: 5}]}}",
        "mappings: {a: {children: {each: a, alias: b, buckets: [{kind: tokens, used: u}]}}}",
        "gateways: [{provider_id: a, units: {}}]",
        "gateways: [{provider_id: a, max_children: null, auth: null}]",
        "defaults: {quota_path: /a/b, label: x, proxy_url: 'http://squid:3128'}",
    ],
)
def test_schema_and_loader_accept_the_same(schema: dict[str, Any], tmp_path: Path, text: str) -> None:
    """An editor marks nothing red that the exporter takes."""
    assert agreed(schema, text, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "zzz: 1",
        "[]",
        "gateways:",
        "gateways: {}",
        "gateways: [a]",
        "gateways: [{}]",
        "gateways: [{label: a}]",
        "gateways: [{provider_id: openai-compatible}]",
        "gateways: [{provider_id: 'a b'}]",
        "gateways: [{provider_id: 5}]",
        "gateways: [{provider_id: a, providerId: a}]",
        "gateways: [{provider_id: a, base_url: 'https://h', baseURL: 'https://h'}]",
        "gateways: [{provider_id: a, quota_path: /a, quotaPath: /b}]",
        "gateways: [{provider_id: a, provider: b}]",
        "gateways: [{provider_id: a, base_url: h}]",
        "gateways: [{provider_id: a, base_url: 'ftp://h'}]",
        "gateways: [{provider_id: a, base_url: 'https://u:p@h'}]",
        "gateways: [{provider_id: a, base_url: 'https://h?a'}]",
        "gateways: [{provider_id: a, base_url: 'https://h/a b'}]",
        "gateways: [{provider_id: a, timeout: 10}]",
        "gateways: [{provider_id: a, timeout: ''}]",
        "gateways: [{provider_id: a, timeout: '10'}]",
        "gateways: [{provider_id: a, timeout: 1 h}]",
        "gateways: [{provider_id: a, timeout: 1s1h}]",
        "gateways: [{provider_id: a, quota_path: a}]",
        "gateways: [{provider_id: a, quota_path: //a}]",
        "gateways: [{provider_id: a, quota_path: '/a?b'}]",
        "gateways: [{provider_id: a, api_key_env: a-b}]",
        "gateways: [{provider_id: a, api_key: a, api_key_env: A}]",
        "gateways: [{provider_id: a, api_key: a, api_key_file: a}]",
        "gateways: [{provider_id: a, api_key_env: a, api_key_file: a}]",
        "gateways: [{provider_id: a, api_key: 5}]",
        "gateways: [{provider_id: a, api_key: '{env:A}'}]",
        "gateways: [{provider_id: a, api_key: '{file:a}'}]",
        "gateways: [{provider_id: a, allow_http: yes}]",
        "gateways: [{provider_id: a, max_buckets: 0}]",
        "gateways: [{provider_id: a, headers: {X: 5}}]",
        "gateways: [{provider_id: a, headers: {X: {}}}]",
        "gateways: [{provider_id: a, headers: {X: {value: a, file: b}}}]",
        "gateways: [{provider_id: a, tls: {cert_file: a}}]",
        "gateways: [{provider_id: a, tls: {key_file: a}}]",
        "gateways: [{provider_id: a, tls: {min_version: TLS11}}]",
        "gateways: [{provider_id: a, thresholds: {warning: 20}}]",
        "gateways: [{provider_id: a, thresholds: {warning: '20%'}}]",
        "gateways: [{provider_id: a, thresholds: {warning: {cost: -1}}}]",
        "defaults: {base_url: 'https://h'}",
        "defaults: {quotaPath: /a}",
        "defaults:",
        "origins: {max_concurrency: 0}",
        "origins: {per_origin: {'https://h': 0}}",
        "origins: {per_origin: {'https://h': {}}}",
        "origins: {per_origin: {'h': 5}}",
        "opencode: on",
        "enabled_providers: all",
        "enabled_providers: [1]",
        "gateway_files: a.yml",
        "gateways: [{provider_id: a, units: {quota: 0}}]",
        "gateways: [{provider_id: a, units: {quota: '5'}}]",
        "gateways: [{provider_id: a, max_children: 0}]",
        "mappings: []",
        "mappings: {A: {path: /a, buckets: [{kind: tokens, used: u}]}}",
        "mappings: {a: {name: A, path: /a, buckets: [{kind: tokens, used: u}]}}",
        "mappings: {a: {auth: , path: /a, buckets: [{kind: tokens, used: u}]}}",
        "mappings: {a: {about: , path: /a, buckets: [{kind: tokens, used: u}]}}",
        "mappings: {a: {requests: [{path: /a, pages: }], buckets: [{kind: tokens, used: u}]}}",
        "mappings: {a: {path: /a}}",
        "mappings: {a: {path: /a, buckets: []}}",
        "mappings: {a: {path: /a, requests: [{path: /b}], buckets: [{kind: tokens, used: u}]}}",
        "mappings: {a: {requests: [], buckets: [{kind: tokens, used: u}]}}",
        "mappings: {a: {path: , buckets: [{kind: tokens, used: u}]}}",
        "mappings: {a: {path: /a, buckets: [{used: u}]}}",
        "mappings: {a: {path: /a, buckets: [{kind: tokens}]}}",
        "mappings: {a: {path: /a, buckets: [{kind: tokens, kind_from: a, used: u}]}}",
        "mappings: {a: {path: /a, buckets: [{kind: gold, used: u}]}}",
        "mappings: {a: {path: /a, buckets: [{kind: tokens, used: true}]}}",
        "mappings: {a: {path: /a, buckets: [{kind: tokens, limit: a, unlimited: }]}}",
        "mappings: {a: {path: /a, zzz: 1, buckets: [{kind: tokens, used: u}]}}",
        "mappings: {a: {children: {each: a, buckets: [{kind: tokens, used: u}]}}}",
        "mappings: {a: {requests: [{path: /a, method: PUT}], buckets: [{kind: tokens, used: u}]}}",
        "mappings: {a: {requests: [{path: /a, pages: {query: p}}], buckets: [{kind: tokens, used: u}]}}",
    ],
)
def test_schema_and_loader_refuse_the_same(schema: dict[str, Any], tmp_path: Path, text: str) -> None:
    """An editor marks red what the exporter would refuse, before anybody starts it."""
    assert not agreed(schema, text, tmp_path)


@pytest.mark.skipif(not EXAMPLE.is_file(), reason="deploy/examples is not part of the wheel")
def test_the_example_config_follows_the_schema(schema: dict[str, Any], tmp_path: Path) -> None:
    """What the example teaches, an editor accepts."""
    assert agreed(schema, EXAMPLE.read_text(encoding="utf-8"), tmp_path)


@pytest.mark.parametrize(
    ("rule", "default"),
    [
        ({"type": "string", "default": 9.0}, "9s"),
        ({"type": "string", "default": "auto"}, "auto"),
        ({"type": "number", "default": 0.5}, 0.5),
    ],
)
def test_only_durations_get_a_unit(rule: dict[str, Any], default: object) -> None:
    """A ratio's default stays a number."""
    schema_module._write_default_as_yaml("key", rule)

    assert rule["default"] == default
