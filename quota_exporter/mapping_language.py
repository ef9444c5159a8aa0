"""Mapping documents compiled into checked mappings."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from quota_exporter.document import ConfigProblem, Document, parse_yaml
from quota_exporter.expression import Expression, compile_expression, constant
from quota_exporter.quota import Kind
from quota_exporter.validation import Place, validate
from quota_exporter.values import Duration, Model, QuotaPath

_PRESETS = files("quota_exporter") / "data" / "presets"


class MappingError(Exception):
    """A mapping document that cannot be used; `problems` says why, each with file, line and field."""

    def __init__(self, *problems: ConfigProblem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError("has no value; give one or remove the line")
    return value


def _expression(value: Any) -> Expression:
    if not isinstance(value, str):
        raise ValueError("must be an expression, which is text; put it in quotes")  # noqa: TRY004 - pydantic reports it
    return compile_expression(value)


def _amount(value: Any) -> Expression:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return constant(value)
    return _expression(value)


def _mapping_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", value):
        raise ValueError("must be 1 to 64 lower-case letters, digits or dashes, a letter or digit first")
    return value


def _bucket_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", value):
        raise ValueError("must be 1 to 64 letters, digits, spaces, dots, dashes or underscores")
    return value


_Given = BeforeValidator(_given)
_Expression = Annotated[Annotated[Expression, PlainValidator(_expression)] | None, _Given]
_Amount = Annotated[Annotated[Expression, PlainValidator(_amount)] | None, _Given]


class Request(Model):
    """One GET; `path` is below the gateway's base URL."""

    path: QuotaPath


class BucketRule(Model):
    """How a reply becomes one bucket.

    `where` tells whether the bucket exists. `currency` is a literal, `currency_from` an expression that goes
    before it. `unlimited: null_limit` takes a limit that is present and null for unlimited.
    """

    kind: Annotated[Kind, Field(strict=False)]
    name: Annotated[str, AfterValidator(_bucket_name)]
    currency: str | None = Field(None, validate_default=True)
    currency_from: _Expression = None
    where: _Expression = None
    limit: _Amount = None
    unlimited: Annotated[Literal["null_limit"] | None, _Given] = None
    used: _Amount = None
    remaining: _Amount = None
    window: _Amount = None
    resets_at: _Expression = None

    @field_validator("currency")
    @classmethod
    def _check_currency(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "kind" not in info.data:
            return value
        if info.data["kind"] is not Kind.COST:
            return cls._refuse_currency(value)
        if value is None:
            raise ValueError("needs `currency`, as every bucket of kind cost: three capital letters, such as USD")
        if not re.fullmatch("[A-Z]{3}", value):
            raise ValueError("must be three capital letters, such as USD")
        return value

    @field_validator("currency_from")
    @classmethod
    def _check_currency_from(cls, value: Expression | None, info: ValidationInfo) -> Expression | None:
        if info.data.get("kind", Kind.COST) is not Kind.COST:
            cls._refuse_currency(value)
        return value

    @field_validator("unlimited")
    @classmethod
    def _check_unlimited(cls, value: str | None, info: ValidationInfo) -> str | None:
        limit = info.data.get("limit")
        if "limit" in info.data and (limit is None or limit.path is None):
            raise ValueError("null_limit needs a `limit` that is a plain path, such as data.limit")
        return value

    @model_validator(mode="after")
    def _check_amounts(self) -> Self:
        if self.limit is None and self.used is None and self.remaining is None:
            raise ValueError("needs at least one of limit, used and remaining")
        return self

    @staticmethod
    def _refuse_currency(value: Any) -> None:
        if value is not None:
            raise ValueError("belongs to buckets of kind cost only; remove it")


def _one_request(requests: tuple[Request, ...]) -> tuple[Request, ...]:
    if len(requests) != 1:
        raise ValueError("must hold exactly one request")
    return requests


def _some_buckets(buckets: tuple[BucketRule, ...]) -> tuple[BucketRule, ...]:
    if not buckets:
        raise ValueError("must hold at least one bucket")
    return buckets


class ReplyMapping(Model):
    """How the replies of one sort of gateway become quotas; `min_interval` is in seconds."""

    name: Annotated[str, AfterValidator(_mapping_name)]
    description: str
    requests: Annotated[tuple[Request, ...], Field(strict=False), AfterValidator(_one_request)]
    success: _Expression = None
    error: _Expression = None
    reason: _Expression = None
    key_name: _Expression = None
    expires_at: _Expression = None
    min_interval: Duration = 0.0
    buckets: Annotated[tuple[BucketRule, ...], Field(strict=False), AfterValidator(_some_buckets)]

    @property
    def path(self) -> str:
        """Path of the request, from the base URL."""
        return self.requests[0].path


def load_mapping(document: Document) -> ReplyMapping:
    """Compile and check a mapping; raises MappingError with every problem that it has."""
    problems = list(document.problems)
    mapping = validate(ReplyMapping, document.value, Place(document), problems)
    if mapping is None or problems:
        raise MappingError(*problems)
    return mapping


def preset_names() -> tuple[str, ...]:
    """Return the names of the mappings that ship with the package, sorted."""
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in _PRESETS.iterdir()))


def load_preset(name: str) -> ReplyMapping:
    """Load a mapping that ships with the package, anew on each call; raises KeyError for an unknown name."""
    if name not in preset_names():
        raise KeyError(name)
    resource = _PRESETS / f"{name}.yaml"
    return load_mapping(parse_yaml(resource.read_text(encoding="utf-8"), Path(str(resource))))
