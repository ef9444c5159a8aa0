"""Where requests go, and how they carry the key."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from quota_exporter.document import parse_yaml
from quota_exporter.endpoints import auth_of, request_urls
from quota_exporter.mapping_language import ReplyMapping, load_mapping
from quota_exporter.request_language import Auth

BUCKETS = "buckets: [{kind: tokens, limit: a, used: b}]"


def mapping_of(*requests: str, more: str = "") -> ReplyMapping:
    """A mapping with these requests, each in YAML's flow style."""
    listed = indent("\n".join(f"- {request}" for request in requests), "  ")
    text = f"name: some\n{BUCKETS}\n{dedent(more)}\n" + (f"requests:\n{listed}\n" if requests else "")
    return load_mapping(parse_yaml(text, Path("some.yaml")))


def urls(mapping: ReplyMapping, base_url: str | None, quota_path: str | None = None) -> tuple[str, ...]:
    return request_urls(mapping, base_url=base_url, quota_path=quota_path)


@pytest.mark.parametrize(
    ("base_url", "below", "root", "origin"),
    [
        ("https://h/v1", "https://h/v1", "https://h", "https://h"),
        ("https://h", "https://h", "https://h", "https://h"),
        ("https://h/litellm/v1", "https://h/litellm/v1", "https://h/litellm", "https://h"),
        ("https://h/litellm", "https://h/litellm", "https://h/litellm", "https://h"),
        ("https://h:8443/api/v3", "https://h:8443/api/v3", "https://h:8443/api", "https://h:8443"),
        ("https://h/v1/v2", "https://h/v1/v2", "https://h/v1", "https://h"),
        ("https://h/v1/team", "https://h/v1/team", "https://h/v1/team", "https://h"),
        ("https://h/v1beta", "https://h/v1beta", "https://h/v1beta", "https://h"),
        ("https://h/dev1", "https://h/dev1", "https://h/dev1", "https://h"),
        ("https://v1", "https://v1", "https://v1", "https://v1"),
        ("http://[::1]:4000/v1", "http://[::1]:4000/v1", "http://[::1]:4000", "http://[::1]:4000"),
    ],
)
def test_root_is_above_the_version_alone(base_url: str, below: str, root: str, origin: str) -> None:
    """`root` takes one final version off the path and keeps a deploy prefix; `origin` keeps nothing of the path."""
    mapping = mapping_of(
        "{id: a, path: /q}",
        "{id: b, path: /q, root: true}",
        "{id: c, path: /q, root: origin}",
    )

    assert urls(mapping, base_url) == (f"{below}/q", f"{root}/q", f"{origin}/q")


def test_quota_path_is_the_first_requests() -> None:
    """The operator's path goes before the first request's own, under the same root; others keep theirs."""
    mapping = mapping_of("{id: key, path: /key, root: true}", "{id: team, path: /team}")

    assert urls(mapping, "https://h/v1", "/mine") == ("https://h/mine", "https://h/v1/team")
    assert urls(mapping_of(more="path: /a"), "https://h/v1", "/mine") == ("https://h/v1/mine",)


def test_a_mapping_may_leave_the_path_to_the_operator() -> None:
    """Without a path anywhere the operator is asked for one."""
    assert urls(mapping_of(), "https://h", "/mine") == ("https://h/mine",)
    with pytest.raises(ValueError, match=r"^is missing; the mapping some does not say where the quota is, so add it$"):
        urls(mapping_of(), "https://h")


def test_a_url_of_its_own_needs_no_base_url() -> None:
    """A request to another host goes there, whatever the base URL is, and `quota_path` has no place in it."""
    alone = mapping_of("{url: 'https://other.example/self'}")
    mixed = mapping_of("{url: 'https://other.example/self'}", "{id: more, path: /more}")

    assert urls(alone, None) == urls(alone, "https://h") == ("https://other.example/self",)
    assert urls(mixed, "https://h") == ("https://other.example/self", "https://h/more")
    assert urls(mixed, None) == ()
    with pytest.raises(ValueError, match=r"^is not used by the mapping some, which asks at an address of its own"):
        urls(alone, "https://h", "/mine")


def test_places_of_values_stay_visible() -> None:
    """People are shown where a value of an earlier reply will stand."""
    mapping = mapping_of("{id: key, path: /key}", "{id: team, path: '/team/{team}/info', values: {team: key.team}}")

    assert urls(mapping, "https://h")[1] == "https://h/team/{team}/info"


def test_the_nearest_word_on_the_key_counts() -> None:
    """The operator's `auth` goes before the request's, that before the mapping's, that before Bearer."""
    mapping = mapping_of("{id: a, path: /a, auth: {header: X-A}}", "{id: b, path: /b}", more="auth: {header: X-M}")
    first, second = mapping.steps
    own = Auth(header="X-Own")

    assert [auth_of(mapping, request, own) for request in (first, second)] == [own, own]
    assert [auth_of(mapping, request, None).header for request in (first, second)] == ["X-A", "X-M"]
    plain = mapping_of("{path: /a}")
    assert auth_of(plain, plain.steps[0], None) == Auth(header="Authorization", scheme="Bearer")
