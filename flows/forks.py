"""DVC's commands, each in a fork of one process that has imported DVC: at once, instead of in a second."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path

from flows import PROJECT, guard, processes

# What DVC imports for each stage, and what the program that starts the forks imports, which each does again.
_MODULES = (
    "dvc.cli.parser",
    "dvc.repo.reproduce",
    "dvc.cachemgr",
    "dvc.lock",
    "dvc.repo.params",
    "dvc.repo.plots",
    "dvc.scm",
    "dvc.utils.strictyaml",
    "pipeline.params",
    "rich.console",
    "typer",
)
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([__name__, *_MODULES])
# Starting a fork also looks whether others have ended, and an exit status can be read once.
_ONE_AT_A_TIME = threading.Lock()


class Fork:
    """A running command of DVC's, to be handled like `processes.guarded`'s."""

    def __init__(self, arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> None:
        alive, self.stdin = _SERVER.Pipe(duplex=False)
        self.stdout, output = _SERVER.Pipe(duplex=False)
        self._process = _SERVER.Process(
            target=_run, args=[list(arguments), dict(variables), folder, alive, output]
        )
        with _ONE_AT_A_TIME:
            self._process.start()
        alive.close()
        output.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, as a shell gives it; raises `subprocess.TimeoutExpired` as Popen's does."""
        if not connection.wait([self._process.sentinel], timeout):
            raise subprocess.TimeoutExpired("dvc", timeout or 0)
        with _ONE_AT_A_TIME:
            self._process.join()
        status = self._process.exitcode
        assert status is not None
        return 128 - status if status < 0 else status


@contextmanager
def running(
    arguments: Sequence[str], variables: Mapping[str, str] | None = None, folder: Path = PROJECT
) -> Iterator[processes.Command]:
    """Run ``dvc ARGUMENTS`` as `processes.running` would, and end it in the same way."""
    fork = Fork(arguments, processes.environment() | dict(variables or {}), folder)
    try:
        yield processes.Command(fork, of_worker=False)
    finally:
        processes.end(fork, processes.PATIENCE)
        fork.stdout.close()


def _run(
    arguments: list[str],
    variables: dict[str, str],
    folder: Path,
    alive: connection.Connection,
    output: connection.Connection,
) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output.fileno(), 1), (output.fileno(), 2)):
        os.dup2(source, target)
    output.close()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)

    sys.argv = ["dvc", *arguments]  # what DVC notes in its locks, for others to read

    from dvc.cli import main

    watch = guard.Watch(alive.fileno(), processes.PATIENCE)
    status = main(arguments)
    watch.over()
    sys.exit(status)
