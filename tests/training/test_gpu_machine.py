"""A GPU machine carries no data stack: training, models and evaluation import without it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA_STACK = ("spacy", "prefect", "dvc", "open_clip", "groundingdino")


def imported(*absent: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(Path(__file__).with_name("gpu_machine.py")), *absent]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)


def test_training_models_and_evaluation_import_without_the_data_stack():
    done = imported(*DATA_STACK)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"torch", "transformers", "pyarrow"} <= set(done.stdout.split())


def test_what_a_gpu_machine_installs_has_no_data_stack():
    named = set(re.findall(r"^([a-z0-9_.-]+)==", (ROOT / "requirements-train.lock").read_text(), re.M))
    assert {"torch", "transformers", "pyarrow", "accelerate", "dvc"} <= named
    assert not named & {"spacy", "prefect", "open-clip-torch", "groundingdino-py", "polars", "ray"}


def test_what_a_gpu_machine_installs_is_what_the_data_machine_has():
    def pins(name: str) -> dict[str, str]:
        lines = re.findall(r"^([a-z0-9_.-]+)==([^ \n]+)", (ROOT / name).read_text(), re.M)
        return dict(lines)

    whole = pins("requirements.lock")
    assert not {name: pin for name, pin in pins("requirements-train.lock").items() if whole.get(name) != pin}
