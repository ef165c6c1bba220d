"""How far a stage is: a bar in the terminal and a progress artifact in Prefect's UI."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from flows.processes import RUN_VARIABLE

ARTIFACT_SECONDS = 1.0  # least time between two updates of the artifact: each is a request to the server


def artifact_key(stage: str, what: str) -> str:
    """A name that Prefect takes for an artifact: lower-case letters, digits and dashes."""
    return f"{stage.replace('_', '-')}-{what}"


@contextmanager
def progress(stage: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
    """Show progress over ``total`` shards, of which ``done`` are done; gives a function to call for each."""
    # Typed for asynchronous flows too; called from a synchronous one, it gives the id itself.
    artifact = cast(
        UUID,
        create_progress_artifact(100 * done / total, artifact_key(stage, "progress"), f"shards of {stage}"),
    )
    show = _for_whole_run(stage, 100 * done / total)
    told = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task(f"{stage}: shards", total=total, completed=done)

        def advance() -> None:
            nonlocal done, told
            done += 1
            bar.advance(row)
            if done == total or time.monotonic() - told > ARTIFACT_SECONDS:
                update_progress_artifact(artifact, 100 * done / total)
                show(100 * done / total)
                told = time.monotonic()

        yield advance


def _for_whole_run(stage: str, percent: float) -> Callable[[float], None]:
    """The same artifact for the run that the stage belongs to; gives a function that updates it."""
    run = os.environ.get(RUN_VARIABLE)
    if not run:
        return lambda percent: None
    with get_client(sync_client=True) as client:
        artifact = client.create_artifact(
            ArtifactCreate(
                type="progress",
                key=artifact_key(stage, "progress"),
                description=f"shards of {stage}",
                data=percent,
                flow_run_id=UUID(run),
            )
        )

    def show(percent: float) -> None:
        with get_client(sync_client=True) as client:
            client.update_artifact(artifact.id, ArtifactUpdate(data=percent))

    return show
