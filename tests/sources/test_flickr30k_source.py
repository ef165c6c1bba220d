"""Flickr30k Entities: marks in sentences become spans, boxes that count from 1 become half-open."""

from __future__ import annotations

import pytest
from format_folders import Sample, made, put, read, reasons

from pipeline.sources.flickr30k import parse_sentence

LINE = "[/EN#1/people Two young guys] with [/EN#2/bodyparts shaggy hair] look at [/EN#1/people their hands] ."


def test_marks_are_taken_out_and_phrases_keep_their_characters():
    text, links = parse_sentence(LINE)
    assert text == "Two young guys with shaggy hair look at their hands ."
    assert [(entity, kind, text[start:end]) for entity, kind, start, end in links] == [
        ("1", "people", "Two young guys"),
        ("2", "bodyparts", "shaggy hair"),
        ("1", "people", "their hands"),
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("No marks at all .", "No marks at all ."),
        ("[/EN#0/notvisual it] rains", "it rains"),
        ("[/EN#7/vehicles/other a car]", "a car"),
        ("[/EN#7 broken", "[/EN#7 broken"),
    ],
)
def test_other_sentences(line, text):
    assert parse_sentence(line)[0] == text


def test_an_entity_has_all_its_boxes_and_a_box_all_its_entities(tmp_path):
    source, _ = made("flickr30k", tmp_path, [Sample("1")])
    put(tmp_path / "Sentences/1.txt", LINE + "\n[/EN#2/bodyparts Hair] .\n")
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>2</ymax></bndbox>"
    put(
        tmp_path / "Annotations/1.xml",
        f"<annotation><object><name>1</name>{box.format(5)}</object>"
        f"<object><name>1</name><name>2</name>{box.format(6)}</object>"
        f"<object><name>9</name>{box.format(7)}</object>"
        f"<object><name>1</name>{box.format('?')}</object></annotation>",
    )
    rows = read(source)
    assert [(row["label"], row["box"]) for row in rows["objects"]] == [
        ("people", [0, 0, 5, 2]),
        ("people", [0, 0, 6, 2]),
        ("other", [0, 0, 7, 2]),
    ]
    texts = {row["caption_id"]: row["text"] for row in rows["captions"]}
    words = [
        [texts[span["caption_id"]][span["start"] : span["end"]] for span in row["phrase"]]
        for row in rows["objects"]
    ]
    both = ["Two young guys", "shaggy hair", "their hands", "Hair"]
    assert words == [["Two young guys", "their hands"], both, []]
    assert [row["reason"] for row in rows["rejects"]] == ["box_invalid"]


def test_splits_are_the_lists_and_an_id_is_taken_once(tmp_path):
    source, _ = made("flickr30k", tmp_path, [Sample("1"), Sample("2")])
    put(tmp_path / "train.txt", "1\n")
    put(tmp_path / "test.txt", "2\n1\n../2\n")
    rows = read(source)
    assert [(row["image_id"], row["split"]) for row in rows["images"]] == [("1", "train"), ("2", "test")]
    assert reasons(source) == {"image:1": "duplicate_image_id", "image:../2": "row_unreadable"}


def test_missing_sentences_and_broken_annotations(tmp_path):
    source, _ = made("flickr30k", tmp_path, [Sample("1"), Sample("2"), Sample("3")])
    (tmp_path / "Sentences/1.txt").unlink()
    (tmp_path / "Annotations/2.xml").write_text("<annotation><object>")
    (tmp_path / "Annotations/3.xml").unlink()
    rows = read(source)
    assert [row["image_id"] for row in rows["images"]] == ["1", "2", "3"]
    # A picture with boxes alone is of use; one with neither would not be.
    assert [row["image_id"] for row in rows["objects"]] == ["1"]
    assert reasons(source) == {"file:2.xml": "file_cut_short"}
