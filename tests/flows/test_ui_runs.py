"""Runs started over REST: killed, as experiments, handed over; in a workspace whose stages are soon done."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import psutil
import pytest
import ui_workspace

from flows import pools


@pytest.mark.parametrize(
    "wrong", [{"annotation_source": "nobody"}, {"samples": 0}, {"stages": ["nothing"]}, {"seed": "seven"}]
)
def test_a_bad_value_is_refused_before_a_run_starts(api, wrong):
    assert re.match("409 .*Validation failed|422", api.refused("rebuild", **wrong))


def test_the_nightly_rebuild_is_off_and_planned_once_it_is_switched_on(api):
    assert not api.scheduled("rebuild")
    [nightly] = api.schedules("rebuild")
    api.call(f"{api.path('rebuild')}/schedules/{nightly['id']}", {"active": True}, "PATCH")
    # Plans are made by a service of the server, which says nothing here should it fail.
    ui_workspace.until(lambda: api.scheduled("rebuild"))
    assert {run["expected_start_time"][11:16] for run in api.scheduled("rebuild")} == {"03:00"}

    added = {"schedule": {"interval": 864000}, "active": False, "parameters": {"seed": 3}}
    api.call(f"{api.path('rebuild')}/schedules", [added])
    with pools.schedules_kept(api.url):  # as when `make serve` starts again, and deploys again
        deployed = {"schedule": nightly["schedule"], "active": False, "slug": nightly["slug"]}
        api.call(api.path("rebuild"), {"schedules": [deployed]}, "PATCH")
        assert len(api.schedules("rebuild")) == 1
    kept = {schedule["slug"]: schedule for schedule in api.schedules("rebuild")}
    assert kept["nightly"]["active"] and not kept[None]["active"]
    assert kept[None]["parameters"] == {"seed": 3}

    api.call(api.path("rebuild"), {"schedules": [deployed]}, "PATCH")
    ui_workspace.until(lambda: not api.scheduled("rebuild"))


def worker_of(workspace, pool: str) -> psutil.Process:
    """The process of the workspace's worker for the pool."""
    start = ["-m", "prefect", "worker", "start", "--pool", pool]
    [worker] = [
        process
        for process in psutil.process_iter(["cwd", "cmdline"])
        if process.info["cwd"] == str(workspace) and (process.info["cmdline"] or [])[1:7] == start
    ]
    return worker


def test_a_killed_worker_leaves_a_crashed_run_a_sound_workspace_and_is_told(api, workspace, tmp_path):
    told = tmp_path / "told"
    api.call("/variables/", {"name": "tell_command", "value": f"cat > {told}"})
    api.enable("tell on failure")
    run = api.start("rebuild", stages=["encoder"])
    api.wait_for_log(run, "going on and on")
    os.kill(worker_of(workspace, "default-pool").pid, signal.SIGKILL)
    ui_workspace.until(lambda: not ui_workspace.of_run(run))
    state = api.ended(run)
    assert state["type"] == "CRASHED" and "`dvc repro` goes on from here" in state["message"]
    assert [name for _, name in api.tasks(run)] == ["Crashed"]
    ended = ui_workspace.dvc(workspace, "repro", "ground")
    assert "didn't change" in ended or "Running stage 'ground'" in ended
    assert "up to date" in ui_workspace.dvc(workspace, "status", "ground")
    # A new worker was started meanwhile, and has run the command that tells.
    ui_workspace.until(lambda: told.exists() and told.read_text())
    name = api.call(f"/flow_runs/{run}")["name"]
    assert told.read_text().startswith(f"Run {name} of rebuild: Crashed, ")


def test_an_experiment_is_listed_and_the_workspace_is_as_it_was(api, workspace):
    ui_workspace.dvc(workspace, "repro", "ground")
    before = (workspace / "params.yaml").read_text()
    where = {"where": "as an experiment", "experiment": "by-owls"}
    run = api.start("rebuild", stages=["ground"], annotation_source="owlv2", **where)
    assert api.ended(run)["type"] == "COMPLETED", api.log(run)
    assert "grounding with owlv2" in api.log(run)
    listed = ui_workspace.dvc(workspace, "exp", "show", "--csv", "--only-changed")
    [header, *rows] = [line for line in listed.splitlines() if "," in line]
    [row] = [row for row in rows if "by-owls" in row]
    assert "ground.source" in header and "owlv2" in row
    assert (workspace / "params.yaml").read_text() == before
    assert "up to date" in ui_workspace.dvc(workspace, "status", "ingest", "ground")


def test_one_workspace_annotates_and_another_trains(api, workspace, tmp_path):
    there = tmp_path / "there"
    subprocess.run(["git", "clone", "-q", workspace, there], check=True)
    with ui_workspace.served(there, api.url, "gpu"):
        run = api.start("annotate", seed=5, samples=20, annotation_source="owlv2", hand_over="train")
        assert api.ended(run)["type"] == "COMPLETED", api.log(run)
        built = ["ingest", "ground", "patch_words", "push"]
        assert [name for name, _ in api.tasks(run)][:4] == built
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
    assert not (workspace / "data" / "model").exists()
    assert "is cached" in ui_workspace.dvc(workspace, "repro", "--pull", "finetune")
    assert (workspace / "data" / "model").read_text() == f"made in {there}"
