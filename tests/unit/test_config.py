"""Every mistake in a config file is told as `file:line: key: what is wrong, what to do`, all in one run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from quota_exporter import config as config_module
from quota_exporter.bucket_language import BucketRule, Unlimited
from quota_exporter.config import Config, config_files, find_config, read_config
from quota_exporter.files import FileReader
from quota_exporter.mapping_language import ChildrenRule, ReplyMapping
from quota_exporter.request_language import Auth, Pages, Request
from quota_exporter.settings import GatewayDefaults, GatewaySettings, Options, Threshold, Thresholds, Tls

DURATION = "is not a duration; write a number with its unit, such as 10s, 1m30s or 500ms"
EMPTY = "is empty; give it a value or remove it"
TEXT = "must be text; put the value in quotes"
WHOLE = "must be a whole number without quotes"
BOOL = "must be true or false, without quotes"
MAP = "must be a map of keys; write {} for an empty one"
URL_SCHEME = "must start with https:// (or http:// for a host of your own network)"
URL_USER = "must not hold a user name or password; use api_key_file, api_key_env or headers"
URL_QUERY = "must not hold a query or a fragment; end it with the path, as in https://host/v1"
PATH = "must start with exactly one / and hold no space, query or fragment, as in /quota"
ID = "must be 1 to 64 letters, digits, dots, underscores or dashes, a letter or digit first"
PROXY = "must be http(s)://[user:password@]host:port, or the word environment"
OWN_HEADER = "is a header that the exporter sets itself; choose another one"
NO_HEADER = "is not a header name; write letters, digits and dashes, such as X-Team"
HEADER_TEXT = "must be printable ASCII on one line, without spaces around it"
HEADER_FORM = "give either the value or `file`, the file that holds it"
HEADER_AGAIN = "is X-Team once more, for headers ignore case; keep one of them"
NO_SPACE = "has no space after its colon; write one between the key and the value"
KEY_AS_VARIABLE = "looks like a key itself; put it into a variable and name that here, as in CAMPUS_API_KEY"
KEY_AS_SCHEME = "looks like a key itself; write the word before the key, such as Bearer"
OPENCODES = "is in OpenCode's notation {{{0}:...}}, which is not read here; write api_key_{0}"
KEY_AS_FILE = "looks like a key itself; put it into a file and name that here, as in ./key"
NO_HOME = "starts with ~ but there is no such home directory; write the whole path"
NO_ADDRESS = "is not a valid IP address; write four decimal numbers or an IPv6 address without zone"
ORDER = "the critical {0} must not be above the warning {0}"
ITSELF = "matches this file itself; keep the lists of gateways elsewhere, as in conf.d/*.yml"
TLS_KEYS = "ca_file, cert_file, insecure_skip_verify, key_file, min_version, server_name"
OPTIONS = "defaults, enabled_providers, gateway_files, gateways, mappings, opencode, origins"
LABEL = "must be at most 64 printable characters"
SHORT_THRESHOLD = "must be a number without quotes, or a map such as {ratio: <number>}"
SHORT_ORIGIN = "must be a number without quotes, or a map such as {max_concurrency: <number>}"
SHORT_HEADER = "must be text (put a number in quotes), or a map such as {file: <path>}"

Write = Callable[..., Config]


@pytest.fixture(name="load")
def _load(tmp_path: Path) -> Write:
    def load(text: str, **others: str) -> Config:
        """Read `text` as c.yml, with other files beside it (a_yml is a.yml, conf__a_yml is conf/a.yml)."""
        for name, content in {"c_yml": text, **others}.items():
            path = tmp_path / name.replace("__", "/").replace("_yml", ".yml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
        return read_config(tmp_path / "c.yml", FileReader())

    return load


def told(config: Config) -> list[str]:
    """The problems as the user sees them, from inside of the config's folder."""
    return [re.sub(r"/\S*/(?=\w+\.yml)", "", str(problem)) for problem in config.problems]


def gateway(*lines: str) -> str:
    """A right gateway on lines 1 to 3, these lines from line 4 on."""
    text = ["gateways:", "  - provider_id: campus", "    base_url: https://llm.example.edu/v1"]
    return "\n".join([*text, *(f"    {line}" for line in lines), ""])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("timout: 9s", "timout: unknown key; did you mean `timeout`?"),
        ("Timeout: 9s", "Timeout: unknown key; did you mean `timeout`?"),
        ("quotaPaths: /x", "quotaPaths: unknown key; did you mean `quota_path`?"),
        ("tls: {cafile: a.pem}", "tls.cafile: unknown key; did you mean `ca_file`?"),
        ("auth: {hedder: X-Key}", "auth.hedder: unknown key; did you mean `header`?"),
        ("thresholds: {waring: 0.1}", "thresholds.waring: unknown key; did you mean `warning`?"),
        ("thresholds: {warning: {ration: 0.1}}", "thresholds.warning.ration: unknown key; did you mean `ratio`?"),
        ("headers: {X-Team: {fil: a}}", "headers.X-Team.fil: unknown key; did you mean `file`?"),
        ("tls: {zzz: 1}", f"tls.zzz: unknown key; known here: {TLS_KEYS}"),
        ("mapping: 5", f"mapping: {TEXT}"),
        ("label: 5", f"label: {TEXT}"),
        (f"label: {'x' * 65}", f"label: {LABEL}"),
        ('label: "a\\nb"', f"label: {LABEL}"),
        ("owner: [a]", f"owner: {TEXT}"),
        ("owner:", f"owner: {EMPTY}"),
        ("max_buckets: '5'", f"max_buckets: {WHOLE}"),
        ("max_buckets: 5.5", f"max_buckets: {WHOLE}"),
        ("max_buckets: true", f"max_buckets: {WHOLE}"),
        ("max_buckets: 0", "max_buckets: must be at least 1"),
        ("max_buckets: 1001", "max_buckets: must be at most 1000"),
        ("allow_http: yes", f"allow_http: {BOOL}"),
        ("allow_http: 1", f"allow_http: {BOOL}"),
        ("timeout: 10", f"timeout: {DURATION}"),
        ("timeout: '10'", f"timeout: {DURATION}"),
        ("timeout: 1.5s", f"timeout: {DURATION}"),
        ("timeout: 1 h", f"timeout: {DURATION}"),
        ("timeout: 1s1h", f"timeout: {DURATION}"),
        ("timeout: -1s", f"timeout: {DURATION}"),
        ("timeout: 12:30", f"timeout: {DURATION}"),
        ("timeout: 0s", "timeout: must be longer than 0s"),
        ("timeout:", f"timeout: {EMPTY}"),
        ("min_interval: 30", f"min_interval: {DURATION}"),
        ("stale_for: 1 m", f"stale_for: {DURATION}"),
        ("quota_path: quota", f"quota_path: {PATH}"),
        ("quota_path: //host/quota", f"quota_path: {PATH}"),
        ("quota_path: /quota?key=1", f"quota_path: {PATH}"),
        ("quota_path: /a b", f"quota_path: {PATH}"),
        ("quota_path: /a/../b", "quota_path: must not climb with ..; write the path below base_url"),
        ("proxy_url: squid:3128", f"proxy_url: {URL_SCHEME}"),
        ("proxy_url: http://squid:3128/path", f"proxy_url: {PROXY}"),
        ("proxy_url: 3128", f"proxy_url: {TEXT}"),
        ("api_key_env: MY-KEY", "api_key_env: must be the name of an environment variable, such as CAMPUS_API_KEY"),
        ("api_key_env: $KEY", "api_key_env: must be the name of an environment variable, such as CAMPUS_API_KEY"),
        ("api_key_file: ''", "api_key_file: must be the path of a file"),
        ('api_key_file: "a\\0b"', "api_key_file: must be the path of a file"),
        ("api_key_file: ~nobody-of-that-name/key", f"api_key_file: {NO_HOME}"),
        ("api_key: 12345", f"api_key: {TEXT}"),
        ("auth: Bearer", f"auth: {MAP}"),
        ("auth: {header: 'X Key'}", f"auth.header: {NO_HEADER}"),
        ("auth: {header: Host}", f"auth.header: {OWN_HEADER}"),
        ("auth: {scheme: 'Bearer token'}", "auth.scheme: must be one word, or empty for the bare key"),
        ("headers: [a]", f"headers: {MAP}"),
        ("headers: {X-Team: 5}", f"headers.X-Team: {SHORT_HEADER}"),
        ("headers: {X-Team: }", f"headers.X-Team: {EMPTY}"),
        ("headers: {X-Team: {}}", f"headers.X-Team: {HEADER_FORM}"),
        ("headers: {X-Team: {value: a, file: b}}", f"headers.X-Team: {HEADER_FORM}"),
        ("headers: {X-Team: 'a '}", f"headers.X-Team: {HEADER_TEXT}"),
        ('headers: {X-Team: "a\\r\\nHost: b"}', f"headers.X-Team: {HEADER_TEXT}"),
        ("headers: {X Team: a}", f'headers["X Team"]: {NO_HEADER}'),
        ("headers: {content-length: a}", f"headers.content-length: {OWN_HEADER}"),
        ("headers: {X-Team: a, x-team: b}", f"headers.x-team: {HEADER_AGAIN}"),
        ("tls:", f"tls: {EMPTY}"),
        ("tls: {cert_file: a.pem}", "tls.cert_file: comes with key_file; give both"),
        ("tls: {key_file: a.pem}", "tls.key_file: comes with cert_file; give both"),
        ("tls: {min_version: TLS11}", "tls.min_version: must be 'TLS12' or 'TLS13'"),
        ("tls: {min_version: 1.2}", "tls.min_version: must be 'TLS12' or 'TLS13'"),
        ("tls: {server_name: 'https://x'}", f"tls.server_name: {NO_ADDRESS}"),
        ("tls: {server_name: a b}", "tls.server_name: has a host name that DNS does not allow"),
        ("thresholds: 0.1", f"thresholds: {MAP}"),
        ("thresholds: {warning: 20%}", f"thresholds.warning: {SHORT_THRESHOLD}"),
        ("thresholds: {warning: 20}", "thresholds.warning: must be at most 1"),
        ("thresholds: {warning: .nan}", "thresholds.warning: must be a finite number"),
        ("thresholds: {warning: {cost: -1}}", "thresholds.warning.cost: must be at least 0"),
        ("thresholds: {warning: {cost: .inf}}", "thresholds.warning.cost: must be a finite number"),
        ("thresholds: {warning: {cost: '5'}}", "thresholds.warning.cost: must be a number without quotes"),
        ("thresholds: {warning: 0.1, critical: 0.2}", f"thresholds.critical: {ORDER.format('ratio')}"),
        ("thresholds: {warning: {cost: 1}, critical: {cost: 2}}", f"thresholds.critical: {ORDER.format('cost')}"),
    ],
)  # fmt: skip
def test_a_wrong_gateway_key_is_told_with_its_line_and_what_to_do(load: Write, line: str, problem: str) -> None:
    """One mistake is one line of text that begins with the place of the key."""
    config = load(gateway("", line))

    assert told(config) == [f"c.yml:5: gateways[0].{problem}"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("llm.example.edu/v1", URL_SCHEME),
        ("https://user:word@llm.example.edu/v1", URL_USER),
        ("https://llm.example.edu/v1?a=b", URL_QUERY),
        ("https://llm.example.edu/v1#a", URL_QUERY),
        ("https://llm.example.edu/a b", 'holds a space, a control character or one of \\ < > " { } | ^ `; remove it'),
        ("https://llm.example.edu:99999", "is not a URL; write https://host[:port]/path"),
        ("https://2130706433", NO_ADDRESS),
        ("5", TEXT),
    ],
)
def test_a_bad_base_url_is_told_without_quoting_it(load: Write, url: str, message: str) -> None:
    """The URL may hold a password, so that the place has to do."""
    config = load(f"gateways:\n  - provider_id: campus\n    base_url: {url}\n")

    assert told(config) == [f"c.yml:3: gateways[0].base_url: {message}"]


@pytest.mark.parametrize(
    ("provider_id", "message"),
    [
        ("openai-compatible", "openai-compatible is reserved (it means all gateways); choose another id"),
        ("a b", ID), ("-a", ID), ("a/b", ID), ("a:b", ID), ("é", ID), ('"a\\n"', ID), ('""', ID), ("a" * 65, ID),
        ("5", TEXT), ("", EMPTY),
    ],
)  # fmt: skip
def test_a_bad_provider_id_is_told(load: Write, provider_id: str, message: str) -> None:
    """An id becomes a label, a part of URLs and the name of a variable."""
    config = load(f"gateways:\n  - base_url: https://h\n    provider_id: {provider_id}\n")

    assert told(config) == [f"c.yml:3: gateways[0].provider_id: {message}"]
    assert not any(entry.is_named for entry in config.entries)


@pytest.mark.parametrize("provider_id", ["a", "0", "a" * 64, "Campus-EU_1.x"])
def test_ids_of_letters_digits_dots_dashes_and_underscores_are_right(load: Write, provider_id: str) -> None:
    """Usual names need no change, up to 64 characters."""
    config = load(f"gateways: [{{provider_id: '{provider_id}'}}]")

    assert told(config) == []
    assert [entry.settings.provider_id for entry in config.entries] == [provider_id]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gateway: []", "gateway: unknown key; did you mean `gateways`?"),
        ("zzz: 1", f"zzz: unknown key; known here: {OPTIONS}"),
        ("[]", "must be a map with the key `gateways`"),
        ("text", "must be a map with the key `gateways`"),
        ("gateways:", "gateways: must be a list of gateways; write [] for an empty one"),
        ("gateways: {a: {}}", "gateways: must be a list of gateways; write [] for an empty one"),
        ("gateways: [campus]", f"gateways[0]: {MAP}"),
        ("gateways: [{}]", "gateways[0].provider_id: is missing; add it"),
        ("gateways: [{baseURL: 'https://h'}]", "gateways[0].providerId: is missing; add it"),
        ("defaults:", f"defaults: {EMPTY}"),
        ("defaults: []", f"defaults: {MAP}"),
        ("defaults: {provider_id: a}", "defaults.provider_id: unknown key; known here: " + ", ".join(
            sorted(GatewayDefaults.model_fields))),
        ("defaults: {time_out: 5s}", "defaults.time_out: unknown key; did you mean `timeout`?"),
        ("defaults: {timeout: 5}", f"defaults.timeout: {DURATION}"),
        ("defaults: {tls: {cafile: a}}", "defaults.tls.cafile: unknown key; did you mean `ca_file`?"),
        ("origins: 5", f"origins: {MAP}"),
        ("origins: {max_concurency: 5}", "origins.max_concurency: unknown key; did you mean `max_concurrency`?"),
        ("origins: {max_concurrency: 0}", "origins.max_concurrency: must be at least 1"),
        ("origins: {per_origin: {h: 5}}", f"origins.per_origin.h: {URL_SCHEME}"),
        ("origins: {per_origin: {'https://h': many}}", f'origins.per_origin["https:..."]: {SHORT_ORIGIN}'),
        ("origins: {per_origin: {'https://h': 0}}", 'origins.per_origin["https:..."]: must be at least 1'),
        ("origins: {per_origin: {'https://h': {max_concurency: 1, max_concurrency: 1}}}",
         'origins.per_origin["https:..."].max_concurency: unknown key; did you mean `max_concurrency`?'),
        ("origins: {per_origin: {'https://h': 1, 'https://H:443/v1': 2}}",
         "origins.per_origin: names the same scheme, host and port twice; keep one of them"),
        ("opencode: on", "opencode: must be 'auto' or 'off'"),
        ("opencode: false", "opencode: must be 'auto' or 'off'"),
        ("enabled_providers: all", "enabled_providers: must be auto or a list of provider ids"),
        ("enabled_providers: [5]", "enabled_providers: must be auto or a list of provider ids"),
        ("gateway_files: conf.d/*.yml", "gateway_files: must be a list; write [] for an empty one"),
        ("gateway_files: [5]", f"gateway_files[0]: {TEXT}"),
        ("gateway_files: ['']", "gateway_files[0]: must be the path of a file"),
        ("gateway_files: [conf.d/a.yml]", "gateway_files[0]: names a file that does not exist"),
        ("gateway_files: ['~nobody-of-that-name/*.yml']", f"gateway_files[0]: {NO_HOME}"),
        ("gateway_files: ['*.yml']", f"gateway_files[0]: {ITSELF}"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_told_with_its_line_and_what_to_do(load: Write, text: str, problem: str) -> None:
    """The file as a whole is checked like its gateways."""
    assert told(load(f"# a comment\n{text}\n")) == [f"c.yml:2: {problem}"]


def test_duplicate_keys_are_told_with_both_lines(load: Write) -> None:
    """The first of two is in force, at every depth, and the second is told."""
    config = load(gateway("timeout: 5s", "tls:", "  min_version: TLS13", "  min_version: TLS12", "timeout: 6s"))

    assert told(config) == [
        "c.yml:7: gateways[0].tls.min_version: duplicate key; the first one is on line 6: remove one of them",
        "c.yml:8: gateways[0].timeout: duplicate key; the first one is on line 4: remove one of them",
    ]
    assert config.entries[0].settings.timeout == 5
    assert config.entries[0].settings.tls.min_version == "TLS13"


def test_two_key_sources_are_told_at_the_second(load: Write) -> None:
    """Which of two keys is meant would be a guess."""
    both = load(gateway("api_key_env: X", "api_key: y"))
    three = load(gateway("api_key: y", "api_key_env: X", "api_key_file: z"))

    assert told(both) == [
        "c.yml:5: gateways[0].api_key: api_key_env names the API key already; keep one of api_key_env and api_key"
    ]
    assert [line.partition(": gateways[0].")[0] for line in told(three)] == ["c.yml:5", "c.yml:4"]


@pytest.mark.parametrize(
    ("line", "problems"),
    [
        ("headers: {X-A: {value: 'a '}}", [f"headers.X-A.value: {HEADER_TEXT}"]),
        ("headers: {X-A: {fil: a}}", ["headers.X-A.fil: unknown key; did you mean `file`?"]),
        ("tls: {cert_file: 5, key_file: k}", ["tls.cert_file: must be the path of a file"]),
        ("tls: {cert_fil: c, key_file: k}", ["tls.cert_fil: unknown key; did you mean `cert_file`?"]),
        ("tls: {'cert_file:c': , key_file: k}", [f'tls["cert_file:..."]: {NO_SPACE}']),
    ],
)  # fmt: skip
def test_a_key_that_is_wrong_is_not_told_as_missing_too(load: Write, line: str, problems: list[str]) -> None:
    """What is left out of the checks that follow gives no problem of its own."""
    assert sorted(told(load(gateway(line)))) == sorted(f"c.yml:4: gateways[0].{problem}" for problem in problems)


def test_limits_that_are_wrong_hide_neither_each_other_nor_the_rest(load: Write) -> None:
    """Maps within maps are checked in one run, down to the single value."""
    config = load(
        "origins:\n  max_concurrency: 0\n  per_origin:\n    https://a: {max_concurrency: 0}\n    https://b: {}\n"
        "    https://c: 5\n    https://C: 6\n"
    )

    assert sorted(told(config)) == [
        "c.yml:2: origins.max_concurrency: must be at least 1",
        "c.yml:3: origins.per_origin: names the same scheme, host and port twice; keep one of them",
        'c.yml:4: origins.per_origin["https:..."].max_concurrency: must be at least 1',
        'c.yml:5: origins.per_origin["https:..."].max_concurrency: is missing; add it',
    ]


def test_one_wrong_item_of_a_list_hides_no_other(load: Write) -> None:
    """The items around it are checked, and told by their own place in the file."""
    config = load("gateway_files:\n- 5\n- nofile.yml\n- a.yml\n- ''\n- other.yml", a_yml="- {provider_id: a}")

    assert sorted(told(config)) == [
        f"c.yml:2: gateway_files[0]: {TEXT}",
        "c.yml:3: gateway_files[1]: names a file that does not exist",
        "c.yml:5: gateway_files[3]: must be the path of a file",
        "c.yml:6: gateway_files[4]: names a file that does not exist",
    ]
    assert [entry.settings.provider_id for entry in config.entries] == ["a"]


@pytest.mark.parametrize("secret", ["sk-CANARYKEY123456", "CANARYKEY123456", "CANARY:KEY", "https://CANARY"])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("api_key:{0}", f'["api_key:..."]: {NO_SPACE}'),
        ("api_key:{0}: 1", f'["api_key:..."]: {NO_SPACE}'),
        ("headers: {{X-Key:{0}}}", f'.headers["X-Key:..."]: {NO_SPACE}'),
        ("headers: {{'X-Key:{0}': x}}", f'.headers["X-Key:..."]: {NO_HEADER}'),
        ("tls: {{cert_file:{0}}}", f'.tls["cert_file:..."]: {NO_SPACE}'),
    ],
)
def test_what_follows_a_colon_without_a_space_is_not_shown(load: Write, text: str, problem: str, secret: str) -> None:
    """YAML takes `{api_key:sk-1}` for one long key: the message says what is missing, and not what was pasted."""
    config = load(f"gateways:\n- {{provider_id: a, {text.format(secret)}}}")

    assert told(config) == [f"c.yml:2: gateways[0]{problem}"]
    assert "CANARY" not in repr(config)


def test_a_key_in_place_of_a_name_is_not_shown(load: Write) -> None:
    """Names that look like an API key are told by their line alone."""
    config = load("gateways:\n- {provider_id: a, sk-CANARYKEY12345: 1, sk-CANARYKEY12345: 1}")

    assert [line.partition(";")[0] for line in told(config)] == [
        'c.yml:2: gateways[0]["..."]: duplicate key',
        'c.yml:2: gateways[0]["..."]: unknown key',
    ]
    assert "CANARY" not in repr(config)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("api_key: '{env:CAMPUS_KEY}'", f"api_key: {OPENCODES.format('env')}"),
        ("api_key: '{file:~/key}'", f"api_key: {OPENCODES.format('file')}"),
        ("api_key_env: gsk_CANARY12abCD", f"api_key_env: {KEY_AS_VARIABLE}"),
        ("api_key_env: SK_OR_V1_0E6ABCDD91F2774CAB55", f"api_key_env: {KEY_AS_VARIABLE}"),
        ("api_key_file: sk-CANARY12abCD", f"api_key_file: {KEY_AS_FILE}"),
        ("headers: {X-Key: {file: sk-CANARY12abCD}}", f"headers.X-Key.file: {KEY_AS_FILE}"),
        ("auth: {scheme: sk-CANARY12abCD}", f"auth.scheme: {KEY_AS_SCHEME}"),
    ],
)  # fmt: skip
def test_a_key_in_the_wrong_field_is_refused_and_not_shown(load: Write, line: str, problem: str) -> None:
    """Names of variables and files are shown on pages, so that a key among them would be."""
    config = load(gateway(line))

    assert told(config) == [f"c.yml:4: gateways[0].{problem}"]
    assert "CANARY" not in repr(config)


@pytest.mark.parametrize(
    "line",
    [
        "api_key_env: XAI_API_KEY",
        "api_key_env: HF_TOKEN",
        "api_key_env: OPENROUTER_API_KEY_2",
        "api_key_env: campus_key",
        "api_key_file: keys/3f2a9c81d04e5b67aa12/key",
        "api_key_file: /var/lib/kubelet/pods/0b6c1f0e-8d5a-4d1c-9a55-6f1f5e0c7a11/..2026_01_01/token",
        "api_key_file: ./sk-campus",
        "api_key_file: campus.key",
        "api_key: '{not-a-template}'",
        "auth: {scheme: Token}",
    ],
)
def test_ordinary_names_are_not_taken_for_keys(load: Write, line: str) -> None:
    """Well-known variables begin as keys do, and paths hold hashes."""
    assert told(load(gateway(line))) == []


def test_both_spellings_of_a_key_are_told(load: Write) -> None:
    """A key in camelCase and in snake_case are one key."""
    config = load(gateway("providerId: campus", "quota_path: /a", "quotaPath: /b", "baseURL: https://h"))

    assert sorted(told(config)) == [
        "c.yml:4: gateways[0].providerId: is provider_id once more; keep one of them",
        "c.yml:6: gateways[0].quotaPath: is quota_path once more; keep one of them",
        "c.yml:7: gateways[0].baseURL: is base_url once more; keep one of them",
    ]


def test_an_opencode_entry_can_be_pasted(load: Write) -> None:
    """The camelCase spelling works, and problems name keys as they are written in the file."""
    text = "gateways:\n  - providerId: campus\n    baseURL: {}\n    quotaPath: {}\n    headers: {{base_url: 5}}\n"
    wrong = load(text.format("h", "q"))
    right = load(text.format("https://h/v1/", "/q").replace("5", "x")).entries[0].settings

    assert told(wrong) == [
        f"c.yml:4: gateways[0].quotaPath: {PATH}",
        f"c.yml:5: gateways[0].headers.base_url: {SHORT_HEADER}",
        f"c.yml:3: gateways[0].baseURL: {URL_SCHEME}",
    ]
    assert (right.provider_id, right.base_url, right.quota_path) == ("campus", "https://h/v1", "/q")


def test_all_problems_of_a_file_are_found_in_one_run(load: Write) -> None:
    """Also those that pydantic alone would show only after the first ones are mended."""
    config = load(
        "opencode: maybe\n"
        "defaults: {timeout: 5, min_interval: 6, label: ok}\n"
        "gateways:\n"
        "  - provider_id: campus\n"
        "    timout: 5s\n"
        "    base_url: ftp://h\n"
        "    api_key: a\n"
        "    api_key_env: B\n"
        "    headers: {Host: c}\n"
        "    tls: {cert_file: d}\n"
        "  - {}\n"
        "  - provider_id: lab\n"
        "    max_buckets: many\n"
    )

    assert sorted(told(config)) == [
        "c.yml:10: gateways[0].tls.cert_file: comes with key_file; give both",
        "c.yml:11: gateways[1].provider_id: is missing; add it",
        f"c.yml:13: gateways[2].max_buckets: {WHOLE}",
        "c.yml:1: opencode: must be 'auto' or 'off'",
        f"c.yml:2: defaults.min_interval: {DURATION}",
        f"c.yml:2: defaults.timeout: {DURATION}",
        "c.yml:5: gateways[0].timout: unknown key; did you mean `timeout`?",
        f"c.yml:6: gateways[0].base_url: {URL_SCHEME}",
        "c.yml:7: gateways[0].api_key: api_key_env names the API key already; keep one of api_key_env and api_key",
        f"c.yml:9: gateways[0].headers.Host: {OWN_HEADER}",
    ]
    named = [entry for entry in config.entries if entry.is_named]
    assert [entry.settings.provider_id for entry in named] == ["campus", "lab"]
    assert named[1].settings.label == "ok"


def test_several_files_with_problems_are_told_at_once(load: Write) -> None:
    """One bad gateway file neither hides the problems of the others nor their gateways."""
    config = load(
        "gateway_files: [conf/*.yml, gone.yml]\ngateways: [{provider_id: own, timeout: 5}]\n",
        conf__a_yml="- provider_id: a\n- provider_id: b\n  zzz: 1\n",
        conf__b_yml="gateways: []\n",
        conf__c_yml="- provider_id: [\n",
        conf__d_yml="- provider_id: d\n",
        conf__e_yml="",
        conf__f_yml="{}",
    )

    assert [re.sub("; known.*|(?<=YAML): .*", "", line) for line in told(config)] == [
        f"c.yml:2: gateways[0].timeout: {DURATION}",
        "c.yml:1: gateway_files[1]: names a file that does not exist",
        "a.yml:3: [1].zzz: unknown key",
        "b.yml:1: must be a list of gateways; write [] for an empty one",
        "c.yml:2: not valid YAML",
        "f.yml:1: must be a list of gateways; write [] for an empty one",
    ]
    assert [entry.settings.provider_id for entry in config.entries] == ["own", "a", "b", "d"]


def test_gateway_files_are_found_from_the_config_file_in_a_stable_order(load: Write, tmp_path: Path) -> None:
    """Globs match beside the config file and not in the working directory, each file counts once, sorted."""
    options = "gateway_files: [conf/*.yml, conf/b.yml, {0}/conf/a.yml, nothing-yet/*.yml]\ndefaults: {{owner: ml}}"
    config = load(
        options.format(tmp_path),
        conf__b_yml="- {provider_id: b}",
        conf__a_yml="- {provider_id: a, owner: web, api_key_file: key}",
        conf__other_txt="no YAML: [",
    )
    conf = tmp_path / "conf"

    assert told(config) == []
    assert [(entry.settings.provider_id, entry.settings.owner) for entry in config.entries] == [
        ("a", "web"),
        ("b", "ml"),
    ]
    assert str(config.entries[1].location) == f"{conf}/b.yml:1"
    assert config.entries[0].settings.api_key_file == conf / "key"
    assert config.lists_gateways
    assert list(dict.fromkeys(config_files(tmp_path / "c.yml", config.options))) == [
        tmp_path / "c.yml",
        conf / "a.yml",
        conf / "b.yml",
    ]


def test_a_folder_with_glob_characters_holds_gateway_files_too(tmp_path: Path) -> None:
    """The name of the config's folder is no pattern."""
    folder = tmp_path / "a[b]*"
    folder.mkdir()
    (folder / "c.yml").write_text("gateway_files: [g*.yml]")
    (folder / "g.yml").write_text("- provider_id: a")
    config = read_config(folder / "c.yml", FileReader())

    assert [entry.settings.provider_id for entry in config.entries] == ["a"]


def test_a_gateway_file_that_cannot_be_read_is_told(load: Write, tmp_path: Path) -> None:
    """What a glob matches is meant, so a directory among it is not passed over."""
    (tmp_path / "conf" / "x.yml").mkdir(parents=True)

    assert told(load("gateway_files: [conf/*.yml]")) == ["x.yml: is a directory; gateway_files names it"]


def test_a_config_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A wrong --config.file is an error with the path, never a silent start without config."""
    config = read_config(tmp_path / "nope.yml", FileReader())

    assert [str(problem) for problem in config.problems] == [
        f"{tmp_path}/nope.yml: does not exist; check --config.file"
    ]
    assert config.entries == ()


@pytest.mark.parametrize(
    ("text", "lists_gateways"),
    [("", False), ("# nothing\n", False), ("{}", False), ("gateways: []", True), ("opencode: off", False)],
)
def test_an_empty_list_is_told_apart_from_no_list(load: Write, *, text: str, lists_gateways: bool) -> None:
    """An empty file is right and says nothing; an explicit empty list is the operator's word."""
    config = load(text)

    assert told(config) == []
    assert config.entries == ()
    assert config.lists_gateways is lists_gateways


def test_without_a_config_file_all_defaults_hold() -> None:
    """OpenCode's files alone are a config."""
    config = read_config(None, FileReader())

    assert (config.document, config.options, config.entries, config.problems) == (None, Options(), (), ())
    assert not config.lists_gateways


def test_the_first_default_path_where_something_is_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory comes before /etc, the flag before both; what is unreadable is not passed over."""
    here, etc = tmp_path / "here.yml", tmp_path / "etc.yml"
    monkeypatch.setattr(config_module, "DEFAULT_PATHS", (here, etc))

    assert find_config(None) is None
    etc.touch()
    assert find_config(None) == etc
    here.mkdir()  # what Docker makes of a bind mount whose source is missing
    assert find_config(None) == here
    assert find_config(Path("flag.yml")) == Path("flag.yml")


def test_a_default_path_that_may_not_be_looked_at_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config of another user's is reported and not silently replaced by OpenCode's gateways."""
    monkeypatch.setattr(config_module, "DEFAULT_PATHS", (tmp_path / "etc.yml",))

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)

    assert find_config(None) == tmp_path / "etc.yml"


def test_the_defaults_are_those_of_the_documentation(load: Write) -> None:
    """A gateway with an id and a URL only has these settings."""
    campus = load(gateway()).entries[0].settings

    assert (campus.mapping, campus.quota_path, campus.label, campus.owner) == ("neutral", None, None, "")
    assert (campus.timeout, campus.min_interval, campus.stale_for, campus.max_buckets) == (9.0, None, 0.0, 20)
    assert (campus.auth, campus.currency, campus.units, campus.max_children) == (None, None, {}, None)
    assert campus.tls == Tls()
    assert not campus.tls.insecure_skip_verify
    assert campus.tls.min_version == "TLS12"
    assert (campus.headers, campus.proxy_url, campus.allow_http) == ({}, None, False)
    assert campus.thresholds == Thresholds(warning=Threshold(ratio=0.2), critical=Threshold(ratio=0.05))
    assert Options().origins.concurrency_of("https://h:443") == 20
    assert Options().mappings == {}
    assert (Options().opencode, Options().enabled_providers) == ("auto", None)


def test_every_key_reaches_the_settings(load: Write, tmp_path: Path) -> None:
    """Durations arrive in seconds, paths from beside the file, both forms of headers and thresholds alike."""
    campus = load(
        gateway(
            "mapping: openrouter",
            "quota_path: /usage/quota",
            "label: no",
            "owner: ml-platform",
            "timeout: 1m30s",
            "min_interval: 500ms",
            "stale_for: 2h",
            "max_buckets: 7",
            "max_children: 50",
            "currency: EUR",
            "units: {quota: 250000}",
            "api_key_file: keys/campus",
            "auth: {header: X-Api-Key, scheme: ''}",
            "headers: {X-Team: ml, X-Token: {file: /run/token}}",
            "tls: {ca_file: ca.pem, cert_file: c, key_file: k, server_name: llm, min_version: TLS13,",
            "      insecure_skip_verify: true}",
            "proxy_url: http://user:word@squid:3128",
            "allow_http: true",
            "thresholds: {warning: {ratio: 0.3, cost: 10}, critical: 0.1}",
        )
    )
    got = campus.entries[0].settings

    assert told(campus) == []
    assert (got.mapping, got.quota_path, got.label, got.owner) == ("openrouter", "/usage/quota", "no", "ml-platform")
    assert (got.timeout, got.min_interval, got.stale_for, got.max_buckets) == (90.0, 0.5, 7200.0, 7)
    assert (got.max_children, got.currency, got.units) == (50, "EUR", {"quota": 250000.0})
    assert got.api_key_file == tmp_path / "keys" / "campus"
    assert got.auth == Auth(header="X-Api-Key", scheme="")
    team, token = got.headers["X-Team"], got.headers["X-Token"]
    assert team.value is not None
    assert (team.value.get_secret_value(), team.file) == ("ml", None)
    assert (token.value, token.file) == (None, Path("/run/token"))
    assert got.tls.ca_file == tmp_path / "ca.pem"
    assert (got.tls.cert_file, got.tls.key_file) == (tmp_path / "c", tmp_path / "k")
    assert (got.tls.server_name, got.tls.min_version, got.tls.insecure_skip_verify) == ("llm", "TLS13", True)
    assert got.proxy_url is not None
    assert got.proxy_url.get_secret_value() == "http://user:word@squid:3128"
    assert got.allow_http
    assert got.thresholds == Thresholds(warning=Threshold(ratio=0.3, cost=10), critical=Threshold(ratio=0.1))


def test_paths_are_absolute_also_when_the_config_is_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative --config.file gives paths that stay right and can be shown; ~ is the home directory."""
    monkeypatch.chdir(tmp_path)
    Path("c.yml").write_text(gateway("api_key_file: key", "tls: {ca_file: ~/ca.pem}"))
    settings_ = read_config(Path("c.yml"), FileReader()).entries[0].settings

    assert settings_.api_key_file == tmp_path / "key"
    assert settings_.tls.ca_file == Path("~/ca.pem").expanduser()


def test_defaults_are_inherited_and_an_entry_overrides_them(load: Write) -> None:
    """A key of `defaults` holds for each gateway that does not set it, also to the built-in default."""
    config = load(
        "defaults: {timeout: 5s, owner: ml, thresholds: {warning: 0.5}, headers: {X-Team: a}, allow_http: true}\n"
        "gateways:\n"
        "  - {provider_id: a}\n"
        "  - {provider_id: b, timeout: 9s, owner: '', headers: {}, allow_http: false}\n"
    )
    first, second = (entry.settings for entry in config.entries)

    assert (first.timeout, first.owner, list(first.headers), first.allow_http) == (5.0, "ml", ["X-Team"], True)
    assert (second.timeout, second.owner, list(second.headers), second.allow_http) == (9.0, "", [], False)
    assert first.thresholds == second.thresholds == Thresholds(warning=Threshold(ratio=0.5))


def test_a_wrong_default_leaves_the_others_in_force(load: Write) -> None:
    """Later checks are not misled: allow_http still holds when the timeout beside it is wrong."""
    config = load("defaults: {timeout: 5, allow_http: true}\ngateways: [{provider_id: a, base_url: http://h.example}]")

    assert told(config) == [f"c.yml:1: defaults.timeout: {DURATION}"]
    assert config.entries[0].settings.allow_http


COSTHELM = """\
mappings:
  costhelm:
    path: /limits
    buckets:
      - {kind: cost, currency: USD, limit: limit_usd, used: spent_usd, window: period}
"""


def test_own_mappings_are_named_by_their_key(load: Write) -> None:
    """The key is the name; written inside once more it has to be the same."""
    inside = COSTHELM.replace("    path", "    name: costhelm\n    path")
    for text in (COSTHELM, inside):
        config = load(text)
        assert told(config) == []
        assert {key: mapping.name for key, mapping in config.options.mappings.items()} == {"costhelm": "costhelm"}

    assert told(load(inside.replace("name: costhelm", "name: other"))) == [
        "c.yml:3: mappings.costhelm.name: is another name than the key above it; remove it, or make both the same"
    ]


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (
            "limit: limit_usd",
            "limit: 'a b'",
            "5: mappings.costhelm.buckets[0].limit: is not valid JMESPath at character 3: unexpected 'b'",
        ),
        ("used: spent_usd", "usd: spent_usd", "5: mappings.costhelm.buckets[0].usd: unknown key; did you mean `used`?"),
        ("currency: USD, ", "", "5: mappings.costhelm.buckets[0].currency: is needed by buckets of kind cost"),
        ("path: /limits", "path: limits", f"3: mappings.costhelm.path: {PATH}"),
        ("costhelm:", "Cost_Helm:", "2: mappings.Cost_Helm: must be 1 to 64 lower-case letters, digits or dashes"),
    ],
)
def test_a_wrong_mapping_is_told_where_it_stands(load: Write, before: str, after: str, problem: str) -> None:
    """File, line and dotted key lead to the field, the position to the place in its expression."""
    (told_once,) = told(load(COSTHELM.replace(before, after)))

    assert told_once.startswith(f"c.yml:{problem}")


def test_all_problems_of_a_mapping_are_told_at_once(load: Write) -> None:
    """What is wrong in one bucket hides neither the other bucket's problems nor those of the requests."""
    text = (
        "mappings:\n"
        "  mine:\n"
        "    requests: [{path: quota}]\n"
        "    buckets:\n"
        "      - {kind: tokens, limit: 'a['}\n"
        "      - {kind: gold, limit: b}\n"
    )

    assert [line.partition(": ")[2].partition(":")[0] for line in told(load(text))] == [
        "mappings.mine.requests[0].path",
        "mappings.mine.buckets[0].limit",
        "mappings.mine.buckets[1].kind",
    ]


def test_limits_of_single_origins_go_by_scheme_host_and_port(load: Write) -> None:
    """per_origin takes URLs in any spelling, a bare number or a map."""
    origins = load(
        "origins:\n  max_concurrency: 5\n  per_origin: {'https://A.example/v1': 2, 'http://b': {max_concurrency: 3}}\n"
    ).options.origins

    assert origins.concurrency_of("https://a.example:443") == 2
    assert origins.concurrency_of("http://b:80") == 3
    assert origins.concurrency_of("https://b:443") == 5


def test_yaml_words_that_look_like_booleans_are_text(load: Write) -> None:
    """`no` is a name in Norway, and `off` switches OpenCode's import off."""
    config = load("opencode: off\ngateways: [{provider_id: no, label: on, owner: yes}]")

    assert told(config) == []
    assert config.options.opencode == "off"
    assert [(e.settings.provider_id, e.settings.label, e.settings.owner) for e in config.entries] == [
        ("no", "on", "yes")
    ]


CANARY = "sk-canary-4f9a1c7be2d84c55a0e3"


@pytest.mark.parametrize(
    "lines",
    [
        [f"api_key: {CANARY}", "timeout: 5"],
        [f"api_key: {CANARY}", "api_key_env: X"],
        [f"api_key: [{CANARY}]"],
        [f"api_key: {{{CANARY}: 1}}"],
        [f"api_key_env: {CANARY}"],
        [f"proxy_url: ftp://user:{CANARY}@squid:3128"],
        [f"proxy_url: http://user:{CANARY}@squid:3128/path"],
        [f"proxy_url: http://user:{CANARY}@squid:port"],
        [f"proxy_url: http://user:{CANARY}@squid:3128", "timeout: 5"],
        [f"headers: {{X-Key: '{CANARY} '}}"],
        [f"headers: {{X-Key: [{CANARY}]}}"],
        [f"headers: {{X-Key: {CANARY}, Host: {CANARY}}}"],
        [f"headers: {{X-Key: {{value: {CANARY}, file: x}}}}"],
        [f"auth: {{scheme: 'Bearer {CANARY}'}}"],
        [f"auth: Bearer {CANARY}"],
        [f"quota_path: quota?key={CANARY}"],
        [f"thresholds: {CANARY}"],
        [f"tls: {{server_name: 'u:{CANARY}@h'}}"],
        [f"timeout: {CANARY}", f"min_interval: {CANARY}", f"allow_http: {CANARY}", f"max_buckets: {CANARY}"],
    ],
)  # fmt: skip
def test_no_problem_tells_a_secret(load: Write, lines: list[str]) -> None:
    """A value that is wrong, or beside one that is, may be a key: neither text nor repr holds it."""
    config = load(gateway(*lines))

    assert config.problems
    assert CANARY not in "\n".join(told(config))
    assert CANARY not in repr(config)


@pytest.mark.parametrize(
    "text",
    [
        f"gateways: [{{provider_id: a, base_url: 'https://user:{CANARY}@h/v1'}}]",
        f"gateways: [{{provider_id: a, base_url: 'https://h/v1?key={CANARY}'}}]",
        f"gateways: [{{provider_id: a, base_url: 'user:{CANARY}@h'}}]",
        f"gateways: [{{provider_id: 'a {CANARY}'}}]",
        f"origins: {{per_origin: {{'https://user:{CANARY}@h': many}}}}",
        f"defaults: {{proxy_url: 'squid:{CANARY}'}}",
        f"opencode: {CANARY}",
        f"gateways: {CANARY}",
        CANARY,
        f"api_key: '{CANARY}",
        f"api_key: {CANARY}: {CANARY}",
        f"api_key: !{CANARY} x",
    ],
)
def test_no_problem_of_the_file_tells_a_secret(load: Write, text: str) -> None:
    """Bad URLs and bad YAML are told by their place."""
    config = load(text)

    assert config.problems
    assert CANARY not in "\n".join(told(config))
    assert CANARY not in repr(config)


JARGON = re.compile(
    r"Input should|pydantic|type=|[Vv]alue error|validation error|valid (?:dictionary|string|list|integer)|instance of"
    r"|NoneType|SecretStr|unable to|input_|has a wrong value|\bgreater than or equal\b"
)
WORDS = re.compile(
    r"(?:must|is|has|holds|starts|comes|unknown|give|names|matches|the|api_key|needs|belongs|goes|compares|stands|says"
    r"|null_limit|never|makes|argument)\b"
)
TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=12)
KEYS = [f"{owner}{key}" for owner in ("gateways[0].", "defaults.") for key in GatewayDefaults.model_fields] + [
    *(f"gateways[0].{key}" for key in sorted(set(GatewaySettings.model_fields) - set(GatewayDefaults.model_fields))),
    *Options.model_fields,
    "gateways",
]
INNER = [
    *Tls.model_fields, *Auth.model_fields, *Thresholds.model_fields, *Threshold.model_fields,
    *ReplyMapping.model_fields, *BucketRule.model_fields, *ChildrenRule.model_fields, *Request.model_fields,
    *Pages.model_fields, *Unlimited.model_fields,
    "file", "value", "max_concurrency", "per_origin", "https://h", "X-Team", "campus",
]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from(["9s", "https://h", "auto"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER) | TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(key=st.sampled_from(KEYS), value=VALUES)
@example(key="gateways[0].thresholds", value={"warning": {"cost": 10**400}})
@example(key="gateways[0].max_buckets", value=10**400)
@example(key="gateways[0].headers", value={"": "x", "X": {"value": None, "file": None}})
@example(key="origins", value={"per_origin": {"https://h": None}})
@example(key="mappings", value={"campus": {"buckets": [{"kind": "tokens"}]}})
@example(key="mappings", value={"campus": {"buckets": [], "children": None}})
@example(key="mappings", value={"campus": {"buckets": [{"kind": "tokens", "limit": 10**400}]}})
@example(key="mappings", value={"campus": {"requests": [{"pages": {"size": 0}, "method": "PUT", "query": {"a": 1.5}}]}})
@example(key="gateways[0].units", value={"quota": 0})
@example(key="gateways", value=[[], None, {"provider_id": None}])
def test_whatever_stands_in_the_file_the_problem_is_told_for_people(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: Any
) -> None:
    """No value crashes the loader or is told in the words of a library, and the place is always that of the key."""
    owner, _, name = key.rpartition(".")
    here = f"{name}: {json.dumps(value)}"
    text = {
        "": f"# one\n# two\n{here}\n",
        "defaults": f"# one\ndefaults:\n  {here}\n",
        "gateways[0]": f"gateways:\n  -\n    {here}\n" + ("" if name == "provider_id" else "    provider_id: a\n"),
    }[owner]
    path = tmp_path_factory.mktemp("any") / "c.yml"
    path.write_text(text, encoding="utf-8")
    config = read_config(path, FileReader())

    for problem in config.problems:
        assert not JARGON.search(problem.message)
        assert "\n" not in str(problem)
        assert str(problem).startswith(f"{path}:3: {key}")
        assert WORDS.match(problem.message)
