"""The pages tell people what is true, escape what they show, and hold no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.config import read_config
from quota_exporter.document import parse_yaml
from quota_exporter.exporter import Generation, Sources, load, start
from quota_exporter.files import FileReader
from quota_exporter.opencode import OpenCodePaths
from quota_exporter.quota import Bucket, Kind, Problem
from quota_exporter.web import pages
from quota_exporter.web.effective_config import config_yaml

NOW = 1_780_000_000.0  # 2026-05-28 20:26:40 UTC
VOID = {"meta"}
HOSTILE = '</style></pre><script>alert(\'x\')</script>"><img src=x onerror="alert(1)">&amp;'


class Page(HTMLParser):
    """A page as a browser would take it: its words, elements and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def bucket(kind: str = "tokens", name: str = "default", **values: Any) -> dict[str, Any]:
    made = Bucket(Kind(kind), name, **values)
    fields = {field: getattr(made, field) for field in Bucket.__dataclass_fields__}
    return {**fields, "remaining_ratio": made.remaining_ratio}


def quota(*buckets: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    return {"key_name": None, "expires_at": None, "children": None, "buckets": list(buckets), **values}


def reading(**values: Any) -> dict[str, Any]:
    return {
        "ok": True,
        "at": NOW - 12,
        "age_seconds": 12.0,
        "duration_seconds": 0.25,
        "http_status": 200,
        "key_source": "env",
        "dropped": [],
        "reason": None,
        "meaning": None,
        "detail": None,
        "action": None,
        **values,
    }


def failed(**values: Any) -> dict[str, Any]:
    failure = {
        "ok": False,
        "http_status": 401,
        "reason": "unauthorized",
        "meaning": "it refused the API key",
        "detail": "HTTP 401: no such key",
        "action": "Check that the key is current.",
    }
    return reading(**{**failure, **values})


def report(provider_id: str = "campus", **values: Any) -> dict[str, Any]:
    return {
        "provider_id": provider_id,
        "label": provider_id,
        "parent": None,
        "owner": "",
        "mapping": "neutral",
        "base_url": "https://llm.example.edu/v1",
        "url": "https://llm.example.edu/v1/quota",
        "urls": ["https://llm.example.edu/v1/quota"],
        "origins": ["https://llm.example.edu:443"],
        "configured_at": "/etc/conf.yml:7",
        "notes": [],
        "key_source": "env",
        "checked": [{"source": "env", "where": "$CAMPUS_API_KEY", "outcome": "found"}],
        "min_interval_seconds": 0.0,
        "reading": reading(),
        "quota": quota(),
        "last_success": NOW - 12,
        **values,
    }


def with_bucket(provider_id: str = "campus", **values: Any) -> dict[str, Any]:
    return report(provider_id, quota=quota(bucket(**values)))


def status(*reports: dict[str, Any]) -> Page:
    return Page(pages.status_page(reports, now=NOW))


def test_landing_page_leads_to_what_there_is() -> None:
    """The landing page links to every path for people, with the metrics where the operator put them."""
    page = Page(pages.landing_page(version="1.2.3", gateways=7, metrics_path="/my metrics", lifecycle=False))
    assert {link["href"] for link in page.all("a")} == {
        "./",
        "./quota_status",
        "./quota_status?format=json",
        "./config",
        "./my%20metrics",
        "./my%20metrics?collect[]=exporter",
        "./-/healthy",
        "./-/ready",
    }
    assert "/probe?target=<provider_id>" in page.text
    assert "1.2.3" in page.text
    assert "7 gateways" in page.text


def test_landing_page_names_reload_only_where_it_works() -> None:
    """Reloading over HTTP is on the page exactly when the operator allows it."""
    texts = [
        Page(pages.landing_page(version="1", gateways=0, metrics_path="/metrics", lifecycle=lifecycle)).text
        for lifecycle in (False, True)
    ]
    assert ["/-/reload" in text for text in texts] == [False, True]
    assert "No gateway is configured" in texts[0]


def test_status_page_of_nothing_says_so() -> None:
    """Without gateways the page says what is missing instead of showing an empty list."""
    page = status()
    assert "No gateway is configured" in page.text
    assert not page.all("article")


def test_status_page_names_gateways_worst_first() -> None:
    """Failing gateways come first, then those with the least left; unlimited ones come last."""
    page = status(
        report("unlimited", quota=quota(bucket(limited=False, used=5.0))),
        with_bucket("plenty", limit=100.0, remaining=95.0),
        report("unread", reading=None, quota=None, last_success=None),
        report("failing", reading=failed(), quota=None),
        with_bucket("wallet", kind="credits", remaining=3.0),
        with_bucket("overspent", limit=100.0, remaining=-5.0),
        report("tight", quota=quota(bucket(limit=10.0, remaining=9.0), bucket("requests", limit=10.0, remaining=1.0))),
        with_bucket("empty-wallet", kind="credits", remaining=0.0),
        report("half-unlimited", quota=quota(bucket(limited=False), bucket("requests", limit=10.0, remaining=5.0))),
    )
    assert [article["id"] for article in page.all("article")] == [
        "failing",
        "overspent",
        "empty-wallet",
        "tight",
        "half-unlimited",
        "plenty",
        "wallet",
        "unread",
        "unlimited",
    ]
    assert (
        "9 gateways: 1 failing, 1 overspent, 1 used up, 4 with quota left, 1 not polled yet, 1 unlimited."
    ) in page.text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"limit": 5e6, "remaining": 4.75e6, "used": 2.5e5}, "95%, 4,750,000 of 5,000,000 tokens left"),
        (
            {"kind": "cost", "currency": "EUR", "limit": 100.0, "remaining": -12.5},
            "-13%, -12.50 of 100.00 EUR left, overspent",
        ),
        ({"kind": "requests", "limit": 10.0, "remaining": 0.0}, "0%, 0 of 10 requests left, used up"),
        ({"limit": 0.0, "remaining": 0.0, "limited": True}, "0 of 0 tokens left, used up"),
        ({"limited": False, "used": 250.0}, "unlimited, 250 tokens used"),
        ({"limited": False}, "unlimited"),
        ({"kind": "credits", "remaining": 1.0}, "1 credit left"),
        ({"used": 0.0}, "0 tokens used"),
        ({"limit": 10.0}, "10 tokens limit"),
        ({}, "not said"),
    ],
)
def test_a_bucket_says_what_is_left_of_what(values: dict[str, Any], words: str) -> None:
    """Zero, overspent, unlimited and unknown are told apart in words with the unit."""
    texts = status(with_bucket(**values)).texts
    assert words in texts


@pytest.mark.parametrize(("remaining", "value"), [(4.75, 0.95), (0.0, 0.0), (-2.0, 0.0), (7.0, 1.0)])
def test_a_bar_stays_within_its_frame(remaining: float, value: float) -> None:
    """The bar shows the share that is left, empty when overspent, and has a name and a text."""
    page = status(with_bucket(limit=5.0, remaining=remaining))
    (bar,) = page.all("meter")
    assert float(bar["value"] or "") == value
    assert bar["aria-label"] == "left of campus, tokens default"


def test_no_limit_no_bar() -> None:
    """A bar would claim a share where the gateway named no limit."""
    assert not status(with_bucket(limited=False, remaining=3.0)).all("meter")


@pytest.mark.parametrize(
    ("resets_at", "words"),
    [
        (NOW + 273_700, "in 3 d 4 h 2026-06-01 00:28:20 UTC"),
        (NOW - 40, "was due 40 s ago 2026-05-28 20:26:00 UTC"),
    ],
)
def test_a_refill_is_told_relative_and_absolute(resets_at: float, words: str) -> None:
    """The refill is given from now and in UTC, and one that is over is no promise."""
    page = status(with_bucket(limit=1.0, remaining=1.0, resets_at=resets_at, window_seconds=86_400.0))
    assert f"{words} every 1 d" in page.text


def test_a_failure_says_why_and_what_to_do() -> None:
    """A failing gateway shows its reason in words, what the gateway said, what to do, and its last success."""
    page = status(report(reading=failed(), quota=None, last_success=NOW - 7200))
    assert "This gateway cannot be read: it refused the API key ( unauthorized )" in page.text
    assert "HTTP 401: no such key. What to do: Check that the key is current." in page.text
    assert "The last quota was read 2 h ago ( 2026-05-28 18:26:40 UTC )." in page.text
    assert "open" in page.all("details")[0]


def test_a_quota_that_is_kept_after_a_failure_is_called_old() -> None:
    """What `stale_for` keeps is shown as the last known, beside the failure."""
    page = status(report(reading=failed(), quota=quota(bucket(limit=10.0, remaining=4.0))))
    assert "Last known to be left" in page.text
    assert "4 of 10 tokens left" in page.text
    assert "failing" in page.text


def test_a_gateway_that_was_never_polled_says_so() -> None:
    """Before the first poll nothing is claimed about the quota, and nothing is called an error."""
    page = status(report(reading=None, quota=None, last_success=None))
    assert "1 gateway: 1 not polled yet." in page.text
    assert not page.all("meter")
    assert "cannot be read" not in page.text


def test_a_gateway_shows_where_everything_comes_from() -> None:
    """Key source, all that was checked, addresses, mapping, owner, age, notes: nothing has to be guessed."""
    page = status(
        report(
            label="Campus gateway",
            owner="ml-platform",
            key_source="auth.json",
            checked=[
                {"source": "env", "where": "$CAMPUS_API_KEY", "outcome": "not set"},
                {"source": "auth.json", "where": "/home/ada/auth.json", "outcome": "found"},
            ],
            notes=["is also listed in opencode.json:4; conf.yml decides"],
            min_interval_seconds=90.0,
            quota=quota(bucket(limit=1.0), key_name="course-42", expires_at=NOW + 86_400),
        )
    )
    for words in (
        "Campus gateway",
        "owner ml-platform",
        "polled 12 s ago",
        "env $CAMPUS_API_KEY not set auth.json /home/ada/auth.json found",
        "Key source auth.json",
        "Base URL https://llm.example.edu/v1",
        "Quota read from https://llm.example.edu/v1/quota",
        "The key goes to https://llm.example.edu:443",
        "Mapping neutral",
        "Configured at /etc/conf.yml:7",
        "Readings reused for 1 min 30 s",
        "Last poll 2026-05-28 20:26:28 UTC , took 250 ms, HTTP 200",
        "Name of the key course-42",
        "Key expires in 1 d ( 2026-05-29 20:26:40 UTC )",
        "campus is also listed in opencode.json:4; conf.yml decides",
    ):
        assert words in page.text


def test_a_gateway_without_address_key_or_reply_is_shown() -> None:
    """What is not known is called so, and breaks no page."""
    page = status(
        report(
            base_url=None,
            url=None,
            urls=[],
            origins=[],
            key_source="none",
            checked=[],
            reading=failed(http_status=None),
            quota=None,
        )
    )
    assert "Base URL not known" in page.text
    assert "Quota read from not known" in page.text
    assert "Key source none" in page.text
    assert "no HTTP reply" in page.text


@pytest.mark.parametrize("problem", Problem)
def test_every_dropped_value_is_named_in_words(problem: Problem) -> None:
    """Each value that the mapping dropped is listed with why, whatever the reason."""
    page = status(report(reading=reading(dropped=[{"problem": problem, "where": "limit (tokens.limit)", "count": 1}])))
    assert "1 value of the reply dropped: limit (tokens.limit) : " in page.text
    assert problem.value not in page.text


def test_dropped_values_are_added_up() -> None:
    """What was dropped many times is one line with its count."""
    dropped = [
        {"problem": Problem.UNRESOLVED, "where": "children.alias (key_alias)", "count": 1200},
        {"problem": Problem.TOO_MANY, "where": "children.each (keys)", "count": 1},
    ]
    text = status(report(reading=reading(dropped=dropped))).text
    assert (
        "1,201 values of the reply dropped: children.alias (key_alias) : not found in the reply (1,200 values)" in text
    )
    assert "children.each (keys) : more than allowed; see max_buckets and max_children" in text


def test_a_key_of_a_list_names_its_gateway() -> None:
    """A key that a gateway lists has a card of its own, which leads to that of the gateway."""
    page = status(report("lite", label="Lite"), report("lite:alice", label="alice", parent="lite"))
    assert "key of lite" in page.text
    assert [link["href"] for link in page.all("a") if link["href"] == "#lite"] == ["#lite", "#lite"]


def test_a_gateway_that_only_lists_keys() -> None:
    """A gateway without a bucket of its own says how many keys it lists, and claims nothing of what is left."""
    page = status(report("lite", quota=quota(children=1200)), report("cut", quota=quota()))
    assert "2 gateways: 2 without a bucket of its own" in page.text
    assert "lists 1,200 keys" in page.text
    assert "Keys that it lists 1,200" in page.text
    assert [card["class"] for card in page.all("article")] == ["gateway good", "gateway good"]


@given(st.lists(st.text(min_size=1, max_size=64), unique=True, min_size=1, max_size=5))
def test_every_alias_has_an_anchor_of_its_own(aliases: list[str]) -> None:
    """Whatever an alias holds, its card has an id that HTML allows and no other has; its heading links there."""
    page = status(report("lite"), *(report(f"lite:{alias}", label="x", parent="lite") for alias in aliases))
    anchors = [card["id"] or "" for card in page.all("article")]
    assert len(set(anchors)) == len(aliases) + 1
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]+", anchor) for anchor in anchors)
    assert {f"#{anchor}" for anchor in anchors} == {
        link["href"] for link in page.all("a") if "#" in (link["href"] or "")
    }


def test_tables_name_their_rows_and_columns() -> None:
    """Every header cell says what it heads, so that a screen reader can follow."""
    page = status(with_bucket(limit=1.0, remaining=1.0))
    assert page.all("th")
    assert {header["scope"] for header in page.all("th")} == {"col", "row"}
    assert page.all("html") == [{"lang": "en"}]
    assert [link["aria-current"] for link in page.all("a") if "aria-current" in link] == ["page"]


def hostile_report(text: str) -> dict[str, Any]:
    return report(
        text,
        label=f"label {text}",
        owner=text,
        mapping=text,
        base_url=text,
        url=text,
        configured_at=text,
        notes=[text],
        key_source=text,
        checked=[{"source": text, "where": text, "outcome": text}],
        reading=failed(
            reason=text,
            meaning=text,
            detail=text,
            action=text,
            dropped=[{"problem": "unresolved", "where": text, "count": 1}],
        ),
        quota=quota(
            {**bucket("cost", text, currency="USD", limit=5.0, remaining=1.0), "currency": text}, key_name=text
        ),
    )


def test_hostile_text_stays_text() -> None:
    """Markup in a name, an address or an error message is shown as it is written and never becomes an element."""
    page = status(hostile_report(HOSTILE))
    assert not page.all("script")
    assert not page.all("img")
    assert page.text.count(HOSTILE) > 15
    (article,) = page.all("article")
    assert "<" not in (article["id"] or "")
    assert set(article) == {"id", "class"}


@given(st.text(st.characters(), min_size=1))
def test_no_text_breaks_the_page(text: str) -> None:
    """Whatever a name holds, the page has the same elements and can be sent as UTF-8."""
    html = pages.status_page([hostile_report(text)], now=NOW)
    assert html.encode()
    assert len(Page(html).tags) == len(status(hostile_report("x")).tags)


def test_pages_need_nothing_from_elsewhere() -> None:
    """No page loads or runs anything: no script, no image, no style of an element, no address outside."""
    for html in (
        pages.landing_page(version="1", gateways=1, metrics_path="/metrics", lifecycle=True),
        pages.status_page([with_bucket(limit=5.0, remaining=1.0)], now=NOW),
    ):
        page = Page(html)
        assert not {"script", "link", "img", "iframe", "form"} & {tag for tag, _ in page.tags}
        assert not {"style", "src", "onclick"} & {name for _, attributes in page.tags for name in attributes}
        assert all((link["href"] or "").startswith(("./", "#")) for link in page.all("a"))
        assert "url(" not in html
        assert "@import" not in html


def generation_of(text: str, folder: Path) -> Generation:
    path = folder / "conf.yml"
    path.write_text(text)
    return start(load(Sources(path, OpenCodePaths((), ()), {}, FileReader())))


@pytest.fixture(name="secretive")
def _secretive(tmp_path: Path, canary: str) -> Generation:
    (tmp_path / "team.txt").write_text(canary)
    return generation_of(
        f"""
        defaults: {{headers: {{X-Default: "{canary}"}}, timeout: 90s}}
        opencode: off
        enabled_providers: [campus, router, plain]
        gateways:
          - provider_id: campus
            base_url: https://llm.example.edu/v1
            api_key: {canary}
            owner: ml-platform
            headers: {{X-Team: "{canary}", X-Other: {{file: team.txt}}}}
            proxy_url: http://ada:{canary}@proxy.example.edu:3128
          - {{provider_id: router, mapping: openrouter, base_url: "https://r.example.edu/v1", api_key_env: ROUTER_KEY,
              proxy_url: environment}}
          - {{provider_id: plain, base_url: "https://p.example.edu", api_key_file: team.txt, proxy_url: "http://p:1"}}
          - {{provider_id: left-out, base_url: "https://l.example.edu"}}
        """,
        tmp_path,
    )


def test_config_page_holds_no_secret(secretive: Generation, canary: str) -> None:
    """API keys, header values and proxy credentials are replaced; names of files and variables stay."""
    html = pages.config_page(secretive)
    assert canary not in html
    assert "ada" not in html
    text = Page(html).text
    assert "api_key: <secret>" in text
    assert "X-Team: value: <secret>" in text
    assert "proxy_url: http://<secret>@proxy.example.edu:3128" in text
    assert "team.txt" in text
    assert "api_key_env: ROUTER_KEY" in text


def test_config_text_is_the_config_in_force(secretive: Generation, tmp_path: Path) -> None:
    """Defaults and the mapping's own values are written out, for the gateways that are watched."""
    document = parse_yaml(config_yaml(secretive), tmp_path / "shown.yml").value
    gateways = {gateway["provider_id"]: gateway for gateway in document["gateways"]}
    assert list(gateways) == ["campus", "router", "plain"]
    assert document["enabled_providers"] == ["campus", "router", "plain"]
    assert document["opencode"] == "off"
    router = gateways["router"]
    assert router["quota_path"] == "/key"
    assert router["timeout"] == "1m30s"
    assert router["min_interval"] == "0s"
    assert router["label"] == "router"
    assert router["proxy_url"] == "environment"
    assert router["headers"] == {"X-Default": {"value": "<secret>"}}
    assert gateways["plain"]["proxy_url"] == "http://p:1"
    assert f"# from {tmp_path / 'conf.yml'}:" in config_yaml(secretive)
    assert "# left out by enabled_providers: left-out\n" in config_yaml(secretive)


def test_config_text_is_a_config(tmp_path: Path) -> None:
    """What the page shows of a config without secrets can be used as the config, and means the same."""
    generation = generation_of(
        """
        origins: {max_concurrency: 5, per_origin: {"https://llm.example.edu": 2}}
        gateways:
          - provider_id: campus
            base_url: https://llm.example.edu/v1
            label: "no"
            owner: 'ml: platform #1'
            timeout: 1m30s
            stale_for: 250ms
            thresholds: {warning: {ratio: 0.3, cost: 10}, critical: 0.1}
            tls: {server_name: other.example.edu}
        """,
        tmp_path,
    )
    shown = tmp_path / "shown.yml"
    shown.write_text(config_yaml(generation))
    config = read_config(shown, FileReader())
    assert config.problems == ()
    assert config.options.origins == generation.config.options.origins
    settings = generation.plans["campus"].settings
    in_force = settings.model_copy(update={"quota_path": "/quota", "min_interval": 0.0})
    assert [entry.settings for entry in config.entries] == [in_force]


def test_config_text_of_no_gateways_is_a_config(tmp_path: Path) -> None:
    """An empty list stays an empty list."""
    document = parse_yaml(config_yaml(generation_of("gateways: []", tmp_path)), tmp_path / "shown.yml").value
    assert document["gateways"] == []
    assert document["enabled_providers"] == "auto"


def test_remarks_cannot_leave_their_comment(tmp_path: Path) -> None:
    """A file name with a line break adds no line to the config that is shown."""
    generation = generation_of('gateways: [{provider_id: a, base_url: "https://a.example.edu"}]', tmp_path)
    plan = replace(generation.plans["a"], notes=("first\ninjected: true\x85more",))
    text = config_yaml(replace(generation, plans={"a": plan}))
    assert "# first?injected: true?more\n" in text
    assert set(parse_yaml(text, tmp_path / "shown.yml").value) == {
        "opencode",
        "enabled_providers",
        "origins",
        "gateways",
    }


def test_config_page_shows_warnings(tmp_path: Path) -> None:
    """What the exporter warned of at load is on the page too, escaped."""
    generation = generation_of(
        'gateways: [{provider_id: a, base_url: "https://a.example.edu", api_key_file: "<b>.txt"}]', tmp_path
    )
    page = Page(pages.config_page(generation))
    assert "gateways[0].api_key_file: the file does not exist" in page.text
    assert "<b>.txt" in page.text
    assert not page.all("b")
