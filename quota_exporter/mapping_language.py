"""The language of mappings: what a mapping document may say, checked and compiled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from quota_exporter.bucket_language import BucketRule
from quota_exporter.document import ConfigProblem, Document
from quota_exporter.expression_fields import Condition, Given, Name, Rows, Time
from quota_exporter.numbers import TimeFormat, parse_number
from quota_exporter.request_language import Auth, Identifier, Request, placeholders
from quota_exporter.validation import Place, validate
from quota_exporter.values import Duration, Model, PositiveDuration, ProblemAtKeys, QuotaPath, matching

_NAME = "[a-z0-9][a-z0-9-]{0,63}"


def _per_unit(value: Any) -> float:
    number = None if isinstance(value, str) else parse_number(value)
    if number is None or number <= 0:
        raise ValueError("must be a number above 0: how many of the reply's units are one")
    return number


MappingName = Annotated[
    str,
    matching(_NAME, "must be 1 to 64 lower-case letters, digits or dashes, no dash first"),
    WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$"}),
]
PerUnit = Annotated[float, BeforeValidator(_per_unit), Field(gt=0)]


class MappingError(Exception):
    """A mapping document that cannot be used; `problems` says why, each with file, line and field."""

    def __init__(self, *problems: ConfigProblem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class ChildrenRule(Model):
    """How the reply to a management key becomes many keys, each a gateway of its own.

    All expressions but `each` see one item. A key without `alias` is counted only.
    """

    each: Rows = Field(description="Expression: the list of keys.")
    alias: Name = Field(description="Expression: the key's name.")
    where: Annotated[Condition | None, Given] = Field(None, description="Condition: whether the key is taken.")
    reason: Annotated[Name | None, Given] = Field(
        None, description="Expression: why the key cannot be used: key_expired, key_blocked or payment_required."
    )
    expires_at: Annotated[Time | None, Given] = Field(None, description="Expression: when the key expires.")
    time_format: Annotated[TimeFormat | None, Given] = Field(
        None, description="How the reply writes times; default: told by their looks."
    )
    first_by: Annotated[Name | None, Given] = Field(
        None, description="Expression: of keys with the same alias the one for which this is least is taken."
    )
    buckets: Annotated[tuple[BucketRule, ...], Field(strict=False)] = Field(description="The buckets of each key.")
    max_children: int = Field(5000, ge=1, le=100_000, description="Most keys taken from the list.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.buckets:
            raise ProblemAtKeys("must hold at least one bucket", "buckets")
        for rule in self.buckets:
            rule.check_objects(self.each)
        return self


class About(Model):
    """What people are told of a mapping.

    `base_url` is what to configure, `key` which key it needs, `hosts` are those that are known to answer so.
    """

    title: str = Field(description="Name of the gateway for people.")
    source: str = Field(description="Where the knowledge comes from.")
    confidence: Literal["high", "medium", "low"] = Field(description="How sure it is.")
    base_url: str = Field(description="What to configure as base_url.")
    key: str = Field(description="Which key is needed.")
    hosts: Annotated[tuple[str, ...], Field(strict=False)] = Field((), description="Hosts that are known to answer so.")


class ReplyMapping(Model):
    """How the replies of one sort of gateway become quotas; `min_interval` and `timeout` are in seconds.

    With one request the expressions see its reply, with several an object that holds each reply under the request's id.
    `success`, `error` and `reason` see each reply by itself. With `cache_control` the reply's max-age is how long it is
    reused.
    """

    name: MappingName = Field("", description="Name of the mapping; default: its key below `mappings`.")
    description: str = Field("", description="What it reads, for people.")
    about: Annotated[About | None, Given] = Field(None, description="What people are told of a preset.")
    path: Annotated[QuotaPath | None, Given] = Field(None, description="Path of the only request, below base_url.")
    requests: Annotated[tuple[Request, ...], Field(strict=False)] = Field(
        (Request(),), description="What is asked, one after the other."
    )
    auth: Annotated[Auth | None, Given] = Field(None, description="How the requests carry the key.")
    success: Annotated[Condition | None, Given] = Field(
        None, description="Condition that each reply must meet, also on HTTP 200."
    )
    error: Annotated[Condition | None, Given] = Field(None, description="Expression: the message of an error reply.")
    reason: Annotated[Name | None, Given] = Field(
        None, description="Expression: why the key is refused: key_expired, key_blocked or payment_required."
    )
    key_name: Annotated[Name | None, Given] = Field(None, description="Expression: the key's name for people.")
    expires_at: Annotated[Time | None, Given] = Field(None, description="Expression: when the key expires.")
    time_format: Annotated[TimeFormat | None, Given] = Field(
        None, description="How the reply writes times; default: told by their looks."
    )
    min_interval: Duration = Field(0.0, description="Least time between polls, where the gateway entry says none.")
    timeout: Annotated[PositiveDuration | None, Given] = Field(
        None, description="Most time for all requests of a poll together, where the gateway entry says none."
    )
    cache_control: bool = Field(
        default=False, description="Whether Cache-Control: max-age of the reply is a least time between polls."
    )
    units: dict[Identifier, PerUnit] = Field(
        default_factory=dict, description="How many of the reply's units are one, by name."
    )
    buckets: Annotated[tuple[BucketRule, ...], Field(strict=False)] = Field((), description="What becomes a bucket.")
    children: Annotated[ChildrenRule | None, Given] = Field(
        None, description="How a list of keys becomes gateways of their own."
    )

    @model_validator(mode="after")
    def _check_requests(self) -> Self:
        if self.path is not None and "requests" in self.model_fields_set:
            raise ProblemAtKeys("stands for one request; keep either `path` or `requests`", "path")
        if not self.requests:
            raise ProblemAtKeys("must hold at least one request", "requests")
        ids = [request.id for request in self.requests]
        for index, request in enumerate(self.requests):
            if request.id in ids[:index]:
                message = f"is used by an earlier request ({request.id}); give each its own id"
                raise ProblemAtKeys(message, "requests", index, "id")
            if index and request.path is None and request.url is None:
                raise ProblemAtKeys("needs a `path` or a `url`", "requests", index, lacks=("path", "url"))
        if any(placeholders(self.path)):
            raise ProblemAtKeys(
                "has {...}, which only `requests` with several of them can fill; write them out", "path"
            )
        first = self.requests[0]
        for key in ("where", "values", "optional"):
            if getattr(first, key):
                raise ProblemAtKeys("has no meaning for the first request; remove it", "requests", 0, key)
        return self

    @model_validator(mode="after")
    def _check_headers(self) -> Self:
        for index, request in enumerate(self.requests):
            key_header = (request.auth or self.auth or Auth()).header.lower()
            for name in request.headers:
                if name.lower() == key_header:
                    message = "is the header that carries the API key; remove it, or name another one in `auth`"
                    raise ProblemAtKeys(message, "requests", index, "headers", name)
        return self

    @model_validator(mode="after")
    def _check_buckets(self) -> Self:
        if not self.buckets and self.children is None:
            raise ProblemAtKeys("needs `buckets` (or `children`)", lacks=("buckets", "children"))
        rules: dict[tuple[str | int, ...], BucketRule] = {
            ("buckets", index): rule for index, rule in enumerate(self.buckets)
        }
        if self.children is not None:
            rules |= {("children", "buckets", index): rule for index, rule in enumerate(self.children.buckets)}
        for keys, rule in rules.items():
            if rule.unit is not None and rule.unit not in self.units:
                message = "is not among the mapping's `units`; add it there, as in units: {cent: 100}"
                raise ProblemAtKeys(message, *keys, "unit", lacks=("units",))
        return self

    @cached_property
    def steps(self) -> tuple[Request, ...]:
        """The requests in their order."""
        return self.requests if self.path is None else (Request(path=self.path),)

    @property
    def has_currency(self) -> bool:
        """Whether any of its buckets can hold money."""
        rules = self.buckets if self.children is None else (*self.buckets, *self.children.buckets)
        return any(rule.currency is not None for rule in rules)

    def with_overrides(self, *, currency: str | None, units: Mapping[str, float]) -> ReplyMapping:
        """Return the mapping with another literal currency and with other units, where they are given."""
        if currency is None and not units:
            return self
        update: dict[str, Any] = {"units": {**self.units, **units}}
        if currency is not None:
            update["buckets"] = _in_currency(self.buckets, currency)
            if self.children is not None:
                buckets = _in_currency(self.children.buckets, currency)
                update["children"] = self.children.model_copy(update={"buckets": buckets})
        return self.model_copy(update=update)


def _in_currency(rules: tuple[BucketRule, ...], currency: str) -> tuple[BucketRule, ...]:
    return tuple(rule if rule.currency is None else rule.model_copy(update={"currency": currency}) for rule in rules)


def load_mapping(document: Document) -> ReplyMapping:
    """Compile and check a mapping; raises MappingError with every problem that it has."""
    problems = list(document.problems)
    mapping = validate(ReplyMapping, document.value, Place(document), problems)
    if mapping is None or problems:
        raise MappingError(*problems)
    return mapping
