"""A list that comes in pages is whole, without repeats, and says so when it is not."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from quota_exporter import paging
from quota_exporter.paging import PagedList
from quota_exporter.quota import Dropped, Problem, Reason
from quota_exporter.reader import Notes
from quota_exporter.reply import BadReplyError
from quota_exporter.request_language import Pages


def read(bodies: list[Any], **settings: Any) -> tuple[list[int], PagedList]:
    """Add replies until the list is at its end: the pages that were asked for, and the list."""
    pages = Pages.model_validate({"query": "page", "size": 2, "items": "keys"} | settings)
    listed = PagedList(pages, "requests[0].pages", "list")
    asked = []
    for body in bodies:
        asked.append(listed.next_page)
        listed.add(body, {})
        if listed.is_at_end:
            return asked, listed
    raise AssertionError("the list wants more pages than there are")


def page(*names: Any, **more: Any) -> dict[str, Any]:
    return {"keys": [{"name": name} for name in names], **more}


def names(listed: PagedList) -> list[Any]:
    return [item["name"] for item in listed.items]


@pytest.mark.parametrize(
    ("settings", "asked"),
    [({}, [1, 2, 3]), ({"first": 0}, [0, 1, 2]), ({"first": 0, "step": 100}, [0, 100, 200])],
)
def test_pages_are_asked_for_until_one_is_not_full(settings: dict[str, Any], asked: list[int]) -> None:
    """Page numbers and offsets go up from `first` by `step`; a page with fewer than `size` items is the last."""
    pages, listed = read([page("a", "b"), page("c", "d"), page("e")], **settings)

    assert (pages, names(listed), listed.dropped()) == (asked, ["a", "b", "c", "d", "e"], [])


def test_an_empty_page_ends_a_list_of_full_ones() -> None:
    """When the last page is just full, one empty page tells so."""
    asked, listed = read([page("a", "b"), page()])

    assert (asked, names(listed), listed.dropped()) == ([1, 2], ["a", "b"], [])


def test_the_total_saves_the_last_question() -> None:
    """With as many items as the reply says there are, no further page is asked for."""
    asked, listed = read([page("a", "b", all=4), page("c", "d", all="4")], total="all")

    assert (asked, names(listed), listed.dropped()) == ([1, 2], ["a", "b", "c", "d"], [])


def test_items_count_once() -> None:
    """A gateway that gives the same for page 0 and 1 lists no key twice; the order of members makes no difference."""
    again = {"keys": [{"name": "a", "used": 1}, {"used": 1, "name": "b"}]}
    first = {"keys": [{"used": 1, "name": "a"}, {"name": "b", "used": 1}]}
    asked, listed = read([first, again, page("c")], first=0)

    assert (asked, names(listed)) == ([0, 1, 2], ["a", "b", "c"])


def test_values_of_other_types_are_other_items() -> None:
    """1, 1.0, true and "1" are not the same."""
    _, listed = read([page(*[1, 1.0, True, "1"]), page()], size=9)

    assert len(listed.items) == 4


def test_a_gateway_that_ignores_the_page_is_asked_three_times() -> None:
    """The same page over and over does not lead to max_pages requests."""
    asked, listed = read([page("a", "b")] * 3)

    assert (asked, names(listed), listed.dropped()) == ([1, 2, 3], ["a", "b"], [])


def test_a_list_that_is_too_long_is_cut_and_counted() -> None:
    """After max_pages the rest is dropped, and counted as far as the reply tells how much it is."""
    bodies = [page(2 * number, 2 * number + 1, all=10) for number in range(9)]
    for settings, count in (({}, 1), ({"total": "all"}, 4)):
        asked, listed = read(bodies, max_pages=3, **settings)
        assert (len(asked), len(listed.items)) == (3, 6)
        assert listed.dropped() == [Dropped(Problem.TOO_MANY, "requests[0].pages.max_pages", count)]


@pytest.mark.parametrize("total", [{}, {"total": "all"}])
def test_a_gateway_may_give_smaller_pages(total: dict[str, str]) -> None:
    """What a gateway gives at once may be less than it is asked for: its first page says how much that is."""
    bodies = [page("a", "b", all=5), page("c", "d", all=5), page("e", all=5)]
    asked, listed = read(bodies, size=100, **total)

    assert (asked, names(listed), listed.dropped()) == ([1, 2, 3], ["a", "b", "c", "d", "e"], [])


def test_a_list_that_ends_before_its_total_is_counted() -> None:
    """Items that no page holds are not missing in silence."""
    _, listed = read([page("a", all=5), page(all=5)], total="all")

    assert listed.dropped() == [
        Dropped(Problem.UNRESOLVED, "requests[0].pages.items (fewer than total says)", 4),
    ]


@pytest.mark.parametrize("total", [{}, {"all": None}, {"all": "many"}, {"all": True}, {"all": []}])
def test_a_total_that_is_none_is_counted(total: dict[str, Any]) -> None:
    """Without its total the list is read by the size of its pages."""
    asked, listed = read([page("a", "b", **total), page("c", **total)], total="all")

    assert (asked, names(listed)) == ([1, 2], ["a", "b", "c"])
    assert listed.dropped() == [Dropped(Problem.UNRESOLVED, "requests[0].pages.total")]


def test_the_reply_may_be_the_list_itself() -> None:
    """`@` stands for the whole page, which may be a map of items too."""
    _, plain = read([[{"name": "a"}], []], items="@")
    _, by_name = read([{"a": {"used": 1}}, {}], items="@")

    assert plain.items == [{"name": "a"}]
    assert by_name.items == [{"key": "a", "value": {"used": 1}}]


def test_null_is_an_empty_list() -> None:
    """Gateways written in Go send null for a list without items."""
    assert read([{"keys": None}])[1].items == []


@pytest.mark.parametrize(
    ("body", "items"),
    [
        ({}, "keys"),
        ({"keys": 5}, "keys"),
        ({"keys": "a"}, "keys"),
        ([], "keys"),
        ({}, "keys[*].name"),
        ({}, "keys || a"),
    ],
)
def test_a_page_without_a_list_is_no_empty_page(body: Any, items: str) -> None:
    """A member that is gone or renamed must not read as: there are no keys any more."""
    with pytest.raises(BadReplyError, match=r"^`pages\.items` \(") as caught:
        read([body], items=items)
    assert caught.value.reason is Reason.UNEXPECTED_SHAPE


def test_a_page_that_is_too_long_is_refused() -> None:
    """A gateway that does not cut its list into pages of about the size is not read a thousand times over."""
    assert read([page("a", "b", "c", "d"), page()])[1].items
    with pytest.raises(BadReplyError) as caught:
        read([page(*"abcde")])
    assert caught.value.reason is Reason.TOO_LARGE
    assert caught.value.detail == "a page has 5 items, more than 2 times the `pages.size` of 2"


def test_a_list_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many large pages together do not fill the memory; what came twice is held once."""
    monkeypatch.setattr(paging, "MAX_LIST_BYTES", 1 << 20)
    large = "x" * 400_000
    again = page(f"a{large}", f"b{large}")
    assert len(read([again, again, page("c"), page()])[1].items) == 3
    with pytest.raises(BadReplyError) as caught:
        read([again, page(f"c{large}", "d")])
    assert (caught.value.reason, caught.value.detail) == (
        Reason.TOO_LARGE,
        "all pages together are larger than 1 MiB",
    )


def test_headers_of_a_page_are_those_of_its_request() -> None:
    """`header('x', 'id')` means the page itself."""
    pages = Pages.model_validate({"query": "p", "size": 2, "items": "@", "total": "header('x-total', 'list')"})
    listed = PagedList(pages, "requests[0].pages", "list")
    listed.add([1], {"x-total": "1"})

    assert (listed.is_at_end, listed.dropped()) == (True, [])


def test_what_the_first_page_gave_can_be_asked_for() -> None:
    """The expressions are told once, not for each page."""
    notes = Notes(evaluated=[])
    pages = Pages.model_validate({"query": "p", "size": 2, "items": "keys", "total": "all"})
    listed = PagedList(pages, "requests[0].pages", "list", notes)
    listed.add(page("a", "b", all=3), {})
    listed.add(page("c", all=3), {})

    assert [(one.field, one.value) for one in notes.evaluated or ()] == [
        ("requests[0].pages.items", [{"name": "a"}, {"name": "b"}]),
        ("requests[0].pages.total", 3),
    ]


def test_a_long_list_is_put_together_quickly() -> None:
    """Repeats are found without comparing each item with each other one."""
    numbers = itertools.count()
    bodies = [page(*(next(numbers) for _ in range(100))) for _ in range(100)]
    asked, listed = read([*bodies, page()], size=100, max_pages=200)

    assert (len(asked), len(listed.items)) == (101, 10_000)


@pytest.mark.parametrize("total", [0, 1])
def test_a_total_below_what_came_is_no_total(total: int) -> None:
    """A number that counts something else does not end the list, and the list is not called whole."""
    pages, listed = read([page("a", "b", count=total), page("c", "d", count=total), page(count=total)], total="count")

    assert (pages, names(listed)) == ([1, 2, 3], ["a", "b", "c", "d"])
    assert listed.dropped() == [Dropped(Problem.UNRESOLVED, "requests[0].pages.total")]
