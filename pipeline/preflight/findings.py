"""What was looked at and found, as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

State = Literal["ok", "missing", "too little", "failed", "note"]
_STYLES = {"ok": "green", "missing": "red", "too little": "red", "failed": "red", "note": "dim"}
STOPPING: tuple[State, ...] = ("missing", "too little", "failed")
"""States with which a run would stop, or come to nothing."""


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it stands, what was found, how to mend it."""

    what: str
    state: State
    found: str
    mend: str = ""


def stops(findings: Sequence[Finding]) -> bool:
    """Whether any finding would stop the run."""
    return any(finding.state in STOPPING for finding in findings)


def show(title: str, findings: Sequence[Finding], console: Console) -> None:
    """Print findings as a table, what to do below what was found."""
    table = Table(title=title, title_justify="left", title_style="bold", show_lines=False, expand=False)
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found")
    for finding in findings:
        style = _STYLES[finding.state]
        text = f"{finding.found}\n-> {finding.mend}" if finding.mend else finding.found
        table.add_row(finding.what, f"[{style}]{finding.state}[/{style}]", text)
    console.print(table, highlight=False)
