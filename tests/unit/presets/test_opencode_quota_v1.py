"""The preset opencode-quota-v1, against envelopes of that format."""

from __future__ import annotations

import pytest

from quota_exporter.endpoints import request_urls
from quota_exporter.quota import Bucket, Kind, Quota, Reason
from tests.unit.presets.replies import at, failure_of, fixture, preset, quota_of

NAME = "opencode-quota-v1"


def percent(name: str, remaining: float, resets_at: float | None = None) -> Bucket:
    amounts = (100, 100 - remaining, remaining)
    return Bucket(Kind.CREDITS, f"{name} percent", None, *amounts, limited=True, resets_at=resets_at)


@pytest.mark.parametrize(
    ("name", "buckets"),
    [
        (
            "full",
            (
                percent("Requests Daily:", 42, at(2026, 5, 18)),
                percent("Requests Monthly:", 80.5, at(2026, 6, 1)),
                percent("Budget", 66),
                Bucket(Kind.CREDITS, "Points", remaining=1250.5),
                Bucket(Kind.CREDITS, "Tokens Today:", used=48000),
                Bucket(Kind.CREDITS, "Spend", used=12.5),
            ),
        ),
        ("texts", (percent("Requests", 42),)),
        ("exhausted", (percent("Requests", 0), Bucket(Kind.CREDITS, "Points", remaining=0))),
        ("overspent", (percent("Requests", -12.5), Bucket(Kind.CREDITS, "Points", remaining=-3))),
    ],
)
def test_entries_become_buckets(name: str, buckets: tuple[Bucket, ...]) -> None:
    """Percent are of 100 and say so; values that are text for people, or of unclear meaning, are no numbers."""
    assert quota_of(NAME, fixture(NAME, name)) == Quota(buckets)


def test_where_it_is_asked() -> None:
    """The envelope is published where the neutral contract is."""
    urls = request_urls(preset(NAME), base_url="https://llm.example.edu/v1", quota_path=None)
    assert urls == ("https://llm.example.edu/v1/quota",)


@pytest.mark.parametrize("version", ["quota-v2", None, 1])
def test_another_version_is_another_format(version: object) -> None:
    """What a version means that is not known is not guessed."""
    assert failure_of(NAME, {**fixture(NAME, "full"), "version": version}).reason is Reason.UNEXPECTED_SHAPE


def test_the_older_name_of_the_version_is_known() -> None:
    """accounting-v1 is what quota-v1 was called before."""
    whole = fixture(NAME, "full")
    assert quota_of(NAME, {**whole, "version": "accounting-v1"}) == quota_of(NAME, whole)


@pytest.mark.parametrize("entry", [{"percentRemaining": None}, {}])
def test_an_entry_without_percentage_is_no_bucket(entry: dict[str, None]) -> None:
    """A limit of 100 alone, which the reply did not give, is never shown."""
    body = fixture(NAME, "exhausted")
    del body["entries"][0]["percentRemaining"]
    body["entries"][0] |= entry
    quota = quota_of(NAME, body)
    assert quota.buckets == (Bucket(Kind.CREDITS, "Points", remaining=0),)
    assert quota.dropped != ()


def test_an_error_is_told_in_its_words() -> None:
    """An error envelope is no quota, and its message is shown."""
    failure = failure_of(NAME, fixture(NAME, "error"))
    assert (failure.reason, failure.detail) == (
        Reason.ERROR_REPLY,
        "the gateway answered with an error: Unknown key",
    )
