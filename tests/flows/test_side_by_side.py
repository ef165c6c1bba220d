"""`dvc repro` with stages side by side: on a small project of DVC's, with DVC itself."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from gone import wait_until_gone
from rich.console import Console

from flows import side_by_side
from flows.side_by_side import Lanes, plan
from pipeline import params, writer
from pipeline.errors import UserError

ROOT = Path(__file__).parents[2]

# Ends when the other one has begun, and fails if it never does.
MEET = """
import pathlib, sys, time
own, other = sys.argv[1:]
pathlib.Path(own + ".here").touch()
for _ in range(1200):
    if pathlib.Path(other + ".here").exists():
        break
    time.sleep(0.1)
else:
    sys.exit("the other never came")
pathlib.Path(own).write_text(pathlib.Path("first").read_text() + own)
"""
JOIN = (
    "import pathlib; p = pathlib.Path; p('last').write_text(p('left').read_text() + p('right').read_text())"
)
# Tells its own number and that of a child that will not listen.
FAMILY = (
    "import os, subprocess, sys, time; "
    "deaf = 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(999)'; "
    "child = subprocess.Popen([sys.executable, '-c', deaf]); "
    "print(os.getpid(), child.pid, flush=True); time.sleep(999)"
)
STAGES = {
    "first": {"cmd": "cp source first", "deps": ["source"], "outs": ["first"]},
    "left": {"cmd": f"{sys.executable} meet.py left right", "deps": ["first"], "outs": ["left"]},
    "right": {"cmd": f"{sys.executable} meet.py right left", "deps": ["first"], "outs": ["right"]},
    "last": {"cmd": "cat left right > last", "deps": ["left", "right"], "outs": ["last"]},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "source").write_text("1")
    (tmp_path / "meet.py").write_text(MEET)
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}, sort_keys=False))
    Repo.init(str(tmp_path), no_scm=True).close()
    return tmp_path


def lanes(project: Path, jobs: int = 2) -> tuple[list[str], str]:
    """The stages that failed, and what was printed."""
    printed = io.StringIO()
    failed = Lanes(plan(project), jobs, project, Console(file=printed, width=200)).run()
    return failed, printed.getvalue()


def test_stages_that_do_not_need_each_other_run_at_a_time_and_the_rest_in_order(project):
    failed, printed = lanes(project)

    assert failed == []
    assert (project / "last").read_text() == "1left1right"
    assert set(yaml.safe_load((project / "dvc.lock").read_text())["stages"]) == set(STAGES)
    begun = [line.partition("|")[0].strip() for line in printed.splitlines() if line.endswith("| begins")]
    assert begun[0] == "first" and begun[-1] == "last" and set(begun) == set(STAGES)
    assert plan(project) == {}

    (project / "left").unlink()  # DVC has it in its cache: brought back, and nothing is run again
    (project / "left.here").unlink()
    assert plan(project) == {"left": [], "last": ["left"]}
    assert lanes(project)[0] == []
    assert (project / "left").exists() and not (project / "left.here").exists()


def test_after_a_failure_nothing_is_begun_and_what_is_under_way_comes_to_its_end(project):
    stages = STAGES | {
        "left": {"cmd": "echo no such thing >&2; exit 3", "deps": ["first"], "outs": ["left"]},
        "right": {"cmd": "cp first right", "deps": ["first"], "outs": ["right"]},
    }
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))

    failed, printed = lanes(project)

    assert failed == ["left"]
    assert "left  | no such thing" in printed
    assert "last  | begins" not in printed
    assert "first" in yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    assert (project / "right").exists() == ("right | begins" in printed)

    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}, sort_keys=False))
    assert lanes(project)[0] == []
    assert (project / "last").read_text() == "1left1right"


def test_data_that_dvc_tracks_are_brought_up_to_date_too(project):
    with Repo(str(project), uninitialized=True) as repo:
        repo.add([str(project / "source")])
    assert plan(project)["first"] == []
    assert lanes(project)[0] == []
    (project / "source").write_text("2")
    assert plan(project)["first"] == ["source.dvc"]
    assert lanes(project)[0] == []
    assert (project / "last").read_text() == "2left2right"
    assert plan(project) == {}


def test_what_dvc_cannot_read_is_told_in_a_sentence(project):
    stages = {"odd": {"cmd": "echo ${odd.key}", "outs": ["odd"]}}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    with pytest.raises(UserError, match=r"DVC: .*odd\.key"):
        plan(project)


def test_the_settings_say_how_many_at_a_time_and_one_is_dvcs_own_way(monkeypatch, tmp_path):
    planned: list[Path] = []
    replaced: list[list[str]] = []
    monkeypatch.setattr(side_by_side, "PROJECT", tmp_path)
    monkeypatch.setattr(side_by_side, "plan", lambda project: planned.append(project) or {})
    monkeypatch.setattr(os, "execve", lambda program, words, variables: replaced.append(words) or sys.exit())

    stages(2, monkeypatch)
    side_by_side.repro()
    assert planned == [tmp_path] and not replaced
    with pytest.raises(SystemExit):
        side_by_side.repro(jobs=1)
    stages(1, monkeypatch)
    with pytest.raises(SystemExit):
        side_by_side.repro()
    assert replaced == [[sys.executable, "-m", "dvc", "repro"]] * 2
    with pytest.raises(UserError, match="--jobs -1: one stage at a time is the least"):
        side_by_side.repro(jobs=-1)


def test_the_workspace_is_its_own_while_it_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(side_by_side, "PROJECT", tmp_path)
    found = []

    def run(self: Lanes) -> list[str]:
        found.append((writer.holder(tmp_path), self._variables()[writer.WRITER_VARIABLE]))
        return []

    monkeypatch.setattr(side_by_side, "plan", lambda project: {"one": []})
    monkeypatch.setattr(Lanes, "run", run)
    side_by_side.repro(jobs=2)
    holder, told = found[0]
    assert holder == {"name": "make repro", "pid": os.getpid()} and told == str(os.getpid())
    assert writer.holder(tmp_path) == {}


def stages(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the settings say that so many stages run at a time."""
    settings = params.load()
    compute = settings.compute.model_copy(update={"stages": count})
    monkeypatch.setattr(side_by_side.params, "load", lambda: settings.model_copy(update={"compute": compute}))


def test_a_stage_that_begins_when_all_was_stopped_is_ended(project):
    late = Lanes(plan(project), 2, project, Console(file=io.StringIO()))
    late.stopped = True
    assert late._one("left") == 130
    assert not late.running and not (project / "left").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_stage_outlives_it(project, how):
    stage = {"cmd": f'{sys.executable} -c "{FAMILY}"', "outs": ["never"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"long": stage}}))
    program = (
        "import signal\nfrom pathlib import Path\n"
        "from rich.console import Console\nfrom flows.side_by_side import Lanes\n"
        # What is started in a shell's background ignores ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"Lanes({{'long': []}}, 2, Path({str(project)!r}), Console(width=200)).run()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert starter.stdout is not None
    said = (line.decode().partition("| ")[2].split() for line in starter.stdout)
    family = next([int(pid) for pid in words] for words in said if len(words) == 2 and words[0].isdigit())

    os.kill(starter.pid, how)
    starter.communicate()
    for pid in family:
        wait_until_gone(pid)
