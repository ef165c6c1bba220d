"""Tags: the words of a vocabulary that resemble an image most, as phrases that any source can ground."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from test_open_clip_source import local_dir, picture, png

from pipeline import params as settings
from pipeline.errors import UserError
from pipeline.grounding import dense_clip, open_annotator, tags
from pipeline.grounding.base import ShardInputs
from pipeline.params import TagsParams
from pipeline.sources.scenes import NOUNS
from pipeline.tables import dataset, schemas, synonyms
from pipeline.tables.dataset import Provenance

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "profiles" / "embedded.yaml"
DATASET = {"several": "all", "crowds": True}
WORDS = ["dog", "fire hydrant", "red ball", "two cats", "tree"]
SIZES = [(40, 30), (30, 50), (64, 64)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return local_dir(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\n".join(WORDS))
    return path


def params(model, vocabulary, **changes):
    open_clip = yaml.safe_load(PROFILE.read_text())["ground"]["open_clip"]
    values = {
        "source": {"open_clip": open_clip},
        "model": model,
        "pretrained": None,
        "prompt": "a {}",
        "vocabulary": vocabulary,
        "best": 2,
        "min_similarity": -1.0,
        "batch_size": 2,
    }
    return TagsParams(**{**values, **changes})


def images(broken=()):
    rows = []
    for n, (width, height) in enumerate(SIZES):
        data = b"no picture" if n in broken else png(picture(width, height, n))
        row = {"image_id": f"i{n}", "image": {"bytes": data, "path": None}, "sha256": "", "split": "train"}
        rows.append({**row, "width": width, "height": height})
    return schemas.from_rows("images", rows)


def cosines(model, n):
    """Of one image with every word, by open_clip itself."""
    clip = dense_clip.load(model, None)
    with torch.inference_mode():
        shown = clip.preprocess(Image.open(io.BytesIO(png(picture(*SIZES[n], n)))))[None].to(clip.device)
        words = clip.tokenize([f"a {word}" for word in WORDS]).to(clip.device)
        return (
            torch.cosine_similarity(clip.clip.encode_image(shown), clip.clip.encode_text(words)).cpu().numpy()
        )


def test_an_images_tags_are_the_words_that_resemble_it_most(model, vocabulary, tmp_path):
    out = tags.tag(images(), tmp_path, params(model, vocabulary))
    assert out["rejects"].num_rows == 0
    for n in range(len(SIZES)):
        mine = [row["text"] for row in out["phrases"].to_pylist() if row["image_id"] == f"i{n}"]
        assert mine == [WORDS[k] for k in np.argsort(-cosines(model, n))[:2]]


def test_phrases_lie_in_the_tags_joined_and_words_in_phrases(model, vocabulary, tmp_path):
    rows = tags.tag(images(), tmp_path, params(model, vocabulary, best=5))["phrases"].to_pylist()
    for n in range(len(SIZES)):
        mine = [row for row in rows if row["caption_id"] == f"i{n}/tags"]
        caption = ", ".join(row["text"] for row in mine)
        assert [row["phrase_id"] for row in mine] == [f"i{n}/tags/p{k}" for k in range(5)]
        for row in mine:
            assert caption[row["start"] : row["end"]] == row["text"]
            assert [word["role"] for word in row["words"]][-1] == "head"
            for word in row["words"]:
                assert caption[word["start"] : word["end"]] == word["text"]
            assert " ".join(word["text"] for word in row["words"]) == row["text"]


def test_words_below_the_least_similarity_are_no_tags(model, vocabulary, tmp_path):
    similar = cosines(model, 0)
    least = float(np.sort(similar)[-2:].mean())  # between the best and the second
    out = tags.tag(images(), tmp_path, params(model, vocabulary, best=5, min_similarity=least))
    mine = [row["text"] for row in out["phrases"].to_pylist() if row["image_id"] == "i0"]
    assert mine == [WORDS[int(np.argmax(similar))]]
    none = tags.tag(images(), tmp_path, params(model, vocabulary, min_similarity=1.0))
    assert none["phrases"].num_rows == 0
    assert [(r["stage"], r["key"], r["reason"]) for r in none["rejects"].to_pylist()] == [
        ("parse", f"image:i{n}", "no_tag") for n in range(len(SIZES))
    ]


def test_every_image_has_tags_or_a_reject_whatever_the_batch(model, vocabulary, tmp_path):
    found = [
        tags.tag(images(broken=(1,)), tmp_path, params(model, vocabulary, batch_size=n)) for n in (1, 2, 3)
    ]
    assert found[0]["phrases"].equals(found[1]["phrases"])
    assert found[0]["phrases"].equals(found[2]["phrases"])
    assert {row["image_id"] for row in found[0]["phrases"].to_pylist()} == {"i0", "i2"}
    (reject,) = found[0]["rejects"].to_pylist()
    assert (reject["key"], reject["reason"]) == ("image:i1", "image_unreadable")


def test_the_block_makes_the_phrases_of_a_shard(model, vocabulary, tmp_path):
    folder = tmp_path / "images"
    dataset.write_part(folder, 0, images(), "images", Provenance(params="", inputs={}))
    block = tags.TagBlock(folder, tmp_path, params(model, vocabulary))
    assert (block.shard_count(), block.rows_in(0), block.outputs) == (1, len(SIZES), ("phrases",))
    expected = tags.tag(images(), tmp_path, params(model, vocabulary))
    assert block.process(0)["phrases"].equals(expected["phrases"])
    before = block.provenance()
    again = tags.TagBlock(
        folder, tmp_path, params(model, vocabulary, source={"dataset": DATASET}, batch_size=9)
    )
    assert again.provenance() == before  # who grounds the tags changes none of them
    vocabulary.write_text("\n".join(WORDS[:3]))
    assert block.provenance() != before


def shard(phrases, root):
    return ShardInputs(
        images=images(),
        captions=schemas.empty("captions"),
        phrases=phrases,
        objects=schemas.empty("objects"),
        root=root,
    )


def test_another_source_grounds_the_tags(model, vocabulary, tmp_path):
    raw = yaml.safe_load(PROFILE.read_text())
    raw["ground"]["open_clip"] |= {"model": model, "min_similarity": -1}
    raw["ground"] |= {"source": "tags"}
    phrases = tags.tag(images(), tmp_path, params(model, vocabulary))["phrases"]
    chosen = open_annotator(settings.parse(raw).ground)
    raw["ground"] |= {"source": "open_clip"}
    plain = open_annotator(settings.parse(raw).ground)
    regions = chosen.ground(shard(phrases, tmp_path))["regions"]
    assert regions.num_rows == phrases.num_rows == 2 * len(SIZES)
    assert regions.equals(plain.ground(shard(phrases, tmp_path))["regions"])
    assert chosen.digest() == plain.digest()
    # Phrases of captions would say that parse was not run again.
    spoken = phrases.set_column(1, phrases.schema.field(1), [["i0/c0"] * phrases.num_rows])
    with pytest.raises(UserError, match=r"6 of a shard's 6 phrases come from captions.*parse"):
        chosen.ground(shard(spoken, tmp_path))
    assert chosen.ground(shard(phrases.slice(0, 0), tmp_path))["regions"].num_rows == 0


def test_the_vocabulary_is_a_word_a_line(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("dog\n\n  fire   hydrant \ndog\nball, red\n")
    assert tags.read_vocabulary(path) == ["dog", "fire hydrant", "ball red"]
    of_coco = ROOT / "pipeline" / "grounding" / "vocabulary.txt"
    assert tags.read_vocabulary(of_coco) == list(synonyms.CATEGORIES)
    default = yaml.safe_load(PROFILE.read_text())
    of_scenes = tags.read_vocabulary(ROOT / default["ground"]["tags"]["vocabulary"])
    assert of_scenes == list(NOUNS[: default["source"]["scenes"]["nouns"]])
    path.write_text(" \n")
    with pytest.raises(UserError, match=r"tags\.vocabulary: .*holds no word"):
        tags.read_vocabulary(path)
    with pytest.raises(UserError, match=r"tags\.vocabulary: .*none\.txt' cannot be read"):
        tags.read_vocabulary(tmp_path / "none.txt")


def test_what_cannot_be_used_is_named(model, vocabulary, tmp_path):
    with pytest.raises(UserError, match=r"ground\.tags\.prompt: found 'a photo'"):
        tags.tag(images(), tmp_path, params(model, vocabulary, prompt="a photo"))
    with pytest.raises(UserError, match=r"ground\.tags\.model: .*open_clip_config\.json"):
        tags.digest(params(f"local-dir:{tmp_path}/none", vocabulary))
    with pytest.raises(UserError, match=r"ground\.tags: model 'ViT-B-1000'"):
        tags.tag(images(), tmp_path, params("ViT-B-1000", vocabulary))
