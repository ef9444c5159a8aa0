"""Real sockets: what connections that fail become, what is kept, and what a server gets to see."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
import pytest
import trustme
from pydantic import SecretStr

from quota_exporter import exchange as exchange_module, logs, transport as transport_module
from quota_exporter.credentials import Credential
from quota_exporter.files import FileReader
from quota_exporter.gateway import Gateway
from quota_exporter.presets import load_preset
from quota_exporter.quota import Failure, KeySource, Reading, Reason
from quota_exporter.resolver import LookupLoop
from quota_exporter.settings import GatewaySettings
from quota_exporter.tls import ssl_context
from quota_exporter.transport import Route, open_transport
from quota_exporter.urls import origin_of

_T = TypeVar("_T")
_BODY = json.dumps({"tokens": {"limit": 100, "used": 25}}).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_ENOUGH_SECONDS = 20.0  # only a failing test waits this long


class _Peer:
    """A server on loopback that writes `answer(connection, request)`, counted from 1, as it is.

    None closes the connection without an answer; `then` says what becomes of it after one.
    """

    def __init__(
        self,
        answer: Callable[[int, int], bytes | None] = lambda *_: _ANSWER,
        *,
        then: Literal["keep", "close", "reset"] = "keep",
    ) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self._answer = answer
        self._then = then

    @contextlib.asynccontextmanager
    async def listening(self, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve, and give the `host:port`."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(server.close)
            yield "127.0.0.1:{1}".format(*server.sockets[0].getsockname())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            for request in range(1, 100):
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                answer = self._answer(number, request)
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
                if self._then == "close":
                    return
                if self._then == "reset":
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()


@contextlib.asynccontextmanager
async def _gateway(url: str, **settings: Any) -> AsyncIterator[Gateway]:
    values = {"provider_id": "campus", "base_url": url, "timeout": "20s"} | settings
    checked = GatewaySettings.model_validate(values)
    proxy = None if checked.proxy_url is None else checked.proxy_url.get_secret_value()
    transport = open_transport(Route(origin_of(url), ssl_context(checked.tls), proxy))
    try:
        yield Gateway(checked, load_preset("neutral"), f"{url}/quota", transport, FileReader())
    finally:
        await transport.aclose()


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        return runner.run(asyncio.wait_for(work, _ENOUGH_SECONDS))


async def _poll(gateway: Gateway, key: str = "sk-test") -> Reading:
    return await gateway.poll(Credential(SecretStr(key), KeySource.ENV, ()))


async def _poll_once(url: str, **settings: Any) -> Reading:
    async with _gateway(url, **settings) as gateway:
        return await _poll(gateway)


def _reading_of(peer: _Peer, scheme: str = "http", context: ssl.SSLContext | None = None, **settings: Any) -> Reading:
    async def work() -> Reading:
        async with peer.listening(context) as address:
            return await _poll_once(f"{scheme}://{address}", **settings)

    return _run(work())


def _failure_of(peer: _Peer, scheme: str = "http", context: ssl.SSLContext | None = None, **settings: Any) -> Failure:
    failure = _reading_of(peer, scheme, context, **settings).failure
    assert failure is not None
    return failure


# TLS


class _Authority:
    """A certificate authority, its PEM file, and the servers and clients it vouches for."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.file)

    def server(self, *names: str, not_after: datetime | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names, not_after=not_after).configure_cert(context)
        return context

    def trust(self, **more: Any) -> dict[str, Any]:
        return {"tls": {"ca_file": str(self.file)} | more}


def _reading_of_blocking_server(context: ssl.SSLContext, **settings: Any) -> Reading:
    """Poll a server that says why it refuses a handshake, as all but asyncio's do."""

    def serve() -> None:
        connection, _ = listener.accept()
        connection.settimeout(_ENOUGH_SECONDS)
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as stream:
            stream.recv(65536)
            stream.sendall(_ANSWER)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        reading = _run(_poll_once("https://127.0.0.1:{1}".format(*listener.getsockname()), **settings))
        thread.join()
    return reading


@pytest.fixture(name="authority", scope="module")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> _Authority:
    return _Authority(tmp_path_factory.mktemp("authority"))


def test_quota_over_tls(authority: _Authority) -> None:
    """With the right authority a poll over TLS gives the quota."""
    assert _reading_of(_Peer(), "https", authority.server("127.0.0.1"), **authority.trust()).quota is not None


def test_certificate_of_an_unknown_authority_is_refused(authority: _Authority) -> None:
    """Without its authority the server is not trusted, and does not get to see the key."""
    peer = _Peer()
    failure = _failure_of(peer, "https", authority.server("127.0.0.1"))
    assert failure.reason is Reason.TLS
    assert "certificate" in failure.detail
    assert peer.heads == []


def test_certificate_of_another_host_is_refused(authority: _Authority) -> None:
    """A certificate for other names is refused even from a trusted authority."""
    peer = _Peer()
    failure = _failure_of(peer, "https", authority.server("other.example"), **authority.trust())
    assert failure.reason is Reason.TLS
    assert "mismatch" in failure.detail
    assert peer.heads == []


def test_expired_certificate_is_refused(authority: _Authority) -> None:
    """An expired certificate is refused, and the words say that it expired."""
    context = authority.server("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    failure = _failure_of(_Peer(), "https", context, **authority.trust())
    assert failure.reason is Reason.TLS
    assert "expired" in failure.detail


def test_server_name_is_asked_for_and_checked(authority: _Authority) -> None:
    """With tls.server_name a gateway is reached by address and known by its name."""
    context = authority.server("gateway.example")
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    settings = authority.trust(server_name="gateway.example")
    assert _reading_of(_Peer(), "https", context, **settings).quota is not None
    assert asked == ["gateway.example"]
    assert _failure_of(_Peer(), "https", authority.server("127.0.0.1"), **settings).reason is Reason.TLS


def test_checks_can_be_switched_off(authority: _Authority) -> None:
    """With insecure_skip_verify, and only so, any certificate will do."""
    context = authority.server("other.example")
    assert _reading_of(_Peer(), "https", context, tls={"insecure_skip_verify": True}).quota is not None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate(authority: _Authority, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """A gateway that wants a client certificate gets it; without one the failure is tls, not a bug."""
    context = authority.server("127.0.0.1")
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    authority.ca.configure_trust(context)
    certificate = authority.ca.issue_cert("exporter.example")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    assert _reading_of_blocking_server(context, **authority.trust(**files)).quota is not None
    failure = _reading_of_blocking_server(context, **authority.trust()).failure
    assert failure is not None
    assert failure.reason is Reason.TLS, failure


def test_old_tls_is_refused(authority: _Authority) -> None:
    """A gateway that cannot speak tls.min_version is not spoken to."""
    context = authority.server("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert _reading_of_blocking_server(context, **authority.trust()).quota is not None
    failure = _reading_of_blocking_server(context, **authority.trust(min_version="TLS13")).failure
    assert failure is not None
    assert failure.reason is Reason.TLS, failure


def test_plain_text_on_a_tls_port() -> None:
    """A server that answers a TLS handshake in plain text is a matter of TLS."""

    async def work() -> Reading:
        async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer):
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                await writer.drain()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        reading = await _poll_once("https://127.0.0.1:{1}".format(*server.sockets[0].getsockname()))
        server.close()
        return reading

    failure = _run(work()).failure
    assert failure is not None
    assert failure.reason is Reason.TLS, failure


def test_http_on_a_tls_server(authority: _Authority) -> None:
    """Plain HTTP to a TLS server is a connection that gives no reply."""
    assert _failure_of(_Peer(), "http", authority.server("127.0.0.1")).reason is Reason.CONNECT


# Connections that fail


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_refused_connection() -> None:
    """Where nothing listens the connection is refused, and the words say so."""
    reading = _run(_poll_once(f"http://127.0.0.1:{_unused_port()}"))
    assert reading.failure is not None
    assert reading.failure.reason is Reason.CONNECT
    assert "refused" in reading.failure.detail.lower()
    assert reading.http_status is None


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_accept_and_silence(scheme: str) -> None:
    """A server that accepts and says nothing costs the gateway's timeout and no more."""

    async def work() -> tuple[Reading, bytes]:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer), contextlib.suppress(OSError):
                heard.set_result(await reader.read())  # until the exporter hangs up

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        url = "{0}://127.0.0.1:{2}".format(scheme, *server.sockets[0].getsockname())
        reading = await _poll_once(url, timeout="100ms")
        server.close()
        return reading, await heard

    reading, heard = _run(work())
    assert reading.failure == Failure(Reason.TIMEOUT, "no whole reply within 0.1 s")
    assert reading.http_status is None
    assert 0.1 <= reading.duration < _ENOUGH_SECONDS
    assert heard


def test_body_that_never_ends_in_time() -> None:
    """The timeout spans the body as well; the status of the unfinished reply is known."""
    reading = _reading_of(_Peer(lambda *_: _ANSWER[:-5]), timeout="100ms")
    assert reading.failure is not None
    assert (reading.failure.reason, reading.http_status) == (Reason.TIMEOUT, 200)


def test_reset_within_the_body() -> None:
    """A reply that a reset cuts off is a broken connection, not a quota."""
    reading = _reading_of(_Peer(lambda *_: _ANSWER[:-5], then="reset"))
    assert reading.failure is not None
    assert (reading.failure.reason, reading.http_status) == (Reason.CONNECT, 200)


def test_end_within_the_body() -> None:
    """A reply that ends before its announced length is a broken connection, even if it would parse."""
    short = _ANSWER.replace(b"Content-Length: %d" % len(_BODY), b"Content-Length: 999")
    assert _failure_of(_Peer(lambda *_: short, then="close")).reason is Reason.CONNECT


def test_body_may_end_with_the_connection() -> None:
    """A reply without a length ends with its connection, and is whole."""
    answer = b"HTTP/1.0 200 OK\r\n\r\n" + _BODY
    assert _reading_of(_Peer(lambda *_: answer, then="close")).quota is not None


def test_handshake_that_is_cut_off() -> None:
    """A server that hangs up during the TLS handshake is a connection that ended, and the words say when."""

    async def work() -> Reading:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer):
                await reader.read(65536)

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        reading = await _poll_once("https://127.0.0.1:{1}".format(*server.sockets[0].getsockname()))
        server.close()
        return reading

    assert _run(work()).failure == Failure(Reason.CONNECT, "no connection: it ended during the TLS handshake")


@pytest.mark.parametrize("answer", [None, b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n"])
def test_no_http_reply(answer: bytes | None) -> None:
    """A server that hangs up or speaks another protocol is a connection that gives no reply, asked once."""
    peer = _Peer(lambda *_: answer)
    assert _failure_of(peer).reason is Reason.CONNECT
    assert peer.connections == 1


def test_body_without_length_is_capped() -> None:
    """A body that is only bounded by the end of the connection is given up after 256 KiB."""
    assert _failure_of(_Peer(lambda *_: b"HTTP/1.1 200 OK\r\n\r\n" + bytes(600_000))).reason is Reason.TOO_LARGE


def test_announced_body_is_capped() -> None:
    """A body that announces too much is given up as soon as too much has come."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n"
    assert _failure_of(_Peer(lambda *_: head + bytes(600_000))).reason is Reason.TOO_LARGE


@pytest.mark.parametrize(("cut", "reason"), [(0, None), (9, Reason.BAD_ENCODING)])
def test_gzip_on_the_wire(cut: int, reason: Reason | None) -> None:
    """A compressed reply reaches the decoder as it was sent."""
    body = gzip.compress(_BODY)
    body = body[: len(body) - cut]
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    failure = _reading_of(_Peer(lambda *_: head + body)).failure
    assert (None if failure is None else failure.reason) is reason


def test_plain_text_that_claims_to_be_gzip() -> None:
    """A proxy that unpacked a reply and left the header makes it unreadable."""
    answer = _ANSWER.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    assert _failure_of(_Peer(lambda *_: answer)).reason is Reason.BAD_ENCODING


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL])
def test_name_that_cannot_be_resolved(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without an address, or a resolver that does not answer, is a matter of names."""

    def fail(*_: Any) -> list[Any]:
        raise socket.gaierror(code, "no such luck")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    reading = _run(_poll_once("https://gateway.internal"))
    assert reading.failure == Failure(Reason.DNS, "the host name cannot be resolved")


def test_name_with_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first address of a name refuses, the next one is tried."""
    resolve = socket.getaddrinfo

    def both(host: Any, *rest: Any, **more: Any) -> list[Any]:
        if host in ("localhost", b"localhost"):
            addresses: list[tuple[Any, Any]] = [(socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0))]
            return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses]
        return resolve(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", both)

    async def work() -> Reading:
        async with _Peer().listening() as address:
            return await _poll_once(f"http://localhost:{address.partition(':')[2]}")

    assert _run(work()).quota is not None


# Connections that are kept


def test_connection_is_kept_and_nothing_else() -> None:
    """Two polls share one connection, and the second sends no cookie that the first was given."""
    peer = _Peer(lambda *_: _ANSWER.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=1; Path=/\r\n\r\n"))

    async def work() -> None:
        async with peer.listening() as address, _gateway(f"http://{address}") as gateway:
            for _ in range(2):
                assert (await _poll(gateway)).quota is not None

    _run(work())
    assert (peer.connections, len(peer.heads)) == (1, 2)
    assert peer.heads[0] == peer.heads[1]
    assert "cookie" not in peer.heads[1].lower()


def test_kept_connection_that_ends_at_the_next_request_is_replaced() -> None:
    """A gateway that closes an idle connection just when it is used again is simply asked once more."""
    peer = _Peer(lambda _, request: _ANSWER if request == 1 else None)

    async def work() -> None:
        async with peer.listening() as address, _gateway(f"http://{address}") as gateway:
            for _ in range(3):
                assert (await _poll(gateway)).quota is not None

    _run(work())
    assert peer.connections == 3


def test_gateway_that_never_answers_is_asked_twice_at_most() -> None:
    """When the new connection breaks as well, the poll has failed."""
    peer = _Peer(lambda connection, request: _ANSWER if (connection, request) == (1, 1) else None)

    async def work() -> Failure | None:
        async with peer.listening() as address, _gateway(f"http://{address}") as gateway:
            assert (await _poll(gateway)).quota is not None
            return (await _poll(gateway)).failure

    failure = _run(work())
    assert failure is not None
    assert failure.reason is Reason.CONNECT
    assert (peer.connections, len(peer.heads)) == (2, 3)


def test_timeouts_do_not_use_up_the_pool() -> None:
    """After more timeouts than the pool has connections, the gateway can still be read."""
    peer = _Peer(lambda connection, _: b"" if connection <= 5 else _ANSWER)

    async def work() -> list[Reading]:
        async with peer.listening() as address, _gateway(f"http://{address}") as gateway:
            hasty = replace(gateway, settings=gateway.settings.model_copy(update={"timeout": 0.05}))
            late = [await _poll(hasty) for _ in range(5)]
            return [*late, await _poll(gateway)]

    readings = _run(work())
    assert [reading.failure.reason for reading in readings if reading.failure] == [Reason.TIMEOUT] * 5
    assert readings[-1].quota is not None


def test_error_status_survives_a_body_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is told by its status, whatever becomes of the body behind it."""
    monkeypatch.setattr(exchange_module, "_ERROR_BODY_SECONDS", 0.05)
    failure = _failure_of(_Peer(lambda *_: b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 50\r\n\r\n{"))
    assert failure == Failure(Reason.UNAUTHORIZED, "HTTP 401")


def test_connections_that_are_not_used_any_more_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a burst the connections that stay idle are closed, not kept until somebody looks at them."""

    async def work() -> tuple[int, int]:
        server = _Peer()
        async with server.listening() as address, _gateway(f"http://{address}") as gateway:
            await asyncio.gather(*(_poll(gateway) for _ in range(3)))
            pool = gateway.transport
            assert isinstance(pool, transport_module._Pool)
            before = len(pool._idle)
            monkeypatch.setattr(transport_module, "KEEPALIVE_SECONDS", 0.0)  # what was idle at all, was so too long
            await _poll(gateway)
            return before, len(pool._idle)

    assert _run(work()) == (3, 1)


def test_pool_that_is_emptied_while_it_tidies_up_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """While an old connection is being closed others may take the rest: that fails no poll."""
    real = transport_module._Connection.aclose

    async def work() -> list[Failure | None]:
        async with _Peer().listening() as address, _gateway(f"http://{address}") as gateway:
            await asyncio.gather(*(_poll(gateway) for _ in range(2)))
            pool = gateway.transport
            assert isinstance(pool, transport_module._Pool)
            taken: list[tuple[transport_module._Connection, float]] = []

            async def close_slowly(self: transport_module._Connection) -> None:
                taken.extend(pool._idle)
                pool._idle.clear()
                await real(self)

            monkeypatch.setattr(transport_module._Connection, "aclose", close_slowly)
            monkeypatch.setattr(transport_module, "KEEPALIVE_SECONDS", 0.0)  # what was idle at all, was so too long
            reading = await _poll(gateway)
            monkeypatch.setattr(transport_module._Connection, "aclose", real)
            pool._idle.extend(taken)
            return [reading.failure]

    assert _run(work()) == [None]


def test_connection_given_back_after_the_end_is_closed() -> None:
    """A reply that is still read when the pool closes leaves no connection behind."""

    async def work() -> int:
        async with _Peer().listening() as address, _gateway(f"http://{address}") as gateway:
            pool = gateway.transport
            assert isinstance(pool, transport_module._Pool)
            response = await pool.handle_async_request(httpx.Request("GET", f"http://{address}/quota"))
            await pool.aclose()
            await response.aclose()
            return len(pool._idle)

    assert _run(work()) == 0


def test_redirect_takes_the_key_nowhere() -> None:
    """A redirect to another server is not followed: that server sees no connection at all."""
    other = _Peer()

    async def work() -> Reading:
        async with other.listening() as elsewhere:
            head = f"HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/quota\r\nContent-Length: 0\r\n\r\n"
            async with _Peer(lambda *_: head.encode()).listening() as address:
                return await _poll_once(f"http://{address}")

    failure = _run(work()).failure
    assert failure is not None
    assert failure.reason is Reason.REDIRECT
    assert other.connections == 0


# Proxies


def test_proxy_of_the_config_is_used() -> None:
    """With proxy_url the request goes to the proxy, credentials and all, and the gateway's host is not looked up."""
    proxy = _Peer()

    async def work() -> Reading:
        async with proxy.listening() as address:
            return await _poll_once("http://gateway.internal", proxy_url=f"http://user:word@{address}")

    assert _run(work()).quota is not None
    assert proxy.heads[0].startswith("GET http://gateway.internal/quota HTTP/1.1\r\n")
    assert "proxy-authorization: basic dxnlcjp3b3jk" in proxy.heads[0].lower()


def test_proxy_that_refuses_the_tunnel() -> None:
    """A proxy that does not let a TLS gateway be reached is a failing connection, and does not see the key."""
    proxy = _Peer(lambda *_: b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    async def work() -> Reading:
        async with proxy.listening() as address:
            return await _poll_once("https://gateway.internal", proxy_url=f"http://{address}")

    failure = _run(work()).failure
    assert failure == Failure(Reason.CONNECT, "the proxy did not connect to the gateway")
    assert proxy.heads[0].startswith("CONNECT gateway.internal:443 ")
    assert "sk-test" not in "".join(proxy.heads)


@pytest.mark.parametrize(
    ("variables", "proxied"),
    [
        ({"HTTP_PROXY": ""}, 1),
        ({"http_proxy": ""}, 1),
        ({"ALL_PROXY": ""}, 1),
        ({"HTTP_PROXY": "", "NO_PROXY": "127.0.0.1"}, 0),
        ({"HTTPS_PROXY": ""}, 0),
    ],
)
@pytest.mark.parametrize("prefix", ["http://", ""])
def test_proxy_of_the_environment_is_used_on_request_only(
    variables: dict[str, str], proxied: int, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual variables count with `proxy_url: environment`, and never without it."""
    gateway, proxy = _Peer(), _Peer()

    async def work() -> None:
        async with gateway.listening() as address, proxy.listening() as proxy_address:
            for name, value in variables.items():
                monkeypatch.setenv(name, value or f"{prefix}{proxy_address}")
            assert (await _poll_once(f"http://{address}")).quota is not None
            assert proxy.connections == 0
            assert (await _poll_once(f"http://{address}", proxy_url="environment")).quota is not None

    _run(work())
    assert proxy.connections == proxied


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://proxy:port", "http://user:word@"])
def test_environment_with_an_unusable_proxy_is_told(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that names no usable proxy is an error in words, which do not repeat it."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ValueError, match="proxy that the environment names for https") as caught:
        open_transport(Route("https://gateway.internal:443", context, "environment"))
    assert proxy not in str(caught.value)


def test_route_does_not_show_its_proxy() -> None:
    """The repr of a route leaves the proxy out, which may hold a password."""
    route = Route("https://a:443", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "http://user:word@proxy")
    assert "word" not in repr(route)


# The key stays secret


@pytest.fixture(name="log")
def _log(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """The program's own log at debug level, read by calling it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "asyncio", "uvicorn")}
    logs.set_up("debug", "logfmt")
    yield lambda: "".join(capsys.readouterr())
    root.handlers = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_key_is_in_no_log(
    scheme: str, canary: str, authority: _Authority, log: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    """At debug level, with a gateway that returns the key in header and body, no logger writes it."""
    logging.getLogger().addHandler(caplog.handler)
    body = json.dumps({"error": {"message": f"no budget for {canary}"}}).encode()
    head = b"HTTP/1.1 401 Unauthorized\r\nX-Key: %s\r\nContent-Length: %d\r\n\r\n" % (canary.encode(), len(body))
    peer = _Peer(lambda *_: head + body)

    async def work() -> Reading:
        async with (
            peer.listening(authority.server("127.0.0.1") if scheme == "https" else None) as address,
            _gateway(f"{scheme}://{address}", **authority.trust()) as gateway,
        ):
            logging.getLogger("quota_exporter.test").debug("the log is on")
            return await _poll(gateway, canary)

    reading = _run(work())
    assert canary in peer.heads[0]
    assert reading.failure == Failure(Reason.UNAUTHORIZED, "HTTP 401")
    written = log()
    assert "the log is on" in written
    assert "the log is on" in caplog.text
    assert canary not in repr(reading) + written + caplog.text
    assert not [record for record in caplog.records if record.name.startswith(("httpx", "httpcore"))]
