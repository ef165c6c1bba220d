"""`make check-profile`: what is missing is told, and every stage is rehearsed all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from pipeline import params, profiles
from pipeline.preflight import samples
from pipeline.sources import open_source

ROOT = Path(__file__).parents[2]


def test_a_profile_whose_weights_and_data_are_not_here_is_not_ready_but_its_stages_run(tmp_path):
    # With a cache of its own, so that weights which someone has here change nothing.
    environment = {"HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "PATH": "", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "flows.check_profile", "paper"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr[-2000:]
    lines = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.count("│") == 4}
    for what in ("source: llava", "encoder.pretrained.path", "language_model.pretrained.path"):
        assert "missing" in lines[what]
    assert " ok " in lines["rehearsal"], done.stdout
    assert "Not ready" in done.stdout


def test_samples_in_llava_s_files_fill_every_split_and_reject_nothing(tmp_path):
    text = profiles.overlaid(
        profiles.text("paper", ROOT / "profiles"),
        {"source": {"path": str(tmp_path), "shard_size": 50, "llava": samples.SHARES}},
    )
    settings = params.parse(yaml.safe_load(text))
    samples.llava(settings.source, settings.seed, tmp_path)
    tables = open_source(settings.source, settings.seed).read(0)
    splits = tables["images"]["split"].to_pylist()
    assert {split: splits.count(split) for split in set(splits)} == samples.COUNTS
    assert tables["rejects"].num_rows == 0
    talks = tables["conversations"].to_pylist()
    assert any(len(row["turns"]) == 4 for row in talks)
    assert any(row["box"] is not None for row in talks)
