"""From the data stages to the training ones over DVC's remote: what one workspace builds, another takes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import cast

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.runtime import flow_run

from flows import PROJECT, dvc_run, processes, settings
from pipeline import params

# Settings of the machine, not of the results: each workspace keeps its own.
OWN = ("compute.", "profile")


def has_remote(tell: Callable[[str], None]) -> bool:
    """Whether DVC has a default remote here; if not, says that nothing is pulled or pushed."""
    command = [*processes.DVC, "config", "core.remote"]
    found = subprocess.run(
        command, cwd=PROJECT, env=processes.environment(), capture_output=True, check=False
    )
    if found.stdout.strip():
        return True
    tell("DVC has no default remote (`dvc remote add -d NAME PLACE`): nothing is pulled or pushed.")
    return False


@task(
    name="push",
    task_run_name="push",
    retries=3,
    retry_delay_seconds=[5, 20, 60],
    retry_jitter_factor=0.3,
    cache_policy=NO_CACHE,
)
def push() -> None:
    """Push every output and the run cache, by which another workspace finds them without its own dvc.lock."""
    dvc_run.once(["push", "--run-cache"])


def start(deployment: str) -> None:
    """Start the deployment with this workspace's settings, and do not wait for it."""
    leaves = settings.leaves(settings.tree(params.PARAMS_FILE.read_text(encoding="utf-8")))
    shared = {key: value for key, value in leaves.items() if not key.startswith(OWN)}
    name = f"{deployment}-after-{flow_run.name}"
    # Typed for asynchronous flows too; called from a synchronous one, it gives the run itself.
    run = cast(
        FlowRun,
        run_deployment(
            f"{deployment}/{deployment}", parameters={"settings": shared}, flow_run_name=name, timeout=0
        ),
    )
    get_run_logger().info("Handed over to %s: the run %s.", deployment, run.name)
