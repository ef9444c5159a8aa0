"""The architecture: which module may import which, and how a module introduces itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import quota_exporter

PACKAGE = Path(quota_exporter.__file__).parent

# Imports point from the bottom of this list to the top.
ORDER = [
    *("quota", "files", "document", "jsonc", "numbers", "reply_text", "urls", "values", "validation"),
    *("expression", "mapping_language", "mapping", "settings", "config", "opencode", "credentials", "tls", "roster"),
    *("resolver", "transport", "reply", "gateway", "fleet", "metrics", "exposition", "exporter"),
    *("advice", "report", "humanize", "web", "web.markup", "web.layout", "web.gateway_card", "web.effective_config"),
    *("web.pages", "web.routes", "web.server", "terminal", "logs", "app", "oneshot", "flags"),
    *("demo_gateways", "demo", "cli", "__main__"),
]
HTTPX_USERS = {"transport", "gateway"}
MAX_LINES = 300


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "quota_exporter"


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_has_its_place() -> None:
    """A new module must be given a place in the order of imports."""
    assert set(MODULES) - {"quota_exporter"} == set(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_imports_point_upwards(module: str) -> None:
    """A module imports only from modules above it."""
    below = set(ORDER[ORDER.index(module) + 1 :])
    imported = {name.removeprefix("quota_exporter.") for name in _imports(MODULES[module])}
    assert not imported & below


@pytest.mark.parametrize("module", ORDER)
def test_httpx_stays_behind_its_seam(module: str) -> None:
    """Only the transport and the gateway know httpx, so that it can be replaced there."""
    uses_httpx = any(name.partition(".")[0] == "httpx" for name in _imports(MODULES[module]))
    assert not uses_httpx or module in HTTPX_USERS


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_its_duty_in_one_sentence(module: str) -> None:
    """A module opens with one sentence, so that a reader knows within a minute what it is for."""
    docstring = ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8"))) or ""
    sentence = docstring.split("\n\n")[0].replace("\n", " ")
    assert sentence.endswith(".")
    assert ". " not in sentence


@pytest.mark.parametrize("module", MODULES)
def test_a_module_stays_small(module: str) -> None:
    """No module grows past what one can read in a sitting."""
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", MODULES)
def test_nothing_mutable_lives_at_module_level(module: str) -> None:
    """State lives in the fleet and in the generation only: no module rebinds or fills its own names at run time."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
