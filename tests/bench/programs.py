"""The two programs of a benchmark, started and ended: gateways, and the exporter that watches them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import trustme

from tests.bench import gateways

_SPARE_FILES = 200
_LOG_TAIL = 20
_EXIT_SECONDS = 15
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something that makes the figures worthless; the text says what."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """So many API keys, spread evenly over so many gateways, each on an origin of its own."""

    keys: int
    origins: int

    @property
    def name(self) -> str:
        return f"{self.keys} keys, {self.origins} origin{'' if self.origins == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Program:
    """A running program, by its process id."""

    pid: int

    def cpu_seconds(self) -> float:
        """User and system time so far, of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND

    def resident_megabytes(self) -> float:
        """Memory in RAM now, in units of 1,000,000 bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise BenchError("the exporter has ended")


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that is measured; `address` is the exporter's host:port."""

    fleet: Fleet
    gateways: Program
    exporter: Program
    address: str


@dataclass(slots=True)
class Counts:
    """What the gateways have counted, known when they have ended."""

    connections: int = 0
    requests: int = 0


@contextmanager
def running(fleet: Fleet) -> Iterator[tuple[Setup, Counts]]:
    """Run the gateways and the exporter; the counts are filled in at the end of the context."""
    _allow_open_files(2 * fleet.keys + _SPARE_FILES)
    counts = Counts()
    with tempfile.TemporaryDirectory(prefix="quota-exporter-bench-") as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "gateway.pem")
        with _gateways(fleet.origins, folder / "gateway.pem", counts) as (served, ports):
            config = folder / "quota-exporter.yml"
            config.write_text(_config(fleet, ports), encoding="utf-8")
            with _exporter(config) as (exporter, address):
                yield Setup(fleet, served, exporter, address), counts


def _config(fleet: Fleet, ports: Sequence[int]) -> str:
    entries = "".join(
        f"  - {{provider_id: gateway-{number:04}, base_url: 'https://127.0.0.1:{ports[number % len(ports)]}/v1',"
        f" api_key: bench-key-{number:04}}}\n"
        for number in range(fleet.keys)
    )
    # a machine too slow for the default timeout is to be measured all the same
    return f"opencode: off\ndefaults: {{timeout: 60s, tls: {{ca_file: ca.pem}}}}\ngateways:\n{entries}"


@contextmanager
def _gateways(count: int, certificate: Path, counts: Counts) -> Iterator[tuple[Program, list[int]]]:
    command = [sys.executable, gateways.__file__, str(count), str(certificate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Program(process.pid), json.loads(process.stdout.readline())
            process.stdin.close()
            said = json.loads(process.stdout.readline())
            counts.connections, counts.requests = said["connections"], said["requests"]
        finally:
            process.stdin.close()
            _end(process)


@contextmanager
def _exporter(config: Path) -> Iterator[tuple[Program, str]]:
    command = [
        f"{sysconfig.get_path('scripts')}/quota-exporter",
        f"--config.file={config}",
        "--web.listen-address=127.0.0.1:0",
        "--log.format=json",
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(config.parent)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stderr is not None
        tail: deque[str] = deque(maxlen=_LOG_TAIL)
        # what nobody reads would fill the pipe and stop the exporter
        reading = threading.Thread(target=tail.extend, args=(process.stderr,), daemon=True)
        failed = True
        try:
            address = _listening(process.stderr)
            reading.start()
            yield Program(process.pid), address
            failed = False
        finally:
            _end(process)
            if reading.ident is not None:
                reading.join()
            if failed:
                sys.stderr.writelines(tail)


def _listening(log: Iterator[str]) -> str:
    """The host:port that the exporter says it listens on."""
    seen = []
    for line in log:
        seen.append(line)
        if line.startswith("{") and (said := json.loads(line))["msg"] == "listening":
            url: str = said["url"]
            return urlsplit(url).netloc
    raise BenchError("the exporter did not start:\n" + "".join(seen))


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def _allow_open_files(count: int) -> None:
    """Let this process and those that it starts open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise BenchError(f"{count} open files are needed and {hard} allowed; raise the limit with ulimit -Hn")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
