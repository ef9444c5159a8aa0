"""Which gateways are watched, and what is wrong between entries, files and OpenCode."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from quota_exporter.config import read_config
from quota_exporter.document import ConfigProblem
from quota_exporter.files import FileReader
from quota_exporter.opencode import OpenCode, OpenCodePaths
from quota_exporter.quota import KeySource
from quota_exporter.roster import Plan, Roster, build_roster

PUBLIC_HTTP = "would send the key unencrypted to a public host; use https:// or set allow_http: true"
ID = "must be 1 to 64 letters, digits, dots, underscores or dashes, a letter or digit first"
PATH = "must start with exactly one / and hold no space, query or fragment, as in /quota"
USERINFO = "must not hold a user name or password; use api_key_file, api_key_env or headers"
NO_MAPPING = "write one of `mappings`, or one that `quota-exporter presets` lists"
KEY_HEADER = "is the header that carries the API key; choose another one"
NO_CHECKS = "certificates are not checked; anyone on the way can read the key"

NO_FILE = "matches no file; its gateways are watched once there is one and the config is read again"

Build = Callable[..., Roster]


@pytest.fixture(name="build")
def _build(tmp_path: Path) -> Build:
    def build(
        text: str | None = None,
        *,
        opencode: Any = None,
        environ: Mapping[str, str] | None = None,
        **others: str,
    ) -> Roster:
        """The roster of c.yml, of other files beside it, and of what stands in opencode.json (a str: as it is)."""
        for name, content in others.items():
            (tmp_path / name.replace("_yml", ".yml")).write_text(content, encoding="utf-8")
        if text is not None:
            (tmp_path / "c.yml").write_text(text, encoding="utf-8")
        files = FileReader()
        config = read_config(None if text is None else tmp_path / "c.yml", files)
        source = None
        if opencode is not None and config.options.opencode == "auto":
            path = tmp_path / "opencode.json"
            path.write_text(opencode if isinstance(opencode, str) else json.dumps(opencode, indent=1))
            source = OpenCode(OpenCodePaths((path,), ()), files, environ or {})
        return build_roster(config, source, environ=environ or {}, files=files)

    return build


def told(problems: Iterable[ConfigProblem]) -> list[str]:
    """The problems as the user sees them, from inside of the config's folder."""
    return [re.sub(r"/\S*/(?=[\w-]+\.(?:yml|json))", "", str(problem)) for problem in problems]


def ids(roster: Roster) -> list[str]:
    return [plan.settings.provider_id for plan in roster.plans]


def quota_toast(*entries: Any, **providers: Any) -> dict[str, Any]:
    """OpenCode's config with these gateways, and these base URLs of providers."""
    return {
        "experimental": {"quotaToast": {"openaiCompatibleGateways": list(entries)}},
        "provider": {name: {"options": {"baseURL": url}} for name, url in providers.items()},
    }


def test_a_plan_says_where_and_how_the_quota_is_read(build: Build) -> None:
    """The URL is the base URL and the path: the gateway's own, else the mapping's."""
    roster = build(
        "gateways:\n"
        "  - {provider_id: a, base_url: 'https://h/v1/'}\n"
        "  - {provider_id: b, base_url: 'https://h/v1', mapping: openrouter, min_interval: 5s}\n"
        "  - {provider_id: c, base_url: 'https://h', quota_path: /my/quota}\n"
        "  - {provider_id: d}\n"
    )

    assert told(roster.errors + roster.warnings) == []
    assert [plan.url for plan in roster.plans] == ["https://h/v1/quota", "https://h/v1/key", "https://h/my/quota", None]
    assert [plan.mapping.name for plan in roster.plans] == ["neutral", "openrouter", "neutral", "neutral"]
    assert [plan.min_interval for plan in roster.plans] == [0.0, 5.0, 0.0, 0.0]
    assert [plan.location.line for plan in roster.plans] == [2, 3, 4, 5]
    assert len({id(plan.ssl_context) for plan in roster.plans}) == 1


def test_an_explicit_key_source_is_handed_on(build: Build, tmp_path: Path) -> None:
    """One source per gateway, files by their absolute path; no source means the usual search."""
    (tmp_path / "key").write_text("word")
    roster = build(
        "gateways:\n"
        "  - {provider_id: a, api_key_file: key}\n"
        "  - {provider_id: b, api_key_env: MY_KEY}\n"
        "  - {provider_id: c, api_key: word}\n"
        "  - {provider_id: d}\n"
    )
    keys = [plan.explicit_key for plan in roster.plans]

    assert [key and (key.source, key.value.get_secret_value()) for key in keys] == [
        (KeySource.FILE, str(tmp_path / "key")),
        (KeySource.ENV, "MY_KEY"),
        (KeySource.CONFIG, "word"),
        None,
    ]
    assert "word" not in repr(keys) + repr(roster)


def test_an_id_that_is_used_twice_is_told_over_files(build: Build) -> None:
    """The second place names the first one, also where the entry is spelled in camelCase or has other problems."""
    roster = build(
        "gateway_files: [more.yml]\ngateways:\n  - provider_id: a\n  - provider_id: b\n    timeout: 5\n",
        more_yml="- label: x\n  providerId: a\n- provider_id: b\n- provider_id: c\n- provider_id: c\n",
    )

    assert [line.partition(": is not a")[0] for line in told(roster.errors)] == [
        "c.yml:5: gateways[1].timeout",
        "more.yml:2: [0].providerId: a is used already, at c.yml:3; ids must be unique",
        "more.yml:3: [1].provider_id: b is used already, at c.yml:4; ids must be unique",
        "more.yml:5: [3].provider_id: c is used already, at more.yml:4; ids must be unique",
    ]


def test_a_key_that_went_astray_is_not_quoted(build: Build, canary: str) -> None:
    """A mapping or an id that looks like a key is refused without showing it."""
    roster = build(f"enabled_providers: [{canary}]\ngateways:\n  - {{provider_id: a, mapping: {canary}}}\n")
    assert told(roster.errors) == [
        "c.yml:1: enabled_providers[0]: no gateway has the id given here; add it to `gateways`, or remove it here",
        f"c.yml:3: gateways[0].mapping: unknown mapping given here; {NO_MAPPING}",
    ]


def test_an_unknown_mapping_is_told_with_the_nearest(build: Build) -> None:
    """A typo in a name is as clear as one in a key; one inherited typo is told once, where it stands."""
    roster = build(
        "defaults: {mapping: nuetral}\n"
        "gateways:\n"
        "  - {provider_id: a, mapping: open-router}\n"
        "  - {provider_id: b, mapping: xyz}\n"
        "  - {provider_id: c}\n"
        "  - {provider_id: d}\n"
    )

    assert told(roster.errors) == [
        "c.yml:1: defaults.mapping: unknown mapping 'nuetral'; did you mean `neutral`?",
        "c.yml:3: gateways[0].mapping: unknown mapping 'open-router'; did you mean `openrouter`?",
        f"c.yml:4: gateways[1].mapping: unknown mapping 'xyz'; {NO_MAPPING}",
    ]


@pytest.mark.parametrize("host", ["llm.example.edu", "8.8.8.8", "[2606:4700::1]"])
def test_plain_http_to_a_public_host_is_refused(build: Build, host: str) -> None:
    """The key would be readable on the way; the line is that of the URL, in its own spelling."""
    roster = build(f"gateways:\n  - provider_id: a\n    baseURL: http://{host}/v1\n")

    assert told(roster.errors) == [f"c.yml:3: gateways[0].baseURL: {PUBLIC_HTTP}"]
    assert roster.plans == ()


@pytest.mark.parametrize(
    "host", ["localhost:4000", "127.0.0.1", "10.0.0.5", "[::1]:80", "litellm", "a.svc", "a.local", "a.internal"]
)  # fmt: skip
def test_plain_http_within_ones_own_network_is_right(build: Build, host: str) -> None:
    """In-house gateways without TLS are common and need no switch."""
    assert build(f"gateways: [{{provider_id: a, base_url: 'http://{host}/v1'}}]").errors == ()


def test_allow_http_is_one_gateways_or_a_default(build: Build) -> None:
    """The switch holds where it stands, and an entry can take back what the defaults allow."""
    text = (
        "gateways:\n"
        "  - {provider_id: a, base_url: 'http://h.example'}\n"
        "  - {provider_id: b, base_url: 'http://h.example', allow_http: true}\n"
        "  - {provider_id: c, base_url: 'http://h.example', allow_http: false}\n"
    )
    without, allowed = build(text), build(f"{text}defaults: {{allow_http: true}}\n")

    assert told(without.errors) == [f"c.yml:{n + 2}: gateways[{n}].base_url: {PUBLIC_HTTP}" for n in (0, 2)]
    assert told(allowed.errors) == [f"c.yml:4: gateways[2].base_url: {PUBLIC_HTTP}"]
    assert ids(allowed) == ["a", "b"]


def test_an_unreadable_secret_is_a_warning(build: Build, tmp_path: Path) -> None:
    """The exporter starts, for the secret may be mounted later; the gateway shows no_api_key until then."""
    (tmp_path / "blank").write_text(" \n")
    (tmp_path / "large").write_text("x" * 70_000)
    (tmp_path / "right").write_text("word\n")
    roster = build(
        "defaults:\n"
        "  headers: {X-Token: {file: gone}, X-Team: ml}\n"
        "gateways:\n"
        "  - {provider_id: a, api_key_file: none}\n"
        "  - {provider_id: b, api_key_file: blank}\n"
        "  - {provider_id: c, api_key_file: .}\n"
        "  - {provider_id: d, api_key_file: large}\n"
        "  - {provider_id: e, api_key_file: right, headers: {X-Token: {file: none}, X-Right: {file: right}}}\n"
    )

    assert roster.errors == ()
    assert told(roster.warnings) == [
        "c.yml:2: defaults.headers.X-Token: the file does not exist; the gateway shows no_api_key",
        "c.yml:4: gateways[0].api_key_file: the file does not exist; the gateway shows no_api_key",
        "c.yml:5: gateways[1].api_key_file: the file is blank; put the secret into it",
        "c.yml:6: gateways[2].api_key_file: the file is a directory; the gateway shows no_api_key",
        "c.yml:7: gateways[3].api_key_file: the file is larger than 64 KiB; the gateway shows no_api_key",
        "c.yml:8: gateways[4].headers.X-Token: the file does not exist; the gateway shows no_api_key",
    ]
    assert ids(roster) == ["a", "b", "c", "d", "e"]


def test_wrong_tls_files_are_told_where_they_are_named(build: Build, tmp_path: Path) -> None:
    """A wrong file in the defaults is one problem and not one for each of thousands of gateways."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("a.example").private_key_pem.write_to_path(tmp_path / "a.key")
    roster = build(
        "defaults:\n"
        "  tls:\n"
        "    server_name: llm\n"
        "    ca_file: gone.pem\n"
        "gateways:\n"
        "  - {provider_id: a}\n"
        "  - {provider_id: b}\n"
        "  - provider_id: c\n"
        "    tls:\n"
        "      key_file: a.key\n"
        "      cert_file: a.key\n"
        "  - {provider_id: d, tls: {ca_file: ca.pem}}\n"
    )

    assert told(roster.errors) == [
        "c.yml:4: defaults.tls.ca_file: names a file that does not exist",
        "c.yml:11: gateways[2].tls.cert_file: holds no PEM certificate, or a damaged one",
    ]
    assert ids(roster) == ["d"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "tls: {ca_file: nope, min_version: TLS10}",
            {"tls.ca_file: names a file that does not exist", "tls.min_version: must be 'TLS12' or 'TLS13'"},
        ),
        (
            "tls: {server_name: 'a b', ca_file: nope, cert_file: x}",
            {
                "tls.server_name: has a host name that DNS does not allow",
                "tls.cert_file: comes with key_file; give both",
                "tls.ca_file: names a file that does not exist",
            },
        ),
        (
            "tls: {ca_file: nope, cert_file: nope, key_file: nope}",
            {f"tls.{name}: names a file that does not exist" for name in ("ca_file", "cert_file", "key_file")},
        ),
        (
            "headers: {Authorization: x, X-A: {file: nofile}, x-a: c}",
            {
                "headers.x-a: is X-A once more, for headers ignore case; keep one of them",
                "headers.Authorization: is the header that carries the API key; choose another one",
                "headers.X-A: the file does not exist; the gateway shows no_api_key",
            },
        ),
        (
            "headers: {Authorization: x, X-A: {file: nofile}, Host: foo}",
            {
                "headers.Host: is a header that the exporter sets itself; choose another one",
                "headers.Authorization: is the header that carries the API key; choose another one",
                "headers.X-A: the file does not exist; the gateway shows no_api_key",
            },
        ),
    ],
)
def test_one_wrong_part_of_a_key_hides_no_other(build: Build, line: str, expected: set[str]) -> None:
    """Only the part that is wrong is left out of the checks that follow, and not the key around it."""
    roster = build(f"gateways:\n  - provider_id: a\n    {line}\n")

    assert set(told(roster.errors + roster.warnings)) == {f"c.yml:3: gateways[0].{problem}" for problem in expected}


def test_a_glob_without_files_is_a_warning(build: Build) -> None:
    """A folder that is still empty is no mistake, a misspelt one is: both are told, and nothing stops."""
    roster = build("gateway_files: [more.yml, 'cnf.d/*.yml']\ngateways: [{provider_id: a}]", more_yml="[]")

    assert roster.errors == ()
    assert told(roster.warnings) == [f"c.yml:1: gateway_files[1]: {NO_FILE}"]
    assert ids(roster) == ["a"]


def test_switched_off_certificate_checks_are_a_warning(build: Build) -> None:
    """It is shown at each load where the switch stands, once when it is inherited."""
    roster = build(
        "defaults:\n  tls: {insecure_skip_verify: true}\n"
        "gateways: [{provider_id: a}, {provider_id: b}, {provider_id: c, tls: {}}]\n"
    )

    assert roster.errors == ()
    assert told(roster.warnings) == [f"c.yml:2: defaults.tls.insecure_skip_verify: {NO_CHECKS}"]


def test_gateways_share_a_context_for_equal_tls_settings(build: Build, tmp_path: Path) -> None:
    """Loading the authorities takes milliseconds and megabytes, for thousands of gateways once."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    entries = "".join(f"  - {{provider_id: g{n}, tls: {{ca_file: ca.pem}}}}\n" for n in range(5))
    contexts = [plan.ssl_context for plan in build(f"gateways:\n{entries}  - {{provider_id: other}}\n").plans]

    assert len({id(context) for context in contexts[:5]}) == 1
    assert contexts[5] is not contexts[0]


@pytest.mark.parametrize(
    ("enabled", "expected", "disabled"),
    [
        ("auto", ["a", "b", "c"], set()),
        ("[a, c]", ["a", "c"], {"b"}),
        ("[c, a]", ["a", "c"], {"b"}),
        ("[]", [], {"a", "b", "c"}),
        ("[openai-compatible]", ["a", "b", "c"], set()),
        ("[openai-compatible, a]", ["a", "b", "c"], set()),
    ],
)
def test_enabled_providers_chooses_gateways(
    build: Build, enabled: str, expected: list[str], disabled: set[str]
) -> None:
    """Both auto and openai-compatible mean all, a list means those; the rest is known as disabled."""
    gateways = "gateways: [{provider_id: a}, {provider_id: b}]"
    roster = build(f"enabled_providers: {enabled}\n{gateways}", opencode=quota_toast({"providerId": "c"}))

    assert told(roster.errors + roster.warnings) == []
    assert ids(roster) == expected
    assert roster.disabled == disabled


def test_an_unknown_enabled_provider_is_an_error(build: Build) -> None:
    """A gateway that is meant to be watched never goes missing over a typo, also beside openai-compatible."""
    roster = build(
        "enabled_providers:\n  - campus\n  - campsu\n  - openai-compatible\n  - zzz\n  - broken\n"
        "gateways: [{provider_id: campus}, {provider_id: broken, timeout: 5}]\n"
    )

    assert [line.partition(": is not a")[0] for line in told(roster.errors)] == [
        "c.yml:3: enabled_providers[1]: no gateway has the id 'campsu'; did you mean `campus`?",
        "c.yml:5: enabled_providers[3]: no gateway has the id 'zzz'; add it to `gateways`, or remove it here",
        "c.yml:7: gateways[1].timeout",
    ]


def test_colliding_variable_names_matter_only_where_both_use_them(build: Build) -> None:
    """a-b and a_b would share the key in A_B_API_KEY: one of them would be shown with the other's quota."""
    text = "gateways:\n  - provider_id: a-b\n  - provider_id: a_b\n  - provider_id: A.B\n    api_key_env: OTHER\n"
    problem = "takes its key from A_B_API_KEY, as does {}; give each its own api_key_env"

    assert told(build(text, environ={"A_B_API_KEY": "word"}).errors) == [
        f"c.yml:2: gateways[0].provider_id: {problem.format('a_b')}",
        f"c.yml:3: gateways[1].provider_id: {problem.format('a-b')}",
    ]
    assert build(text, environ={}).errors == ()
    assert build(text, environ={"A_B_API_KEY": " "}).errors == ()
    assert build(f"{text}enabled_providers: [a-b, A.B]", environ={"A_B_API_KEY": "word"}).errors == ()
    assert build(text.replace("a_b\n", "a_b\n    api_key: x\n"), environ={"A_B_API_KEY": "word"}).errors == ()


def test_opencodes_gateways_are_watched_without_a_config(build: Build) -> None:
    """A developer who lists gateways in OpenCode needs no second config; unknown keys there are OpenCode's own."""
    roster = build(
        None,
        opencode=quota_toast(
            {"providerId": "campus", "quotaPath": "/q", "label": "Campus", "mapping": "openrouter", "color": "red"},
            {"providerId": "lab", "baseURL": "http://lab:4000/", "label": None},
            {"providerId": "none"},
            campus="https://llm.example.edu/v1/",
            lab="https://elsewhere.example",
        ),
    )

    assert told(roster.errors + roster.warnings) == []
    assert [(plan.settings.provider_id, plan.url, plan.settings.label) for plan in roster.plans] == [
        ("campus", "https://llm.example.edu/v1/q", "Campus"),
        ("lab", "http://lab:4000/quota", None),
        ("none", None, None),
    ]
    assert [plan.location.path.name for plan in roster.plans] == ["opencode.json"] * 3


def test_opencodes_gateways_inherit_the_defaults(build: Build) -> None:
    """What holds for all gateways holds for the imported ones too."""
    roster = build("defaults: {owner: ml, timeout: 3s}", opencode=quota_toast({"providerId": "campus"}))

    assert [(plan.settings.owner, plan.settings.timeout) for plan in roster.plans] == [("ml", 3.0)]


def test_an_own_gateway_inherits_the_base_url_of_opencodes_provider(build: Build) -> None:
    """Only where it has none of its own; a bad one is a warning that names OpenCode's key, without quoting it."""
    roster = build(
        "gateways:\n  - provider_id: a\n  - {provider_id: b, base_url: 'https://own'}\n  - provider_id: c\n",
        opencode=quota_toast(a="https://theirs/v1/", b="https://theirs", c="https://user:word@h"),
    )

    assert [plan.settings.base_url for plan in roster.plans] == ["https://theirs/v1", "https://own", None]
    assert roster.errors == ()
    assert told(roster.warnings) == [f"c.yml:4: gateways[2].base_url: OpenCode's provider.c.options.baseURL {USERINFO}"]


def test_an_inherited_base_url_is_held_to_the_same_rule(build: Build) -> None:
    """Plain http to a public host needs allow_http wherever the URL stands."""
    opencode = quota_toast(a="http://h.example/v1")
    refused = build("gateways:\n  - provider_id: a\n", opencode=opencode)
    allowed = build("gateways: [{provider_id: a, allow_http: true}]", opencode=opencode)

    assert told(refused.errors) == [
        f"c.yml:2: gateways[0].base_url: OpenCode's provider.a.options.baseURL {PUBLIC_HTTP}"
    ]
    assert [plan.url for plan in allowed.plans] == ["http://h.example/v1/quota"]


def test_the_exporters_own_entry_wins_and_says_so(build: Build) -> None:
    """An id in both places is no mistake: the note tells which file decides."""
    roster = build(
        "gateways: [{provider_id: a, base_url: 'https://own'}]",
        opencode=quota_toast({"providerId": "b"}, {"providerId": "a", "baseURL": "https://theirs"}),
    )
    first, second = roster.plans

    assert told(roster.errors + roster.warnings) == []
    assert (first.settings.provider_id, first.url) == ("a", "https://own/quota")
    assert [re.sub(r"/\S*/", "", note) for note in first.notes] == ["is also listed in opencode.json:8; c.yml decides"]
    assert second.notes == ()


@pytest.mark.parametrize("own", ["[]", "[{provider_id: a, base_url: 'https://own'}]"])
def test_an_id_that_opencode_lists_twice_is_a_warning(build: Build, own: str) -> None:
    """The first of the two is in force, and the second is told as any other wrong entry."""
    roster = build(
        f"gateways: {own}",
        opencode=quota_toast(
            {"providerId": "a", "baseURL": "https://first"}, {"providerId": "a", "baseURL": "https://second"}
        ),
    )

    assert roster.errors == ()
    (warning,) = told(roster.warnings)
    assert warning.replace("experimental.quotaToast.openaiCompatibleGateways", "list") == (
        "opencode.json:10: list[1].providerId: a is used already, at opencode.json:5; ids must be unique"
    )
    assert [plan.url for plan in roster.plans] == ["https://own/quota" if "own" in own else "https://first/quota"]
    assert [len(plan.notes) for plan in roster.plans] == [int("own" in own)]


def test_wrong_entries_of_opencode_are_warnings_only(build: Build) -> None:
    """They are left out, in OpenCode's spelling and with the lines of its file; everything else goes on."""
    roster = build(
        "gateways: [{provider_id: own}]",
        opencode=quota_toast(
            {"providerId": "a b"},
            {"baseURL": "https://h"},
            {"providerId": "c", "baseURL": "h"},
            {"providerId": "d", "quotaPath": "quota"},
            {"providerId": "e", "mapping": "nuetral"},
            {"providerId": "f", "baseURL": "http://h.example"},
            {"providerId": "g", "label": 5},
            "h",
            {"providerId": "i"},
        ),
    )
    path = "experimental.quotaToast.openaiCompatibleGateways"

    assert roster.errors == ()
    assert [line.replace(path, "list") for line in told(roster.warnings)] == [
        f"opencode.json:6: list[0].providerId: {ID}",
        "opencode.json:8: list[1].providerId: is missing; add it",
        "opencode.json:13: list[2].baseURL: must start with https:// (or http:// for a host of your own network)",
        f"opencode.json:17: list[3].quotaPath: {PATH}",
        "opencode.json:21: list[4].mapping: unknown mapping 'nuetral'; did you mean `neutral`?",
        f"opencode.json:25: list[5].baseURL: {PUBLIC_HTTP}",
        "opencode.json:29: list[6].label: must be text; put the value in quotes",
        'opencode.json:31: list[7]: must be an object such as {"providerId": "campus"}',
    ]
    assert ids(roster) == ["own", "i"]


def test_a_broken_opencode_file_does_not_stop_the_exporter(build: Build) -> None:
    """Also when enabled_providers names a gateway that stands in it: that is a warning then, else an error."""
    text = "enabled_providers: [own, theirs]\ngateways: [{provider_id: own}]"
    broken, gone = build(text, opencode='{"a": \n oops}'), build(text, opencode={})
    unknown = "c.yml:1: enabled_providers[1]: no gateway has the id 'theirs'; add it to `gateways`, or remove it here"

    assert broken.errors == ()
    assert [line.partition(": not valid JSON")[0] for line in told(broken.warnings)] == ["opencode.json:2", unknown]
    assert ids(broken) == ["own"]
    assert told(gone.errors) == [unknown]


def test_opencode_off_never_looks(build: Build) -> None:
    """With the switch nothing of OpenCode is imported or reported."""
    roster = build("opencode: off\ngateways: [{provider_id: own}]", opencode="broken")

    assert (ids(roster), roster.errors, roster.warnings) == (["own"], (), ())


def test_problems_of_all_kinds_come_in_one_run_in_the_order_of_the_files(build: Build) -> None:
    """What one entry alone shows and what takes several entries stands line by line."""
    roster = build(
        "gateways:\n"
        "  - provider_id: a\n"
        "    mapping: nope-nope\n"
        "    timeout: 5\n"
        "  - provider_id: b\n"
        "    base_url: http://h.example\n"
        "    tls: {ca_file: gone}\n"
        "    zzz: 1\n"
        "  - provider_id: a\n"
        "gateway_files: [more.yml]\n"
        "enabled_providers: [a, x]\n",
        more_yml="- provider_id: b\n  stale_for: 1\n",
    )

    assert [": ".join(line.split(": ")[:2]) for line in told(roster.errors)] == [
        "c.yml:3: gateways[0].mapping",
        "c.yml:4: gateways[0].timeout",
        "c.yml:6: gateways[1].base_url",
        "c.yml:7: gateways[1].tls.ca_file",
        "c.yml:8: gateways[1].zzz",
        "c.yml:9: gateways[2].provider_id",
        "c.yml:11: enabled_providers[1]",
        "more.yml:1: [0].provider_id",
        "more.yml:2: [0].stale_for",
    ]


def test_no_plan_or_problem_shows_a_secret(build: Build, canary: str) -> None:
    """Keys, header values and proxy passwords stay out of every repr and message of a roster."""
    roster = build(
        "gateways:\n"
        f"  - {{provider_id: a, api_key: {canary}, proxy_url: 'http://u:{canary}@squid:3128'}}\n"
        f"  - {{provider_id: b, base_url: 'https://u:{canary}@h', headers: {{X-Key: {canary}}}}}\n"
        f"  - {{provider_id: a, api_key: {canary}, tls: {{ca_file: gone}}}}\n",
        opencode=quota_toast(
            {"providerId": "c", "baseURL": f"https://u:{canary}@h"}, {"providerId": "d"}, d=f"https://u:{canary}@h"
        ),
    )

    assert len(roster.errors) == 3
    assert len(roster.warnings) == 2
    assert canary not in "\n".join(told((*roster.errors, *roster.warnings)))
    assert canary not in repr(roster) + repr([plan.explicit_key for plan in roster.plans])


def test_five_thousand_keys_on_one_host_load_in_seconds(build: Build) -> None:
    """A fleet is a list in one file, with one problem where one thing is wrong."""
    entries = "".join(f"- {{provider_id: k{n}, base_url: 'https://h/v1', api_key_env: K{n}}}\n" for n in range(5000))
    enabled = ", ".join(f"k{n}" for n in range(5000))
    roster = build(
        f"gateway_files: [more.yml]\ndefaults: {{tls: {{ca_file: gone}}}}\nenabled_providers: [{enabled}]\n",
        more_yml=entries,
    )

    assert told(roster.errors) == ["c.yml:2: defaults.tls.ca_file: names a file that does not exist"]


def test_entries_that_cannot_be_used_are_checked_all_the_same(build: Build) -> None:
    """A wrong or repeated id hides no other problem of its entry, so that one run tells them all."""
    roster = build(
        "gateways:\n"
        "  - {provider_id: a}\n"
        "  - {provider_id: a, base_url: 'http://8.8.8.8/v1'}\n"
        "  - {provider_id: b c, mapping: nuetral}\n"
        "  - {base_url: 'http://9.9.9.9'}\n"
    )

    assert told(roster.errors) == [
        f"c.yml:3: gateways[1].base_url: {PUBLIC_HTTP}",
        "c.yml:3: gateways[1].provider_id: a is used already, at c.yml:2; ids must be unique",
        f"c.yml:4: gateways[2].provider_id: {ID}",
        "c.yml:4: gateways[2].mapping: unknown mapping 'nuetral'; did you mean `neutral`?",
        "c.yml:5: gateways[3].provider_id: is missing; add it",
        f"c.yml:5: gateways[3].base_url: {PUBLIC_HTTP}",
    ]
    assert ids(roster) == ["a"]


def test_a_plan_is_a_value(build: Build) -> None:
    """Nobody changes a plan after the roster is built."""
    plan = build("gateways: [{provider_id: a}]").plans[0]

    assert isinstance(plan, Plan)
    with pytest.raises(AttributeError):
        plan.notes = ()  # type: ignore[misc]  # that is what is tested


OWN = """\
mappings:
  costhelm:
    path: /limits
    units: {cent: 100}
    auth: {header: X-Key, scheme: ""}
    buckets: [{kind: cost, currency: USD, unit: cent, limit: limit, used: used}]
  elsewhere: {requests: [{url: 'https://other.example/self'}], buckets: [{kind: tokens, used: used}]}
  nowhere: {buckets: [{kind: tokens, used: used}]}
  two:
    requests:
      - {id: key, path: /key, root: true}
      - {id: team, path: '/team/{team}', values: {team: key.team}}
      - {id: wallet, url: 'https://pay.example/wallet'}
    buckets: [{kind: tokens, used: key.used}]
"""


def test_own_mappings_go_before_presets(build: Build) -> None:
    """A gateway finds a mapping of the config, also one that has the name of a preset."""
    shadow = "  neutral: {path: /mine, buckets: [{kind: tokens, used: used}]}\n"
    gateways = "gateways: [{provider_id: a, base_url: 'https://h', mapping: costhelm}, {provider_id: b, base_url: 'https://h'}]"
    for text, path in ((OWN, "quota"), (OWN + shadow, "mine")):
        roster = build(text + gateways)
        assert told(roster.errors) == []
        assert [plan.url for plan in roster.plans] == ["https://h/limits", f"https://h/{path}"]


def test_a_typo_is_told_with_the_nearest_of_all_mappings(build: Build) -> None:
    """Own mappings and presets are looked through for what was meant."""
    roster = build(OWN + "gateways: [{provider_id: a, mapping: costhlem}, {provider_id: b, mapping: litelm}]")

    assert [line.rpartition("; ")[2] for line in told(roster.errors)] == [
        "did you mean `costhelm`?",
        "did you mean `litellm`?",
    ]


def test_a_wrong_mapping_is_told_once(build: Build) -> None:
    """What is wrong with a mapping stands at the mapping, and not at each of its gateways once more."""
    text = OWN.replace("limit: limit", "limit: 'a['")
    roster = build(text + "gateways: [{provider_id: a, mapping: costhelm}, {provider_id: b, mapping: costhelm}]")

    (problem,) = told(roster.errors)
    assert problem.startswith("c.yml:6: mappings.costhelm.buckets[0].limit: is not valid JMESPath")
    assert roster.plans == ()


def test_a_gateway_overrides_single_things_of_a_mapping(build: Build) -> None:
    """Currency and units are those of the entry, for this gateway alone; equal overrides are one mapping."""
    roster = build(
        OWN + "gateways:\n"
        "  - {provider_id: a, base_url: 'https://h', mapping: costhelm}\n"
        "  - {provider_id: b, base_url: 'https://h', mapping: costhelm, currency: EUR, units: {cent: 1000}}\n"
        "  - {provider_id: c, base_url: 'https://h', mapping: costhelm, units: {cent: 1000}, currency: EUR}\n"
    )
    plain, one, other = (plan.mapping for plan in roster.plans)

    assert told(roster.errors) == []
    assert (plain.buckets[0].currency, plain.units) == ("USD", {"cent": 100})
    assert (one.buckets[0].currency, one.units, one.name) == ("EUR", {"cent": 1000}, "costhelm")
    assert one is other


def test_a_unit_that_the_mapping_does_not_have_is_told(build: Build) -> None:
    """A typo in the name of a unit would leave the amounts as they are."""
    roster = build(
        OWN + "gateways:\n"
        "  - {provider_id: a, base_url: 'https://h', mapping: costhelm, units: {cents: 50}}\n"
        "  - {provider_id: b, base_url: 'https://h', units: {quota: 50}}\n"
    )

    assert told(roster.errors) == [
        "c.yml:16: gateways[0].units.cents: is not a unit of the mapping costhelm; known: cent",
        "c.yml:17: gateways[1].units.quota: is not a unit of the mapping neutral; it has none, so remove it",
    ]


def test_a_currency_or_a_number_of_keys_that_the_mapping_has_no_use_for_is_told(build: Build) -> None:
    """What changes nothing is a mistake, as a unit is; null is as good as nothing."""
    roster = build(
        "mappings:\n"
        "  counts: {path: /a, buckets: [{kind: tokens, used: u}]}\n"
        "  keys: {path: /a, children: {each: k, alias: a, buckets: [{kind: cost, currency: USD, used: u}]}}\n"
        "gateways:\n"
        "  - {provider_id: a, base_url: 'https://h', mapping: counts, currency: EUR, max_children: 5}\n"
        "  - {provider_id: b, base_url: 'https://h', mapping: counts, currency: null, max_children: null, units: {}}\n"
        "  - {provider_id: c, base_url: 'https://h', mapping: keys, currency: EUR, max_children: 5}\n"
    )

    assert told(roster.errors) == [
        "c.yml:5: gateways[0].currency: has no meaning: the mapping counts has no buckets of kind cost; remove it",
        "c.yml:5: gateways[0].max_children: has no meaning: the mapping counts lists no keys; remove it",
    ]
    assert [plan.settings.provider_id for plan in roster.plans] == ["b", "c"]


def test_defaults_change_the_mappings_that_they_fit_and_leave_the_others(build: Build) -> None:
    """One gateway's unit, currency or list of keys in `defaults` does not stop those that have none."""
    roster = build(
        OWN + "  counts: {path: /a, buckets: [{kind: tokens, used: u}]}\n"
        "defaults: {units: {cent: 1000}, currency: EUR, max_children: 5}\n"
        "gateways:\n"
        "  - {provider_id: a, base_url: 'https://h', mapping: costhelm}\n"
        "  - {provider_id: b, base_url: 'https://h', mapping: counts}\n"
        "  - {provider_id: c, base_url: 'https://h'}\n"
    )
    own, counts, neutral = (plan.mapping for plan in roster.plans)

    assert told(roster.errors) == []
    assert (own.buckets[0].currency, own.units) == ("EUR", {"cent": 1000})
    assert (counts.units, neutral.units) == ({}, {})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("gateways:\n- provider_id: a\n  headers: {authorization: a}", "3: gateways[0].headers.authorization"),
        (
            "defaults: {headers: {X-Key: a}}\ngateways:\n- {provider_id: a, auth: {header: x-key}}",
            "1: defaults.headers.X-Key",
        ),
        (
            "defaults: {auth: {header: x-key}}\ngateways:\n- {provider_id: a, headers: {X-Key: a}}",
            "3: gateways[0].headers.X-Key",
        ),
        (
            f"{OWN}gateways:\n- {{provider_id: a, mapping: costhelm, headers: {{x-key: a}}}}",
            "16: gateways[0].headers.x-key",
        ),
    ],
)
def test_an_extra_header_never_takes_the_place_of_the_key(build: Build, canary: str, text: str, place: str) -> None:
    """Whether the entry, the defaults or the mapping says which header that is; the value is not shown."""
    roster = build(text.replace(": a}", f": {canary}}}"))

    assert told(roster.errors) == [f"c.yml:{place}: {KEY_HEADER}"]
    assert canary not in repr(roster)


def test_the_usual_header_is_free_where_the_key_is_elsewhere(build: Build) -> None:
    """A mapping that sends the key in a header of its own leaves Authorization to the operator."""
    text = "gateways: [{provider_id: a, base_url: 'https://h', mapping: costhelm, headers: {Authorization: word}}]"

    assert build(OWN + text).errors == ()


def test_all_addresses_of_a_mapping_are_known(build: Build) -> None:
    """People see where the key goes: each request's address, and each origin once."""
    roster = build(OWN + "gateways: [{provider_id: a, base_url: 'https://H/gw/v1', mapping: two}]")
    (plan,) = roster.plans

    assert plan.url == "https://H/gw/key"
    assert plan.urls == ("https://H/gw/key", "https://H/gw/v1/team/{team}", "https://pay.example/wallet")
    assert plan.origins == ("https://h:443", "https://pay.example:443")


def test_a_mapping_with_an_address_needs_no_base_url(build: Build) -> None:
    """Where every request has its own address the gateway is complete without one."""
    roster = build(OWN + "gateways: [{provider_id: a, mapping: elsewhere}, {provider_id: b, mapping: two}]")

    assert told(roster.errors) == []
    assert [plan.url for plan in roster.plans] == ["https://other.example/self", None]


def test_quota_path_is_there_where_it_has_to_be(build: Build) -> None:
    """A mapping without a path needs one; to one with an address of its own it would say nothing."""
    roster = build(
        OWN + "gateways:\n"
        "  - {provider_id: a, base_url: 'https://h', mapping: nowhere}\n"
        "  - {provider_id: b, base_url: 'https://h', mapping: nowhere, quota_path: /mine}\n"
        "  - {provider_id: c, base_url: 'https://h', mapping: elsewhere, quotaPath: /mine}\n"
    )

    unused = "is not used by the mapping elsewhere, which asks at an address of its own; remove it"
    assert told(roster.errors) == [
        "c.yml:16: gateways[0].quota_path: is missing; the mapping nowhere does not say where the quota is, so add it",
        f"c.yml:18: gateways[2].quotaPath: {unused}",
    ]
    assert [plan.url for plan in roster.plans] == ["https://h/mine"]


def test_an_opencode_entry_finds_own_mappings(build: Build) -> None:
    """What OpenCode lists may be read by a mapping of the exporter's config."""
    entry = {"providerId": "a", "baseURL": "https://h", "mapping": "costhelm"}
    roster = build(f"gateways: []\n{OWN}", opencode=quota_toast(entry))

    assert told(roster.errors + roster.warnings) == []
    assert [plan.url for plan in roster.plans] == ["https://h/limits"]


def test_a_mapping_may_take_longer_than_others(build: Build) -> None:
    """A mapping's own timeout holds where neither the entry nor `defaults` say another."""
    own = "mappings: {slow: {path: /a, timeout: 1m, buckets: [{kind: tokens, used: a}]}}\n"
    gateways = (
        "gateways:\n"
        "  - {provider_id: a, base_url: 'https://h', mapping: slow}\n"
        "  - {provider_id: b, base_url: 'https://h', mapping: slow, timeout: 3s}\n"
        "  - {provider_id: c, base_url: 'https://h'}\n"
    )
    assert [plan.settings.timeout for plan in build(own + gateways).plans] == [60, 3, 9]
    assert [plan.settings.timeout for plan in build(f"defaults: {{timeout: 5s}}\n{own}{gateways}").plans] == [5, 3, 5]


def test_a_mapping_with_mistakes_is_told_once(build: Build) -> None:
    """What is wrong with an own mapping stands where it is written, and nothing is made up about its gateways."""
    roster = build(
        "mappings:\n"
        "  mine:\n"
        "    requests: [{path: /a, method: PUT}]\n"
        "    buckets: [{kind: tokens, used: a}]\n"
        "gateways: [{provider_id: a, base_url: 'https://h', mapping: mine}]\n"
    )
    assert told(roster.errors) == ["c.yml:3: mappings.mine.requests[0].method: must be 'GET' or 'POST'"]


def test_the_quota_path_is_written_out(build: Build) -> None:
    """An entry's path has nothing to fill in."""
    roster = build("gateways: [{provider_id: a, base_url: 'https://h', quota_path: '/x/{id}'}]\n")
    assert told(roster.errors) == ["c.yml:1: gateways[0].quota_path: holds { or }: write the path out, as in /v1/quota"]
