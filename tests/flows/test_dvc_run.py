"""A DVC run inside a flow run: its output told apart, its retries, and the results that it leaves."""

import json
import sys
import textwrap

import pytest

from flows import dvc_output, dvc_run, processes, results
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.tables.metrics import AUDIT_METRICS, METRICS

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


# Retries.

FAILED = "ERROR: failed to reproduce 'parse': failed to run: python -m flows.parse, exited with "
KILLED = FAILED + "-9"
WRONG = "error: seed: found -3\n" + FAILED + "2"
DEFECT = "ValueError: nothing\n" + FAILED + "1"
STUMBLE = "ConnectionResetError: [Errno 104] Connection reset by peer\n" + FAILED + "1"
BUSY = "ERROR: '/w/data/images' is busy, it is being blocked by:"


@pytest.fixture
def tries(tmp_path, monkeypatch, prefect_server):
    """A stand-in for DVC, which says something and fails so many times; gives what sets it and counts."""
    script, count = tmp_path / "dvc.py", tmp_path / "count"

    def set_it(says: str, failures: int) -> None:
        script.write_text(
            textwrap.dedent(
                f"""
                from pathlib import Path
                count = Path({str(count)!r})
                done = len(count.read_text()) if count.exists() else 0
                count.write_text("x" * (done + 1))
                print("Running stage 'parse':")
                if done < {failures}:
                    print({says!r})
                    raise SystemExit(1)
                """
            )
        )

    monkeypatch.setattr(processes, "DVC", (sys.executable, str(script)))
    monkeypatch.setattr(dvc_run, "BACKOFF_SECONDS", (0.01, 0.02))
    return set_it, lambda: len(count.read_text())


@pytest.mark.parametrize("passing", [KILLED, STUMBLE, BUSY])
def test_what_can_pass_is_tried_again(tries, passing):
    fail, count = tries
    told: list[str] = []
    fail(passing, failures=2)
    assert dvc_run.run(["repro"], told.append) == {"parse": "runs"}
    assert count() == 3
    assert [line.split()[-4:] for line in told] == [
        ["again", "in", "0.01", "s."],
        ["again", "in", "0.02", "s."],
    ]


@pytest.mark.parametrize(("lasting", "told"), [(WRONG, "seed: found -3"), (DEFECT, "exited with 1")])
def test_what_cannot_pass_is_not_tried_again(tries, lasting, told):
    fail, count = tries
    fail(lasting, failures=1)
    with pytest.raises(dvc_run.StageFailedError, match=told):
        dvc_run.run(["repro"], print)
    assert count() == 1


def test_after_the_third_try_it_has_failed(tries):
    fail, count = tries
    fail(KILLED, failures=9)
    with pytest.raises(dvc_run.StageFailedError, match="exited with -9"):
        dvc_run.run(["repro"], print)
    assert count() == 3


# What a stage says, and whether it has failed.

SAYS = "Running stage 'parse':\nERROR:root:one picture left out\nERROR: of a library\nerror: of another\n"
THEN = "Running stage 'ground':\n"


def saying(monkeypatch, text: str, status: int) -> list[str]:
    """A command, and stand-in for DVC, that says something and ends with a status."""
    command = [sys.executable, "-c", f"print({text!r}); raise SystemExit({status})"]
    monkeypatch.setattr(processes, "DVC", tuple(command))
    return command


def test_a_stage_that_says_error_and_succeeds_has_succeeded(monkeypatch, prefect_server):
    command = saying(monkeypatch, SAYS + THEN, 0)
    assert dvc_run.once(["repro"]) == {"parse": "runs", "ground": "runs"}
    dvc_run.follow("study", command)


def test_the_stage_that_fails_is_told_and_not_one_before_it(monkeypatch, prefect_server):
    saying(monkeypatch, SAYS + THEN + DEFECT.replace("parse", "ground"), 1)
    with pytest.raises(dvc_run.StageFailedError, match="failed to reproduce 'ground'"):
        dvc_run.once(["repro"])


def test_a_command_that_fails_is_told_in_its_own_words_or_by_its_status(monkeypatch, prefect_server):
    with pytest.raises(dvc_run.StageFailedError, match=r"^of another$"):
        dvc_run.follow("study", saying(monkeypatch, SAYS, 2))
    with pytest.raises(dvc_run.StageFailedError, match="ended with status 3: see the log"):
        dvc_run.follow("study", saying(monkeypatch, "nothing", 3))


# Results.


def test_results_stand_beside_their_change_in_the_metrics_own_unit():
    def arms(value: float) -> dict:
        return {"caption": {"question.accuracy": {"value": value}, "alignment.cosine": {"value": value}}}

    table = results.comparison(arms(0.5), arms(0.25), METRICS, "test split")
    assert table.startswith("| test split | caption |\n| --- | ---: |\n")
    assert "| Questions: Accuracy | 50.0 % (+25.0) |" in table
    assert "| Alignment: Cosine of region and words | 0.500 (+0.250) |" in table
    assert "There was no run before" in results.comparison(arms(0.5), {}, METRICS, "")


def test_a_column_that_is_new_has_no_change():
    now = {"dataset": {"audit.recall": {"value": 1.0}}, "owlv2": {"audit.recall": {"value": 0.5}}}
    table = results.comparison(now, {"dataset": now["dataset"]}, AUDIT_METRICS, "")
    assert "| Boxes: Recall | 100.0 % (+0.0) | 50.0 % |" in table


def test_results_are_read_from_where_the_stages_write_them(tmp_path):
    assert results.read(tmp_path) == results.Results()
    one = {"question.accuracy": {"value": 0.5}}
    (tmp_path / "audit" / "dataset").mkdir(parents=True)
    (tmp_path / "audit" / "dataset" / "audit.json").write_text(json.dumps({"overall": one}))
    (tmp_path / "metrics.json").write_text(json.dumps({"arms": {"caption": one}}))
    (tmp_path / "comparisons").mkdir()
    (tmp_path / "comparisons/study.json").write_text("half a fi")
    assert results.read(tmp_path) == results.Results({"caption": one}, {"dataset": one}, {})


def test_datasets_are_told_with_rows_and_digest_if_the_run_brought_them_up_to_date(tmp_path):
    lock = {"stages": {}}
    for stage in ("parse", "ground"):
        table = schemas.from_rows("captions", [{"caption_id": "c", "image_id": "i", "text": "a cup"}])
        dataset.write_part(tmp_path / "data" / stage, 0, table, "captions", Provenance())
        lock["stages"][stage] = {"outs": [{"path": f"data/{stage}", "md5": f"{stage}.dir"}]}
    (tmp_path / "dvc.lock").write_text(json.dumps(lock))
    told = results.tables(tmp_path, ["parse"])
    assert told.splitlines()[2:] == ["| data/parse | parse | 1 | `parse.dir` |"]
