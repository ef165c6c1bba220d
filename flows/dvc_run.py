"""A DVC run inside a flow run: its stages as tasks in their order, its output as their logs."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed
from prefect.utilities.annotations import quote

from flows import dvc_output, processes
from pipeline.writer import WRITER_VARIABLE

BACKOFF_SECONDS = (5, 20)  # before the second and the third try
KILLED = (-9, 137)  # most often for want of memory, or because a machine went down
_PASSING = re.compile(
    r"(OSError|BlockingIOError|BrokenPipeError|ConnectionError|ConnectionResetError|TimeoutError)\b.*:"
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_WHY_CACHED = {
    "unchanged": "Cached: neither its inputs, nor its settings, nor its code have changed since it last ran.",
    "restored": "Cached: it ran before with the same inputs, settings and code; its outputs were taken from"
    " DVC's cache.",
}


class StageFailedError(Exception):
    """A stage's command, or DVC itself, has failed; ``can_pass`` says whether trying again may help."""

    def __init__(self, message: str, can_pass: bool = False) -> None:
        super().__init__(message)
        self.can_pass = can_pass


def run(arguments: Sequence[str], tell: Callable[[str], None]) -> dict[str, str]:
    """Run DVC with the arguments; finished stages are not done again when it is tried again.

    Only what can pass is tried again: DVC kept out by another of its processes, a command that was killed, a
    stumble of the disk or the network. Wrong settings and defects cannot.

    Returns:
        The stages that had their turn, and the outcome of each as in `dvc_output.Step`.

    Raises:
        StageFailedError: a stage failed, or DVC did.
        WorkerLostError: as in `processes.Command.lines`.
    """
    for seconds in BACKOFF_SECONDS:
        try:
            return once(arguments)
        except StageFailedError as error:
            if not error.can_pass:
                raise
            tell(f"{error} Trying again in {seconds} s.")
            time.sleep(seconds)
    return once(arguments)


def once(arguments: Sequence[str]) -> dict[str, str]:
    """As `run`, without another try."""
    outcomes = {}
    with processes.running([*processes.DVC, *arguments], _variables()) as command:
        output = _Output(command)
        for step, lines in dvc_output.by_stage(output):
            if step.stage:
                named = follow_stage.with_options(name=step.stage, task_run_name=step.stage)
                # Quoted, because Prefect would read the lines in search of other tasks' results.
                state = named(step.outcome, quote(lines), quote(output), return_state=True)
                if state.is_crashed():
                    raise processes.WorkerLostError(state.message)
                state.result()  # raises what it failed with
                outcomes[step.stage] = step.outcome
            else:
                _heed(_follow(lines), output)
        if command.status:
            raise StageFailedError(f"DVC ended with status {command.status}: see the log.")
    return outcomes


class _Output:
    """DVC's lines as they come, and whether it has failed."""

    def __init__(self, command: processes.Command) -> None:
        self._command, self._over = command, False

    def __iter__(self) -> Iterator[str]:
        yield from self._command.lines()
        self._over = True

    @property
    def failed(self) -> bool:
        """Whether DVC failed in the turn that was just read to its end: after a failure there is no other."""
        return self._over and self._command.status != 0


def follow(name: str, command: Sequence[str]) -> None:
    """Run a command that is not DVC's as one task, its output as the task's log.

    Raises:
        StageFailedError: it ended with another status than 0.
    """
    follow_command.with_options(name=name, task_run_name=name)(list(command))


@task(cache_policy=NO_CACHE, persist_result=False)
def follow_command(command: list[str]) -> None:
    """Follow a command to its end."""
    with processes.running(command, _variables()) as running:
        told = _follow(running.lines())
        if running.status:
            ending = f"`{' '.join(command)}` ended with status {running.status}: see the log."
            raise StageFailedError(told.message or ending)


@task(cache_policy=NO_CACHE, persist_result=False)
def follow_stage(outcome: str, lines: Any, output: Any) -> State[None] | None:
    """Follow one stage's turn in DVC's output (`_Output`), an iterator of lines, to its end."""
    try:
        _heed(_follow(lines), output)
    except processes.WorkerLostError as error:
        return Crashed(message=str(error))
    why = _WHY_CACHED.get(outcome)
    return Completed(name="Cached", message=why) if why else None


def _variables() -> dict[str, str]:
    """What tells a stage which run it belongs to."""
    return {processes.RUN_VARIABLE: str(flow_run.id or ""), WRITER_VARIABLE: str(os.getpid())}


@dataclass(frozen=True)
class _Told:
    """What lines tell of a failure, if there was one: a stage that does not fail may say the like."""

    message: str
    can_pass: bool


def _heed(told: _Told, output: _Output) -> None:
    if told.message and output.failed:
        raise StageFailedError(told.message, told.can_pass)


def _follow(lines: Iterator[str]) -> _Told:
    """Log the lines as they come; gives the error that they tell of."""
    log = get_run_logger()
    own, of_dvc, can_pass = "", "", False
    for raw in lines:
        line = _COLOURS.sub("", raw).rstrip()
        if not line:
            continue
        log.log(logging.ERROR if line.startswith(("ERROR:", "error:")) else logging.INFO, "%s", line)
        if line.startswith("error:"):  # a user's error, in the stage's own words
            own = line.removeprefix("error:").strip()
        elif line.startswith("ERROR: "):  # DVC's; without the space it is Python's logging
            of_dvc = of_dvc or line.removeprefix("ERROR:").strip()
        killed = dvc_output.exit_status(line) in KILLED
        can_pass = can_pass or killed or dvc_output.is_blocked(line) or bool(_PASSING.match(line))
    return _Told(own or of_dvc, can_pass and not own)
