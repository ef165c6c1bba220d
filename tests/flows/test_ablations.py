"""What `make ablations` runs: one setting changed at a time, none that is so already, in DVC's grammar."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from flows import ablations
from pipeline import params
from pipeline.errors import UserError

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
        text = ablations.overrides(changes, TEXT)
        (override,) = OverridesParser.create().parse_overrides(text)
        ((key, value),) = changes.items()
        assert override.key_or_group == key and override.value() == value
        assert not override.is_add()


def test_a_setting_that_params_leave_to_its_default_is_added():
    text = TEXT.replace(
        "patch_aligned: {loss: cosine, beta: 2.0, words: phrase}", "patch_aligned: {loss: cosine}"
    )
    (added,) = ablations.overrides({"train.arms.patch_aligned.beta": 0.5}, text)
    assert added == "+train.arms.patch_aligned.beta=0.5"


def test_an_arm_without_a_loss_and_one_that_is_not_there_are_refused():
    with pytest.raises(UserError, match="no patch loss that could be varied"):
        ablations.of(PARAMS, "caption")
    with pytest.raises(UserError, match="has no arm 'captions'"):
        ablations.of(PARAMS, "captions")


def test_what_is_there_already_is_not_run_again(monkeypatch, tmp_path):
    (tmp_path / "params.yaml").write_text(TEXT)
    ran, told = [], []
    monkeypatch.setattr(ablations, "PROJECT", tmp_path)
    monkeypatch.setattr(ablations, "done", lambda: {"first"})
    monkeypatch.setattr(ablations, "one", lambda name, changes: ran.append((name, changes)))
    monkeypatch.setattr(ablations.subprocess, "run", lambda *_, **__: None)
    console = type("Tell", (), {"print": lambda self, line: told.append(line)})()
    ablations.run({"first": {"seed": 1}, "second": {"seed": 2}}, console)
    assert ran == [("second", ["seed=2"])]
    assert told[0] == "1 of 2: first is there already"
