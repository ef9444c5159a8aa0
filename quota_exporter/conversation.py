"""All requests of one poll, made in the order of the mapping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from quota_exporter.exchange import Exchange
from quota_exporter.mapping import Reply, check_reply, is_asked_for, request_values
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.outgoing import Step
from quota_exporter.paging import PagedList
from quota_exporter.quota import Dropped, Failure, Problem, Reason
from quota_exporter.reader import Notes
from quota_exporter.reply import BadReplyError
from quota_exporter.request_language import Pages, Request

_NOT_FOR_THIS_KEY = (401, 403, 404)


class Conversation:
    """What came of the requests so far: `replies` by request id; what was lost is in the notes.

    `wall` gives Unix seconds. `pause` is how many seconds the gateway asked to be left alone in answer to an optional
    request, None when it did not.
    """

    def __init__(self, exchange: Exchange, mapping: ReplyMapping, notes: Notes, *, wall: Callable[[], float]) -> None:
        self._exchange = exchange
        self._mapping = mapping
        self._notes = notes
        self._wall = wall
        self.replies: dict[str, Reply] = {}
        self.pause: float | None = None

    async def hold(self, steps: Sequence[Step]) -> Failure | None:
        """Make the requests; return the failure of one without which there is no quota."""
        for step in steps:
            failure = await self._make(step)
            if failure is not None:
                self._note(failure.dropped)
                detail = failure.detail if len(steps) == 1 else f"{_label(step.place, step.request)}: {failure.detail}"
                return Failure(
                    failure.reason, detail, longest_pause(self.pause, failure.retry_after), self._notes.dropped
                )
        return None

    async def _make(self, step: Step) -> Failure | None:
        request, now = step.request, self._wall()
        if not is_asked_for(request, self.replies, step.place, now=now, notes=self._notes):
            return None
        values = request_values(request, self.replies, step.place, now=now, notes=self._notes)
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
            self.pause = longest_pause(self.pause, outcome.retry_after)
            self._note((lost_reply(step.place, request, outcome),))
        return None

    async def _reply(self, step: Step, values: dict[str, str], page: int | None = None) -> Reply | Failure:
        outcome = await self._exchange.send(step, values, page)
        if isinstance(outcome, Failure):
            return outcome
        texts = self._exchange.texts
        return check_reply(self._mapping, step.request, outcome, secrets=texts, notes=self._notes) or outcome

    async def _list(self, step: Step, pages: Pages, values: dict[str, str]) -> Reply | Failure:
        listed = PagedList(pages, f"{step.place}.pages", step.request.id, self._notes)
        while True:
            outcome = await self._reply(step, values, listed.next_page)
            if isinstance(outcome, Failure):
                return outcome
            try:
                listed.add(outcome.body, outcome.headers)
            except BadReplyError as error:
                return Failure(error.reason, error.detail)
            if listed.is_at_end:
                dropped = listed.dropped()
                self._note(dropped)
                return replace(outcome, body=listed.items, is_whole=not dropped)
            await asyncio.sleep(0)  # a large page takes long to read: others get their turn

    def _note(self, dropped: Iterable[Dropped]) -> None:
        for one in dropped:
            self._notes.drop(one.problem, one.where, count=one.count)


def lost_reply(place: str, request: Request, failure: Failure) -> Dropped:
    """Return what is told of an optional request that failed, without the text of its reply."""
    return Dropped(Problem.UNRESOLVED, f"{_label(place, request)}: {failure.reason}")


def longest_pause(one: float | None, other: float | None) -> float | None:
    """Return the longer of two pauses in seconds, either of which may not be asked for."""
    return max((pause for pause in (one, other) if pause is not None), default=None)


def _label(place: str, request: Request) -> str:
    return f"{place} ({request.id})"
