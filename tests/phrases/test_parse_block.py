"""The parse stage on a dataset of captions."""

import json
import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.params import ParseParams
from pipeline.phrases import block, nlp
from pipeline.phrases.block import ParseBlock, parse
from pipeline.phrases.candidates import candidates
from pipeline.phrases.extract import REASONS
from pipeline.phrases.tokens import tokens_of
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.tables.shards import count

PARAMS = ParseParams(model="en_core_web_sm", batch_size=64, processes=1)
CAPTIONS = [
    ("1/c0", "1", "A red cup stands left of a blue star."),
    ("1/c1", "1", "a group of people on top of a hill"),
    ("2/c0", "2", "The cup is red."),
    ("2/c1", "2", "it is on it"),
    ("3/c0", "3", ""),
    ("3/c1", "3", "A red cup stands left of a blue star."),
]
COCO = Path(__file__).parents[2] / "../shared/data/coco-mini/annotations"


def write(folder: Path, rows: list[tuple[str, str, str]], part: int = 0) -> None:
    table = schemas.from_rows(
        "captions", [{"caption_id": c, "image_id": i, "text": text} for c, i, text in rows]
    )
    dataset.write_part(folder, part, table, "captions", Provenance())


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    write(tmp_path / "captions", CAPTIONS)
    return tmp_path / "captions"


@pytest.fixture(autouse=True)
def _forget() -> None:
    block.forget()


def test_rows_are_traced_to_their_caption_and_characters(captions: Path) -> None:
    rows = ParseBlock(captions, PARAMS).process(0)["phrases"].to_pylist()
    assert [(row["phrase_id"], row["caption_id"], row["image_id"], row["text"]) for row in rows] == [
        ("1/c0/p0", "1/c0", "1", "A red cup"),
        ("1/c0/p1", "1/c0", "1", "a blue star"),
        ("1/c1/p0", "1/c1", "1", "people"),
        ("1/c1/p1", "1/c1", "1", "a hill"),
        ("2/c0/p0", "2/c0", "2", "The cup"),
        ("3/c1/p0", "3/c1", "3", "A red cup"),
        ("3/c1/p1", "3/c1", "3", "a blue star"),
    ]
    assert rows[4]["words"] == [
        {"text": "cup", "lemma": "cup", "role": "head", "start": 4, "end": 7},
        {"text": "red", "lemma": "red", "role": "attribute", "start": 11, "end": 14},
    ]
    texts = {caption_id: text for caption_id, _, text in CAPTIONS}
    for row in rows:
        for part in (row, *row["words"]):
            assert texts[row["caption_id"]][part["start"] : part["end"]] == part["text"]


def test_what_is_left_out_is_rejected_with_its_place_and_reason(captions: Path) -> None:
    rejects = ParseBlock(captions, PARAMS).process(0)["rejects"].to_pylist()
    assert [(row["key"], row["reason"]) for row in rejects] == [
        ("chunk:1/c1:0-7", "partitive"),
        ("chunk:1/c1:21-24", "relational_noun"),
        ("chunk:2/c1:0-2", "pronoun"),
        ("chunk:2/c1:9-11", "pronoun"),
        ("caption:2/c1", "caption_without_phrases"),
        ("caption:3/c0", "caption_without_phrases"),
    ]
    assert rejects[0]["message"].startswith('"a group": ')


def accounted(captions: Path, shard: int = 0) -> Counter[str]:
    """Check that rows in = rows out + rejects against a count of the test's own; the rejects by reason."""
    stage = ParseBlock(captions, PARAMS)
    tables = stage.process(shard)
    result = count(stage, shard, tables)
    texts = dataset.read_part(captions / dataset.PART.format(shard)).column("text").to_pylist()
    read = [text.lower() if text.isupper() else text for text in texts]
    spans = sum(len(candidates(doc, tokens_of(doc))) for doc in nlp.docs(read, PARAMS))
    with_phrases = set(tables["phrases"].column("caption_id").to_pylist())
    assert result.rows_in == spans + len(texts) - len(with_phrases)
    assert result.rows_in == result.rows_out["phrases"] + sum(result.rejected.values())
    keys = tables["rejects"].column("key").to_pylist() + tables["phrases"].column("phrase_id").to_pylist()
    assert len(set(keys)) == len(keys)
    return Counter(result.rejected)


def test_rows_in_are_rows_out_and_rejects(captions: Path) -> None:
    assert accounted(captions) == {
        "partitive": 1,
        "relational_noun": 1,
        "pronoun": 2,
        "caption_without_phrases": 2,
    }


def test_rows_in_are_rows_out_and_rejects_on_coco(tmp_path: Path) -> None:
    if not COCO.is_dir():
        pytest.skip("the COCO sample is not there: ../shared/data/coco-mini")
    annotations = json.loads((COCO / "captions_val2017.json").read_text())["annotations"]
    write(tmp_path, [(f"{a['image_id']}/c{a['id']}", str(a["image_id"]), a["caption"]) for a in annotations])
    rejected = accounted(tmp_path)
    assert set(rejected) <= set(REASONS)
    assert rejected["caption_without_phrases"] <= 0.01 * len(annotations)


def test_rows_in_are_known_before_the_shard_is_processed(captions: Path) -> None:
    stage = ParseBlock(captions, PARAMS)
    before = stage.rows_in(0)
    stage.process(0)
    assert stage.rows_in(0) == before == 13


def test_equal_captions_are_parsed_once_over_all_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, CAPTIONS)
    write(tmp_path, [*CAPTIONS, ("4/c0", "4", "two dogs")], part=1)
    parsed: list[str] = []
    docs = nlp.docs

    def watched(texts, params):  # type: ignore[no-untyped-def]
        parsed.extend(texts)
        return docs(texts, params)

    monkeypatch.setattr(nlp, "docs", watched)
    stage = ParseBlock(tmp_path, PARAMS)
    first, second = stage.process(0), stage.process(1)
    assert Counter(parsed) == Counter({text for _, _, text in CAPTIONS} | {"two dogs"})
    assert first["phrases"].equals(second["phrases"].slice(0, first["phrases"].num_rows))


def test_an_empty_shard_gives_empty_tables(tmp_path: Path) -> None:
    write(tmp_path, [])
    tables = ParseBlock(tmp_path, PARAMS).process(0)
    assert (tables["phrases"].num_rows, tables["rejects"].num_rows) == (0, 0)


def test_a_pickled_block_makes_the_same_tables(captions: Path) -> None:
    stage = ParseBlock(captions, PARAMS)
    copy = pickle.loads(pickle.dumps(stage))
    assert copy.process(0)["phrases"].equals(stage.process(0)["phrases"])
    assert copy.provenance() == stage.provenance()
    assert copy.shard_count() == 1


def test_provenance_names_the_model_and_follows_captions_and_settings(captions: Path) -> None:
    before = ParseBlock(captions, PARAMS).provenance()
    assert before.inputs["model"].startswith("en_core_web_sm")
    assert "==3." in before.inputs["model"]
    other = PARAMS.model_copy(update={"batch_size": 8})
    assert ParseBlock(captions, other).provenance().params != before.params
    several = PARAMS.model_copy(update={"processes": 4})
    assert ParseBlock(captions, several).provenance() == before
    write(captions, CAPTIONS[:1])
    assert ParseBlock(captions, PARAMS).provenance().inputs["captions"] != before.inputs["captions"]


TEXTS = [
    f"{n} {colour} {noun}s on a table"
    for n in ("two", "the")
    for colour in ("red", "old")
    for noun in ("cup", "box", "fire hydrant")
]


@pytest.mark.parametrize("change", [{"batch_size": 1}, {"batch_size": 5}])
def test_batches_change_nothing(change: dict) -> None:
    alone = parse(TEXTS, PARAMS)
    block.forget()
    assert parse(TEXTS, PARAMS.model_copy(update=change)) == alone


def test_threads_may_parse_at_once() -> None:
    expected = parse(TEXTS, PARAMS)

    def work(turn: int) -> bool:
        block.forget()
        return parse(TEXTS[turn % 3 :], PARAMS) == expected[turn % 3 :]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(12)))
