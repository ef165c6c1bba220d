"""`patchwords export`: whole or not at all, the same bytes each time, bad input told in a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import made_run
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_round_trips import export
from typer.testing import CliRunner

from pipeline.cli import commands
from pipeline.errors import UserError
from pipeline.export import FORMATS, pictures
from pipeline.export.folder import whole
from pipeline.tables import digests
from pipeline.tables.schemas import SCHEMAS


@pytest.mark.parametrize("to", list(FORMATS))
def test_the_same_rows_give_the_same_bytes(made: Path, tmp_path: Path, to: str) -> None:
    table = FORMATS[to].tables[-1] if to != "parquet" else "objects"
    for name in ("one", "two"):
        export(made, table, to, tmp_path / name)
    assert digests.of_files(tmp_path / "one") == digests.of_files(tmp_path / "two")


@pytest.mark.parametrize("to", ["coco", "llava", "odvg"])
def test_pictures_in_files_are_named_where_they_are_not_copied(tmp_path: Path, to: str) -> None:
    rows = made_run.rows()
    rows["images"] = [row for row in rows["images"] if row["image_id"] == "791"]
    for name in ("captions", "objects", "phrases", "regions"):
        rows[name] = [row for row in rows[name] if row["image_id"] == "791"]
    data = made_run.write(tmp_path / "data", rows)
    export(data, "regions", to, tmp_path / "out", "--images", "reference")
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.suffix for path in written} <= {".json", ".jsonl"}
    assert any(f'"{made_run.FILE}"' in path.read_text() for path in written)


def test_an_image_whose_file_is_gone_is_left_out_and_told(tmp_path: Path) -> None:
    data = made_run.write(tmp_path / "data")
    (data / "raw" / made_run.FILE).unlink()
    told = export(data, "objects", "coco", tmp_path / "out")
    assert "1 image_missing" in told and made_run.FILE in told and "3 objects, 2 images" in told
    listed = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    assert [row["id"] for row in listed["images"]] == [790]
    assert {row["image_id"] for row in listed["annotations"]} == {790}


def test_what_is_there_is_kept_unless_it_is_to_be_replaced(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match=r"not empty.*--overwrite"):
        export(made, "objects", "coco", out)
    assert (out / "mine.txt").read_text() == "mine"
    export(made, "objects", "coco", out, "--overwrite")
    assert not (out / "mine.txt").exists() and (out / "annotations").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(KeyError), whole(tmp_path / "out") as folder:
        (folder / "half").write_text("")
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"No space left.*Nothing half-written"), whole(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_told(made: Path, tmp_path: Path) -> None:
    for table, to, options, told in (
        ("patch_words", "coco", (), "Formats for that: odvg, kosmos, webdataset, parquet"),
        ("nothing", "coco", (), "no dataset"),
        ("images", "coco", ("--images", "reference"), "give --images copy"),
        ("images", "webdataset", ("--images", "reference"), "give --images copy"),
        ("rejects/ground", "parquet", ("--split", "test"), "Leave --split out"),
    ):
        with pytest.raises(UserError, match=told):
            export(made, table, to, tmp_path / "out", *options)
    assert list(tmp_path.iterdir()) == []


def test_tables_that_are_not_of_one_run_are_told(tmp_path: Path) -> None:
    data = made_run.write(tmp_path / "data")
    made_run.write(data, {"images": [row for row in made_run.rows()["images"] if row["image_id"] != "791"]})
    with pytest.raises(UserError, match=r"'791' has rows.*not of one run"):
        export(data, "objects", "coco", tmp_path / "out")
    (data / "images" / "part-00001.arrow").unlink()
    with pytest.raises(UserError, match="different numbers of parts"):
        export(data, "objects", "coco", tmp_path / "out")
    shutil.rmtree(data / "images")
    with pytest.raises(UserError, match="needs the dataset images"):
        export(data, "objects", "coco", tmp_path / "out")


@given(image_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_no_id_names_a_file_outside_the_folder(image_id: str) -> None:
    name = pictures.safe_name(image_id)
    parts = name.split("/")
    assert not name.startswith("/") and not {"", ".", ".."} & set(parts)
    assert "\x00" not in name and "\\" not in name


IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=120)


@given(one=IDS, other=IDS)
def test_every_id_names_a_file_of_its_own_that_can_be(one: str, other: str) -> None:
    names = [pictures.safe_name(each) for each in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    for part in "/".join(names).split("/"):
        assert len(f"{part}.json".encode()) <= 255


@pytest.mark.parametrize("image_id", ["写真" * 30, "ภาพที่หนึ่ง", "зима/снег é"])
def test_letters_of_every_script_stay(image_id: str) -> None:
    assert pictures.safe_name(image_id) == image_id


def test_what_is_too_long_for_a_name_is_cut_and_still_written(tmp_path: Path) -> None:
    names = {"790": "写真" * 60 + "1", "791": "写真" * 60 + "2", "900": "x" * 300}
    rows = {"images": made_run.rows()["images"]}
    for row in rows["images"]:
        row["image_id"] = names[row["image_id"]]
    made_run.PART_OF.update({name: made_run.PART_OF[short] for short, name in names.items()})
    data = made_run.write(tmp_path / "data", rows)
    export(data, "images", "fiftyone", tmp_path / "out")
    written = [path for path in (tmp_path / "out").rglob("*.png")]
    assert len(written) == 3 and all("写真" in path.name or "xxx" in path.name for path in written)


def test_ids_that_are_paths_stay_paths() -> None:
    assert pictures.safe_name("train2017/000000000790") == "train2017/000000000790"
    assert pictures.safe_name("../x") == "%2E%2E%2Fx"


def test_ids_that_are_no_numbers_are_counted_and_kept_as_names(tmp_path: Path) -> None:
    rows = made_run.rows()
    for name in ("images", "objects"):
        for row in rows[name]:
            row["image_id"] = row["image_id"].replace("900", "x").replace("79", "train-79")
    made_run.PART_OF.update({"x": 1, "train-790": 0, "train-791": 0})
    data = made_run.write(tmp_path / "data", {name: rows[name] for name in ("images", "objects")})
    export(data, "objects", "coco", tmp_path / "out")
    listed = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    assert [(row["id"], row["name"]) for row in listed["images"]] == [(1, "train-790"), (2, "train-791")]
    assert [row["id"] for row in listed["annotations"]] == [1, 2, 3]
    assert len({row["file_name"] for row in listed["images"]}) == 2


def test_folders_and_pictures_are_told_letter_by_letter(tmp_path: Path) -> None:
    rows = made_run.rows()
    rows["images"][1]["image"]["path"] = "[raw]/[/x] :cup:.png"
    data = made_run.write(tmp_path / "data", rows)
    told = export(data, "images", "coco", tmp_path / "[bold]")
    assert f"{tmp_path / '[bold]'}: coco" in told and "[raw]/[/x] :cup:.png" in told


def test_the_help_names_the_tables_of_formats_that_do_not_hold_all() -> None:
    told = CliRunner().invoke(commands, ["export", "--help"], env={"COLUMNS": "300"}).output
    lines = {line.split(":")[0].strip(" │"): line for line in told.splitlines() if "(of " in line}
    assert set(lines) == set(FORMATS)
    for name, each in FORMATS.items():
        listed = "any table" if set(each.tables) == set(SCHEMAS) else ", ".join(each.tables)
        assert f"(of {listed})" in lines[name]


def test_a_checkpoint_s_folder_is_told_letter_by_letter(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "models" / "pretrain" / "caption").mkdir(parents=True)
    arguments = ["checkpoint", "caption", "[raw]/[bold]", "--stage", "pretrain"]
    told = CliRunner().invoke(commands, arguments, env={"COLUMNS": "300"}).output
    assert told.startswith("[raw]/[bold]: a transformers folder")
