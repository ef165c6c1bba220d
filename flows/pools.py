"""Work pools, and runs whose process has gone without saying so."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from flows import workspace

POOLS = ("default-pool", "gpu")


def create_pools(url: str, names: tuple[str, ...]) -> None:
    """Create the process work pools that do not exist yet; others of the name are left as they are."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        for name in names:
            try:
                client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
            except ObjectAlreadyExists:
                continue


def mark_crashed(url: str, project: Path) -> str:
    """Mark the run crashed whose process ended without letting go of the workspace; gives its name."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Crashed

    found = workspace.abandoned(project)
    if "flow_run" not in found:
        return ""
    run = UUID(found["flow_run"])
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(run).state
        except ObjectNotFound:
            return ""
        if state is None or not state.is_final():
            message = "Its process was killed. The workspace is sound: `dvc repro` goes on from here."
            client.set_flow_run_state(run, Crashed(message=message), force=True)
    return str(found["name"])
