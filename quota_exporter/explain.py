"""One gateway's reading taken apart: what was asked, what came, what each expression made of it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from quota_exporter.conversation import lost_reply
from quota_exporter.credentials import Credential
from quota_exporter.endpoints import auth_of
from quota_exporter.exchange import secret_texts
from quota_exporter.exporter import Generation
from quota_exporter.files import FileProblem, FileReader
from quota_exporter.gateway import Gateway
from quota_exporter.humanize import counted
from quota_exporter.mapping import Reply, check_reply, is_asked_for, map_replies, request_values
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.metrics import GatewayLabels
from quota_exporter.outgoing import place_of
from quota_exporter.paging import PagedList
from quota_exporter.quota import Failure, KeySource, Quota, Reading, Reason
from quota_exporter.reader import Notes
from quota_exporter.recording import Recorded, RecordingTransport
from quota_exporter.reply import MAX_PAGE_BYTES, BadReplyError, parse_json

_SHOWN_HEADERS = frozenset(("accept", "accept-encoding", "user-agent", "content-type", "host"))


class ExplainError(Exception):
    """What is asked for cannot be explained; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A request, in lines without its secrets, and its reply: JSON, or text that says why there is none.

    There are no lines of a request when the reply came from a file. `sent` is the JSON that a POST carries, None where
    there is none. `further` says what pages came after it.
    """

    request: Sequence[str]
    title: str
    reply: Any = field(repr=False)
    sent: Any = field(default=None, repr=False)
    further: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reading with all that led to it; `secrets` are what nothing shown may hold."""

    labels: GatewayLabels
    turns: Sequence[Turn]
    notes: Notes = field(repr=False)
    reading: Reading
    secrets: tuple[str, ...] = field(repr=False)


async def explain_poll(generation: Generation, provider_id: str) -> Explanation:
    """Poll a gateway once and keep all that passes; `provider_id` is one of the generation's."""
    member = generation.fleet.members[provider_id]
    recorded: list[Recorded] = []
    notes = Notes(evaluated=[])
    credential = member.credential()
    gateway = replace(member.gateway, transport=RecordingTransport(member.gateway.transport, recorded))
    reading = await gateway.poll(credential, notes)
    hidden = _hidden_headers(gateway)
    own = {name.lower() for name in gateway.settings.headers}
    sent = (value for record in recorded for name, value in record.headers if name.lower() in own)
    secrets = secret_texts(gateway.mapping, _key(credential), sent)
    pages = (list(page) for _, page in groupby(recorded, key=lambda record: (record.method, _path(record.url))))
    turns = [await _turn(number, page, gateway, hidden, secrets) for number, page in enumerate(pages, start=1)]
    return Explanation(generation.labels[provider_id], turns, notes, reading, secrets)


def explain_file(generation: Generation, provider_id: str, path: Path, files: FileReader) -> Explanation:
    """Map the reply in a file as if the gateway had sent it; ExplainError when the file holds no reply.

    Of a mapping with several requests the file holds {id: reply}, or the first reply alone where that may do; of a
    request with pages one page.
    """
    plan, member = generation.plans[provider_id], generation.fleet.members[provider_id]
    try:
        document = parse_json(files.read_text(path, max_bytes=MAX_PAGE_BYTES).encode())
    except FileProblem as problem:
        raise ExplainError(f"{path}: the file {problem}") from None
    except BadReplyError as error:
        raise ExplainError(f"{path}: {error.detail}") from None
    values = (header.value for header in plan.settings.headers.values())
    sent = (value.get_secret_value() for value in values if value is not None)
    secrets = secret_texts(plan.mapping, _key(member.credential()), sent)
    now = time.time()
    notes = Notes(evaluated=[])
    outcome: Quota | Failure
    replies = _replies(plan.mapping, _bodies(plan.mapping, document, path), notes, secrets, now)
    if isinstance(replies, Failure):
        outcome = replace(replies, dropped=(*notes.dropped, *replies.dropped))
    else:
        outcome = map_replies(
            plan.mapping,
            replies,
            secrets=secrets,
            now=now,
            max_buckets=plan.settings.max_buckets,
            max_children=plan.settings.max_children,
            notes=notes,
        )
    reading = Reading(provider_id, KeySource.NONE, now, 0.0, None, outcome)
    turn = Turn((), f"Reply from {path}", _shown(document))
    return Explanation(generation.labels[provider_id], [turn], notes, reading, secrets)


def _bodies(mapping: ReplyMapping, document: Any, path: Path) -> dict[str, Any]:
    """The replies that a file holds, by request id."""
    first, *others = mapping.steps
    if not others:
        return {first.id: document}
    is_by_id = isinstance(document, dict) and any(
        isinstance(document.get(request.id), dict | list) for request in mapping.steps
    )
    bodies = document if is_by_id else {first.id: document}
    for request in mapping.steps:
        is_needed = not request.optional and request.where is None and not request.values
        if is_needed and request.id not in bodies:
            ids = ", ".join(one.id for one in mapping.steps)
            raise ExplainError(
                f"{path}: lacks the reply {request.id}: the mapping {mapping.name} has several requests;"
                f" write {{id: reply}} with the ids {ids}"
            )
    return bodies


def _replies(
    mapping: ReplyMapping, bodies: dict[str, Any], notes: Notes, secrets: tuple[str, ...], now: float
) -> dict[str, Reply] | Failure:
    """The replies that a poll would ask for and may use, or why there is no quota; what optional ones lose is noted."""
    replies: dict[str, Reply] = {}
    for index, request in enumerate(mapping.steps):
        place = place_of(index)
        if not is_asked_for(request, replies, place, now=now, notes=notes):
            continue
        if request_values(request, replies, place, now=now, notes=notes) is None:
            if request.optional:
                continue
            return Failure(Reason.UNEXPECTED_SHAPE, f"the replies before {request.id} lack a value that it needs")
        if request.id not in bodies:
            continue
        reply = Reply(bodies[request.id], 200, {})
        failure = check_reply(mapping, request, reply, secrets=secrets, notes=notes)
        if failure is None and request.pages is not None:
            listed = PagedList(request.pages, f"{place}.pages", request.id, notes)
            try:
                listed.add(reply.body, {})
            except BadReplyError as error:
                failure = Failure(error.reason, error.detail)
            reply = replace(reply, body=listed.items)
        if failure is None:
            replies[request.id] = reply
        elif not request.optional:
            return failure
        else:
            lost = lost_reply(place, request, failure)
            notes.drop(lost.problem, lost.where)
    return replies


async def _turn(
    number: int, pages: Sequence[Recorded], gateway: Gateway, hidden: frozenset[str], secrets: tuple[str, ...]
) -> Turn:
    first, *others = pages
    configured = (gateway.url or "", *gateway.further_urls)
    lines = [f"{first.method} {first.address(configured, secrets)}"]
    lines += (f"{name}: {'(not shown)' if _is_hidden(name, hidden) else value}" for name, value in first.headers)
    further = None
    if others:
        last = others[-1]
        further = f"{counted(len(others), 'further page')}, the last one with {_result(last)}"
    sent = json.loads(first.sent) if first.sent else None
    return Turn(lines, f"Reply {number}: {_result(first)}", await _document(first), sent, further)


def _result(record: Recorded) -> str:
    status = "no reply" if record.http_status is None else f"HTTP {record.http_status}"
    return f"{status}, {counted(sum(map(len, record.chunks)), 'byte')}"


async def _document(record: Recorded) -> Any:
    """The JSON of a reply; text that says why there is none is told apart by its type."""
    if record.http_status is None:
        return "nothing came back"
    if not record.is_whole:
        return "not read to its end"
    try:
        return _shown(await record.document())
    except BadReplyError as error:
        return error.detail


def _shown(document: Any) -> Any:
    return document if isinstance(document, dict | list) else "JSON, but not an object"


def _hidden_headers(gateway: Gateway) -> frozenset[str]:
    """Headers that may hold a secret though the exporter sets them itself where nobody else does."""
    own = (auth_of(gateway.mapping, request, gateway.settings.auth).header for request in gateway.mapping.steps)
    given = (name for request in gateway.mapping.steps for name in request.headers)
    return frozenset(name.lower() for name in (*gateway.settings.headers, *given, *own))


def _is_hidden(name: str, hidden: frozenset[str]) -> bool:
    return name.lower() in hidden or name.lower() not in _SHOWN_HEADERS


def _key(credential: Credential) -> str | None:
    return None if credential.key is None else credential.key.get_secret_value()


def _path(url: str) -> str:
    return url.partition("?")[0]
