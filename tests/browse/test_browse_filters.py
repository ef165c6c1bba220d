"""The gallery's filters, beside a slow reading of the tables row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.browse import facets
from pipeline.browse.index import Filters, Index
from pipeline.browse.store import load
from pipeline.errors import UserError
from pipeline.tables import dataset


@pytest.fixture(scope="module")
def index(data):
    return Index(load(data))


@pytest.fixture(scope="module")
def tables(data):
    """Rows of the tables as dicts, and by image the (stage, reason) of its rejects, by the key."""
    rows = {name: dataset.read(data / name).to_pylist() for name in ("images", "patch_words")}
    rejected = {row["image_id"]: set() for row in rows["images"]}
    for stage in ("ingest", "parse", "ground", "patch_words"):
        for row in dataset.read(data / "rejects" / stage).to_pylist():
            for image_id, found in rejected.items():
                if f":{image_id}/" in row["key"] or row["key"].endswith(f":{image_id}"):
                    found.add((stage, row["reason"]))
    return rows, rejected


def slow(tables, filters: Filters) -> tuple[list[str], list[str]]:
    """Ids of the images and of the phrases that the filters hold for."""
    rows, rejected = tables
    wanted, _, reason = filters.rejects.partition("/")
    images = []
    for image in rows["images"]:
        has = {
            r
            for stage, r in rejected[image["image_id"]]
            if wanted in ("any", "none", stage) and reason in ("", r)
        }
        if (not filters.split or image["split"] == filters.split) and (
            not wanted or bool(has) == (wanted != "none")
        ):
            images.append(image["image_id"])
    phrases = [
        row
        for row in rows["patch_words"]
        if row["image_id"] in images
        and (not filters.word or any(filters.word in (w["lemma"], w["text"].lower()) for w in row["words"]))
        and (not filters.annotator or row["annotator"] == filters.annotator)
        and (filters.score_min is None or row["score"] >= np.float32(filters.score_min))
        and (filters.score_max is None or row["score"] <= np.float32(filters.score_max))
        and (filters.coverage_min is None or max(row["coverage"]) >= np.float32(filters.coverage_min))
        and (filters.coverage_max is None or max(row["coverage"]) <= np.float32(filters.coverage_max))
    ]
    if filters.on_rows:
        images = [name for name in images if any(row["image_id"] == name for row in phrases)]
    return images, [row["phrase_id"] for row in phrases]


def fast(index: Index, filters: Filters) -> tuple[list[str], list[str]]:
    found = index.select(filters)
    store = index.store
    images = store.tables["images"]["image_id"].to_pylist()
    phrases = store.tables["patch_words"]["phrase_id"].to_pylist()
    return [images[row] for row in found.images], [phrases[row] for row in found.patch_words]


shares = st.none() | st.sampled_from([0.0, 0.2, 0.3, 0.45, 0.5, 0.75, 0.9, 1.0])


@settings(max_examples=150, deadline=None)
@given(
    st.builds(
        Filters,
        split=st.sampled_from(["", "train", "validation", "test"]),
        word=st.sampled_from(["", "red", "cup", "table", "zebra"]),
        annotator=st.sampled_from(["", "owlv2", "grounding_dino"]),
        score_min=shares,
        score_max=shares,
        coverage_min=shares,
        coverage_max=shares,
        rejects=st.sampled_from(["", "any", "none", "parse", "ground/not_found", "ingest"]),
    )
)
def test_filters_leave_the_rows_that_a_slow_reading_leaves(index, tables, filters):
    assert fast(index, filters) == slow(tables, filters)


def test_without_filters_all_is_shown(index, tables):
    rows, _ = tables
    assert fast(index, Filters()) == (
        [row["image_id"] for row in rows["images"]],
        [row["phrase_id"] for row in rows["patch_words"]],
    )


def test_a_condition_holds_together_with_the_other_filters(index):
    """Images 0, 1, 2 are of the train split and their red cups' scores are 0.2, 0.3, 0.4."""
    images, phrases = fast(index, Filters(split="train", where="score < 0.35 and word = 'cup'"))
    assert (images, phrases) == (["one", "two"], ["one/c0/p0", "two/c0/p0"])


def test_a_condition_with_a_typo_names_the_columns(index):
    with pytest.raises(UserError, match=r"scroe.*score.*annotator"):
        index.select(Filters(where="scroe < 0.3"))


def test_a_split_or_stage_that_is_not_there_is_told(index):
    with pytest.raises(UserError, match="train, validation, test"):
        index.select(Filters(split="dev"))
    with pytest.raises(UserError, match="ingest, parse, ground, patch_words"):
        index.select(Filters(rejects="pretrain/loss"))


def test_counts_of_words_are_those_of_the_rows_that_carry_them(index, tables):
    rows, _ = tables
    expected = {}
    for row in rows["patch_words"]:
        for lemma in {word["lemma"] for word in row["words"]}:
            expected[lemma] = expected.get(lemma, 0) + 1
    counted = facets.words(index.store)
    assert dict(counted) == expected
    assert [rows for _, rows in counted] == sorted(expected.values(), reverse=True)


def test_a_reject_is_of_the_image_that_its_key_starts_with(index):
    """``dir/five six`` has a slash of its own; ``image:gone`` is no image of the dataset."""
    ids = index.image_ids.to_pylist()
    of = {
        stage: [ids[row] if row >= 0 else None for row in rows] for stage, rows in index.reject_images.items()
    }
    assert of["ground"] == ids
    assert of["parse"] == ["one", "three", "dir/five six"]
    assert of["ingest"] == [None]
