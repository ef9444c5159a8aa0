"""One poll of one gateway: its requests under a deadline, their replies turned into a reading."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from quota_exporter.conversation import Conversation
from quota_exporter.credentials import Credential
from quota_exporter.exchange import Exchange, Secrets
from quota_exporter.files import MAX_SECRET_BYTES, FileProblem, FileReader
from quota_exporter.mapping import map_in_steps
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.outgoing import Step, steps_of
from quota_exporter.quota import Failure, Quota, Reading, Reason
from quota_exporter.reader import Notes
from quota_exporter.settings import GatewaySettings
from quota_exporter.values import is_header_value

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway, ready to be polled.

    `url` is where the mapping's first request goes, None when there is no base URL; `further_urls` are those of the
    others. `wall` gives Unix seconds.
    """

    settings: GatewaySettings
    mapping: ReplyMapping
    url: str | None
    transport: httpx.AsyncBaseTransport
    files: FileReader
    wall: Callable[[], float] = time.time
    further_urls: tuple[str, ...] = ()
    _steps: tuple[Step, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the requests once for all polls."""
        steps = () if self.url is None else steps_of(self.mapping, self.settings, (self.url, *self.further_urls))
        object.__setattr__(self, "_steps", steps)  # the way to set a field of a frozen dataclass

    async def poll(self, credential: Credential, notes: Notes | None = None) -> Reading:
        """Read the quota once; every trouble, an own bug included, becomes a reading with a reason.

        `notes` are given to learn what each expression gave.
        """
        started = time.perf_counter()
        exchange = None
        outcome: Quota | Failure
        try:
            secrets, timeout = self._secrets(credential), self.settings.timeout
            exchange = Exchange(self.transport, self.mapping, secrets, timeout=timeout, wall=self.wall, notes=notes)
            outcome = await self._outcome(exchange, Notes() if notes is None else notes)
        except _NothingToSendError as error:
            outcome = Failure(error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - no bug in one poll may cost another gateway its series
            outcome = bug(self.settings.provider_id, error)
        return Reading(
            provider_id=self.settings.provider_id,
            key_source=credential.source,
            at=self.wall(),
            duration=time.perf_counter() - started,
            http_status=None if exchange is None else exchange.status,
            outcome=outcome,
        )

    async def _outcome(self, exchange: Exchange, notes: Notes) -> Quota | Failure:
        conversation = Conversation(exchange, self.mapping, notes, wall=self.wall)
        failure = await conversation.hold(self._steps)
        if failure is not None:
            return failure
        work = map_in_steps(
            self.mapping,
            conversation.replies,
            secrets=exchange.texts,
            now=self.wall(),
            max_buckets=self.settings.max_buckets,
            max_children=self.settings.max_children,
            notes=notes,
        )
        try:
            async with asyncio.timeout_at(exchange.deadline):
                outcome = await _in_turns(work)
        except TimeoutError:
            detail = f"the reply was not mapped within {self.settings.timeout:g} s; raise timeout"
            outcome = Failure(Reason.TIMEOUT, detail, dropped=notes.dropped)
        pause = conversation.pause
        if isinstance(outcome, Failure):
            return replace(outcome, retry_after=pause)
        return outcome if pause is None else replace(outcome, fresh_for=max(outcome.fresh_for, pause))

    def _secrets(self, credential: Credential) -> Secrets:
        if self.url is None:
            raise _NothingToSendError(Reason.NO_BASE_URL, "no base URL is known; set base_url")
        if credential.key is None:
            raise _NothingToSendError(Reason.NO_API_KEY, "no API key was found in any source")
        return Secrets(credential.key.get_secret_value(), self._extra_headers())

    def _extra_headers(self) -> dict[str, str]:
        headers = {}
        for name, value in self.settings.headers.items():
            if value.file is not None:
                headers[name] = self._secret_header(name, value.file)
            elif value.value is not None:
                headers[name] = value.value.get_secret_value()
        return headers

    def _secret_header(self, name: str, path: Path) -> str:
        try:
            text = self.files.read_text(path, max_bytes=MAX_SECRET_BYTES).strip()
        except FileProblem as problem:
            raise _NothingToSendError(Reason.NO_API_KEY, f"the file of header {name} {problem}") from None
        if not text or not is_header_value(text):
            raise _NothingToSendError(
                Reason.NO_API_KEY, f"the file of header {name} is blank or holds what a header cannot carry"
            )
        return text


async def _in_turns(work: Generator[None, None, Quota | Failure]) -> Quota | Failure:
    """Do the work step by step, others in between."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            outcome: Quota | Failure = end.value
            return outcome
        await asyncio.sleep(0)


class _NothingToSendError(Exception):
    """Something without which no request can be sent is not there."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def bug(provider_id: str, error: Exception) -> Failure:
    """Log where an exception that nobody foresaw came from; return the failure to show."""
    # The text of an unknown exception may quote a header: type and place must do.
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    place = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    _LOG.error("poll failed by a bug", extra={"provider_id": provider_id, "error": type(error).__name__, "at": place})
    return Failure(Reason.INTERNAL, f"a bug in the exporter ({type(error).__name__}); see its log")
