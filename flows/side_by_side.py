"""`dvc repro` with several stages at a time: `make repro`, where ``compute.stages`` or ``JOBS`` says so.

DVC does one stage after another. Here (``python -m flows.side_by_side --jobs 2``) each stage that is not up
to date starts as soon as those that it needs are there, `jobs` at a time: the language model beside the
encoder, one arm beside another. Each is DVC's own run of that single stage, so its locks, its run cache and
dvc.lock are as ever; `dvc repro` goes on where this was stopped, and the other way round.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from pathlib import Path
from threading import Lock
from typing import Annotated

import typer
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage import Stage
from rich.console import Console
from rich.text import Text

from flows import PROJECT, forks, processes, workspace
from pipeline import params
from pipeline.console import STOPPED_STATUS, run_command, run_options
from pipeline.errors import UserError
from pipeline.writer import WRITER_VARIABLE

Needs = dict[str, list[str]]
"""By stage, in the order of dvc.yaml, those stages of the same plan that have to come before it."""

# DVC holds its lock of the whole project for moments; a stage waits for it instead of failing.
REPRO = ("--wait-for-lock", "repro", "--single-item")
COLOURS = ("cyan", "magenta", "green", "yellow", "blue")
# DVC's own words at the end of each stage.
_SAID_OFTEN = (
    "Running stage ",
    "Updating lock file ",
    "Use `dvc push` ",
    "To track the changes ",
    "git add dvc.lock",
    "To enable auto staging",
    "dvc config core.autostage",
)


def plan(project: Path) -> Needs:
    """The stages that are not up to date, and all that hang on them.

    Raises:
        UserError: DVC cannot read its files, or another of its commands holds the project.
    """
    try:
        with Repo(str(project)) as repo:
            status, graph = repo.status(), repo.index.graph
            # Not their addresses, which are relative to the folder that one is in.
            names = {stage: _name(stage, project) for stage in repo.index.stages}
    except DvcException as error:
        raise UserError(f"DVC: {error}") from error
    changed = {name for stage, name in names.items() if stage.addressing in status}
    needs = {name: [names[other] for other in graph.successors(stage)] for stage, name in names.items()}
    for name in TopologicalSorter(needs).static_order():
        if changed & set(needs[name]):
            changed.add(name)
    return {name: [other for other in needs[name] if other in changed] for name in needs if name in changed}


def _name(stage: Stage, project: Path) -> str:
    """As `dvc repro` takes it: data that `dvc add` tracks go by their file."""
    return getattr(stage, "name", "") or os.path.relpath(stage.path, project)


class Lanes:
    """Runs stages of a plan, `jobs` at a time, and prints what each says behind its name."""

    def __init__(self, needs: Needs, jobs: int, project: Path, console: Console) -> None:
        self.needs = needs
        self.jobs = jobs
        self.project = project
        self.console = console
        self.running: dict[str, processes.Command] = {}
        self.stopped = False
        self.lock = Lock()  # of these two
        self.width = max(map(len, needs), default=0)
        # What most is waiting for comes first, then the order of dvc.yaml.
        followers = _followers(needs)
        self.rank = {name: (-followers[name], place) for place, name in enumerate(needs)}

    def run(self) -> list[str]:
        """Do the stages; after one has failed none is begun, and those under way come to their end.

        Returns:
            The stages that failed.
        """
        order = TopologicalSorter(self.needs)
        order.prepare()
        failed: list[str] = []
        ready: list[str] = []
        under_way: dict[Future[int], str] = {}
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                while order.is_active():
                    ready += order.get_ready()
                    ready.sort(key=self.rank.__getitem__)
                    while ready and not failed and len(under_way) < self.jobs:
                        name = ready.pop(0)
                        under_way[pool.submit(self._one, name)] = name
                    if not under_way:
                        break
                    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                        name = under_way.pop(future)
                        if future.result():
                            failed.append(name)
                        else:
                            order.done(name)
            except BaseException:
                with self.lock:
                    self.stopped = True
                    for command in self.running.values():
                        command.process.stdin.close()  # the thread that follows it waits for its end
                raise
        return failed

    def _one(self, name: str) -> int:
        with forks.running([*REPRO, name], self._variables(), self.project) as command:
            with self.lock:
                if self.stopped:
                    return STOPPED_STATUS
                self.running[name] = command
            self._tell(name, "begins")
            for line in command.lines():
                if line.strip() and not line.strip().startswith(_SAID_OFTEN):
                    self._tell(name, line)
            with self.lock:
                del self.running[name]
            return command.status

    def _tell(self, name: str, line: str) -> None:
        _, place = self.rank[name]
        colour = COLOURS[place % len(COLOURS)]
        label = Text(f"{name:<{self.width}} | ", style=colour)
        self.console.print(label + Text.from_ansi(line), soft_wrap=True, highlight=False)

    def _variables(self) -> Mapping[str, str]:
        share = max(1, (os.cpu_count() or 1) // self.jobs)
        threads = os.environ.get("OMP_NUM_THREADS", str(share))
        return {"OMP_NUM_THREADS": threads, WRITER_VARIABLE: str(os.getpid())}


def _followers(needs: Needs) -> dict[str, int]:
    """How many stages there are on the longest way from each to an end."""
    found = dict.fromkeys(needs, 0)
    for name in reversed([*TopologicalSorter(needs).static_order()]):
        for other in needs[name]:
            found[other] = max(found[other], 1 + found[name])
    return found


def repro(
    jobs: Annotated[int, typer.Option(help="How many stages at a time; 0: as compute.stages says.")] = 0,
) -> None:
    """Bring every stage up to date, several at a time; one at a time is DVC's own `dvc repro`."""
    if jobs < 0:
        raise UserError(f"--jobs {jobs}: one stage at a time is the least")
    stages = params.load().compute.stages
    if (jobs or stages) == 1:
        os.execve(sys.executable, [*processes.DVC, "repro"], processes.environment())
    console = Console()
    who = {"name": "make repro", "pid": os.getpid()}
    with workspace.sole_writer(PROJECT, who, lambda line: console.print(line, highlight=False)):
        needs = plan(PROJECT)
        if not needs:
            console.print("Data and pipelines are up to date.")
            return
        if failed := Lanes(needs, jobs or stages, PROJECT, console).run():
            raise UserError(f"{', '.join(failed)} failed: see above. The same command goes on from here.")


if __name__ == "__main__":
    run_command(lambda: run_options(repro))
