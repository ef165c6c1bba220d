"""`patchwords inspect` and `diff` as a user meets them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import made_run
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from pipeline.cli import commands
from pipeline.errors import UserError
from pipeline.inspection import answers
from pipeline.inspection.describe import Dataset
from pipeline.tables import dataset
from pipeline.tables.schemas import SCHEMAS


def run(*arguments: object, columns: int = 100) -> str:
    result = CliRunner().invoke(commands, [*map(str, arguments)], env={"COLUMNS": str(columns)})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.mark.parametrize("name", [*made_run.rows(), "."])
@pytest.mark.parametrize("columns", [60, 100])
def test_what_is_printed_fits_the_terminal(made: Path, name: str, columns: int) -> None:
    assert max(map(len, run("inspect", made / name, columns=columns).splitlines())) <= columns


def test_a_dataset_is_described(made: Path) -> None:
    told = run("inspect", made / "patch_words")
    assert "4 in 2 parts" in told and "0123456789abcdef" in told and "fedcba9876543210" in told
    for column in SCHEMAS["patch_words"]:
        assert column.name in told
    assert "in all of these: grid 2 × 4, annotator hand" in told
    for line in ("words a patch, of those with any", "coverage of a patch", "phrases an image"):
        assert line in told
    assert "r0 r1" in told and "red cup" in told


def test_a_folder_lists_its_datasets(made: Path) -> None:
    told = run("inspect", made)
    assert all(name in told for name in made_run.rows())
    rows = {row["path"]: row["rows"] for row in json.loads(run("inspect", made, "--format", "json"))}
    assert rows[str(made / "phrases")] == 5


def test_a_filter_shows_its_rows_and_how_many(made: Path) -> None:
    told = run("inspect", made / "patch_words", "--where", "score < 0.95 and word = 'cup'")
    assert "1 of 4 rows (25.0 %)" in told and "A red cup" in told and "dog" not in told
    told = run("inspect", made / "patch_words", "--image", "790", "--where", "patch = 6")
    assert "1 of 4 rows" in told and "a wooden table" in told
    assert "no row" in run("inspect", made / "patch_words", "--where", "word = 'unicorn'")


def test_json_holds_it_all_and_rows_as_they_are(made: Path) -> None:
    found = json.loads(run("inspect", made / "regions", "--format", "json"))
    assert (found["dataset"], found["rows"], found["selected"]) == ("regions", 5, 5)
    assert found["params"] == made_run.MADE_FROM.params and found["inputs"] == made_run.MADE_FROM.inputs
    assert [column["name"] for column in found["columns"]] == SCHEMAS["regions"].names
    regions = next(each for each in found["distributions"] if each["label"] == "regions a phrase")
    assert (regions["count"], regions["min"], regions["max"], regions["mean"]) == (5, 0, 2, 1)
    found = json.loads(run("inspect", made / "regions", "--where", "score > 0.8", "--format", "json"))
    assert [row["region_id"] for row in found["sample"]] == ["790/c41/p0/r0", "900/c44/p0/r0"]
    assert found["sample"][1]["mask"]["size"] == [20, 20]


def test_csv_has_all_rows_that_are_asked_for(made: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("inspect", made / "patch_words", "--format", "csv"))))
    expected = dataset.read(made / "patch_words").to_pylist()
    assert [row["phrase_id"] for row in rows] == [row["phrase_id"] for row in expected]
    assert [json.loads(row["coverage"]) for row in rows] == [row["coverage"] for row in expected]
    assert json.loads(rows[0]["words"]) == expected[0]["words"]
    few = run("inspect", made / "patch_words", "--format", "csv", "--rows", "1")
    assert len(few.splitlines()) == 2


def test_csv_reads_back_whatever_ends_a_line_in_a_text(data: Path, capsys) -> None:
    texts = ["one\rtwo", "one\ntwo", "one\r\ntwo", 'say "so", he said']
    rows = made_run.rows()["captions"]
    for row, text in zip(rows, texts, strict=True):
        row["text"] = text
    made_run.write(data, {"captions": rows})
    answers.csv(Dataset(data / "captions"), answers.Asked())  # typer's runner would change the line ends
    told = capsys.readouterr().out
    found = list(csv.DictReader(io.StringIO(told, newline="")))
    assert [row["text"] for row in found] == texts
    assert told.startswith("caption_id,image_id,text\n")


def test_names_and_texts_come_out_letter_by_letter(made: Path, tmp_path: Path) -> None:
    odd = tmp_path / "[raw] :cup: [" / "data"
    rows = made_run.rows()["objects"]
    for row in rows:
        row["label"] = "[/x] [bold]cup"
    made_run.write(odd, {"objects": rows})
    told = run("inspect", odd / "objects", columns=300)
    assert f"{odd / 'objects'}\n" in told and "[/x] [bold]cup" in told
    assert f"One of them: patchwords inspect {odd}" in run("inspect", odd, columns=300)
    told = run("diff", made / "objects", odd / "objects", columns=300)
    assert "label [/x] [bold]cup" in told and str(odd) in told


def test_a_trace_shows_the_caption_with_the_phrase_marked(made: Path) -> None:
    told = run("inspect", made / "patch_words", "--trace", "790/c41/p1:5", "--root", made / "raw")
    caption = "A red cup on a wooden table."
    lines = told.splitlines()
    place = next(number for number, line in enumerate(lines) if caption in line)
    start = lines[place].index(caption)
    marks = lines[place + 1][start:]
    assert (
        "".join(letter for letter, mark in zip(caption, marks, strict=False) if mark == "^")
        == "a wooden table"
    )
    assert "row 1, column 1, covered 1.00" in told and "missing" not in told
    # The grid: two characters a patch; of the second row all four patches are covered.
    assert any("█" * 8 in line for line in lines)
    as_json = json.loads(
        run(
            "inspect",
            made / "patch_words",
            "--trace",
            "790/c41/p1",
            "--root",
            made / "raw",
            "--format",
            "json",
        )
    )
    assert as_json["caption"]["text"] == caption and as_json["missing"] == []


def test_a_picture_that_is_gone_is_shown_as_missing(data: Path) -> None:
    assert "missing" not in run("inspect", data / "images", "--root", data / "raw")
    (data / "raw" / made_run.FILE).unlink()
    told = run("inspect", data / "images", "--root", data / "raw")
    assert f"{made_run.FILE} (missing)" in told and "790" in told


def with_version(path: Path, version: bytes) -> None:
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    metadata = {**table.schema.metadata, b"patchwords.schema_version": version}
    with pa.ipc.new_file(path, table.schema.with_metadata(metadata)) as writer:
        writer.write_table(table)


def test_bad_input_is_told_in_one_sentence_with_the_fix(data: Path) -> None:
    words = data / "patch_words"
    for arguments, told in (
        ([data / "nowhere"], "no dataset at"),
        ([data / "raw"], "holds no part-"),
        ([data, "--where", "score < 1"], "give one"),
        ([words, "--where", "scor < 1"], "Did you mean score"),
        ([words, "--image", "x"], "no row of an image 'x'"),
        ([data / "rejects" / "ground", "--image", "790"], "has no image_id"),
        ([words, "--trace", "nothing"], "id of no row"),
        ([words, "--trace", "790/c41/p1", "--format", "csv"], "a trace is no table"),
    ):
        with pytest.raises(UserError, match=told):
            run("inspect", *arguments)
    whole = (words / "part-00001.arrow").read_bytes()
    (words / "part-00001.arrow").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"part-00001\.arrow is not a whole Arrow file"):
        run("inspect", words)
    (words / "part-00001.arrow").write_bytes(whole)
    with_version(words / "part-00000.arrow", b"0")
    with pytest.raises(UserError, match="schema version 0, this code reads 1"):
        run("inspect", words)


def test_a_difference_is_printed_and_written_as_json(made: Path, data: Path) -> None:
    rows = made_run.rows()["patch_words"]
    rows[3]["score"] = 0.5
    made_run.write(data, {"patch_words": rows[1:]})
    told = run("diff", made / "patch_words", data / "patch_words")
    assert "2 rows the same, 1 changed, 0 added, 1 gone" in told and "900/c44/p0" in told
    assert max(map(len, told.splitlines())) <= 100 or str(data) in told
    found = json.loads(run("diff", made / "patch_words", data / "patch_words", "--format", "json"))
    assert (found["changed"], found["gone"], found["by_column"]) == (1, 1, {"score": 1})
    assert "4 rows the same, 0 changed" in run("diff", made / "patch_words", made / "patch_words")
    for arguments in ([], [data, "--rev", "HEAD"], ["--rev", "a", "--rev", "b", "--rev", "c"]):
        with pytest.raises(UserError, match="two folders, or one and --rev"):
            run("diff", made / "patch_words", *arguments)


@pytest.mark.parametrize(("examples", "shown"), [(0, 0), (1, 1), (3, 3), (10, 4)])
def test_as_many_examples_are_shown_as_were_asked_for(made: Path, data: Path, examples, shown) -> None:
    rows = [row | {"score": row["score"] / 2} for row in made_run.rows()["patch_words"]]
    made_run.write(data, {"patch_words": rows})
    told = run("diff", made / "patch_words", data / "patch_words", "--examples", examples)
    _, title, table = told.partition("changed, by column\n")
    assert title and sum(row["phrase_id"] in table for row in rows) == shown
    (line,) = (line for line in table.splitlines() if line.strip().startswith("score"))
    assert line.split()[1] == "4"


def test_a_wrong_setting_is_not_taken_for_no_setting(monkeypatch, made: Path, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert "rows, the first 3" in run("inspect", made / "images")  # there is no params.yaml
    (tmp_path / "params.yaml").write_text("sorce: {}\n")
    with pytest.raises(UserError, match="sorce"):
        run("inspect", made / "images")
