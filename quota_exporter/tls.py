"""TLS settings turned into SSL contexts."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi

from quota_exporter.settings import Tls

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


def ssl_context(tls: Tls) -> ssl.SSLContext:
    """Build the context for one TLS setting; ValueError says which file is wrong, and how.

    The system's certificate store is trusted (SSL_CERT_FILE and SSL_CERT_DIR are OpenSSL's own way to name
    another), certifi's where the system has none.
    """
    if tls.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=str(tls.ca_file))
        except OSError as error:  # ssl.SSLError is one
            raise ValueError(f"ca_file: {_why(error)}") from None
    else:
        context = ssl.create_default_context(cafile=None if _system_store() else certifi.where())
    if tls.cert_file is not None and tls.key_file is not None:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_passphrase)
        except (OSError, ValueError) as error:
            raise ValueError(f"cert_file or key_file: {_why(error)}") from None
    context.minimum_version = _VERSIONS[tls.min_version]
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _system_store() -> bool:
    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or (paths.capath is not None and any(Path(paths.capath).iterdir()))


def _no_passphrase() -> str:
    raise ValueError("is encrypted; the exporter takes keys without a passphrase")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "is not a PEM file of the right kind, or key and certificate do not belong together"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return str(error)
