"""The server's REST API, as somebody who scripts it uses it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from ui_workspace import PATIENCE, until

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Api:
    """The server's REST API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """The answer's JSON; POST if there is a body. Asked again while the server is too busy (503)."""
        began = time.monotonic()
        while True:
            try:
                return self._call(path, body, method)
            except urllib.error.HTTPError as error:
                if error.code != 503 or time.monotonic() - began > PATIENCE:
                    raise
                time.sleep(0.5)

    def _call(self, path: str, body: Any, method: str | None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"content-type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"null")

    def deployment(self, name: str) -> str:
        """The id of the deployment."""
        return str(self.call(f"/deployments/name/{name}/{name}")["id"])

    def start(self, name: str, **parameters: Any) -> str:
        """Start a run and give its id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return str(self.call(f"/deployments/{self.deployment(name)}/create_flow_run", body)["id"])

    def refused(self, name: str, **parameters: Any) -> str:
        """What the server says to values that it refuses."""
        try:
            self.start(name, **parameters)
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read().decode()}"
        return "taken"

    def state(self, run: str) -> dict[str, Any]:
        """The run's state."""
        return dict(self.call(f"/flow_runs/{run}")["state"])

    def ended(self, run: str) -> dict[str, Any]:
        """The state that the run ends in."""
        until(lambda: self.state(run)["type"] in ENDED)
        return self.state(run)

    def latest(self, name: str) -> str:
        """The id of the flow's latest run."""
        body = {"flows": {"name": {"any_": [name]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
        return str(self.call("/flow_runs/filter", body)[0]["id"])

    def wait_for_log(self, run: str, text: str) -> None:
        """Wait until the run has logged the text."""

        def logged() -> bool:
            assert self.state(run)["type"] not in ENDED, self.log(run)
            return text in self.log(run)

        until(logged)

    def tasks(self, run: str) -> list[tuple[str, str]]:
        """The run's tasks in their order, each with the name of its state."""
        body = {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return [(task["name"], task["state_name"]) for task in self.call("/task_runs/filter", body)]

    def messages(self, run: str) -> list[str]:
        """What the states of the run's tasks say."""
        body = {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return [str(task["state"]["message"]) for task in self.call("/task_runs/filter", body)]

    def artifacts(self, run: str) -> dict[str, Any]:
        """The data of the run's artifacts, by key."""
        body = {"flow_runs": {"id": {"any_": [run]}}}
        return {found["key"]: found["data"] for found in self.call("/artifacts/filter", body) if found["key"]}

    def artifact(self, run: str, key: str) -> str:
        """The id of the run's artifact."""
        body = {"flow_runs": {"id": {"any_": [run]}}, "artifacts": {"key": {"any_": [key]}}}
        return str(self.call("/artifacts/filter", body)[0]["id"])

    def log(self, run: str) -> str:
        """What the run has logged."""
        body = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return "\n".join(line["message"] for line in self.call("/logs/filter", body))

    def path(self, name: str) -> str:
        """Where the deployment is."""
        return f"/deployments/{self.deployment(name)}"

    def schedules(self, name: str) -> list[dict[str, Any]]:
        """The schedules of a deployment."""
        return list(self.call(self.path(name))["schedules"])

    def scheduled(self, name: str) -> list[dict[str, Any]]:
        """The runs that the server has planned by the schedule of a deployment."""
        runs = {"state": {"type": {"any_": ["SCHEDULED"]}}}
        body = {"deployments": {"name": {"any_": [name]}}, "flow_runs": runs}
        return [run for run in self.call("/flow_runs/filter", body) if run["auto_scheduled"]]

    def enable(self, automation: str) -> None:
        """Switch an automation on."""
        body = {"automations": {"name": {"any_": [automation]}}}
        [found] = self.call("/automations/filter", body)
        self.call(f"/automations/{found['id']}", {"enabled": True}, "PATCH")
