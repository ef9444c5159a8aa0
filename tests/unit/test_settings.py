"""The settings as values: they hide secrets, cannot change and check themselves."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from quota_exporter.request_language import Auth
from quota_exporter.settings import GatewayDefaults, GatewaySettings, Origins, Thresholds, Tls
from quota_exporter.values import is_header_value

CANARY = "sk-canary-4f9a1c7be2d84c55a0e3"


@pytest.fixture(name="secretive")
def _secretive() -> GatewaySettings:
    return GatewaySettings.model_validate(
        {
            "provider_id": "campus",
            "api_key": CANARY,
            "proxy_url": f"http://user:{CANARY}@squid:3128",
            "headers": {"X-Key": CANARY},
        }
    )


def test_secrets_show_in_no_rendering_of_the_settings(secretive: GatewaySettings) -> None:
    """repr, str, dumps and JSON have stars where keys, header values and proxy passwords are."""
    renderings = [
        repr(secretive),
        str(secretive),
        f"{secretive}",
        repr(secretive.model_dump()),
        secretive.model_dump_json(),
        repr(secretive.headers),
    ]

    assert all("**********" in text for text in renderings)
    assert CANARY not in "".join(renderings)


def test_settings_cannot_be_changed(secretive: GatewaySettings) -> None:
    """Polls that run read settings that nobody changes under them."""
    with pytest.raises(ValidationError, match="frozen"):
        secretive.timeout = 1.0  # type: ignore[misc]  # that is what is tested
    with pytest.raises(ValidationError, match="frozen"):
        secretive.tls.insecure_skip_verify = True  # type: ignore[misc]  # that is what is tested


def test_an_error_does_not_hold_its_input() -> None:
    """What pydantic itself would print of a wrong value has no value in it."""
    wrong: list[dict[str, Any]] = [
        {"provider_id": "a", "api_key": [CANARY]},
        {"provider_id": "a", "proxy_url": f"x:{CANARY}"},
        {"provider_id": "a", "headers": {"X": [CANARY]}},
        {"provider_id": CANARY + " "},
    ]
    for value in wrong:
        with pytest.raises(ValidationError) as caught:
            GatewaySettings.model_validate(value)
        assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sendable"),
    [
        ("a", True),
        ("a b", True),
        ("", True),
        (" a", False),
        ("a\n", False),
        ("a\r\nb", False),
        ("ä", False),
        ("\x7f", False),
    ],
)
def test_a_header_value_is_printable_ascii_on_one_line(text: str, *, sendable: bool) -> None:
    """Nothing in a value can end its header and begin another one."""
    assert is_header_value(text) is sendable


def test_equal_tls_settings_are_one_key() -> None:
    """A thousand gateways with the same TLS settings share one SSL context."""
    settings = [Tls.model_validate({"ca_file": "/ca.pem"}) for _ in range(2)]

    assert len({*settings, Tls()}) == 2


@pytest.mark.parametrize(
    "word", ["environment", "http://squid:3128", "https://user:p%40ss@squid", "http://[::1]:3128/"]
)
def test_a_proxy_is_a_url_or_the_word_environment(word: str) -> None:
    """Credentials of the proxy stand in its URL, and the environment's proxy is used only when asked for."""
    proxy = GatewayDefaults.model_validate({"proxy_url": word}).proxy_url

    assert isinstance(proxy, SecretStr)
    assert proxy.get_secret_value() == word


@pytest.mark.parametrize("scheme", ["Bearer", "", "Token", "token68-x.y_z~+/"])
def test_the_scheme_before_the_key_is_one_word_or_none(scheme: str) -> None:
    """Gateways that want the bare key get it with an empty scheme."""
    assert Auth(scheme=scheme).scheme == scheme


def test_thresholds_of_other_kinds_are_not_compared() -> None:
    """A critical amount of money says nothing against a warning ratio; equal values are in order."""
    thresholds = Thresholds.model_validate({"warning": {"ratio": 0.1, "cost": 2}, "critical": {"cost": 2, "tokens": 9}})

    assert thresholds.warning is not None
    assert thresholds.critical is not None
    assert (thresholds.warning.cost, thresholds.critical.tokens) == (2, 9)


def test_an_unknown_origin_has_the_common_limit() -> None:
    """Gateways without a base URL are counted under no origin and have a limit all the same."""
    origins = Origins.model_validate({"max_concurrency": 3, "per_origin": {"http://h:80": 1}})

    assert [origins.concurrency_of(origin) for origin in ("http://h:80", "https://h:443", "")] == [1, 3, 3]
