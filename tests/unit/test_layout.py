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
    *("quota", "files", "reply_text", "document", "jsonc", "numbers", "urls", "values", "validation"),
    *("functions", "interpreter", "expression_types", "expression", "expression_fields", "request_language"),
    *("bucket_language", "mapping_language"),
    *(
        "presets",
        "reader",
        "buckets",
        "key_list",
        "mapping",
        "settings",
        "schema",
        "config",
        "opencode",
        "credentials",
        "tls",
    ),
    *("endpoints", "mapping_choice", "roster", "resolver", "transport", "origins", "reply", "paging", "outgoing"),
    *("exchange", "conversation", "gateway", "history", "children", "fleet", "metrics", "exposition", "exporter"),
    *("advice", "report", "humanize", "web", "web.markup", "web.layout", "web.gateway_card", "web.effective_config"),
    *("unknown", "web.pages", "web.routes", "web.server", "terminal", "logs", "app", "oneshot", "flags", "command"),
    *(
        "recording",
        "contract_values",
        "contract",
        "contract_check",
        "contract_report",
        "shape",
        "explain",
        "explain_report",
    ),
    *("frugal", "guess", "guess_report", "preset_page", "mapping_commands", "demo_gateways", "demo", "cli", "__main__"),
]
HTTPX_USERS = {
    *("transport", "origins", "outgoing", "exchange", "gateway", "recording", "frugal", "contract_check"),
}
MAX_LINES = 300
MUTATORS = {
    *("add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove"),
    *("reverse", "setdefault", "sort", "update"),
}


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "quota_exporter"


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: a relative import, which the order does not see"
            assert node.module is not None
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
    """Only what sends requests knows httpx, so that it can be replaced there."""
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


def _written_at_run_time(source: str) -> list[str]:
    """Names of a module that its functions rebind or change in place."""
    tree = ast.parse(source)
    own = {
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        if isinstance(target, ast.Name)
    }
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [name for function in functions for name in _changed_names(function) if name in own]


def _changed_names(function: ast.AST) -> Iterator[str]:
    nodes = list(ast.walk(function))
    local = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    local |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    for node in nodes:
        changed: ast.expr | None = None
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            changed = node.func.value
        while isinstance(changed, ast.Subscript | ast.Attribute):
            changed = changed.value
        if isinstance(changed, ast.Name) and changed.id not in local:
            yield changed.id


@pytest.mark.parametrize("module", MODULES)
def test_nothing_mutable_lives_at_module_level(module: str) -> None:
    """State lives in the fleet and in the generation only: no function rebinds or fills a name of its module."""
    assert _written_at_run_time(MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "body",
    [
        *("global CACHE; CACHE = {}", "CACHE[1] = 2", "CACHE[1] += 2", "del CACHE[1]", "CACHE[1][2] = 3"),
        *("CACHE.update({})", "CACHE.setdefault(1, 2)", "CACHE[1].append(2)", "CACHE.value = 1", "CACHE.pop(1)"),
    ],
)
@pytest.mark.parametrize("value", ["{}", "[]", "dict()", "{key: 1 for key in ()}"])
def test_state_at_module_level_is_noticed(value: str, body: str) -> None:
    """Every way to keep something in a module from one call to the next is found, also in a method."""
    assert _written_at_run_time(f"CACHE = {value}\ndef f():\n    {body}\n") != []
    assert _written_at_run_time(f"CACHE: object = {value}\nclass A:\n    async def f(self):\n        {body}\n") != []


@pytest.mark.parametrize("body", ["CACHE = {}; CACHE[1] = 2", "return CACHE[1]", "return CACHE.get(1)"])
def test_what_only_reads_or_is_local_is_no_state(body: str) -> None:
    """To read a module's table, or to fill a local one, is allowed."""
    assert _written_at_run_time(f"CACHE = {{}}\ndef f():\n    {body}\n") == []


def test_relative_imports_are_noticed(tmp_path: Path) -> None:
    """An import that would slip past the order of modules is refused."""
    path = tmp_path / "module.py"
    path.write_text("from .app import run\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"module\.py:1: "):
        list(_imports(path))
