"""What is made of a study's runs: means over seeds, differences paired by seed, arms with fewer seeds."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pipeline.evaluation import study, study_results
from pipeline.tables.metrics import Estimate, write_estimates
from pipeline.training.run import Run

KEY = "question.accuracy"
VALUES = {
    "caption": {17: 0.5, 18: 0.6, 19: 0.7},
    "aligned": {17: 0.6, 18: 0.8, 19: 0.9},
    "kept": {17: 0.4, 19: 0.65},
    "tokens": {18: 0.7},
    "half": {19: 0.8, 20: 0.9},
}


def write_run(folder: Path, arm: str, value: float) -> Path:
    for name in ("metrics.json", "pretrained.json", "no_image.json"):
        write_estimates(folder / arm / name, {KEY: Estimate(value, 0.0, 1.0, 100)})
    (folder / "curves").mkdir()
    (folder / f"curves/tasks-{arm}.json").write_text(json.dumps({"10": {KEY: value / 2}, "20": {KEY: value}}))
    return folder


@pytest.fixture
def found(tmp_path):
    folders = {
        arm: {seed: write_run(tmp_path / f"{arm}-{seed}", arm, value) for seed, value in of_arm.items()}
        for arm, of_arm in VALUES.items()
    }
    return json.loads(json.dumps(study_results.gather(folders, {"floor": {}}), allow_nan=False))


def test_an_arm_s_mean_is_over_its_own_seeds(found):
    assert found["seeds_done"] == {arm: sorted(of_arm) for arm, of_arm in VALUES.items()}
    for arm, of_arm in VALUES.items():
        mean = found["arms"][arm][KEY]
        assert (mean["value"], mean["n"]) == (pytest.approx(np.mean(list(of_arm.values()))), len(of_arm))
    assert found["by_seed"]["kept"][KEY] == {"17": 0.4, "19": 0.65}


def test_a_difference_is_over_the_seeds_of_both_with_the_paired_t_test_s_p(found):
    apart = found["differences"]["aligned"][KEY]
    mine, its = (list(VALUES[arm].values()) for arm in ("aligned", "caption"))
    assert apart["value"] == pytest.approx(0.5 / 3, abs=1e-6)
    assert apart["p"] == pytest.approx(stats.ttest_rel(mine, its).pvalue, rel=1e-3)
    kept = found["differences"]["kept"][KEY]  # seeds 17 and 19: -0.1 and -0.05
    assert (kept["value"], kept["n"]) == (pytest.approx(-0.075), 2)
    half = found["differences"]["half"][KEY]  # the baseline has no seed 20
    assert (half["value"], half["n"]) == (pytest.approx(0.1), 1)


def test_one_seed_gives_a_number_without_an_interval(found):
    for value in (found["arms"]["tokens"][KEY], found["differences"]["tokens"][KEY]):
        assert (value["low"], value["high"], value["n"]) == (None, None, 1)
    assert found["differences"]["tokens"][KEY]["value"] == pytest.approx(0.1)
    assert found["differences"]["tokens"][KEY]["p"] is None
    assert found["curves"][KEY]["tokens"] == {
        "step": [10, 20], "value": [0.35, 0.7], "low": [None, None], "high": [None, None],
    }  # fmt: skip


def test_a_stopped_study_is_written_of_what_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "COMPARISON", tmp_path / "comparisons/study.json")
    runs = [Run(arm, seed, tmp_path / f"{arm}-{seed}") for seed in (17, 18) for arm in ("caption", "kept")]
    study.publish_results(runs, {"seeds": 2}, {})
    assert not study.COMPARISON.exists()  # the baseline has no seed
    write_run(runs[0].root, "caption", 0.5)
    study.publish_results(runs, {"seeds": 2}, {})
    assert json.loads(study.COMPARISON.read_text())["seeds_done"] == {"caption": [17]}
    for run in runs[1:3]:
        write_run(run.root, run.arm, 0.6)
    study.publish_results(runs, {"seeds": 2}, {})
    found = json.loads(study.COMPARISON.read_text())
    assert found["seeds_done"] == {"caption": [17, 18], "kept": [17]}
    assert found["seeds"] == 2
