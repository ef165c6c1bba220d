"""Patch words as padded arrays, beside a plain loop over the table's rows."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.patches.geometry import Geometry
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.training import supervision

IMAGES = ["i0", "i1", "i2", "i3"]
"""The images that are trained on; i1 has no patch words."""


def word(text, role):
    return {"text": text, "lemma": text, "role": role}


RED_CUP = [word("red", "attribute"), word("cup", "head")]
STAR = [word("star", "head")]


def row(image, number, words, patches, coverage, grid=(2, 3)):
    return {
        "image_id": image, "phrase_id": f"{image}/c0/p{number}", "split": "train", "region_ids": ["r"],
        "phrase": "a phrase", "words": words, "grid": list(grid), "patches": patches, "coverage": coverage,
        "score": 1.0, "annotator": "people",
    }  # fmt: skip


ROWS = [
    row("i2", 0, RED_CUP, [0, 5], [1.0, 0.25]),
    row("other", 0, STAR, [1], [1.0]),  # an image that is not trained on
    row("i0", 0, STAR, [3], [0.5]),
    row("i2", 1, STAR, [1, 2, 4], [0.5, 1.0, 0.75]),
    row("i3", 0, RED_CUP, [5], [1.0]),
]


@pytest.fixture
def folder(tmp_path):
    for part, rows in enumerate((ROWS[:3], ROWS[3:])):
        table = schemas.from_rows("patch_words", rows)
        dataset.write_part(tmp_path / "patch_words", part, table, "patch_words", Provenance())
    return tmp_path / "patch_words"


def slow(images, tokenizer, which):
    """Weights and words of some images, a row of the table at a time."""
    found = [[entry for entry in ROWS if entry["image_id"] == image] for image in images]
    most = max(1, max(map(len, found)))
    weights, words = np.zeros((len(images), most, 6), np.float32), [[[] for _ in range(most)] for _ in images]
    for image, entries in enumerate(found):
        for region, entry in enumerate(entries):
            for patch, share in zip(entry["patches"], entry["coverage"], strict=True):
                weights[image, region, patch] = share
            texts = [w["text"] for w in entry["words"] if which == "phrase" or w["role"] == "head"]
            words[image][region] = tokenizer.convert_tokens_to_ids([f"▁{text}" for text in texts])
    return weights, words


@pytest.mark.parametrize("which", ["phrase", "head"])
@pytest.mark.parametrize("images", [[0], [2], [1], [2, 0, 1, 3], [3, 3, 2]], ids=str)
def test_a_batch_is_what_the_rows_say(folder, words, which, images):
    loaded = supervision.load(folder, IMAGES, words, which, 6)
    weights, ids = loaded.batch(np.array(images))
    expected_weights, expected_words = slow([IMAGES[k] for k in images], words, which)
    np.testing.assert_array_equal(weights, expected_weights)
    unpadded = [
        [[i for i in region if i != words.pad_token_id] for region in image] for image in ids.tolist()
    ]
    assert unpadded == expected_words


def test_what_was_loaded_does_not_depend_on_which_images_come_first(folder, words):
    forwards = supervision.load(folder, IMAGES, words, "phrase", 6).batch(np.array([2]))
    backwards = supervision.load(folder, IMAGES[::-1], words, "phrase", 6).batch(np.array([1]))
    for ours, theirs in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_images_none_of_which_has_a_region_get_padding_alone(folder, words):
    weights, ids = supervision.load(folder, ["i1"], words, "phrase", 6).batch(np.array([0, 0]))
    assert weights.shape == (2, 1, 6)
    assert not weights.any()
    assert (ids == words.pad_token_id).all()


def test_tables_of_other_preprocessing_on_the_same_grid_are_refused(tmp_path, words, encoder_folder):
    """The same 4 x 4 patches, of a picture that is stretched rather than cropped."""
    shutil.copytree(encoder_folder, tmp_path / "models/encoder")
    table = schemas.from_rows("patch_words", [row("a", 0, RED_CUP, [1], [1.0], (4, 4))])
    made_for = {"geometry": Geometry.from_encoder(encoder_folder).digest()}
    dataset.write_part(tmp_path / "patch_words", 0, table, "patch_words", Provenance(inputs=made_for))
    supervision.check_grid(table, 16, tmp_path / "patch_words")
    path = tmp_path / "models/encoder/preprocessor_config.json"
    stretched = {"do_center_crop": False, "size": {"height": 32, "width": 32}}
    path.write_text(json.dumps(json.loads(path.read_text()) | stretched))
    with pytest.raises(
        UserError, match=r"other preprocessing.*models/encoder.*stretch.*dvc repro patch_words"
    ):
        supervision.check_grid(table, 16, tmp_path / "patch_words")


def test_tables_of_another_grid_are_refused_with_both_sizes_and_the_stage(folder, words):
    with pytest.raises(UserError, match=r"2 x 3 patch grid.*16 patches.*dvc repro patch_words"):
        supervision.load(folder, IMAGES, words, "phrase", 16)


def test_the_target_is_all_words_or_the_head():
    assert supervision.target_text(RED_CUP, "phrase") == "red cup"
    assert supervision.target_text(RED_CUP, "head") == "cup"


def test_padding_ids():
    assert supervision.pad_ids([[5], [6, 7, 8], []], 0).tolist() == [[5, 0, 0], [6, 7, 8], [0, 0, 0]]
    assert supervision.pad_ids([], 0).shape == (0, 1)


def test_a_tokenizer_without_the_words_is_refused_with_examples():
    supervision.check_words(["cup", "zebra"], [[5], [3]], unknown=3)  # half are known
    supervision.check_words([], [], unknown=3)
    supervision.check_words(["zebra"], [[4, 5]], unknown=None)  # byte-level tokenizers know all
    with pytest.raises(UserError, match=r"no token of the words of 2 of 3 regions, such as 'zebra', 'a yak'"):
        supervision.check_words(["zebra", "cup", "a yak"], [[3], [5], [3, 3]], unknown=3)


def test_with_words_a_region_is_there_once_for_each_of_its_content_words(tmp_path, words):
    rows = [
        row("i0", 0, [word("two", "number"), *RED_CUP], [0, 5], [1.0, 0.25]),
        row("i0", 1, STAR, [1], [1.0]),
        row("i2", 0, [word("none", "number")], [2], [1.0]),  # says nothing of what is there
    ]
    table = schemas.from_rows("patch_words", rows)
    dataset.write_part(tmp_path / "patch_words", 0, table, "patch_words", Provenance())
    made = supervision.load(tmp_path / "patch_words", IMAGES, words, "words", 6)
    weights, ids = made.batch(np.arange(4))
    assert [words.decode(row[row != made.pad]) for row in ids[0]] == ["red", "cup", "star"]
    assert (weights[0, 0] == weights[0, 1]).all() and weights[0, 0].tolist() == [1, 0, 0, 0, 0, 0.25]
    assert weights[0, 2].tolist() == [0, 1, 0, 0, 0, 0]
    assert not weights[1:].any()
