"""The listening sockets."""

from __future__ import annotations

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
    with pytest.raises(ListenError, match=f"127.0.0.1:{taken}: Address already in use"):
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
