"""What integration tests get: fake gateways, real programs, and an environment made for them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
import trustme

from tests.integration.fake_gateways import FakeGateways
from tests.integration.programs import Exporter


class StartExporter(Protocol):
    """Starts the exporter on the text of a config file; more environment, flags and another cwd are optional."""

    def __call__(
        self, config: str, *flags: str, environ: dict[str, str] | None = None, cwd: Path | None = None
    ) -> Exporter: ...


@pytest.fixture(name="environ")
def _environ(home: Path) -> dict[str, str]:
    """The whole environment of a program: nothing of the user's but where programs are."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


@pytest.fixture(name="start_exporter")
def _start_exporter(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartExporter]:
    """Each exporter that still runs at the end is ended with SIGTERM, and none may have logged a traceback."""
    base, started = environ, list[Exporter]()

    def start(config: str, *flags: str, environ: dict[str, str] | None = None, cwd: Path | None = None) -> Exporter:
        folder = tmp_path_factory.mktemp("exporter")
        path = folder / "quota-exporter.yml"
        path.write_text(config, encoding="utf-8")
        exporter = Exporter(path, folder, base | (environ or {}), cwd or folder, *flags)
        started.append(exporter)
        return exporter

    try:
        yield start
        for exporter in started:
            if exporter.process.poll() is None:
                exporter.stop()
            assert "Traceback" not in exporter.stderr
            assert "logger=asyncio" not in exporter.stderr  # where it tells of tasks and sockets that were forgotten
    finally:
        for exporter in started:
            exporter.close()


@pytest.fixture(name="serve_gateways")
def _serve_gateways() -> Iterator[Callable[[ssl.SSLContext | None], FakeGateways]]:
    """Start one more origin of fake gateways, with TLS where a context is given."""
    with ExitStack() as running:
        yield lambda tls: running.enter_context(FakeGateways(tls))


@pytest.fixture(name="gateways")
def _gateways() -> Iterator[FakeGateways]:
    """One origin of fake gateways over plain HTTP."""
    with FakeGateways() as gateways:
        yield gateways


@pytest.fixture(name="authority", scope="session")
def _authority() -> trustme.CA:
    """A certificate authority that no machine trusts."""
    return trustme.CA()


@pytest.fixture(name="server_tls", scope="session")
def _server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a server on 127.0.0.1 shows, signed by the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context
