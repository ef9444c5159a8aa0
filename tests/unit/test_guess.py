"""Presets tried on an address that nobody has described yet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from pydantic import SecretStr

from quota_exporter import frugal, guess as guess_module
from quota_exporter.document import parse_yaml
from quota_exporter.files import FileReader
from quota_exporter.guess import MAX_REQUESTS, Guess, GuessError, entry_of, guess
from quota_exporter.mapping_language import load_mapping
from quota_exporter.presets import load_preset, preset_names
from quota_exporter.quota import Failure, Reason
from quota_exporter.transport import Route

FIXTURES = Path(__file__).parents[1] / "fixtures"
HOST = "https://llm.example.edu"
KEY = "key-of-campus-0123"
QUOTA = {"tokens": {"limit": 5, "used": 1, "remaining": 4}}


def fixture(preset: str, name: str = "full") -> Any:
    return json.loads((FIXTURES / preset / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(name="origins")
def _origins() -> set[str]:
    """All origins that were connected to."""
    return set()


@pytest.fixture(name="router")
def _router(monkeypatch: pytest.MonkeyPatch, origins: set[str]) -> Iterator[respx.Router]:
    """Answers with 404 what no route answers; everything that was asked only reads."""
    router = respx.Router(assert_all_called=False)

    async def handle(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        return await router.async_handler(request)

    def open_transport(route: Route) -> httpx.MockTransport:
        origins.add(route.origin)
        return httpx.MockTransport(handle)

    monkeypatch.setattr(frugal, "open_transport", open_transport)
    yield router
    assert len(router.calls) <= MAX_REQUESTS


def answer(router: respx.Router, replies: dict[str, Any]) -> None:
    """Answer these URLs with these replies, all others with 404."""
    for url, reply in replies.items():
        router.get(url).respond(json=reply)
    router.route().respond(404, json={"error": {"message": "no such page"}})


def try_on(url: str) -> Guess:
    return asyncio.run(guess(url, SecretStr(KEY), FileReader()))


def paths(router: respx.Router) -> list[str]:
    return [call.request.url.raw_path.decode() for call in router.calls]


def reason(found: Guess, number: int) -> Reason | None:
    outcome = found.attempts[number].reading.outcome
    return outcome.reason if isinstance(outcome, Failure) else None


FAKES: dict[str, dict[str, Any]] = {
    "neutral": {f"{HOST}/v1/quota": QUOTA},
    "litellm": {
        f"{HOST}/key/info": fixture("litellm", "recorded_team")["key"],
        f"{HOST}/team/info": fixture("litellm", "recorded_team")["team"],
    },
    "new-api": {f"{HOST}/api/usage/token/": fixture("new-api")},
    "openrouter": {f"{HOST}/v1/key": fixture("openrouter")},
    "bifrost": {f"{HOST}/api/governance/virtual-keys/quota": fixture("bifrost")},
    "sub2api": {f"{HOST}/v1/usage": fixture("sub2api")},
    "one-api": {
        f"{HOST}/v1/dashboard/billing/subscription": fixture("one-api")["subscription"],
        f"{HOST}/v1/dashboard/billing/usage": fixture("one-api")["usage"],
    },
}


@pytest.mark.parametrize("preset", [name for name in FAKES if name != "one-api"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_finds_by_the_base_url(router: respx.Router, preset: str, slash: str) -> None:
    """A gateway that people run themselves is found by its base URL, with or without a slash at the end."""
    answer(router, FAKES[preset])
    best = try_on(f"{HOST}/v1{slash}").best
    assert best is not None
    assert (best.mapping.name, best.base_url, best.quota_path, best.problems) == (preset, f"{HOST}/v1", None, 0)


@pytest.mark.parametrize("preset", [name for name in FAKES if name not in ("one-api", "openrouter")])
def test_finds_by_the_host_alone(router: respx.Router, preset: str) -> None:
    """Without /v1 it is found too, and the base URL that is proposed is one where the quota is."""
    answer(router, FAKES[preset])
    best = try_on(HOST).best
    assert best is not None
    assert (best.mapping.name, best.base_url) == (preset, f"{HOST}/v1" if preset == "neutral" else HOST)


@pytest.mark.parametrize("preset", FAKES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_finds_by_the_address_of_the_quota(router: respx.Router, preset: str, slash: str) -> None:
    """The address of the quota itself is asked before anything else, and the base URL is what precedes its path."""
    answer(router, FAKES[preset])
    address = next(iter(FAKES[preset])).rstrip("/")
    found = try_on(f"{address}{slash}")
    assert found.best is not None
    assert found.best.mapping.name == preset
    assert found.best.quota_path is None
    assert len(router.calls) == len(FAKES[preset])
    assert found.left_out == []


def test_finds_the_neutral_reply_at_any_path(router: respx.Router) -> None:
    """A known reply at a path of its own is found, and the path is part of what is proposed."""
    answer(router, {f"{HOST}/v1/my/limits": QUOTA})
    best = try_on(f"{HOST}/v1/my/limits").best
    assert best is not None
    assert (best.mapping.name, best.base_url, best.quota_path) == ("neutral", f"{HOST}/v1/my", "/limits")
    assert len(router.calls) == 1


def test_finds_another_preset_at_any_path(router: respx.Router) -> None:
    """All presets are tried on one and the same reply, which costs one request."""
    answer(router, {f"{HOST}/mine": fixture("openrouter")})
    best = try_on(f"{HOST}/mine").best
    assert best is not None
    assert best.mapping.name == "openrouter"
    assert paths(router) == ["/mine"]


@pytest.mark.parametrize("url", [HOST, f"{HOST}/v1", f"{HOST}/api/v1", f"{HOST}/some/where", f"{HOST}/v1/quota"])
@pytest.mark.parametrize(
    "reply",
    [
        {"status_code": 404, "json": {}},
        {"json": {}},
        {"json": []},
        {"json": "text"},
        {"json": {"error": {"message": "no"}}},
        {"json": {"success": False, "message": "no"}},
        {"html": "<html>"},
        {"status_code": 500},
        {"status_code": 302, "headers": {"Location": "https://evil.example"}},
    ],
    ids=["404", "nothing", "list", "text", "error", "failure", "page", "500", "redirect"],
)
def test_asks_six_times_at_most(router: respx.Router, origins: set[str], url: str, reply: dict[str, Any]) -> None:
    """A server that answers everything alike gets at most six requests, each one listed, none to another host."""
    router.route().respond(**reply)
    found = try_on(url)
    assert found.best is None
    assert 0 < len(router.calls) <= MAX_REQUESTS
    assert len(found.requests) == len(router.calls)
    assert [line.split()[1].removesuffix(":") for line in found.requests] == [str(c.request.url) for c in router.calls]
    assert len(set(paths(router))) == len(router.calls)
    assert origins == {f"{HOST}:443"}
    assert found.has_answer


def test_tells_what_was_not_tried(router: respx.Router) -> None:
    """A preset for which no request was left is named."""
    answer(router, {})
    assert try_on(f"{HOST}/v1").left_out == ["one-api"]


def test_a_preset_cut_short_is_one_that_was_not_tried(router: respx.Router) -> None:
    """Where the requests end between two of one preset, that says nothing about the preset."""

    def full_page(request: httpx.Request) -> httpx.Response:
        first = int(request.url.params["offset"])
        return httpx.Response(200, json={"data": [{"name": f"key {first + number}"} for number in range(100)]})

    router.get(url__startswith="https://openrouter.ai/api/v1/keys").mock(side_effect=full_page)
    answer(router, {})
    found = try_on("https://openrouter.ai/api/v1")
    assert len(router.calls) == MAX_REQUESTS
    assert found.left_out == ["openrouter-keys"]
    assert "openrouter-keys" not in {attempt.mapping.name for attempt in found.attempts}


def test_a_host_that_hangs(router: respx.Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers in time, each preset waits for its own bounded time and the same is never asked again."""
    monkeypatch.setattr(guess_module, "_TIMEOUT", "20ms")

    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    router.route().mock(side_effect=hang)
    found = try_on(f"{HOST}/some/where")
    assert len(set(found.requests)) == len(found.requests) == MAX_REQUESTS
    assert all(line.endswith(": no reply") for line in found.requests)
    assert not found.has_answer
    assert {reason(found, number) for number in range(len(found.attempts))} == {Reason.TIMEOUT}


def test_no_preset_waits_long() -> None:
    """Six requests that hang are over within half a minute, as the help says."""
    assert guess_module._TIMEOUT == "5s"
    assert MAX_REQUESTS * 5 <= 30


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.RemoteProtocolError])
def test_nobody_is_there(router: respx.Router, error: type[Exception]) -> None:
    """Where there is no connection, other paths would have none either: one request is enough."""
    router.route().mock(side_effect=error)
    found = try_on(f"{HOST}/v1")
    assert len(router.calls) == len(found.attempts) == 1
    assert not found.has_answer


@pytest.mark.parametrize("status", [401, 403, 402])
def test_a_refused_key_is_told_apart(router: respx.Router, status: int) -> None:
    """A gateway that answers but refuses the key is no gateway that does not fit."""
    router.get(f"{HOST}/key/info").respond(status, json={"error": {"message": "no"}})
    answer(router, {})
    refused = [attempt.mapping.name for attempt in try_on(f"{HOST}/v1").attempts if attempt.is_refused]
    assert refused == ["litellm"]


def test_the_preset_that_loses_least_is_best(router: respx.Router) -> None:
    """Of several presets that fit, the one that uses most of the reply is proposed."""
    partial = {"tokens": {"limit": 5, "used": "?"}}
    answer(router, {f"{HOST}/v1/quota": partial} | FAKES["sub2api"])
    found = try_on(f"{HOST}/v1")
    neutral = next(attempt for attempt in found.attempts if attempt.mapping.name == "neutral")
    assert neutral.problems
    assert found.best is not None
    assert found.best.mapping.name == "sub2api"


def test_a_loss_is_better_than_nothing(router: respx.Router) -> None:
    """A preset that fits with values lost is proposed where no other one fits."""
    answer(router, {f"{HOST}/v1/quota": {"tokens": {"limit": 5, "used": "?"}}})
    best = try_on(f"{HOST}/v1").best
    assert best is not None
    assert (best.mapping.name, bool(best.problems)) == ("neutral", True)


def test_a_known_host_is_asked_as_its_preset_says(router: respx.Router, origins: set[str]) -> None:
    """For a host that a preset names, that preset is tried and no other one."""
    answer(router, {"https://api.deepseek.com/user/balance": fixture("deepseek")})
    best = try_on("https://api.deepseek.com/v1").best
    assert best is not None
    assert best.mapping.name == "deepseek"
    assert paths(router) == ["/user/balance"]
    assert origins == {"https://api.deepseek.com:443"}


def test_another_host_gets_the_key_where_the_preset_of_the_given_one_names_it(
    router: respx.Router, origins: set[str]
) -> None:
    """A gateway with its quota at another host of the same product is asked there."""
    answer(router, {"https://api-v2.requesty.ai/v1/manage/apikey/self": fixture("requesty")})
    best = try_on("https://router.requesty.ai/v1").best
    assert best is not None
    assert best.mapping.name == "requesty"
    assert origins == {"https://api-v2.requesty.ai:443"}


@pytest.mark.parametrize("host", ["api.deepseek.com.evil.example", "evil-api.deepseek.com", "requesty.ai"])
def test_a_host_that_only_looks_known_gets_no_key_sent_elsewhere(
    router: respx.Router, origins: set[str], host: str
) -> None:
    """The key of a host that no preset names goes to this host alone."""
    answer(router, {})
    try_on(f"https://{host}/v1/manage/apikey/self")
    assert origins == {f"https://{host}:443"}


def test_a_preset_that_asks_another_host_later_is_for_its_own_hosts_only(
    router: respx.Router, origins: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the first reply looks, no later request of a preset brings the key of an unknown host elsewhere."""
    text = (
        "name: wandering\n"
        "requests: [{id: first, path: /mine}, {id: second, url: 'https://elsewhere.example/quota'}]\n"
        "buckets: [{kind: tokens, limit: second.limit}]\n"
    )
    wandering = load_mapping(parse_yaml(text, Path("wandering.yaml")))
    monkeypatch.setattr(guess_module, "preset_names", lambda: (*preset_names(), "wandering"))
    monkeypatch.setattr(
        guess_module, "load_preset", lambda name: wandering if name == "wandering" else load_preset(name)
    )
    answer(router, {f"{HOST}/mine": {"limit": 5}})
    try_on(f"{HOST}/mine")
    assert origins == {f"{HOST}:443"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://llm.example.edu/v1", "the URL would send the key unencrypted to a public host; use https://"),
        ("http://8.8.8.8", "unencrypted"),
        ("https://user:pass@llm.example.edu", "the URL must not hold a user name or password"),
        ("https://llm.example.edu/v1?key=1", "the URL must not hold a query or a fragment"),
        ("https://llm.example.edu/v1#a", "the URL must not hold a query or a fragment"),
        ("ftp://llm.example.edu", "the URL must start with https://"),
        ("llm.example.edu/v1", "the URL must start with https://"),
        ("https://", "the URL has no host"),
        ("", "the URL must start with https://"),
        ("https://llm.example.edu/a b", "the URL holds a space"),
    ],
)
def test_an_address_that_cannot_be_used(router: respx.Router, url: str, words: str) -> None:
    """What is no base URL, or would give the key away, is refused in words before anything is sent."""
    with pytest.raises(GuessError) as caught:
        try_on(url)
    assert str(caught.value).startswith(words) or words in str(caught.value)
    assert "pass" not in str(caught.value).replace("password", "")
    assert not router.calls


@pytest.mark.parametrize("path", ["/..", "/a/..", "/a//b", "//", "/a:", "/%2e%2e/x", "/v1/quota/..", "/[x]", "/x;y=1"])
def test_odd_paths_do_no_harm(router: respx.Router, origins: set[str], path: str) -> None:
    """Whatever stands in the path, the key goes to the host of the URL."""
    answer(router, {})
    assert try_on(f"{HOST}{path}").best is None
    assert origins == {f"{HOST}:443"}


def test_requests_are_listed_without_secrets(router: respx.Router) -> None:
    """A key or an id that a reply has put into a later URL is not in the list of requests."""
    key = fixture("litellm", "recorded_team")["key"]
    key["info"]["team_id"] = KEY
    answer(router, {f"{HOST}/key/info": key})
    found = try_on(f"{HOST}/v1")
    assert f"team_id={KEY}" in "".join(paths(router))
    assert KEY not in repr(found)
    assert f"GET {HOST}/team/info?team_id=...: HTTP 404" in found.requests


@pytest.mark.parametrize(
    ("url", "provider_id"),
    [
        (f"{HOST}/v1", "llm-example-edu"),
        ("https://LLM.Example.edu/v1", "llm-example-edu"),
        ("http://127.0.0.1:8080/v1", "gateway-127-0-0-1"),
        ("http://[::1]:8080/v1", "gateway-1"),
        ("http://[fd00::1]/a/b:", "fd00-1"),
        (f"https://{'a' * 63}.{'b' * 63}.example", "a" * 63 + "-"),
    ],
)
@pytest.mark.parametrize("path", ["", "/my:limits", "/my:"])
def test_the_entry_is_yaml(router: respx.Router, url: str, provider_id: str, path: str) -> None:
    """Whatever the host and path, the entry is YAML with the values that were found."""
    answer(router, {f"{url}{path or '/quota'}": QUOTA})
    best = try_on(url + path).best
    assert best is not None
    document = parse_yaml(entry_of(best, "api_key_env: CAMPUS_API_KEY"), Path("entry.yml"))
    (entry,) = document.value["gateways"]
    assert entry["provider_id"] == provider_id
    assert entry["api_key_env"] == "CAMPUS_API_KEY"
    assert entry["base_url"] + entry.get("quota_path", "/quota") == url + (path or "/quota")


def test_the_entry_names_what_is_not_the_default(router: respx.Router) -> None:
    """The mapping is named unless it is the one that holds without a name."""
    answer(router, FAKES["openrouter"])
    best = try_on(f"{HOST}/v1").best
    assert best is not None
    assert entry_of(best, "api_key_env: K") == (
        "gateways:\n"
        "  - provider_id: llm-example-edu\n"
        "    base_url: https://llm.example.edu/v1\n"
        "    mapping: openrouter\n"
        "    api_key_env: K\n"
    )
