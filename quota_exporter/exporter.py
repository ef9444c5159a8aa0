"""The config generation in force until the next one replaces it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from quota_exporter import __version__, credentials
from quota_exporter.children import split_id
from quota_exporter.config import MAX_CONFIG_BYTES, Config, config_files, read_config
from quota_exporter.document import ConfigProblem
from quota_exporter.files import FileProblem, FileReader
from quota_exporter.fleet import Fleet, Member
from quota_exporter.gateway import Gateway
from quota_exporter.metrics import ExporterMetrics, GatewayLabels
from quota_exporter.opencode import OpenCode, OpenCodePaths
from quota_exporter.origins import ByOrigin
from quota_exporter.roster import Plan, Roster, build_roster
from quota_exporter.settings import Threshold
from quota_exporter.transport import Route, Transport, open_transport

_LOG = logging.getLogger(__name__)
_DRAIN_SECONDS = 300.0  # longer than scrapes usually last


class ConfigError(Exception):
    """A config that cannot be used; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class NothingConfiguredError(ConfigError):
    """No gateway is listed anywhere.

    `config_path` is the config file that lists none, None when there is no such file; `problems` tells what is wrong
    with the other files that were looked at.
    """

    def __init__(self, config_path: Path | None, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__(problems)
        self.config_path = config_path

    def __str__(self) -> str:
        return "\n".join([*map(str, self.problems), "no gateway is configured"])


@dataclass(frozen=True, slots=True)
class Sources:
    """Where configuration comes from: `config_path` None means that there is no config file."""

    config_path: Path | None
    opencode_paths: OpenCodePaths
    environ: Mapping[str, str]
    files: FileReader


@dataclass(frozen=True, slots=True)
class Generation:
    """One loaded config: `plans` and `labels` by provider id, the same ids as those of the fleet's members."""

    config: Config
    roster: Roster
    plans: Mapping[str, Plan]
    labels: Mapping[str, GatewayLabels]
    fleet: Fleet
    transports: tuple[Transport, ...]

    def labels_of(self, provider_id: str) -> GatewayLabels:
        """Return the labels of a gateway, or of a key that it lists: the gateway's own but for the alias."""
        parent, alias = split_id(provider_id)
        labels = self.labels[parent]
        return labels if alias is None else replace(labels, provider_id=provider_id, label=alias)

    async def close(self) -> None:
        """Let the scrapes and polls in flight end, within bounds, then close the connections."""
        await self.fleet.drain(_DRAIN_SECONDS)
        closed = await asyncio.gather(*(transport.aclose() for transport in self.transports), return_exceptions=True)
        for error in closed:
            if error is not None:
                _LOG.warning("a connection could not be closed", extra={"error": type(error).__name__})


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files of `sources` say; `opencode` is None when it is switched off."""

    sources: Sources
    config: Config
    opencode: OpenCode | None
    roster: Roster


def load(sources: Sources) -> Loaded:
    """Read and check all files; what is wrong with them is in the roster."""
    config = read_config(sources.config_path, sources.files)
    opencode = None
    if config.options.opencode == "auto":
        opencode = OpenCode(sources.opencode_paths, sources.files, sources.environ)
    roster = build_roster(config, opencode, environ=sources.environ, files=sources.files)
    return Loaded(sources, config, opencode, roster)


def start(loaded: Loaded) -> Generation:
    """Make what was loaded ready to be polled; ConfigError (or NothingConfiguredError) when it cannot be used."""
    sources, config, roster = loaded.sources, loaded.config, loaded.roster
    if roster.errors:
        raise ConfigError(roster.errors)
    if not roster.plans and not roster.disabled and not config.lists_gateways:
        raise NothingConfiguredError(sources.config_path, roster.warnings)
    problems: list[ConfigProblem] = []
    transports: dict[Route, Transport] = {}
    slots: dict[str, asyncio.Semaphore] = {}
    members = []
    for plan in roster.plans:
        # without a base URL there is nothing to connect to, and the poll says so
        routes = {origin: _route(plan, origin) for origin in plan.origins or ("",)}
        try:
            for route in routes.values():
                if route not in transports:
                    transports[route] = open_transport(route)
        except ValueError as error:
            problems.append(ConfigProblem(plan.location, "proxy_url", str(error)))
            continue
        by_origin = {origin: transports[route] for origin, route in routes.items()}
        first_origin, transport = next(iter(by_origin.items()))
        if len(by_origin) > 1:
            transport = ByOrigin(by_origin)
        find_key = partial(
            credentials.resolve,
            plan.settings.provider_id,
            plan.explicit_key,
            environ=sources.environ,
            files=sources.files,
            opencode=loaded.opencode,
        )
        gateway = Gateway(plan.settings, plan.mapping, plan.url, transport, sources.files, further_urls=plan.urls[1:])
        slot = slots.setdefault(first_origin, asyncio.Semaphore(config.options.origins.concurrency_of(first_origin)))
        members.append(Member(gateway, slot, plan.min_interval, find_key))
    if problems:
        raise ConfigError(tuple(problems))
    return Generation(
        config=config,
        roster=roster,
        plans={plan.settings.provider_id: plan for plan in roster.plans},
        labels={plan.settings.provider_id: _labels(plan) for plan in roster.plans},
        fleet=Fleet(members),
        transports=tuple(transports.values()),
    )


def _route(plan: Plan, origin: str) -> Route:
    proxy = plan.settings.proxy_url
    return Route(origin, plan.ssl_context, None if proxy is None else proxy.get_secret_value())


def _labels(plan: Plan) -> GatewayLabels:
    settings = plan.settings
    thresholds = [
        (severity, unit, value)
        for severity, threshold in (
            ("warning", settings.thresholds.warning),
            ("critical", settings.thresholds.critical),
        )
        if threshold is not None
        for unit in Threshold.model_fields
        if (value := getattr(threshold, unit)) is not None
    ]
    label = settings.provider_id if settings.label is None else settings.label
    return GatewayLabels(settings.provider_id, label, plan.mapping.name, settings.owner, tuple(thresholds))


class Exporter:
    """The running exporter: its generation, its own metrics, and reloads."""

    def __init__(self, sources: Sources) -> None:
        """Load the first generation; ConfigError when that is not possible."""
        self._sources = sources
        self.metrics = ExporterMetrics(__version__)
        self._reloading = asyncio.Lock()
        self._retired: dict[asyncio.Task[None], Generation] = {}
        self._loaded = load(sources)
        self._seen = self.fingerprint()
        self._adopt(start(self._loaded))

    @property
    def generation(self) -> Generation:
        """The generation in force; hold on to the value during one request."""
        return self._generation

    async def reload(self) -> None:
        """Replace the generation; on ConfigError the old one stays in force."""
        async with self._reloading:
            previous = self._generation
            try:
                generation = await asyncio.to_thread(self._load_next)
            except ConfigError as error:
                self.metrics.config_rejected()
                for problem in str(error).splitlines():
                    _LOG.error("config refused, the last good one stays", extra={"problem": problem})
                raise
            except Exception:  # a bug; the metric must not claim that the config on disk is in force
                self.metrics.config_rejected()
                raise
            generation.fleet.inherit(previous.fleet)
            self._adopt(generation)
            closing = asyncio.create_task(previous.close())
            self._retired[closing] = previous
            closing.add_done_callback(self._retired.pop)

    def has_changed(self) -> bool:
        """Whether a file that is read at a load only is another than at the last load; reads files."""
        return self.fingerprint() != self._seen

    def fingerprint(self) -> dict[Path, str]:
        """What the files hold now that are read at a load only, by path and in a form to compare.

        Reads files: call it in a thread while the loop serves.
        """
        sources, loaded = self._sources, self._loaded
        paths: list[Path | None] = []
        if sources.config_path is not None:
            paths += config_files(sources.config_path, loaded.config.options)
        if loaded.opencode is not None:
            paths += sources.opencode_paths.config_files
        for tls in {plan.settings.tls for plan in loaded.roster.plans}:
            paths += [tls.ca_file, tls.cert_file, tls.key_file]
        return {path: _digest(path, sources.files) for path in paths if path is not None}

    def _load_next(self) -> Generation:
        before = self.fingerprint()
        # also of a config that is refused: the file that will be mended may be one that only it names
        self._loaded = load(self._sources)
        # as they were before: what was written while they were read is a change for the next look
        self._seen = {path: before.get(path, digest) for path, digest in self.fingerprint().items()}
        return start(self._loaded)

    async def close(self) -> None:
        """End all polls and connections, also those of generations that a reload has replaced."""
        for generation in (self._generation, *self._retired.values()):
            await generation.fleet.aclose()
        await asyncio.gather(self._generation.close(), *self._retired)

    def _adopt(self, generation: Generation) -> None:
        self._generation = generation
        self.metrics.config_loaded(
            at=time.time(),
            gateways=len(generation.plans),
            insecure_tls_gateways=sum(plan.settings.tls.insecure_skip_verify for plan in generation.plans.values()),
        )
        for problem in generation.roster.warnings:
            _LOG.warning("config", extra={"problem": str(problem)})
        _LOG.info("config loaded", extra={"gateways": len(generation.plans)})


def _digest(path: Path, files: FileReader) -> str:
    try:
        return hashlib.sha256(files.read_text(path, max_bytes=MAX_CONFIG_BYTES).encode()).hexdigest()
    except FileProblem as problem:
        return str(problem)
