"""A DVC run with a form's settings: in place, or as an experiment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed

from flows import PROJECT, dvc_run, experiments, forms, handover, processes, results, settings, workspace
from pipeline import params
from pipeline.errors import UserError

IN_PLACE = "in place"


@dataclass(frozen=True)
class Plan:
    """What a form asks for."""

    edits: Mapping[str, Any]
    """Values for ``params.yaml`` by dotted key; None leaves it as it is."""
    profile: str | None = None
    stages: Sequence[str] = field(default_factory=list)
    """Stages to bring up to date; none: all."""
    where: str = IN_PLACE
    experiment: str | None = None
    remote: bool = False
    """Whether what others built is pulled from DVC's remote, and what is built here pushed to it."""
    study: Sequence[str] = ()
    """A study's command, which is no stage: done once the stages are, in place."""


def given(form: Mapping[str, Any]) -> dict[str, Any]:
    """What a form sets: without the fields that were left empty."""
    return {key: value for key, value in form.items() if value is not None}


def build(plan: Plan) -> State[None]:
    """Do the plan and create its artifacts.

    Raises:
        UserError: values that do not go together, or a wrong one.
        StageFailedError: a stage failed.
    """
    edits = given(plan.edits)
    with _sole_writer() as tell, _until_worker_is_lost() as lost:
        if experiments.put_back(PROJECT):
            tell("An experiment was killed here: settings, dvc.lock and data/ are put back as they were.")
        old = params.PARAMS_FILE.read_text(encoding="utf-8")
        new = settings.edited(edits, plan.profile)
        check(plan, edits, new)
        before = results.read()
        if plan.where == IN_PLACE:
            params.PARAMS_FILE.write_text(new, encoding="utf-8")
            remote = plan.remote and handover.has_remote(tell)
            done = dvc_run.run(["repro", *(["--pull"] if remote else []), *plan.stages], tell)
            if remote:
                handover.push()
            results.publish(done, before, params.load())
            if plan.study:
                dvc_run.follow("study", plan.study)
                results.publish_study(before)
        else:
            _experiment(settings.overrides(old, new), plan, before, tell)
    return _ending(lost)


def _experiment(
    overrides: Sequence[str], plan: Plan, before: results.Results, tell: Callable[[str], None]
) -> None:
    options = [part for override in overrides for part in ("-S", override)]
    named = ["--name", plan.experiment] if plan.experiment else []
    with experiments.aside(PROJECT):
        done = dvc_run.run(["exp", "run", *named, *options, *plan.stages], tell)
        results.publish(done, before, params.load())


def check(plan: Plan, edits: Mapping[str, Any], text: str) -> None:
    """Refuse what no schema can: values that do not go together."""
    if unknown := [stage for stage in plan.stages if stage not in forms.stages()]:
        raise UserError(f"dvc.yaml has no stage {', '.join(unknown)}; it has {', '.join(forms.stages())}.")
    source = settings.leaves(settings.tree(text))["source.name"]
    if "source.scenes.train" in edits and source != "scenes":
        raise UserError(
            f"Number of samples: found {edits['source.scenes.train']}, but source.name is {source}, which"
            " comes as large as it is; leave it empty, or choose a profile whose source is scenes."
        )
    if plan.experiment and plan.where == IN_PLACE:
        raise UserError(
            f"Experiment's name: found {plan.experiment!r}, but the run is in place; choose `as an"
            " experiment`, or leave the name empty."
        )


@contextmanager
def _sole_writer() -> Iterator[Callable[[str], None]]:
    """Hold the workspace for this run; gives what tells of waiting and trying again."""
    tell = get_run_logger().warning
    who = {"name": flow_run.name, "flow_run": str(flow_run.id), "pid": os.getpid()}
    with workspace.sole_writer(PROJECT, who, tell):
        yield tell


@contextmanager
def _until_worker_is_lost() -> Iterator[list[str]]:
    """Ends the block when the worker has gone, and then notes why in the list that it gives."""
    lost: list[str] = []
    try:
        yield lost
    except processes.WorkerLostError as error:
        lost.append(f"{error} Its processes were ended; `dvc repro` goes on from here.")


def _ending(lost: list[str]) -> State[None]:
    return Crashed(message=lost[0]) if lost else Completed()
