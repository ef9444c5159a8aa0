"""What docs/mappings.md teaches is true: its examples run and give what stands below them, its tables are complete.

A fence says what a block is: ```yaml mapping is a mapping, ```json reply a reply (with several requests by their id),
```text gauges and ```text expressions what the nearest mapping and reply above them give.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from quota_exporter.bucket_language import BucketRule, Unlimited
from quota_exporter.children import Record, child_id
from quota_exporter.config import read_config
from quota_exporter.demo_gateways import COSTHELM_MAPPING, GATEWAYS, costhelm_reply
from quota_exporter.document import parse_yaml
from quota_exporter.exposition import Families, Format, encode
from quota_exporter.expression import Evaluation, compile_expression
from quota_exporter.files import FileReader
from quota_exporter.functions import OwnFunctions
from quota_exporter.mapping import Reply, check_reply, map_replies, request_values
from quota_exporter.mapping_language import ChildrenRule, ReplyMapping, load_mapping
from quota_exporter.metrics import GatewayLabels, gateway_families
from quota_exporter.paging import PagedList
from quota_exporter.quota import Failure, GatewayStatus, KeySource, Quota, Reading
from quota_exporter.request_language import Auth, Pages, Request
from quota_exporter.values import Model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mappings.md"
NOW = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
HEADERS = {"x-left": "12"}
SECRETS = ("k" * 20,)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of the page: its line, what its fence says, its text."""

    line: int
    info: str
    text: str


def blocks() -> list[Block]:
    text = PAGE.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, match.start()) + 1, match[1], match[2])
        for match in re.finditer(r"(?ms)^```([^\n]+)\n(.*?)^```$", text)
    ]


def is_mapping(block: Block) -> bool:
    return block.info == "yaml mapping" or (block.info == "yaml" and "mappings" in yaml.safe_load(block.text))


def examples(info: str) -> Iterator[tuple[Block, Block | None, Block]]:
    """Each block of what an example gives, with the reply and the mapping that stand nearest above it."""
    reply = mapping = None
    for block in blocks():
        if block.info == "json reply":
            reply = block
        elif is_mapping(block):
            mapping = block
        elif block.info == info:
            assert reply is not None
            yield reply, mapping, block


def params(info: str) -> list[object]:
    return [pytest.param(*example, id=f"line {example[-1].line}") for example in examples(info)]


def mapping_of(block: Block, tmp_path: Path) -> ReplyMapping:
    if block.info == "yaml mapping":
        return load_mapping(parse_yaml(f"name: example\n{block.text}", PAGE))
    path = tmp_path / "quota-exporter.yml"
    path.write_text(block.text, encoding="utf-8")
    config = read_config(path, FileReader())
    assert config.problems == ()
    (mapping,) = config.options.mappings.values()
    return mapping


def outcome_of(mapping: ReplyMapping, body: Any) -> Quota | Failure:
    """What a poll ends in when the gateway answers so."""
    bodies = body if len(mapping.steps) > 1 else {mapping.steps[0].id: body}
    assert set(bodies) == {request.id for request in mapping.steps}
    replies: dict[str, Reply] = {}
    for request in mapping.steps:
        assert request_values(request, replies, "requests", now=NOW) is not None
        reply = Reply(bodies[request.id], 200, HEADERS)
        failure = check_reply(mapping, request, reply, secrets=SECRETS)
        if failure is not None:
            return failure
        if request.pages is not None:
            pages = PagedList(request.pages, "pages", request.id)
            pages.add(reply.body, HEADERS)
            assert (pages.is_at_end, pages.dropped()) == (True, [])
            reply = Reply(pages.items, 200, HEADERS)
        replies[request.id] = reply
    return map_replies(mapping, replies, secrets=SECRETS, now=NOW, max_buckets=20)


async def statuses_of(reading: Reading) -> list[GatewayStatus]:
    record = await Record().after(reading, now=0.0, max_buckets=20)
    children = () if reading.quota is None else reading.quota.children or ()
    ids = [reading.provider_id, *(child_id(reading.provider_id, child.alias) for child in children)]
    statuses = [record.status(provider_id, now=0.0, stale_for=0.0) for provider_id in ids]
    return [status for status in statuses if status is not None]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def without(label: str, found: Samples) -> Samples:
    return {
        (name, frozenset(pair for pair in labels if pair[0] != label)): value for (name, labels), value in found.items()
    }


@pytest.mark.parametrize(("reply", "mapping", "gauges"), params("text gauges"))
def test_examples_give_the_gauges_below_them(reply: Block, mapping: Block, gauges: Block, tmp_path: Path) -> None:
    """A mapping with a reply drops nothing and gives the samples that are shown: of each metric shown, all."""
    outcome = outcome_of(mapping_of(mapping, tmp_path), json.loads(reply.text))
    reading = Reading("admin", KeySource.ENV, NOW, 0.1, 200, outcome)
    statuses = asyncio.run(statuses_of(reading))
    labelled = [(GatewayLabels(status.reading.provider_id, "", "", ""), status) for status in statuses]
    text = encode([Families(gateway_families(labelled, counters=False))], Format.TEXT).decode()
    found = without("key_source", samples(text))
    shown = samples(gauges.text)
    if not any(name == "provider_id" for _, labels in shown for name, _ in labels):
        found = without("provider_id", found)

    assert [status.reading.outcome.dropped for status in statuses] == [()] * len(statuses)
    names = {name for name, _ in shown}
    assert {key: value for key, value in found.items() if key[0] in names} == shown


@pytest.mark.parametrize(("reply", "mapping", "results"), params("text expressions"))
def test_expressions_give_what_stands_beside_them(reply: Block, mapping: Block | None, results: Block) -> None:
    """Each line `expression -> JSON` of the page is what the reply above it gives."""
    evaluation = Evaluation(json.loads(reply.text), NOW, {"reply": HEADERS})
    lines = [line.rsplit(" -> ", 1) for line in results.text.splitlines()]

    assert lines
    found = {text: evaluation.value(compile_expression(text.strip())) for text, _ in lines}
    missing = compile_expression("no_such_member")
    assert {text: None if value is evaluation.value(missing) else value for text, value in found.items()} == {
        text: json.loads(wanted) for text, wanted in lines
    }


def test_no_example_is_left_out() -> None:
    """Every mapping and every reply of the page belongs to an example that runs."""
    used = [block for info in ("text gauges", "text expressions") for example in examples(info) for block in example]
    idle = [block for block in blocks() if block.info == "json reply" or is_mapping(block)]
    assert [block.line for block in idle if block not in used] == []
    assert {block.info for block in blocks()} == {
        *("yaml", "yaml mapping", "json reply", "text gauges", "text expressions", "text explain", "sh"),
    }


def test_the_demo_has_the_first_example() -> None:
    """The demo's own mapping is the one that the page teaches, for a reply of the same shape."""
    reply, mapping, _ = next(examples("text gauges"))
    assert mapping is not None
    taught = yaml.safe_load(mapping.text)
    (gateway,) = (gateway for gateway in GATEWAYS if gateway.own_mapping)

    assert taught["mappings"] == {gateway.mapping: yaml.safe_load(COSTHELM_MAPPING)}
    assert taught["gateways"][0]["provider_id"] == gateway.provider_id
    documented = json.loads(reply.text)
    answered = costhelm_reply(NOW, NOW)
    assert documented.keys() == answered.keys()
    assert [documented[key] for key in ("period", "period_start")] == [
        answered[key] for key in ("period", "period_start")
    ]


def test_the_first_example_is_as_short_as_promised() -> None:
    """The mapping of the first example is ten lines."""
    _, mapping, _ = next(examples("text gauges"))
    assert mapping is not None
    lines = mapping.text.split("\n\n")[0].splitlines()
    assert len(lines[lines.index("  costhelm:") :]) == 10


def first_column(heading: str) -> list[str]:
    """What stands in backticks in the first column of the table below a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n{heading}\n", maxsplit=1)[1].split("\n#", maxsplit=1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("### A mapping", ReplyMapping),
        ("### A request", Request),
        ("### The pages of a request", Pages),
        ("### Auth", Auth),
        ("### A bucket", BucketRule),
        ("### Unlimited", Unlimited),
        ("### Children", ChildrenRule),
    ],
)
def test_all_fields_are_listed(heading: str, model: type[Model]) -> None:
    """The page explains each field of the language once."""
    assert sorted(first_column(heading)) == sorted(model.model_fields)


def test_all_functions_are_listed() -> None:
    """The page explains each function that the language adds or makes strict, and shows all of them at work."""
    own = {name.removeprefix("_func_") for name in vars(OwnFunctions) if name.startswith("_func_")}
    shown = "\n".join(block.text for block in blocks() if block.info == "text expressions")

    assert {call.partition("(")[0] for call in first_column("## Functions")} == own
    assert set(re.findall(r"([a-z_]+)\(", shown)) >= own
