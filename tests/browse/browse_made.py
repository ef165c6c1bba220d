"""A small made dataset for the page: pictures of 64 x 64 pixels under a grid of 8 x 8 patches.

Every picture shows a red cup on the left and a blue cup on the right; its caption begins with a character
that a browser counts as two. The first picture's red cup was found by two annotators. The last picture is a
file.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipeline.params import PatchWordsParams
from pipeline.patches import block
from pipeline.patches.geometry import Geometry
from pipeline.tables import dataset, masks, schemas
from pipeline.tables.dataset import Provenance

SIDE, PATCH = 64, 8
RULES = PatchWordsParams(use="masks", min_coverage=0.1, min_score=0.0)
MADE_FROM = Provenance("0123456789abcdef", {})
FILE = "shelf/last.png"
SPLITS = ("train", "train", "train", "validation", "test", "test")
IDS = ("one", "two", "three", "four", "dir/five six", "last")


def make(folder: Path, images: int = len(IDS)) -> Path:
    """Write the datasets below ``folder/data``, which is returned, and a picture below ``folder/raw``."""
    data = folder / "data"
    write_encoder(data / "models" / "encoder")
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("images", "captions", "phrases", "regions")
    }
    rejects: dict[str, list[dict[str, Any]]] = {stage: [] for stage in ("ingest", "parse", "ground")}
    for number in range(images):
        _add(tables, rejects, number, folder / "raw", images)
    rejects["ingest"].append(_reject("ingest", "image:gone", "image_missing", "there is no file gone.png"))
    made = {name: schemas.from_rows(name, rows) for name, rows in tables.items()}
    geometry = Geometry.from_encoder(data / "models" / "encoder")
    found = block.patch_words(made["images"], made["phrases"], made["regions"], geometry, RULES)
    made["patch_words"] = found["patch_words"]
    for name, table in made.items():
        half = table.num_rows // 2  # two parts: rows are found across them
        dataset.write_part(data / name, 0, table.slice(0, half), name, MADE_FROM)
        dataset.write_part(data / name, 1, table.slice(half), name, MADE_FROM)
    for stage, rows in rejects.items():
        dataset.write_part(
            data / "rejects" / stage, 0, schemas.from_rows("rejects", rows), "rejects", MADE_FROM
        )
    dataset.write_part(data / "rejects" / "patch_words", 0, found["rejects"], "rejects", MADE_FROM)
    write_maps(data, [row for row in made["patch_words"].to_pylist() if row["split"] == "test"])
    return data


def write_encoder(folder: Path) -> None:
    """The two files of an encoder that its geometry is read from: 64 x 64 pixels, patches of 8 x 8."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        json.dumps({"model_type": "clip_vision_model", "image_size": SIDE, "patch_size": PATCH})
    )
    size = {"height": SIDE, "width": SIDE}
    preprocessing = {"image_processor_type": "CLIPImageProcessor", "do_resize": True, "crop_size": size}
    preprocessing |= {"size": {"shortest_edge": SIDE}, "do_center_crop": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))


def write_maps(data: Path, rows: list[dict[str, Any]]) -> None:
    """Similarity maps of both arms, before and after fine-tuning."""
    for place, arm in enumerate(("caption", "patch_aligned")):
        for name in ("similarity_maps", "similarity_maps_finetuned"):
            maps = []
            for row in rows:
                coverage = np.zeros(64)
                coverage[row["patches"]] = row["coverage"]
                similarity = 0.1 + place * 0.5 * coverage
                maps.append(
                    {
                        "image_id": row["image_id"], "phrase_id": row["phrase_id"], "phrase": row["phrase"],
                        "grid": row["grid"], "similarity": similarity.tolist(), "coverage": coverage.tolist(),
                    }
                )  # fmt: skip
            table = schemas.from_rows("similarity_maps", maps)
            dataset.write_part(data / "evaluation" / arm / name, 0, table, "similarity_maps", MADE_FROM)


def _add(tables: dict[str, list], rejects: dict[str, list], number: int, root: Path, images: int) -> None:
    few = images == len(IDS)
    image_id = IDS[number] if few else f"image-{number:05d}"
    split = SPLITS[number] if few else "train"
    encoded, shift = _picture(number)
    if few and number == images - 1:
        (root / FILE).parent.mkdir(parents=True, exist_ok=True)
        (root / FILE).write_bytes(encoded)
        image = {"bytes": None, "path": FILE}
    else:
        image = {"bytes": encoded, "path": None}
    tables["images"].append(
        {
            "image_id": image_id, "image": image, "sha256": hashlib.sha256(encoded).hexdigest(),
            "width": SIDE, "height": SIDE, "split": split,
        }
    )  # fmt: skip
    caption_id = f"{image_id}/c0"
    text = "\N{SLIGHTLY SMILING FACE} A red cup beside a blue cup on a table in the evening."
    tables["captions"].append({"caption_id": caption_id, "image_id": image_id, "text": text})
    for place, phrase in enumerate(("A red cup", "a blue cup", "a table")):
        start = text.index(phrase)
        words, at = [], start
        for word in phrase.split():
            if word.lower() != "a":
                role = "attribute" if word in ("red", "blue") else "head"
                words.append({"text": word, "lemma": word, "role": role, "start": at, "end": at + len(word)})
            at += len(word) + 1
        tables["phrases"].append(
            {
                "phrase_id": f"{caption_id}/p{place}", "caption_id": caption_id, "image_id": image_id,
                "text": phrase, "start": start, "end": start + len(phrase), "is_plural": False,
                "words": words,
            }
        )  # fmt: skip
    score = round(0.2 + 0.1 * (number % 6), 2)
    left = [4.0, 12.0 + shift, 24.0, 36.0 + shift]
    pixels = np.zeros((SIDE, SIDE), dtype=bool)
    pixels[12 + shift : 36 + shift, 40:60] = True
    tables["regions"] += [
        _region(caption_id, 0, 0, image_id, left, None, score, "owlv2"),
        _region(caption_id, 1, 0, image_id, [40.0, 12.0 + shift, 60.0, 36.0 + shift], pixels, 0.9, "owlv2"),
    ]
    if number == 0:
        tables["regions"].append(
            _region(caption_id, 0, 1, image_id, [4.0, 40.0, 20.0, 56.0], None, 0.15, "grounding_dino")
        )
    evening = text.index("the evening")
    key = f"chunk:{caption_id}:{evening}-{evening + 11}"
    rejects["ground"].append(_reject("ground", f"phrase:{caption_id}/p2", "not_found", "nothing was found"))
    if number % 2 == 0:
        rejects["parse"].append(_reject("parse", key, "no_visible_thing", '"the evening": a time'))


def _picture(number: int) -> tuple[bytes, int]:
    """Encoded PNG, and by how many pixels its cups are moved down."""
    shift = 2 * (number % 5)
    picture = Image.new("RGB", (SIDE, SIDE), (200, 200, 205))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((4, 12 + shift, 23, 35 + shift), (200, 40, 40))
    draw.rectangle((40, 12 + shift, 59, 35 + shift), (40, 60, 200))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue(), shift


def _region(
    caption_id: str, phrase: int, number: int, image_id: str, box: list[float], pixels: np.ndarray | None,
    score: float, annotator: str,
) -> dict[str, Any]:  # fmt: skip
    phrase_id = f"{caption_id}/p{phrase}"
    return {
        "region_id": f"{phrase_id}/r{number}", "phrase_id": phrase_id, "image_id": image_id, "box": box,
        "mask": None if pixels is None else masks.encode(pixels), "score": score, "annotator": annotator,
    }  # fmt: skip


def _reject(stage: str, key: str, reason: str, message: str) -> dict[str, str]:
    return {"stage": stage, "key": key, "reason": reason, "message": message}
