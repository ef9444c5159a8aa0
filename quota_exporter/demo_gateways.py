"""The bundled demo's fake gateways on loopback."""

from __future__ import annotations

import asyncio
import calendar
import math
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

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
_COSTHELM_LIMIT = 40_000.0

COSTHELM_MAPPING = """\
path: /limits
buckets:
  - kind: cost
    currency: USD
    limit: limit_usd
    used: spent_usd
    remaining: remaining_usd
    window: period
    resets_at: plus(period_start, period)
"""


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


def costhelm_reply(now: float, _started: float) -> Reply:
    """USD in a shape that no preset reads: three quarters of a monthly limit are spent evenly over the UTC month."""
    moment = datetime.fromtimestamp(now, UTC)
    first = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    days = calendar.monthrange(moment.year, moment.month)[1]
    spent = round(0.75 * _COSTHELM_LIMIT * (now - first.timestamp()) / (days * _DAY), 2)
    return {
        "limit_usd": _COSTHELM_LIMIT,
        "spent_usd": spent,
        "remaining_usd": round(_COSTHELM_LIMIT - spent, 2),
        "period_start": _rfc3339(first),
        "period": "monthly",
    }


def _never_fails(_now: float, _started: float) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class FakeGateway:
    """One bundled gateway: what it is called, what it wants and what it answers.

    `reply` and `fails` take the time now and the time when the demo began, both in Unix seconds. `thresholds` and
    `own_mapping`, for a gateway that no preset reads, are YAML for the config, `about` is a line for people.
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
    own_mapping: str = ""


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
    FakeGateway(
        provider_id="costhelm",
        label="CostHelm",
        owner="finance",
        mapping="costhelm",
        base_path="/v1",
        quota_path="/limits",
        api_key="demo-costhelm-key",
        thresholds="{warning: 0.2, critical: 0.05}",
        about="USD of the month, read by a mapping of the config",
        reply=costhelm_reply,
        own_mapping=COSTHELM_MAPPING,
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


def _window(now: float, started: float, length: int) -> tuple[float, str]:
    """How much of the current window has passed (0 to 1), and when it ends in RFC 3339.

    The first window began a tenth of its length before the demo: the first gauges show some usage. Windows
    begin at whole seconds, so that the end reads the same at each poll.
    """
    first = math.floor(started) - length // 10
    number, passed = divmod(now - first, length)
    ends_at = first + (int(number) + 1) * length
    return passed / length, _rfc3339(datetime.fromtimestamp(ends_at, UTC))


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _error(status: HTTPStatus, message: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse({"error": {"message": message}}, status, headers)
