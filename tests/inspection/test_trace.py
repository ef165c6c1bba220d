"""From a patch word back to the pixels and characters that it came from, whatever is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import made_run
import pytest

from pipeline.errors import UserError
from pipeline.inspection import trace
from pipeline.inspection.describe import Dataset


def traced(data: Path, asked: str, table: str = "patch_words") -> trace.Trace:
    return trace.of(Dataset(data / table), asked, data / "raw")


@pytest.mark.parametrize("table", ["patch_words", "regions", "rejects/parse"])
def test_a_patch_word_leads_to_its_characters_and_its_picture(data: Path, table: str) -> None:
    found = traced(data, "790/c41/p1:6", table)
    assert found.patch == 6 and found.patch_word["phrase"] == "a wooden table"
    assert [row["region_id"] for row in found.regions] == ["790/c41/p1/r0"]
    start, end = found.phrase["start"], found.phrase["end"]
    assert found.caption["text"][start:end] == "a wooden table"
    assert found.image["image_id"] == "790" and not found.missing and not found.rejects


def test_a_regions_id_leads_to_its_phrase(data: Path) -> None:
    found = traced(data, "790/c41/p0/r1")
    assert found.phrase_id == "790/c41/p0" and len(found.regions) == 2


def test_a_phrase_that_lies_on_no_patch_says_why(data: Path) -> None:
    found = traced(data, "790/c42/p0")
    assert found.patch_word is None and found.regions == []
    assert [(row["stage"], row["reason"]) for row in found.rejects] == [("ground", "not_found")]
    assert found.missing == ["patch_words has no row 790/c42/p0"]


def test_a_tag_leads_to_its_characters_among_the_images_tags(data: Path) -> None:
    made_run.write(data, made_run.tagged())
    found = traced(data, "790/c41/p1")
    assert found.caption["caption_id"] == "790/tags"
    assert found.caption["text"] == "A red cup, a wooden table, Two cups"
    assert found.caption["text"][found.phrase["start"] : found.phrase["end"]] == "a wooden table"
    assert not found.missing


def test_a_picture_that_was_moved_away_is_named_and_the_rest_shown(data: Path) -> None:
    assert not traced(data, "791/c43/p0").missing
    (data / "raw" / made_run.FILE).unlink()
    found = traced(data, "791/c43/p0")
    (told,) = found.missing
    assert made_run.FILE in told and "--root" in told
    assert found.caption["text"].startswith("A dog")


def test_datasets_and_rows_that_are_gone_are_named(data: Path) -> None:
    shutil.rmtree(data / "captions")
    made = made_run.rows()
    made["regions"] = [row for row in made["regions"] if row["region_id"] != "790/c41/p0/r1"]
    made_run.write(data, {"regions": made["regions"]})
    found = traced(data, "790/c41/p0")
    assert len(found.missing) == 2
    assert "regions has no row 790/c41/p0/r1" in found.missing
    assert any("no dataset captions" in line for line in found.missing)
    assert found.caption is None and found.image is not None


@pytest.mark.parametrize(
    ("asked", "told"),
    [("790/c99/p0", "'790/c99/p0' is the id of no row"), ("790/c41/p1:0", "it lies on 4, 5, 6, 7")],
)
def test_what_cannot_be_traced_is_told(data: Path, asked: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        traced(data, asked)
