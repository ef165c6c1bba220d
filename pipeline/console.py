"""How commands talk to people: rich in a terminal, one line instead of a traceback for users' errors."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

from rich.console import Console

from pipeline import writer
from pipeline.errors import UserError

USER_ERROR_STATUS = 2
STOPPED_STATUS = 130  # what a shell says of a program that ctrl-C ended


def run_command(main: Callable[[], object]) -> None:
    """Run a command's ``main`` and turn a `UserError` into its message and exit status 2.

    For ``if __name__ == "__main__": run_command(main)``. Any other exception is a defect and keeps its
    traceback; ctrl-C ends with the shell's own status for it, 130. A stage of DVC's is refused while a run
    that it is no part of holds the workspace: see `pipeline.writer`.
    """
    # What was imported stays to the end. Python would go through it all twice more then, 2 s of each stage
    # that imports torch, to free what ends with the process anyway.
    gc.freeze()
    try:
        writer.check()
        main()
    except UserError as error:
        print_error(error)
        sys.exit(USER_ERROR_STATUS)
    except KeyboardInterrupt:
        Console(stderr=True).print("[yellow]Stopped.[/yellow] The same command goes on from here.")
        sys.exit(STOPPED_STATUS)


def run_options(command: Callable[..., object]) -> None:
    """Run a function on the command line's words, by the options that its annotations (typer's) say.

    Raises:
        UserError: there is no such option, or it cannot have that value.
        KeyboardInterrupt: it was stopped by ctrl-C, which typer would make a mere status of.
    """
    import typer
    from typer.exceptions import TyperException

    app = typer.Typer(add_completion=False)
    app.command()(command)
    try:
        status = app(standalone_mode=False)
    except TyperException as error:
        raise UserError(error.format_message()) from error
    if status == STOPPED_STATUS:
        raise KeyboardInterrupt


def print_error(error: UserError) -> None:
    """Print a user error's message on stderr, in red where there is a terminal."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("error:", style="bold red", end=" ")
    console.print(str(error), style="red", markup=False)
