"""What every test gets: a clean environment, logging as it was, and sockets that reach this machine only."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# A shared machine's pauses are no failures; what CI tells of a change must not depend on chance.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis.settings.load_profile("steady")

_SCRUBBED_PREFIXES = ("OPENCODE_", "XDG_", "SSL_CERT_")
_SCRUBBED_SUFFIXES = ("_PROXY", "_API_KEY")


@pytest.fixture(autouse=True)
def _clean_environ(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in os.environ:
        if name.upper().startswith(_SCRUBBED_PREFIXES) or name.upper().endswith(_SCRUBBED_SUFFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real_connect = socket.socket.connect
    refused: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        is_inet = self.family in (socket.AF_INET, socket.AF_INET6)
        if is_inet and not ipaddress.ip_address(address[0]).is_loopback:
            refused.append(address)
            raise OSError(f"tests may not leave this machine: {address}")
        real_connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    yield
    assert not refused


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "asyncio", "uvicorn")}
    yield
    root.handlers = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


@pytest.fixture(name="canary")
def _canary() -> str:
    """An API key that must never be seen outside the Authorization header."""
    return "sk-canary-4f9a1c7be2d84c55a0e3"


@pytest.fixture(name="home")
def _home() -> Path:
    return Path(os.environ["HOME"])
