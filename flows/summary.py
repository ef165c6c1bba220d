"""What a stage did: rows in, out and rejected. Shown at the end, kept as a DVC metric, and checked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from pipeline.tables.shards import ShardCount, Tables


@dataclass(frozen=True)
class Summary:
    """Rows of a whole stage; the same inputs and parameters give the same summary."""

    rows_in: int
    rows_out: Mapping[str, int]
    """By table."""
    rejected: Mapping[str, int]
    """By reason."""

    def write(self, path: Path) -> None:
        """Write the summary as JSON, keys in order."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def of_counts(counts: Iterable[ShardCount]) -> Summary:
    """The sum over a stage's shards."""
    rows_in = 0
    rows_out: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for count in counts:
        rows_in += count.rows_in
        rows_out.update(count.rows_out)
        rejected.update(count.rejected)
    return Summary(rows_in, dict(sorted(rows_out.items())), dict(sorted(rejected.items())))


def check_balance(stage: str, shard: int, rows_in: int, tables: Tables, units: Mapping[str, str]) -> None:
    """Rows in = rows out + rejects, or a defect of the stage has lost (or doubled) rows.

    Args:
        stage: the stage's name, for the message.
        shard: the shard's number, for the message.
        rows_in: units of work that the shard took in.
        tables: what it made.
        units: the tables whose rows stand for units of work, and the column that names the unit: a phrase
            with three regions is one phrase.

    Raises:
        RuntimeError: the sum does not hold.
    """
    out = {name: pc.count_distinct(tables[name][column]).as_py() for name, column in units.items()}
    rejected = tables["rejects"].num_rows
    if rows_in != sum(out.values()) + rejected:
        listed = ", ".join(f"{number} {units[name]}s in {name}" for name, number in out.items())
        raise RuntimeError(
            f"{stage}, shard {shard}: {rows_in} rows went in, but {listed} and {rejected} rejects came out. "
            "Rows were lost or doubled, which is a defect of the stage; nothing of the shard was kept."
        )


def show(stage: str, summary: Summary, seconds: float, resumed: int = 0) -> None:
    """Print the summary in the terminal; ``resumed`` shards had been done by an earlier run."""
    table = Table(title=None, show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("rows in", f"{summary.rows_in:,}", "")
    for name, rows in summary.rows_out.items():
        table.add_row(name, f"{rows:,}", "")
    rejects = sum(summary.rejected.values())
    table.add_row("rejected", f"{rejects:,}", _share(rejects, summary.rows_in))
    for reason, rows in sorted(summary.rejected.items(), key=lambda entry: (-entry[1], entry[0])):
        table.add_row(f"  {reason}", f"{rows:,}", _share(rows, summary.rows_in))
    rate = f"{summary.rows_in / seconds:,.0f} rows/s" if not resumed and seconds > 0 else ""
    table.add_row("seconds", f"{seconds:.1f}", rate)
    console = Console()
    done_before = f" [dim]({resumed} shards were done already)[/dim]" if resumed else ""
    console.print(f"[bold green]{stage}[/bold green]{done_before}")
    console.print(table)


def markdown(summary: Summary, seconds: float) -> str:
    """The summary as a Markdown table, for Prefect's artifacts."""
    lines = ["| | rows |", "| --- | ---: |", f"| in | {summary.rows_in:,} |"]
    lines += [f"| {name} | {rows:,} |" for name, rows in summary.rows_out.items()]
    lines += [f"| rejected: {reason} | {rows:,} |" for reason, rows in summary.rejected.items()]
    return "\n".join([*lines, "", f"{seconds:.1f} s"])


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""
