"""Replies of gateways for the presets' tests, and what a preset makes of them.

`tests/fixtures/<preset>/<name>.json` holds the reply to the preset's only request, or of several `{request id: reply}`;
of a request with pages it is one page. `error*` are replies that give no quota, `partial*` ones in which something is
missing, and all others are whole.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from quota_exporter.mapping import Reply, check_reply, map_replies
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.paging import PagedList
from quota_exporter.presets import load_preset
from quota_exporter.quota import Bucket, Failure, Quota, Reason
from quota_exporter.request_language import Request

FIXTURES = Path(__file__).parents[2] / "fixtures"
NOW = datetime(2026, 5, 17, 6, 40, tzinfo=UTC).timestamp()  # a Sunday
SECRETS = ("sk-or-v1-0e6f2a9b44d17c83aa5521d7b9e40c96",)

MemberPath: TypeAlias = tuple[str | int, ...]


def at(*date: int) -> float:
    """Return Unix seconds of a time in UTC: year, month, day, hour ..."""
    return datetime(*date, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]  # the numbers of a date are its first arguments


@cache
def preset(name: str) -> ReplyMapping:
    return load_preset(name)


@cache
def _text(preset_name: str, name: str) -> str:
    return (FIXTURES / preset_name / f"{name}.json").read_text(encoding="utf-8")


def fixture(preset_name: str, name: str) -> Any:
    """Return a new copy of a fixture."""
    return json.loads(_text(preset_name, name))


def fixture_names(preset_name: str) -> list[str]:
    return sorted(path.stem for path in (FIXTURES / preset_name).glob("*.json"))


def outcome_of(
    preset_name: str, body: Any, *, now: float = NOW, headers: Mapping[str, str] | None = None
) -> Quota | Failure:
    """Return what a preset makes of a fixture's content: replies of HTTP status 200, all with these headers."""
    mapping = preset(preset_name)
    replies = {}
    for request in mapping.steps:
        if len(mapping.steps) == 1:
            content = body
        elif request.id in body:
            content = body[request.id]
        elif request.optional or request.where is not None:
            continue
        else:
            return Failure(Reason.UNEXPECTED_SHAPE, f"the fixture lacks {request.id}")
        reply = Reply(content, 200, headers or {})
        failure = check_reply(mapping, request, reply, secrets=SECRETS)
        if failure is None:
            replies[request.id] = Reply(_items(request, reply), 200, headers or {})
        elif not request.optional:
            return failure
    return map_replies(mapping, replies, secrets=SECRETS, now=now, max_buckets=20)


def _items(request: Request, reply: Reply) -> Any:
    if request.pages is None:
        return reply.body
    listed = PagedList(request.pages, "pages", request.id)
    listed.add(reply.body, reply.headers)
    return listed.items


def quota_of(preset_name: str, body: Any, *, now: float = NOW, headers: Mapping[str, str] | None = None) -> Quota:
    outcome = outcome_of(preset_name, body, now=now, headers=headers)
    assert isinstance(outcome, Quota), outcome
    return outcome


def failure_of(preset_name: str, body: Any) -> Failure:
    outcome = outcome_of(preset_name, body)
    assert isinstance(outcome, Failure), outcome
    return outcome


def buckets_of(outcome: Quota | Failure) -> dict[tuple[str, ...], Bucket]:
    """Return the buckets by kind and name, those of a key in a list of keys by its alias before that."""
    if isinstance(outcome, Failure):
        return {}
    found: dict[tuple[str, ...], Bucket] = {(bucket.kind, bucket.name): bucket for bucket in outcome.buckets}
    for child in outcome.children or ():
        found |= {(child.alias, *key): bucket for key, bucket in buckets_of(child.outcome).items()}
    return found


def paths_in(value: Any, path: MemberPath = ()) -> Iterator[MemberPath]:
    """Yield where each member of nested maps and each item of lists is."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for member, inner in members:
        yield (*path, member)
        yield from paths_in(inner, (*path, member))


def without(body: Any, path: MemberPath) -> Any:
    """Return a copy that lacks one member."""
    body = copy.deepcopy(body)
    del _parent(body, path)[path[-1]]
    return body


def replaced(body: Any, path: MemberPath, value: Any) -> Any:
    """Return a copy in which one member has another value."""
    body = copy.deepcopy(body)
    _parent(body, path)[path[-1]] = value
    return body


def _parent(body: Any, path: MemberPath) -> Any:
    for member in path[:-1]:
        body = body[member]
    return body
