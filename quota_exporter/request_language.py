"""The part of the mapping language that says what is asked of a gateway."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from quota_exporter import urls
from quota_exporter.expression_fields import Condition, Given, Name, Rows, Time
from quota_exporter.values import (
    HeaderName,
    HeaderText,
    Model,
    ProblemAtKeys,
    QuotaPath,
    Scheme,
    matching,
    no_header_twice,
)

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")

Identifier = Annotated[
    str, matching(r"[a-z][a-z0-9_]{0,31}", "must be 1 to 32 lower-case letters, digits or underscores, a letter first")
]


class Auth(Model):
    """How the API key is sent."""

    header: HeaderName = Field("Authorization", description="Name of the header that carries the key.")
    scheme: Scheme = Field("Bearer", description="Word before the key; empty for the bare key.")


def _request_url(value: str) -> str:
    if _PLACEHOLDER.search(value):
        raise ValueError("is fixed: {name} may stand in path, query and body, not in the address of another host")
    parts = urls.split_url(value)
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError("must not hold a query or a fragment; write the query below `query`")
    if parts.scheme != "https":
        raise ValueError("must start with https://: the key goes there")
    return value


def _root(value: Any) -> Any:
    if value not in (True, False, "origin") or (value != "origin" and not isinstance(value, bool)):
        raise ValueError("must be true, false or origin, without quotes")
    return value


def _json(value: Any) -> Any:
    if not isinstance(value, dict | list):
        raise ValueError("must be a map or a list, which is sent as JSON")  # noqa: TRY004 - pydantic reports it
    return value


def _query_value(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be text or a whole number; put anything else in quotes")  # noqa: TRY004 - pydantic reports it
    return value


class Pages(Model):
    """How the rest of a list is asked for: page after page, until one is empty, shorter than the first, or nothing new.

    The page's number is sent as the query parameter `query`: `first`, then `step` more each time. `items` gives the
    items of one page, `total` how many there are in all, if the reply says.
    """

    query: str = Field(min_length=1, description="Query parameter that names the page or the offset.")
    first: int = Field(1, ge=0, description="Its value for the first page.")
    step: int = Field(1, ge=1, description="How much is added for each further page.")
    size: int = Field(ge=1, le=1000, description="Items of a full page.")
    items: Rows = Field(description="Expression: the items of one page.")
    total: Annotated[Time | None, Given] = Field(None, description="Expression: how many items there are in all.")
    max_pages: int = Field(100, ge=1, le=1000, description="Most pages asked for.")


class Request(Model):
    """One request; `values` are taken from earlier replies and fill `{name}` in path, query and body."""

    id: Identifier = Field("reply", description="Name of the reply in expressions, where there are several.")
    path: Annotated[QuotaPath | None, Given] = Field(None, description="Path below base_url.")
    root: Annotated[Literal[True, False, "origin"], BeforeValidator(_root)] = Field(
        default=False,
        description="true: the path is below base_url without its final /v1; origin: below scheme and host alone.",
    )
    url: Annotated[Annotated[str, AfterValidator(_request_url)] | None, Given] = Field(
        None, description="Whole URL, for another host than that of base_url."
    )
    method: Literal["GET", "POST"] = Field("GET", description="POST only for what changes nothing.")
    query: dict[str, Annotated[str | int, BeforeValidator(_query_value)]] = Field(
        default_factory=dict, description="Query parameters."
    )
    headers: Annotated[dict[HeaderName, HeaderText], AfterValidator(no_header_twice)] = Field(
        default_factory=dict, description="Extra headers."
    )
    body: Annotated[Annotated[Any, AfterValidator(_json)], Given] = Field(
        default=None, description="What a POST sends as JSON."
    )
    auth: Annotated[Auth | None, Given] = Field(None, description="How this request sends the key.")
    where: Annotated[Condition | None, Given] = Field(
        None, description="Condition on the earlier replies; otherwise the request is not made."
    )
    values: dict[Identifier, Name] = Field(
        default_factory=dict, description="Expressions on the earlier replies; {name} stands for their value."
    )
    optional: bool = Field(default=False, description="The quota can be read without this reply.")
    success: Annotated[Condition | None, Given] = Field(
        None, description="Condition that this reply must meet, instead of the mapping's."
    )
    pages: Annotated[Pages | None, Given] = Field(None, description="How further pages are asked for.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.url is not None and (self.path is not None or self.root):
            raise ProblemAtKeys("says the whole address; remove `path` and `root`, or the `url`", "url")
        if self.body is not None and self.method != "POST":
            raise ProblemAtKeys("is sent by POST only; add method: POST", "body", lacks=("method",))
        for name, value in self.headers.items():
            if any(placeholders(value.get_secret_value())):
                raise ProblemAtKeys(
                    "is sent as it stands: {...} is filled in path, query and body only", "headers", name
                )
        for key, part in (("path", self.path), ("query", self.query), ("body", self.body)):
            for name in placeholders(part):
                if name not in self.values:
                    raise ProblemAtKeys(f"has {{{name}}}, which `values` does not define", key, lacks=("values",))
        return self


def placeholders(value: Any) -> Iterator[str]:
    """Names of the `{name}` in a text, or in the texts within nested maps and lists."""
    if isinstance(value, str):
        yield from _PLACEHOLDER.findall(value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from placeholders(item)


def fill(value: Any, values: dict[str, str]) -> Any:
    """Return a copy of nested maps and lists in which each text has its `{name}` replaced."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), value)
    if isinstance(value, dict):
        return {key: fill(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, values) for item in value]
    return value
