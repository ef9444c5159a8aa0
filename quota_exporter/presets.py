"""The mappings that ship with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from quota_exporter.document import parse_yaml
from quota_exporter.mapping_language import ReplyMapping, load_mapping

_FOLDER = files("quota_exporter") / "data" / "presets"


def preset_names() -> tuple[str, ...]:
    """Return the names of the mappings that ship with the package, sorted."""
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir()))


def preset_text(name: str) -> str:
    """Return a preset as it is written; raises KeyError for an unknown name."""
    if name not in preset_names():
        raise KeyError(name)
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def load_preset(name: str) -> ReplyMapping:
    """Load a mapping that ships with the package, anew on each call; raises KeyError for an unknown name."""
    mapping = load_mapping(parse_yaml(preset_text(name), Path(str(_FOLDER / f"{name}.yaml"))))
    return mapping.model_copy(update={"name": name})
