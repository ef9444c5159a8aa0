"""TLS settings turned into SSL contexts."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi

from quota_exporter.settings import Tls
from quota_exporter.values import MisplacedError

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


def ssl_context(tls: Tls) -> ssl.SSLContext:
    """Build the context for one TLS setting; MisplacedError says which file is wrong, and how.

    The system's certificate store is trusted (SSL_CERT_FILE and SSL_CERT_DIR are OpenSSL's own way to name
    another), certifi's where the system has none.
    """
    for name in ("ca_file", "cert_file", "key_file"):
        _check_readable(getattr(tls, name), name)
    if tls.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=tls.ca_file)
        except ssl.SSLError:
            raise MisplacedError("holds no PEM certificate", "ca_file") from None
    else:
        context = ssl.create_default_context(cafile=None if _system_store() else certifi.where())
    if tls.cert_file is not None and tls.key_file is not None:
        _load_pair(context, tls.cert_file, tls.key_file)
    context.minimum_version = _VERSIONS[tls.min_version]
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _check_readable(path: Path | None, name: str) -> None:
    # OpenSSL does not say which file it means, and would wait for ever at a FIFO
    if path is None:
        return
    try:
        is_file = path.is_file()
        if is_file:
            path.open("rb").close()
    except OSError as error:
        raise MisplacedError(f"cannot be read: {(error.strerror or 'input/output error').lower()}", name) from None
    if not is_file:
        raise MisplacedError("is not a file" if path.exists() else "names a file that does not exist", name)


def _load_pair(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    try:
        context.load_cert_chain(cert_file, key_file, password=_no_passphrase)
    except _EncryptedError:
        raise MisplacedError("is encrypted; give a key without a passphrase", "key_file") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise MisplacedError("does not belong to the certificate in cert_file", "key_file") from None
        name, content = "key_file", "private key"
        if b"-----BEGIN CERTIFICATE-----" not in cert_file.read_bytes():
            name, content = "cert_file", "certificate"
        raise MisplacedError(f"holds no PEM {content}, or a damaged one", name) from None


class _EncryptedError(Exception):
    """A key file that asks for a passphrase."""


def _no_passphrase() -> str:
    raise _EncryptedError


def _system_store() -> bool:
    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or (paths.capath is not None and any(Path(paths.capath).iterdir()))
