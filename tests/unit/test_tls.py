"""TLS settings: which files are wrong and how, and what the contexts accept."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import certifi
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from quota_exporter.settings import Tls
from quota_exporter.tls import TlsError, ssl_context


class Files:
    """A certificate authority, and a client certificate with its key, as PEM files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        client = authority.issue_cert("client.example")
        self.ca = folder / "ca.pem"
        self.cert = folder / "client.crt"
        self.key = folder / "client.key"
        self.other_key = folder / "other.key"
        self.empty = folder / "empty.pem"
        self.binary = folder / "binary.pem"
        self.missing = folder / "missing.pem"
        authority.cert_pem.write_to_path(self.ca)
        client.cert_chain_pems[0].write_to_path(self.cert)
        client.private_key_pem.write_to_path(self.key)
        authority.issue_cert("other.example").private_key_pem.write_to_path(self.other_key)
        self.empty.write_text("")
        self.binary.write_bytes(b"\x30\x82\x00\xff")


@pytest.fixture(name="pem", scope="module")
def _pem(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("pem"))


def trouble(**files: Path) -> tuple[tuple[str | int, ...], str]:
    """At which key the setting is wrong, and why."""
    problems = troubles(**files)
    assert len(problems) == 1
    return problems[0]


def troubles(**files: Path) -> list[tuple[tuple[str | int, ...], str]]:
    """At which keys the setting is wrong, and why."""
    with pytest.raises(TlsError) as caught:
        ssl_context(Tls(**{name: str(path) for name, path in files.items()}))  # type: ignore[arg-type]  # as in YAML
    return [(problem.keys, str(problem)) for problem in caught.value.problems]


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> str | None:
    """The TLS version that both agree on, in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0].version()


def server_of(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


def test_a_context_checks_certificates_and_names_by_default() -> None:
    """Without settings the system's authorities, the host name and TLS 1.2 are asked for."""
    context = ssl_context(Tls())

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_system_store_is_the_one_that_ssl_cert_file_names(
    pem: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SSL_CERT_FILE works as for any program that uses OpenSSL."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem.ca))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    assert len(ssl_context(Tls()).get_ca_certs()) == 1


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_certifi_steps_in_where_the_system_has_no_store(
    folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A container image without ca-certificates still reaches public gateways."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / folder))
    expected = ssl.create_default_context(cafile=certifi.where()).get_ca_certs()

    assert ssl_context(Tls()).get_ca_certs() == expected


def test_a_ca_file_replaces_the_systems_authorities(pem: Files) -> None:
    """Only the named authority is trusted: a public one could not pose as an in-house gateway."""
    context = ssl_context(Tls(ca_file=str(pem.ca)))  # type: ignore[arg-type]  # as in YAML

    assert len(context.get_ca_certs()) == 1


def test_a_gateway_of_an_unknown_authority_is_refused_unless_told_otherwise(pem: Files) -> None:
    """insecure_skip_verify accepts any certificate and name; without it a stranger's fails."""
    server = server_of(trustme.CA(), "gateway.example")
    trusting = ssl_context(Tls(insecure_skip_verify=True))

    assert handshake(trusting, server, "another.example") == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ssl_context(Tls(ca_file=str(pem.ca))), server, "gateway.example")  # type: ignore[arg-type]  # as in YAML


def test_min_version_refuses_older_servers() -> None:
    """With TLS13 a server that knows TLS 1.2 only is not spoken to."""
    server = server_of(trustme.CA(), "gateway.example")
    server.maximum_version = ssl.TLSVersion.TLSv1_2

    assert handshake(ssl_context(Tls(insecure_skip_verify=True)), server, "gateway.example") == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        handshake(ssl_context(Tls(insecure_skip_verify=True, min_version="TLS13")), server, "gateway.example")


def test_the_client_certificate_is_shown(pem: Files) -> None:
    """A gateway that asks for a client certificate gets the one of cert_file and key_file."""
    server = server_of(trustme.CA(), "gateway.example")
    server.maximum_version = ssl.TLSVersion.TLSv1_2  # where a missing certificate ends the client's handshake
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(pem.ca)
    pair = Tls(cert_file=str(pem.cert), key_file=str(pem.key), insecure_skip_verify=True)  # type: ignore[arg-type]  # as in YAML

    assert handshake(ssl_context(pair), server, "gateway.example") == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        handshake(ssl_context(Tls(insecure_skip_verify=True)), server, "gateway.example")


def test_each_wrong_file_is_named_with_what_is_wrong_with_it(pem: Files, tmp_path: Path) -> None:
    """OpenSSL's own errors name no file; ours name the key that leads to it."""
    missing, no_certificate = "names a file that does not exist", "holds no PEM certificate"
    damaged_certificate = "holds no PEM certificate, or a damaged one"
    damaged_key = "holds no PEM private key, or a damaged one"

    assert trouble(ca_file=pem.missing) == (("ca_file",), missing)
    assert trouble(ca_file=tmp_path) == (("ca_file",), "is not a file")
    assert trouble(ca_file=pem.empty) == (("ca_file",), no_certificate)
    assert trouble(ca_file=pem.binary) == (("ca_file",), no_certificate)
    assert trouble(ca_file=pem.key) == (("ca_file",), no_certificate)
    assert trouble(cert_file=pem.missing, key_file=pem.key) == (("cert_file",), missing)
    assert trouble(cert_file=pem.cert, key_file=pem.missing) == (("key_file",), missing)
    assert trouble(cert_file=pem.empty, key_file=pem.key) == (("cert_file",), damaged_certificate)
    assert trouble(cert_file=pem.key, key_file=pem.cert) == (("cert_file",), damaged_certificate)
    assert trouble(cert_file=pem.cert, key_file=pem.empty) == (("key_file",), damaged_key)
    assert trouble(cert_file=pem.cert, key_file=pem.cert) == (("key_file",), damaged_key)
    assert trouble(cert_file=pem.cert, key_file=pem.other_key) == (
        ("key_file",),
        "does not belong to the certificate in cert_file",
    )


def test_a_key_with_a_passphrase_is_refused_instead_of_asked_for(pem: Files, tmp_path: Path) -> None:
    """A service has nobody to ask."""
    encrypted = tmp_path / "encrypted.key"
    key = serialization.load_pem_private_key(pem.key.read_bytes(), None)
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )

    assert trouble(cert_file=pem.cert, key_file=encrypted) == (
        ("key_file",),
        "is encrypted; give a key without a passphrase",
    )


def test_a_fifo_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    """Loading the config never blocks on a pipe without a writer."""
    pipe = tmp_path / "ca.pem"
    os.mkfifo(pipe)

    assert trouble(ca_file=pipe) == (("ca_file",), "is not a file")


def test_a_file_that_may_not_be_read_is_told_as_such(pem: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that only root may read is the usual mistake of a first deployment."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)

    assert trouble(ca_file=pem.ca) == (("ca_file",), "cannot be read: permission denied")


def test_every_wrong_file_is_told_at_once(pem: Files) -> None:
    """Three wrong files are one run and not three."""
    missing = "names a file that does not exist"

    assert troubles(ca_file=pem.missing, cert_file=pem.missing, key_file=pem.missing) == [
        (("ca_file",), missing),
        (("cert_file",), missing),
        (("key_file",), missing),
    ]
    assert troubles(ca_file=pem.empty, cert_file=pem.cert, key_file=pem.other_key) == [
        (("ca_file",), "holds no PEM certificate"),
        (("key_file",), "does not belong to the certificate in cert_file"),
    ]


@pytest.mark.parametrize("name", ["ca_file", "pair"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), "cannot be read: permission denied"),
        (FileNotFoundError(2, "No such file or directory"), "names a file that does not exist"),
        (OSError(), "cannot be read: input/output error"),
    ],
)
def test_a_file_that_goes_while_it_is_loaded_is_told_as_such(
    pem: Files, monkeypatch: pytest.MonkeyPatch, name: str, error: OSError, message: str
) -> None:
    """Files are replaced while the config is read again: that is a problem of the file and not a crash."""

    def refuse(*_: object, **__: object) -> None:
        raise error

    if name == "ca_file":
        monkeypatch.setattr(ssl, "create_default_context", refuse)
        assert trouble(ca_file=pem.ca) == (("ca_file",), message)
    else:
        monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refuse)
        assert trouble(cert_file=pem.cert, key_file=pem.key) == (("key_file",), message)


def test_a_certificate_that_goes_before_it_is_looked_at_is_told_as_such(
    pem: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look at a wrong pair may find nothing."""

    def refuse(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "read_bytes", refuse)

    assert trouble(cert_file=pem.cert, key_file=pem.empty) == (("cert_file",), "names a file that does not exist")


def test_a_system_store_that_may_not_be_read_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of certificates that others own does not stop the exporter: certifi steps in."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)

    assert len(ssl_context(Tls()).get_ca_certs()) > 1


def test_an_authority_is_judged_alike_by_all_versions_of_python(pem: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules that Python 3.13 added hold for the system's authorities only: private ones are often not strict."""
    default = ssl.create_default_context

    def as_in_3_13(*, cafile: Path | str | None = None) -> ssl.SSLContext:
        context = default(cafile=cafile)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_in_3_13)

    assert not ssl_context(Tls(ca_file=str(pem.ca))).verify_flags & ssl.VERIFY_X509_STRICT  # type: ignore[arg-type]  # as in YAML
    assert ssl_context(Tls()).verify_flags & ssl.VERIFY_X509_STRICT


def test_an_intermediate_authority_can_be_the_trusted_one(tmp_path: Path) -> None:
    """An organisation may trust its department's authority without the one above it."""
    department = trustme.CA().create_child_ca()
    department.cert_pem.write_to_path(tmp_path / "department.pem")
    server = server_of(department, "gateway.example")
    client = ssl_context(Tls(ca_file=str(tmp_path / "department.pem")))  # type: ignore[arg-type]  # as in YAML

    assert handshake(client, server, "gateway.example") == "TLSv1.3"
