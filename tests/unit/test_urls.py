"""Which URLs are accepted, and which hosts a key may reach over plain http."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, strategies as st

from quota_exporter.settings import Tls
from quota_exporter.urls import base_url, check_host, is_plain_http_to_public, origin_of, split_url

UNSAFE = 'holds a space, a control character or one of \\ < > " { } | ^ `; remove it'
NO_URL = "is not a URL; write https://host[:port]/path"
NO_SCHEME = "must start with https:// (or http:// for a host of your own network)"
NO_HOST = "has no host or a bad port; write https://host[:port]/path"
USERINFO = "must not hold a user name or password; use api_key_file, api_key_env or headers"
QUERY = "must not hold a query or a fragment; end it with the path, as in https://host/v1"
NO_ADDRESS = "is not a valid IP address; write four decimal numbers or an IPv6 address without zone"
NO_DNS = "has a host name that DNS does not allow"
NO_ASCII = "has a host name that is not ASCII; write its xn-- form"
BRACKETS = "is not a URL; only an IPv6 address stands in brackets, as in https://[::1]:8443/path"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://llm.example.edu/v1", "https://llm.example.edu/v1"),
        ("https://llm.example.edu/v1/", "https://llm.example.edu/v1"),
        ("https://llm.example.edu/v1//", "https://llm.example.edu/v1"),
        ("https://llm.example.edu/", "https://llm.example.edu"),
        ("https://llm.example.edu", "https://llm.example.edu"),
        ("HTTPS://llm.example.edu/V1", "https://llm.example.edu/V1"),
        ("http://localhost:4000", "http://localhost:4000"),
        ("http://127.0.0.1:8080/a/b", "http://127.0.0.1:8080/a/b"),
        ("https://[2001:db8::1]:8443/v1", "https://[2001:db8::1]:8443/v1"),
        ("http://my_gateway:4000/v1", "http://my_gateway:4000/v1"),
        ("https://xn--bcher-kva.example/v1", "https://xn--bcher-kva.example/v1"),
        ("https://llm.example.edu./v1", "https://llm.example.edu./v1"),
        ("https://llm.example.edu/p@th:x/v1", "https://llm.example.edu/p@th:x/v1"),
    ],
)
def test_a_base_url_comes_back_without_trailing_slashes(url: str, expected: str) -> None:
    """The path of a mapping can be appended to any accepted base URL."""
    assert base_url(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", NO_SCHEME),
        ("llm.example.edu/v1", NO_SCHEME),
        ("localhost:4000", NO_SCHEME),
        ("//llm.example.edu", NO_SCHEME),
        ("ftp://llm.example.edu", NO_SCHEME),
        ("file:///etc/passwd", NO_SCHEME),
        ("https://", NO_HOST),
        ("https:///v1", NO_HOST),
        ("https:llm.example.edu", NO_HOST),
        ("https://:8080", NO_HOST),
        ("https://host:0/v1", NO_HOST),
        ("https://host:65536/v1", NO_URL),
        ("https://host:http/v1", NO_URL),
        ("https://host:-1/v1", NO_URL),
        ("https://host:+80/v1", NO_URL),
        ("https://host:\uff18\uff10/v1", NO_URL),
        ("https://host:80:90/v1", NO_URL),
        ("https://[::1/v1", NO_URL),
        ("https://llm.example.edu/a b", UNSAFE),
        (" https://llm.example.edu", UNSAFE),
        ("https://llm.example.edu\n", UNSAFE),
        ("https://llm.\texample.edu", UNSAFE),
        ("https://llm.example.edu\\@evil.example", UNSAFE),
        ("https://llm.example.edu/{id}", UNSAFE),
        ("https://user@llm.example.edu/v1", USERINFO),
        ("https://user:word@llm.example.edu/v1", USERINFO),
        ("https://@llm.example.edu/v1", USERINFO),
        ("https://llm.example.edu/v1?a=b", QUERY),
        ("https://llm.example.edu/v1?", QUERY),
        ("https://llm.example.edu/v1#part", QUERY),
        ("https://llm.example.edu/v1#", QUERY),
        ("https://2130706433/v1", NO_ADDRESS),
        ("https://0x7f000001/v1", NO_ADDRESS),
        ("https://127.1/v1", NO_ADDRESS),
        ("https://0177.0.0.1/v1", NO_ADDRESS),
        ("https://127.0.0.1./v1", NO_ADDRESS),
        ("https://999.0.0.1/v1", NO_ADDRESS),
        ("https://[fe80::1%25eth0]/v1", NO_ADDRESS),
        ("https://[fe80::1%eth0]/v1", NO_ADDRESS),
        ("https://[::1::2]/v1", NO_URL),
        ("https://[v1.abc]/v1", BRACKETS),
        ("https://[::1]x/v1", BRACKETS),
        ("https://[::1]x:80/v1", BRACKETS),
        ("https://bücher.example/v1", NO_ASCII),
        ("https://\uff11.0.0.1\uff11/v1", NO_ASCII),
        ("https://llm..example.edu/v1", NO_DNS),
        ("https://.example.edu/v1", NO_DNS),
        ("https://-llm.example.edu/v1", NO_DNS),
        ("https://llm%2eexample.edu/v1", NO_DNS),
        (f"https://{'a' * 64}.example/v1", NO_DNS),
        (f"https://{'a.' * 127}example/v1", NO_DNS),
    ],
)
def test_a_url_that_could_lead_a_key_astray_is_refused_in_words(url: str, message: str) -> None:
    """Each way to get a base URL wrong is told with what to do, and without the URL, which may hold a password."""
    with pytest.raises(ValueError, match=r".") as caught:
        base_url(url)

    # what urlsplit of a newer Python refuses itself, it refuses as no URL at all
    assert str(caught.value) in {message, NO_URL if message in {BRACKETS, NO_ADDRESS} else message}


@given(
    st.from_regex(r"\A(?:[Hh]ttps?:)?/{0,3}[\[\]a-zA-Z0-9.:@%_é-]{0,20}(?::[0-9]{0,6})?(?:/[!-~é]{0,10})?\Z")
    | st.ip_addresses(v=6).map(lambda address: f"http://[{address}]:8443/v1")
    | st.ip_addresses(v=4).map(lambda address: f"http://{address}/v1")
)
def test_the_http_client_reads_every_accepted_url_alike(url: str) -> None:
    """What was checked is what is connected to: httpx finds the same scheme, host and port in it."""
    try:
        accepted = base_url(url)
    except ValueError:
        return
    parts, seen = split_url(accepted), httpx.URL(f"{accepted}/quota")

    assert (seen.scheme, seen.raw_host.decode()) == (parts.scheme, parts.hostname)
    default = {"http": 80, "https": 443}[parts.scheme]
    assert (seen.port or default) == (parts.port or default)
    assert seen.userinfo == b""
    assert not seen.query
    assert base_url(accepted) == accepted


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://llm.example.edu/v1", "https://llm.example.edu:443"),
        ("http://localhost", "http://localhost:80"),
        ("https://LLM.Example.edu.:443/x", "https://llm.example.edu:443"),
        ("https://llm.example.edu:8443", "https://llm.example.edu:8443"),
        ("https://[2001:DB8::1]/v1", "https://[2001:db8::1]:443"),
    ],
)
def test_an_origin_is_written_in_one_way(url: str, origin: str) -> None:
    """Gateways of one server share its pool however their URLs spell it."""
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "127.0.0.1", "127.8.9.1", "[::1]", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.1.1", "[fe80::1]", "[fd00::1]", "[::ffff:10.0.0.1]", "litellm", "litellm.", "my_gateway",
        "litellm.ai.svc", "litellm.ai.svc.", "litellm.ai.svc.cluster.local", "box.local", "llm.corp.internal",
        "LLM.Corp.Internal", "app.localhost",
    ],
)  # fmt: skip
def test_plain_http_stays_possible_in_ones_own_network(host: str) -> None:
    """Loopback, private addresses, single labels, .svc, .local and .internal need no allow_http."""
    assert base_url(f"http://{host}:4000/v1")
    assert not is_plain_http_to_public(f"http://{host}:4000/v1")
    assert not is_plain_http_to_public(f"https://{host}/v1")


@pytest.mark.parametrize(
    "host",
    [
        "llm.example.edu", "8.8.8.8", "172.15.0.1", "172.32.0.1", "192.169.0.1", "100.64.0.1", "0.0.0.0",  # noqa: S104 - nobody listens here
        "[::]", "[2606:4700::1]", "[::ffff:8.8.8.8]", "[64:ff9b::8.8.8.8]", "[2002:7f00:1::]", "internal.example.com",
        "local.example", "notlocal.evil-local", "xinternal.com", "example.svc.com", "198.51.100.7",
    ],
)  # fmt: skip
def test_plain_http_to_any_other_host_is_told(host: str) -> None:
    """A key never crosses a public network unencrypted by accident; https does not matter."""
    assert base_url(f"http://{host}/v1")
    assert is_plain_http_to_public(f"http://{host}/v1")
    assert not is_plain_http_to_public(f"https://{host}/v1")


@pytest.mark.parametrize("host", ["llm.example.edu", "10.0.0.1", "::1", "gateway"])
def test_a_server_name_is_a_host_name_or_an_address(host: str) -> None:
    """The name to expect in a certificate may be any host."""
    assert Tls.model_validate({"server_name": host}).server_name == host


@pytest.mark.parametrize(
    "host", ["", "a b", "https://x", "host:443", "[::1]", "*.example.edu", "a/b", "bücher.example"]
)
def test_what_is_no_host_is_refused_as_a_server_name(host: str) -> None:
    """A wrong name is found at load and not in a handshake."""
    with pytest.raises(ValueError, match=r"host name|IP address"):
        check_host(host)
