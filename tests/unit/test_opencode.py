"""OpenCode's files: where they are, what they say, what is wrong with them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from quota_exporter.document import Location
from quota_exporter.files import FileReader
from quota_exporter.opencode import KeyCandidate, OpenCode, OpenCodePaths, candidate_paths
from quota_exporter.quota import KeySource

HOME = Path("/home/dev")


class Machine:
    """A home directory with OpenCode's files in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config_dir = home / ".config" / "opencode"
        self.data_dir = home / ".local" / "share" / "opencode"
        self.jsonc = self.config_dir / "opencode.jsonc"
        self.json = self.config_dir / "opencode.json"
        self.auth = self.data_dir / "auth.json"
        self.environ = {"HOME": str(home)}
        self.files = FileReader()

    def write(self, path: Path, content: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def opencode(self) -> OpenCode:
        return OpenCode(candidate_paths(self.environ, "linux", self.home), self.files, self.environ)

    def sources(self, provider_id: str = "campus") -> list[tuple[str, str | None, str]]:
        """(file name, value, note) of each source of the provider's key."""
        candidates = self.opencode().api_key_sources(provider_id)
        return [(Path(each.where).name, each.value, each.note) for each in candidates]

    def key_in_json(self, value: Any) -> tuple[str | None, str]:
        self.write(self.json, options(apiKey=value))
        _, key, note = self.sources()[0]
        return key, note

    def problems(self) -> list[str]:
        return [str(each).replace(str(self.home), "~") for each in self.opencode().problems()]


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def options(provider_id: str = "campus", **values: Any) -> dict[str, Any]:
    return {"provider": {provider_id: {"options": values}}}


def gateways(*entries: Any) -> dict[str, Any]:
    return {"experimental": {"quotaToast": {"openaiCompatibleGateways": list(entries)}}}


def config_dirs(paths: OpenCodePaths) -> list[str]:
    """The directories of the config files, after checking that each has both names in order."""
    names = [path.name for path in paths.config_files]
    assert names == ["opencode.jsonc", "opencode.json"] * (len(names) // 2)
    return [str(path.parent) for path in paths.config_files[::2]]


def auth_dirs(paths: OpenCodePaths) -> list[str]:
    assert {path.name for path in paths.auth_files} <= {"auth.json"}
    return [str(path.parent) for path in paths.auth_files]


# Where the files are


def test_linux_keeps_them_below_the_home_directory() -> None:
    """Without any variable there is one config and one data directory."""
    paths = candidate_paths({}, "linux", HOME)
    assert config_dirs(paths) == ["/home/dev/.config/opencode"]
    assert auth_dirs(paths) == ["/home/dev/.local/share/opencode"]


def test_xdg_directories_come_before_the_usual_ones() -> None:
    """XDG_CONFIG_HOME and XDG_DATA_HOME move the directory; the usual one is still looked at."""
    paths = candidate_paths({"XDG_CONFIG_HOME": " /x/cfg ", "XDG_DATA_HOME": "/x/data"}, "linux", HOME)
    assert config_dirs(paths) == ["/x/cfg/opencode", "/home/dev/.config/opencode"]
    assert auth_dirs(paths) == ["/x/data/opencode", "/home/dev/.local/share/opencode"]


def test_macos_adds_application_support() -> None:
    """On macOS the Library directory follows the ones that Linux has."""
    paths = candidate_paths({"XDG_DATA_HOME": "/x/data"}, "darwin", Path("/Users/dev"))
    support = "/Users/dev/Library/Application Support/opencode"
    assert config_dirs(paths) == ["/Users/dev/.config/opencode", support]
    assert auth_dirs(paths) == ["/x/data/opencode", "/Users/dev/.local/share/opencode", support]


@pytest.mark.skipif(os.name == "nt", reason="compares Windows paths as text")
def test_windows_adds_both_appdata_directories() -> None:
    """On Windows the roaming and the local AppData follow, where they are named or by default."""
    home = Path("C:\\Users\\dev")
    paths = candidate_paths({}, "win32", home)
    roaming, local = r"C:\Users\dev\AppData\Roaming\opencode", r"C:\Users\dev\AppData\Local\opencode"
    assert [str(path) for path in paths.config_files] == [
        rf"{directory}\{name}"
        for directory in (r"C:\Users\dev\.config\opencode", roaming, local)
        for name in ("opencode.jsonc", "opencode.json")
    ]
    assert [str(path) for path in paths.auth_files] == [
        rf"{directory}\auth.json" for directory in (r"C:\Users\dev\.local\share\opencode", roaming, local)
    ]
    named = candidate_paths({"APPDATA": "D:\\R", "LOCALAPPDATA": "relative"}, "win32", home)
    assert [str(path) for path in named.auth_files[1:]] == [r"D:\R\opencode\auth.json", rf"{local}\auth.json"]


@pytest.mark.parametrize(
    ("value", "first"),
    [("/etc/team", "/etc/team"), ("work", "/x/opencode/work"), ("  ", None), ("", None)],
)
def test_opencode_config_dir_comes_first(value: str, first: str | None) -> None:
    """OPENCODE_CONFIG_DIR is itself the directory; a relative one starts at the default one, a blank one is none."""
    environ = {"OPENCODE_CONFIG_DIR": value, "XDG_CONFIG_HOME": "/x"}
    usual = ["/x/opencode", "/home/dev/.config/opencode"]
    assert config_dirs(candidate_paths(environ, "linux", HOME)) == ([first] if first else []) + usual


@pytest.mark.parametrize("relative", ["", "  ", ".", "project", "./project", "~", "~/cfg"])
def test_relative_directories_are_ignored(relative: str) -> None:
    """A relative home or XDG directory would be one of the current project: it is never looked at."""
    environ = {"XDG_CONFIG_HOME": relative, "XDG_DATA_HOME": relative}
    assert candidate_paths(environ, "linux", HOME) == candidate_paths({}, "linux", HOME)
    environ["OPENCODE_CONFIG_DIR"] = "work"
    for home in (Path(relative), None):
        for platform in ("linux", "darwin", "win32"):
            assert candidate_paths(environ, platform, home) == OpenCodePaths((), ())


def test_other_variables_of_opencode_are_not_honoured() -> None:
    """OPENCODE_CONFIG and its like may name or hold what a project put there."""
    environ = {"OPENCODE_CONFIG": "/p/opencode.json", "OPENCODE_CONFIG_CONTENT": "{}", "OPENCODE_AUTH_CONTENT": "{}"}
    assert candidate_paths(environ, "linux", HOME) == candidate_paths({}, "linux", HOME)


def test_a_project_directory_is_never_read(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in the current directory, in `.opencode` or in the home directory itself say nothing."""
    project = machine.home / "project"
    monkeypatch.chdir(machine.write(project / "opencode.json", options(apiKey="sk-1")).parent)
    for path in (project / ".opencode", machine.home, machine.home / ".opencode"):
        machine.write(
            path / "opencode.json", {**options(apiKey="sk-1", baseURL="https://evil.example"), **gateways({})}
        )
        machine.write(path / "auth.json", {"campus": {"type": "api", "key": "sk-1"}})
    opencode = machine.opencode()
    assert machine.sources() == [("auth.json", None, "does not exist")]
    assert opencode.base_url("campus") is None
    assert opencode.entries() == ()


# Keys


def test_key_sources_come_in_their_order(machine: Machine) -> None:
    """`.jsonc` before `.json` before auth.json, each with its source and its path."""
    machine.write(machine.jsonc, options(apiKey="sk-jsonc"))
    machine.write(machine.json, options(apiKey="sk-json"))
    machine.write(machine.auth, {"campus": {"type": "api", "key": "sk-auth"}})
    assert list(machine.opencode().api_key_sources("campus")) == [
        KeyCandidate(KeySource.OPENCODE_JSONC, str(machine.jsonc), "sk-jsonc", "found"),
        KeyCandidate(KeySource.OPENCODE_JSON, str(machine.json), "sk-json", "found"),
        KeyCandidate(KeySource.AUTH_JSON, str(machine.auth), "sk-auth", "found"),
    ]


def test_a_missing_config_file_is_no_source_but_auth_json_always_is(machine: Machine) -> None:
    """Of the config files only those that exist are shown; for auth.json people learn where it would be."""
    assert machine.sources() == [("auth.json", None, "does not exist")]
    machine.write(machine.json, {})
    assert machine.sources() == [("opencode.json", None, "no entry"), ("auth.json", None, "does not exist")]
    assert machine.problems() == []


def test_all_directories_are_asked(machine: Machine) -> None:
    """A later directory answers after an earlier one, for config files and for auth.json."""
    machine.environ |= {"XDG_CONFIG_HOME": str(machine.home / "x"), "XDG_DATA_HOME": str(machine.home / "y")}
    machine.write(machine.home / "x/opencode/opencode.json", options(apiKey="sk-x"))
    machine.write(machine.home / "y/opencode/auth.json", {"campus": {"type": "api", "key": "sk-y"}})
    machine.write(machine.jsonc, options(apiKey="sk-jsonc"))
    machine.write(machine.auth, {"campus": {"type": "api", "key": "sk-auth"}})
    assert [value for _, value, _ in machine.sources()] == ["sk-x", "sk-jsonc", "sk-y", "sk-auth"]


def test_a_file_may_have_comments_commas_and_a_mark(machine: Machine) -> None:
    """Both endings are read as JSONC, auth.json too."""
    machine.write(
        machine.json,
        '\ufeff// global\n{ "provider": { "campus": { /* x */ "options": { "apiKey": "sk-//1", }, }, }, }\n',
    )
    machine.write(machine.auth, '\ufeff{"campus": {"type": "api", "key": "sk-2",},}')
    assert [value for _, value, _ in machine.sources()] == ["sk-//1", "sk-2"]


@pytest.mark.parametrize("value", ["", "  \n", "{env:BLANK}", "{env:UNSET}", "{file:blank}", None])
def test_blank_values_are_none(value: str | None, machine: Machine) -> None:
    """A value that is blank, or stands for one, is no value."""
    machine.environ["BLANK"] = " \t"
    machine.write(machine.config_dir / "blank", "\n")
    key, note = machine.key_in_json(value)
    assert key is None
    assert note != "found"


def test_an_env_template_is_the_value_of_the_variable(machine: Machine) -> None:
    """`{env:VAR}` is resolved where it is the whole string; an absent or blank one names the variable."""
    machine.environ |= {"MY_KEY": " sk-env\n", "BLANK": " "}
    assert machine.key_in_json(" {env:MY_KEY} ") == ("sk-env", "found")
    assert machine.key_in_json("{env:ABSENT}") == (None, "$ABSENT is not set")
    assert machine.key_in_json("{env:BLANK}") == (None, "$BLANK is blank")


def test_a_file_template_is_the_content_of_the_file(machine: Machine) -> None:
    """`{file:path}` may be absolute, below `~/`, or relative to the directory of the config file."""
    machine.write(machine.config_dir / "near.key", "sk-near\n")
    machine.write(machine.home / "keys" / "home.key", "\ufeff sk-home \r\n")
    far = machine.write(machine.home / "far.key", "sk-far")
    assert machine.key_in_json("{file:near.key}") == ("sk-near", "found")
    assert machine.key_in_json("{file:./near.key}") == ("sk-near", "found")
    assert machine.key_in_json("{file:~/keys/home.key}") == ("sk-home", "found")
    assert machine.key_in_json(f"{{file:{far}}}") == ("sk-far", "found")


def test_a_file_template_without_a_file_says_what_is_wrong(machine: Machine) -> None:
    """The note names the file that the template stands for and what is wrong with it."""
    os.mkfifo(machine.write(machine.config_dir / "blank", " ").with_name("fifo"))
    machine.write(machine.config_dir / "large", "x" * 70_000)
    here = machine.config_dir
    for name, problem in {
        "absent": "does not exist",
        "blank": "is blank",
        "fifo": "is not a regular file",
        "large": "is larger than 64 KiB",
        ".": "is a directory",
    }.items():
        assert machine.key_in_json(f"{{file:{name}}}") == (None, f"{here / name} {problem}")


@pytest.mark.parametrize(
    ("template", "note"),
    [
        ("{env:gsk_CANARY12abCD}", "the variable is not set"),
        ("{env:sk-BLANK12abCD}", "the variable is blank"),
        ("{file:sk-CANARY12abCD}", "the file does not exist"),
        ("{file:gsk_BLANK12abCD}", "the file is blank"),
        ("{env:XAI_API_KEY}", "$XAI_API_KEY is not set"),
    ],
)
def test_a_key_in_place_of_a_name_is_not_shown(template: str, note: str, machine: Machine) -> None:
    """The note of `{env:<key>}` is shown on pages: it does without what looks like a key."""
    machine.environ["sk-BLANK12abCD"] = " "
    machine.write(machine.config_dir / "gsk_BLANK12abCD", " ")
    assert machine.key_in_json(template) == (None, note)


@pytest.mark.parametrize("home", ["", "relative"])
def test_a_home_that_is_not_known_is_not_guessed(home: str, machine: Machine) -> None:
    """`~/` without an absolute home directory would name a file of the current project."""
    machine.environ["HOME"] = home
    assert machine.key_in_json("{file:~/key}") == (None, "~/key: the home directory is not known")


@pytest.mark.parametrize("value", ["Bearer {env:MY_KEY}", "{env:MY_KEY}{env:MY_KEY}", "sk-{file:key}"])
def test_a_template_inside_of_other_text_is_no_key(value: str, machine: Machine) -> None:
    """Text with a template in it is never sent to a gateway as if it were the key."""
    machine.environ["MY_KEY"] = "sk-env"
    note = "{env:...} and {file:...} are read only where they are the whole value"
    assert machine.key_in_json(value) == (None, note)


@pytest.mark.parametrize(
    ("entry", "note"),
    [
        ({"type": "oauth", "access": "sk-a", "refresh": "sk-r", "expires": 1}, "entry is of type oauth"),
        ({"type": "wellknown", "key": "sk-k", "token": "sk-t"}, "entry is of type wellknown"),
        ({"type": "sk-canary", "key": "sk-k"}, "entry is not valid"),
        ({"key": "sk-k"}, "entry is not valid"),
        ({"type": "api"}, "entry is not valid"),
        ({"type": "api", "key": 7}, "entry is not valid"),
        ({"type": ["api"], "key": "sk-k"}, "entry is not valid"),
        ({"type": "api", "key": "  "}, "blank"),
        ("sk-k", "entry is not valid"),
        (["sk-k"], "entry is not valid"),
        (None, "no entry"),
    ],
)
def test_only_api_entries_of_auth_json_are_keys(entry: Any, note: str, machine: Machine) -> None:
    """Tokens of other logins are not sent to a gateway."""
    machine.write(machine.auth, {"campus": entry, "campus2": {"type": "api", "key": "sk-other"}})
    assert machine.sources() == [("auth.json", None, note)]


def test_templates_of_auth_json_are_text(machine: Machine) -> None:
    """OpenCode resolves templates in its config only: in auth.json braces are part of the key."""
    machine.environ["MY_KEY"] = "sk-env"
    machine.write(machine.auth, {"campus": {"type": "api", "key": " {env:MY_KEY} "}})
    assert machine.sources() == [("auth.json", "{env:MY_KEY}", "found")]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ([], "entry is not valid"),
        ({"provider": ["campus"]}, "entry is not valid"),
        ({"provider": {"campus": "sk-1"}}, "entry is not valid"),
        ({"provider": {"campus": {"options": "sk-1"}}}, "entry is not valid"),
        (options(apiKey=["sk-1"]), "entry is not valid"),
        (options(apiKey=7), "entry is not valid"),
        ({"provider": None}, "no entry"),
        (options("other", apiKey="sk-1"), "no entry"),
        ('{"provider": ', "is not valid"),
    ],
)
def test_config_of_another_shape_has_no_key(content: Any, note: str, machine: Machine) -> None:
    """Whatever stands where an object or text is expected, the answer is a note and never a crash."""
    machine.write(machine.json, content)
    assert machine.sources()[0] == ("opencode.json", None, note)
    assert machine.opencode().base_url("campus") is None


def test_a_rotated_key_is_seen(machine: Machine) -> None:
    """The same OpenCode answers with the new key as soon as a file changes, named files included."""
    machine.write(machine.json, options(apiKey="{file:key}"))
    machine.write(machine.config_dir / "key", "sk-1")
    machine.write(machine.auth, {"campus": {"type": "api", "key": "sk-a"}})
    opencode = machine.opencode()
    assert [each.value for each in opencode.api_key_sources("campus")] == ["sk-1", "sk-a"]
    machine.write(machine.config_dir / "key", "sk-2")
    machine.write(machine.auth, {"campus": {"type": "api", "key": "sk-b"}})
    assert [each.value for each in opencode.api_key_sources("campus")] == ["sk-2", "sk-b"]
    machine.write(machine.json, options(apiKey="sk-3"))
    assert [each.value for each in opencode.api_key_sources("campus")] == ["sk-3", "sk-b"]


# Base URLs


def test_the_first_base_url_that_is_not_blank_counts(machine: Machine) -> None:
    """Blank and unresolved values leave the question to the next file."""
    machine.environ["URL"] = "https://env.example/v1"
    machine.write(machine.json, options(baseURL=" https://json.example/v1 "))
    opencode = machine.opencode()
    for value, expected in {
        "https://jsonc.example/v1": "https://jsonc.example/v1",
        "{env:URL}": "https://env.example/v1",
        "{env:ABSENT}": "https://json.example/v1",
        " ": "https://json.example/v1",
    }.items():
        machine.write(machine.jsonc, options(baseURL=value))
        assert opencode.base_url("campus") == expected
    assert opencode.base_url("other") is None


# Gateway entries


def test_entries_come_from_the_first_file_that_lists_any(machine: Machine) -> None:
    """The list is taken whole from one file, with the place of each entry."""
    entry = {"providerId": "campus", "baseURL": "https://x.example/v1", "label": "Campus", "unknown": [1]}
    machine.write(machine.jsonc, {"experimental": {"quotaToast": {}}})
    machine.write(machine.json, json.dumps(gateways(entry, {"providerId": "lab"}), indent=1))
    (first, document, first_path), (second, _, second_path) = machine.opencode().entries()
    assert first == entry
    assert second == {"providerId": "lab"}
    assert document.location(first_path) == Location(machine.json, 5)
    assert document.location((*second_path, "providerId")) == Location(machine.json, 14)
    machine.write(machine.jsonc, gateways({"providerId": "other"}))
    assert [raw for raw, _, _ in machine.opencode().entries()] == [{"providerId": "other"}]


def test_an_empty_list_is_a_list(machine: Machine) -> None:
    """An explicit empty list in the first file hides the list of the next."""
    machine.write(machine.jsonc, gateways())
    machine.write(machine.json, gateways({"providerId": "campus"}))
    assert machine.opencode().entries() == ()


def test_the_base_url_of_an_entry_may_be_a_template(machine: Machine) -> None:
    """A template is resolved; one that yields nothing is a problem, and the entry goes on without it."""
    machine.environ["URL"] = "https://env.example/v1"
    machine.write(
        machine.json,
        gateways({"providerId": "a", "baseURL": "{env:URL}"}, {"providerId": "b", "baseURL": "{env:ABSENT}"}),
    )
    assert [raw for raw, _, _ in machine.opencode().entries()] == [
        {"providerId": "a", "baseURL": "https://env.example/v1"},
        {"providerId": "b"},
    ]
    (problem,) = machine.problems()
    assert problem.startswith("~/.config/opencode/opencode.json:1: experimental.quotaToast.openaiCompatible")
    assert problem.endswith("Gateways[1].baseURL: gives no URL: $ABSENT is not set")


def test_entries_that_are_no_objects_are_problems(machine: Machine) -> None:
    """A wrong entry is reported and costs only itself."""
    machine.write(machine.json, gateways("campus", {"providerId": "lab"}, None))
    assert [path[-1] for _, _, path in machine.opencode().entries()] == [1]
    assert machine.problems() == [
        "~/.config/opencode/opencode.json:1: experimental.quotaToast.openaiCompatibleGateways"
        f'[{index}]: must be an object such as {{"providerId": "campus"}}'
        for index in (0, 2)
    ]


# Problems


def test_invalid_files_are_reported_once_and_skipped(machine: Machine) -> None:
    """A broken file stops nothing: the next one answers, and the problem is told once with its line."""
    machine.write(machine.jsonc, '{\n "provider": {')
    machine.write(machine.json, options(apiKey="sk-json"))
    machine.auth.mkdir(parents=True)
    opencode = machine.opencode()
    assert [(each.value, each.note) for each in opencode.api_key_sources("campus")] == [
        (None, "is not valid"),
        ("sk-json", "found"),
        (None, "is not valid"),
    ]
    skipped = "this file of OpenCode is skipped until that is mended"
    expected = [
        f"~/.config/opencode/opencode.jsonc:2: not valid JSON: expecting property name in double quotes; {skipped}",
        f"~/.local/share/opencode/auth.json: is a directory; {skipped}",
    ]
    assert machine.problems() == expected
    machine.write(machine.jsonc, "{}")
    assert machine.problems() == expected[1:]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", ":1: must be an object"),
        ('{\n"experimental": []}', ":2: experimental: must be an object"),
        ('{"experimental":\n{"quotaToast": "x"}}', ":2: experimental.quotaToast: must be an object"),
        (
            '{"experimental": {"quotaToast": {"openaiCompatibleGateways": {}}}}',
            ":1: experimental.quotaToast.openaiCompatibleGateways: must be a list",
        ),
        ('{"provider": "x"}', ":1: provider: must be an object"),
        ('{"provider": {"my.gw":\n 1}}', ':1: provider["my.gw"]: must be an object'),
        ('{"provider": {"a": {"options": 1}}}', ":1: provider.a.options: must be an object"),
        ('{"provider": {"a": {"options": {\n"apiKey": 1}}}}', ":2: provider.a.options.apiKey: must be text"),
        ('{"provider": {"a": {"options": {"baseURL": {}}}}}', ":1: provider.a.options.baseURL: must be text"),
    ],
)
def test_values_of_the_wrong_type_are_reported_once(content: str, problem: str, machine: Machine) -> None:
    """What stands where an object, a list or text is expected is named with its place."""
    machine.write(machine.json, content)
    assert machine.problems() == [f"~/.config/opencode/opencode.json{problem}"]
    assert machine.opencode().entries() == ()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", ":1: must be an object"),
        ('{"a": {"type": "oauth"},\n"campus": "sk-1"}', ":2: campus: must be an object"),
        ('{"campus": {"type": "api",\n"key": 5}}', ":2: campus.key: must be text"),
    ],
)
def test_wrong_types_in_auth_json_are_reported_once(content: str, problem: str, machine: Machine) -> None:
    """The same for auth.json; entries of other types are no problem."""
    machine.write(machine.auth, content)
    assert machine.problems() == [f"~/.local/share/opencode/auth.json{problem}"]


def test_a_null_is_as_good_as_nothing(machine: Machine) -> None:
    """OpenCode's own null members are no problem."""
    machine.write(machine.json, {"provider": {"a": None, "b": {"options": None}}, "experimental": None})
    machine.write(machine.auth, "")
    assert machine.problems() == []


def test_no_note_repr_or_problem_shows_a_key(machine: Machine, canary: str) -> None:
    """Whatever is wrong with a file, and wherever the key stands in it, only `value` holds the key."""
    machine.environ["MY_KEY"] = canary
    machine.write(machine.config_dir / "key", canary)
    for content in (
        options(apiKey=canary),
        options(apiKey="{env:MY_KEY}"),
        options(apiKey="{file:key}"),
        options(apiKey=[canary]),
        options(apiKey=f"{canary} {{env:MY_KEY}}"),
        {"provider": canary},
        {"provider": {"campus": canary}},
        {**options(apiKey=canary), **gateways(canary)},
        f'{{"provider": {{"campus": {{"options": {{"apiKey": "{canary}',
        f'{{"provider": {canary}}}',
    ):
        machine.write(machine.jsonc, content)
        machine.write(machine.auth, {"campus": {"type": canary, "key": canary}})
        opencode = machine.opencode()
        candidates = list(opencode.api_key_sources("campus"))
        notes = [each.note for each in candidates]
        shown = [opencode, candidates, notes, opencode.problems(), vars(machine.files)]
        shown += [document for _, document, _ in opencode.entries()]
        assert canary not in repr(shown)
