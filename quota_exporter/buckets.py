"""Bucket rules of a mapping turned into buckets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from quota_exporter.bucket_language import BucketRule, Unlimited
from quota_exporter.expression import Expression, Nothing
from quota_exporter.quota import Bucket, Kind, Problem
from quota_exporter.reader import Absent, Reader
from quota_exporter.reply_text import MAX_NAME, clean_text

_Amount = float | Absent
_KINDS = {kind.value: kind for kind in Kind}
_UNUSABLE = ""  # the reply names a currency, and that is none


def read_buckets(
    rules: tuple[BucketRule, ...],
    reader: Reader,
    *,
    units: Mapping[str, float],
    secrets: tuple[str, ...],
    max_buckets: int,
    place: str = "buckets",
) -> tuple[Bucket, ...]:
    """Return the buckets that a reply says something about: at most `max_buckets`, unique per kind and name.

    `secrets` are what no name may show, `place` is where the rules stand in the mapping.
    """
    found: dict[tuple[Kind, str], Bucket] = {}
    for index, rule in enumerate(rules):
        field = f"{place}[{index}]"
        for item in reader.readers(rule.each, f"{field}.each"):
            bucket = _BucketReader(rule, field, item, units, secrets).bucket()
            if bucket is None:
                continue
            if (bucket.kind, bucket.name) in found:
                reader.notes.drop(Problem.DUPLICATE, field)
            elif len(found) >= max_buckets:
                reader.notes.drop(Problem.TOO_MANY, field)
            else:
                found[bucket.kind, bucket.name] = bucket
    return tuple(found.values())


class _BucketReader:
    """One rule applied to one item."""

    __slots__ = ("_field", "_per_unit", "_reader", "_rule", "_secrets")

    def __init__(
        self, rule: BucketRule, field: str, reader: Reader, units: Mapping[str, float], secrets: tuple[str, ...]
    ) -> None:
        self._rule = rule
        self._field = field
        self._reader = reader
        self._per_unit = 1.0 if rule.unit is None else units[rule.unit]
        self._secrets = secrets

    def bucket(self) -> Bucket | None:
        """Return the bucket; None when there is none, or when it lacks what every bucket needs, which is counted."""
        rule, field, reader = self._rule, self._field, self._reader
        if rule.where is not None and not reader.holds(rule.where, f"{field}.where"):
            return None
        kind = self._kind()
        name = None if kind is None else self._name()
        if kind is None or name is None:
            return None
        currency = self._currency() if kind is Kind.COST else None
        if currency == _UNUSABLE:
            return None
        limit, used, remaining = (
            reader.amount(getattr(rule, key), f"{field}.{key}") for key in ("limit", "used", "remaining")
        )
        unlimited = self._unlimited(limit, used, remaining)
        if unlimited:
            limit = remaining = Absent.NOT_ASKED
        values = _derive(limit, used, remaining, may_derive_limit=not unlimited)
        # a limit counts also where it can be derived: a renamed one must be seen
        is_unexplained = limit is Absent.NULL and rule.unlimited is None
        self._count(Absent.MISSING if is_unexplained else limit, None, "limit", rule.limit)
        self._count(used, values[1], "used", rule.used)
        self._count(remaining, values[2], "remaining", rule.remaining)
        if not unlimited and values == (None, None, None):
            return None
        limit_value, used_value, remaining_value = map(self._in_units, values, ("limit", "used", "remaining"))
        limited = True if isinstance(limit, float) and unlimited is False else None
        return Bucket(
            kind=kind,
            name=name,
            currency=currency,
            limit=limit_value,
            used=used_value,
            remaining=remaining_value,
            limited=False if unlimited else limited,
            resets_at=reader.time(rule.resets_at, f"{field}.resets_at", rule.time_format),
            window_seconds=reader.period(rule.window, f"{field}.window"),
        )

    def _kind(self) -> Kind | None:
        if self._rule.kind_from is None:
            return self._rule.kind
        value = self._reader.raw(self._rule.kind_from, f"{self._field}.kind_from")
        kind = _KINDS.get(value) if isinstance(value, str) else None
        if kind is None:
            self._reader.notes.drop(Problem.UNRESOLVED, f"{self._field}.kind_from", self._rule.kind_from)
        return kind

    def _name(self) -> str | None:
        rule = self._rule
        if rule.name_from is None:
            return rule.literal_name
        field = f"{self._field}.name_from"
        text = clean_text(self._reader.raw(rule.name_from, field), self._secrets)
        if text is None:
            self._reader.notes.drop(Problem.UNRESOLVED, field, rule.name_from)
            return None
        return text if rule.name is None else f"{rule.name} {text}"[:MAX_NAME].rstrip()

    def _currency(self) -> str | None:
        rule, field = self._rule, f"{self._field}.currency_from"
        value = Nothing.MISSING if rule.currency_from is None else self._reader.raw(rule.currency_from, field)
        if value is None or value is Nothing.MISSING:
            return rule.currency
        if isinstance(value, str) and re.fullmatch("[A-Za-z]{3}", value):
            return value.upper()
        problem = Problem.UNRESOLVED if value is Nothing.FAILED else Problem.BAD_CURRENCY
        self._reader.notes.drop(problem, field, rule.currency_from)
        return _UNUSABLE

    def _unlimited(self, limit: _Amount, used: _Amount, remaining: _Amount) -> bool | None:
        """Whether the reply says that no limit applies; None when the flag that says so cannot be read."""
        rule = self._rule.unlimited
        if rule is None:
            return False
        if rule.null_limit and limit is Absent.NULL:
            return True
        if rule.values and _is_sentinel({"limit": limit, "used": used, "remaining": remaining}[rule.of], rule):
            return True
        if rule.when is None:
            return False
        field = f"{self._field}.unlimited"
        value = self._reader.raw(rule.when, field)
        if isinstance(value, bool):
            return value
        self._reader.notes.drop(Problem.UNRESOLVED, field, rule.when)
        return None

    def _in_units(self, value: float | None, key: str) -> float | None:
        if value is None or self._per_unit == 1:
            return value
        amount = value / self._per_unit
        if math.isfinite(amount):
            return amount
        self._reader.notes.drop(Problem.NOT_A_NUMBER, f"{self._field}.{key}")
        return None

    def _count(self, amount: _Amount, value: float | None, key: str, expression: Expression | None) -> None:
        field = f"{self._field}.{key}"
        if amount is Absent.NOT_A_NUMBER:
            self._reader.notes.drop(Problem.NOT_A_NUMBER, field, expression)
        elif amount is Absent.MISSING and value is None:
            self._reader.notes.drop(Problem.UNRESOLVED, field, expression)


def _is_sentinel(amount: _Amount, rule: Unlimited) -> bool:
    return isinstance(amount, float) and any(
        math.isclose(amount, value, rel_tol=rule.tolerance, abs_tol=0.0) for value in rule.values
    )


def _derive(limit: _Amount, used: _Amount, remaining: _Amount, *, may_derive_limit: bool) -> tuple[float | None, ...]:
    """Return limit, used and remaining, the one that is absent computed from the others where both are there.

    A limit that the reply gives as null or as no number stays absent: the reply did say something about it.
    """
    if isinstance(limit, float):
        if isinstance(used, float) and not isinstance(remaining, float):
            remaining = limit - used
        elif isinstance(remaining, float) and not isinstance(used, float):
            used = limit - remaining
    elif may_derive_limit and limit in (Absent.NOT_ASKED, Absent.MISSING):
        limit = used + remaining if isinstance(used, float) and isinstance(remaining, float) else limit
    return tuple(
        amount if isinstance(amount, float) and math.isfinite(amount) else None for amount in (limit, used, remaining)
    )
