"""The kinds of values that config files and mappings hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
)

from quota_exporter import urls
from quota_exporter.numbers import parse_duration

T = TypeVar("T")

_VARIABLE_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$"
_DURATION_PATTERN = "^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?")
_OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "cookie", "te", "upgrade"}
)
_MAX_LABEL_LENGTH = 64


class Model(BaseModel):
    """Base of all models of documents: frozen, no unknown keys, no conversions, no input in error texts.

    `also_known` are keys beside the model's own that its map may hold, read elsewhere.
    """

    also_known: ClassVar[tuple[str, ...]] = ()
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class MisplacedError(ValueError):
    """What is wrong with several keys of one model together, to be told at the one that `keys` leads to."""

    def __init__(self, message: str, *keys: str) -> None:
        super().__init__(message)
        self.keys = keys


def _duration(value: Any) -> float:
    seconds = parse_duration(value) if isinstance(value, str) else None
    if seconds is None:
        raise ValueError("is not a duration; write a number with its unit, such as 10s, 1m30s or 500ms")
    return seconds


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


def _expanded(value: Any) -> Path:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be the path of a file")
    try:
        return Path(value).expanduser()
    except RuntimeError:  # no home directory is known
        raise ValueError("starts with ~ but there is no such home directory; write the whole path") from None


def _absolute(value: Any, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path())
    return folder.absolute() / _expanded(value)


def _pattern(value: str) -> str:
    return str(_expanded(value))


def _quota_path(value: str) -> str:
    if not re.fullmatch(r"/(?!/)[^\s?#\\\x00-\x1f\x7f]*", value):
        raise ValueError("must start with exactly one / and hold no space, query or fragment, as in /quota")
    if ".." in value.split("/"):
        raise ValueError("must not climb with ..; write the path below base_url")
    return value


def _env_variable(value: str) -> str:
    if not re.fullmatch(_VARIABLE_PATTERN, value):
        raise ValueError("must be the name of an environment variable, such as CAMPUS_API_KEY")
    return value


def _label_text(value: str) -> str:
    if len(value) > _MAX_LABEL_LENGTH or not value.isprintable():
        raise ValueError("must be at most 64 printable characters")
    return value


def _header_name(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError("is not a header name; write letters, digits and dashes, such as X-Team")
    if value.lower() in _OWN_HEADERS:
        raise ValueError("is a header that the exporter sets itself; choose another one")
    return value


def _header_value(value: SecretStr) -> SecretStr:
    if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
        raise ValueError("must be printable ASCII on one line, without spaces around it")
    return value


def _scheme(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]*", value):
        raise ValueError("must be one word, or empty for the bare key")
    return value


def _server_name(value: str) -> str:
    urls.check_host(value)
    return value


def no_header_twice(headers: dict[str, T]) -> dict[str, T]:
    """Refuse two spellings of one header, since a request would carry both."""
    seen: dict[str, str] = {}
    for name in headers:
        if name.lower() in seen:
            raise MisplacedError(f"is {seen[name.lower()]} once more, for headers ignore case; keep one of them", name)
        seen[name.lower()] = name
    return headers


def number_is(field: str, model: type[BaseModel]) -> BeforeValidator:
    """Let a bare number stand for a `model` that has only `field`."""

    def expand(value: Any) -> Any:
        if isinstance(value, dict | BaseModel):
            return value
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"must be a number without quotes, or a map such as {{{field}: <number>}}")  # noqa: TRY004 - pydantic turns no TypeError into a problem
        return {field: value}

    schema = model.model_json_schema()["properties"][field]
    number = next(form for form in schema.get("anyOf", [schema]) if form["type"] != "null")
    return BeforeValidator(expand, json_schema_input_type=Annotated[Any, WithJsonSchema(number)] | model)


def text_is(field: str, model: type[BaseModel]) -> BeforeValidator:
    """Let bare text stand for a `model` that has only `field`."""

    def expand(value: Any) -> Any:
        if isinstance(value, dict | BaseModel):
            return value
        if not isinstance(value, str):
            raise ValueError("must be text (put a number in quotes), or a map such as {file: <path>}")  # noqa: TRY004 - pydantic turns no TypeError into a problem
        return {field: value}

    return BeforeValidator(expand, json_schema_input_type=str | model)


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": _DURATION_PATTERN}),
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
FilePath = Annotated[Path, BeforeValidator(_absolute), WithJsonSchema({"type": "string", "minLength": 1})]
FilePattern = Annotated[str, AfterValidator(_pattern)]
LabelText = Annotated[str, AfterValidator(_label_text)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
BaseUrl = Annotated[
    str,
    AfterValidator(urls.base_url),
    WithJsonSchema({"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s]+(/[^?#\s]*)?$"}),
]
QuotaPath = Annotated[
    str, AfterValidator(_quota_path), WithJsonSchema({"type": "string", "pattern": r"^/([^/\s?#\\][^\s?#\\]*)?$"})
]
EnvVariable = Annotated[
    str, AfterValidator(_env_variable), WithJsonSchema({"type": "string", "pattern": _VARIABLE_PATTERN})
]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderText = Annotated[SecretStr, AfterValidator(_header_value)]
Scheme = Annotated[str, AfterValidator(_scheme)]
ServerName = Annotated[str, AfterValidator(_server_name)]
