"""The HTTP surface: what each path answers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from quota_exporter import __version__
from quota_exporter.exporter import ConfigError, Exporter, Generation
from quota_exporter.exposition import Families, accepts_gzip, choose_format, compress, encode
from quota_exporter.metrics import gateway_families
from quota_exporter.numbers import parse_number
from quota_exporter.quota import GatewayStatus
from quota_exporter.report import gateway_reports
from quota_exporter.unknown import unknown_id
from quota_exporter.web import pages

DEFAULT_SCRAPE_TIMEOUT = 10.0

_TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
_HALVES = ("exporter", "gateways")
_HTML_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What the command line says of the HTTP surface; `timeout_offset` is in seconds."""

    telemetry_path: str = "/metrics"
    enable_lifecycle: bool = False
    timeout_offset: float = 0.5


@dataclass(slots=True)
class Phase:
    """How far shutdown has come: `stopping` ends readiness, `over` ends the scrapes that still wait."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)


def scrape_deadline(header: str | None, offset: float) -> float:
    """Seconds that a scrape may take: Prometheus's own timeout less `offset`, at least half of it."""
    timeout = parse_number(header)
    if timeout is None or timeout <= 0:
        timeout = DEFAULT_SCRAPE_TIMEOUT
    return max(timeout / 2, timeout - offset)


def build_app(exporter: Exporter, options: WebOptions, phase: Phase) -> Starlette:
    """Build the ASGI application on a running exporter; the end of its lifespan lets its threads end."""
    surface = _Surface(exporter, options, phase)
    endpoints = (*_FIXED, ("GET", options.telemetry_path, _Surface.metrics))
    app = Starlette(
        routes=[Route(path, partial(endpoint, surface), methods=[method]) for method, path, endpoint in endpoints],
        exception_handlers={HTTPException: _explain, Exception: _apologize},
        lifespan=surface.lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would name the host that the request claims
    return app


class _Surface:
    def __init__(self, exporter: Exporter, options: WebOptions, phase: Phase) -> None:
        self._exporter = exporter
        self._options = options
        self._phase = phase
        # A page of thousands of gateways must not make a scrape wait.
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._page_renderer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page-renderer")

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for executor in (self._encoder, self._page_renderer):
                executor.shutdown(wait=False, cancel_futures=True)

    async def landing(self, _request: Request) -> Response:
        page = pages.landing_page(
            version=__version__,
            gateways=len(self._exporter.generation.plans),
            metrics_path=self._options.telemetry_path,
            lifecycle=self._options.enable_lifecycle,
        )
        return HTMLResponse(page, headers=_HTML_HEADERS)

    async def metrics(self, request: Request) -> Response:
        generation = self._exporter.generation
        provider_ids = list(dict.fromkeys(request.query_params.getlist("provider_id"))) or list(generation.plans)
        halves = request.query_params.getlist("collect[]") or list(_HALVES)
        for provider_id in provider_ids:
            if not generation.fleet.answers_for(provider_id):
                raise HTTPException(400, f"provider_id: {unknown_id(generation, provider_id, typed=False)}")
        if not set(halves) <= set(_HALVES):
            raise HTTPException(400, f"collect[] must be one of: {', '.join(_HALVES)}")
        with self._exporter.metrics.scrape():
            if "gateways" not in halves:
                return await self._exposition(request, generation, (), counters=True, exporter=True)
            statuses = await self._statuses(request, generation, provider_ids)
            return await self._exposition(request, generation, statuses, counters=True, exporter="exporter" in halves)

    async def probe(self, request: Request) -> Response:
        generation = self._exporter.generation
        targets, models = request.query_params.getlist("target"), request.query_params.getlist("model")
        if len(targets) + len(models) != 1 or targets == [""]:
            raise HTTPException(400, "give exactly one of target=<provider_id> and model=<provider_id>/<model>")
        if models and re.fullmatch(r"[^/]+/.+", models[0], re.DOTALL) is None:
            raise HTTPException(400, "model must be <provider_id>/<model>")
        provider_id = targets[0] if targets else models[0].partition("/")[0]
        if not generation.fleet.answers_for(provider_id):
            raise HTTPException(404, unknown_id(generation, provider_id, typed=False))
        with self._exporter.metrics.scrape():
            statuses = await self._statuses(request, generation, [provider_id])
            alone = [status for status in statuses if status.reading.provider_id == provider_id]
            if not alone:
                raise HTTPException(404, unknown_id(generation, provider_id, typed=False))
            return await self._exposition(request, generation, alone, counters=False, exporter=False)

    async def quota_status(self, request: Request) -> Response:
        form = request.query_params.get("format", "html")
        if form not in ("html", "json"):
            raise HTTPException(400, "format must be html or json")
        generation = self._exporter.generation
        unread = [provider_id for provider_id in generation.plans if generation.fleet.last(provider_id) is None]
        await self._statuses(request, generation, unread)
        now, provider_ids = time.time(), generation.fleet.ids()

        def render() -> Response:
            reports = gateway_reports(generation, provider_ids, now=now)
            if form == "json":
                return JSONResponse({"version": __version__, "time": now, "gateways": reports})
            return HTMLResponse(pages.status_page(reports, now=now), headers=_HTML_HEADERS)

        return await asyncio.get_running_loop().run_in_executor(self._page_renderer, render)

    async def config(self, _request: Request) -> Response:
        generation = self._exporter.generation
        page = await asyncio.get_running_loop().run_in_executor(self._page_renderer, pages.config_page, generation)
        return HTMLResponse(page, headers=_HTML_HEADERS)

    async def healthy(self, _request: Request) -> Response:
        return PlainTextResponse("quota-exporter is healthy.\n")

    async def ready(self, _request: Request) -> Response:
        if self._phase.stopping.is_set():
            return PlainTextResponse("quota-exporter is shutting down.\n", 503)
        return PlainTextResponse("quota-exporter is ready.\n")

    async def reload(self, _request: Request) -> Response:
        if not self._options.enable_lifecycle:
            raise HTTPException(403, "reloading over HTTP is off; start with --web.enable-lifecycle or send SIGHUP")
        try:
            await self._exporter.reload()
        except ConfigError as error:
            return PlainTextResponse(f"config refused, the last good one stays in force:\n{error}\n", 500)
        return PlainTextResponse("config reloaded.\n")

    async def _statuses(
        self, request: Request, generation: Generation, provider_ids: Sequence[str]
    ) -> list[GatewayStatus]:
        deadline = scrape_deadline(request.headers.get(_TIMEOUT_HEADER), self._options.timeout_offset)
        return await self._unless_over(generation.fleet.statuses(provider_ids, deadline))

    async def _exposition(
        self,
        request: Request,
        generation: Generation,
        statuses: Sequence[GatewayStatus],
        *,
        counters: bool,
        exporter: bool,
    ) -> Response:
        registries = [self._exporter.metrics.registry] if exporter else []
        form = choose_format(",".join(request.headers.getlist("accept")))
        zipped = accepts_gzip(",".join(request.headers.getlist("accept-encoding")))

        def render() -> bytes:
            known = ((generation.labels_of(status.reading.provider_id), status) for status in statuses)
            body = encode([*registries, Families(gateway_families(known, counters=counters))], form)
            return compress(body) if zipped else body

        body = await asyncio.get_running_loop().run_in_executor(self._encoder, render)
        headers = {"Content-Type": form.value, "Vary": "Accept, Accept-Encoding"}
        return Response(body, headers=headers | ({"Content-Encoding": "gzip"} if zipped else {}))

    async def _unless_over(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Wait for the work, but answer 503 rather than half the truth when the exporter has to end."""
        working = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self._phase.over.wait())
        try:
            await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise HTTPException(503, "quota-exporter is shutting down")
        finally:
            working.cancel()
            ending.cancel()


_FIXED: Final = (
    ("GET", "/", _Surface.landing),
    ("GET", "/probe", _Surface.probe),
    ("GET", "/quota_status", _Surface.quota_status),
    ("GET", "/config", _Surface.config),
    ("GET", "/-/healthy", _Surface.healthy),
    ("GET", "/-/ready", _Surface.ready),
    ("POST", "/-/reload", _Surface.reload),
)
FIXED_PATHS: Final = tuple(path for _, path, _ in _FIXED)
"""Every path but that of the metrics, which the command line can move."""


async def _explain(_request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    headers = getattr(error, "headers", None)
    return PlainTextResponse(f"{getattr(error, 'detail', 'error')}\n", status, headers)


async def _apologize(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("a bug in the exporter; see its log\n", 500)
