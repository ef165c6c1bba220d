"""Profiles: one command switches, one puts back; an overlay changes what it names and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline import params, profiles
from pipeline.errors import UserError

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "profiles"
OVERLAYS = profiles.names(FOLDER)[1:]


def leaves(tree, path=""):
    if isinstance(tree, dict) and tree:
        return {k: v for key, inner in tree.items() for k, v in leaves(inner, f"{path}{key}.").items()}
    return {path.rstrip("."): tree}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    shutil.copy(FOLDER / "embedded.yaml", tmp_path / "params.yaml")
    return tmp_path / "params.yaml"


def test_the_profiles_of_the_design_are_there():
    assert {"embedded", "smoke", "study", "smollm", "paper"} <= set(profiles.names(FOLDER))


@pytest.mark.parametrize("name", profiles.names(FOLDER))
def test_every_profile_is_valid_and_labelled(name):
    assert params.parse(yaml.safe_load(profiles.text(name, FOLDER))).profile == name


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_changes_what_it_names_and_nothing_else(name):
    base = leaves(yaml.safe_load(profiles.text("embedded", FOLDER)))
    overlay = leaves(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))
    assert leaves(yaml.safe_load(profiles.text(name, FOLDER))) == {**base, **overlay, "profile": name}


@pytest.mark.parametrize("name", OVERLAYS)
def test_there_and_back_leaves_the_same_bytes(name, file):
    before = file.read_bytes()
    profiles.switch(name, file, FOLDER)
    assert params.load(file).profile == name
    profiles.switch("embedded", file, FOLDER)
    assert file.read_bytes() == before


def test_comments_stay(file):
    profiles.switch("smoke", file, FOLDER)
    text = file.read_text()
    assert "# shard" not in text  # comments of the overlay's own lines are not taken over
    assert "  name: scenes            # scenes | coco" in text
    assert "This is the embedded profile" not in text
    assert "The whole pipeline in about a minute" in text


def test_settings_of_the_users_own_are_not_lost_unasked(file):
    file.write_text(file.read_text().replace("source: dataset ", "source: open_clip "))
    with pytest.raises(UserError, match=r"(?s)ground\.source: 'open_clip', not 'dataset'.*--force"):
        profiles.switch("smoke", file, FOLDER)
    assert params.load(file).ground.source == "open_clip"
    profiles.switch("smoke", file, FOLDER, force=True)
    assert params.load(file).profile == "smoke"


@pytest.mark.parametrize("spoilt", [b"train: [1, 2\n", b"\xff\xfe"])
def test_what_is_no_yaml_is_replaced_only_by_force(file, spoilt):
    file.write_bytes(spoilt)
    with pytest.raises(UserError, match=r"(?s)params\.yaml is not valid YAML.*add --force"):
        profiles.switch("smoke", file, FOLDER)
    assert file.read_bytes() == spoilt
    profiles.switch("smoke", file, FOLDER, force=True)
    assert params.load(file).profile == "smoke"


def test_an_unknown_profile_is_told_with_those_that_there_are(file):
    with pytest.raises(UserError, match="no profile 'smol'; there are embedded, "):
        profiles.switch("smol", file, FOLDER)


def test_an_overlay_with_a_wrong_value_is_told_by_its_file(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "profiles")
    (tmp_path / "profiles" / "mine.yaml").write_text("train:\n  pretrain:\n    stepz: 3\n")
    with pytest.raises(UserError, match=r"(?s)profiles/mine\.yaml.*train\.pretrain\.stepz: there is no such"):
        profiles.text("mine", tmp_path / "profiles")


def test_params_as_committed_are_the_embedded_profile():
    def committed(path: str) -> bytes:
        command = ["git", "show", f"HEAD:{path}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        if done.returncode:
            pytest.skip("not in a git checkout, or not committed yet")
        return done.stdout

    assert committed("params.yaml") == committed("profiles/embedded.yaml"), (
        "change profiles/embedded.yaml and run `patchwords profile embedded --force`, so that both are one"
    )
