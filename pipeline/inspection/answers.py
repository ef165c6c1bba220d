"""What `patchwords inspect` answers, for people and for programs. Rows are written as they are read."""

from __future__ import annotations

import csv as csv_files
import dataclasses
import json as json_files
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.text import Text

from pipeline.errors import UserError
from pipeline.inspection import (
    cells,
    describe,
    diff,
    distributions,
    expressions,
    filters,
    show,
    show_diff,
    show_trace,
)
from pipeline.inspection import revisions as revisions_of
from pipeline.inspection import trace as tracing
from pipeline.inspection.describe import Dataset
from pipeline.inspection.filters import Selection

SHOWN_ROWS = 5
BLOCK_ROWS = 1_000
"""Rows that are in memory at a time when rows are written for programs."""


@dataclass(frozen=True)
class Asked:
    """Which rows."""

    where: str | None = None
    image: str | None = None
    rows: int | None = None

    @property
    def is_filter(self) -> bool:
        """Whether only some rows are asked for."""
        return self.where is not None or self.image is not None

    def limit(self, default: int | None) -> int | None:
        """How many rows at most."""
        return default if self.rows is None else self.rows


def select(found: Dataset, asked: Asked) -> Selection:
    """The rows that are asked for.

    Raises:
        UserError: the condition cannot be used, or the dataset has no such image.
    """
    chosen = filters.select(found.table, asked.where)
    if asked.image is None:
        return chosen
    if "image_id" not in found.schema.names:
        raise UserError(f"{found.path} ({found.name}) has no image_id: --image cannot choose its rows.")
    of_image = expressions.equals("image_id", asked.image)
    if Selection(found.table, of_image).count() == 0:
        raise UserError(f"{found.path} has no row of an image {asked.image!r}: mend the id.")
    both = expressions.both(of_image, chosen.condition) if chosen.condition else of_image
    return Selection(found.table, both)


def table(found: Dataset, asked: Asked, digest: bool, root: Path | None) -> None:
    """Print the dataset; of a filter, the rows it lets through."""
    out = show.console()
    chosen = select(found, asked)
    out.print(show.heading(found, found.table.num_rows))
    if not asked.is_filter:
        out.print(show.section("columns", show.schema(found)))
        out.print(show.section("made from", show.origin(found, digest)))
        if counted := distributions.of(found):
            out.print(show.section("distributions", show.distributions(counted, out.width)))
    rows = chosen.rows(asked.limit(SHOWN_ROWS)).to_pylist()
    title = f"rows, the first {len(rows)}"
    if asked.is_filter:
        count, total = chosen.count(), found.table.num_rows
        share = f"{100 * count / total:.1f} %" if total else "0 %"
        title = f"{count:,} of {total:,} rows ({share})" + (
            f", the first {len(rows)}" if count > len(rows) else ""
        )
    if rows:
        out.print(show.section(title, show.rows(rows, root)))
    elif asked.is_filter:
        out.print(show.section(title, "no row meets the condition"))


def json(found: Dataset, asked: Asked, digest: bool) -> None:
    """Write the dataset as one JSON object: what it is, distributions, rows; of a filter, all its rows."""
    chosen = select(found, asked)
    made_from = found.made_from
    recorded = describe.settings(found.folder)
    head = {
        "dataset": found.name,
        "path": str(found.path),
        "parts": len(found.parts),
        "rows": found.table.num_rows,
        "bytes": found.size,
        "digest": found.content_digest(digest),
        "params": made_from.params,
        "settings": recorded[2] if recorded else None,
        "inputs": dict(made_from.inputs),
        "columns": [
            {"name": name, "type": kind, "doc": line} for name, kind, line in describe.columns(found.schema)
        ],
        "distributions": [] if asked.is_filter else [each.as_json() for each in distributions.of(found)],
        "selected": chosen.count(),
    }
    limit = asked.limit(None if asked.is_filter else SHOWN_ROWS)
    text = json_files.dumps(head, ensure_ascii=False)
    sys.stdout.write(f'{text[:-1]}, "sample": [')
    for number, row in enumerate(_rows(chosen, limit)):
        sys.stdout.write(",\n" if number else "\n")
        sys.stdout.write(json_files.dumps(cells.plain(row), ensure_ascii=False))
    sys.stdout.write("]}\n")


def csv(found: Dataset, asked: Asked) -> None:
    """Write the rows as CSV; lists and structs as JSON in their cells."""
    chosen = select(found, asked)
    writer = csv_files.writer(_Lines())
    writer.writerow(found.schema.names)
    for row in _rows(chosen, asked.limit(None)):
        writer.writerow(map(_csv_cell, row.values()))


class _Lines:
    """Standard output as the CSV writer's file: lines end as they do elsewhere here.

    The writer keeps its own ``\\r\\n``: before Python 3.13 it quotes the letters of its own line end only,
    and a lone ``\\r`` in a text would stand bare.
    """

    def write(self, line: str) -> None:
        """Write one line of the table."""
        sys.stdout.write(line.removesuffix("\r\n") + "\n")


def _csv_cell(value: Any) -> Any:
    plain = cells.plain(value)
    return json_files.dumps(plain, ensure_ascii=False) if isinstance(plain, (list, dict)) else plain


def _rows(chosen: Selection, limit: int | None) -> Iterator[dict[str, Any]]:
    for batch in chosen.batches(limit):
        for start in range(0, batch.num_rows, BLOCK_ROWS):
            yield from batch.slice(start, BLOCK_ROWS).to_pylist()


def trace(found: Dataset, asked: str, root: Path, as_json: bool) -> None:
    """Print the lineage of a patch word."""
    result = tracing.of(found, asked, root)
    if as_json:
        print(json_files.dumps(cells.plain(result.as_json()), ensure_ascii=False, indent=2))
    else:
        show.console().print(show_trace.trace(result))


def difference(
    before: Path, after: Path | None, revisions: Sequence[str], examples: int, as_json: bool
) -> None:
    """Print how two versions of a dataset differ: two folders, or one folder in one or two git revisions."""
    with TemporaryDirectory(prefix="patchwords-diff-") as scratch:
        versions = [
            (f"{before} at {revision}", revisions_of.fetch(before, revision, Path(scratch) / str(place)))
            for place, revision in enumerate(revisions)
        ]
        if len(versions) < 2:
            versions += [(str(path), Dataset(path)) for path in (before, after) if path is not None]
        (one, old), (other, new) = versions
        result, made = diff.of(old, new, examples), diff.settings(old, new)
        if as_json:
            found = {
                "table": old.name,
                "before": one,
                "after": other,
                **dataclasses.asdict(result),
                "made": dataclasses.asdict(made),
            }
            print(json_files.dumps(cells.plain(found), ensure_ascii=False, indent=2))
            return
        _print_difference(old, new, (one, other), result, made)


def _print_difference(
    old: Dataset, new: Dataset, labels: tuple[str, str], result: diff.Difference, made: diff.Settings
) -> None:
    out = show.console()
    out.print(show_diff.heading(old, new, labels, result))
    if (changed := show_diff.settings(made)) is not None:
        out.print(show.section("made from", changed))
    if result.is_none:
        return
    moved = show_diff.distributions(*distributions.of_both(old, new))
    if moved is not None:
        out.print(show.section("distributions that moved", moved))
    if result.by_column:
        out.print(show.section("changed, by column", show_diff.columns(result)))
    for title, rows in (("added", result.added_examples), ("gone", result.gone_examples)):
        if rows:
            out.print(show.section(f"{title}, for instance", show.rows(rows, None)))


def overview(folder: Path, found: Sequence[Dataset], as_json: bool) -> None:
    """Print the datasets below a folder."""
    if as_json:
        rows = [
            {"path": str(each.path), "dataset": each.name, "rows": each.table.num_rows, "bytes": each.size}
            for each in found
        ]
        print(json_files.dumps(rows, indent=2))
        return
    out = show.console()
    out.print(show.overview(folder, found))
    out.print(Text.assemble(("\nOne of them:", "dim"), f" patchwords inspect {folder / 'patch_words'}"))
