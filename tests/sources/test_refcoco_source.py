"""RefCOCO: expressions, their objects, and a pickle that may hold plain data only."""

from __future__ import annotations

import json
import os
import pickle

import pytest
from format_folders import Sample, made, opened, put_json, read

from pipeline.errors import UserError
from pipeline.sources.referents import span_of

REFS = "refcoco/refs(unc).p"


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_a_pickle_that_would_run_something_is_refused_unrun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, _ = made("refcoco", tmp_path / "d", [Sample("1")])
    (tmp_path / "d" / REFS).write_bytes(pickle.dumps([Harmful()]))
    with pytest.raises(UserError, match=r"asks for .*mkdir"):
        source.shard_count()
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02", b"no pickle", pickle.dumps({"a": 1}), pickle.dumps([1])[:-1]]
)
def test_a_damaged_pickle_is_named(tmp_path, content):
    source, _ = made("refcoco", tmp_path, [Sample("1")])
    (tmp_path / REFS).write_bytes(content)
    with pytest.raises(UserError, match=r"refs\(unc\)\.p"):
        source.shard_count()


def test_a_pickle_of_python_2_and_json_read_alike(tmp_path):
    samples = [Sample("1", captions=["left dog", "the dog on the left"])]
    made("refcoco", tmp_path, samples)
    whole = read(opened("refcoco", tmp_path))
    refs = pickle.loads((tmp_path / REFS).read_bytes())
    put_json(tmp_path / "refs.json", refs)
    assert read(opened("refcoco", tmp_path, refs="refs.json")) == whole
    # Python 2 wrote its texts as byte strings: SHORT_BINSTRING, U.
    old = pickle.dumps(json.loads(json.dumps(refs)), protocol=0).replace(b"Vtrain", b"S'train'")
    (tmp_path / REFS).write_bytes(old)
    assert read(opened("refcoco", tmp_path)) == whole


def test_json_is_read_to_where_it_is_cut_short_and_has_to_be_a_list(tmp_path):
    made("refcoco", tmp_path, [Sample("1"), Sample("2")])
    text = json.dumps(pickle.loads((tmp_path / REFS).read_bytes()))
    (tmp_path / "refs.json").write_text(text[:-3])
    rows = read(opened("refcoco", tmp_path, refs="refs.json"))
    assert [row["image_id"] for row in rows["images"]] == ["0"]
    assert {row["key"]: row["reason"] for row in rows["rejects"]} == {"file:refs.json": "file_cut_short"}
    for content in ({"refs": [1]}, {"info": 1}):
        put_json(tmp_path / "refs.json", content)
        with pytest.raises(UserError, match=r"refs\.json holds a dict"):
            opened("refcoco", tmp_path, refs="refs.json").shard_count()


def test_what_json_has_no_form_for_is_passed_over_or_rejected(tmp_path):
    made("refcoco", tmp_path, [Sample("1")])
    (ref,) = pickle.loads((tmp_path / REFS).read_bytes())
    sentences = [{"sent_id": 5, "sent": "a dog", b"raw": {1}}, {"sent_id": 6, "sent": b"\xff"}]
    odd = [{**ref, b"\xff": {1, 2}, "sentences": sentences}, {**ref, "image_id": b"1"}, 7]
    (tmp_path / REFS).write_bytes(pickle.dumps(odd))
    rows = read(opened("refcoco", tmp_path))
    assert [row["text"] for row in rows["captions"]] == ["a dog"]
    reasons = {row["key"]: row["reason"] for row in rows["rejects"]}
    assert reasons["conversation:refs(unc).p/1"] == reasons["conversation:refs(unc).p/2"] == "row_unreadable"
    assert reasons["caption:0/c6"] == "caption_empty"


def test_each_sentence_is_a_caption_and_a_referring_example(tmp_path):
    source, _ = made("refcoco", tmp_path, [Sample("1", captions=["left dog", "the dog by a cat"])])
    rows = read(source)
    assert [row["text"] for row in rows["captions"]] == ["left dog", "the dog by a cat"]
    (thing,) = rows["objects"]
    texts = {row["caption_id"]: row["text"] for row in rows["captions"]}
    assert [texts[span["caption_id"]][span["start"] : span["end"]] for span in thing["phrase"]] == [
        "left dog",
        "the dog",
    ]
    assert thing["label"] == "dog" and thing["box"] == [2, 3, 8, 7]
    for row in rows["conversations"]:
        assert (row["task"], row["answer"], row["box"]) == ("referring", "<box>", [2, 3, 8, 7])
    assert rows["conversations"][1]["turns"][0]["text"].endswith("describes: the dog by a cat.")


def test_an_image_goes_to_the_split_that_is_held_back_most(tmp_path):
    made("refcoco", tmp_path, [Sample("1"), Sample("2"), Sample("3")])
    refs = pickle.loads((tmp_path / REFS).read_bytes())
    refs += [{**refs[0], "split": "testA", "ref_id": 9, "ann_id": 77, "sentences": []}]
    refs[1]["split"], refs[2]["split"] = "val", "elsewhere"
    (tmp_path / REFS).write_bytes(pickle.dumps(refs))
    rows = read(opened("refcoco", tmp_path))
    assert [(row["image_id"], row["split"]) for row in rows["images"]] == [("0", "test"), ("1", "validation")]
    assert {row["split"] for row in rows["conversations"]} == {"test", "validation"}
    assert [row["kind"] for row in rows["conversations"]] == ["train", "val"]  # what RefCOCO calls them
    assert [(row["key"], row["reason"]) for row in rows["rejects"]] == [
        ("object:0/o77", "annotation_missing")
    ]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("man left of the dog", "man left"),
        ("the woman in red", "the woman"),
        ("on the left", "on the left"),
        ("  bowl ", "bowl"),
        ("man", "man"),
        ("information desk", "information desk"),
        ("kid that is sitting", "kid"),
    ],
)
def test_the_words_that_name_the_thing(expression, words):
    start, end = span_of(expression)
    assert expression[start:end] == words
