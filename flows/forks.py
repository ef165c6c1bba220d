"""DVC's commands, each in a fork of one process that has imported DVC: at once, instead of in a second."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from flows import PROJECT, guard, processes

# What DVC imports for each stage.
_MODULES = (
    "dvc.cli.parser",
    "dvc.repo.reproduce",
    "dvc.cachemgr",
    "dvc.lock",
    "dvc.repo.params",
    "dvc.repo.plots",
    "dvc.scm",
    "dvc.utils.strictyaml",
)
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([__name__, *_MODULES])


class Fork:
    """A running command of DVC's, to be handled like `processes.guarded`'s."""

    def __init__(self, arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> None:
        alive, self.stdin = _SERVER.Pipe(duplex=False)
        self.stdout, output = _SERVER.Pipe(duplex=False)
        self._process = _SERVER.Process(
            target=_run, args=[list(arguments), dict(variables), folder, alive, output]
        )
        self._process.start()
        alive.close()
        output.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, as a shell gives it; raises `subprocess.TimeoutExpired` as Popen's does."""
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired("dvc", timeout or 0)
        return 128 - status if status < 0 else status


@contextmanager
def running(
    arguments: Sequence[str], variables: Mapping[str, str] | None = None, folder: Path = PROJECT
) -> Iterator[processes.Command]:
    """Run ``dvc ARGUMENTS`` as `processes.running` would, and end it in the same way."""
    fork = Fork(arguments, processes.environment() | dict(variables or {}), folder)
    try:
        yield processes.Command(fork)
    finally:
        processes.end(fork, processes.PATIENCE)
        fork.stdout.close()


def _run(
    arguments: list[str], variables: dict[str, str], folder: Path, alive: Connection, output: Connection
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

    from dvc.cli import main

    watch = guard.Watch(alive.fileno(), processes.PATIENCE)
    status = main(arguments)
    watch.over()
    sys.exit(status)
