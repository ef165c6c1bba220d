"""Images without captions, through the four data stages, by ``ground.source: tags``."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_data_stages import rows, settings, write_encoder

from flows import tag as tag_stage
from flows.ground import ground
from flows.ingest import ingest
from flows.parse import parse
from flows.patch_words import patch_words
from pipeline.report import lookup
from pipeline.tables import dataset

pytestmark = pytest.mark.usefixtures("prefect_server")

COUNT = 30


def write_images(folder: Path) -> None:
    folder.mkdir(parents=True)
    for n in range(COUNT):
        small = np.random.default_rng(n).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(small).resize((60, 48)).save(folder / f"{n:02}.png")


def write_clip(folder: Path) -> str:
    """A small CLIP with random weights, in the layout that open_clip's ``local-dir:`` reads."""
    import torch
    from open_clip import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    vision = {"image_size": 48, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    folder.mkdir(parents=True)
    save_file(CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    )
    return f"local-dir:{folder}"


def run(project: Path) -> Path:
    """Run the stages in a project folder and return its data folder."""
    write_images(project / "pictures")
    write_encoder(project / "data" / "models" / "encoder")
    model = write_clip(project / "clip")
    (project / "words.txt").write_text("dog\nfire hydrant\ncup\ntree\n")
    made = settings(
        source__name="folder",
        source__path=str(project / "pictures"),
        source__folder__require_captions=False,
        ground__source="tags",
        ground__tags__model=model,
        ground__tags__vocabulary=str(project / "words.txt"),
        ground__tags__best=2,
        ground__tags__min_similarity=-1.0,
        ground__open_clip__model=model,
        ground__open_clip__min_similarity=-1.0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        ingest(source=made.source, seed=made.seed, compute=made.compute)
        tag_stage.tag(tags=made.ground.tags, root=made.source.path, compute=made.compute)
        parse(parse=made.parse, compute=made.compute)
        ground(ground=made.ground, root=made.source.path, compute=made.compute)
        patch_words(patch_words=made.patch_words, compute=made.compute)
    return project / "data"


def test_images_without_captions_get_phrases_regions_and_patches(tmp_path):
    data = run(tmp_path)
    assert dataset.count_rows(data / "images") == COUNT
    assert dataset.count_rows(data / "captions") == 0
    phrases = rows(data, "phrases")
    assert len(phrases) == 2 * COUNT
    assert {row["text"] for row in phrases} <= {"dog", "fire hydrant", "cup", "tree"}
    assert {row["phrase_id"] for row in rows(data, "regions")} == {row["phrase_id"] for row in phrases}
    assert rows(data, "patch_words")
    # Every phrase can be traced to the characters of its caption, which is the image's tags.
    for found in lookup.phrases(data, [row["phrase_id"] for row in phrases]).values():
        assert found.caption[slice(*found.span)] == found.text


def test_without_tags_in_use_the_stage_says_only_what_the_captions_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = settings()
    monkeypatch.setattr(tag_stage.params, "load", lambda: made)
    monkeypatch.setattr(tag_stage, "tag", None)  # to be called would fail
    captions = tmp_path / "data" / "captions"
    captions.mkdir(parents=True)
    (captions / "part-00000.arrow").write_bytes(b"one")
    left = tmp_path / "data" / "tags" / "phrases"
    left.mkdir(parents=True)
    tag_stage.main()
    assert [path.name for path in (tmp_path / "data" / "tags").iterdir()] == ["lineage.json"]
    before = (tmp_path / "data" / "tags" / "lineage.json").read_bytes()
    tag_stage.main()
    assert (tmp_path / "data" / "tags" / "lineage.json").read_bytes() == before
    (captions / "part-00000.arrow").write_bytes(b"two")
    tag_stage.main()
    assert (tmp_path / "data" / "tags" / "lineage.json").read_bytes() != before
