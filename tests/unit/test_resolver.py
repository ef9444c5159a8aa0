"""Name look-ups: shared, in threads of their own, and nobody's delay."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from quota_exporter.resolver import LookupLoop

_T = TypeVar("_T")
_ENOUGH_SECONDS = 20.0  # only a failing test waits this long


class _NameServer:
    """Stands in for getaddrinfo: names that start with `hang` wait until `release`."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.release = threading.Event()
        self.failures: dict[str, Exception] = {}
        self._counting = threading.Lock()

    def getaddrinfo(self, host: Any, service: Any, *_rest: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        with self._counting:
            self.asked[name] += 1
        if name.startswith("hang"):
            assert self.release.wait(_ENOUGH_SECONDS)
        if name in self.failures:
            raise self.failures[name]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 7, 2)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0 if service is None else 443)),
        ]


@pytest.fixture(name="names")
def _names(monkeypatch: pytest.MonkeyPatch) -> Iterator[_NameServer]:
    server = _NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.release.set()
    for thread in threading.enumerate():
        if thread.name == "name-lookup":
            thread.join(_ENOUGH_SECONDS)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        return runner.run(asyncio.wait_for(work, _ENOUGH_SECONDS))


async def _look_up(host: str, port: int | str | None = 443) -> Any:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def _asked(names: _NameServer, host: str) -> None:
    while not names.asked[host]:  # noqa: ASYNC110 - it is another thread that counts
        await asyncio.sleep(0)


@pytest.mark.parametrize(("port", "seen"), [(8443, 8443), ("https", 443), (None, 0)])
def test_answer_has_the_port_that_was_asked_for(names: _NameServer, port: int | str | None, seen: int) -> None:
    """Addresses come back as getaddrinfo gives them, with this caller's port, the scope of IPv6 included."""
    answer = _run(_look_up("gateway.example", port))
    assert [info[4] for info in answer] == [("fe80::1", 0 if port != 8443 else 8443, 7, 2), ("192.0.2.1", seen)]
    assert [info[0] for info in answer] == [socket.AF_INET6, socket.AF_INET]


def test_hundred_hanging_names_delay_nobody(names: _NameServer) -> None:
    """While a dead name server holds a hundred look-ups, another name is resolved at once."""

    async def work() -> None:
        hanging = [asyncio.ensure_future(_look_up(f"hang{number}.example")) for number in range(100)]
        for number in range(100):
            await _asked(names, f"hang{number}.example")
        assert await _look_up("alive.example")
        assert not any(task.done() for task in hanging)
        names.release.set()
        assert all(await asyncio.gather(*hanging))

    _run(work())


def test_more_names_than_threads_wait_their_turn(names: _NameServer) -> None:
    """The number of threads is bounded; names beyond it are looked up as soon as one is free."""

    async def work() -> None:
        tasks = [asyncio.ensure_future(_look_up(f"hang{number}.example")) for number in range(300)]
        await _asked(names, "hang255.example")
        assert sum(thread.name == "name-lookup" for thread in threading.enumerate()) == 256
        names.release.set()
        assert all(await asyncio.gather(*tasks))

    _run(work())
    assert sum(names.asked.values()) == 300


def test_one_look_up_per_host_at_a_time(names: _NameServer) -> None:
    """Fifty connections to one host ask once, and each gets its own port."""

    async def work() -> list[Any]:
        tasks = [asyncio.ensure_future(_look_up("hang.example", port)) for port in range(8000, 8050)]
        await _asked(names, "hang.example")
        names.release.set()
        return await asyncio.gather(*tasks)

    answers = _run(work())
    assert [answer[1][4] for answer in answers] == [("192.0.2.1", port) for port in range(8000, 8050)]
    assert names.asked == {"hang.example": 1}


def test_nothing_is_remembered_when_a_look_up_is_over(names: _NameServer) -> None:
    """The next connection asks anew: how long an answer holds is the system resolver's business."""

    async def work() -> None:
        await _look_up("gateway.example")
        await asyncio.sleep(0)
        await _look_up("gateway.example")

    _run(work())
    assert names.asked == {"gateway.example": 2}


def test_waiter_that_leaves_takes_nothing_along(names: _NameServer) -> None:
    """A poll whose time is over does not cancel the look-up that others wait for."""

    async def work() -> Any:
        first = asyncio.ensure_future(_look_up("hang.example"))
        second = asyncio.ensure_future(_look_up("hang.example"))
        await _asked(names, "hang.example")
        first.cancel()
        await asyncio.wait([first])
        names.release.set()
        return await second

    assert _run(work())
    assert names.asked == {"hang.example": 1}


@pytest.mark.parametrize(
    "failure",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        OSError("the resolver's socket broke"),
        UnicodeError("label too long"),
        ValueError("embedded null byte"),
        MemoryError(),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_failure_reaches_every_waiter(names: _NameServer, failure: Exception) -> None:
    """Whatever a look-up raises, all who wait for it get it, and none waits for ever."""
    names.failures["hang.example"] = failure

    async def work() -> list[Any]:
        tasks = [asyncio.ensure_future(_look_up("hang.example")) for _ in range(3)]
        await _asked(names, "hang.example")
        names.release.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert _run(work()) == [failure] * 3


def test_failure_that_nobody_waits_for_is_silent(names: _NameServer, caplog: pytest.LogCaptureFixture) -> None:
    """When all waiters have left, a failing look-up ends without a complaint in the log."""
    names.failures["hang.example"] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure")

    async def work() -> None:
        task = asyncio.ensure_future(_look_up("hang.example"))
        await _asked(names, "hang.example")
        task.cancel()
        await asyncio.wait([task])
        names.release.set()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, LookupLoop)
        while loop._lookups:  # noqa: ASYNC110 - nothing tells when a look-up without waiters is over
            await asyncio.sleep(0)

    _run(work())
    assert not caplog.records


def test_hanging_look_up_does_not_delay_the_end_of_the_program() -> None:
    """A program with a look-up that never returns ends as soon as its own work is done."""
    program = """
import asyncio, socket, threading
from quota_exporter.resolver import LookupLoop

asked = threading.Event()

def hang(*arguments):
    asked.set()
    threading.Event().wait()

socket.getaddrinfo = hang

async def work():
    task = asyncio.ensure_future(asyncio.get_running_loop().getaddrinfo("gateway.example", 443))
    while not asked.is_set():
        await asyncio.sleep(0)
    task.cancel()

with asyncio.Runner(loop_factory=LookupLoop) as runner:
    runner.run(work())
print("over")
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=_ENOUGH_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "over\n", "")
