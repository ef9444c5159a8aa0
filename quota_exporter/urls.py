"""Which URLs an API key may be sent to."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_SUFFIXES = (".svc", ".local", ".internal", ".localhost")
# not ipaddress.is_private: what it holds changes with Python's patch release
_LOCAL_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f\\<>\"{}|^`]")
_MAX_HOST_LENGTH = 253
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
# short and hexadecimal spellings of inet_aton: a resolver reads them as addresses that nobody meant
_NUMERIC_LABEL = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def split_url(url: str) -> SplitResult:
    """Split an absolute http or https URL; ValueError says in words what is wrong, without quoting the URL."""
    if _UNSAFE.search(url):
        raise ValueError('holds a space, a control character or one of \\ < > " { } | ^ `; remove it')
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL; write https://host[:port]/path") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("must start with https:// (or http:// for a host of your own network)")
    if not parts.hostname or port == 0:
        raise ValueError("has no host or a bad port; write https://host[:port]/path")
    check_host(parts.hostname)
    # urlsplit lets pass text behind the brackets, and names within them
    bracketed = re.fullmatch(r"(?:.*@)?\[([^\[\]]*)\](?::[0-9]*)?", parts.netloc)
    if ("[" in parts.netloc or "]" in parts.netloc) and (bracketed is None or ":" not in bracketed[1]):
        raise ValueError("is not a URL; only an IPv6 address stands in brackets, as in https://[::1]:8443/path")
    return parts


def check_host(host: str) -> None:
    """Check a host name or IP address (IPv6 without brackets); ValueError says what is wrong, without quoting it."""
    if _address(host) is not None:
        return
    if _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2]) or ":" in host:
        raise ValueError("is not a valid IP address; write four decimal numbers or an IPv6 address without zone")
    if not host.isascii():
        raise ValueError("has a host name that is not ASCII; write its xn-- form")
    if not _HOST.fullmatch(host) or len(host) > _MAX_HOST_LENGTH:
        raise ValueError("has a host name that DNS does not allow")


def base_url(url: str) -> str:
    """Check a gateway's base URL, return it without trailing slashes; ValueError says what is wrong."""
    parts = split_url(url)
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password; use api_key_file, api_key_env or headers")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("must not hold a query or a fragment; end it with the path, as in https://host/v1")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def origin_of(url: str) -> str:
    """`scheme://host:port` of a checked URL, lower case and with the port written out."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"


def is_plain_http_to_public(url: str) -> bool:
    """Whether a key sent to this checked URL would cross a public network unencrypted."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_local(parts.hostname or "")


def _is_local(host: str) -> bool:
    address = _address(host)
    if address is None:
        name = host.rstrip(".").lower()
        return "." not in name or name.endswith(_LOCAL_SUFFIXES)
    mapped = getattr(address, "ipv4_mapped", None)
    address = address if mapped is None else mapped
    return any(address in network for network in _LOCAL_NETWORKS)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host) if "%" not in host else None
    except ValueError:
        return None
