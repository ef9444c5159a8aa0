"""A list that a gateway gives page by page, put together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from quota_exporter.expression import Evaluation, Expression, Nothing
from quota_exporter.functions import items_of
from quota_exporter.numbers import parse_number
from quota_exporter.quota import Dropped, Problem, Reason
from quota_exporter.reply import BadReplyError
from quota_exporter.request_language import Pages

# Some gateways give the same page for 0 and 1, so one page of nothing new is not yet the end.
_MOST_REPEATED = 2


class PagedList:
    """The distinct items of the pages that came so far; `field` is the place of `pages` in the mapping."""

    def __init__(self, pages: Pages, field: str) -> None:
        self._pages = pages
        self._field = field
        self._count = 0
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
        """Add the items of the next page; BadReplyError when it holds no list."""
        evaluation = Evaluation(body, 0.0, {"": headers})
        items = self._items(evaluation, self._pages.items)
        known = len(self.items)
        for item in items:
            # sorted: an object is the same whatever the order of its members
            digest = hashlib.sha256(json.dumps(item, sort_keys=True).encode()).digest()
            if digest not in self._seen:
                self._seen.add(digest)
                self.items.append(item)
        if self._pages.total is not None:
            self._total = parse_number(evaluation.value(self._pages.total))
            self._lacks_total = self._lacks_total or self._total is None
        self._count += 1
        self._repeated = 0 if len(self.items) > known else self._repeated + 1
        is_last = len(items) < self._pages.size or self._repeated == _MOST_REPEATED
        self._is_whole = is_last or (self._total is not None and len(self.items) >= self._total)

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

    def _items(self, evaluation: Evaluation, expression: Expression) -> list[Any]:
        value = evaluation.value(expression)
        if isinstance(value, dict):
            return items_of(value)
        if isinstance(value, list):
            return value
        if value is None and expression.path is not None:
            return []
        what = "is not there" if isinstance(value, Nothing) else "is neither a list nor a map"
        raise BadReplyError(Reason.UNEXPECTED_SHAPE, f"`pages.items` ({expression.text}) {what}")
