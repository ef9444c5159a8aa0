"""The config in force as YAML, without its secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import SecretStr

from quota_exporter.exporter import Generation
from quota_exporter.humanize import duration_setting
from quota_exporter.reply_text import clean_message, names_secret
from quota_exporter.request_language import placeholders
from quota_exporter.roster import Plan
from quota_exporter.settings import ENVIRONMENT_PROXY

REDACTED = "<secret>"

_NO_FOLDING = 1 << 20
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # not every wheel of PyYAML has the fast one


def config_yaml(generation: Generation) -> str:
    """Return the config after defaults, gateway files and OpenCode's entries are merged, as a config file.

    API keys, header values, proxy credentials and what may be a secret in a mapping's query or body are replaced by
    `<secret>`; names of files and variables stay.
    """
    options = generation.config.options
    enabled = options.enabled_providers
    parts = [
        _dump(
            {
                "opencode": options.opencode,
                "enabled_providers": "auto" if enabled is None else enabled,
                "origins": options.origins.model_dump(),
            }
        )
    ]
    if options.mappings:
        parts.append(_yaml({"mappings": _mappings(generation)}))
    if generation.roster.disabled:
        disabled = ", ".join(sorted(generation.roster.disabled))
        parts.append(_comment(f"left out by enabled_providers: {disabled}"))
    parts.append("gateways:\n" if generation.plans else "gateways: []\n")
    for provider_id, plan in generation.plans.items():
        parts.append(_comment(f"from {plan.location}"))
        parts += [_comment(note) for note in plan.notes]
        parts.append(_dump([_gateway(plan, generation.labels[provider_id].label)]))
    return "".join(parts)


def _mappings(generation: Generation) -> Any:
    """The config's own mappings as they are written, but for secrets."""
    document = generation.config.document
    return None if document is None else _without_secrets(document.value["mappings"])


def _without_secrets(value: Any, *, is_sent: bool = False) -> Any:
    """A copy without values of headers, and in what a request sends (`is_sent`) without what may be a key."""
    if isinstance(value, list):
        return [_without_secrets(item, is_sent=is_sent) for item in value]
    if isinstance(value, dict):
        return {key: _member(key, item, is_sent=is_sent) for key, item in value.items()}
    return REDACTED if is_sent and isinstance(value, str) and value and clean_message(value, ()) is None else value


def _member(key: str, item: Any, *, is_sent: bool) -> Any:
    if key == "headers" and isinstance(item, dict):
        return dict.fromkeys(item, REDACTED)
    if is_sent and names_secret(key) and isinstance(item, str) and not any(placeholders(item)):
        return REDACTED
    return _without_secrets(item, is_sent=is_sent or key in ("body", "query"))


def _gateway(plan: Plan, label: str) -> dict[str, Any]:
    settings = plan.settings
    in_force = {
        "quota_path": settings.quota_path or plan.mapping.steps[0].path,
        "label": label,
        "timeout": duration_setting(settings.timeout),
        "min_interval": duration_setting(plan.min_interval),
        "stale_for": duration_setting(settings.stale_for),
        "proxy_url": None if settings.proxy_url is None else _proxy(settings.proxy_url),
    }
    first = {"provider_id": settings.provider_id, "base_url": settings.base_url}
    return {**first, **settings.model_dump(exclude=set(first)), **in_force}


def _proxy(url: SecretStr) -> str:
    if url.get_secret_value() == ENVIRONMENT_PROXY:
        return ENVIRONMENT_PROXY
    parts = urlsplit(url.get_secret_value())
    credentials, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{REDACTED if credentials else ''}{at}{host}"


def _dump(value: Any) -> str:
    return _yaml(_plain(value))


def _yaml(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_NO_FOLDING)
    return text


def _plain(value: Any) -> Any:
    """The value as YAML can say it: no secret, no None, files as text."""
    if isinstance(value, SecretStr):
        return REDACTED
    if isinstance(value, Path):
        return os.fsencode(value).decode("utf-8", "replace")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _comment(text: str) -> str:
    return "# " + "".join(character if character.isprintable() else "?" for character in text) + "\n"
