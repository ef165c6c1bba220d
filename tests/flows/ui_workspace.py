"""A small workspace whose stages take a second, and `make serve` in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from flows.processes import RUN_VARIABLE

ROOT = Path(__file__).parents[2]
PATIENCE = 480  # seconds; far more than a busy machine needs, and less than the endless stage takes

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
    """A repository with the project's code, stages that are soon done, and a DVC remote in a folder."""
    for name in ("flows", "pipeline", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".dvc/config", ".dvcignore", ".gitignore", "prefect.yaml", "data/.gitignore"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.yaml").write_text(DVC_YAML)
    shutil.copy(ROOT / "profiles" / "embedded.yaml", folder / "params.yaml")
    profile = [sys.executable, "-m", "pipeline.cli", "profile", "smoke"]
    subprocess.run(profile, cwd=folder, check=True, capture_output=True)
    config = folder / ".dvc" / "config"
    remote = "[core]\n    remote = shared\n    ", f"['remote \"shared\"']\n    url = {folder}.remote\n"
    config.write_text(config.read_text().replace("[core]\n    ", remote[0]) + remote[1])
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


def of_run(run: str) -> list[psutil.Process]:
    """The living processes that work for a flow run: its own, and those that it has started."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            variables = process.environ()
            runs = (variables.get("PREFECT__FLOW_RUN_ID"), variables.get(RUN_VARIABLE))
            if run in runs and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


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
