"""Real programs that a test starts, asks and ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

_T = TypeVar("_T")
_LISTENING = re.compile(r"\blistening\b.*?\"?url\"?(?:=|: ?)\"?(http://[0-9.]+:[0-9]+)")
_PROMETHEUS_ADDRESS = re.compile(r'msg="Listening on".*?address=([0-9.]+:[0-9]+)')
_DEBIAN_PACKAGES = {"make": "make", "prometheus": "prometheus", "promtool": "prometheus"}


def eventually(condition: Callable[[], _T], what: str, timeout: float = 15.0) -> _T:
    """The first truthy value of `condition`, which is asked every 50 ms; the test fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout:g} s: {what}")
        time.sleep(0.05)


def find_program(name: str) -> str:
    """Path of a program; without it the test is skipped, and fails in CI."""
    path = shutil.which(name)
    if path is not None:
        return path
    message = f"{name} is not installed (Debian: apt install {_DEBIAN_PACKAGES.get(name, name)})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class Scrape:
    """The samples of one exposition, by name and labels."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def values(self, name: str, **labels: str) -> list[float]:
        """The values of all series of this name that have at least these labels."""
        return [
            float(sample.value)
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the only such series, None when there is none."""
        values = self.values(name, **labels)
        assert len(values) <= 1, f"{name} {labels} names {len(values)} series"
        return values[0] if values else None

    def labels(self, name: str, label: str) -> list[str]:
        """One label of all series of this name, in the order of exposition."""
        return [sample.labels[label] for sample in self._samples if sample.name == name]

    def names(self, **labels: str) -> set[str]:
        """The names of all series that have at least these labels."""
        return {sample.name for sample in self._samples if labels.items() <= sample.labels.items()}


class Program:
    """A process whose output goes to files; `stop` ends it with SIGTERM."""

    def __init__(self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str], cwd: Path) -> None:
        self._stdout = folder / "stdout"
        self._stderr = folder / "stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=dict(environ), cwd=cwd
            )

    @property
    def stdout(self) -> str:
        return self._stdout.read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        return self._stderr.read_text(encoding="utf-8")

    def found(self, source: Callable[[], str], pattern: re.Pattern[str], what: str) -> re.Match[str]:
        """The match of a pattern in the output, once it is there; fails at once when the program has ended."""

        def look() -> re.Match[str] | None:
            ended = self.process.poll()
            match = pattern.search(source())
            if match is None and ended is not None:
                pytest.fail(f"the program ended with status {ended} before {what}:\n{self.stderr}")
            return match

        match = eventually(look, what)
        assert match is not None
        return match

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = 10.0) -> int:
        """Exit status of the program, which has to end by itself now."""
        return self.process.wait(timeout)

    def stop(self) -> float:
        """Send SIGTERM; the seconds until the program had ended with status 0."""
        started = time.monotonic()
        self.signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, self.stderr
        return time.monotonic() - started

    def kill(self) -> None:
        """End the program for good, whatever a failed test left of it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Exporter(Program):
    """A running `quota-exporter` with its config file; ready when the constructor returns."""

    def __init__(self, config: Path, folder: Path, environ: Mapping[str, str], cwd: Path, *flags: str) -> None:
        self.config = config
        arguments = exporter_command("--config.file", str(config), "--web.listen-address", "127.0.0.1:0", *flags)
        super().__init__(arguments, folder, environ, cwd)
        self.client = httpx.Client(trust_env=False, timeout=30.0)
        try:
            self.url = self.found(lambda: self.stderr, _LISTENING, "it told where it listens")[1]
            eventually(lambda: is_ready(self.client, f"{self.url}/-/ready"), "the exporter is ready")
        except BaseException:
            self.close()
            raise

    @property
    def urls(self) -> list[str]:
        """All addresses that the exporter says it listens on."""
        return [match[1] for match in _LISTENING.finditer(self.stderr)]

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(f"{self.url}{path}", headers=headers)

    def scrape(self, path: str = "/metrics", timeout: float = 10.0) -> Scrape:
        """What Prometheus would get with this scrape timeout in seconds."""
        response = self.get(path, **{"X-Prometheus-Scrape-Timeout-Seconds": f"{timeout:g}"})
        assert response.status_code == httpx.codes.OK, response.text
        return Scrape(response.text)

    def own(self, name: str) -> float | None:
        """A metric of the exporter itself, read without polling anybody."""
        return self.scrape("/metrics?collect[]=exporter").value(name)

    def close(self) -> None:
        self.client.close()
        self.kill()


class Prometheus(Program):
    """A running Prometheus with its own storage; ready when the constructor returns."""

    def __init__(self, program: str, config: Path, folder: Path) -> None:
        arguments = [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'storage'}",
            "--web.listen-address=127.0.0.1:0",
        ]
        super().__init__(arguments, folder, {"PATH": os.environ["PATH"]}, folder)
        self._client = httpx.Client(trust_env=False, timeout=10.0)
        try:
            self.url = f"http://{self.found(lambda: self.stderr, _PROMETHEUS_ADDRESS, 'it listened')[1]}"
            eventually(lambda: is_ready(self._client, f"{self.url}/-/ready"), "Prometheus is ready")
        except BaseException:
            self.close()
            raise

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series that an instant query returns now."""
        response = self._client.get(f"{self.url}/api/v1/query", params={"query": expression})
        answer: dict[str, Any] = response.json()
        assert answer["status"] == "success", answer
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def value(self, expression: str) -> float | None:
        """The value of the only series that an instant query returns, None when it returns none."""
        result = self.query(expression)
        assert len(result) <= 1, result
        return result[0][1] if result else None

    def close(self) -> None:
        self._client.close()
        self.kill()


def is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def exporter_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "quota_exporter", *arguments]


def run_exporter(*arguments: str, environ: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run one command of `quota-exporter` to its end."""
    return subprocess.run(
        exporter_command(*arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=dict(environ),
        cwd=cwd,
        timeout=30,
        check=False,
    )
