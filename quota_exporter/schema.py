"""The JSON Schema of the config file."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from pydantic import Field

from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.settings import ALIASES, KEY_SOURCES, GatewaySettings, Options

_NULL = {"type": "null"}


class ConfigFile(Options):
    """The config file as a whole, for its JSON Schema."""

    gateways: list[GatewaySettings] = Field(default_factory=list, description="The gateways to watch.")


def config_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the config file, aliases included, for editors."""
    schema = ConfigFile.model_json_schema()
    gateway = schema["$defs"]["GatewaySettings"]
    for model in (schema, *schema["$defs"].values()):
        for name, value in model.get("properties", {}).items():
            _write_default_as_yaml(name, value)
            if "patternProperties" in value:
                value["additionalProperties"] = False
    for alias, name in ALIASES.items():
        gateway["properties"][alias] = gateway["properties"][name]
    gateway["required"].remove("provider_id")
    gateway["oneOf"] = [{"required": ["provider_id"]}, {"required": ["providerId"]}]
    pairs = [*combinations(KEY_SOURCES, 2), *((alias, name) for alias, name in ALIASES.items())]
    gateway["allOf"] = [{"not": {"required": list(pair)}} for pair in pairs]
    schema["$defs"]["HeaderValue"]["oneOf"] = [{"required": ["value"]}, {"required": ["file"]}]
    schema["$defs"]["Tls"]["dependentRequired"] = {"cert_file": ["key_file"], "key_file": ["cert_file"]}
    _tell_of_mappings(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "quota-exporter configuration",
    }


def _tell_of_mappings(schema: dict[str, Any]) -> None:
    """Add what the models of mappings check by themselves."""
    models = schema["$defs"]
    for name in ("ReplyMapping", *ReplyMapping.model_json_schema()["$defs"]):
        for value in models[name].get("properties", {}).values():
            # unlike in the rest of the file, a key without value is an error
            if _NULL in value.get("anyOf", ()):
                value["anyOf"].remove(_NULL)
    mapping, bucket = models["ReplyMapping"], models["BucketRule"]
    mapping["anyOf"] = [{"required": [key], "properties": {key: {"minItems": 1}}} for key in ("buckets", "children")]
    mapping["not"] = {"required": ["path", "requests"]}
    mapping["properties"]["requests"]["minItems"] = 1
    bucket["oneOf"] = [{"required": ["kind"]}, {"required": ["kind_from"]}]
    bucket["anyOf"] = [{"required": [amount]} for amount in ("limit", "used", "remaining")]
    bucket["properties"]["unlimited"]["anyOf"].append({"type": "string", "minLength": 1, "maxLength": 512})


def _write_default_as_yaml(name: str, value: dict[str, Any]) -> None:
    """Editors insert the default, so it must be what the file may hold; that of a model stands at its keys."""
    default = value.pop("default", None)
    if isinstance(default, float) and value["type"] == "string":
        default = f"{default:g}s"
    if name == "enabled_providers":
        default = "auto"
    if default not in (None, "", []) and not isinstance(default, dict | list):
        value["default"] = default
