"""What a run in the Prefect UI is made of: DVC's output told apart, forms, settings, the lock, processes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import hypothesis
import psutil
import pytest
import ui_workspace
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Completed, Running
from prefect.utilities.callables import parameter_schema

from flows import (
    dvc_output,
    dvc_run,
    experiments,
    forms,
    pools,
    processes,
    results,
    runs,
    settings,
    workspace,
)
from pipeline.errors import UserError
from pipeline.params import GroundParams

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "profiles" / "embedded.yaml"

OUTPUT = """\
Verifying data sources in stage: 'data.dvc'
Stage 'ingest' didn't change, skipping
Running stage 'parse':
> python -m flows.parse
parse
Updating lock file 'dvc.lock'

Stage 'pretrain@caption' is cached - skipping run, checking out outputs
Running stage 'report':
> python -m pipeline.report
error: there is no picture
ERROR: failed to reproduce 'report': failed to run: python -m pipeline.report, exited with 2
"""


def test_the_output_of_dvc_is_told_apart_by_stage():
    turns = [(step, list(lines)) for step, lines in dvc_output.by_stage(OUTPUT.splitlines())]
    assert [(step.stage, step.outcome, len(lines)) for step, lines in turns] == [
        ("", "runs", 1),
        ("ingest", "unchanged", 1),
        ("parse", "runs", 5),
        ("pretrain@caption", "restored", 1),
        ("report", "runs", 4),
    ]
    assert dvc_output.exit_status(OUTPUT.splitlines()[-1]) == 2


def test_a_turn_is_given_out_before_the_stage_has_ended():
    seen = []

    def lines():
        for line in OUTPUT.splitlines():
            seen.append(line)
            yield line

    turns = dvc_output.by_stage(lines())
    next(turns)
    step, of_ingest = next(turns)
    assert step.stage == "ingest" and len(seen) == 2
    assert next(of_ingest) == seen[-1]


def test_a_lock_held_by_another_dvc_is_recognised():
    assert dvc_output.is_blocked("ERROR: '/w/data/images' is busy, it is being blocked by:")
    assert dvc_output.is_blocked("ERROR: Unable to acquire lock. Most likely another DVC process is running")
    assert not dvc_output.is_blocked("ERROR: failed to reproduce 'parse'")


# Forms.


def form(flow) -> dict:
    return parameter_schema(flow).model_dump()["properties"]


def test_a_form_has_the_limits_choices_and_help_texts_of_the_settings():
    fields = form(runs.rebuild)
    assert fields["annotation_source"]["enum"] == list(
        GroundParams.model_json_schema()["properties"]["source"]["enum"]
    )
    assert fields["seed"]["minimum"] == 0 and fields["samples"]["minimum"] == 1
    assert fields["seed"]["title"] == "Seed"
    assert fields["seed"]["description"].startswith("Seed of everything random.")
    assert fields["stages"]["items"]["enum"] == list(
        yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    )
    assert {"embedded", "smoke"} <= set(fields["profile"]["enum"])


def test_every_annotation_source_has_a_line_in_the_form():
    text = form(runs.rebuild)["annotation_source"]["description"]
    lines = {line.split(":")[0].removeprefix("- ") for line in text.splitlines() if line.startswith("- ")}
    assert lines == set(form(runs.rebuild)["annotation_source"]["enum"])


def test_a_field_left_empty_is_not_sent_and_comes_to_the_flow_as_none():
    # A default of null would be sent by the form, and then be refused by the field's own type.
    assert "default" not in form(runs.rebuild)["seed"] and form(runs.rebuild)["seed"]["type"] == "integer"
    empty = {name: forms.EMPTY for name in ("profile", "annotation_source", "samples", "stages", "seed")}
    given = runs.rebuild.validate_parameters({**empty, "experiment": forms.EMPTY, "where": "in place"})
    assert {name: value for name, value in given.items() if value is not None} == {"where": "in place"}


DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_every_deployment_has_a_flow_that_is_checked_and_may_be_started_as_it_is(deployment):
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(__import__(module, fromlist=[name]), name)
    assert flow.name == deployment["name"]
    assert deployment["enforce_parameter_schema"] is True
    assert parameter_schema(flow).required == []
    assert all(field["title"] != name for name, field in form(flow).items() if name != "message")


def test_nothing_is_scheduled_before_somebody_switches_it_on():
    schedules = [schedule for deployment in DEPLOYMENTS for schedule in deployment.get("schedules", [])]
    assert schedules and not any(schedule["active"] for schedule in schedules)


# Settings.


def test_what_a_form_sets_is_written_and_everything_else_stays_as_it_was():
    before = EMBEDDED.read_text()
    edited = settings.edited({"seed": 3, "ground.source": "open_clip"}, file=EMBEDDED)
    # Spaces before a comment may change.
    lines = [[" ".join(line.split()) for line in text.splitlines()] for text in (before, edited)]
    changed = [new for old, new in zip(*lines, strict=True) if old != new]
    assert [line.split(" #")[0] for line in changed] == ["seed: 3", "source: open_clip"]


def test_wrong_settings_are_told_before_anything_is_written():
    with pytest.raises(UserError, match=r"seed: found -1"):
        settings.edited({"seed": -1}, file=EMBEDDED)
    with pytest.raises(UserError, match=r"ground\.nothing: there is no such setting"):
        settings.edited({"ground.nothing": 1}, file=EMBEDDED)


def test_every_setting_can_be_sent_to_another_workspace():
    text = EMBEDDED.read_text()
    sent = settings.leaves(settings.tree(text))
    assert settings.tree(settings.edited(sent, file=EMBEDDED)) == settings.tree(text)


@hypothesis.settings(deadline=None)
@given(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-9, 9),
        st.floats(-9, 9),
        st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=12),
        st.lists(st.integers(0, 9), max_size=3),
        st.just({"a_file.json": "captions"}),
    )
)
def test_overrides_say_to_dvc_what_the_form_says(value):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    text = settings.overrides("a: {b: unset}\n", yaml.safe_dump({"a": {"b": value}}))
    if value == "unset":
        assert text == []
        return
    [override] = OverridesParser.create().parse_overrides(text)
    assert override.key_or_group == "a.b"
    found = override.value()
    assert found == value or str(found) == str(value)


# Results.


def test_results_stand_beside_their_change_in_the_metrics_own_unit():
    def metrics(value: float) -> dict:
        return {
            "arms": {"caption": {"question.accuracy": {"value": value}, "alignment.cosine": {"value": value}}}
        }

    table = results.results_table(metrics(0.5), metrics(0.25))
    assert "| Questions: Accuracy | 50.0 % | +25.0 |" in table
    assert "| Alignment: Cosine of region and words | 0.500 | +0.250 |" in table
    assert "There was no run before" in results.results_table(metrics(0.5), {})


# One writer at a time.

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
    assert workspace.abandoned(tmp_path) == {"name": "lost", "pid": 1}
    assert workspace.abandoned(tmp_path) == {}
    with workspace.sole_writer(tmp_path, WHO, print):
        pass
    assert workspace.abandoned(tmp_path) == {}


@ui_workspace.ON_REQUEST
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
        note = tmp_path / workspace.LOCK
        note.parent.mkdir()
        note.write_text(json.dumps(WHO | {"flow_run": str(run.id)}))
        assert pools.mark_crashed(prefect_server, tmp_path) == "first"
        assert pools.mark_crashed(prefect_server, tmp_path) == ""
        assert client.read_flow_run(run.id).state_type == after
        assert [client.read_task_run(task.id).state_type for task in tasks] == [StateType.COMPLETED, after]


def test_what_an_experiment_changes_is_put_back_after_a_kill_too(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    with pytest.raises(RuntimeError), experiments.aside(tmp_path):
        (tmp_path / "params.yaml").write_text("seed: 2\n")
        (tmp_path / "dvc.lock").write_text("made by the experiment")
        raise RuntimeError
    assert (tmp_path / "params.yaml").read_text() == "seed: 1\n"
    assert not (tmp_path / "dvc.lock").exists()
    aside = experiments.aside(tmp_path)
    aside.__enter__()
    (tmp_path / "params.yaml").write_text("seed: 3\n")
    assert experiments.put_back(tmp_path)  # as the next run does
    assert (tmp_path / "params.yaml").read_text() == "seed: 1\n"


# Processes.

FAMILY = """
import subprocess, sys, time
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(99)"
child = subprocess.Popen([sys.executable, "-c", deaf])
print(child.pid, flush=True)
time.sleep(99)
"""


def test_leaving_a_command_ends_its_whole_family_even_what_will_not_listen(tmp_path):
    began = time.monotonic()
    with processes.running(["python", "-c", FAMILY], folder=tmp_path) as command:
        child = int(next(command.lines()))
        assert psutil.pid_exists(child)
    assert time.monotonic() - began < 10
    wait_until_gone(child)


def test_a_command_does_not_outlive_a_killed_starter(tmp_path):
    program = "from flows import processes\nfrom pathlib import Path\n" + textwrap.dedent(
        f"""
        with processes.running(["python", "-c", {FAMILY!r}], folder=Path({str(tmp_path)!r})) as command:
            for line in command.lines():
                print(line, flush=True)
        """
    )
    starter = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    assert starter.stdout is not None
    child = int(starter.stdout.readline())
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    wait_until_gone(child)


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_command_tells_its_status_and_lines_as_they_come(tmp_path):
    program = "import sys; print('one'); print('two', file=sys.stderr); print('half', end=''); sys.exit(3)"
    with processes.running(["python", "-c", program], folder=tmp_path) as command:
        assert sorted(command.lines()) == ["half", "one", "two"]
        assert command.status == 3
    with processes.running(
        ["python", "-c", "import os; os.kill(os.getpid(), 9)"], folder=tmp_path
    ) as command:
        assert list(command.lines()) == [] and command.status == 137


def test_a_stage_does_not_take_itself_for_the_flow_run_that_started_it(monkeypatch):
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "x")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    variables = processes.environment()
    assert not [name for name in variables if name.startswith("PREFECT__")] and "PYTHONPATH" not in variables
    assert variables["PATH"].startswith(str(Path(sys.executable).parent))


def test_forms_know_the_stages_in_the_order_of_dvc_yaml():
    assert forms.stages()[0] == "ingest"
