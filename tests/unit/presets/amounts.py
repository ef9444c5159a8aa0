"""What buckets hold, in short, for the tests of presets with many of them."""

from __future__ import annotations

from typing import Any, TypeAlias

from tests.unit.presets.replies import buckets_of, fixture, quota_of

Key: TypeAlias = tuple[str, ...]


def amounts_of(preset_name: str, reply: str) -> dict[Key, tuple[Any, ...]]:
    """Return limit, used, remaining and whether limited by kind and name; a fixture that drops nothing."""
    quota = quota_of(preset_name, fixture(preset_name, reply))
    assert quota.dropped == ()
    return {key: (b.limit, b.used, b.remaining, b.limited) for key, b in buckets_of(quota).items()}


def refills_of(preset_name: str, reply: str) -> dict[Key, tuple[float | None, float | None]]:
    """Return the length of the period and its end by kind and name."""
    found = buckets_of(quota_of(preset_name, fixture(preset_name, reply)))
    return {key: (b.window_seconds, b.resets_at) for key, b in found.items()}
