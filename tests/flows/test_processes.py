"""Commands that a flow runs: no process outlives it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
from gone import wait_until_gone

from flows import processes

ROOT = Path(__file__).parents[2]

FAMILY = """
import subprocess, sys, time
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(999)"
child = subprocess.Popen([sys.executable, "-c", deaf])
print(child.pid, flush=True)
time.sleep(999)
"""


def test_leaving_a_command_ends_its_whole_family_even_what_will_not_listen(tmp_path):
    began = time.monotonic()
    with processes.running(["python", "-c", FAMILY], folder=tmp_path) as command:
        child = int(next(command.lines()))
        assert psutil.pid_exists(child)
    assert time.monotonic() - began < 500  # of the 999 that they would go on
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
