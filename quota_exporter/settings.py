"""What an operator can configure, as frozen models that check themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from quota_exporter import urls
from quota_exporter.numbers import parse_duration

RESERVED_ID = "openai-compatible"
ENVIRONMENT_PROXY = "environment"

# The spelling of the original proposal and of OpenCode's entries, so that one can be pasted.
ALIASES = {"providerId": "provider_id", "baseURL": "base_url", "quotaPath": "quota_path"}

_DURATION_PATTERN = r"^([0-9]+(ms|y|w|d|h|m|s))+$"
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_OWN_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "accept-encoding",
        "cookie",
        "te",
        "upgrade",
    }
)


def _duration(value: Any) -> float:
    seconds = parse_duration(value) if isinstance(value, str) else None
    if seconds is None:
        raise ValueError("is not a duration; write a number with its unit, such as 10s, 1m30s or 500ms")
    return seconds


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


def _absolute(value: Any, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be the path of a file")
    folder: Path = (info.context or {}).get("folder", Path.cwd())
    return folder / Path(value).expanduser()


def _provider_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise ValueError("must be 1 to 64 letters, digits, dots, underscores or dashes, a letter or digit first")
    if value == RESERVED_ID:
        raise ValueError(f"{RESERVED_ID} is reserved (it means all gateways); choose another id")
    return value


def _quota_path(value: str) -> str:
    if not re.fullmatch(r"/(?!/)[^\s?#\\\x00-\x1f\x7f]*", value):
        raise ValueError("must start with exactly one / and hold no space, query or fragment, as in /quota")
    if ".." in value.split("/"):
        raise ValueError("must not climb with ..; write the path below base_url")
    return value


def _env_variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("must be the name of an environment variable, such as CAMPUS_API_KEY")
    return value


def _label_text(value: str) -> str:
    if len(value) > 64 or not value.isprintable():  # noqa: PLR2004 - the limit DESIGN sets for label text
        raise ValueError("must be at most 64 printable characters")
    return value


def _proxy(value: SecretStr) -> SecretStr:
    if value.get_secret_value() != ENVIRONMENT_PROXY:
        parts = urls.split_url(value.get_secret_value())
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("must be http(s)://[user:password@]host:port, or the word environment")
    return value


Duration = Annotated[
    float, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": _DURATION_PATTERN})
]
FilePath = Annotated[Path, BeforeValidator(_absolute), WithJsonSchema({"type": "string", "minLength": 1})]
Text = Annotated[str, AfterValidator(_label_text)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Model(BaseModel):
    """Base of all models: frozen, no unknown keys, no conversions, no input in error texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Auth(Model):
    """How the API key is sent."""

    header: str = Field("Authorization", description="Name of the header that carries the key.")
    scheme: str = Field("Bearer", description="Word before the key; empty for the bare key.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not _HEADER_NAME.fullmatch(self.header) or self.header.lower() in _OWN_HEADERS:
            raise ValueError("header must be an HTTP header that the exporter does not set itself")
        if not re.fullmatch(r"[A-Za-z0-9._~+/-]*", self.scheme):
            raise ValueError("scheme must be one word, or empty for the bare key")
        return self


class HeaderValue(Model):
    """One extra header: its value, or the file that holds it."""

    value: SecretStr | None = None
    file: FilePath | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.value is None) == (self.file is None):
            raise ValueError("give either the value or `file`, the file that holds it")
        if self.value is not None and not _HEADER_VALUE.fullmatch(self.value.get_secret_value()):
            raise ValueError("must be printable ASCII on one line")
        return self


class Tls(Model):
    """How the gateway's certificate is checked and which one is shown to it."""

    ca_file: FilePath | None = Field(None, description="PEM file of the authorities to trust instead of the system's.")
    cert_file: FilePath | None = Field(None, description="PEM file of the client certificate.")
    key_file: FilePath | None = Field(None, description="PEM file of the client certificate's key.")
    server_name: str | None = Field(None, min_length=1, description="Name to expect in the gateway's certificate.")
    min_version: Literal["TLS12", "TLS13"] = Field("TLS12", description="Oldest TLS version to accept.")
    insecure_skip_verify: bool = Field(
        default=False, description="Accept any certificate; anyone on the way can read the key."
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file come together; give both")
        return self


class Threshold(Model):
    """When to warn: a share of the limit, or an amount for wallets that have no limit."""

    ratio: float | None = Field(None, ge=0, le=1, description="remaining / limit, 0 to 1.")
    tokens: Amount | None = Field(None, description="Remaining tokens.")
    requests: Amount | None = Field(None, description="Remaining requests.")
    cost: Amount | None = Field(None, description="Remaining money in the bucket's currency.")
    credits: Amount | None = Field(None, description="Remaining credits.")


def _number_is(field: str, model: type[Model]) -> BeforeValidator:
    def expand(value: Any) -> Any:
        return {field: value} if isinstance(value, int | float) and not isinstance(value, bool) else value

    shorthand = model.model_json_schema()["properties"][field]
    return BeforeValidator(expand, json_schema_input_type=Annotated[Any, WithJsonSchema(shorthand)] | model)


def _text_is_value(value: Any) -> Any:
    return {"value": value} if isinstance(value, str) else value


ThresholdForm = Annotated[Threshold, _number_is("ratio", Threshold)]


class Thresholds(Model):
    """The alert thresholds of one gateway."""

    warning: ThresholdForm | None = Field(None, description="Below this the gateway is low.")
    critical: ThresholdForm | None = Field(None, description="Below this the gateway is very low.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for kind in Threshold.model_fields:
            warning, critical = getattr(self.warning, kind, None), getattr(self.critical, kind, None)
            if warning is not None and critical is not None and critical > warning:
                raise ValueError(f"the critical {kind} must not be above the warning {kind}")
        return self


class GatewayDefaults(Model):
    """What `defaults` may set for all gateways: any gateway key but ids, URLs and keys."""

    quota_path: Annotated[str, AfterValidator(_quota_path)] | None = Field(
        None, description="Path below base_url; default: the mapping's own."
    )
    mapping: str = Field("neutral", description="Preset that says how to read the reply.")
    label: Text | None = Field(None, description="Name for people; default: the provider_id.")
    owner: Text = Field("", description="Team to route alerts to.")
    timeout: Annotated[Duration, AfterValidator(_positive)] = Field(
        9.0, description="Most seconds one poll may take, from connect to the end of the reply."
    )
    min_interval: Duration | None = Field(
        None, description="Reuse a reading younger than this; default: the mapping's own, mostly 0s."
    )
    stale_for: Duration = Field(0.0, description="Keep showing the last quota for this long after a failure.")
    max_buckets: int = Field(20, ge=1, le=1000, description="Most buckets taken from one reply.")
    auth: Auth = Field(Auth(), description="How the API key is sent.")
    headers: dict[
        str, Annotated[HeaderValue, BeforeValidator(_text_is_value, json_schema_input_type=str | HeaderValue)]
    ] = Field(default_factory=dict, description="Extra request headers: a value, or {file: path}.")
    tls: Tls = Field(Tls(), description="TLS settings.")
    proxy_url: Annotated[SecretStr, AfterValidator(_proxy)] | None = Field(
        None,
        description="http(s)://[user:password@]host:port, or `environment` for HTTPS_PROXY and NO_PROXY.",
    )
    allow_http: bool = Field(
        default=False, description="Allow http:// to a public host; the key is readable on the way."
    )
    thresholds: Thresholds = Field(
        Thresholds(warning=Threshold(ratio=0.2), critical=Threshold(ratio=0.05)),
        description="Alert thresholds; a bare number means ratio.",
    )

    @model_validator(mode="after")
    def _check_headers(self) -> Self:
        for name in self.headers:
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS | {self.auth.header.lower()}:
                raise ValueError(f"headers: {name[:40]!r} is no header name, or one that the exporter sets itself")
        return self


class GatewaySettings(GatewayDefaults):
    """One gateway: an endpoint and where its API key comes from."""

    provider_id: Annotated[str, AfterValidator(_provider_id)] = Field(
        description="Unique id; CAMPUS_API_KEY is looked up for `campus`."
    )
    base_url: Annotated[str, AfterValidator(urls.base_url)] | None = Field(
        None, description="The gateway's base URL; default: provider.<id>.options.baseURL of OpenCode."
    )
    api_key_file: FilePath | None = Field(None, description="File that holds the API key.")
    api_key_env: Annotated[str, AfterValidator(_env_variable)] | None = Field(
        None, description="Environment variable that holds the API key."
    )
    api_key: SecretStr | None = Field(None, description="The API key itself; a file or variable is safer.")

    @model_validator(mode="after")
    def _one_key_source(self) -> Self:
        given = [name for name in ("api_key_file", "api_key_env", "api_key") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"has {len(given)} sources for its API key ({', '.join(given)}); keep one")
        return self


class OriginLimit(Model):
    """Limits of one origin."""

    max_concurrency: int = Field(ge=1, le=1000, description="Most polls of this origin at once.")


def _origin_map(value: Any) -> Any:
    return {urls.origin_of(urls.base_url(url)): limit for url, limit in value.items()}


class Origins(Model):
    """How hard one origin (scheme, host and port) may be pressed."""

    max_concurrency: int = Field(20, ge=1, le=1000, description="Most polls of one origin at once.")
    per_origin: Annotated[
        dict[str, Annotated[OriginLimit, _number_is("max_concurrency", OriginLimit)]],
        AfterValidator(_origin_map),
    ] = Field(default_factory=dict, description="Other limits for some, by their URL.")

    def concurrency_of(self, origin: str) -> int:
        """How many polls of this `scheme://host:port` may run at once."""
        limit = self.per_origin.get(origin)
        return limit.max_concurrency if limit is not None else self.max_concurrency


def _auto_or_ids(value: Any) -> Any:
    if value == "auto":
        return None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError("must be auto or a list of provider ids")


EnabledProviders = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(_auto_or_ids, json_schema_input_type=Literal["auto"] | list[str]),
]


class Options(Model):
    """The config file without its gateways."""

    defaults: GatewayDefaults = Field(GatewayDefaults(), description="Values for gateways that do not set them.")
    gateway_files: list[str] = Field(
        default_factory=list,
        description="Globs of further files, each a list of gateways; relative to this file.",
    )
    origins: Origins = Field(Origins(), description="Limits per origin.")
    opencode: Literal["auto", "off"] = Field("auto", description="Whether to read OpenCode's global config.")
    enabled_providers: EnabledProviders = Field(
        None, description="`auto` for all, or a list of provider ids; `openai-compatible` means all."
    )


class ConfigFile(Options):
    """The config file as a whole, for its JSON Schema."""

    gateways: list[GatewaySettings] = Field(default_factory=list, description="The gateways to watch.")


def config_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the config file, aliases included, for editors."""
    schema = ConfigFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "quota-exporter configuration"
    gateway = schema["$defs"]["GatewaySettings"]
    for alias, name in ALIASES.items():
        gateway["properties"][alias] = gateway["properties"][name]
    gateway["required"].remove("provider_id")
    gateway["oneOf"] = [{"required": ["provider_id"]}, {"required": ["providerId"]}]
    return schema
