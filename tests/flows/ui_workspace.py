"""A small workspace whose stages take a second, `make serve` in it, and the server's REST API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
PATIENCE = 240  # seconds; far more than a quiet machine needs
ON_REQUEST = pytest.mark.skipif(
    os.environ.get("PATCHWORDS_UI_TESTS") != "1",
    reason="not yet seen to pass on every kind of machine: PATCHWORDS_UI_TESTS=1 runs it",
)

# The names of real stages, because the form offers these; what they do is soon done, or never.
DVC_YAML = """
stages:
  ingest:
    cmd: python -m flows.ingest
    deps: [flows/ingest.py]
    params: [seed, source.name, source.shard_size, source.scenes]
    outs: [data/images, data/captions, data/objects, data/conversations, data/rejects/ingest]
    metrics: [data/summaries/ingest.json]
  ground:
    cmd: >-
      python -c "import yaml; from pathlib import Path;
      print('grounding with', s := yaml.safe_load(open('params.yaml'))['ground']['source']);
      Path('data/regions').mkdir(); Path('data/regions/source').write_text(s)"
    deps: [data/images]
    params: [ground.source]
    outs: [data/regions]
  patch_words:
    cmd: python -c "import shutil; shutil.copytree('data/regions', 'data/patch_words')"
    deps: [data/regions]
    outs: [data/patch_words]
  finetune:
    cmd: python -c "from pathlib import Path; Path('data/model').write_text('made in ' + str(Path.cwd()))"
    deps: [data/patch_words]
    outs: [data/model]
  encoder:
    cmd: python -c "import time; print('going on and on', flush=True); time.sleep(600)"
    outs: [data/never]
"""


def make(folder: Path) -> Path:
    """A clone of the project with stages that are soon done."""
    for name in ("flows", "pipeline", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".dvc/config", ".dvcignore", ".gitignore", "prefect.yaml", "data/.gitignore"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.yaml").write_text(DVC_YAML)
    shutil.copy(ROOT / "profiles" / "embedded.yaml", folder / "params.yaml")
    profile = [sys.executable, "-m", "pipeline.cli", "profile", "smoke"]
    subprocess.run(profile, cwd=folder, check=True, capture_output=True)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], cwd=folder, check=True, capture_output=True)
    return folder


def dvc(folder: Path, *arguments: str) -> str:
    """What a DVC command in a shell prints."""
    variables = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, env=variables, capture_output=True, text=True
    )
    return done.stdout + done.stderr


@contextmanager
def served(folder: Path, url: str, *pools: str) -> Iterator[subprocess.Popen[bytes]]:
    """`make serve` in the workspace, beside a server that runs already."""
    log = folder / ".prefect" / "serve.log"
    log.parent.mkdir(exist_ok=True)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.serve", *pools],
            cwd=folder,
            env=variables | {"PREFECT_API_URL": url},
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: "Prefect's pages" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def until(ready: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Wait until it is ready; gives the seconds that it took."""
    began = time.monotonic()
    while not ready():
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(0.2)
    return time.monotonic() - began


class Api:
    """The server's REST API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer's JSON; POST if there is a body. Asked again while the server is too busy (503)."""
        began = time.monotonic()
        while True:
            try:
                return self._call(path, body)
            except urllib.error.HTTPError as error:
                if error.code != 503 or time.monotonic() - began > PATIENCE:
                    raise
                time.sleep(0.5)

    def _call(self, path: str, body: dict[str, Any] | None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
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

    def tasks(self, run: str) -> list[tuple[str, str]]:
        """The run's tasks in their order, each with the name of its state."""
        body = {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return [(task["name"], task["state"]["name"]) for task in self.call("/task_runs/filter", body)]

    def artifacts(self, run: str) -> dict[str, Any]:
        """The data of the run's artifacts, by key."""
        body = {"flow_runs": {"id": {"any_": [run]}}}
        return {found["key"]: found["data"] for found in self.call("/artifacts/filter", body) if found["key"]}

    def log(self, run: str) -> str:
        """What the run has logged."""
        body = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return "\n".join(line["message"] for line in self.call("/logs/filter", body))

    def cancel(self, run: str) -> None:
        """As the button in the UI does."""
        self.call(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
