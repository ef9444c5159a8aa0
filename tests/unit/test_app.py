"""The running program, where it can be tried without a process of its own."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable
from typing import cast

import pytest

from quota_exporter import app
from quota_exporter.exporter import ConfigError, Exporter


class FailingExporter:
    """Changes at each look; its reloads raise one error after the other, then it is happy."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.reloads = 0
        self.reloaded = asyncio.Event()

    def has_changed(self) -> bool:
        return True

    def fingerprint(self) -> dict[str, str]:
        return {}

    async def reload(self) -> None:
        self.reloads += 1
        if self.errors:
            raise self.errors.pop(0)
        self.reloaded.set()


def test_no_error_ends_the_watching(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A refused config and a bug are logged without their text, and the next change is reloaded all the same."""
    monkeypatch.setattr(app, "_SETTLE_SECONDS", 0.0)

    async def work() -> int:
        exporter = FailingExporter(ConfigError(()), ZeroDivisionError("sk-secret"))
        watching = asyncio.create_task(app._watch(cast("Exporter", exporter), 0.0))
        await asyncio.wait_for(exporter.reloaded.wait(), timeout=30)
        watching.cancel()
        return exporter.reloads

    assert asyncio.run(work()) >= 3
    messages = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert messages == ["reload failed", "reload failed by a bug"]


@pytest.fixture(name="limits")
def _limits(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int, int], list[int]]:
    """What soft limits stick, where the system grants at most `granted`."""

    def run(soft: int, hard: int, granted: int) -> list[int]:
        kept: list[int] = []

        def setrlimit(_what: int, limits: tuple[int, int]) -> None:
            if limits[0] == resource.RLIM_INFINITY or limits[0] > granted:
                raise ValueError("not allowed to raise maximum limit")
            kept.append(limits[0])

        monkeypatch.setattr(resource, "getrlimit", lambda _what: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", setrlimit)
        app._allow_many_open_files()
        return kept

    return run


@pytest.mark.parametrize(
    ("soft", "hard", "granted", "kept"),
    [
        (1024, 524288, 524288, [524288]),  # Linux
        (256, resource.RLIM_INFINITY, 10240, [10240]),  # macOS: says none, and grants what it likes
        (1024, 1024, 1024, []),
        (100000, resource.RLIM_INFINITY, 10240, []),
    ],
)
def test_open_files_are_raised_as_far_as_they_go(
    limits: Callable[[int, int, int], list[int]], soft: int, hard: int, granted: int, kept: list[int]
) -> None:
    """A thousand gateways need more sockets than the usual soft limit; it is raised, and never lowered."""
    assert limits(soft, hard, granted) == kept
