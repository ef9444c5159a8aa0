"""One reading taken apart: what was asked, what came, what was made of it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from rich.console import Console

from quota_exporter import exporter as exporter_module
from quota_exporter.explain import ExplainError, Explanation, explain_file, explain_poll
from quota_exporter.explain_report import print_explanation
from quota_exporter.exporter import Sources, load, start
from quota_exporter.expression import Nothing
from quota_exporter.files import FileReader
from quota_exporter.opencode import candidate_paths
from quota_exporter.quota import Failure
from quota_exporter.transport import Route

FIXTURES = Path(__file__).parents[1] / "fixtures"
BASE = "https://campus.example"
QUOTA = {
    "key": "course-a",
    "tokens": {"limit": 1000, "used": 250, "remaining": 750},
    "cost": {"currency": "USD", "limit": None, "used": 0.5},
}

Explain = Callable[..., Explanation]


def fixture(preset: str, name: str) -> Any:
    return json.loads((FIXTURES / preset / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(name="router")
def _router(monkeypatch: pytest.MonkeyPatch) -> respx.Router:
    router = respx.Router(assert_all_called=False)

    def open_transport(_route: Route) -> httpx.MockTransport:
        return httpx.MockTransport(router.async_handler)

    monkeypatch.setattr(exporter_module, "open_transport", open_transport)
    return router


@pytest.fixture(name="explain")
def _explain(router: respx.Router, tmp_path: Path, canary: str) -> Explain:
    """Explains the gateway `campus` with these settings and this reply from a file, or by a poll."""

    def explain(settings: str = "", *, mappings: str = "{}", reply: Any = None) -> Explanation:
        path = tmp_path / "quota-exporter.yml"
        entry = f"{{provider_id: campus, base_url: '{BASE}/v1', {settings}}}"
        path.write_text(f"opencode: off\nmappings: {mappings}\ngateways: [{entry}]\n", encoding="utf-8")
        file = tmp_path / "reply.json"
        file.write_text(json.dumps(reply), encoding="utf-8")
        sources = Sources(path, candidate_paths({}, "linux", None), {"CAMPUS_API_KEY": canary}, FileReader())

        async def work() -> Explanation:
            generation = start(load(sources))
            try:
                if reply is not None:
                    return explain_file(generation, "campus", file, sources.files)
                return await explain_poll(generation, "campus")
            finally:
                await generation.close()

        return asyncio.run(work())

    return explain


def printed(explanation: Explanation, *, values: bool = False, width: int = 240) -> str:
    page = io.StringIO()
    print_explanation(Console(file=page, width=width, soft_wrap=True), explanation, values=values)
    return page.getvalue()


def section(page: str, title: str) -> list[str]:
    """The lines of one section, without what indents them."""
    _, _, rest = f"\n{page}".partition(f"\n{title}\n")
    return [line.removeprefix("  ").rstrip() for line in rest.split("\n\n")[0].rstrip().splitlines()]


def expressions(page: str) -> dict[str, str]:
    """What each field's expression gave, of repeated ones the last."""
    rows = (line.split("  ") for line in section(page, "Expressions")[1:])
    cells = ([cell.strip() for cell in row if cell.strip()] for row in rows)
    return {row[0]: row[-1] for row in cells}


def series(page: str) -> dict[tuple[str, ...], float]:
    """The values of the series by name and all labels but the source of the key, as a parser reads them."""
    text = "\n".join([*section(page, "Series"), "# EOF\n"])
    families = parse_openmetrics(text)  # type: ignore[no-untyped-call]  # not annotated there
    samples = [sample for family in families for sample in family.samples]
    found = {}
    for sample in samples:
        labels = [value for name, value in sorted(sample.labels.items()) if name not in ("key_source", "provider_id")]
        found[sample.name, sample.labels["provider_id"], *labels] = float(sample.value)
    return found


class TestPoll:
    """A gateway that is asked."""

    def test_all_parts_are_shown(self, explain: Explain, router: respx.Router) -> None:
        """One poll shows request, status, shape, expressions, buckets, the key's name and the series."""
        router.get(f"{BASE}/v1/quota").respond(json=QUOTA)
        page = printed(explain())
        assert len(router.calls) == 1
        assert page.startswith("campus: mapping neutral, key from env\n")
        request = section(page, "Request 1")
        assert request[0] == f"GET {BASE}/v1/quota"
        assert {"accept: application/json", "authorization: (not shown)"} < set(request)
        size = len(router.calls.last.response.content)
        assert section(page, f"Reply 1: HTTP 200, {size} bytes")[:3] == ["{", '  "key": text', '  "tokens": {']
        gave = expressions(page)
        assert gave["buckets[0].limit"] == "number"
        assert gave["buckets[1].limit"] == "null"
        assert gave["buckets[1].remaining"] == "missing"
        assert gave["key_name"] == "text"
        assert section(page, "Buckets") == [
            "tokens default: limit 1,000, used 250, remaining 750",
            "cost default in USD: unlimited, used 0.50",
        ]
        assert section(page, "Name of the key") == ["course-a"]
        found = series(page)
        assert found["llm_quota_up", "campus"] == 1
        assert found["llm_quota_remaining_tokens", "campus", "default"] == 750
        assert found["llm_quota_limited", "campus", "default", "cost"] == 0
        assert ("llm_quota_limit_cost", "campus", "default", "USD") not in found

    def test_values_only_when_asked_for(self, explain: Explain, router: respx.Router) -> None:
        """The reply's values stand in its shape and at the expressions with `values` only."""
        router.get(f"{BASE}/v1/quota").respond(json=QUOTA | {"note": "somebody's note"})
        explanation = explain()
        assert "somebody's note" not in printed(explanation)
        page = printed(explanation, values=True)
        assert '"note": "somebody\'s note"' in page
        assert expressions(page)["buckets[0].limit"] == "1000"

    def test_missing_and_failed_are_told_apart(self, explain: Explain, router: respx.Router) -> None:
        """A value that is not there, one that is null, and one of a wrong type are three things."""
        mapping = (
            "{mine: {path: /limits, buckets: ["
            "{kind: cost, currency: USD, limit: a.limit, used: 'sub(a.limit, a.left)'},"
            " {kind: tokens, limit: nothing, used: b}]}}"
        )
        router.get(f"{BASE}/v1/limits").respond(json={"a": {"limit": 5, "left": "?"}, "b": None})
        explanation = explain("mapping: mine", mappings=mapping)
        gave = expressions(printed(explanation))
        assert gave["buckets[0].limit"] == "number"
        assert gave["buckets[0].used"] == "an error: a value has the wrong type"
        assert gave["buckets[1].limit"] == "missing"
        assert gave["buckets[1].used"] == "null"
        values = {one.field: one.value for one in explanation.notes.evaluated or ()}
        assert values["buckets[0].used"] is Nothing.FAILED

    def test_what_was_dropped_is_listed(self, explain: Explain, router: respx.Router) -> None:
        """Values that cannot be used are named with the problem that the metric has."""
        router.get(f"{BASE}/v1/quota").respond(json={"tokens": {"limit": 5, "used": "?", "remaining": 1}})
        page = printed(explain())
        assert section(page, "Dropped") == ["buckets[0].used (tokens.used): not_a_number (1 value)"]
        assert series(page)["llm_quota_mapping_problems", "campus", "not_a_number"] == 1

    def test_several_requests(self, explain: Explain, router: respx.Router) -> None:
        """Each request is followed by its reply, and the id that one took from the other is not shown."""
        replies = fixture("litellm", "recorded_team")
        router.get(f"{BASE}/key/info").respond(json=replies["key"])
        router.get(f"{BASE}/team/info").respond(json=replies["team"])
        page = printed(explain("mapping: litellm"), values=True)
        assert section(page, "Request 1")[0] == f"GET {BASE}/key/info"
        assert section(page, "Request 2")[0] == f"GET {BASE}/team/info?team_id=..."
        assert page.index("\nReply 1: ") < page.index("\nRequest 2\n") < page.index("\nReply 2: ")
        assert replies["key"]["info"]["team_id"] not in page
        assert len(section(page, "Buckets")) == 2

    @pytest.mark.parametrize(
        ("values", "shown"),
        [
            (False, ["{", '  "query": text', '  "first": number', '  "key": text', "}"]),
            (True, ["{", '  "query": "quota"', '  "first": 5', '  "key": text that is not shown', "}"]),
        ],
    )
    def test_what_a_post_carries(
        self, explain: Explain, router: respx.Router, canary: str, *, values: bool, shown: list[str]
    ) -> None:
        """The body of a POST is shown as the reply is: its types, or its values without what may be a key."""
        mapping = (
            f"{{mine: {{requests: [{{path: /query, method: POST, body: {{query: quota, first: 5, key: {canary}}}}}],"
            " buckets: [{kind: tokens, limit: limit}]}}"
        )
        router.post(f"{BASE}/v1/query").respond(json={"limit": 5})
        explanation = explain("mapping: mine", mappings=mapping)
        page = printed(explanation, values=values)
        request = section(page, "Request 1")
        assert request[0] == f"POST {BASE}/v1/query"
        assert request[-len(shown) :] == shown
        assert canary not in repr(explanation)

    def test_a_list_of_keys(self, explain: Explain, router: respx.Router) -> None:
        """Of a list of keys the first ones are shown, with the expressions and series of the first."""
        listed = fixture("litellm-keys", "full")
        router.get(f"{BASE}/key/list").respond(json=listed)
        explanation = explain("mapping: litellm-keys")
        quota = explanation.reading.quota
        assert quota is not None
        assert quota.children is not None
        first = quota.children[0].alias
        page = printed(explanation)
        keys = section(page, f"Keys: {len(quota.children)}")
        assert keys[0].startswith(f"{first}: cost key in USD: ")
        assert keys[-1] == f"... {len(quota.children) - 3} more"
        assert "children.buckets[0].where" in expressions(page)
        assert expressions(page)["children.alias"] == f"... {len(listed['keys']) - 3} more times"
        assert {labels[1] for labels in series(page)} == {"campus", f"campus:{first}"}

    def test_pages_are_told_in_one_line(self, explain: Explain, router: respx.Router) -> None:
        """Of a list of many pages the first one is shown, and the others are counted."""
        keys = fixture("litellm-keys", "full")["keys"]

        def page_of(request: httpx.Request) -> httpx.Response:
            number = int(request.url.params["page"])
            items = [keys[0] | {"token": f"{number} {item}", "key_alias": f"{number} {item}"} for item in range(100)]
            return httpx.Response(200, json={"keys": items if number < 3 else items[:5], "total_count": 205})

        router.get(f"{BASE}/key/list").mock(side_effect=page_of)
        page = printed(explain("mapping: litellm-keys"))
        assert len(router.calls) == 3
        size = len(router.calls.last.response.content)
        assert f"  2 further pages, the last one with HTTP 200, {size:,} bytes\n" in page
        assert "\nRequest 2\n" not in page
        assert "\nKeys: 205\n" in page

    @pytest.mark.parametrize(
        ("reply", "words", "reason"),
        [
            ({"status_code": 401, "json": {"error": {"message": "bad key"}}}, "{", "unauthorized: HTTP 401: bad key"),
            ({"html": "<html>"}, "the reply is not JSON but an HTML page", "not_json: the reply is not JSON"),
            ({"json": "text"}, "JSON, but not an object", "unexpected_shape: the reply (HTTP 200) is JSON, but not"),
            ({"content": b""}, "the reply is empty", "not_json: the reply is empty"),
            ({"content": b"x" * 300_000}, "not read to its end", "too_large: the reply is larger than 256 KiB"),
            ({"status_code": 302}, "not read to its end", "redirect: HTTP 302: the key is not sent after a redirect"),
            ({"json": {"a": 1}}, "{", "unexpected_shape: the reply (HTTP 200) does not fit the mapping neutral"),
        ],
    )
    def test_a_reply_without_a_quota(
        self, explain: Explain, router: respx.Router, reply: dict[str, Any], words: str, reason: str
    ) -> None:
        """Whatever comes, what it is and why it is no quota is told in words."""
        router.get(f"{BASE}/v1/quota").respond(**reply)
        page = printed(explain())
        (title,) = [line for line in page.splitlines() if line.startswith("Reply 1: ")]
        assert title.startswith(f"Reply 1: HTTP {reply.get('status_code', 200)}, ")
        assert section(page, title)[0] == words
        assert section(page, "No quota")[0].startswith(reason)
        found = series(page)
        assert found["llm_quota_up", "campus"] == 0
        assert found["llm_quota_failure", "campus", reason.partition(":")[0]] == 1

    def test_nobody_answers(self, explain: Explain, router: respx.Router) -> None:
        """A request without a reply is shown as one."""
        router.get(f"{BASE}/v1/quota").mock(side_effect=httpx.ConnectError)
        page = printed(explain())
        assert section(page, "Reply 1: no reply, 0 bytes") == ["nothing came back"]
        assert section(page, "No quota")[0].startswith("connect: ")

    def test_no_key(self, explain: Explain, router: respx.Router) -> None:
        """A gateway without a key is not asked, and that is what is told."""
        page = printed(explain("api_key_env: ANOTHER"))
        assert not router.calls
        assert page.startswith("campus: mapping neutral\n\nNo quota\n  no_api_key: ")


class TestHowTheRepliesCame:
    """What is asked, and whether a reply may be used, is said by expressions too."""

    MAPPING = (
        "{mine: {success: ok, error: message, reason: code, requests: [{id: key, path: /key},"
        " {id: team, path: /team, where: key.is_member, values: {id: key.team}, query: {id: '{id}'}, optional: true},"
        " {id: list, path: /list, optional: true, pages: {query: page, size: 5, items: keys, total: count}}],"
        " buckets: [{kind: tokens, limit: key.limit}, {kind: cost, currency: USD, where: team, limit: team.limit}]}}"
    )
    KEY: Mapping[str, Any] = {"ok": True, "is_member": True, "team": "t1", "limit": 5}
    REPLIES: Mapping[str, Any] = {
        "key": KEY,
        "team": {"ok": True, "limit": 7},
        "list": {"ok": True, "keys": [{"a": 1}], "count": 1},
    }

    @pytest.fixture(name="explain_both")
    def _explain_both(self, explain: Explain, router: respx.Router) -> Callable[..., list[Explanation]]:
        """Explains the same replies of this mapping's requests twice: from a poll, and from a file."""

        def explain_both(**changes: Any) -> list[Explanation]:
            replies = {**self.REPLIES, **changes}
            for name, reply in replies.items():
                router.get(f"{BASE}/v1/{name}").respond(json=reply)
            return [
                explain("mapping: mine", mappings=self.MAPPING),
                explain("mapping: mine", mappings=self.MAPPING, reply=replies),
            ]

        return explain_both

    def test_all_their_expressions_are_shown(self, explain_both: Callable[..., list[Explanation]]) -> None:
        """Conditions, values, pages and checks stand in the order in which they were asked."""
        for explanation in explain_both():
            gave = expressions(printed(explanation, values=True))
            assert list(gave)[:5] == [
                *("success", "requests[1].where", "requests[1].values.id"),
                *("requests[2].pages.items", "requests[2].pages.total"),
            ]
            assert gave["requests[1].where"] == "true"
            assert gave["requests[1].values.id"] == '"t1"'
            assert gave["requests[2].pages.items"] == "list of 1 item"
            assert gave["buckets[1].limit"] == "7"

    def test_a_request_that_is_not_asked_for(self, explain_both: Callable[..., list[Explanation]]) -> None:
        """Where a condition does not hold, the reply is not used, and the condition shows why."""
        for explanation in explain_both(key={**self.KEY, "is_member": False}):
            gave = expressions(printed(explanation, values=True))
            assert gave["requests[1].where"] == "false"
            assert "requests[1].values.id" not in gave
            quota = explanation.reading.quota
            assert quota is not None
            assert [bucket.kind for bucket in quota.buckets] == ["tokens"]

    def test_a_value_that_is_not_there(self, explain_both: Callable[..., list[Explanation]]) -> None:
        """A member that a later request needs and that the reply has lost is shown and counted."""
        for explanation in explain_both(key={"ok": True, "is_member": True, "limit": 5}):
            assert expressions(printed(explanation))["requests[1].values.id"] == "missing"
            (dropped,) = explanation.reading.outcome.dropped
            assert dropped.where == "requests[1].values.id (key.team)"

    def test_an_error_reply(self, explain_both: Callable[..., list[Explanation]]) -> None:
        """A reply that is an error shows what its checks gave, and what is told of an optional one."""
        for explanation in explain_both(team={"ok": False, "message": "no"}):
            page = printed(explanation, values=True)
            assert {"error", "reason"} < set(expressions(page))
            assert section(page, "Dropped") == ["requests[1] (team): error_reply: unresolved (1 value)"]
        for explanation in explain_both(key={"ok": "", "message": "no"}):
            gave = expressions(printed(explanation, values=True))
            assert (gave["success"], gave["error"], gave["reason"]) == ('""', '"no"', "missing")
            assert explanation.reading.failure is not None
            assert explanation.reading.failure.reason == "error_reply"


class TestSecrets:
    """What is never shown, whatever the gateway answers."""

    HEADERS = "headers: {X-Team: 'bronze harbour sixteen', User-Agent: marble-glacier-tulip}"

    @pytest.mark.parametrize("values", [True, False])
    def test_headers_hide_their_values(
        self, explain: Explain, router: respx.Router, canary: str, *, values: bool
    ) -> None:
        """The key and each header of the config is named without its value, also those that are shown otherwise."""
        echo = {
            "a": "bronze harbour",
            "b": "a sixteen b",
            "c": "marble-glacier-tulip",
            "d": f"x {canary}",
            "harbour": 1,
        }
        router.get(f"{BASE}/v1/quota").respond(json=QUOTA | echo | {"key": "harbour"})
        explanation = explain(self.HEADERS)
        page = printed(explanation, values=values)
        for secret in ("bronze", "harbour", "sixteen", "marble", "glacier", canary[:10]):
            assert secret not in page
            assert secret not in repr(explanation)
        assert {"x-team: (not shown)", "user-agent: (not shown)"} < set(section(page, "Request 1"))

    def test_headers_of_the_mapping_hide_their_values(self, explain: Explain, router: respx.Router) -> None:
        """A secret that a mapping sends with one of its requests is not shown, from a poll or from a file."""
        mapping = (
            "{mine: {requests: [{id: first, path: /first}, {path: /quota, headers: {X-Pass: 'lantern meadow.twelve'}}],"
            " buckets: [{kind: tokens, limit: reply.limit, name_from: reply.name}]}}"
        )
        reply = {"limit": 5, "name": "lantern", "echo": "a meadow.twelve b", "lantern": 1}
        router.get(f"{BASE}/v1/first").respond(json={})
        router.get(f"{BASE}/v1/quota").respond(json=reply)
        for file in (None, {"first": {}, "reply": reply}):
            explanation = explain("mapping: mine", mappings=mapping, reply=file)
            for page in (printed(explanation, values=True), repr(explanation)):
                assert "lantern" not in page
                assert "meadow" not in page

    def test_another_header_for_the_key(self, explain: Explain, router: respx.Router, canary: str) -> None:
        """The key is hidden in whatever header it is sent."""
        router.get(f"{BASE}/v1/quota").respond(json=QUOTA)
        page = printed(explain("auth: {header: Accept, scheme: ''}"))
        assert router.calls.last.request.headers["accept"] == canary
        assert "accept: (not shown)" in section(page, "Request 1")
        assert canary[:10] not in page

    def test_a_key_in_a_later_url(self, explain: Explain, router: respx.Router, canary: str) -> None:
        """A gateway that gives the key where an id belongs does not bring it into view."""
        mapping = (
            "{mine: {requests: [{id: key, path: /key}, {id: team, path: '/teams/{team}', query: {id: '{team}'},"
            " values: {team: key.team}}], buckets: [{kind: cost, currency: USD, limit: team.limit}]}}"
        )
        router.get(f"{BASE}/v1/key").respond(json={"team": canary})
        router.get(url__startswith=f"{BASE}/v1/teams/").respond(json={"limit": 5})
        explanation = explain("mapping: mine", mappings=mapping)
        assert canary in str(router.calls.last.request.url)
        assert section(printed(explanation), "Request 2")[0] == f"GET {BASE}/v1/teams/...?id=..."
        assert canary not in printed(explanation, values=True)

    def test_the_terminal_is_not_controlled(self, explain: Explain, router: respx.Router) -> None:
        """Control characters of a reply reach the terminal in no way."""
        evil = "\x1b[2J\x1b]0;x\x07\x9b31m\u202ea\rb\n"
        echo = {"key": evil, evil: evil, "tokens": {"limit": 5, "used": 1, "resets_at": evil}}
        router.get(f"{BASE}/v1/quota").respond(json=echo)
        page = printed(explain(), values=True)
        assert all(line.isprintable() for line in page.split("\n"))

    def test_an_error_with_control_characters(self, explain: Explain, router: respx.Router) -> None:
        """Nor do those of an error message."""
        router.get(f"{BASE}/v1/quota").respond(401, json={"error": {"message": "\x1b[2Jno\x9b"}})
        page = printed(explain(), values=True)
        assert all(line.isprintable() for line in page.split("\n"))
        assert section(page, "No quota") == ["unauthorized: HTTP 401: [2Jno"]


class TestFile:
    """A reply that lies in a file."""

    def test_it_is_mapped_without_asking(self, explain: Explain, router: respx.Router) -> None:
        """The file stands for the reply: no request is shown, all else is."""
        explanation = explain(reply=QUOTA)
        page = printed(explanation)
        assert not router.calls
        assert "Request" not in page
        (turn,) = explanation.turns
        assert turn.title.startswith("Reply from ")
        assert turn.title.endswith("/reply.json")
        assert expressions(page)["buckets[0].limit"] == "number"
        assert series(page)["llm_quota_remaining_tokens", "campus", "default"] == 750

    def test_an_error_reply(self, explain: Explain) -> None:
        """A reply that is an error is told as one."""
        outcome = explain(reply={"error": {"message": "no such key"}}).reading.outcome
        assert isinstance(outcome, Failure)
        assert outcome.detail.endswith("no such key")

    def test_it_hides_the_key(self, explain: Explain, canary: str) -> None:
        """A reply that was saved with the key in it does not bring it into view."""
        explanation = explain(
            "headers: {X-Team: copper.lagoon}", reply=QUOTA | {"echo": canary, "team": "copper.lagoon"}
        )
        page = printed(explanation, values=True)
        assert canary[:10] not in page
        assert "lagoon" not in page

    def test_several_replies(self, explain: Explain) -> None:
        """For a mapping with several requests the file holds the replies by id."""
        replies = fixture("litellm", "recorded_team")
        quota = explain("mapping: litellm", reply=replies).reading.quota
        assert quota is not None
        assert [bucket.name for bucket in quota.buckets] == ["key", "team"]

    def test_a_conditional_reply_may_lack(self, explain: Explain) -> None:
        """A reply that is not always asked for need not be in the file."""
        replies = {"key": fixture("litellm", "recorded_team")["key"]}
        quota = explain("mapping: litellm", reply=replies).reading.quota
        assert quota is not None
        assert [bucket.name for bucket in quota.buckets] == ["key"]

    def test_the_first_reply_alone(self, explain: Explain) -> None:
        """What the first request of several brought may be given as it came, where the others need not be made."""
        quota = explain("mapping: litellm", reply=fixture("litellm", "recorded_team")["key"]).reading.quota
        assert quota is not None
        assert [bucket.name for bucket in quota.buckets] == ["key"]

    def test_an_optional_reply_that_is_an_error(self, explain: Explain) -> None:
        """An optional reply that cannot be used costs its own buckets and is counted."""
        replies = fixture("litellm", "recorded_team") | {"team": {"error": {"message": "no"}}}
        outcome = explain("mapping: litellm", reply=replies).reading.quota
        assert outcome is not None
        assert [bucket.name for bucket in outcome.buckets] == ["key"]
        assert "requests[1] (team): error_reply" in [dropped.where for dropped in outcome.dropped]

    @pytest.mark.parametrize("lacks", ["subscription", "usage"])
    def test_a_reply_that_is_needed(self, explain: Explain, lacks: str) -> None:
        """A file without a needed reply is refused with the ids that belong there."""
        replies = fixture("one-api", "full")
        del replies[lacks]
        with pytest.raises(ExplainError, match=f"lacks the reply {lacks}: .* with the ids subscription, usage$"):
            explain("mapping: one-api", reply=replies)

    @pytest.mark.parametrize("reply", [[], "text", 5])
    def test_what_holds_no_ids(self, explain: Explain, reply: Any) -> None:
        """A file that is no object cannot hold several replies."""
        with pytest.raises(ExplainError, match="lacks the reply"):
            explain("mapping: one-api", reply=reply)

    def test_one_page_of_a_list(self, explain: Explain) -> None:
        """For a request with pages the file holds one page as the gateway gave it."""
        listed = fixture("litellm-keys", "full")
        quota = explain("mapping: litellm-keys", reply=listed).reading.quota
        assert quota is not None
        assert quota.children is not None
        assert len(quota.children) == len(listed["keys"])

    def test_a_page_without_its_list(self, explain: Explain) -> None:
        """A page that has no list in the right place is no list of keys."""
        outcome = explain("mapping: litellm-keys", reply={"keys": "?"}).reading.outcome
        assert isinstance(outcome, Failure)


def test_it_is_readable_in_a_narrow_terminal(explain: Explain, router: respx.Router) -> None:
    """At 80 columns the table of expressions folds within the width, and no expression is cut."""
    replies = fixture("litellm", "recorded_team")
    router.get(f"{BASE}/key/info").respond(json=replies["key"])
    router.get(f"{BASE}/team/info").respond(json=replies["team"])
    rows = section(printed(explain("mapping: litellm"), width=80), "Expressions")
    assert max(map(len, rows)) <= 80
    words = " ".join(word for row in rows for word in row.split())
    assert "root().key.info.user_id" in words
    assert "…" not in words
