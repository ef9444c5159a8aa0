"""Presets tried on an address that nobody has described yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from quota_exporter import urls
from quota_exporter.credentials import Credential
from quota_exporter.endpoints import request_urls
from quota_exporter.files import FileReader
from quota_exporter.frugal import FrugalTransport
from quota_exporter.gateway import Gateway
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.presets import load_preset, preset_names
from quota_exporter.quota import Failure, KeySource, Quota, Reading, Reason
from quota_exporter.settings import GatewaySettings

MAX_REQUESTS = 6

_TIMEOUT = "5s"  # of the requests of one preset together
_PROVIDER_ID = "guess"
# What an unknown host is asked, the most usual first.
_SELF_HOSTED = ("neutral", "litellm", "new-api", "openrouter", "bifrost", "sub2api", "one-api")
# The same for a host alone: clients are mostly given a base URL that ends with /v1.
_WITHOUT_PATH = (
    *(("neutral", ""), ("litellm", ""), ("new-api", ""), ("neutral", "/v1"), ("bifrost", ""), ("sub2api", "")),
    *(("openrouter", "/v1"), ("one-api", "/v1")),
)
_VERSION = re.compile(r"v[0-9]+")
_PLAIN_YAML = re.compile(r"[A-Za-z/][A-Za-z0-9._~/:\[\]-]*[A-Za-z0-9._~/-]")
_REFUSALS = frozenset(
    (Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.KEY_EXPIRED, Reason.KEY_BLOCKED, Reason.PAYMENT_REQUIRED)
)
# What another mapping may find in the same reply; all other failures are there for every mapping.
_OF_THE_MAPPING = frozenset(
    (Reason.UNEXPECTED_SHAPE, Reason.ERROR_REPLY, Reason.KEY_EXPIRED, Reason.KEY_BLOCKED, Reason.PAYMENT_REQUIRED)
)


class GuessError(Exception):
    """An address that cannot be tried; the text says why."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One preset on one address: `quota_path` is None where the preset's own path was asked."""

    mapping: ReplyMapping
    base_url: str
    quota_path: str | None
    reading: Reading

    @property
    def problems(self) -> int | None:
        """How many values of the reply were dropped, None when it does not fit at all."""
        outcome = self.reading.outcome
        return sum(dropped.count for dropped in outcome.dropped) if isinstance(outcome, Quota) else None

    @property
    def is_refused(self) -> bool:
        """Whether the gateway answered that this key may not ask."""
        outcome = self.reading.outcome
        return isinstance(outcome, Failure) and outcome.reason in _REFUSALS


@dataclass(frozen=True, slots=True)
class Guess:
    """What was asked, as lines, what each preset made of it, and which presets were left out for want of requests."""

    requests: Sequence[str]
    has_answer: bool
    attempts: Sequence[Attempt]
    left_out: Sequence[str]

    @property
    def best(self) -> Attempt | None:
        """The attempt that lost least of the reply, the earlier one of two alike."""
        fitting = [(problems, attempt) for attempt in self.attempts if (problems := attempt.problems) is not None]
        return min(fitting, key=lambda pair: pair[0])[1] if fitting else None


@dataclass(frozen=True, slots=True)
class _Candidate:
    mapping: ReplyMapping
    base_url: str
    quota_path: str | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The URLs of its requests."""
        return request_urls(self.mapping, base_url=self.base_url, quota_path=self.quota_path)


async def guess(url: str, key: SecretStr, files: FileReader) -> Guess:
    """Try the presets that may fit, with at most MAX_REQUESTS requests; GuessError when the address cannot be used.

    The key goes to the host of the URL, and to another one only where a preset for this very host names it.
    """
    try:
        base_url = urls.base_url(url)
    except ValueError as error:
        raise GuessError(f"the URL {error}") from None
    if urls.is_plain_http_to_public(base_url):
        raise GuessError("the URL would send the key unencrypted to a public host; use https://")
    transport = FrugalTransport(MAX_REQUESTS)
    try:
        attempts, left_out = await _try_all(base_url, transport, key, files)
    finally:
        await transport.aclose()
    asked = []
    for record in transport.recorded:
        status = "no reply" if record.http_status is None else f"HTTP {record.http_status}"
        asked.append(f"{record.method} {record.address((base_url,), (key.get_secret_value(),))}: {status}")
    has_answer = any(record.http_status is not None for record in transport.recorded)
    return Guess(asked, has_answer, attempts, left_out)


def entry_of(attempt: Attempt, key_line: str) -> str:
    """Return the config entry, as YAML, of what an attempt found; `key_line` says where the key is."""
    host = urlsplit(attempt.base_url).hostname or ""
    name = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")
    if name[:1].isdigit():
        name = f"gateway-{name}"  # of an IP address; YAML reads some of them as numbers
    lines = [f"provider_id: {name[:64]}", f"base_url: {_yaml(attempt.base_url)}"]
    if attempt.mapping.name != "neutral":
        lines.append(f"mapping: {attempt.mapping.name}")
    if attempt.quota_path is not None:
        lines.append(f"quota_path: {_yaml(attempt.quota_path)}")
    return "gateways:\n  - " + "\n    ".join([*lines, key_line]) + "\n"


async def _try_all(
    base_url: str, transport: FrugalTransport, key: SecretStr, files: FileReader
) -> tuple[list[Attempt], list[str]]:
    attempts: list[Attempt] = []
    left_out: dict[str, None] = {}
    hopeless: set[str] = set()
    tried: set[tuple[str, tuple[str, ...]]] = set()
    for candidate in _candidates(base_url):
        name, addresses = candidate.mapping.name, candidate.addresses
        if addresses[0] in hopeless or (name, addresses) in tried:
            continue
        if transport.is_spent and not transport.has_asked(addresses[0]):
            left_out[name] = None
            continue
        tried.add((name, addresses))
        refused = transport.refused
        reading = await _poll(candidate, transport, key, files)
        failure = reading.failure
        if failure is not None and transport.refused > refused:
            left_out[name] = None
            continue
        attempt = Attempt(candidate.mapping, candidate.base_url, candidate.quota_path, reading)
        attempts.append(attempt)
        if attempt.problems == 0:
            break
        if failure is not None and failure.reason not in _OF_THE_MAPPING:
            hopeless.add(addresses[0])
            if failure.reason in (Reason.DNS, Reason.CONNECT, Reason.TLS) and len(attempts) == 1:
                break  # nobody is there, whatever the path
    found = {attempt.mapping.name for attempt in attempts}
    return attempts, [name for name in left_out if name not in found]


async def _poll(candidate: _Candidate, transport: FrugalTransport, key: SecretStr, files: FileReader) -> Reading:
    settings = GatewaySettings.model_validate(
        {
            "provider_id": _PROVIDER_ID,
            "base_url": candidate.base_url,
            "mapping": candidate.mapping.name,
            "quota_path": candidate.quota_path,
            "timeout": _TIMEOUT,
        }
    )
    first, *others = candidate.addresses
    gateway = Gateway(settings, candidate.mapping, first, transport, files, further_urls=tuple(others))
    return await gateway.poll(Credential(key, KeySource.CONFIG, ()))


def _candidates(base_url: str) -> Iterator[_Candidate]:
    """The presets to try on a checked URL, each with the base URL and the path to ask."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    presets = {name: load_preset(name) for name in preset_names()}
    known = [mapping for mapping in presets.values() if host in _hosts(mapping)]
    usual = [presets[name] for name in _SELF_HOSTED]
    # a request to another host is for those alone who asked for a host of that preset
    others = [one for one in presets.values() if one not in usual and not any(step.url for step in one.steps)]
    base = base_url
    paths = ((mapping, (mapping.steps[0].path or "").rstrip("/")) for mapping in known or [*usual, *others])
    ending = [(mapping, path) for mapping, path in paths if path and parts.path.endswith(path)]
    for mapping, path in sorted(ending, key=lambda pair: -len(pair[1])):
        left = base_url.removesuffix(path)
        base = left if base == base_url else base
        yield _Candidate(mapping, left)
    if parts.path and not _VERSION.fullmatch(base_url.rpartition("/")[2]):
        yield from _at_any_path(base_url, known or [*usual, *others])
    if known:
        yield from (_Candidate(mapping, base) for mapping in known if mapping.steps[0].path or mapping.steps[0].url)
    elif urlsplit(base).path:
        yield from (_Candidate(mapping, base) for mapping in usual)
    else:
        yield from (_Candidate(presets[name], base + folder) for name, folder in _WITHOUT_PATH)


def _at_any_path(url: str, mappings: Sequence[ReplyMapping]) -> Iterator[_Candidate]:
    """Those presets that can have their quota at this very URL, all with the same request."""
    folder, _, last = url.rpartition("/")
    for mapping in mappings:
        first = mapping.steps[0]
        is_special = first.url or first.query or first.headers or first.auth or mapping.auth or mapping.children
        if is_special or len(mapping.steps) > 1 or last == ".." or "//" in urlsplit(url).path:
            continue
        candidate = _Candidate(mapping, folder, f"/{last}")
        if candidate.addresses[0] == url:
            yield candidate


def _hosts(mapping: ReplyMapping) -> set[str]:
    """The hosts that are known to answer as this preset says; none for programs that people run themselves."""
    about = mapping.about
    if about is None or not about.hosts:
        return set()
    return {*about.hosts, urlsplit(about.base_url).hostname or ""}


def _yaml(text: str) -> str:
    return text if _PLAIN_YAML.fullmatch(text) else json.dumps(text)
