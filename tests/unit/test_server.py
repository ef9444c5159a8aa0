"""The listening sockets."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from quota_exporter.web.server import ListenError, open_sockets, url_of


@pytest.fixture(name="taken")
def _taken() -> Iterator[int]:
    """A port of 127.0.0.1 that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    "address",
    ["", "9787", "localhost", "host:", "host:99999", "host:-1", "::1:80", "a b:c", "http://x:80", "[::1]"],
)
def test_an_address_that_is_none_is_told_in_words(address: str) -> None:
    """What is not host:port is refused with the forms that are."""
    with pytest.raises(ListenError, match=r"write host:port, \[ipv6\]:port or :port"):
        open_sockets([address])


@pytest.mark.parametrize("address", ["a..b:99", "nobody.invalid.:99", "192.0.2.1:9787"])
def test_an_address_that_is_not_ours_is_told_in_words(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that cannot be looked up, or that is another machine's, is one line that names the address."""
    real = socket.getaddrinfo

    def look_up(host: str, *args: object, **options: object) -> object:
        if host.startswith("nobody"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **options)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(ListenError) as caught:
        open_sockets([address])
    assert str(caught.value).startswith(f"cannot listen on {address}: ")


def test_a_taken_port_is_told_and_nothing_stays_open(taken: int) -> None:
    """When one address cannot be had, none is kept: the port of the other is free again."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    with pytest.raises(ListenError, match=f"127.0.0.1:{taken}: Address already in use; choose"):
        open_sockets([f"127.0.0.1:{free}", f"127.0.0.1:{taken}"])
    with socket.create_server(("127.0.0.1", free)) as again:
        assert again.getsockname()[1] == free


def test_sockets_answer_without_delay() -> None:
    """Small answers are sent at once: no socket waits to collect more."""
    (listening,) = open_sockets(["127.0.0.1:0"])
    with listening:
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize(("address", "host"), [("127.0.0.1:0", "127.0.0.1"), (":0", "localhost")])
def test_the_url_is_one_that_a_browser_can_open(address: str, host: str) -> None:
    """The URL names the port that was taken, and this machine where all addresses are meant."""
    (listening,) = open_sockets([address])
    with listening:
        assert url_of(listening) == f"http://{host}:{listening.getsockname()[1]}"


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every host have these IPv4 addresses, with the port that is asked for."""

    def look_up(_host: str, port: int, **_options: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_what_is_listed_twice_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same address, given twice or twice in the hosts file, is one socket and no conflict."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    names(monkeypatch, "127.0.0.1", "127.0.0.1")
    (listening,) = open_sockets([f"host:{free}", f"host:{free}"])
    with listening:
        assert listening.getsockname() == ("127.0.0.1", free)


def test_each_port_0_is_another_one() -> None:
    """Who asks for any port twice gets two."""
    first, second = open_sockets(["127.0.0.1:0", "127.0.0.1:0"])
    with first, second:
        assert first.getsockname() != second.getsockname()


@pytest.fixture(name="created")
def _created(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The addresses that sockets were bound to; all of them are sockets of 127.0.0.1."""
    created: list[tuple[object, ...]] = []
    real = socket.create_server

    def create_server(address: tuple[object, ...], **_options: object) -> socket.socket:
        created.append(address)
        return real(("127.0.0.1", 0))

    monkeypatch.setattr(socket, "create_server", create_server)
    return created


def test_a_host_of_several_addresses_has_one_port(
    monkeypatch: pytest.MonkeyPatch, created: list[tuple[object, ...]]
) -> None:
    """Port 0 takes a free port once: the other addresses of the host listen on the same."""
    names(monkeypatch, "127.0.0.1", "127.0.0.2")
    first, second = open_sockets(["host:0"])
    with first, second:
        assert created == [("127.0.0.1", 0), ("127.0.0.2", first.getsockname()[1])]


def test_the_scope_of_an_address_is_kept(monkeypatch: pytest.MonkeyPatch, created: list[tuple[object, ...]]) -> None:
    """A link-local address is bound on the interface that it names."""
    target = ("fe80::1", 9787, 0, 2)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_args, **_options: [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", target)]
    )
    (listening,) = open_sockets(["[fe80::1%eth0]:9787"])
    with listening:
        assert created == [target]


def test_nothing_stays_open_when_a_later_address_of_a_host_fails(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """A host whose second address cannot be had leaves the first one closed."""
    opened: list[socket.socket] = []
    real = socket.create_server

    def create_server(address: tuple[str, int], *, family: int) -> socket.socket:
        opened.append(real(("127.0.0.1", taken if opened else 0), family=family))
        return opened[-1]

    names(monkeypatch, "127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(socket, "create_server", create_server)
    with pytest.raises(ListenError, match="Address already in use"):
        open_sockets(["host:9787"])
    assert [listening.fileno() for listening in opened] == [-1]


@pytest.mark.parametrize(
    ("trouble", "families"),
    [
        (errno.EAFNOSUPPORT, [socket.AF_INET6, socket.AF_INET]),
        (errno.EADDRNOTAVAIL, [socket.AF_INET6, socket.AF_INET]),
        (errno.EADDRINUSE, [socket.AF_INET6]),
        (errno.EACCES, [socket.AF_INET6]),
    ],
)
def test_all_addresses_are_those_of_ipv4_only_without_ipv6(
    monkeypatch: pytest.MonkeyPatch, trouble: int, families: list[int]
) -> None:
    """A machine without IPv6 addresses listens on IPv4; any other trouble is told instead of halving the addresses."""
    asked: list[int] = []

    def create_server(_address: object, *, family: int, **_options: object) -> socket.socket:
        asked.append(family)
        raise OSError(trouble, "no (while attempting to bind on address ('', 1))")

    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: True)
    monkeypatch.setattr(socket, "create_server", create_server)
    with pytest.raises(ListenError) as caught:
        open_sockets([":9787"])
    assert asked == families
    assert str(caught.value) == f"cannot listen on :9787: {os.strerror(trouble)}; choose --web.listen-address"
