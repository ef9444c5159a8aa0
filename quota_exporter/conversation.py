"""All requests of one poll, made in the order of the mapping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from quota_exporter.exchange import Exchange
from quota_exporter.mapping import Reply, check_reply, request_values
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.outgoing import Step
from quota_exporter.paging import PagedList
from quota_exporter.quota import Dropped, Failure, Problem, Reason
from quota_exporter.reply import BadReplyError
from quota_exporter.request_language import Pages

_NOT_FOR_THIS_KEY = (401, 403, 404)


class Conversation:
    """What came of the requests so far: `replies` by request id, and in `dropped` what optional ones lost.

    `secrets` are the texts that the requests carry; `wall` gives Unix seconds.
    """

    def __init__(
        self, exchange: Exchange, mapping: ReplyMapping, *, secrets: tuple[str, ...], wall: Callable[[], float]
    ) -> None:
        self._exchange = exchange
        self._mapping = mapping
        self._secrets = secrets
        self._wall = wall
        self.replies: dict[str, Reply] = {}
        self.dropped: list[Dropped] = []

    async def hold(self, steps: Sequence[Step]) -> Failure | None:
        """Make the requests; return the failure of one without which there is no quota."""
        for step in steps:
            failure = await self._make(step)
            if failure is not None:
                return failure if len(steps) == 1 else _of(step, failure)
        return None

    async def _make(self, step: Step) -> Failure | None:
        request = step.request
        values: dict[str, str] | None = {}
        if request.where is not None or request.values:
            now = self._wall()
            if request_values(step.condition, self.replies, now=now) is None:
                return None
            values = request_values(request, self.replies, now=now)
        if values is None or not step.can_carry(values):
            if request.optional:
                return None
            return Failure(Reason.UNEXPECTED_SHAPE, "an earlier reply lacks a value that the request needs")
        if request.pages is None:
            outcome = await self._reply(step, values)
        else:
            outcome = await self._list(step, request.pages, values)
        if isinstance(outcome, Reply):
            self.replies[request.id] = outcome
        elif not request.optional:
            return outcome
        elif self._exchange.last_status not in _NOT_FOR_THIS_KEY:
            self.dropped.append(Dropped(Problem.UNRESOLVED, _of(step, outcome).detail))
        return None

    async def _reply(self, step: Step, values: dict[str, str], page: int | None = None) -> Reply | Failure:
        outcome = await self._exchange.send(step, values, page)
        if isinstance(outcome, Failure):
            return outcome
        return check_reply(self._mapping, step.request, outcome, secrets=self._secrets) or outcome

    async def _list(self, step: Step, pages: Pages, values: dict[str, str]) -> Reply | Failure:
        listed = PagedList(pages, f"{step.place}.pages")
        while True:
            outcome = await self._reply(step, values, listed.next_page)
            if isinstance(outcome, Failure):
                return outcome
            try:
                listed.add(outcome.body, outcome.headers)
            except BadReplyError as error:
                return Failure(error.reason, error.detail)
            if listed.is_at_end:
                self.dropped += listed.dropped()
                return replace(outcome, body=listed.items)
            await asyncio.sleep(0)  # a large page takes long to read: others get their turn


def _of(step: Step, failure: Failure) -> Failure:
    return replace(failure, detail=f"{step.label}: {failure.detail}")
