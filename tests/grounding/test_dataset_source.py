"""Grounding by human annotations: which objects a phrase takes, and why it takes none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_phrases import phrase, shard, span, thing

from pipeline.grounding.dataset import REASONS, DatasetAnnotator
from pipeline.params import DatasetSourceParams
from pipeline.tables import masks, schemas


def ground(phrases: list[dict], objects: list[dict], several: str = "all", crowds: bool = True) -> dict:
    params = DatasetSourceParams(several=several, crowds=crowds)
    return DatasetAnnotator(params).ground(shard(phrases, objects))


def taken(said: dict, objects: list[dict], several: str = "all", crowds: bool = True) -> list[int] | str:
    """Which of the objects a phrase takes (each object's box tells it apart), or the reject's reason."""
    objects = [{**row, "box": [0, 0, number + 1, 1]} for number, row in enumerate(objects)]
    tables = ground([said], objects, several, crowds)
    if tables["rejects"].num_rows:
        (reject,) = tables["rejects"].to_pylist()
        assert not tables["regions"].num_rows and reject["key"] == f"phrase:{said['phrase_id']}"
        return reject["reason"]
    return [int(region["box"][2]) - 1 for region in tables["regions"].to_pylist()]


def test_a_region_carries_the_objects_place():
    mask = masks.encode(np.eye(10, dtype=bool))
    dog = thing("dog", 3, box=[1, 2, 3, 4], mask=mask)
    (region,) = ground([phrase("a/- dog")], [thing("cat"), dog])["regions"].to_pylist()
    assert region == {
        "region_id": "7/c0/p0/r0",
        "phrase_id": "7/c0/p0",
        "image_id": "7",
        "box": [1, 2, 3, 4],
        "mask": mask,
        "score": 1.0,
        "annotator": "dataset",
    }


def test_regions_are_numbered_within_their_phrase_in_order_of_phrases_and_objects():
    phrases = [
        phrase("dogs", "dog", phrase_id="7/c0/p0", is_plural=True),
        phrase("a/- cat", phrase_id="7/c0/p1"),
        phrase("sky", phrase_id="7/c0/p2"),
        phrase("dogs", "dog", image_id="8", is_plural=True),
    ]
    objects = [thing("dog", 1), thing("cat", 2), thing("dog", 3), thing("dog", 4, image_id="8")]
    tables = ground(phrases, objects)
    assert tables["regions"]["region_id"].to_pylist() == [
        "7/c0/p0/r0",
        "7/c0/p0/r1",
        "7/c0/p1/r0",
        "8/c0/p0/r0",
    ]
    assert tables["rejects"]["key"].to_pylist() == ["phrase:7/c0/p2"]


def test_objects_of_other_images_are_not_taken():
    assert taken(phrase("a/- dog"), [thing("dog", image_id="8"), thing("cat")]) == "no_object"


@pytest.mark.parametrize(
    ("several", "result"), [("all", [0, 1]), ("largest", [1]), ("skip", "several_objects")]
)
def test_a_singular_noun_with_several_candidates_follows_the_setting(several, result):
    assert taken(phrase("a/- dog"), [thing("dog"), thing("dog")], several) == result


def test_the_first_of_equally_large_objects_is_the_largest():
    dogs = [thing("dog", 1), thing("dog", 2)]
    tables = ground([phrase("a/- dog")], [{**dog, "mask": None} for dog in dogs], "largest")
    assert tables["regions"].num_rows == 1
    small = thing("dog", 1, mask=masks.encode(np.ones((1, 1), bool)))
    large = thing("dog", 2, mask=masks.encode(np.ones((2, 2), bool)))
    (region,) = ground([phrase("a/- dog")], [small, large], "largest")["regions"].to_pylist()
    assert region["mask"] == small["mask"]


@pytest.mark.parametrize("several", ["all", "largest", "skip"])
def test_plurals_and_nouns_for_many_take_all(several):
    people = [thing("person"), thing("dog"), thing("person")]
    assert taken(phrase("people", is_plural=True), people, several) == [0, 2]
    assert taken(phrase("a/- crowd"), people, several) == [0, 2]
    assert taken(phrase("five/n dogs", "dog", is_plural=True), people, several) == [1]


def test_crowd_regions_ground_plurals_if_the_setting_says_so():
    one, crowd = thing("person"), thing("person", is_crowd=True)
    people, man = phrase("people", is_plural=True), phrase("a/- man")
    assert taken(people, [crowd, one]) == [0, 1]
    assert taken(people, [crowd, one], crowds=False) == [1]
    assert taken(people, [crowd]) == [0]
    assert taken(people, [crowd], crowds=False) == "crowd_only"
    assert taken(man, [crowd, one], "skip") == [1]
    assert taken(man, [crowd]) == "crowd_only"


def test_attributes_have_to_agree_where_an_object_has_any():
    red, blue, unknown = (
        thing("cup", attributes=["red", "striped"]),
        thing("cup", attributes=["blue"]),
        thing("cup"),
    )
    assert taken(phrase("a/- red/a cup"), [red, blue]) == [0]
    assert taken(phrase("a/- cup"), [red, blue]) == [0, 1]
    assert taken(phrase("a/- blue/a cup"), [red, blue, unknown]) == [1, 2]
    assert taken(phrase("a/- Red/a striped/a cup"), [red, blue]) == [0]
    assert taken(phrase("a/- green/a cup"), [red, blue]) == "no_object"
    # An attribute that belongs to the name is none of the object's.
    assert taken(phrase("a/- hot/a dog"), [thing("hot dog", attributes=["red"])]) == [0]


def test_an_attribute_after_the_head_counts_too():
    cup = phrase("cup red/a")
    assert taken(cup, [thing("cup", attributes=["blue"]), thing("cup", attributes=["red"])]) == [1]


def test_a_link_decides_for_every_phrase_of_its_caption():
    # "a red cup" is at characters 10 to 19, its head at 16 to 19.
    cup = phrase("a/- red/a cup")
    linked = thing("mug", phrase=[span(10, 19)])
    assert taken(cup, [thing("cup"), linked]) == [1]
    assert taken(cup, [linked, thing("cup"), linked], "skip") == [0, 2]
    assert taken(cup, [thing("cup"), thing("cup", phrase=[span(0, 9)])]) == "not_linked"
    assert taken(cup, [thing("cup"), thing("cup", phrase=[span(10, 19, "7/c1")])]) == [0, 1]
    assert taken(cup, [thing("cup"), thing("mug", image_id="8", phrase=[span(10, 19)])]) == [0]


@pytest.mark.parametrize(
    ("start", "end", "is_linked"),
    [(16, 19, True), (0, 99, True), (10, 18, False), (17, 30, False), (10, 16, False), (19, 22, False)],
)
def test_a_linked_span_has_to_hold_the_head(start, end, is_linked):
    found = taken(phrase("a/- red/a cup"), [thing("cup", phrase=[span(start, end)])])
    assert found == ([0] if is_linked else "not_linked")


def test_one_object_may_be_linked_from_several_captions():
    cup = thing("cup", phrase=[span(10, 15, "7/c0"), span(10, 15, "7/c1")])
    phrases = [
        phrase("a/- cup"),
        phrase("a/- cup", caption_id="7/c1", phrase_id="7/c1/p0"),
    ]
    assert ground(phrases, [cup])["regions"]["region_id"].to_pylist() == ["7/c0/p0/r0", "7/c1/p0/r0"]


def test_a_phrase_without_a_head_names_nothing():
    assert taken(phrase("red/a"), [thing("cup")]) == "not_a_category"
    assert taken(phrase("red/a"), [thing("cup", phrase=[span(0, 99)])]) == "not_linked"


def test_empty_tables_give_empty_tables():
    tables = ground([], [])
    assert tables["regions"].equals(schemas.empty("regions")) and not tables["rejects"].num_rows
    assert ground([phrase("a/- dog")], [])["rejects"]["reason"].to_pylist() == ["no_object"]


NOUNS = ["dog", "man", "people", "fruit", "bike", "sky", "cup", "crowd", "glass", "teddy/c bear", "hot/a dog"]
LABELS = ["dog", "person", "banana", "apple", "bicycle", "motorcycle", "cup", "bear", "teddy bear", "hot dog"]
PHRASES = st.lists(
    st.builds(
        phrase,
        st.sampled_from(NOUNS),
        image_id=st.sampled_from("789"),
        is_plural=st.booleans(),
    ),
    max_size=8,
)
OBJECTS = st.lists(
    st.builds(
        thing,
        st.sampled_from(LABELS),
        image_id=st.sampled_from("789"),
        is_crowd=st.booleans(),
        attributes=st.sampled_from([[], ["red"], ["hot"]]),
        phrase=st.lists(st.builds(span, st.just(10), st.integers(10, 25), st.sampled_from(["7/c0", "8/c0"]))),
    ),
    max_size=10,
)


@given(PHRASES, OBJECTS, st.sampled_from(["all", "largest", "skip"]), st.booleans())
def test_every_phrase_is_grounded_or_rejected_once(phrases, objects, several, crowds):
    phrases = [{**row, "phrase_id": f"{row['caption_id']}/p{n}"} for n, row in enumerate(phrases)]
    tables = ground(phrases, objects, several, crowds)
    grounded = set(tables["regions"]["phrase_id"].to_pylist())
    rejected = [key.removeprefix("phrase:") for key in tables["rejects"]["key"].to_pylist()]
    assert len(rejected) == len(set(rejected)) and not grounded & set(rejected)
    assert grounded | set(rejected) == {row["phrase_id"] for row in phrases}
    assert set(tables["rejects"]["reason"].to_pylist()) <= REASONS.keys()
    region_ids = tables["regions"]["region_id"].to_pylist()
    assert len(set(region_ids)) == len(region_ids)


@given(PHRASES, OBJECTS)
def test_a_shard_gives_what_its_images_give_alone(phrases, objects):
    """No image's phrases depend on which other images share the shard, labels being known ones."""
    together = ground(phrases, objects)
    alone = [
        ground(
            [row for row in phrases if row["image_id"] == image_id],
            [row for row in objects if row["image_id"] == image_id],
        )
        for image_id in "789"
    ]
    for name, key in (("regions", "region_id"), ("rejects", "key")):
        expected = sorted(value for tables in alone for value in tables[name][key].to_pylist())
        assert sorted(together[name][key].to_pylist()) == expected


def test_the_digest_follows_the_settings():
    one, same, other = (
        DatasetAnnotator(DatasetSourceParams(several=several, crowds=True)).digest()
        for several in ("all", "all", "skip")
    )
    assert one == same != other
