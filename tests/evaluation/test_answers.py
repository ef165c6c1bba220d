"""Which examples are asked, how answers are scored under each task's rule, and that readers read right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline import params as parameters
from pipeline.evaluation import subjects as loading
from pipeline.evaluation.answers import TASKS, choose, score, summarise
from pipeline.evaluation.regions import Regions
from pipeline.evaluation.scores import measure
from pipeline.evaluation.subjects import Subjects
from pipeline.evaluation.world import World
from pipeline.models import language_model
from pipeline.models.boxes import BoxFormat
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.training.features import Features

BOXES = BoxFormat("bins", 16)
SETTINGS = parameters.load(Path(__file__).parents[2] / "params.yaml").evaluate.model_copy(
    update={"bootstrap": 50, "batch_size": 3}
)
OBJECTS = {
    "i0": [
        {"label": "cup", "attributes": ["red"], "box": [0, 0, 32, 32]},
        {"label": "star", "attributes": ["blue"], "box": [32, 32, 64, 64]},
    ],
    "i1": [{"label": "box", "attributes": ["green"], "box": [0, 0, 64, 64]}],
}
CAPTIONS = {"i0": ["a red cup and a blue star"], "i1": ["a green box"]}
WORLD = World({"i0": (64, 64), "i1": (64, 64)}, CAPTIONS, OBJECTS)


def example(task, image, prompt, reference, kind=None, box=None, number=0, earlier=()):
    return {
        "conversation_id": f"{image}/{task}{number}", "image_id": image, "task": task, "kind": kind,
        "prompt": prompt, "reference": reference, "box": box, "texts": [*earlier, prompt, reference],
    }  # fmt: skip


ROWS = [
    example("caption", "i0", "describe", "a red cup and a blue star"),
    example("caption", "i1", "describe", "a green box"),
    example("referring", "i0", "where is the cup ?", "", box=[0.0, 0.0, 32.0, 32.0]),
    example("referring", "i0", "where is the star ?", "", box=[32.0, 32.0, 64.0, 64.0]),
    example("referring", "i1", "where is the box ?", "", box=[0.0, 0.0, 64.0, 64.0]),
    example("region", "i1", "what is in <b00> <b00> <b15> <b15> ?", "a green box"),
    example("question", "i0", "how many ?", "two", kind="count"),
    example("instruction", "i0", "one word", "red", kind="one_word"),
]
SAID = [
    "a red cup and a green star",  # half of the objects
    "a green box .",
    "<b00> <b00> <b07> <b07>",  # right to half a bin
    "it is to the right",  # no box
    "<b08> <b08> <b15> <b15>",  # a quarter of it
    "a green box",
    "2",
    "it is red",  # the right word in the wrong form
]


def test_every_task_s_rule_by_hand():
    table = score(ROWS, SAID, WORLD, BOXES)
    assert table.schema.equals(schemas.SCHEMAS["predictions"])
    assert table["score"].to_pylist() == [0.5, 1, 1, 0, 0, 1, 1, 0]
    assert table["prediction"].to_pylist() == SAID
    assert table["answer"].to_pylist() == [row["reference"] for row in ROWS]


def test_boxes_are_read_from_referring_answers_alone():
    boxes = score(ROWS, SAID, WORLD, BOXES)["predicted_box"].to_pylist()
    assert boxes[2] == [2, 2, 30, 30]  # bins of four pixels, read at their centres
    assert [box is None for box in boxes] == [True, True, False, True, False, True, True, True]
    assert score([ROWS[5]], ["<b00> <b00> <b15> <b15>"], WORLD, BOXES)["predicted_box"].to_pylist() == [None]


@given(st.permutations(range(len(ROWS))))
def test_scores_do_not_depend_on_the_order_of_the_examples(order):
    straight = score(ROWS, SAID, WORLD, BOXES)["score"].to_pylist()
    mixed = score([ROWS[k] for k in order], [SAID[k] for k in order], WORLD, BOXES)["score"].to_pylist()
    assert mixed == [straight[k] for k in order]


def test_the_summary_is_the_mean_of_the_scores_of_each_task():
    found = summarise(score(ROWS, SAID, WORLD, BOXES), WORLD, SETTINGS, 0)
    values = {
        key: estimate.value
        for key, estimate in found.items()
        if not key.startswith("captioning") or key == "captioning.objects"
    }
    iou = 28 * 28 / (32 * 32), 0.0, 28 * 28 / (64 * 64)
    assert values == pytest.approx(
        {
            "captioning.objects": 0.75,
            "referring.accuracy": 1 / 3,
            "referring.miou": sum(iou) / 3,
            "referring.unread": 1 / 3,
            "region.accuracy": 1.0,
            "question.accuracy": 1.0,
            "instruction.accuracy": 0.0,
        }
    )
    assert found["referring.miou"].n == 3
    assert 0 < found["captioning.cider"].value <= 10


def test_where_objects_have_no_attributes_captions_are_scored_by_cider():
    plain = World(WORLD.sizes, CAPTIONS, {image: [] for image in OBJECTS})
    assert plain.lexicon() is None
    table = score(ROWS[:2], [CAPTIONS["i0"][0], "two cups"], plain, BOXES)
    found = summarise(table, plain, SETTINGS, 0)
    assert set(found) == {"captioning.cider", "captioning.bleu4", "captioning.rouge_l"}
    assert table["score"][0].as_py() > 1 > table["score"][1].as_py()
    assert found["captioning.cider"].value == pytest.approx(np.mean(table["score"].to_pylist()), rel=1e-5)


def test_a_lone_caption_has_no_cider_and_the_rest_is_measured():
    plain = World(WORLD.sizes, CAPTIONS, {image: [] for image in OBJECTS})
    table = score(ROWS[:1], CAPTIONS["i0"], plain, BOXES)
    found = measure(table, plain)
    assert set(found.values) == {"captioning.bleu4", "captioning.rouge_l"}
    assert "needs two" in found.unmeasured["captioning.cider"]
    assert found.estimates(SETTINGS, 0)["captioning.bleu4"].value == pytest.approx(1)
    assert table["score"].to_pylist() == [1]  # its ROUGE-L


def test_hallucination_needs_objects_and_counts_what_captions_add():
    labels = frozenset({"cup", "star", "box"})
    world = World(WORLD.sizes, CAPTIONS, OBJECTS, labels)
    # i0 shows a cup and a star, i1 a box: of five mentions the two stars of i1 are not there.
    table = score(ROWS[:2], ["a cup and a star", "a box , a star , stars"], world, BOXES)
    found = measure(table, world).estimates(SETTINGS, 0)
    assert found["captioning.chair_i"].value == pytest.approx(2 / 5)
    assert found["captioning.chair_s"].value == 1 / 2
    silent = measure(score(ROWS[:2], ["", "a thing"], world, BOXES), world)
    assert "no caption mentions" in silent.unmeasured["captioning.chair_i"]
    assert "no objects" in measure(table, WORLD).unmeasured["captioning.chair_s"]


def test_all_examples_are_taken_where_there_are_no_more_than_asked():
    assert choose(ROWS, 100) == sorted(ROWS, key=lambda row: TASKS.index(row["task"]))
    assert choose([], 5) == []


@given(st.integers(1, 60), st.integers(1, 80))
def test_chosen_examples_are_spread_evenly_from_first_to_last(most, count):
    rows = [example("question", "i0", "", "", number=number) for number in range(count)]
    places = [rows.index(row) for row in choose(rows, most)]
    assert len(places) == min(most, count)
    steps = np.diff(places)
    if len(steps):
        assert (places[0], places[-1]) == (0, count - 1)
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1


def test_each_task_has_its_own_share_and_chat_is_not_scored():
    rows = [
        example(task, "i0", "", "", number=k) for k in range(10) for task in ("question", "region", "chat")
    ]
    chosen = choose(rows, 4)
    assert [row["task"] for row in chosen] == ["region"] * 4 + ["question"] * 4


def made_subjects():
    """Two images of 16 patches of width 32, and the examples above."""
    tokens = np.random.default_rng(0).normal(size=(2, 16, 32)).astype(np.float16)
    features = Features(["i0", "i1"], [tokens], np.zeros(2, int), np.arange(2))
    regions = Regions(schemas.empty("patch_words"), np.empty(0, int), np.empty((0, 16), np.float32), [])
    return Subjects(features, regions, ROWS, WORLD, BOXES)


def asked(reader, rows):
    return reader.answer(
        [row["image_id"] for row in rows], [reader.ask(row["texts"][:-1]) for row in rows], 3
    )


def decided(model):
    """The model with weights so large that what it is shown changes what it says."""
    torch.manual_seed(4)
    for value in model.parameters():
        if value.ndim > 1:
            value.data.normal_(0, 0.4)
    return model.eval()


def test_an_image_reader_gives_each_prompt_its_own_image(small_llava):
    model, processor = decided(small_llava[0]), small_llava[1]
    reader = loading.image_reader(model, processor.tokenizer, made_subjects())
    together = asked(reader, ROWS)
    assert together == [asked(reader, [row])[0] for row in ROWS]
    swapped = [row | {"image_id": "i1" if row["image_id"] == "i0" else "i0"} for row in ROWS]
    assert asked(reader, swapped) != together


def test_a_blind_reader_says_the_same_whatever_the_image(small_llava):
    model, processor = decided(small_llava[0]), small_llava[1]
    subjects = made_subjects()
    blank = loading.mean_image(subjects.features)
    torch.testing.assert_close(blank, subjects.features.take([0, 1]).mean(0))
    reader = loading.image_reader(model, processor.tokenizer, subjects, blank)
    first = asked(reader, [row | {"image_id": "i0"} for row in ROWS])
    assert first == asked(reader, [row | {"image_id": "i1"} for row in ROWS])


def test_a_text_reader_answers_behind_the_scene_in_words(language_model_folder, tmp_path):
    """As transformers' own generation does from the whole text."""
    rows = [
        row | {"object_id": f"{image}/{k}", "image_id": image, "mask": None, "is_crowd": False, "phrase": []}
        for image, found in OBJECTS.items()
        for k, row in enumerate(found)
    ]
    table = schemas.from_rows("objects", rows)
    dataset.write_part(tmp_path / "objects", 0, table, "objects", Provenance())
    model, tokenizer = language_model.load(language_model_folder)
    reader = loading.text_reader(decided(model), tokenizer, made_subjects(), tmp_path, seed=3)
    scenes = {
        "i0": {"red cup <b00> <b00> <b07> <b07>; blue star <b08> <b08> <b15> <b15>",
               "blue star <b08> <b08> <b15> <b15>; red cup <b00> <b00> <b07> <b07>"},
        "i1": {"green box <b00> <b00> <b15> <b15>"},
    }  # fmt: skip
    later = example("question", "i1", "and the cup ?", "none", earlier=("how many ?", "two"))
    rows = [*ROWS, later]
    for row, said in zip(rows, asked(reader, rows), strict=True):
        possible = set()
        before = "<user>how many ?<assistant>two</s>" if row is later else ""
        for scene in scenes[row["image_id"]]:
            text = f"<s>{scene}{before}<user>{row['prompt']}<assistant>"
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
            out = model.generate(input_ids=ids, max_new_tokens=64, do_sample=False)[0, ids.shape[1] :]
            possible.add(tokenizer.decode(out, skip_special_tokens=True).strip())
        assert said in possible
