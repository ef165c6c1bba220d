"""Commands that a flow runs: their output line by line as it comes, and no process left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from flows import PROJECT, guard

LOOK_SECONDS = 1.0  # how often a silent command's reader looks whether the worker is still there
RUN_VARIABLE = "PATCHWORDS_FLOW_RUN"  # the run in the Prefect UI that a stage belongs to, if any
DVC = (sys.executable, "-m", "dvc")
PATIENCE = 3.0  # seconds that a command has to end by itself


class WorkerLostError(Exception):
    """The worker that started this flow run has gone, so nobody could cancel it any more."""


class Guarded(Protocol):
    """A process, in a session of its own, that ends with all its processes when its input closes."""

    pid: int
    stdin: Any  # has close()
    stdout: Any  # has fileno()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status; 128 + n when signal n killed it, as in a shell."""


class Command:
    """A running command; `lines` has to be read to its end before `status` is known.

    Args:
        process: what runs.
        of_worker: the process that started this one is a worker, without which nobody could cancel it.
    """

    def __init__(self, process: Guarded, of_worker: bool = True) -> None:
        self.process = process
        self.worker = os.getppid() if of_worker else None

    def lines(self) -> Iterator[str]:
        """What it writes to stdout and stderr, as it comes, without line ends.

        Raises:
            WorkerLostError: the process that started this one has ended meanwhile.
        """
        stream, rest = self.process.stdout.fileno(), b""
        while True:
            if self.worker not in (None, os.getppid()):
                raise WorkerLostError("The worker has gone.")
            if not select.select([stream], [], [], LOOK_SECONDS)[0]:
                continue
            piece = os.read(stream, 65536)
            *whole, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
            yield from (text.decode("utf-8", "replace").rstrip() for text in whole)
            if not piece:
                if rest:
                    yield rest.decode("utf-8", "replace")
                return

    @property
    def status(self) -> int:
        """Its exit status; 128 + n when signal n killed it, as in a shell."""
        return self.process.wait()


@contextmanager
def running(
    command: Sequence[str], variables: Mapping[str, str] | None = None, folder: Path = PROJECT
) -> Iterator[Command]:
    """Run a command; when the block is left, by a cancelled run too, each of its processes has ended.

    Args:
        command: program and arguments; ``python`` is the one that runs this.
        variables: environment variables beside the present ones.
        folder: where it runs.
    """
    process = guarded(command, environment() | dict(variables or {}), folder, subprocess.PIPE, PATIENCE)
    try:
        yield Command(process)
    finally:
        end(process, PATIENCE)


def guarded(
    command: Sequence[str], variables: Mapping[str, str], folder: Path, output: int | IO[str], patience: float
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, of which nothing outlives this process; see `flows.guard`."""
    if command[0] == "python":
        command = [sys.executable, *command[1:]]
    return subprocess.Popen(
        [sys.executable, "-I", guard.__file__, str(patience), *command],
        cwd=folder,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end(process: Guarded, patience: float) -> None:
    """End a guarded command, if it still runs, and whatever of its processes is left."""
    process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience + 2)
    with suppress(ProcessLookupError):  # none is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def environment() -> dict[str, str]:
    """The present variables, without those by which Prefect tells a flow run's own process what it is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT__")}
    kept.pop("PYTHONPATH", None)
    # Stages are started as `python -m ...`: this environment's python has to come first.
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    kept["PYTHONUNBUFFERED"] = "1"
    return kept
