"""The values that travel from a gateway's reply to the metrics: buckets, quotas and readings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a bucket counts."""

    TOKENS = "tokens"
    REQUESTS = "requests"
    COST = "cost"
    CREDITS = "credits"


class KeySource(StrEnum):
    """Where a gateway's API key came from."""

    ENV = "env"
    FILE = "file"
    CONFIG = "config"
    OPENCODE_JSON = "opencode.json"
    OPENCODE_JSONC = "opencode.jsonc"
    AUTH_JSON = "auth.json"
    NONE = "none"


class Reason(StrEnum):
    """Why a poll did not end in a quota; the closed list of the label `reason`."""

    NO_API_KEY = "no_api_key"
    NO_BASE_URL = "no_base_url"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    REDIRECT = "redirect"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    PAYMENT_REQUIRED = "payment_required"
    KEY_EXPIRED = "key_expired"
    KEY_BLOCKED = "key_blocked"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    HTTP_ERROR = "http_error"
    SERVER_ERROR = "server_error"
    TOO_LARGE = "too_large"
    BAD_ENCODING = "bad_encoding"
    NOT_JSON = "not_json"
    ERROR_REPLY = "error_reply"
    UNEXPECTED_SHAPE = "unexpected_shape"
    INTERNAL = "internal"


class Problem(StrEnum):
    """Why a mapping dropped one value of a reply; the closed list of the label `problem`."""

    UNRESOLVED = "unresolved"
    NOT_A_NUMBER = "not_a_number"
    DUPLICATE = "duplicate"
    TOO_MANY = "too_many"
    BAD_TIME = "bad_time"
    BAD_CURRENCY = "bad_currency"


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a mapping dropped: `where` names the mapping's field, never the reply's text; `count` is how many values."""

    problem: Problem
    where: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit of a key.

    Amounts are tokens, requests, credits or money in `currency` (set exactly when `kind` is cost); None means
    that the gateway did not say. `limited` is False only when the gateway says unlimited, and None when it says
    nothing. `resets_at` is Unix seconds, `window_seconds` the length of the bucket's period.
    """

    kind: Kind
    name: str
    currency: str | None = None
    limit: float | None = None
    used: float | None = None
    remaining: float | None = None
    limited: bool | None = None
    resets_at: float | None = None
    window_seconds: float | None = None

    @property
    def remaining_ratio(self) -> float | None:
        """Share of the limit that is left, below 0 when overspent.

        None without a positive limit, and of a limit so near 0 that the share is beyond what a percentage can tell.
        """
        if self.limit is None or self.remaining is None or self.limit <= 0:
            return None
        ratio = self.remaining / self.limit
        return ratio if math.isfinite(ratio * 100) else None


@dataclass(frozen=True, slots=True)
class Quota:
    """All buckets of one reply, with what the mapping had to drop.

    `expires_at` is Unix seconds. `fresh_for` is how many seconds the gateway wants the reply to be reused.
    `children` are the keys that a management key lists, sorted by alias, None when the mapping lists none; without
    `lists_all` there are known to be more.
    """

    buckets: tuple[Bucket, ...]
    key_name: str | None = None
    expires_at: float | None = None
    dropped: tuple[Dropped, ...] = ()
    fresh_for: float = 0.0
    children: tuple[Child, ...] | None = None
    lists_all: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no quota; `detail` is a sentence for people that holds no key and no raw reply text.

    `retry_after` is how many seconds the gateway asked to be left alone.
    """

    reason: Reason
    detail: str
    retry_after: float | None = None
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class Child:
    """One key of the many that a management key lists; `alias` is clean and unique among them."""

    alias: str
    outcome: Quota | Failure


@dataclass(frozen=True, slots=True)
class Reading:
    """What one poll ended in.

    `at` is the Unix time at which the poll ended, `duration` the seconds it took, `http_status` the status of
    its last HTTP reply, None when none came.
    """

    provider_id: str
    key_source: KeySource
    at: float
    duration: float
    http_status: int | None
    outcome: Quota | Failure

    @property
    def quota(self) -> Quota | None:
        """The quota, or None when the poll failed."""
        return self.outcome if isinstance(self.outcome, Quota) else None

    @property
    def failure(self) -> Failure | None:
        """The failure, or None when the poll read a quota."""
        return self.outcome if isinstance(self.outcome, Failure) else None


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """What is known of one gateway at the moment of a scrape.

    `reading` is the poll shown; `quota` is what may be exposed: the reading's own, or after a failure the
    last one while `stale_for` allows it. `last_success` is the Unix time of the last quota. `polls` and
    `failures` count since the exporter started.
    """

    reading: Reading
    quota: Quota | None
    last_success: float | None
    polls: int = 0
    failures: tuple[tuple[Reason, int], ...] = ()
