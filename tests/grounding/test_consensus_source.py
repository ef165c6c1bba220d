"""Consensus: what enough sources say of a phrase in one place, and nothing else."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from made_phrases import phrase, shard
from pydantic import ValidationError

from pipeline import params
from pipeline.errors import UserError
from pipeline.grounding import open_annotator
from pipeline.grounding.consensus import ConsensusAnnotator, agree
from pipeline.params import ConsensusParams
from pipeline.tables import masks, schemas
from pipeline.tables.rejects import Rejects

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    """A source that says what it was told to: (phrase, box, score)."""

    name: str
    places: tuple = ()
    mask: dict | None = None

    def digest(self):
        return self.name

    def ground(self, inputs):
        rows, rejects = [], Rejects("ground", {"none": "none"})
        for row in inputs.phrases.to_pylist():
            mine = [place for place in self.places if place[0] == row["phrase_id"]]
            for n, (phrase_id, box, score) in enumerate(mine):
                names = {"region_id": f"{phrase_id}/r{n}", "phrase_id": phrase_id, "image_id": "7"}
                rows.append({**names, "box": box, "mask": self.mask, "score": score, "annotator": self.name})
            if not mine:
                rejects.add(f"phrase:{row['phrase_id']}", "none")
        return {"regions": schemas.from_rows("regions", rows), "rejects": rejects.table()}


def consensus(*members, agree=2, iou=0.5):
    # Names of real sources, so that the settings are valid; what they say is made.
    names = ("dataset", "open_clip", "owlv2", "grounding_dino")[: len(members)]
    return ConsensusAnnotator(settings_of(names, agree, iou), members)


def settings_of(names, agree=2, iou=0.5, **changes):
    """Consensus of the named sources, each with the default profile's settings and some changes."""
    ground = yaml.safe_load((ROOT / "profiles" / "embedded.yaml").read_text())["ground"]
    sources = {name: {**ground[name], **changes.get(name, {})} for name in names}
    return ConsensusParams.model_validate({"sources": sources, "agree": agree, "iou": iou})


PHRASES = [phrase("dog", phrase_id=f"p{n}") for n in range(3)]
MASK = masks.encode(np.eye(10, dtype=bool))


def test_two_sources_by_hand():
    first = Said(
        "a", (("p0", [0, 0, 10, 10], 0.8), ("p0", [50, 50, 60, 60], 0.9), ("p1", [0, 0, 4, 4], 1)), MASK
    )
    second = Said("b", (("p0", [0, 0, 10, 8], 0.6), ("p1", [5, 5, 9, 9], 1), ("p2", [0, 0, 10, 10], 1)))
    out = consensus(first, second).ground(shard(PHRASES, []))
    (region,) = out["regions"].to_pylist()
    assert region.pop("score") == pytest.approx((0.8 + 0.6) / 2)
    assert region == {
        "region_id": "p0/r0",
        "phrase_id": "p0",
        "image_id": "7",
        "box": [0, 0, 10, 10],  # the first source's, as it is
        "mask": MASK,
        "annotator": "consensus",
    }
    assert [(row["key"], row["reason"], row["message"]) for row in out["rejects"].to_pylist()] == [
        ("phrase:p1", "no_agreement", "regions found: a 1, b 1"),
        ("phrase:p2", "no_agreement", "regions found: a 0, b 1"),
    ]


def test_two_of_three_are_enough_and_all_three_score_higher():
    box = [0, 0, 10, 10]
    a = Said("a", (("p0", box, 0.9), ("p1", box, 0.9)))
    b = Said("b", (("p0", box, 0.6), ("p2", box, 0.6)))
    c = Said("c", (("p0", box, 0.6), ("p1", box, 0.6), ("p2", box, 0.6)))
    regions = consensus(a, b, c).ground(shard(PHRASES, []))["regions"].to_pylist()
    assert [r["phrase_id"] for r in regions] == ["p0", "p1", "p2"]
    assert [r["score"] for r in regions] == pytest.approx([2.1 / 3, 1.5 / 3, 1.2 / 3])
    assert consensus(a, b, c, agree=3).ground(shard(PHRASES, []))["regions"].num_rows == 1


def test_the_least_overlap_is_enough():
    a, b = Said("a", (("p0", [0, 0, 10, 10], 1),)), Said("b", (("p0", [0, 0, 10, 5], 1),))
    assert consensus(a, b, iou=0.5).ground(shard(PHRASES, []))["regions"].num_rows == 1
    assert consensus(a, b, iou=0.51).ground(shard(PHRASES, []))["regions"].num_rows == 0


def test_a_source_does_not_agree_with_itself():
    a = Said("a", (("p0", [0, 0, 10, 10], 1), ("p0", [0, 0, 10, 9], 1)))
    assert consensus(a, Said("b")).ground(shard(PHRASES, []))["regions"].num_rows == 0


def test_a_region_has_one_partner_in_a_source_and_the_best_score_chooses_first():
    a = Said("a", (("p0", [0, 0, 10, 8], 0.5), ("p0", [0, 0, 10, 10], 0.9)))
    b = Said("b", (("p0", [0, 0, 10, 9], 1.0),))
    (region,) = consensus(a, b).ground(shard(PHRASES, []))["regions"].to_pylist()
    assert (region["box"], region["score"]) == ([0, 0, 10, 10], pytest.approx(0.95))


def slow(phrase_of, sources, boxes, scores, iou, least, count):
    """One region after another, every other one looked at."""

    def overlap(a, b):
        width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
        shared = width * height
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
        return shared / union if union else 0.0

    used, kept = set(), []
    for row in sorted(range(len(scores)), key=lambda i: (sources[i], -scores[i], i)):
        if row in used:
            continue
        group = [row]
        for source in range(sources[row] + 1, count):
            others = [
                i
                for i in range(len(scores))
                if sources[i] == source and phrase_of[i] == phrase_of[row] and i not in used
            ]
            others = [i for i in others if overlap(boxes[row], boxes[i]) >= iou]
            if others:
                group.append(max(others, key=lambda i: (overlap(boxes[row], boxes[i]), -i)))
        if len(group) >= least:
            used.update(group)
            kept.append((row, sum(scores[i] for i in group) / count))
    return kept


@settings(deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(0, 25),
    st.integers(2, 4),
    st.integers(2, 3),
    st.sampled_from([0.2, 0.5]),
)
def test_all_at_once_is_one_after_another(seed, regions, sources, least, iou):
    random = np.random.default_rng(seed)
    phrase_of, source_of = random.integers(0, 3, regions), random.integers(0, sources, regions)
    start = random.integers(0, 4, (regions, 2))
    boxes = np.concatenate([start, start + random.integers(1, 5, (regions, 2))], axis=1).astype(float)
    scores = random.integers(1, 5, regions) / 4
    rows, combined = agree(phrase_of, source_of, boxes, scores, iou, least, sources)
    expected = slow(phrase_of, source_of, boxes, scores, iou, least, sources)
    assert rows.tolist() == [row for row, _ in expected]
    assert combined.tolist() == pytest.approx([score for _, score in expected])


def test_without_phrases_or_regions_there_is_nothing():
    out = consensus(Said("a"), Said("b")).ground(shard([], []))
    assert (out["regions"].num_rows, out["rejects"].num_rows) == (0, 0)
    out = consensus(Said("a"), Said("b")).ground(shard(PHRASES, []))
    assert (out["regions"].num_rows, out["rejects"].num_rows) == (0, 3)


def test_the_digest_follows_the_sources_and_the_settings():
    digests = {
        consensus(Said("a"), Said("b")).digest(),
        consensus(Said("a"), Said("c")).digest(),
        consensus(Said("a"), Said("b"), iou=0.6).digest(),
    }
    assert len(digests) == 3


def test_settings_that_do_not_fit_are_told():
    with pytest.raises(UserError, match=r"consensus\.agree: found 3 with 2 sources"):
        consensus(Said("a"), Said("b"), agree=3)
    with pytest.raises(ValidationError, match="two sources or more"):
        settings_of(["dataset"])
    with pytest.raises(ValidationError, match=r"(?s)sources\.open_clip\.threshold.*less than or equal to 1"):
        settings_of(["dataset", "open_clip"], open_clip={"threshold": 7})


def test_sources_stand_in_the_order_given_with_their_own_settings():
    made = settings_of(["open_clip", "dataset"], open_clip={"threshold": 0.9})
    assert list(made.sources) == ["open_clip", "dataset"]
    assert made.sources["open_clip"].threshold == 0.9
    again = ConsensusParams.model_validate_json(made.model_dump_json())
    assert list(again.sources) == ["open_clip", "dataset"]
    assert again == made


def test_a_members_settings_change_the_digest_but_for_the_size_of_its_batches():
    raw = yaml.safe_load((ROOT / "profiles" / "embedded.yaml").read_text())
    raw["ground"]["source"] = "consensus"
    sources = raw["ground"]["consensus"]["sources"]
    sources["owlv2"] = raw["ground"]["owlv2"] | {"model": "a/hub-name"}
    del sources["open_clip"]  # it reads a model that is not there

    def digest(**changes):
        changed = deepcopy(raw)
        changed["ground"]["consensus"]["sources"]["owlv2"].update(changes)
        return open_annotator(params.parse(changed).ground).digest()

    assert digest(batch_size=99) == digest()
    assert digest(threshold=0.9) != digest()
