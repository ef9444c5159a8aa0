"""What was found out about an address, drawn for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from quota_exporter.guess import Attempt, Guess
from quota_exporter.humanize import counted
from quota_exporter.quota import Failure, Reason


def print_guess(console: Console, found: Guess) -> None:
    """Print what was asked, then what each preset made of it."""
    console.print(Text("Asked, with the key, for reading only:", "bold"))
    for asked in found.requests:
        console.print(Text(f"  {asked}"))
    console.print(Text("\nPresets:", "bold"))
    misfits = []
    for attempt in found.attempts:
        outcome, name = attempt.reading.outcome, attempt.mapping.name
        if not isinstance(outcome, Failure):
            buckets = ", ".join(f"{bucket.kind} {bucket.name}" for bucket in outcome.buckets)
            if outcome.children is not None:
                buckets = counted(len(outcome.children), "key")
            console.print(Text(f"  {name}: fits{loss(attempt)} ({buckets})", "green"))
        elif outcome.reason is Reason.UNEXPECTED_SHAPE:
            misfits.append(name)
        elif attempt.is_refused:
            console.print(
                Text(f"  {name}: answers, but refuses this key ({outcome.reason}, {outcome.detail})", "yellow")
            )
        else:
            console.print(Text(f"  {name}: {outcome.reason}, {outcome.detail}", "dim"))
    if misfits:
        console.print(Text(f"  a reply, but not theirs: {', '.join(misfits)}", "dim"))
    if found.left_out:
        names = ", ".join(found.left_out)
        console.print(
            Text(f"  not tried, for want of requests: {names}; give the address of the quota itself for these")
        )


def why_none(found: Guess) -> str:
    """Return why no preset fits, in words with what to do."""
    if not found.has_answer:
        return (
            "No reply came. Check the URL and whether this machine reaches it;"
            " SSL_CERT_FILE names the certificates of an authority of your own."
        )
    if any(attempt.is_refused for attempt in found.attempts):
        return "No preset fits, and the key is refused. Check that it is a key of this gateway, then try again."
    return "No preset fits. An own mapping takes about ten lines of YAML: see docs/mappings.md, and `explain`."


def loss(attempt: Attempt) -> str:
    """Return what to add to `fits` where values of the reply are not used."""
    return f", with {counted(attempt.problems, 'value')} not used" if attempt.problems else ""
