"""The part of the mapping language that says how a reply becomes buckets."""

from __future__ import annotations

import difflib
import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from quota_exporter.expression import Expression
from quota_exporter.expression_fields import Amount, Condition, Given, Name, Rows, Time
from quota_exporter.expression_types import built_depth, invents_truth
from quota_exporter.numbers import TimeFormat, parse_span
from quota_exporter.quota import Kind
from quota_exporter.request_language import Identifier
from quota_exporter.values import Model, ProblemAtKeys, matching

_DEFAULT_BUCKET = "default"
_NULL_LIMIT = "null_limit"

BucketName = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", "must be 1 to 64 letters, digits, spaces, dots, dashes or underscores"
    ),
]
Currency = Annotated[str, matching("[A-Z]{3}", "must be three capital letters, such as USD")]


def _unlimited_form(value: Any) -> Any:
    if value == _NULL_LIMIT:
        return {_NULL_LIMIT: True}
    if isinstance(value, str):
        if value.isidentifier() and difflib.get_close_matches(value, [_NULL_LIMIT], n=1, cutoff=0.8):
            raise ValueError(f"is read as a member named {value}; did you mean {_NULL_LIMIT}?")
        return {"when": value}
    if not isinstance(value, dict):
        raise ValueError(f"must be {_NULL_LIMIT}, an expression that gives true, or a map such as {{values: [-1]}}")  # noqa: TRY004 - pydantic reports it
    return value


class Unlimited(Model):
    """When the gateway says that no limit applies: one of these holds.

    `null_limit`: the limit is there and null. `values`: the amount `of` is one of these, give or take
    `tolerance` of it. `when`: this expression gives true itself, not just something.
    """

    null_limit: bool = Field(default=False, description="The limit is there and null.")
    values: Annotated[tuple[float, ...], Field(strict=False)] = Field((), description="Numbers that mean unlimited.")
    of: Literal["limit", "used", "remaining"] = Field(
        "limit", description="The amount that `values` are compared with."
    )
    tolerance: float = Field(1e-9, ge=0, le=0.1, description="How far off a value may be, as a share of it.")
    when: Annotated[Condition | None, Given] = Field(None, description="Expression that gives true.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.null_limit and not self.values and self.when is None:
            raise ValueError("must be null_limit, an expression, or a map with `values`")
        if not all(map(math.isfinite, self.values)):
            raise ProblemAtKeys("must hold finite numbers", "values")
        return self

    @field_validator("when")
    @classmethod
    def _only_what_is_said(cls, value: Expression | None) -> Expression | None:
        why = None if value is None else invents_truth(value.node)
        if why is not None:
            raise ValueError(f"must be true only when the reply says so: {why}; name a flag, or write null_limit")
        return value


class BucketRule(Model):
    """How a reply becomes one bucket, or with `each` one bucket for each item of a list or map.

    With `each` all other expressions see the item; those of a map are objects with the members `key` and `value`.
    `where` tells whether there is a bucket. The amounts are divided by what the mapping's `units` says of `unit`.
    """

    each: Annotated[Rows | None, Given] = Field(
        None, description="Expression: the list or map to go through, one bucket an item."
    )
    where: Annotated[Condition | None, Given] = Field(None, description="Condition: whether there is a bucket.")
    kind: Annotated[Annotated[Kind, Field(strict=False)] | None, Given] = Field(
        None, description="What the bucket counts."
    )
    kind_from: Annotated[Name | None, Given] = Field(None, description="Expression: what the bucket counts.")
    name: Annotated[BucketName | None, Given] = Field(None, description="The bucket's name; default: default.")
    name_from: Annotated[Name | None, Given] = Field(
        None, description="Expression: the bucket's name, after `name` if there is one."
    )
    currency: Annotated[Currency | None, Given] = Field(
        None, description="Currency of the amounts, three capital letters."
    )
    currency_from: Annotated[Name | None, Given] = Field(
        None, description="Expression: the currency, before `currency`."
    )
    unit: Annotated[Identifier | None, Given] = Field(
        None, description="One of `units`: the amounts are divided by it."
    )
    limit: Annotated[Amount | None, Given] = Field(None, description="Expression or number: the limit.")
    unlimited: Annotated[Annotated[Unlimited, BeforeValidator(_unlimited_form)] | None, Given] = Field(
        None, description="null_limit, an expression that gives true, or values that mean unlimited."
    )
    used: Annotated[Amount | None, Given] = Field(None, description="Expression or number: what is used.")
    remaining: Annotated[Amount | None, Given] = Field(None, description="Expression or number: what is left.")
    window: Annotated[Amount | None, Given] = Field(
        None, description="Expression: length of the period, as seconds, a duration or a word such as daily."
    )
    resets_at: Annotated[Time | None, Given] = Field(None, description="Expression: when the amounts start anew.")
    time_format: Annotated[TimeFormat | None, Given] = Field(
        None, description="How the reply writes times; default: told by their looks."
    )

    @property
    def literal_name(self) -> str:
        """The bucket's name where no expression gives one."""
        return self.name or _DEFAULT_BUCKET

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind is None) == (self.kind_from is None):
            raise ProblemAtKeys("give either `kind` or `kind_from`", lacks=("kind", "kind_from"))
        if self.kind in (Kind.COST, None) and self.currency is None:
            message = "is needed by buckets of kind cost: three capital letters, such as USD"
            raise ProblemAtKeys(message, "currency", lacks=("currency", "kind"))
        for key in ("currency", "currency_from"):
            if self.kind not in (Kind.COST, None) and getattr(self, key) is not None:
                raise ProblemAtKeys("belongs to buckets of kind cost only; remove it", key)
        if self.limit is None and self.used is None and self.remaining is None:
            raise ProblemAtKeys("needs at least one of limit, used and remaining", lacks=("limit", "used", "remaining"))
        if self.each is not None and self.name_from is None and self.kind_from is None:
            raise ProblemAtKeys(
                "goes through many buckets, which need names: add name_from", "each", lacks=("name_from",)
            )
        return self

    @field_validator("window")
    @classmethod
    def _no_bare_word(cls, value: Expression | None) -> Expression | None:
        if value is not None and value.text.isidentifier() and parse_span(value.text) is not None:
            word = value.text
            raise ValueError(f"is read as a member named {word}; write \"'{word}'\" for the period itself")
        return value

    def check_objects(self, items: Expression) -> None:
        """Refuse null_limit for a limit that `items`, the expression the rule goes through, copies into new objects."""
        path = None if self.limit is None else self.limit.path
        if self.unlimited is not None and self.unlimited.null_limit and path and len(path) <= built_depth(items.node):
            message = "null_limit cannot tell what is missing in objects made by {...}; go through the list itself"
            raise ProblemAtKeys(message, "unlimited")

    @model_validator(mode="after")
    def _check_unlimited(self) -> Self:
        rule = self.unlimited
        if rule is not None and rule.null_limit and (self.limit is None or self.limit.path is None):
            raise ProblemAtKeys("null_limit needs a `limit` that is a plain path, such as data.limit", "unlimited")
        if self.each is not None:
            self.check_objects(self.each)
        if rule is not None and rule.values and getattr(self, rule.of) is None:
            raise ProblemAtKeys(f"compares `{rule.of}`, which this bucket does not have", "unlimited", lacks=(rule.of,))
        return self
