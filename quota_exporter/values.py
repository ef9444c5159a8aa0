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
from quota_exporter.document import shown_key
from quota_exporter.numbers import parse_duration
from quota_exporter.reply_text import clean_text

T = TypeVar("T")

_VARIABLE_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$"
_TEMPLATE_PATTERN = r"\{(env|file):"
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


class ProblemAtKeys(ValueError):  # noqa: N818 - it is the problem itself, and not that of one value
    """What is wrong within a model, to be told at what `keys` lead to from there, or at the model without any.

    `lacks` are keys of the model of which one that is there, wrong or not, makes the problem untrue.
    """

    def __init__(self, message: str, *keys: str | int, lacks: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.keys = keys
        self.lacks = lacks


def is_header_value(text: str) -> bool:
    """Whether an HTTP header can carry `text`: printable ASCII on one line without spaces around it, or nothing."""
    return _HEADER_VALUE.fullmatch(text) is not None


def looks_like_key(name: str) -> bool:
    """Whether what should be the name of a variable or file looks like an API key, to be kept from sight.

    Paths never do: folders of Kubernetes and Docker have hashes for names.
    """
    if "/" in name or "\\" in name:
        return False
    # XAI_API_KEY and HF_TOKEN begin as keys do, but only names are all capitals
    words = name.split("_") if name.isupper() else [name]
    return any(word and clean_text(word, ()) is None for word in words)


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


def _no_key(value: Any) -> Any:
    if isinstance(value, str) and looks_like_key(value):
        raise ValueError("looks like a key itself; put it into a file and name that here, as in ./key")
    return value


def _pattern(value: str) -> str:
    _expanded(value)
    return value


def _quota_path(value: str) -> str:
    if not re.fullmatch(r"/(?!/)[^\s?#\\\x00-\x1f\x7f]*", value):
        raise ValueError("must start with exactly one / and hold no space, query or fragment, as in /quota")
    if ".." in value.split("/"):
        raise ValueError("must not climb with ..; write the path below base_url")
    return value


def _env_variable(value: str) -> str:
    if not re.fullmatch(_VARIABLE_PATTERN, value):
        raise ValueError("must be the name of an environment variable, such as CAMPUS_API_KEY")
    if looks_like_key(value):
        raise ValueError("looks like a key itself; put it into a variable and name that here, as in CAMPUS_API_KEY")
    return value


def _api_key(value: SecretStr) -> SecretStr:
    if template := re.search(_TEMPLATE_PATTERN, value.get_secret_value()):
        kind = template[1]
        raise ValueError(f"is in OpenCode's notation {{{kind}:...}}, which is not read here; write api_key_{kind}")
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
    if not is_header_value(value.get_secret_value()):
        raise ValueError("must be printable ASCII on one line, without spaces around it")
    return value


def _scheme(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]*", value):
        raise ValueError("must be one word, or empty for the bare key")
    if value and clean_text(value, ()) is None:
        raise ValueError("looks like a key itself; write the word before the key, such as Bearer")
    return value


def _server_name(value: str) -> str:
    urls.check_host(value)
    return value


def matching(pattern: str, message: str) -> AfterValidator:
    """Refuse text that is not wholly what the pattern says, with `message`."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(message)
        return value

    return AfterValidator(check)


def no_header_twice(headers: dict[str, T]) -> dict[str, T]:
    """Refuse two spellings of one header, since a request would carry both."""
    seen: dict[str, str] = {}
    for name in headers:
        if name.lower() in seen:
            first = shown_key(seen[name.lower()])
            raise ProblemAtKeys(f"is {first} once more, for headers ignore case; keep one of them", name)
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
SecretFile = Annotated[
    Path,
    BeforeValidator(_absolute),
    BeforeValidator(_no_key),  # the last one of them is asked first
    WithJsonSchema({"type": "string", "minLength": 1}),
]
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
ApiKey = Annotated[
    SecretStr,
    AfterValidator(_api_key),
    WithJsonSchema({"type": "string", "format": "password", "writeOnly": True, "not": {"pattern": _TEMPLATE_PATTERN}}),
]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderText = Annotated[SecretStr, AfterValidator(_header_value)]
Scheme = Annotated[str, AfterValidator(_scheme)]
ServerName = Annotated[str, AfterValidator(_server_name)]
