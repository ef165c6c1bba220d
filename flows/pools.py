"""Work pools, automations, and runs whose process has gone without saying so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed
from prefect.workers.process import ProcessWorker

from flows import automations, workspace

POOLS = ("default-pool", "gpu")


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


def mark_crashed(url: str, project: Path) -> str:
    """Mark the run crashed whose process ended without letting go of the workspace; gives its name."""
    found = workspace.abandoned(project)
    if "flow_run" not in found:
        return ""
    run = UUID(found["flow_run"])
    with _client(url) as client, suppress(ObjectNotFound):
        state = client.read_flow_run(run).state
        if state is None or not state.is_final():
            message = "Its process was killed. The workspace is sound: `dvc repro` goes on from here."
            client.set_flow_run_state(run, Crashed(message=message), force=True)
    return str(found["name"])
