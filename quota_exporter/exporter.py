"""The config generation in force, and how it is replaced by the next."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from quota_exporter import __version__, credentials
from quota_exporter.config import MAX_CONFIG_BYTES, Config, config_files, read_config
from quota_exporter.document import ConfigProblem
from quota_exporter.files import FileProblem, FileReader
from quota_exporter.fleet import Fleet, Member
from quota_exporter.gateway import Gateway
from quota_exporter.metrics import ExporterMetrics, GatewayLabels
from quota_exporter.opencode import OpenCode, OpenCodePaths
from quota_exporter.roster import Plan, Roster, build_roster
from quota_exporter.settings import Threshold
from quota_exporter.transport import Route, Transport, open_transport
from quota_exporter.urls import origin_of

_LOG = logging.getLogger(__name__)


class ConfigError(Exception):
    """A config that cannot be used; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class NothingConfiguredError(ConfigError):
    """No config file lists gateways, and OpenCode's files list none either."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where configuration comes from: `config_path` None means that there is no config file."""

    config_path: Path | None
    opencode_paths: OpenCodePaths
    environ: Mapping[str, str]
    files: FileReader


@dataclass(frozen=True, slots=True)
class Generation:
    """One loaded config: `plans` and `labels` by provider id, the same ids as the fleet's."""

    config: Config
    roster: Roster
    plans: Mapping[str, Plan]
    labels: Mapping[str, GatewayLabels]
    fleet: Fleet
    transports: tuple[Transport, ...]

    async def close(self) -> None:
        """Let the polls in flight end, then close the connections."""
        await self.fleet.drain()
        for transport in self.transports:
            await transport.aclose()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files say; `opencode` is None when it is switched off."""

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
    return Loaded(config, opencode, roster)


def start_generation(sources: Sources) -> Generation:
    """Load everything anew; ConfigError (or NothingConfiguredError) when the config cannot be used."""
    loaded = load(sources)
    config, roster = loaded.config, loaded.roster
    if roster.errors:
        raise ConfigError(roster.errors)
    if not roster.plans and not roster.disabled and not config.lists_gateways:
        raise NothingConfiguredError(())
    transports: dict[Route, Transport] = {}
    slots: dict[str, asyncio.Semaphore] = {}
    members = []
    for plan in roster.plans:
        # without a base URL there is nothing to connect to, and the poll says so
        origin = "" if plan.url is None else origin_of(plan.url)
        concurrency = config.options.origins.concurrency_of(origin)
        proxy = plan.settings.proxy_url
        route = Route(origin, plan.ssl_context, None if proxy is None else proxy.get_secret_value(), concurrency)
        if route not in transports:
            transports[route] = open_transport(route)
        find_key = partial(
            credentials.resolve,
            plan.settings.provider_id,
            plan.explicit_key,
            environ=sources.environ,
            files=sources.files,
            opencode=loaded.opencode,
        )
        gateway = Gateway(plan.settings, plan.mapping, plan.url, transports[route], sources.files)
        slot = slots.setdefault(origin, asyncio.Semaphore(concurrency))
        members.append(Member(gateway, slot, plan.min_interval, find_key))
    return Generation(
        config=config,
        roster=roster,
        plans={plan.settings.provider_id: plan for plan in roster.plans},
        labels={plan.settings.provider_id: _labels(plan) for plan in roster.plans},
        fleet=Fleet(members),
        transports=tuple(transports.values()),
    )


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
        self._closing: set[asyncio.Task[None]] = set()
        self._adopt(start_generation(sources))
        self._seen = self.fingerprint()

    @property
    def generation(self) -> Generation:
        """The generation in force; hold on to the value during one request."""
        return self._generation

    async def reload(self) -> None:
        """Replace the generation; on ConfigError the old one stays in force."""
        async with self._reloading:
            previous = self._generation
            self._seen = self.fingerprint()
            try:
                generation = await asyncio.to_thread(start_generation, self._sources)
            except ConfigError as error:
                self.metrics.config_rejected()
                for problem in error.problems:
                    _LOG.error("config refused, the last good one stays", extra={"problem": str(problem)})
                raise
            generation.fleet.inherit(previous.fleet)
            self._adopt(generation)
            self._seen = self.fingerprint()
            closing = asyncio.create_task(previous.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def has_changed(self) -> bool:
        """Whether a config file is another than at the last load."""
        return self.fingerprint() != self._seen

    async def close(self) -> None:
        """End all polls and connections."""
        for closing in self._closing:
            closing.cancel()
        await self._generation.fleet.aclose()
        await self._generation.close()

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

    def fingerprint(self) -> tuple[tuple[Path, str], ...]:
        """What the config files hold now, in a form to compare."""
        sources = self._sources
        paths = list(sources.opencode_paths.config_files)
        if sources.config_path is not None:
            paths += config_files(sources.config_path, self._generation.config.options)
        return tuple((path, _digest(path, sources.files)) for path in paths)


def _digest(path: Path, files: FileReader) -> str:
    try:
        return hashlib.sha256(files.read_text(path, max_bytes=MAX_CONFIG_BYTES).encode()).hexdigest()
    except FileProblem as problem:
        return str(problem)
