"""What a check of the neutral contract found, drawn for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from quota_exporter.contract_values import Finding, Verdict
from quota_exporter.humanize import counted

# the word stays readable where a terminal lacks the mark
_MARKS = {
    Verdict.OK: ("✓ ok", "green"),
    Verdict.WARNING: ("! warning", "yellow"),
    Verdict.VIOLATION: ("✗ violation", "red"),
    Verdict.SKIPPED: ("- skipped", "dim"),
}
_MARK_CELLS = max(len(words) for words, _ in _MARKS.values())


def print_findings(console: Console, findings: Sequence[Finding]) -> bool:
    """Print one line a point, then the sum of it; return whether nothing breaks the contract."""
    for finding in findings:
        words, style = _MARKS[finding.verdict]
        line = Text(f"{words:<{_MARK_CELLS}}", style).append(f"  {finding.point}: {finding.detail}", "default")
        console.print(line)
    count = [finding.verdict for finding in findings].count
    violations, warnings = counted(count(Verdict.VIOLATION), "violation"), counted(count(Verdict.WARNING), "warning")
    if count(Verdict.VIOLATION):
        console.print(Text(f"\nDoes not conform: {violations}, {warnings}.", "red"))
        return False
    console.print(Text(f"\nConforms: {violations}, {warnings}.", "green"))
    return True
