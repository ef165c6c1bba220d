"""Outside benchmarks, kinds of example and what was not measured, as the report shows them."""

from __future__ import annotations

import json
import shutil
from math import isnan
from pathlib import Path

import made_data
import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.statistics import paired_difference
from pipeline.report import kinds, outside, page

ARMS = ("caption", "patch_aligned")
SAMPLES = {"caption": [0, 0, 1, 1, 0, 1], "patch_aligned": [1, 0, 1, 1, 1, 1]}


def benchmark(data: Path, arm: str, samples: list[int], **changes: object) -> None:
    folder = data / "benchmarks" / arm
    folder.mkdir(parents=True)
    value = sum(samples) / len(samples)
    found = {"value": value, "stderr": 0.1, "low": value - 0.196, "high": value + 0.196, "n": len(samples)}
    results = {"gqa": {"exact_match": {**found, "higher_is_better": True, **changes}}}
    (folder / "results.json").write_text(json.dumps(results))
    rows = [{"doc_id": k, "exact_match": float(score)} for k, score in enumerate(samples)]
    # In another order for one arm: samples are told apart by their numbers.
    rows = rows[::-1] if arm == "caption" else rows
    (folder / "gqa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def found_rows(data: Path) -> list:
    return outside.rows(data, outside.read(data, ARMS), 500, 0)


def test_samples_of_both_arms_are_paired(tmp_path: Path) -> None:
    for arm in ARMS:
        benchmark(tmp_path, arm, SAMPLES[arm])
    (row,) = found_rows(tmp_path)
    expected = paired_difference(SAMPLES["patch_aligned"], SAMPLES["caption"], 500, 0).estimate
    assert row.differences["patch_aligned"].estimate == expected
    assert row.differences["patch_aligned"].paired
    assert (row.metric.key, row.metric.group, row.metric.direction) == ("gqa.exact_match", "gqa", 1)
    assert row.arms["caption"].n == 6


def test_what_is_no_mean_of_its_samples_is_not_paired(tmp_path: Path) -> None:
    benchmark(tmp_path, "caption", SAMPLES["caption"], value=0.9, low=0.8, high=1.0)
    benchmark(tmp_path, "patch_aligned", SAMPLES["patch_aligned"])
    (row,) = found_rows(tmp_path)
    assert not row.differences["patch_aligned"].paired
    assert row.differences["patch_aligned"].estimate.value == pytest.approx(5 / 6 - 0.9)


def test_without_a_standard_error_there_is_no_interval_and_no_verdict(tmp_path: Path) -> None:
    for arm in ARMS:
        benchmark(tmp_path, arm, SAMPLES[arm], stderr=None, low=None, high=None)
        (tmp_path / "benchmarks" / arm / "gqa.jsonl").unlink()
    (row,) = found_rows(tmp_path)
    assert isnan(row.arms["caption"].low)
    assert row.differences == {}
    assert row.verdict("patch_aligned") == ""


def test_a_result_cut_short_is_named(tmp_path: Path) -> None:
    benchmark(tmp_path, "caption", [1])
    path = tmp_path / "benchmarks/caption/results.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(UserError, match="benchmarks"):
        outside.read(tmp_path, ARMS)


def answered(scores: dict[str, list[float]]) -> pa.Table:
    rows = [
        {"task": "referring", "kind": kind, "conversation_id": f"{kind}/{k}", "score": score}
        for kind, values in scores.items()
        for k, score in enumerate(values)
    ]
    return pa.Table.from_pylist(rows)


def test_kinds_stand_apart_and_are_paired() -> None:
    mine = answered({"testA": [1, 1, 0, 1, 1], "testB": [0, 0, 0, 1, 0, 0], "val": [1]})
    other = answered({"testA": [1, 0, 0, 1, 1], "testB": [0, 1, 0, 1, 0, 1], "val": [1]})
    first, second = kinds.rows({"caption": mine, "patch_aligned": other}, 200, 0)  # too few of val
    assert [row.metric.key for row in (first, second)] == ["referring.testA", "referring.testB"]
    assert (first.arms["caption"].value, first.arms["caption"].n) == (0.8, 5)
    assert first.differences["patch_aligned"].estimate.value == pytest.approx(-0.2)
    assert second.differences["patch_aligned"].paired


def test_a_task_of_one_kind_is_not_parted() -> None:
    assert kinds.rows({"caption": answered({"left": [1, 0, 1, 1, 0]})}, 200, 0) == []


def test_the_report_shows_what_was_not_measured_and_the_benchmarks(project: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(project, tmp_path / "data"))
    for arm in ARMS:
        benchmark(data, arm, SAMPLES[arm], stderr=None, low=None, high=None)
        folder = data / "evaluation" / arm
        metrics = json.loads((folder / "metrics.json").read_text())
        del metrics["captioning.meteor"]
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "unmeasured.json").write_text('{"captioning.meteor": "not measured: needs Java"}')
    texts = {path.name: text for path, text in page.make(data, made_data.small_params()).items()}
    assert texts["index.html"].count("not measured: needs Java") == 1
    section = texts["index.html"].partition('id="outside"')[2].partition("</section>")[0]
    assert "no interval" in section
    assert "nan" not in section
    assert "| Captions: METEOR | not measured: needs Java |" in texts["results.md"]
    assert "% Captions: METEOR: not measured: needs Java\n" in texts["results.tex"]
    assert r"\quad METEOR & \multicolumn{2}{r}{not measured} \\" in texts["results.tex"]
    assert "gqa: exact_match | 0.500 [no interval]" in texts["results.md"]
    metrics = json.loads(texts["metrics.json"])
    assert metrics["unmeasured"] == {"captioning.meteor": "not measured: needs Java"}
    assert metrics["benchmarks"]["caption"]["gqa"]["exact_match"]["low"] is None
    table = texts["results.md"].partition("\n\n")[0]
    widths = {line.count(" | ") for line in table.splitlines() if "---" not in line}
    assert len(widths) == 1
