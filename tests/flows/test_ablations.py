"""What `make ablations` runs: one setting changed at a time, none that is so already, in DVC's grammar."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from flows import ablation_results, ablations, settings
from pipeline import params
from pipeline.errors import UserError
from pipeline.report import ablations as shown

TEXT = (Path(__file__).parents[2] / "params.yaml").read_text()
PARAMS = params.load(Path(__file__).parents[2] / "params.yaml")


def test_each_changes_one_setting_and_none_to_what_it_is():
    found = ablations.of(PARAMS, "patch_aligned")
    assert all(len(changes) == 1 for changes in found.values())
    raw = PARAMS.model_dump(mode="json")
    for name, changes in found.items():
        ((key, value),) = changes.items()
        *path, last = key.split(".")
        inner = raw
        for step in path:
            inner = inner[step]
        assert inner[last] != value, name
    kinds = {name.removeprefix("patch-aligned-").split("-")[0] for name in found}
    assert kinds == {"beta", "loss", "target", "boxes", "source", "samples"}


def test_every_one_of_them_is_a_setting_that_params_allow_and_dvc_reads():
    for changes in ablations.of(PARAMS, "patch_aligned").values():
        text = settings.with_changes(TEXT, changes)
        (override,) = OverridesParser.create().parse_overrides(text)
        ((key, value),) = changes.items()
        assert override.key_or_group == key and override.value() == value
        assert not override.is_add()


def test_a_setting_that_params_leave_to_its_default_is_added():
    text = TEXT.replace(
        "patch_aligned: {loss: cosine, beta: 2.0, words: phrase}", "patch_aligned: {loss: cosine}"
    )
    (added,) = settings.with_changes(text, {"train.arms.patch_aligned.beta": 0.5})
    assert added == "+train.arms.patch_aligned.beta=0.5"


def test_an_arm_without_a_loss_and_one_that_is_not_there_are_refused():
    with pytest.raises(UserError, match="no patch loss that could be varied"):
        ablations.of(PARAMS, "caption")
    with pytest.raises(UserError, match="has no arm 'captions'"):
        ablations.of(PARAMS, "captions")


def test_an_arm_without_another_to_be_compared_with_is_refused_before_anything_runs():
    alone = settings.tree(TEXT)
    del alone["train"]["arms"]["caption"]
    alone["report"]["baseline"] = "patch_aligned"
    with pytest.raises(UserError, match=r"train\.arms has no other arm"):
        ablations.of(params.parse(alone), "patch_aligned")


NAME = "patch-aligned-beta-8"
KEY = "train.arms.patch_aligned.beta"


@pytest.fixture
def workspace(tmp_path):
    """A repository with results, and one experiment of its commit: beta at 8."""

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *who, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "params.yaml").write_text(TEXT)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/metrics.json").write_text(json.dumps(measured(0.5)))
    git("add", "-A")
    git("commit", "-q", "-m", "as set")
    head = git("rev-parse", "HEAD")
    changed = settings.tree(TEXT)
    changed["train"]["arms"]["patch_aligned"]["beta"] = 8.0
    changed["compute"]["workers"] = 7  # changes no result
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed))
    (tmp_path / "data/metrics.json").write_text(json.dumps(measured(0.75)))
    git("commit", "-q", "-a", "-m", "experiment")
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{NAME}", "HEAD")
    git("update-ref", f"refs/exps/00/{'0' * 38}/of-another-commit", "HEAD")
    git("reset", "-q", "--hard", head)
    return tmp_path


def measured(value: float) -> dict:
    def one(value: float) -> dict:
        return {"question.accuracy": {"value": value, "low": value - 0.25, "high": value + 0.25, "n": 8}}

    return {
        "arms": {"caption": one(0.25), "patch_aligned": one(value)},
        "differences": {"patch_aligned": one(value)},
    }


def test_experiments_of_this_commit_alone_and_of_the_same_settings_are_there(workspace):
    there = ablation_results.kept(workspace)
    assert list(there) == [NAME]
    assert ablation_results.same(there[NAME], TEXT, {KEY: 8.0}, workspace)
    assert not ablation_results.same(there[NAME], TEXT, {KEY: 4.0}, workspace)
    other = TEXT.replace("train: 10000", "train: 20000")
    assert not ablation_results.same(there[NAME], other, {KEY: 8.0}, workspace)


def test_what_is_there_already_is_not_run_again_and_what_was_run_with_other_settings_is(
    monkeypatch, workspace
):
    ran, told = [], []
    monkeypatch.setattr(ablations, "PROJECT", workspace)
    monkeypatch.setattr(ablations, "one", lambda name, changes, replace: ran.append((name, changes, replace)))
    monkeypatch.setattr(ablations, "build", lambda *command: None)
    console = type("Tell", (), {"print": lambda self, line: told.append(line)})()
    ablations.run({NAME: {KEY: 8.0}, "second": {"seed": 2}}, console)
    assert ran == [("second", ["seed=2"], False)]
    assert told[0] == f"1 of 2: {NAME} is there already"
    (workspace / "params.yaml").write_text(TEXT.replace("train: 10000", "train: 20000"))
    ablations.run({NAME: {KEY: 8.0}}, console)
    assert ran[1:] == [(NAME, [f"{KEY}=8.0"], True)]


def test_what_is_gathered_is_the_varied_run_and_the_experiments_that_are_there(workspace):
    asked = {NAME: {KEY: 8.0}, "patch-aligned-beta-4": {KEY: 4.0}}
    found = ablation_results.gather("patch_aligned", "caption", asked, TEXT, workspace)
    section = shown.of(found)
    assert [(group, [run.title for run in runs]) for group, runs in section.groups] == [
        ("Nothing changed", ["as in profile embedded"]),
        ("Weight of the patch loss (\u03b2)", ["8 instead of 2"]),
    ]
    rows = [run.rows["question.accuracy"] for _, runs in section.groups for run in runs]
    assert [row.arms["patch_aligned"].value for row in rows] == [0.5, 0.75]
    assert [row.differences["patch_aligned"].estimate.low for row in rows] == [0.25, 0.5]
    assert [metric.key for metric in section.metrics] == ["question.accuracy"]


def test_results_without_the_varied_arm_are_refused(workspace):
    (workspace / "data/metrics.json").write_text(json.dumps({"arms": {"caption": {}}}))
    with pytest.raises(UserError, match="no results of patch_aligned"):
        ablation_results.gather("patch_aligned", "caption", {}, TEXT, workspace)


def test_an_ablation_that_is_not_there_is_refused_by_name():
    found = ablations.of(PARAMS, "patch_aligned")
    assert list(ablations.choose(found, "patch_aligned", "beta-8,patch-aligned-boxes")) == [
        NAME, "patch-aligned-boxes",
    ]  # fmt: skip
    assert ablations.choose(found, "patch_aligned", "") == found
    with pytest.raises(UserError, match="there is no patch-aligned-beta-9"):
        ablations.choose(found, "patch_aligned", "beta-9")


def test_dvc_is_waited_for_after_ctrl_c(monkeypatch, tmp_path):
    # Tidies up for four times as long as Python would let it, and then says that it has.
    dvc = "import os, signal, time; from pathlib import Path; os.kill(os.getppid(), signal.SIGINT)"
    dvc += "; time.sleep(1); Path('tidied').touch()"
    monkeypatch.setattr(ablations.processes, "DVC", (sys.executable, "-c", dvc))
    monkeypatch.setattr(ablations, "PROJECT", tmp_path)
    # What is started in a shell's background ignores ctrl-C, and tests before this may have changed it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            ablations.build("exp", "run")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "tidied").exists()
