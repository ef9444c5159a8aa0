"""The listening sockets, served by uvicorn until a signal ends them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import socket
from collections.abc import Generator, Sequence

import uvicorn
from starlette.applications import Starlette

from quota_exporter.web.routes import Phase

_KEEPALIVE_SECONDS = 120  # above the usual scrape intervals, so that Prometheus keeps its connection
_GRACE_SECONDS = 0.2  # the end of the shutdown timeout, for writing the last answers
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.%a-z]*\]|[^\[\]:]*):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65535
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class ListenError(Exception):
    """An address that cannot be listened on; the text says which and why."""


def open_sockets(addresses: Sequence[str]) -> list[socket.socket]:
    """Listen on `host:port`, `[ipv6]:port` or `:port` (all addresses); ListenError says what is wrong.

    Port 0 takes a free port, the same on each address that a host has. What is listed twice is opened once, but each
    port 0 is another one.
    """
    wanted = [
        address for index, address in enumerate(addresses) if address.endswith(":0") or address not in addresses[:index]
    ]
    with contextlib.ExitStack() as opened:
        sockets = [listening for address in wanted for listening in _open(address, opened)]
        for listening in sockets:
            # asyncio does not see that these are TCP; without it an answer's body waits 40 ms for an acknowledgement
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.pop_all()
    return sockets


def url_of(listening: socket.socket) -> str:
    """The base URL under which a browser on this machine reaches the socket."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - a comparison, nothing is bound here
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: Starlette, sockets: list[socket.socket], phase: Phase, shutdown_timeout: float) -> None:
    """Serve until the phase is `stopping`; return when the last answer is written, and the app's threads may end."""
    server = GuestServer(app)

    async def drain() -> None:
        await phase.stopping.wait()
        server.should_exit = True
        await asyncio.sleep(max(shutdown_timeout - _GRACE_SECONDS, shutdown_timeout / 2))
        phase.over.set()
        await asyncio.sleep(_GRACE_SECONDS)
        server.force_exit = True

    draining = asyncio.create_task(drain())
    try:
        async with app.router.lifespan_context(app):  # uvicorn would not end it after a forced exit
            await server.serve(sockets)
    finally:
        draining.cancel()


class GuestServer(uvicorn.Server):
    """A server inside of a running program, which handles its signals and logs itself."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEPALIVE_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the program."""
        yield


def _open(address: str, opened: contextlib.ExitStack) -> list[socket.socket]:
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > _MAX_PORT:
        raise ListenError(f"{address!r} is no address to listen on; write host:port, [ipv6]:port or :port")
    try:
        return _listen(match["host"].strip("[]"), int(match["port"]), opened)
    except socket.gaierror as error:
        why = error.strerror
    except OSError as error:
        # Python's own text repeats the address
        why = error.strerror if error.errno is None else os.strerror(error.errno)
    except UnicodeError:
        raise ListenError(f"cannot listen on {address}: no host can have this name") from None
    raise ListenError(f"cannot listen on {address}: {why}; choose --web.listen-address")


def _listen(host: str, port: int, opened: contextlib.ExitStack) -> list[socket.socket]:
    """Sockets on all addresses of the host, of "" on all addresses of this machine; `opened` closes them."""
    if not host and socket.has_dualstack_ipv6():
        try:
            both = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
        else:
            return [opened.enter_context(both)]
    found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # noqa: S104 - the operator asked for all addresses
    sockets: list[socket.socket] = []
    for family, (name, _, *scope) in dict.fromkeys((family, target) for family, _, _, _, target in found):
        listening = opened.enter_context(socket.create_server((name, port, *scope), family=family))
        port = listening.getsockname()[1]  # the port 0 is any for the first address only
        sockets.append(listening)
    return sockets
