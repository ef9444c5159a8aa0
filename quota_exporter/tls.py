"""TLS settings turned into SSL contexts."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi

from quota_exporter.settings import Tls
from quota_exporter.values import ProblemAtKeys

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


class TlsError(Exception):
    """TLS settings that cannot be used; `problems` says of each file that is wrong how."""

    def __init__(self, *problems: ProblemAtKeys) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def ssl_context(tls: Tls) -> ssl.SSLContext:
    """Build the context for one TLS setting; TlsError says which files are wrong, and how.

    The system's certificate store is trusted (SSL_CERT_FILE and SSL_CERT_DIR are OpenSSL's own way to name
    another), certifi's where the system has none.
    """
    problems: list[ProblemAtKeys] = []
    ca_file, cert_file, key_file = (
        _readable(getattr(tls, name), name, problems) for name in ("ca_file", "cert_file", "key_file")
    )
    context = _trusting_system() if ca_file is None else _trusting(ca_file, problems)
    if cert_file is not None and key_file is not None:
        _load_pair(context, cert_file, key_file, problems)
    if problems:
        raise TlsError(*problems)
    context.minimum_version = _VERSIONS[tls.min_version]
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _readable(path: Path | None, name: str, problems: list[ProblemAtKeys]) -> Path | None:
    # OpenSSL does not say which file it means, and would wait for ever at a FIFO
    if path is None:
        return None
    try:
        if path.is_file():
            path.open("rb").close()
            return path
        message = "is not a file" if path.exists() else "names a file that does not exist"
        problems.append(ProblemAtKeys(message, name))
    except OSError as error:
        problems.append(_unreadable(error, name))
    return None


def _unreadable(error: OSError, name: str) -> ProblemAtKeys:
    if isinstance(error, FileNotFoundError):
        return ProblemAtKeys("names a file that does not exist", name)
    return ProblemAtKeys(f"cannot be read: {(error.strerror or 'input/output error').lower()}", name)


def _trusting_system() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=None if _system_store() else certifi.where())


def _trusting(ca_file: Path, problems: list[ProblemAtKeys]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        problems.append(ProblemAtKeys("holds no PEM certificate", "ca_file"))
    except OSError as error:
        problems.append(_unreadable(error, "ca_file"))
    else:
        # Python 3.13 switched both on. Many private authorities are not strict (they lack the Authority Key
        # Identifier) or are intermediate ones; what is accepted must not depend on the version of Python.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: to find what else is wrong


def _load_pair(context: ssl.SSLContext, cert_file: Path, key_file: Path, problems: list[ProblemAtKeys]) -> None:
    try:
        context.load_cert_chain(cert_file, key_file, password=_no_passphrase)
    except _EncryptedError:
        problems.append(ProblemAtKeys("is encrypted; give a key without a passphrase", "key_file"))
    except ssl.SSLError as error:
        problems.append(_wrong_in_pair(error, cert_file))
    except OSError as error:
        # it does not tell of which file
        if _readable(cert_file, "cert_file", problems) and _readable(key_file, "key_file", problems):
            problems.append(_unreadable(error, "key_file"))


def _wrong_in_pair(error: ssl.SSLError, cert_file: Path) -> ProblemAtKeys:
    if error.reason == "KEY_VALUES_MISMATCH":
        return ProblemAtKeys("does not belong to the certificate in cert_file", "key_file")
    try:
        is_certificate = b"-----BEGIN CERTIFICATE-----" in cert_file.read_bytes()
    except OSError as read_error:
        return _unreadable(read_error, "cert_file")
    if is_certificate:
        return ProblemAtKeys("holds no PEM private key, or a damaged one", "key_file")
    return ProblemAtKeys("holds no PEM certificate, or a damaged one", "cert_file")


class _EncryptedError(Exception):
    """A key file that asks for a passphrase."""


def _no_passphrase() -> str:
    raise _EncryptedError


def _system_store() -> bool:
    paths = ssl.get_default_verify_paths()
    try:
        return paths.cafile is not None or (paths.capath is not None and any(Path(paths.capath).iterdir()))
    except OSError:
        return False
