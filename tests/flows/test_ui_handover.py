"""Data stages in one workspace, training in another: two workers, two clones, a DVC remote in a folder."""

from __future__ import annotations

import subprocess

import ui_workspace


@ui_workspace.ON_REQUEST
def test_one_workspace_annotates_and_the_other_trains(tmp_path, prefect_server):
    here = ui_workspace.make(tmp_path / "here")
    ui_workspace.dvc(here, "remote", "add", "--default", "shared", str(tmp_path / "remote"))
    subprocess.run(["git", "-C", here, "add", ".dvc/config"], check=True)
    name = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run(["git", "-C", here, *name, "commit", "-q", "-m", "remote"], check=True)
    there = tmp_path / "there"
    subprocess.run(["git", "clone", "-q", here, there], check=True)

    with (
        ui_workspace.served(here, prefect_server, "default-pool"),
        ui_workspace.served(there, prefect_server, "gpu"),
    ):
        api = ui_workspace.Api(prefect_server)
        run = api.start("annotate", seed=5, samples=20, annotation_source="owlv2", hand_over="train")
        assert api.ended(run)["type"] == "COMPLETED", api.log(run)
        assert api.tasks(run) == [
            ("ingest", "Completed"),
            ("ground", "Completed"),
            ("patch_words", "Completed"),
            ("push", "Completed"),
        ]
        handed = api.latest("train")
        assert api.ended(handed)["type"] == "COMPLETED", api.log(handed)
        # What the first has built is taken from the remote, with the settings that it was built with.
        assert api.tasks(handed) == [
            ("ingest", "Cached"),
            ("ground", "Cached"),
            ("patch_words", "Cached"),
            ("finetune", "Completed"),
            ("push", "Completed"),
        ]
    assert not (here / "data" / "model").exists()
    assert "is cached" in ui_workspace.dvc(here, "repro", "--pull", "finetune")
    assert (here / "data" / "model").read_text() == f"made in {there}"
