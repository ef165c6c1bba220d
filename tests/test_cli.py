"""The command line: results side by side, and users' errors as one line without a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipeline import cli, console, lineage
from pipeline.errors import UserError
from pipeline.tables import digests

ROOT = Path(__file__).parents[1]
FOUND = {
    "arms": {
        "caption": {
            "alignment.cosine": {"value": 0.1234, "low": 0.1, "high": 0.15, "n": 50},
            "referring.accuracy": {"value": 0.25, "low": 0.2, "high": 0.3, "n": 100},
        },
        "patch_aligned": {
            "alignment.cosine": {"value": 0.5, "low": 0.45, "high": 0.55, "n": 50},
            "referring.accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100},
        },
    },
    "references": {
        "random true box": {"referring.accuracy": {"value": 0.3125, "low": 0.3, "high": 0.32, "n": 100}},
        "scene in words": {"referring.accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 100}},
    },
    "differences": {
        "patch_aligned": {
            "referring.accuracy": {"value": 0.25, "low": 0.15, "high": 0.35, "n": 100, "p": 0.0104}
        }
    },
}


def rendered(found: dict) -> list[str]:
    out = Console(width=200, force_terminal=False, no_color=True)
    with out.capture() as capture:
        out.print(cli.results_table(found))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_arms_stand_side_by_side_with_their_difference_floor_and_ceiling():
    lines = rendered(FOUND)
    assert lines[0].split() == [
        "caption",
        "patch-aligned",
        "difference",
        "[95",
        "%]",
        "p",
        "floor",
        "ceiling",
    ]
    assert "Alignment" in lines[1]
    assert lines[2].split()[-2:] == ["0.123", "0.500"]
    assert lines[3] == "Referring expressions"
    assert lines[4].endswith("31.2 %   90.0 %")
    assert "25.0 %" in lines[4]
    assert "50.0 %" in lines[4]
    assert "+25.0 [+15.0, +35.0]  0.010 " in lines[4]


def test_stars_say_whether_the_interval_and_p_hold():
    def apart(value: float, p: float) -> dict:
        return {"question.accuracy": {"value": value, "low": 0.01, "high": 0.2, "n": 9, "p": p}}

    one = {"question.accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}}
    found = {
        "arms": dict.fromkeys(("caption", "a", "b"), one),
        "differences": {"a": apart(0.1, 0.03), "b": apart(0.15, 0.02)},
    }
    lines = rendered(found)
    assert "(+10.0**)" in lines[2] and "(+15.0**)" in lines[2]  # Holm: 0.04 both
    found["differences"] = {"a": apart(0.1, 0.03), "b": apart(0.15, 0.04)}
    assert "(+10.0*)" in rendered(found)[2]  # 0.06
    assert "50.0 %" in rendered({"arms": found["arms"]})[2]  # nothing to compare with


def test_metrics_that_nobody_measured_take_no_row():
    assert len(rendered(FOUND)) == 5


def test_results_without_metrics_say_what_to_run(tmp_path):
    outcome = CliRunner().invoke(cli.commands, ["results", "--file", str(tmp_path / "metrics.json")])
    assert isinstance(outcome.exception, UserError)
    assert "run `dvc repro`" in str(outcome.exception)


@pytest.mark.parametrize("found", [{"alignment.cosine": {"value": 0.5}}, ["arms"], {"arms": ["caption"]}])
@pytest.mark.parametrize("options", [[], ["--markdown"], ["--figure", "curves.png"]])
def test_results_of_another_file_are_told(tmp_path, found, options):
    (tmp_path / "metrics.json").write_text(json.dumps(found))
    outcome = CliRunner().invoke(
        cli.commands, ["results", "--file", str(tmp_path / "metrics.json"), *options]
    )
    assert isinstance(outcome.exception, UserError)
    assert 'has no "arms"' in str(outcome.exception)


def test_results_prints_what_the_report_stage_wrote(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps(FOUND))
    outcome = CliRunner().invoke(cli.commands, ["results", "--file", str(tmp_path / "metrics.json")])
    assert outcome.exit_code == 0
    assert "patch-aligned" in outcome.output


def test_a_users_error_is_its_message_and_status_2(capsys):
    def main() -> None:
        raise UserError("source.path: found [nothing] at data/raw; put the images there.")

    with pytest.raises(SystemExit) as stopped:
        console.run_command(main)
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert captured.err == "error: source.path: found [nothing] at data/raw; put the images there.\n"
    assert captured.out == ""


def test_a_defect_keeps_its_traceback():
    def main() -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        console.run_command(main)


def test_ctrl_c_ends_a_command_with_options_by_the_shells_status(monkeypatch, capsys):
    def command() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as stopped:
        console.run_command(lambda: console.run_options(command))
    assert stopped.value.code == 130
    assert "Stopped." in capsys.readouterr().err


def test_the_command_itself_ends_so(tmp_path):
    command = [sys.executable, "-m", "pipeline.cli", "profile", "smol"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: There is no profile 'smol'")
    assert "Traceback" not in done.stderr


def test_lineage_names_the_digests_of_what_a_folder_was_made_from(tmp_path):
    for name in ("features", "model"):
        (tmp_path / name).mkdir()
    (tmp_path / "features" / "part-00000.arrow").write_bytes(b"one")
    file = lineage.write(tmp_path / "model", [tmp_path / "features"])
    inputs = json.loads(file.read_text())["inputs"]
    assert inputs == {(tmp_path / "features").as_posix(): digests.of_files(tmp_path / "features")}
    before = file.read_bytes()
    (tmp_path / "features" / "part-00000.arrow").write_bytes(b"two")
    assert lineage.write(tmp_path / "model", [tmp_path / "features"]).read_bytes() != before
    with pytest.raises(UserError, match=r"There is no folder .*nowhere"):
        lineage.write(tmp_path / "model", [tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--jobs", "two"], "Invalid value for '--jobs'"),
        (["--job", "2"], "No such option: --job"),
        (["2"], "unexpected extra argument"),
    ],
)
def test_a_wrong_option_is_told_in_a_sentence(monkeypatch, capsys, words, said):
    def command(jobs: int = 1) -> None:
        raise AssertionError(jobs)

    monkeypatch.setattr(sys, "argv", ["command", *words])
    with pytest.raises(SystemExit) as stopped:
        console.run_command(lambda: console.run_options(command))
    assert stopped.value.code == console.USER_ERROR_STATUS
    assert said in capsys.readouterr().err
