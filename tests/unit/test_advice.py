"""Words about failures: one entry per reason, fit to be shown."""

from __future__ import annotations

import pytest

from quota_exporter.advice import ADVICE
from quota_exporter.quota import Reason


def test_every_reason_has_advice() -> None:
    """Whatever a gateway fails with, people are told what it means and what to do."""
    assert set(ADVICE) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_advice_reads_as_text(reason: Reason) -> None:
    """The meaning completes a sentence, the action is one or more whole ones, and both are specific."""
    advice = ADVICE[reason]
    assert advice.meaning[0].islower() or advice.meaning.startswith(("API", "TLS"))
    assert not advice.meaning.endswith(".")
    assert advice.action[0].isupper()
    assert advice.action.endswith(".")
    assert [other for other, words in ADVICE.items() if words.action == advice.action and other is not reason] in (
        [],
        [Reason.HTTP_ERROR],
        [Reason.NOT_FOUND],
    )


def test_meanings_differ() -> None:
    """No two reasons are explained by the same words."""
    assert len({advice.meaning for advice in ADVICE.values()}) == len(Reason)
