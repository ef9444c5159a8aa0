"""The JSON Schema of the config file."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from pydantic import Field

from quota_exporter.settings import ALIASES, KEY_SOURCES, GatewaySettings, Options


class ConfigFile(Options):
    """The config file as a whole, for its JSON Schema."""

    gateways: list[GatewaySettings] = Field(default_factory=list, description="The gateways to watch.")


def config_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the config file, aliases included, for editors."""
    schema = ConfigFile.model_json_schema()
    gateway = schema["$defs"]["GatewaySettings"]
    for model in (schema, *schema["$defs"].values()):
        for name, value in model["properties"].items():
            _write_default_as_yaml(name, value)
    for alias, name in ALIASES.items():
        gateway["properties"][alias] = gateway["properties"][name]
    gateway["required"].remove("provider_id")
    gateway["oneOf"] = [{"required": ["provider_id"]}, {"required": ["providerId"]}]
    pairs = [*combinations(KEY_SOURCES, 2), *((alias, name) for alias, name in ALIASES.items())]
    gateway["allOf"] = [{"not": {"required": list(pair)}} for pair in pairs]
    schema["$defs"]["HeaderValue"]["oneOf"] = [{"required": ["value"]}, {"required": ["file"]}]
    schema["$defs"]["Tls"]["dependentRequired"] = {"cert_file": ["key_file"], "key_file": ["cert_file"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "quota-exporter configuration",
    }


def _write_default_as_yaml(name: str, value: dict[str, Any]) -> None:
    """Editors insert the default, so it must be what the file may hold; that of a model stands at its keys."""
    default = value.pop("default", None)
    if isinstance(default, float) and value["type"] == "string":
        default = f"{default:g}s"
    if name == "enabled_providers":
        default = "auto"
    if default is not None and not isinstance(default, dict):
        value["default"] = default
