"""Which URLs an API key may be sent to."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_SUFFIXES = (".svc", ".local", ".internal", ".localhost")
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f\\<>\"{}|^`]")
_HOST = re.compile(r"[^\W_](?:[\w.-]*\w)?\.?")
# short and hexadecimal spellings of inet_aton: a resolver reads them as addresses that nobody meant
_NUMERIC_LABEL = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)\.?")


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
    if parts.hostname is None or port == 0:
        raise ValueError("has no host or a bad port; write https://host[:port]/path")
    if not _is_address(parts.hostname):
        if _NUMERIC_LABEL.fullmatch(parts.hostname.rstrip(".").rpartition(".")[2]):
            raise ValueError("is not a valid IP address; write four decimal numbers or [IPv6]")
        if not _HOST.fullmatch(parts.hostname) or ".." in parts.hostname:
            raise ValueError("has a host name that DNS does not allow")
    return parts


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
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.rstrip(".").lower()
        return "." not in name or name.endswith(_LOCAL_SUFFIXES)
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped if mapped is not None else address
    return address.is_private and not address.is_unspecified


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
