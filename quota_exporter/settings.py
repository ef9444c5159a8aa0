"""What an operator can configure, as frozen models that check themselves."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from quota_exporter import urls
from quota_exporter.bucket_language import Currency
from quota_exporter.mapping_language import MappingName, ReplyMapping
from quota_exporter.request_language import Auth, Identifier
from quota_exporter.values import (
    Amount,
    ApiKey,
    BaseUrl,
    Duration,
    EnvVariable,
    FilePath,
    FilePattern,
    HeaderName,
    HeaderText,
    LabelText,
    Model,
    PositiveDuration,
    ProblemAtKeys,
    QuotaPath,
    SecretFile,
    ServerName,
    no_header_twice,
    number_is,
    text_is,
)

RESERVED_ID = "openai-compatible"
ENVIRONMENT_PROXY = "environment"

# The spelling of the original proposal and of OpenCode's entries, so that one can be pasted.
ALIASES = {"providerId": "provider_id", "baseURL": "base_url", "quotaPath": "quota_path"}

KEY_SOURCES = ("api_key_file", "api_key_env", "api_key")
_ID_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _provider_id(value: str) -> str:
    if not re.fullmatch(_ID_PATTERN, value):
        raise ValueError("must be 1 to 64 letters, digits, dots, underscores or dashes, a letter or digit first")
    if value == RESERVED_ID:
        raise ValueError(f"{RESERVED_ID} is reserved (it means all gateways); choose another id")
    return value


def _above_zero(value: float) -> float:
    if value <= 0:
        raise ValueError("must be above 0")
    return value


def _proxy(value: SecretStr) -> SecretStr:
    if value.get_secret_value() != ENVIRONMENT_PROXY:
        parts = urls.split_url(value.get_secret_value())
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("must be http(s)://[user:password@]host:port, or the word environment")
    return value


ProviderId = Annotated[
    str,
    AfterValidator(_provider_id),
    WithJsonSchema({"type": "string", "pattern": _ID_PATTERN, "not": {"const": RESERVED_ID}}),
]
UnitSize = Annotated[
    float,
    Field(allow_inf_nan=False),
    AfterValidator(_above_zero),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]


def _without_placeholders(path: str | None) -> str | None:
    if path is not None and re.search(r"[{}]", path):
        raise ValueError("holds { or }: write the path out, as in /v1/quota")
    return path


class HeaderValue(Model):
    """One extra header: its value, or the file that holds it."""

    value: HeaderText | None = Field(None, description="The value itself.")
    file: SecretFile | None = Field(None, description="File that holds the value.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.value is None) == (self.file is None):
            raise ProblemAtKeys("give either the value or `file`, the file that holds it", lacks=("value", "file"))
        return self


class Tls(Model):
    """How the gateway's certificate is checked and which one is shown to it."""

    ca_file: FilePath | None = Field(None, description="PEM file of the authorities to trust instead of the system's.")
    cert_file: FilePath | None = Field(None, description="PEM file of the client certificate.")
    key_file: FilePath | None = Field(None, description="PEM file of the client certificate's key.")
    server_name: ServerName | None = Field(None, description="Name to expect in the gateway's certificate.")
    min_version: Literal["TLS12", "TLS13"] = Field("TLS12", description="Oldest TLS version to accept.")
    insecure_skip_verify: bool = Field(
        default=False, description="Accept any certificate; anyone on the way can read the key."
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if self.key_file is None and self.cert_file is not None:
            raise ProblemAtKeys("comes with key_file; give both", "cert_file", lacks=("key_file",))
        if self.cert_file is None and self.key_file is not None:
            raise ProblemAtKeys("comes with cert_file; give both", "key_file", lacks=("cert_file",))
        return self


class Threshold(Model):
    """When to warn: a share of the limit, or an amount for wallets that have no limit."""

    ratio: float | None = Field(None, ge=0, le=1, allow_inf_nan=False, description="remaining / limit, 0 to 1.")
    tokens: Amount | None = Field(None, description="Remaining tokens.")
    requests: Amount | None = Field(None, description="Remaining requests.")
    cost: Amount | None = Field(None, description="Remaining money in the bucket's currency.")
    credits: Amount | None = Field(None, description="Remaining credits.")


HeaderForm = Annotated[HeaderValue, text_is("value", HeaderValue)]
ThresholdForm = Annotated[Threshold, number_is("ratio", Threshold)]


class Thresholds(Model):
    """The alert thresholds of one gateway."""

    warning: ThresholdForm | None = Field(None, description="Below this the gateway is low.")
    critical: ThresholdForm | None = Field(None, description="Below this the gateway is very low.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for kind in Threshold.model_fields:
            warning, critical = getattr(self.warning, kind, None), getattr(self.critical, kind, None)
            if warning is not None and critical is not None and critical > warning:
                raise ProblemAtKeys(f"the critical {kind} must not be above the warning {kind}", "critical")
        return self


class GatewayDefaults(Model):
    """What `defaults` may set for all gateways: any gateway key but ids, URLs and keys."""

    quota_path: Annotated[QuotaPath | None, AfterValidator(_without_placeholders)] = Field(
        None, description="Path of the mapping's first request; default: the mapping's own."
    )
    mapping: str = Field("neutral", description="Preset, or one of `mappings`, that says how to read the reply.")
    label: LabelText | None = Field(None, description="Name for people; default: the provider_id.")
    owner: LabelText = Field("", description="Team to route alerts to.")
    timeout: PositiveDuration = Field(
        9.0,
        description="Most seconds one poll may take, from connect to the end of the reply; the mapping may say more.",
    )
    min_interval: Duration | None = Field(
        None, description="Reuse a reading younger than this; default: the mapping's own, mostly 0s."
    )
    stale_for: Duration = Field(0.0, description="Keep showing the last quota for this long after a failure.")
    max_buckets: int = Field(20, ge=1, le=1000, description="Most buckets taken from one reply.")
    max_children: int | None = Field(
        None, ge=1, le=100_000, description="Most keys taken from the list of a management key; default: the mapping's."
    )
    currency: Currency | None = Field(
        None, description="Currency of amounts for which the reply names none; default: the mapping's own."
    )
    units: dict[Identifier, UnitSize] = Field(
        default_factory=dict, description="How many of the reply's units are one, for units of the mapping."
    )
    auth: Auth | None = Field(
        None, description="The header and the word that carry the API key; default: the mapping's own, mostly Bearer."
    )
    headers: Annotated[dict[HeaderName, HeaderForm], AfterValidator(no_header_twice)] = Field(
        default_factory=dict, description="Extra request headers: a value, or {file: path}."
    )
    tls: Tls = Field(Tls(), description="TLS settings.")
    proxy_url: ProxyUrl | None = Field(
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


class GatewaySettings(GatewayDefaults):
    """One gateway: an endpoint and where its API key comes from."""

    provider_id: ProviderId = Field(description="Unique id; CAMPUS_API_KEY is looked up for `campus`.")
    base_url: BaseUrl | None = Field(
        None, description="The gateway's base URL; default: provider.<id>.options.baseURL of OpenCode."
    )
    api_key_file: SecretFile | None = Field(None, description="File that holds the API key.")
    api_key_env: EnvVariable | None = Field(None, description="Environment variable that holds the API key.")
    api_key: ApiKey | None = Field(None, description="The API key itself; a file or variable is safer.")

    @model_validator(mode="after")
    def _one_key_source(self) -> Self:
        given = [name for name in KEY_SOURCES if getattr(self, name) is not None]
        if len(given) > 1:
            raise ProblemAtKeys(f"{given[0]} names the API key already; keep one of {' and '.join(given)}", given[1])
        return self


class OriginLimit(Model):
    """Limits of one origin."""

    max_concurrency: int = Field(ge=1, le=1000, description="Most polls of this origin at once.")


OriginForm = Annotated[OriginLimit, number_is("max_concurrency", OriginLimit)]


def _by_origin(limits: dict[str, OriginLimit]) -> dict[str, OriginLimit]:
    by_origin = {urls.origin_of(url): limit for url, limit in limits.items()}
    if len(by_origin) < len(limits):
        raise ValueError("names the same scheme, host and port twice; keep one of them")
    return by_origin


class Origins(Model):
    """How hard one origin (scheme, host and port) may be pressed."""

    max_concurrency: int = Field(20, ge=1, le=1000, description="Most polls of one origin at once.")
    per_origin: Annotated[dict[BaseUrl, OriginForm], AfterValidator(_by_origin)] = Field(
        default_factory=dict, description="Other limits for some, by their URL."
    )

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


def _named(mappings: dict[str, ReplyMapping]) -> dict[str, ReplyMapping]:
    for name, mapping in mappings.items():
        if mapping.name not in ("", name):
            raise ProblemAtKeys("is another name than the key above it; remove it, or make both the same", name, "name")
    return {name: mapping.model_copy(update={"name": name}) for name, mapping in mappings.items()}


class Options(Model):
    """The config file without its gateways."""

    also_known = ("gateways",)

    defaults: GatewayDefaults = Field(GatewayDefaults(), description="Values for gateways that do not set them.")
    gateway_files: list[FilePattern] = Field(
        default_factory=list,
        description="Globs of further files, each a list of gateways; relative to this file.",
    )
    mappings: Annotated[dict[MappingName, ReplyMapping], AfterValidator(_named)] = Field(
        default_factory=dict, description="Your own ways to read a reply, by name; they go before the presets."
    )
    origins: Origins = Field(Origins(), description="Limits per origin.")
    opencode: Literal["auto", "off"] = Field("auto", description="Whether to read OpenCode's global config.")
    enabled_providers: EnabledProviders = Field(
        None, description="`auto` for all, or a list of provider ids; `openai-compatible` means all."
    )
