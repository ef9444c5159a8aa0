"""The bundled demo's three fake gateways on loopback."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from quota_exporter.web.server import GuestServer

Reply = dict[str, Any]

_DAY = 86_400
_CAMPUS_WINDOW = 300
_CAMPUS_TOKENS = 5_000_000
_CAMPUS_MONEY = 5.0
_OPENROUTER_LIMIT = 500.0
_OPENROUTER_SPENT_BEFORE = 41_250.0
_OPENROUTER_PER_SECOND = 0.75 * _OPENROUTER_LIMIT / _DAY
_LAB_WINDOW = 240
_LAB_MONEY = 200.0
# No divisor of the usual scrape intervals: a Prometheus that scrapes each minute meets the outage as well.
_LAB_OUTAGE_EVERY = 70
_LAB_OUTAGE = 10


def campus_reply(now: float, started: float) -> Reply:
    """Tokens and USD that refill every 5 minutes, after 90 % and 60 % of them were used.

    `now` and `started`, when the demo began, are Unix seconds; so they are below.
    """
    share, resets_at = _window(now, started, _CAMPUS_WINDOW)
    tokens = int(0.9 * _CAMPUS_TOKENS * share)
    money = round(0.6 * _CAMPUS_MONEY * share, 4)
    return {
        "key": "course-comp318-fall26",
        "tokens": {
            "limit": _CAMPUS_TOKENS,
            "used": tokens,
            "remaining": _CAMPUS_TOKENS - tokens,
            "resets_at": resets_at,
        },
        "cost": {
            "currency": "USD",
            "limit": _CAMPUS_MONEY,
            "used": money,
            "remaining": round(_CAMPUS_MONEY - money, 4),
            "resets_at": resets_at,
        },
    }


def openrouter_reply(now: float, started: float) -> Reply:
    """USD in OpenRouter's shape: three quarters of a daily limit are spent evenly over the UTC day.

    As with OpenRouter, `usage` is all that the key ever spent and `label` is a masked key.
    """
    today = round(now % _DAY * _OPENROUTER_PER_SECOND, 4)
    first_midnight = started - started % _DAY
    return {
        "data": {
            "label": "sk-or-v1-dem...key",
            "limit": _OPENROUTER_LIMIT,
            "limit_remaining": round(_OPENROUTER_LIMIT - today, 4),
            "limit_reset": "daily",
            "usage": round(_OPENROUTER_SPENT_BEFORE + (now - first_midnight) * _OPENROUTER_PER_SECOND, 4),
            "usage_daily": today,
            "is_free_tier": False,
            "expires_at": None,
        }
    }


def lab_reply(now: float, started: float) -> Reply:
    """EUR of which 6 % are left when a window begins and 1 % too much is spent when it ends; unlimited tokens."""
    share, resets_at = _window(now, started, _LAB_WINDOW)
    remaining = round(_LAB_MONEY * (0.06 - 0.07 * share), 4)
    return {
        "key": "vision-lab",
        "tokens": {"limit": None, "used": 61_000_000 + int(900_000 * share)},
        "cost": {
            "currency": "EUR",
            "limit": _LAB_MONEY,
            "used": round(_LAB_MONEY - remaining, 4),
            "remaining": remaining,
            "resets_at": resets_at,
        },
    }


def lab_fails(now: float, started: float) -> bool:
    """Whether the lab's gateway is out of order: for the last 10 of every 70 seconds."""
    return (now - started) % _LAB_OUTAGE_EVERY >= _LAB_OUTAGE_EVERY - _LAB_OUTAGE


def _never_fails(_now: float, _started: float) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class FakeGateway:
    """One bundled gateway: what it is called, what it wants and what it answers.

    `reply` and `fails` take the time now and the time when the demo began, both in Unix seconds. `thresholds`
    is YAML for the config, `about` a line for people.
    """

    provider_id: str
    label: str
    owner: str
    mapping: str
    base_path: str
    quota_path: str
    api_key: str
    thresholds: str
    about: str
    reply: Callable[[float, float], Reply]
    fails: Callable[[float, float], bool] = _never_fails


GATEWAYS = (
    FakeGateway(
        provider_id="campus",
        label="Campus gateway",
        owner="ml-platform",
        mapping="neutral",
        base_path="/v1",
        quota_path="/quota",
        api_key="demo-campus-key",
        thresholds="{warning: 0.2, critical: 0.05}",
        about="tokens and USD, refilled every 5 minutes",
        reply=campus_reply,
    ),
    FakeGateway(
        provider_id="openrouter-like",
        label="Production at OpenRouter",
        owner="web-team",
        mapping="openrouter",
        base_path="/api/v1",
        quota_path="/key",
        api_key="sk-or-v1-demo-key",
        thresholds="{warning: {ratio: 0.2, cost: 50}, critical: {ratio: 0.05, cost: 10}}",
        about="USD with a daily limit, in OpenRouter's shape",
        reply=openrouter_reply,
    ),
    FakeGateway(
        provider_id="lab",
        label="Vision lab",
        owner="vision-lab",
        mapping="neutral",
        base_path="/v1",
        quota_path="/quota",
        api_key="demo-lab-key",
        thresholds="{warning: 0.2, critical: 0.05}",
        about="EUR, nearly exhausted; answers 503 for 10 of every 70 seconds",
        reply=lab_reply,
        fails=lab_fails,
    ),
)


def gateway_app(gateway: FakeGateway, *, started: float, wall: Callable[[], float] = time.time) -> Starlette:
    """Return the ASGI application of one gateway; `wall` gives the time in Unix seconds."""

    async def answer(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {gateway.api_key}":
            return _error(HTTPStatus.UNAUTHORIZED, "this is not the API key of this demo gateway")
        now = wall()
        if gateway.fails(now, started):
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "this demo gateway is out of order for a moment")
        return JSONResponse(gateway.reply(now, started))

    return Starlette(routes=[Route(gateway.base_path + gateway.quota_path, answer, methods=["GET"])])


@asynccontextmanager
async def fake_gateways(wall: Callable[[], float] = time.time) -> AsyncIterator[dict[str, str]]:
    """Serve all gateways on free ports of 127.0.0.1 while the context lasts; gives their base URL by provider id.

    `wall` gives the time in Unix seconds. Raises OSError when no port can be opened.
    """
    started = wall()
    with ExitStack() as listeners:
        base_urls: dict[str, str] = {}
        servers: list[tuple[GuestServer, socket.socket]] = []
        for gateway in GATEWAYS:
            listener = listeners.enter_context(socket.create_server(("127.0.0.1", 0)))
            base_urls[gateway.provider_id] = f"http://127.0.0.1:{listener.getsockname()[1]}{gateway.base_path}"
            servers.append((GuestServer(gateway_app(gateway, started=started, wall=wall)), listener))
        # A socket that listens holds connections until its server is up, so nothing waits for that here.
        tasks = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers]
        try:
            yield base_urls
        finally:
            for server, _ in servers:
                server.should_exit = True
            await asyncio.gather(*tasks)


def demo_config(base_urls: Mapping[str, str]) -> str:
    """Return the YAML config of an exporter that watches the gateways at these base URLs, by provider id."""
    entries = "".join(
        f"  - provider_id: {gateway.provider_id}\n"
        f"    base_url: {base_urls[gateway.provider_id]}\n"
        f"    mapping: {gateway.mapping}\n"
        f"    label: {gateway.label}\n"
        f"    owner: {gateway.owner}\n"
        f"    api_key: {gateway.api_key}\n"
        f"    thresholds: {gateway.thresholds}\n"
        for gateway in GATEWAYS
    )
    return f"# The gateways and keys are the demo's own: no secrets here.\nopencode: off\ngateways:\n{entries}"


def first_words(base_urls: Mapping[str, str], exporter_url: str) -> str:
    """Return what the demo prints when it is up: what runs where, and what to do with it."""
    exporter_url = exporter_url.rstrip("/")
    gateways = "\n".join(
        f"  {gateway.provider_id:<16} {base_urls[gateway.provider_id]:<32} {gateway.about}" for gateway in GATEWAYS
    )
    first = GATEWAYS[0]
    return f"""\
The exporter watches three fake gateways; all of it runs on this machine only, until Ctrl+C.

  {exporter_url + "/":<36} start here
  {exporter_url + "/quota_status":<36} each gateway: where its key came from, what it answered
  {exporter_url + "/metrics":<36} what Prometheus reads

{gateways}

Watch a quota shrink, and ask the gateway itself:

  curl -s {exporter_url}/metrics | grep ^llm_quota_remaining
  curl -s -H "Authorization: Bearer {first.api_key}" {base_urls[first.provider_id]}{first.quota_path}

For the scrape_configs of your Prometheus:

  - job_name: quota-exporter
    scrape_interval: 5s
    static_configs:
      - targets: ["{urlsplit(exporter_url).netloc}"]
"""


def _window(now: float, started: float, length: int) -> tuple[float, str]:
    """How much of the current window has passed (0 to 1), and when it ends in RFC 3339.

    The first window began a tenth of its length before the demo: the first gauges show some usage. Windows
    begin at whole seconds, so that the end reads the same at each poll.
    """
    first = math.floor(started) - length // 10
    number, passed = divmod(now - first, length)
    ends_at = first + (int(number) + 1) * length
    return passed / length, datetime.fromtimestamp(ends_at, UTC).isoformat().replace("+00:00", "Z")


def _error(status: HTTPStatus, message: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse({"error": {"message": message}}, status, headers)
