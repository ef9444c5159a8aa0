"""Many TLS gateways in one process, cheap enough not to be what a benchmark measures.

Run as a program it writes one JSON line with its ports, serves until standard input ends, then writes one with
what it has counted. Sockets are driven without asyncio, whose TLS costs several times as much.
"""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

DELAY_SECONDS = 0.05

_BACKLOG = 1024
_MAX_REQUEST = 65_536
_BODY = json.dumps(
    {
        "key": "course-comp318-fall26",
        "tokens": {
            "limit": 5_000_000,
            "used": 1_250_000,
            "remaining": 3_750_000,
            "resets_at": "2027-01-01T00:00:00Z",
        },
        "cost": {
            "currency": "USD",
            "limit": 50.0,
            "used": 12.3456,
            "remaining": 37.6544,
            "resets_at": "2027-01-01T00:00:00Z",
        },
    },
    indent=4,
).encode()
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class Gateways:
    """Listeners whose replies leave `DELAY_SECONDS` after the request; counts connections and requests."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.connections = 0
        self.requests = 0
        self._is_over = False
        self._context = context
        self._selector = selectors.DefaultSelector()
        # the delay is the same for all, so the first in is the first due
        self._due: deque[tuple[float, ssl.SSLSocket]] = deque()

    def listen(self) -> int:
        """Open one more gateway on a free port of 127.0.0.1; gives the port."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        listener.settimeout(0)
        self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, listener))
        port: int = listener.getsockname()[1]
        return port

    def serve(self, until_readable: int) -> None:
        """Serve until this file descriptor can be read."""
        self._selector.register(until_readable, selectors.EVENT_READ, self._stop)
        while not self._is_over:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, _ in self._selector.select(wait):
                act: Callable[[], None] = key.data
                act()
                self._reply()  # in between, as a burst of handshakes takes longer than the delay
            self._reply()

    def _stop(self) -> None:
        self._is_over = True

    def _accept(self, listener: socket.socket) -> None:
        plain, _ = listener.accept()
        self.connections += 1
        plain.settimeout(0)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self._selector.register(client, selectors.EVENT_READ, partial(self._shake_hands, client))

    def _shake_hands(self, client: ssl.SSLSocket) -> None:
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            return
        except OSError:
            self._close(client)
            return
        self._selector.modify(client, selectors.EVENT_READ, partial(self._read, client, bytearray()))
        self._read(client, bytearray())  # the request may have come with the end of the handshake

    def _read(self, client: ssl.SSLSocket, received: bytearray) -> None:
        try:
            while data := client.recv(_MAX_REQUEST):
                received += data
                if received.endswith(b"\r\n\r\n"):
                    received.clear()
                    self.requests += 1
                    self._due.append((time.monotonic() + DELAY_SECONDS, client))
        except ssl.SSLWantReadError:
            return
        except OSError:
            pass  # a client that breaks off is gone like one that closes
        self._close(client)

    def _reply(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, client = self._due.popleft()
            if client.fileno() >= 0:
                client.send(_REPLY)

    def _close(self, client: ssl.SSLSocket) -> None:
        self._selector.unregister(client)
        client.close()


def main(count: int, certificate: Path) -> None:
    """Serve `count` gateways with the certificate and key in this PEM file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    gateways = Gateways(context)
    _say([gateways.listen() for _ in range(count)])
    gateways.serve(sys.stdin.fileno())
    _say({"connections": gateways.connections, "requests": gateways.requests})


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
