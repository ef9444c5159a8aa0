"""What people and scripts are told about each gateway, as values that JSON can carry."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from quota_exporter.advice import ADVICE
from quota_exporter.exporter import Generation
from quota_exporter.quota import GatewayStatus, Quota


def gateway_report(generation: Generation, provider_id: str, *, now: float) -> dict[str, Any]:
    """Report on one gateway after its last poll: no key, no reply text but cleaned names.

    Keys: provider_id, label, owner, mapping, base_url, url (None without base URL), key_source, checked
    [{source, where, outcome}], notes, configured_at, min_interval_seconds, reading (None
    before the first poll), quota (None when there is none), last_success (Unix time). Times are Unix seconds,
    durations seconds.
    """
    plan = generation.plans[provider_id]
    labels = generation.labels[provider_id]
    credential = generation.fleet.members[provider_id].credential()
    status = generation.fleet.last(provider_id)
    return {
        "provider_id": provider_id,
        "label": labels.label,
        "owner": labels.owner,
        "mapping": labels.mapping,
        "base_url": plan.settings.base_url,
        "url": plan.url,
        "configured_at": str(plan.location),
        "notes": list(plan.notes),
        "key_source": credential.source,
        "checked": [asdict(check) for check in credential.checked],
        "min_interval_seconds": plan.min_interval,
        "reading": None if status is None else _reading(status, now),
        "quota": None if status is None or status.quota is None else _quota(status.quota),
        "last_success": None if status is None else status.last_success,
    }


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
        "buckets": [{**asdict(bucket), "remaining_ratio": bucket.remaining_ratio} for bucket in quota.buckets],
    }
