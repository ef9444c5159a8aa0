"""Several requests for one quota: what each is sent, which may fail, and that they share one deadline."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given, strategies as st
from pydantic import SecretStr

from quota_exporter.credentials import Credential
from quota_exporter.document import parse_yaml
from quota_exporter.endpoints import request_urls
from quota_exporter.files import FileReader
from quota_exporter.gateway import Gateway
from quota_exporter.mapping_language import load_mapping
from quota_exporter.quota import Dropped, Failure, KeySource, Problem, Quota, Reading, Reason
from quota_exporter.reader import Notes
from quota_exporter.settings import GatewaySettings

NOW = 1_780_000_000.0
BASE = "https://h.example"
KEY = {"team": "t1", "limit": 10, "used": 4}
TEAM = {"limit": 100, "used": 50}

TWO = """
requests:
  - {id: key, path: /key}
  - {id: team, path: "/team/{team}", values: {team: key.team}%s}
buckets:
  - {kind: tokens, name: key, limit: key.limit, used: key.used}
  - {kind: tokens, name: team, where: team, limit: team.limit, used: team.used}
"""
REQUIRED = TWO % ""
OPTIONAL = TWO % ", optional: true"
PAGED = """
requests:
  - {id: key, path: /key}
  - {id: list, path: /list, optional: %s, pages: {query: page, size: 2, items: keys, max_pages: 3}}
buckets:
  - {kind: tokens, name: key, limit: key.limit, used: key.used}
  - {kind: requests, each: "list || `[]`", name_from: name, used: used}
"""


def gateway_of(mapping: str, handler: Callable[[httpx.Request], Any], **settings: Any) -> Gateway:
    """A gateway whose requests `handler` answers."""
    loaded = load_mapping(parse_yaml(f"name: some\n{dedent(mapping)}", Path("some.yaml")))
    checked = GatewaySettings.model_validate({"provider_id": "campus", "base_url": BASE} | settings)
    first, *others = request_urls(loaded, base_url=checked.base_url, quota_path=checked.quota_path)
    transport = httpx.MockTransport(handler)
    return Gateway(checked, loaded, first, transport, FileReader(), wall=lambda: NOW, further_urls=tuple(others))


def poll(gateway: Gateway, key: str = "sk-test") -> Reading:
    return asyncio.run(gateway.poll(Credential(SecretStr(key), KeySource.ENV, ())))


def answers(**replies: Any) -> respx.Router:
    """A router that answers below the first part of each path: a status, JSON, a response or an error."""
    router = respx.Router(assert_all_called=False)
    for name, reply in replies.items():
        route = router.route(url__regex=rf"{BASE}/{name}\b.*", name=name)
        if isinstance(reply, Exception):
            route.mock(side_effect=reply)
        elif isinstance(reply, list):
            route.mock(side_effect=[httpx.Response(200, json=item) for item in reply])
        elif isinstance(reply, httpx.Response):
            route.mock(return_value=reply)
        else:
            route.mock(
                return_value=httpx.Response(reply) if isinstance(reply, int) else httpx.Response(200, json=reply)
            )
    return router


def buckets(reading: Reading) -> list[str]:
    assert isinstance(reading.outcome, Quota), reading.outcome
    return [bucket.name for bucket in reading.outcome.buckets]


def sent(router: respx.Router) -> list[httpx.Request]:
    return [call.request for call in router.calls]


# Values of earlier replies


def test_values_of_an_earlier_reply_lead_to_the_next() -> None:
    """The second request follows the first, with what its reply says; both make one quota."""
    router = answers(key=KEY, team=TEAM)
    reading = poll(gateway_of(REQUIRED, router.async_handler))

    assert buckets(reading) == ["key", "team"]
    assert [str(request.url) for request in sent(router)] == [f"{BASE}/key", f"{BASE}/team/t1"]
    assert reading.outcome.dropped == ()


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("a b/c?d#e&f=g", "a%20b%2Fc%3Fd%23e%26f%3Dg"),
        ("ü%2F", "%C3%BC%252F"),
        ("..a", "..a"),
        ("{team}", "%7Bteam%7D"),
        (17, "17"),
    ],
)
def test_a_value_is_one_segment_of_the_path(value: Any, segment: str) -> None:
    """Whatever stands in a reply, it cannot lead to another path or add a query."""
    router = answers(key=KEY | {"team": value}, team=TEAM)
    assert buckets(poll(gateway_of(REQUIRED, router.async_handler))) == ["key", "team"]
    assert sent(router)[1].url.raw_path.decode() == f"/team/{segment}"


@pytest.mark.parametrize("value", [None, "", ".", "..", [], {}, True, "x" * 10_000, "\ud800"])
def test_a_value_that_cannot_be_sent_ends_the_poll(value: Any) -> None:
    """A request without which there is no quota is not made with nonsense; the reason names it."""
    body = json.dumps(KEY | {"team": value}).encode()
    router = answers(key=httpx.Response(200, content=body), team=TEAM)
    reading = poll(gateway_of(REQUIRED, router.async_handler))

    assert reading.outcome == Failure(
        Reason.UNEXPECTED_SHAPE, "requests[1] (team): an earlier reply lacks a value that the request needs"
    )
    assert len(sent(router)) == 1


@pytest.mark.parametrize("key", [KEY | {"team": None}, KEY | {"team": ".."}])
def test_an_optional_request_without_its_value_is_not_made(key: dict[str, Any]) -> None:
    """A key that belongs to no team has no team budget, and that is no problem."""
    router = answers(key=key, team=TEAM)
    reading = poll(gateway_of(OPTIONAL, router.async_handler))

    assert (buckets(reading), reading.outcome.dropped) == (["key"], ())
    assert len(sent(router)) == 1


def test_a_value_that_was_renamed_is_counted() -> None:
    """A reply without the member that leads to the next request is no key without a team."""
    reading = poll(gateway_of(OPTIONAL, answers(key={"limit": 10, "used": 4}, team=TEAM).async_handler))

    assert buckets(reading) == ["key"]
    assert reading.outcome.dropped == (Dropped(Problem.UNRESOLVED, "requests[1].values.team (key.team)"),)


def test_a_condition_decides_on_a_request() -> None:
    """`where` that does not hold skips a request in silence, also one that is not optional."""
    mapping = TWO % ", where: '!(key.personal)'"
    for personal, expected in ((True, ["key"]), (False, ["key", "team"])):
        router = answers(key=KEY | {"personal": personal, "team": None if personal else "t1"}, team=TEAM)
        reading = poll(gateway_of(mapping, router.async_handler))
        assert (buckets(reading), reading.outcome.dropped) == (expected, ())


def test_where_and_missing_value_are_told_apart() -> None:
    """A request that its condition asks for, and that lacks a value, is not passed over."""
    router = answers(key=KEY | {"team": None}, team=TEAM)
    failure = poll(gateway_of(TWO % ", where: key.limit", router.async_handler)).failure

    assert failure is not None
    assert failure.reason is Reason.UNEXPECTED_SHAPE


def test_values_stand_in_query_and_body() -> None:
    """Queries are encoded, bodies are JSON; constants go as they are."""
    mapping = """
    requests:
      - {id: key, path: /key, query: {full: "true", size: 5, "a b": "c&d"}}
      - {id: team, path: /team, method: POST, query: {id: "{team}"}, body: {ids: ["{team}"], n: 1}, values: {team: key.team}}
    buckets: [{kind: tokens, limit: team.limit, used: team.used}]
    """  # noqa: E501 - one request a line
    router = answers(key=KEY | {"team": 'a&b="c"'}, team=TEAM)
    assert buckets(poll(gateway_of(mapping, router.async_handler))) == ["default"]
    first, second = sent(router)

    assert first.url.query == b"full=true&size=5&a%20b=c%26d"
    assert (second.method, second.url.params["id"]) == ("POST", 'a&b="c"')
    assert json.loads(second.content) == {"ids": ['a&b="c"'], "n": 1}
    assert second.headers["content-type"] == "application/json"
    assert (first.method, first.content, first.headers.get("content-type")) == ("GET", b"", None)


@given(st.text(max_size=300) | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_any_value_stays_within_its_segment(value: Any) -> None:
    """For arbitrary values the second request, if there is one, stays on its host and below its path."""
    router = answers(key=httpx.Response(200, content=json.dumps(KEY | {"team": value}).encode()), team=TEAM)
    reading = poll(gateway_of(REQUIRED, router.async_handler))

    assert reading.failure is None or reading.failure.reason is Reason.UNEXPECTED_SHAPE
    for request in sent(router)[1:]:
        path, _, query = request.url.raw_path.decode().partition("?")
        assert (request.url.host, query, path.count("/")) == ("h.example", "", 2)
        assert path.startswith("/team/")
        assert path not in ("/team/", "/team/.", "/team/..")


# Headers


HEADERS = """
requests:
  - {id: key, path: /key, headers: {X-Version: "1", X-Org: mapping, User-Agent: theirs}}
  - {id: team, path: /team, auth: {header: X-Team-Key, scheme: ""}}
auth: {header: X-Key, scheme: Token}
buckets: [{kind: tokens, limit: key.limit, used: team.used}]
"""


def test_headers_of_the_mapping_come_before_the_entrys() -> None:
    """The mapping's headers go with their request alone, the entry's with all, and the entry's win."""
    router = answers(key=KEY, team=TEAM)
    poll(gateway_of(HEADERS, router.async_handler, headers={"x-org": "mine", "X-All": "a"}))
    first, second = (request.headers for request in sent(router))

    assert (first["x-version"], first.get_list("x-org"), first["user-agent"]) == ("1", ["mine"], "theirs")
    assert (second.get("x-version"), second["x-org"], second["x-all"]) == (None, "mine", "a")
    assert second["user-agent"].startswith("quota-exporter/")


def test_each_request_carries_the_key_its_own_way() -> None:
    """The request's `auth`, else the mapping's; the entry's goes before both, and the key stands nowhere else."""
    for settings, expected in (
        ({}, [("x-key", "Token sk-1"), ("x-team-key", "sk-1")]),
        ({"auth": {"header": "X-Own", "scheme": ""}}, [("x-own", "sk-1"), ("x-own", "sk-1")]),
    ):
        router = answers(key=KEY, team=TEAM)
        poll(gateway_of(HEADERS, router.async_handler, **settings), "sk-1")
        carried = [
            (name, value)
            for request in sent(router)
            for name, value in request.headers.multi_items()
            if "sk-1" in value
        ]
        assert carried == expected


# Requests that fail


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (500, Reason.SERVER_ERROR),
        (404, Reason.NOT_FOUND),
        (302, Reason.REDIRECT),
        (httpx.ConnectError("refused"), Reason.CONNECT),
        (httpx.Response(200, content=b"<html>"), Reason.NOT_JSON),
        (httpx.Response(200, json="text"), Reason.UNEXPECTED_SHAPE),
    ],
)
def test_a_required_request_that_fails_ends_the_poll(reply: Any, reason: Reason) -> None:
    """Half a quota is none; the reason is that of the request, which is named."""
    failure = poll(gateway_of(REQUIRED, answers(key=KEY, team=reply).async_handler)).failure

    assert failure is not None
    assert failure.reason is reason
    assert failure.detail.startswith("requests[1] (team): ")


def test_a_failing_first_request_is_the_only_one() -> None:
    """After a failure nothing more is sent."""
    router = answers(key=401, team=TEAM)
    reading = poll(gateway_of(REQUIRED, router.async_handler))

    assert reading.outcome == Failure(Reason.UNAUTHORIZED, "requests[0] (key): HTTP 401")
    assert (reading.http_status, len(sent(router))) == (401, 1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_optional_request_that_is_not_for_this_key_costs_nothing(status: int) -> None:
    """A key that may not read its team's budget is no problem of the mapping."""
    reading = poll(gateway_of(OPTIONAL, answers(key=KEY, team=status).async_handler))

    assert (buckets(reading), reading.outcome.dropped) == (["key"], ())


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (500, "server_error"),
        (429, "rate_limited"),
        (302, "redirect"),
        (httpx.ReadError("reset"), "connect"),
        (httpx.Response(200, content=b"{"), "not_json"),
        (httpx.Response(500, json={"error": "text of the gateway"}), "server_error"),
    ],
)
def test_an_optional_request_that_fails_is_counted(reply: Any, reason: str) -> None:
    """What it would have told is dropped in the open, in no words of the gateway; the rest of the quota stays."""
    reading = poll(gateway_of(OPTIONAL, answers(key=KEY, team=reply).async_handler))

    assert buckets(reading) == ["key"]
    assert reading.outcome.dropped == (Dropped(Problem.UNRESOLVED, f"requests[1] (team): {reason}"),)


def test_a_failure_is_not_taken_for_that_of_an_earlier_request() -> None:
    """A connection that breaks after an optional request was refused is counted."""
    mapping = """
    requests:
      - {id: key, path: /key}
      - {id: team, path: /team, optional: true}
      - {id: user, path: /user, optional: true}
    buckets: [{kind: tokens, limit: key.limit, used: key.used}]
    """
    router = answers(key=KEY, team=404, user=httpx.ReadError("reset"))
    dropped = poll(gateway_of(mapping, router.async_handler)).outcome.dropped

    assert [one.where.partition(":")[0] for one in dropped] == ["requests[2] (user)"]


def test_success_is_asked_of_each_reply() -> None:
    """An error envelope on HTTP 200 fails the request that got it; a request's own `success` goes before."""
    mapping = TWO % ", optional: true, success: 'has(@, `\"limit\"`)'" + "success: ok\nerror: message\n"
    good = poll(gateway_of(mapping, answers(key=KEY | {"ok": True}, team=TEAM).async_handler))
    bad_team = poll(gateway_of(mapping, answers(key=KEY | {"ok": True}, team={"message": "no"}).async_handler))
    bad_key = poll(gateway_of(mapping, answers(key=KEY | {"message": "no"}, team=TEAM).async_handler))

    assert buckets(good) == ["key", "team"]
    assert buckets(bad_team) == ["key"]
    (dropped,) = bad_team.outcome.dropped
    assert dropped.where == "requests[1] (team): error_reply"
    assert bad_key.failure is not None
    assert bad_key.failure.reason is Reason.ERROR_REPLY


def test_a_request_that_is_refused_for_a_while_pauses_the_gateway() -> None:
    """Retry-After of a required request counts, wherever in the row it stands."""
    busy = httpx.Response(429, headers={"Retry-After": "30"})
    failure = poll(gateway_of(REQUIRED, answers(key=KEY, team=busy).async_handler)).failure

    assert failure is not None
    assert (failure.reason, failure.retry_after) == (Reason.RATE_LIMITED, 30.0)


@pytest.mark.parametrize(("pause", "seconds"), [("30", 30.0), ("0", 0.0), ("soon", 0.0)])
def test_an_optional_request_that_is_refused_for_a_while_is_not_asked_sooner(pause: str, seconds: float) -> None:
    """The quota that could be read is reused as long as the gateway wants to be left alone."""
    busy = httpx.Response(429, headers={"Retry-After": pause})
    quota = poll(gateway_of(OPTIONAL, answers(key=KEY, team=busy).async_handler)).quota

    assert quota is not None
    assert quota.fresh_for == seconds


@pytest.mark.parametrize(("user", "reason"), [(500, Reason.SERVER_ERROR), ({}, Reason.UNEXPECTED_SHAPE)])
def test_a_failure_does_not_hide_the_pause(user: Any, reason: Reason) -> None:
    """A gateway that asked to be left alone is left alone also when a later request fails, or the mapping does."""
    mapping = """
    requests:
      - {id: key, path: /key}
      - {id: team, path: /team, optional: true}
      - {id: user, path: /user}
    buckets: [{kind: tokens, limit: user.limit, used: user.used}]
    """
    busy = httpx.Response(429, headers={"Retry-After": "30"})
    failure = poll(gateway_of(mapping, answers(key=KEY, team=busy, user=user).async_handler)).failure

    assert failure is not None
    assert (failure.reason, failure.retry_after) == (reason, 30.0)
    assert failure.dropped[0] == Dropped(Problem.UNRESOLVED, "requests[1] (team): rate_limited")


def test_a_server_name_is_for_its_own_host() -> None:
    """tls.server_name is for the gateway's certificate, not for that of another host."""
    mapping = """
    requests:
      - {id: other, url: "https://other.example/self"}
      - {id: key, path: /key}
      - {id: same, url: "https://h.example/same"}
    buckets: [{kind: tokens, limit: key.limit, used: key.used}]
    """
    router = answers(key=KEY, same=KEY)
    router.get("https://other.example/self").respond(json=KEY)
    poll(gateway_of(mapping, router.async_handler, tls={"server_name": "inner.example"}))

    assert [request.extensions.get("sni_hostname") for request in sent(router)] == [
        None,
        "inner.example",
        "inner.example",
    ]


@pytest.mark.parametrize("has_own", [True, False])
def test_headers_of_the_entry_stay_with_its_host(*, has_own: bool) -> None:
    """What an entry sends along may be a secret of its host; where a mapping asks other hosts alone, it is for them."""
    own = "- {id: key, path: /key}" if has_own else ""
    mapping = f"""
    requests:
      - {{id: other, url: "https://other.example/self"}}
      {own}
    buckets: [{{kind: tokens, limit: {"key.limit, used: key.used" if has_own else "limit, used: used"}}}]
    """
    router = answers(key=KEY)
    router.get("https://other.example/self").respond(json=KEY)
    poll(gateway_of(mapping, router.async_handler, headers={"X-Team": "copper"}))

    carried = [(request.url.host, request.headers.get("x-team")) for request in sent(router)]
    expected = [("other.example", None), ("h.example", "copper")] if has_own else [("other.example", "copper")]
    assert carried == expected


def test_host_that_cannot_be_a_name_fails_its_request() -> None:
    """An address of the mapping that DNS does not allow costs its own request only."""
    mapping = """
    requests:
      - {id: key, path: /key}
      - {id: other, url: "https://xn--0a.example/self", optional: true}
    buckets: [{kind: tokens, limit: key.limit, used: key.used}]
    """
    reading = poll(gateway_of(mapping, answers(key=KEY).async_handler))

    assert buckets(reading) == ["default"]
    assert [dropped.problem for dropped in reading.outcome.dropped] == [Problem.UNRESOLVED]


def test_the_status_is_that_of_the_last_reply() -> None:
    """A reading shows the HTTP status that came last, also before a connection that broke."""
    for team, status in ((TEAM, 200), (503, 503), (httpx.ReadError("reset"), 200)):
        assert poll(gateway_of(REQUIRED, answers(key=KEY, team=team).async_handler)).http_status == status


# The deadline


def hanging(path: str) -> Callable[[httpx.Request], Any]:
    """Answers all but requests to `path`, which never come back."""

    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith(path):
            await asyncio.get_running_loop().create_future()
        await turn()
        return httpx.Response(200, json=KEY if request.url.path == "/key" else TEAM)

    return handle


def advance(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the running loop's clock forward."""
    loop = asyncio.get_running_loop()
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + seconds)


async def turn() -> None:
    """Let all that is due at the loop happen once."""
    await asyncio.sleep(0)


def test_all_requests_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that comes back at once is too late when an earlier one has used up the time."""

    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/key":
            advance(60, monkeypatch)
        else:
            await turn()
        return httpx.Response(200, json=KEY if request.url.path == "/key" else TEAM)

    reading = poll(gateway_of(REQUIRED, handle, timeout="9s"))
    assert reading.outcome == Failure(Reason.TIMEOUT, "requests[1] (team): no whole reply within 9 s")


def test_an_optional_request_that_is_late_leaves_the_rest() -> None:
    """At the deadline the quota is made of the replies that are there."""
    reading = poll(gateway_of(OPTIONAL, hanging("/team"), timeout="50ms"))

    assert buckets(reading) == ["key"]
    assert reading.outcome.dropped == (Dropped(Problem.UNRESOLVED, "requests[1] (team): timeout"),)


def test_a_required_request_after_a_late_one_is_late() -> None:
    """An optional request that eats up the time does not get more of it for those behind it."""
    mapping = """
    requests:
      - {id: key, path: /key}
      - {id: team, path: /team, optional: true}
      - {id: user, path: /user}
    buckets: [{kind: tokens, limit: key.limit, used: user.used}]
    """
    failure = poll(gateway_of(mapping, hanging("/team"), timeout="50ms")).failure

    assert failure is not None
    assert (failure.reason, failure.detail) == (Reason.TIMEOUT, "requests[2] (user): no whole reply within 0.05 s")
    assert failure.dropped == (Dropped(Problem.UNRESOLVED, "requests[1] (team): timeout"),)


# Long lists of keys


MANY = """
path: /list
children: {each: keys, alias: name, buckets: [{kind: tokens, used: used}], max_children: 2000}
"""


def many() -> httpx.Response:
    return httpx.Response(200, json={"keys": [{"name": f"k{number}", "used": 1} for number in range(2000)]})


async def ask(gateway: Gateway) -> Reading:
    return await gateway.poll(Credential(SecretStr("sk-test"), KeySource.ENV, ()))


def test_others_get_their_turn_while_keys_are_mapped() -> None:
    """The list of a management key does not hold up scrapes and other polls until all of it is read."""

    async def turns() -> int:
        poll = asyncio.ensure_future(ask(gateway_of(MANY, answers(list=many()).async_handler)))
        taken = 0
        while not poll.done():
            taken += 1
            await turn()
        quota = (await poll).quota
        assert quota is not None
        assert len(quota.children or ()) == 2000
        return taken

    assert asyncio.run(turns()) > 50


def test_mapping_of_keys_ends_with_its_poll() -> None:
    """A poll that is cancelled while a long list is mapped ends at once, and leaves no thread behind."""

    async def work() -> None:
        answered = asyncio.Event()
        threads = threading.active_count()

        def handle(_request: httpx.Request) -> httpx.Response:
            answered.set()
            return many()

        poll = asyncio.ensure_future(ask(gateway_of(MANY, handle)))
        await answered.wait()
        assert not poll.done()
        poll.cancel()
        await turn()
        await turn()
        assert poll.cancelled()
        assert threading.active_count() == threads

    asyncio.run(work())


def test_the_deadline_is_also_that_of_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that takes longer to map than the timeout allows is a timeout."""

    def handle(_request: httpx.Request) -> httpx.Response:
        advance(60, monkeypatch)
        return many()

    failure = poll(gateway_of(MANY, handle, timeout="9s")).failure
    assert failure is not None
    assert (failure.reason, failure.detail) == (Reason.TIMEOUT, "the reply was not mapped within 9 s; raise timeout")


# Pages


def keys(*names: str) -> dict[str, Any]:
    return {"keys": [{"name": name, "used": 1} for name in names]}


def test_pages_become_one_reply() -> None:
    """The expressions see the list of all items; each page is asked for with the query it needs."""
    router = answers(key=KEY, list=[keys("a", "b"), keys("c")])
    reading = poll(gateway_of(PAGED % "false", router.async_handler))

    assert buckets(reading) == ["key", "a", "b", "c"]
    assert [request.url.query for request in sent(router)] == [b"", b"page=1", b"page=2"]


def test_a_list_is_whole_or_it_fails() -> None:
    """A page that fails takes the list with it: half a list would let the other half vanish."""
    for second in (httpx.Response(500), httpx.Response(200, json={"nothing": 1}), httpx.Response(200, json="text")):
        for optional in ("false", "true"):
            router = answers(key=KEY)
            router.get(url__regex=rf"{BASE}/list.*").mock(
                side_effect=[httpx.Response(200, json=keys("a", "b")), second]
            )
            reading = poll(gateway_of(PAGED % optional, router.async_handler))
            if optional == "true":
                assert buckets(reading) == ["key"]
                assert [dropped.problem for dropped in reading.outcome.dropped] == [Problem.UNRESOLVED]
            else:
                assert reading.failure is not None
                assert reading.failure.detail.startswith("requests[1] (list): ")


def test_a_list_beyond_max_pages_is_counted() -> None:
    """What is not asked for any more is dropped in the open."""
    router = answers(key=KEY, list=[keys("a", "b"), keys("c", "d"), keys("e", "f")])
    reading = poll(gateway_of(PAGED % "false", router.async_handler))

    assert len(buckets(reading)) == 7
    assert reading.outcome.dropped == (Dropped(Problem.TOO_MANY, "requests[1].pages.max_pages"),)


def test_success_is_asked_of_each_page() -> None:
    """An error envelope in place of a page is the reason."""
    mapping = (PAGED % "false") + "success: '!error'\nerror: error\n"
    router = answers(key=KEY, list=[keys("a", "b"), {"error": "slow down"}])
    failure = poll(gateway_of(mapping, router.async_handler)).failure

    assert failure is not None
    assert failure.reason is Reason.ERROR_REPLY
    assert "slow down" in failure.detail


@pytest.mark.parametrize(("size", "reason"), [(1_900_000, None), (2_200_000, Reason.TOO_LARGE)])
def test_a_page_may_be_larger_than_a_reply(size: int, reason: Reason | None) -> None:
    """A hundred keys with all their settings are more than what one key's quota may be, up to 2 MiB."""
    body = json.dumps(keys("a") | {"more": "x" * size}).encode()
    router = answers(key=KEY, list=httpx.Response(200, content=body))
    failure = poll(gateway_of(PAGED % "false", router.async_handler)).failure

    assert (None if failure is None else failure.reason) is reason


def test_others_get_their_turn_between_pages() -> None:
    """A list of many pages, all there at once, does not hold up the loop until it is read."""

    async def turns() -> int:
        taken = 0

        async def others() -> None:
            nonlocal taken
            while True:
                taken += 1
                await asyncio.sleep(0)

        ticker = asyncio.ensure_future(others())
        router = answers(key=KEY, list=[keys("a", "b"), keys("c", "d"), keys("e", "f")])
        await gateway_of(PAGED % "false", router.async_handler).poll(Credential(SecretStr("k"), KeySource.ENV, ()))
        ticker.cancel()
        return taken

    assert asyncio.run(turns()) >= 2


# What each expression gave


def test_what_the_expressions_of_requests_gave_can_be_asked_for() -> None:
    """Those that decide on requests, pages and errors are told with their place, beside those of the buckets."""
    mapping = TWO % ", where: key.limit, optional: true" + "success: '!bad'\nerror: message\n"
    notes = Notes(evaluated=[])
    gateway = gateway_of(mapping, answers(key=KEY, team=httpx.Response(500, json={"message": "no"})).async_handler)
    asyncio.run(gateway.poll(Credential(SecretStr("sk-test"), KeySource.ENV, ()), notes))

    told = [(one.field, one.value) for one in notes.evaluated or ()]
    assert told[:5] == [
        ("success", True),
        ("requests[1].where", 10),
        ("requests[1].values.team", "t1"),
        ("error", "no"),
        ("buckets[0].limit", 10),
    ]


# Keys of other people


def test_the_key_is_in_no_reading_of_several_requests(canary: str, caplog: pytest.LogCaptureFixture) -> None:
    """However the gateway echoes the key, also as a value for the next request, no reading and no log holds it."""
    caplog.set_level("DEBUG")
    echo = {"error": {"message": f"bad key {canary}"}}
    mapping = OPTIONAL + "error: error.message\nsuccess: '!error'\nkey_name: key.team\n"
    for key, team in ((KEY, echo), (echo, TEAM), (KEY | {"team": canary}, TEAM), (KEY | {"team": canary}, 500)):
        gateway = gateway_of(mapping, answers(key=key, team=team).async_handler)
        reading = poll(gateway, canary)
        assert canary not in repr(reading) + repr(gateway) + caplog.text


def test_a_secret_of_the_mapping_is_shown_nowhere(canary: str, caplog: pytest.LogCaptureFixture) -> None:
    """A token in a request's own headers is as secret as the key: in names, aliases, messages, notes and logs."""
    caplog.set_level("DEBUG")
    headers = f"headers: {{X-Token: 'Token {canary}'}}"
    mapping = f"""
    requests:
      - {{id: key, path: /key}}
      - {{id: team, path: /team, {headers}, optional: %s}}
    key_name: key.name
    success: "!error"
    error: error.message
    buckets:
      - {{kind: tokens, limit: key.limit, used: key.used}}
      - {{each: "team.names || `[]`", kind: requests, name_from: name, used: used}}
    children: {{each: "key.keys || `[]`", alias: name, buckets: [{{kind: tokens, used: used}}]}}
    """
    names = [{"name": text, "used": 1} for text in (canary, f"for {canary}", f"{canary[:6]}...{canary[-6:]}")]
    echo = {"error": {"message": f"bad token {canary}"}}
    key = KEY | {"name": canary, "keys": names}
    for team in ({"names": names}, echo, httpx.Response(401, json=echo), httpx.Response(500, json=echo)):
        for optional in ("true", "false"):
            gateway = gateway_of(mapping % optional, answers(key=key, team=team).async_handler)
            shown = repr(poll(gateway)) + repr(gateway) + caplog.text
            assert canary not in shown
            assert canary[-6:] not in shown


def test_max_children_is_the_entrys() -> None:
    """The entry's limit on the keys of a management key goes before the mapping's."""
    mapping = """
    path: /list
    children: {each: keys, alias: name, buckets: [{kind: tokens, used: used}], max_children: 2}
    """
    for settings, expected in (({}, 2), ({"max_children": 3}, 3), ({"max_children": 1}, 1)):
        reading = poll(gateway_of(mapping, answers(list=keys("a", "b", "c")).async_handler, **settings))
        assert reading.quota is not None
        assert reading.quota.children is not None
        assert len(reading.quota.children) == expected


def test_a_gateway_is_what_it_is_made_of() -> None:
    """A copy with another mapping asks what that mapping asks."""
    router = answers(key=KEY, team=TEAM)
    gateway = gateway_of(REQUIRED, router.async_handler)
    other = load_mapping(
        parse_yaml("name: other\npath: /x\nbuckets: [{kind: tokens, limit: limit, used: used}]", Path("o"))
    )
    changed = dataclasses.replace(gateway, mapping=other, further_urls=())

    assert buckets(poll(changed)) == ["default"]
    assert [request.url.path for request in sent(router)] == ["/key"]
