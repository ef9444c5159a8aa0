"""The preset openrouter-keys, against replies of OpenRouter."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Child, Failure, Kind, Quota, Reason
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of

PRESET = "openrouter-keys"


def cost(limit: float | None, used: float, remaining: float | None, *, monthly: bool = False) -> Bucket:
    resets_at, window = (at(2026, 6, 1), 31 * 86400.0) if monthly else (None, None)
    return Bucket(Kind.COST, "default", "USD", limit, used, remaining, limit is not None, resets_at, window)


def test_each_key_is_a_child() -> None:
    """Each key stands below its name, with the used amount of its limit's interval; a disabled one is blocked."""
    blocked = Failure(Reason.KEY_BLOCKED, "the gateway says that the key is blocked")
    assert quota_of(PRESET, fixture(PRESET, "full")) == Quota(
        (),
        children=(
            Child("free", Quota((cost(None, 42.5, None),))),
            Child("lifetime", Quota((cost(10, 2.5, 7.5),))),
            Child("old", blocked),
            Child("prod", Quota((cost(10, 2.5, 7.5, monthly=True),), expires_at=at(2026, 12, 31, 23, 59, 59))),
        ),
    )


@pytest.mark.parametrize(("name", "remaining"), [("exhausted", 0), ("overspent", -0.5)])
def test_nothing_left(name: str, remaining: float) -> None:
    """A key with nothing left, or less, is shown with that."""
    (child,) = quota_of(PRESET, fixture(PRESET, name)).children or ()
    assert child == Child("prod", Quota((cost(10, 10 - remaining, remaining, monthly=True),)))


def test_an_account_without_keys() -> None:
    """An empty list is a list: no key, no failure."""
    assert quota_of(PRESET, fixture(PRESET, "empty")) == Quota((), children=())


def test_where_it_is_asked() -> None:
    """Keys are listed a hundred at a time, disabled ones too."""
    (request,) = preset(PRESET).steps
    urls = request_urls(preset(PRESET), base_url="https://openrouter.ai/api/v1", quota_path=None)
    assert urls == ("https://openrouter.ai/api/v1/keys",)
    assert request.query == {"include_disabled": "true"}
    assert request.pages is not None
    assert (request.pages.query, request.pages.first, request.pages.step, request.pages.size) == ("offset", 0, 100, 100)


def test_an_error_is_told_in_its_words() -> None:
    """The reply to a key that may not list keys says so."""
    failure = failure_of(PRESET, fixture(PRESET, "error"))
    assert failure.detail == "the gateway answered with an error: Invalid management key"
