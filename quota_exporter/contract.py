"""What the neutral contract asks of the JSON of a reply, checked point by point."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from quota_exporter.contract_values import (
    Finding,
    Look,
    amount_points,
    currency_points,
    null,
    ok,
    skipped,
    text_points,
    time_points,
    type_name,
    violation,
    warning,
    window_points,
)
from quota_exporter.humanize import number
from quota_exporter.numbers import parse_number
from quota_exporter.quota import Kind
from quota_exporter.reply_text import MAX_NAME, clean_text

_SCHEMA = files("quota_exporter") / "data" / "contract.schema.json"
_AMOUNTS = ("limit", "used", "remaining")
_OF_TOKENS = (*_AMOUNTS, "resets_at")
_OF_COST = (*_OF_TOKENS, "currency")
_OF_BUCKET = (*_OF_COST, "kind", "name", "window_seconds")
_OF_REPLY = ("key", "tokens", "cost", "buckets", "expires_at", "error")
_DEFAULT_NAME = "default"
_MAX_BUCKETS = 20
_MAX_UNKNOWN = 5
_CENT = 0.01
_ROUNDING = 1e-6


def contract_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a reply with HTTP 200; that of an error reply is its `$defs.error`."""
    schema: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return schema


def check_document(document: Any, *, key: str, now: float) -> Iterator[Finding]:
    """Tell of the JSON of a reply with HTTP 200 what conforms; `now` is Unix time, `key` the API key that was sent."""
    if not isinstance(document, dict):
        yield violation("reply", f"is {type_name(document)}; answer with a JSON object")
        return
    look = Look((key,), now)
    yield ok("reply", "a JSON object")
    if document.get("error") is not None:
        yield violation("error", "an error with HTTP 200; answer errors with their own status")
    yield from _key_name(document, look)
    if any(isinstance(document.get(member), dict) for member in ("tokens", "cost")) or document.get("buckets"):
        yield ok("quota", "at least one of tokens, cost, buckets is there")
    else:
        yield violation("quota", "there is nothing in tokens, cost or buckets; give one of them")
    yield from _buckets(document, look)
    yield from time_points("expires_at", document, look, "a key that has expired should be refused with key_expired")
    yield from _unknown_members(document, look)


def error_problem(document: Any) -> str | None:
    """What keeps the JSON of a reply from being the contract's error reply, or None."""
    if not isinstance(document, dict) or not isinstance(document.get("error"), dict):
        return 'is not {"error": {"message": ..., "code": ...}}'
    error = document["error"]
    if not isinstance(error.get("message"), str):
        return "has no text as error.message"
    return None if isinstance(error.get("code", ""), str) else "has an error.code that is not text"


def _key_name(document: Mapping[str, Any], look: Look) -> Iterator[Finding]:
    if "key" not in document:
        yield skipped("key", "not given; a name would tell people whose quota this is")
    else:
        yield from text_points("key", document["key"], look)


def _buckets(document: Mapping[str, Any], look: Look) -> Iterator[Finding]:
    seen: dict[tuple[str, str], str] = {}
    for kind in (Kind.TOKENS, Kind.COST):
        if kind in document:
            yield from _named_bucket(kind, document[kind], look)
            if isinstance(document[kind], dict):
                seen[kind, _DEFAULT_NAME] = str(kind)
    if "buckets" not in document:
        yield skipped("buckets", "not given; for more than one limit, or other kinds")
        return
    listed = document["buckets"]
    if listed is None:
        yield null("buckets")
    elif not isinstance(listed, list):
        yield violation("buckets", f"is {type_name(listed)}; write a list")
    else:
        yield _length(listed)
        for index, bucket in enumerate(listed[:_MAX_BUCKETS]):
            yield from _listed_bucket(f"buckets[{index}]", bucket, seen, look)


def _length(listed: list[Any]) -> Finding:
    if not listed:
        return warning("buckets", "is an empty list; leave it out")
    if len(listed) > _MAX_BUCKETS:
        detail = (
            f"holds {len(listed)} buckets; only {_MAX_BUCKETS} are checked here, or shown unless max_buckets is raised"
        )
        return warning("buckets", detail)
    return ok("buckets", f"a list of {len(listed)}")


def _named_bucket(kind: Kind, bucket: Any, look: Look) -> Iterator[Finding]:
    if bucket is None:
        yield null(kind)
    elif not isinstance(bucket, dict):
        yield violation(kind, f"is {type_name(bucket)}; write an object with limit, used, remaining")
    else:
        yield from _members(str(kind), bucket, look)
        if kind is Kind.COST:
            yield from currency_points("cost", bucket, look)


def _listed_bucket(where: str, bucket: Any, seen: dict[tuple[str, str], str], look: Look) -> Iterator[Finding]:
    if not isinstance(bucket, dict):
        yield violation(where, f"is {type_name(bucket)}; write an object with kind, limit, used, remaining")
        return
    kind = bucket.get("kind")
    known = isinstance(kind, str) and kind in list(Kind)
    if known:
        yield ok(f"{where}.kind", str(kind))
    else:
        state = "is unknown" if "kind" in bucket else "is missing"
        yield violation(f"{where}.kind", f"{state}; write one of {', '.join(Kind)}")
    if "name" in bucket:
        yield from text_points(f"{where}.name", bucket["name"], look)
    name = clean_text(bucket.get("name") or _DEFAULT_NAME, look.secrets)
    if known and name is not None:
        first = seen.setdefault((str(kind), name), where)
        if first != where:
            yield violation(where, f"has the kind and name of {first}, so only that one is shown; give it another name")
    yield from _members(where, bucket, look)
    if kind == Kind.COST:
        yield from currency_points(where, bucket, look)
    elif known and "currency" in bucket:
        yield warning(f"{where}.currency", "has no meaning for this kind; leave it out")
    yield from window_points(f"{where}.window_seconds", bucket)


def _members(where: str, bucket: Mapping[str, Any], look: Look) -> Iterator[Finding]:
    for name in _AMOUNTS:
        yield from amount_points(where, name, bucket)
    if not any(name in bucket for name in _AMOUNTS):
        yield violation(where, "holds none of limit, used and remaining")
    yield _sum(where, bucket)
    yield from time_points(f"{where}.resets_at", bucket, look, "it should be when the amount refills next")


def _sum(where: str, bucket: Mapping[str, Any]) -> Finding:
    point = f"{where}: used + remaining = limit"
    limit, used, remaining = (parse_number(bucket.get(name)) for name in _AMOUNTS)
    if limit is None or used is None or remaining is None:
        return skipped(point, "not all three are numbers")
    if math.isclose(used + remaining, limit, rel_tol=_ROUNDING, abs_tol=_CENT + _ROUNDING):
        return ok(point, "they agree")
    return warning(point, f"used + remaining is {number(used + remaining)}, the limit {number(limit)}")


def _unknown_members(document: Mapping[str, Any], look: Look) -> Iterator[Finding]:
    owners: list[tuple[str, Any, tuple[str, ...]]] = [("", document, _OF_REPLY)]
    owners += [("tokens.", document.get("tokens"), _OF_TOKENS), ("cost.", document.get("cost"), _OF_COST)]
    listed = document.get("buckets")
    if isinstance(listed, list):
        owners += [(f"buckets[{index}].", item, _OF_BUCKET) for index, item in enumerate(listed[:_MAX_BUCKETS])]
    unknown = [
        (where, name, known)
        for where, owner, known in owners
        if isinstance(owner, dict)
        for name in owner
        if name not in known
    ]
    for where, name, known in unknown[:_MAX_UNKNOWN]:
        shown = clean_text(name, look.secrets) or "(a name that is not shown, for it may be a key)"
        nearest = difflib.get_close_matches(name[:MAX_NAME], known, n=1)
        hint = f"did you mean `{nearest[0]}`?" if nearest else "clients ignore it"
        yield warning(f"{where}{shown}", f"is not a member of the contract; {hint}")
    if len(unknown) > _MAX_UNKNOWN:
        yield warning("unknown members", f"{len(unknown) - _MAX_UNKNOWN} more than those named above")
    if not unknown:
        yield ok("unknown members", "none")
