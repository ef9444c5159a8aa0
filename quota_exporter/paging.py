"""A list that a gateway gives page by page, put together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from quota_exporter.expression import Evaluation, Expression, Nothing
from quota_exporter.numbers import parse_number
from quota_exporter.quota import Dropped, Problem, Reason
from quota_exporter.reader import Notes, Reader, rows
from quota_exporter.reply import BadReplyError
from quota_exporter.request_language import Pages

# Some gateways give the same page for 0 and 1, so one page of nothing new is not yet the end.
_MOST_REPEATED = 2

MAX_LIST_BYTES = 64 * 1024 * 1024
# Some gateways give a few more items than they were asked for.
_MOST_OF_SIZE = 2


class PagedList:
    """The distinct items of the pages that came so far.

    `field` is the place of `pages` in the mapping, as in `requests[0].pages`. `notes` are given to learn what the
    expressions gave for the first page.
    """

    def __init__(self, pages: Pages, field: str, request_id: str, notes: Notes | None = None) -> None:
        self._pages = pages
        self._field = field
        self._request_id = request_id
        self._notes = Notes() if notes is None else notes.apart()
        self._count = 0
        self._bytes = 0
        self._size_of_first = 0
        self._repeated = 0
        self._total: float | None = None
        self._lacks_total = False
        self._seen: set[bytes] = set()
        self.items: list[Any] = []
        self._is_whole = False

    @property
    def next_page(self) -> int:
        """What the query parameter says for the page to ask for now."""
        return self._pages.first + self._count * self._pages.step

    @property
    def is_at_end(self) -> bool:
        """Whether no further page is to be asked for."""
        return self._is_whole or self._count == self._pages.max_pages

    def add(self, body: Any, headers: Mapping[str, str]) -> None:
        """Add the items of the next page; BadReplyError when it holds no list, or one that is too large."""
        reader = Reader(Evaluation(body, 0.0, {self._request_id: headers}), 0.0, self._notes)
        self._notes = Notes()
        items = self._items(reader, self._pages.items)
        if len(items) > _MOST_OF_SIZE * self._pages.size:
            what = (
                f"a page has {len(items)} items, more than {_MOST_OF_SIZE} times the `pages.size` of {self._pages.size}"
            )
            raise BadReplyError(Reason.TOO_LARGE, what)
        known = len(self.items)
        for item in items:
            self._add(item)
        if self._pages.total is not None:
            self._total = parse_number(reader.raw(self._pages.total, f"{self._field}.total"))
            if self._total is not None and self._total < len(self.items):
                self._total = None  # it counts something else
            self._lacks_total = self._lacks_total or self._total is None
        self._count += 1
        if self._count == 1:
            # the gateway may give fewer at once than it is asked for
            self._size_of_first = len(items)
        self._repeated = 0 if len(self.items) > known else self._repeated + 1
        # how many there are in all tells more than how many came at once
        is_last = not items if self._total is not None else len(items) < max(1, self._size_of_first)
        is_complete = self._total is not None and len(self.items) >= self._total
        self._is_whole = is_last or is_complete or self._repeated == _MOST_REPEATED

    def dropped(self) -> list[Dropped]:
        """What the list lacks at its end."""
        found = []
        if self._lacks_total:
            found.append(Dropped(Problem.UNRESOLVED, f"{self._field}.total"))
        missing = 0 if self._total is None else max(0, round(self._total) - len(self.items))
        if not self._is_whole:
            found.append(Dropped(Problem.TOO_MANY, f"{self._field}.max_pages", max(1, missing)))
        elif missing:
            found.append(Dropped(Problem.UNRESOLVED, f"{self._field}.items (fewer than total says)", missing))
        return found

    def _add(self, item: Any) -> None:
        # sorted: an object is the same whatever the order of its members
        text = json.dumps(item, sort_keys=True).encode()
        digest = hashlib.sha256(text).digest()
        if digest in self._seen:
            return
        self._bytes += len(text)
        if self._bytes > MAX_LIST_BYTES:
            raise BadReplyError(Reason.TOO_LARGE, f"all pages together are larger than {MAX_LIST_BYTES >> 20} MiB")
        self._seen.add(digest)
        self.items.append(item)

    def _items(self, reader: Reader, expression: Expression) -> list[Any]:
        value = reader.raw(expression, f"{self._field}.items")
        items = rows(value, expression)
        if items is not None:
            return items
        what = "is not there" if isinstance(value, Nothing) else "is neither a list nor a map"
        raise BadReplyError(Reason.UNEXPECTED_SHAPE, f"`pages.items` ({expression.text}) {what}")
