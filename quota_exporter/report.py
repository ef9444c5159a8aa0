"""What people and scripts are told about each gateway, as values that JSON can carry."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from quota_exporter.advice import ADVICE
from quota_exporter.children import split_id
from quota_exporter.credentials import Credential, KeyCheck
from quota_exporter.exporter import Generation
from quota_exporter.quota import GatewayStatus, KeySource, Quota

_LOG = logging.getLogger(__name__)


def gateway_reports(generation: Generation, provider_ids: Iterable[str], *, now: float) -> list[dict[str, Any]]:
    """Report on gateways, and keys that a gateway lists, after their last poll; keys no longer listed are left out.

    A report holds no key and no reply text but cleaned names. Its keys: provider_id, label, parent (the gateway that
    lists this key, else None), owner, mapping, base_url, url (None without base URL), urls (of all requests, `url`
    first), origins (where the key goes, each scheme://host:port), key_source, checked [{source, where, outcome}],
    notes, configured_at, min_interval_seconds, reading (None before the first poll), quota (None when there is none;
    its `children` is how many keys it lists, None when it lists none), last_success (Unix time). What is configured is
    that of the parent. Times are Unix seconds, durations seconds.
    """
    configured: dict[str, dict[str, Any]] = {}  # by gateway: thousands of its keys must not look for its own key each
    reports = []
    for provider_id in provider_ids:
        parent, alias = split_id(provider_id)
        status = generation.fleet.last(provider_id)
        if alias is not None and status is None:
            continue  # a poll that ended after the ids were taken no longer listed it
        if parent not in configured:
            configured[parent] = _configured(generation, parent)
        report = configured[parent] | _polled(status, now)
        if alias is not None:
            report |= {"provider_id": provider_id, "label": alias, "parent": parent, "notes": []}
        reports.append(report)
    return reports


def _configured(generation: Generation, provider_id: str) -> dict[str, Any]:
    plan = generation.plans[provider_id]
    labels = generation.labels[provider_id]
    credential = _credential(generation, provider_id)
    return {
        "provider_id": provider_id,
        "label": labels.label,
        "parent": None,
        "owner": labels.owner,
        "mapping": labels.mapping,
        "base_url": plan.settings.base_url,
        "url": plan.url,
        "urls": list(plan.urls),
        "origins": list(plan.origins),
        "configured_at": str(plan.location),
        "notes": list(plan.notes),
        "key_source": credential.source,
        "checked": [asdict(check) for check in credential.checked],
        "min_interval_seconds": plan.min_interval,
    }


def _polled(status: GatewayStatus | None, now: float) -> dict[str, Any]:
    if status is None:
        return {"reading": None, "quota": None, "last_success": None}
    return {
        "reading": _reading(status, now),
        "quota": None if status.quota is None else _quota(status.quota),
        "last_success": status.last_success,
    }


def _credential(generation: Generation, provider_id: str) -> Credential:
    try:
        return generation.fleet.members[provider_id].credential()
    except Exception as error:  # noqa: BLE001 - no bug with one gateway's key may cost people the page of all
        _LOG.exception("the key cannot be looked up, by a bug", extra={"provider_id": provider_id})
        outcome = f"a bug in the exporter ({type(error).__name__}); see its log"
        return Credential(None, KeySource.NONE, (KeyCheck(KeySource.NONE, "the API key", outcome),))


def _reading(status: GatewayStatus, now: float) -> dict[str, Any]:
    reading = status.reading
    failure = reading.failure
    report: dict[str, Any] = {
        "ok": failure is None,
        "at": reading.at,
        "age_seconds": max(0.0, now - reading.at),
        "duration_seconds": reading.duration,
        "http_status": reading.http_status,
        "key_source": reading.key_source,
        "dropped": [asdict(dropped) for dropped in reading.outcome.dropped],
        "reason": None,
        "meaning": None,
        "detail": None,
        "action": None,
    }
    if failure is not None:
        advice = ADVICE[failure.reason]
        report |= {
            "reason": failure.reason,
            "meaning": advice.meaning,
            "detail": failure.detail,
            "action": advice.action,
        }
    return report


def _quota(quota: Quota) -> dict[str, Any]:
    return {
        "key_name": quota.key_name,
        "expires_at": quota.expires_at,
        "children": None if quota.children is None else len(quota.children),
        "buckets": [{**asdict(bucket), "remaining_ratio": bucket.remaining_ratio} for bucket in quota.buckets],
    }


def read_status(body: bytes) -> tuple[list[dict[str, Any]], float]:
    """Return the reports and the Unix time that an exporter's `/quota_status?format=json` holds.

    ValueError when it is anything else: every value that people are shown is checked, further ones may be there.
    """
    status = json.loads(body)
    _Status.model_validate(status)
    return status["gateways"], status["time"]


class _Told(BaseModel):
    """What another process tells."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Check(_Told):
    where: str
    outcome: str


class _Dropped(_Told):
    where: str
    problem: str
    count: int


class _Success(_Told):
    ok: Literal[True]
    age_seconds: float
    dropped: list[_Dropped]


class _Failed(_Told):
    ok: Literal[False]
    age_seconds: float
    reason: str
    meaning: str
    detail: str
    action: str


class _Bucket(_Told):
    kind: str
    name: str
    currency: str | None
    limited: bool | None
    used: float | None
    remaining: float | None
    remaining_ratio: float | None
    resets_at: float | None


class _Quota(_Told):
    children: int | None
    buckets: list[_Bucket]


class _Report(_Told):
    provider_id: str
    parent: str | None
    key_source: str
    checked: list[_Check]
    reading: _Success | _Failed | None
    quota: _Quota | None

    @model_validator(mode="after")
    def _success_has_quota(self) -> Self:
        if isinstance(self.reading, _Success) and self.quota is None:
            raise ValueError("a reading that is a quota comes with it")
        return self


class _Status(_Told):
    time: float
    gateways: list[_Report]
