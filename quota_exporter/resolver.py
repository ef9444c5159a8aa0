"""Name look-ups in threads of their own, so that a dead resolver delays nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

_MAX_THREADS = 256

_AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]


class LookupLoop(asyncio.SelectorEventLoop):
    """Event loop that looks up each host at most once at a time, in bounded daemon threads.

    asyncio's own look-ups share the small default executor: a few names that hang would block all others, and
    the interpreter would wait for them at exit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[tuple[Any, ...], asyncio.Task[list[_AddressInfo]]] = {}
        self._threads = asyncio.Semaphore(_MAX_THREADS)

    async def getaddrinfo(  # type: ignore[override]  # typeshed spells the address as two tuple types
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name is asyncio's
        proto: int = 0,
        flags: int = 0,
    ) -> list[_AddressInfo]:
        """Resolve as socket.getaddrinfo does; concurrent calls for one host share one look-up."""
        service = None if isinstance(port, int) else port
        key = (host, service, family, type, proto, flags)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = self.create_task(self._look_up(key))
            lookup.add_done_callback(lambda done: self._forget(key, done))
        addresses = await asyncio.shield(lookup)
        if service is port:
            return addresses
        return [(*info[:4], (info[4][0], port, *info[4][2:])) for info in addresses]

    async def _look_up(self, key: tuple[Any, ...]) -> list[_AddressInfo]:
        async with self._threads:
            answer: asyncio.Future[list[_AddressInfo]] = self.create_future()
            threading.Thread(target=self._ask, args=(key, answer), name="name-lookup", daemon=True).start()
            return await answer

    def _ask(self, key: tuple[Any, ...], answer: asyncio.Future[list[_AddressInfo]]) -> None:
        outcome: Any
        try:
            outcome = socket.getaddrinfo(*key)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
            outcome = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.call_soon_threadsafe(_settle, answer, outcome)

    def _forget(self, key: tuple[Any, ...], lookup: asyncio.Task[list[_AddressInfo]]) -> None:
        del self._lookups[key]
        if not lookup.cancelled():
            lookup.exception()  # every waiter may have left; asyncio would complain about an unread failure


def _settle(answer: asyncio.Future[list[_AddressInfo]], outcome: list[_AddressInfo] | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
