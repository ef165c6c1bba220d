"""Work pools, automations, schedules, and runs whose process has gone without saying so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Crashed
from prefect.workers.process import ProcessWorker

from flows import automations, workspace

POOLS = ("default-pool", "gpu")
KILLED = "Its process was killed. The workspace is sound: `dvc repro` goes on from here."


@contextmanager
def _client(url: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        yield client


def create_pools(url: str) -> None:
    """Create the process work pools that do not exist yet; others of the name are left as they are."""
    template = ProcessWorker.get_default_base_job_template()
    with _client(url) as client:
        for name in POOLS:
            with suppress(ObjectAlreadyExists):
                client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))


def create_automations(url: str) -> None:
    """Create the automations that do not exist yet."""
    with _client(url) as client:
        automations.create(client)


@contextmanager
def schedules_kept(url: str) -> Iterator[None]:
    """Deploying replaces a deployment's schedules: what was switched on or added in the pages stays so."""
    with _client(url) as client:
        before = {deployment.id: deployment.schedules for deployment in client.read_deployments()}
        yield
        for deployment in client.read_deployments():
            deployed = {schedule.slug: schedule for schedule in deployment.schedules if schedule.slug}
            for old in before.get(deployment.id, []):
                if old.slug not in deployed:
                    again = DeploymentScheduleCreate(
                        schedule=old.schedule, active=old.active, parameters=old.parameters, slug=old.slug
                    )
                    client.create_deployment_schedules(deployment.id, [again])
                elif old.active:
                    client.update_deployment_schedule(deployment.id, deployed[old.slug].id, active=True)


def mark_crashed(url: str, project: Path) -> str:
    """End the run, and its tasks, whose process went without letting go of the workspace; gives its name.

    Raises:
        httpx.HTTPError, RuntimeError: the server did not answer; the next call tries again.
    """
    found = workspace.abandoned(project)
    if "flow_run" not in found:
        workspace.forget(project, found)
        return ""
    run = UUID(found["flow_run"])
    with _client(url) as client, suppress(ObjectNotFound):
        state = client.read_flow_run(run).state
        ending = Cancelled if state and state.is_cancelling() else Crashed
        if state is None or not state.is_final():
            client.set_flow_run_state(run, ending(message=KILLED), force=True)
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
        for task in client.read_task_runs(flow_run_filter=of_run):
            if task.state is None or not task.state.is_final():
                client.set_task_run_state(task.id, ending(message=KILLED), force=True)
    workspace.forget(project, found)
    return str(found["name"])
