"""One writer at a time in a workspace, and what is left when it is killed."""

import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Completed, Running

from flows import dvc_run, pools, runs, workspace
from pipeline import writer
from pipeline.errors import UserError

ROOT = Path(__file__).parents[2]
WHO = {"name": "first", "pid": 12}


def test_a_second_writer_waits_and_is_told_for_whom(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "LOOK_SECONDS", 0.05)
    told, entered = [], threading.Event()

    def second() -> None:
        with workspace.sole_writer(tmp_path, {"name": "second", "pid": 13}, told.append):
            entered.set()

    with workspace.sole_writer(tmp_path, WHO, told.append):
        other = threading.Thread(target=second)
        other.start()
        assert not entered.wait(0.3)
    assert entered.wait(5)
    other.join()
    assert told == ["Waiting: the workspace is being written to by the run first (process 12)."]


def test_a_dvc_process_in_a_shell_is_waited_for(tmp_path):
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    lock = tmp_path / ".dvc" / "tmp" / "rwlock"
    holder = {"pid": os.getpid(), "cmd": "/usr/bin/dvc repro parse"}
    lock.write_text(json.dumps({"write": {"data/phrases": holder}, "read": {}}))
    assert workspace.busy_dvc(tmp_path) == f"`dvc repro parse` (process {os.getpid()})"
    ended = subprocess.Popen(["true"])
    ended.wait()
    lock.write_text(
        f'{{"write": {{"data/phrases": {{"pid": {ended.pid}, "cmd": "dvc repro"}}}}, "read": {{}}}}'
    )
    assert workspace.busy_dvc(tmp_path) == ""


def test_a_writer_that_was_killed_is_found_and_lets_go(tmp_path):
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from flows import workspace
        with workspace.sole_writer(Path(sys.argv[1]), {"name": "lost", "pid": 1}, print):
            print("held", flush=True)
            time.sleep(60)
        """
    )
    holder = subprocess.Popen([sys.executable, "-c", program, tmp_path], cwd=ROOT, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    assert workspace.abandoned(tmp_path) == {}
    holder.kill()
    holder.wait()
    lost = {"name": "lost", "pid": 1}
    assert workspace.abandoned(tmp_path) == lost
    assert workspace.abandoned(tmp_path) == lost  # as long as nobody has made use of it
    workspace.forget(tmp_path, lost)
    assert workspace.abandoned(tmp_path) == {}
    with workspace.sole_writer(tmp_path, WHO, print):
        pass
    assert workspace.abandoned(tmp_path) == {}


def test_a_note_is_not_forgotten_once_it_is_anothers(tmp_path):
    with workspace.sole_writer(tmp_path, WHO, print):
        workspace.forget(tmp_path, {"name": "lost", "pid": 1})
        workspace.forget(tmp_path, WHO)
        assert writer.holder(tmp_path) == WHO


def test_a_run_that_was_killed_is_marked_once_the_server_answers_again(tmp_path, monkeypatch):
    (tmp_path / writer.LOCK).parent.mkdir()
    (tmp_path / writer.LOCK).write_text(json.dumps(WHO | {"flow_run": str(uuid4())}))

    def down(url: str):
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(pools, "_client", down)
    for _ in range(2):
        with pytest.raises(httpx.ConnectError):
            pools.mark_crashed("http://127.0.0.1:9/api", tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [(Running(), StateType.CRASHED), (State(type=StateType.CANCELLING), StateType.CANCELLED)],
)
def test_a_run_whose_process_was_killed_is_ended_with_its_tasks(tmp_path, prefect_server, before, after):
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(runs.rebuild, state=before)
        tasks = [
            client.create_task_run(dvc_run.follow_stage, run.id, dynamic_key=name, state=state)
            for name, state in (("ingest", Completed()), ("ground", Running()))
        ]
        note = tmp_path / writer.LOCK
        note.parent.mkdir()
        note.write_text(json.dumps(WHO | {"flow_run": str(run.id)}))
        assert pools.mark_crashed(prefect_server, tmp_path) == "first"
        assert pools.mark_crashed(prefect_server, tmp_path) == ""
        assert client.read_flow_run(run.id).state_type == after
        assert [client.read_task_run(task.id).state_type for task in tasks] == [StateType.COMPLETED, after]


def test_a_stage_started_in_a_shell_is_refused_while_a_run_holds_the_workspace(tmp_path):
    in_shell = {writer.STAGE_VARIABLE: "ground"}
    writer.check(tmp_path, in_shell)
    with workspace.sole_writer(tmp_path, WHO, print):
        with pytest.raises(UserError, match=r"ground: .* by the run first \(process 12\)"):
            writer.check(tmp_path, in_shell)
        with pytest.raises(UserError):
            writer.check(tmp_path, in_shell | {writer.WRITER_VARIABLE: "13"})
        writer.check(tmp_path, in_shell | {writer.WRITER_VARIABLE: "12"})
        writer.check(tmp_path, {})  # no stage: `patchwords overlays`, for instance
    writer.check(tmp_path, in_shell)


def test_a_run_that_was_killed_does_not_keep_stages_out(tmp_path):
    (tmp_path / writer.LOCK).parent.mkdir()
    (tmp_path / writer.LOCK).write_text(json.dumps(WHO | {"flow_run": "its-id"}))
    writer.check(tmp_path, {writer.STAGE_VARIABLE: "ground"})


def test_whoever_looks_once_a_second_stands_in_nobodys_way(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(workspace, "_take", lambda file: taken.append(file) or "")
    assert workspace.abandoned(tmp_path) == {}
    workspace.forget(tmp_path, {})
    assert not taken
