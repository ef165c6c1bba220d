"""Make the report: ``python -m pipeline.report``."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from pipeline import params
from pipeline.console import run_command
from pipeline.errors import UserError
from pipeline.report import page

DATA = Path("data")


def main() -> None:
    """Write ``data/report/`` and ``data/metrics.json`` from what the stages left."""
    files = page.make(DATA, params.load())
    for path, text in files.items():
        write_whole(path, text)
    console = Console()
    console.print(f"Report: [bold]{DATA / 'report' / 'index.html'}[/bold]", highlight=False)


def write_whole(path: Path, text: str) -> None:
    """Write a text file under a passing name and rename it, so that no half of it is ever left.

    Raises:
        UserError: it could not be written (disk full, no permission).
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(
            f"Could not write {path}: {error.strerror or error}. Free some space (or mend the permissions)"
            " and run `dvc repro report` again."
        ) from error


if __name__ == "__main__":
    run_command(main)
