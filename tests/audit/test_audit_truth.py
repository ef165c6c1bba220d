"""Which boxes are a phrase's true ones, what sources are shown of them, and which images are looked at."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from pipeline import params as all_params
from pipeline.audit import images, truth
from pipeline.audit.__main__ import content, run, write
from pipeline.audit.audit import audit
from pipeline.grounding.base import ShardInputs
from pipeline.grounding.dataset import DatasetAnnotator
from pipeline.params import DatasetSourceParams
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance

WORDS = "A red dog and a dog beside people near a thing."


def phrase(number: int, text: str, image_id: str = "7", is_plural: bool = False) -> dict:
    """A phrase of `WORDS`: its last word is the head, one before it an attribute."""
    caption_id, start = f"{image_id}/c0", WORDS.index(text)
    words = []
    for part in text.split():
        at = WORDS.index(part, start)
        role = "head" if text.endswith(part) else "attribute"
        words.append({"text": part, "lemma": part, "role": role, "start": at, "end": at + len(part)})
    return {
        "phrase_id": f"{caption_id}/p{number}", "caption_id": caption_id, "image_id": image_id, "text": text,
        "start": start, "end": start + len(text), "is_plural": is_plural, "words": words,
    }  # fmt: skip


def thing(number: int, label: str, box: list[float], image_id: str = "7", **changes) -> dict:
    return {
        "object_id": f"{image_id}/o{number}", "image_id": image_id, "label": label, "attributes": [],
        "box": box, "mask": None, "is_crowd": False, "phrase": [], **changes,
    }  # fmt: skip


def span(text: str, image_id: str = "7") -> dict:
    start = WORDS.index(text)
    return {"caption_id": f"{image_id}/c0", "start": start, "end": start + len(text)}


def image(image_id: str = "7", split: str = "test") -> dict:
    return {
        "image_id": image_id, "image": {"bytes": None, "path": "7.jpg"}, "sha256": "0" * 64, "width": 100,
        "height": 50, "split": split,
    }  # fmt: skip


def shard(phrases: list[dict], objects: list[dict], ids: tuple[str, ...] = ("7",)) -> ShardInputs:
    captions = [{"caption_id": f"{one}/c0", "image_id": one, "text": WORDS} for one in ids]
    return ShardInputs(
        images=schemas.from_rows("images", [image(one) for one in ids]),
        captions=schemas.from_rows("captions", captions),
        phrases=schemas.from_rows("phrases", phrases),
        objects=schemas.from_rows("objects", objects),
        root=Path(),
    )


DOGS = [
    thing(0, "dog", [0, 0, 10, 10], attributes=["red"]),
    thing(1, "dog", [20, 0, 30, 10], attributes=["blue"]),
]


def test_where_objects_are_linked_the_link_is_the_truth():
    linked = [{**DOGS[0], "phrase": [span("red dog")]}, DOGS[1]]
    found = truth.true_boxes(shard([phrase(0, "red dog"), phrase(1, "people")], linked))
    assert found.phrases["text"].to_pylist() == ["red dog"] and found.nouns == ["dog"]
    assert found.boxes.tolist() == [[0, 0, 10, 10]] and found.linked.tolist() == [True]
    assert found.left_out == {"not_linked": 1}


def test_elsewhere_the_label_is_and_a_phrase_means_all_it_names():
    found = truth.true_boxes(shard([phrase(0, "dog"), phrase(1, "thing")], DOGS))
    assert found.boxes.tolist() == [[0, 0, 10, 10], [20, 0, 30, 10]]
    assert found.phrase_of.tolist() == [0, 0] and found.linked.tolist() == [False]
    assert found.left_out == {"not_a_category": 1}


def test_crowds_cannot_be_judged():
    crowd = thing(2, "person", [0, 0, 90, 40], is_crowd=True)
    one = thing(3, "person", [0, 0, 9, 40])
    found = truth.true_boxes(
        shard([phrase(0, "people", is_plural=True), phrase(1, "red dog")], [crowd, one, *DOGS])
    )
    assert found.phrases["text"].to_pylist() == ["red dog"] and found.phrase_of.tolist() == [0]
    assert found.left_out == {"crowd": 1}


def test_nothing_at_all_is_no_truth():
    found = truth.true_boxes(shard([], []))
    assert found.phrases.num_rows == 0 and found.boxes.shape == (0, 4) and found.left_out == {}


@dataclass
class Onlooker:
    """A source that finds nothing and remembers what it was shown."""

    name: str = "onlooker"
    seen: list[ShardInputs] = field(default_factory=list)

    def digest(self) -> str:
        return "0"

    def ground(self, shown: ShardInputs) -> dict:
        self.seen.append(shown)
        rows = [
            {"stage": "ground", "key": f"phrase:{one}", "reason": "no_object", "message": "none"}
            for one in shown.phrases["phrase_id"].to_pylist()
        ]
        return {"regions": schemas.empty("regions"), "rejects": schemas.from_rows("rejects", rows)}


def test_a_source_sees_no_links_and_only_images_that_can_be_judged():
    linked = [{**DOGS[0], "phrase": [span("red dog")]}, DOGS[1]]
    rows = [phrase(0, "red dog"), phrase(1, "people"), phrase(0, "thing", "8")]
    onlooker = Onlooker()
    found = audit(onlooker, [shard(rows, linked, ("7", "8"))], 10, 0)
    (shown,) = onlooker.seen
    assert shown.objects["phrase"].to_pylist() == [[], []]
    assert shown.objects.drop_columns("phrase").equals(
        schemas.from_rows("objects", linked).drop_columns("phrase")
    )
    assert shown.images["image_id"].to_pylist() == shown.captions["image_id"].to_pylist() == ["7"]
    assert shown.phrases["text"].to_pylist() == ["red dog"]
    assert found.images == 2 and found.rejected == {"no_object": 1}
    assert found.left_out == {"not_linked": 1, "not_a_category": 1}


def test_labels_and_attributes_find_what_the_links_say_or_not():
    """The source ``dataset`` without links: right where words tell, too much where they do not."""
    linked = [
        {**DOGS[0], "phrase": [span("red dog")]},
        {**DOGS[1], "phrase": [span("a dog beside")]},
    ]
    rows = [phrase(0, "red dog"), {**phrase(1, "dog beside"), "words": phrase(1, "dog")["words"]}]
    rows[1]["words"][0]["start"] = WORDS.index("dog beside")
    rows[1]["words"][0]["end"] = rows[1]["words"][0]["start"] + 3
    source = DatasetAnnotator(DatasetSourceParams(several="all", crowds=True))
    red, bare = audit(source, [shard(rows, linked)], 10, 0).results.to_pylist()
    assert (red["found"], red["right"]) == ([True], [True])
    assert (bare["found"], bare["right"]) == ([True], [False, True]), "both dogs are taken, one is meant"


def test_a_rule_audited_against_itself_is_right_by_definition():
    source = DatasetAnnotator(DatasetSourceParams(several="all", crowds=True))
    found = audit(source, [shard([phrase(0, "dog")], DOGS)], 10, 0)
    assert {one.value for one in found.measures.overall.values()} == {1.0}


def _write(data: Path, parts: list[list[dict]]) -> None:
    for number, rows in enumerate(parts):
        ids = [row["image_id"] for row in rows]
        made = shard([phrase(0, "dog", one) for one in ids], [], tuple(ids))
        tables = {"captions": made.captions, "phrases": made.phrases, "objects": made.objects}
        for name, table in {**tables, "images": schemas.from_rows("images", rows)}.items():
            dataset.write_part(data / name, number, table, name, Provenance())


def test_images_are_chosen_by_their_ids_from_the_splits_that_are_asked_for(tmp_path):
    splits = ["train", "validation", "test"]
    rows = [image(f"i{number}", splits[number % 3]) for number in range(60)]
    _write(tmp_path / "one", [rows])
    _write(tmp_path / "two", [rows[30:], rows[:30]])
    chosen = images.choose(tmp_path / "one", ["validation", "test"], 12)
    assert len(set(chosen)) == 12 and all(int(one[1:]) % 3 for one in chosen)
    assert set(chosen) == set(images.choose(tmp_path / "two", ["test", "validation"], 12))
    assert set(chosen) < set(images.choose(tmp_path / "one", ["validation", "test"], 13))
    assert len(images.choose(tmp_path / "one", ["test"], 1000)) == 20


def test_shards_hold_the_rows_of_the_chosen_images(tmp_path):
    _write(tmp_path, [[image("a"), image("b")], [image("c")], [image("d")]])
    found = list(images.shards(tmp_path, ["b", "d"], tmp_path))
    for name in images.TABLES:
        if name != "objects":
            assert [getattr(one, name)["image_id"].to_pylist() for one in found] == [["b"], ["d"]]


def test_the_files_say_what_was_found(tmp_path):
    source = DatasetAnnotator(DatasetSourceParams(several="largest", crowds=True))
    found = audit(source, [shard([phrase(0, "dog"), phrase(1, "thing")], DOGS)], 10, 0)
    for _ in range(2):  # the second time over the first
        write(found, tmp_path / "audit" / "dataset", Provenance())
    folder = tmp_path / "audit" / "dataset"
    assert sorted(path.name for path in folder.iterdir()) == ["audit.json", "metrics.json", "results"]
    assert sorted(path.name for path in (tmp_path / "audit").iterdir()) == ["dataset"]
    flat = json.loads((folder / "metrics.json").read_text())
    assert (flat["images"], flat["phrases"], flat["recall"], flat["precision"]) == (1, 1, 0.5, 1.0)
    whole = json.loads((folder / "audit.json").read_text())
    assert whole == json.loads(json.dumps(content(found)))
    assert whole["left_out"] == {"not_a_category": 1}
    assert dataset.read(folder / "results").equals(found.results)


def test_a_dataset_without_boxes_is_audited_to_nothing_and_no_model_is_asked_for(tmp_path):
    _write(tmp_path / "data", [[image("a")], [image("b")]])
    settings = all_params.load(Path(__file__).parents[2] / "params.yaml")
    assert settings.ground.open_clip.model.startswith("local-dir:"), "a model that is not there"
    missing = settings.ground.open_clip.model_copy(update={"model": "local-dir:nowhere"})
    settings = settings.model_copy(
        update={"ground": settings.ground.model_copy(update={"open_clip": missing})}
    )
    found = run("open_clip", settings, tmp_path / "data")
    assert found.images == 2 and found.results.num_rows == 0 and found.measures.overall == {}
    assert json.loads((tmp_path / "data/audit/open_clip/metrics.json").read_text()) == {
        "images": 2,
        "phrases": 0,
    }


@pytest.mark.parametrize("several", ["all", "largest"])
def test_settings_of_the_source_do_not_change_the_truth(several):
    source = DatasetAnnotator(DatasetSourceParams(several=several, crowds=True))
    found = audit(source, [shard([phrase(0, "dog")], DOGS)], 10, 0)
    assert np.array(found.results["true_boxes"].to_pylist()).shape == (1, 2, 4)
