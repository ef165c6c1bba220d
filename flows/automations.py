"""What the server does by itself: runs that have gone silent are marked crashed, failures can be told.

`create` is called by ``make serve``. The first automation is on. The second, ``tell on failure``, is off
until somebody switches it on in the UI: it starts the deployment ``tell``, whose command is the Prefect
variable ``tell_command``.
"""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, Posture
from prefect.variables import Variable

from pipeline.errors import UserError

COMMAND_VARIABLE = "tell_command"
HEARTBEAT_SECONDS = 30  # the shortest that Prefect takes
SILENCE_SECONDS = 3 * HEARTBEAT_SECONDS
ENDINGS = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
MESSAGE = (
    "Run {{ flow_run.name }} of {{ flow.name }}: {{ flow_run.state.name }}, {{ flow_run.state.message }}"
)


def create(client: SyncPrefectClient) -> None:
    """Create the automations that do not exist yet; what was switched on or off stays so."""
    for wanted in (_silent_runs(), _failures(client)):
        if not client.read_automations_by_name(wanted.name):
            client.create_automation(wanted)


def _silent_runs() -> AutomationCore:
    """A run that has sent no heartbeat and has not ended: its process, or the machine, has gone."""
    beat = "prefect.flow-run.heartbeat"
    return AutomationCore(
        name="silent runs are crashed",
        description="A run without a heartbeat for 90 seconds has lost its process.",
        enabled=True,
        trigger=EventTrigger(
            after={beat},
            expect={beat, *ENDINGS},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENCE_SECONDS),
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                state=StateType.CRASHED,
                force=False,
                message="Its process has gone silent. The workspace is sound: `dvc repro` goes on from here.",
            )
        ],
    )


def _failures(client: SyncPrefectClient) -> AutomationCore:
    return AutomationCore(
        name="tell on failure",
        description=f"Runs the command in the variable {COMMAND_VARIABLE}; see docs/prefect.md.",
        enabled=False,
        trigger=EventTrigger(
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            # Runs that were deployed: a stage's own flow is part of one.
            match_related={"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.patchwords"},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=_tell_id(client),
                parameters={"message": MESSAGE},
                job_variables=None,
            )
        ],
    )


def _tell_id(client: SyncPrefectClient) -> UUID:
    return client.read_deployment_by_name("tell/tell").id


@flow(name="tell", persist_result=False)
def tell(message: str = "This is a trial.") -> None:
    """Run the command of the variable ``tell_command`` with the message as its input."""
    command = Variable.get(COMMAND_VARIABLE)
    if not isinstance(command, str):
        raise UserError(
            f"There is no variable {COMMAND_VARIABLE}: set it to the command that tells, such as"
            f" `prefect variable set {COMMAND_VARIABLE} 'mail -s patchwords team@example.org'`."
        )
    done = subprocess.run(
        command, shell=True, input=message, env=os.environ, capture_output=True, text=True, check=False
    )
    get_run_logger().info("%s\n%s%s", command, done.stdout, done.stderr)
    if done.returncode:
        raise UserError(f"`{command}` ended with status {done.returncode}: {done.stderr.strip()}")
