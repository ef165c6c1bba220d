"""The command ``patchwords``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline import console
from pipeline.browse import commands as browse_commands
from pipeline.errors import UserError
from pipeline.export import commands as export_commands
from pipeline.inspection import commands as inspection_commands
from pipeline.report import commands as report_commands
from pipeline.report import comparison, exports
from pipeline.report.terminal import results_table

METRICS_FILE = Path("data/metrics.json")
REPORT = Path("data/report/index.html")
LOG_WIDTH = 110  # columns, where there is no terminal to fit

commands = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Settings, results and pictures of the pipeline; `dvc repro` runs it.",
)
report_commands.register(commands)
inspection_commands.register(commands)
export_commands.register(commands)
browse_commands.register(commands)


@commands.command()
def profile(
    name: Annotated[str | None, typer.Argument(help="The profile to switch to; none: list them.")] = None,
    force: Annotated[bool, typer.Option(help="Drop settings of your own in params.yaml.")] = False,
) -> None:
    """Switch params.yaml to a profile; `patchwords profile embedded` puts it back as it came."""
    from pipeline import params, profiles  # so that other commands start without them

    if name is not None:
        profiles.switch(name, force=force)
    current = params.load().profile
    for each in profiles.names():
        print(f"{'*' if each == current else ' '} {each}")


@commands.command()
def results(
    file: Annotated[
        Path, typer.Option(help="Metrics that the report stage wrote, or data/comparisons/study.json.")
    ] = METRICS_FILE,
    markdown: Annotated[bool, typer.Option(help="As a Markdown table.")] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw a study's curves into this file (.png or .svg).")
    ] = None,
) -> None:
    """Print the arms side by side, beside floors and ceiling, and where the report lies."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no {file}: run `dvc repro` (or `make repro`) to make it.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} could not be read: {error}") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{file} is not valid JSON ({error}): run `dvc repro report` to make it again."
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("arms"), dict):
        raise UserError(
            f'{file} has no "arms", so it is neither metrics of the report stage nor a study: give '
            f"{METRICS_FILE}, or data/comparisons/study.json."
        )
    if figure is not None:
        from pipeline.report import study_figure  # so that other commands start without matplotlib

        study_figure.write_study_figure(found, figure)
        print(f"The study's curves: {figure}")
        return
    if markdown:
        print(exports.markdown(comparison.study_rows({"references": {}, "differences": {}, **found})), end="")
        return
    out = Console()
    if not out.is_terminal:
        out = Console(width=LOG_WIDTH)
    out.print(results_table(found))
    if REPORT.exists():
        out.print(f"The report: [bold]{REPORT}[/bold]", highlight=False)


def app() -> None:
    """Entry point: users' errors become one line and exit status 2."""
    console.run_command(commands)


if __name__ == "__main__":
    app()
