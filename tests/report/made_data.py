"""A small made project in the exact formats of the stages: what the report and overlays are tested on.

Scenes are two coloured boxes on a 64 x 64 picture; patches are 8 x 8 pixels, so that every coverage can be
worked out by hand. Numbers are drawn with a fixed seed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import made_runs
import numpy as np
from PIL import Image, ImageDraw

from pipeline import params
from pipeline.evaluation.statistics import estimate
from pipeline.tables import dataset, masks, schemas
from pipeline.tables.dataset import Provenance
from pipeline.tables.metrics import METRICS, Estimate, write_estimates

SIDE, PATCH, GRID = 64, 8, 8
COLOURS = {"red": (200, 40, 40), "blue": (40, 80, 200), "green": (40, 150, 70), "yellow": (230, 200, 40)}
NOUNS = ("box", "crate", "block", "tile")
MADE_FROM = Provenance("0123456789abcdef", {})
ARMS = ("caption", "patch_aligned")
LEVEL = {"caption": 0.39}
SHARPNESS = {"caption": 0.2}


def make_project(
    folder: Path, scenes: int = 40, seed: int = 5, study: bool = True, arms: Sequence[str] = ARMS
) -> Path:
    """Write everything that the report reads below ``folder/data`` and return that."""
    data = folder / "data"
    rng = np.random.default_rng(seed)
    tables: dict[str, list[dict]] = {
        name: [] for name in ("images", "captions", "objects", "phrases", "regions", "patch_words")
    }
    for index in range(scenes):
        _add_scene(tables, f"test-{index:06d}", rng)
    for name, rows in tables.items():
        dataset.write_part(data / name, 0, schemas.from_rows(name, rows), name, MADE_FROM)
    write_encoder(data / "models" / "encoder")
    for arm in arms:
        _write_arm(data / "evaluation" / arm, arm, tables, np.random.default_rng([seed, len(arm)]))
    _write_references(data / "evaluation" / "references" / "metrics.json")
    made_runs.write_curves(data / "curves", rng, arms)
    made_runs.write_summaries(data / "summaries")
    if study:
        (data / "comparisons").mkdir()
        (data / "comparisons/study.json").write_text(json.dumps(made_runs.study(arms)))
    return data


def write_encoder(folder: Path) -> None:
    """The two files of a CLIP encoder that its geometry is read from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(
        json.dumps({"model_type": "clip_vision_model", "image_size": SIDE, "patch_size": PATCH})
    )
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "CLIPImageProcessor",
                "do_resize": True,
                "size": {"shortest_edge": SIDE},
                "do_center_crop": True,
                "crop_size": {"height": SIDE, "width": SIDE},
            }
        )
    )


def encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _add_scene(tables: dict[str, list[dict]], image_id: str, rng: np.random.Generator) -> None:
    colours = rng.choice(list(COLOURS), 2, replace=False)
    nouns = rng.choice(NOUNS, 2, replace=False)
    boxes = [_box(rng, 2, 30), _box(rng, 34, 62)]
    backdrop = 150 + rng.integers(-12, 12, (SIDE, SIDE, 1)).repeat(3, axis=2)
    picture = Image.fromarray(backdrop.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for colour, (x0, y0, x1, y1) in zip(colours, boxes, strict=True):
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), COLOURS[str(colour)])
    names = [f"{colour} {noun}" for colour, noun in zip(colours, nouns, strict=True)]
    text = f"A {names[0]} stands left of a {names[1]} on a plain grey background."
    caption_id = f"{image_id}/c0"
    tables["images"].append(
        {
            "image_id": image_id, "image": {"bytes": encoded(picture), "path": None}, "sha256": "0" * 64,
            "width": SIDE, "height": SIDE, "split": "test",
        }
    )  # fmt: skip
    tables["captions"].append({"caption_id": caption_id, "image_id": image_id, "text": text})
    for number, (name, box) in enumerate(zip(names, boxes, strict=True)):
        colour, noun = name.split()
        phrase_id = f"{caption_id}/p{number}"
        start = text.index(f"{name}") - 2
        spans = {"start": start, "end": start + 2 + len(name)}
        words = [
            {"text": colour, "lemma": colour, "role": "attribute"},
            {"text": noun, "lemma": noun, "role": "head"},
        ]
        pixels = np.zeros((SIDE, SIDE), dtype=bool)
        pixels[box[1] : box[3], box[0] : box[2]] = True
        cover = pixels.reshape(GRID, PATCH, GRID, PATCH).mean(axis=(1, 3)).reshape(-1)
        lit = np.flatnonzero(cover >= 0.1)
        tables["objects"].append(
            {
                "object_id": f"{image_id}/o{number}", "image_id": image_id, "label": noun,
                "attributes": [colour], "box": box, "mask": masks.encode(pixels), "is_crowd": False,
                "phrase": [{"caption_id": caption_id, **spans}],
            }
        )  # fmt: skip
        tables["phrases"].append(
            {
                "phrase_id": phrase_id, "caption_id": caption_id, "image_id": image_id, "text": f"a {name}",
                **spans, "is_plural": False,
                "words": [{**word, "start": start, "end": start + 1} for word in words],
            }
        )  # fmt: skip
        tables["regions"].append(
            {
                "region_id": f"{phrase_id}/r0", "phrase_id": phrase_id, "image_id": image_id, "box": box,
                "mask": masks.encode(pixels), "score": 1.0, "annotator": "dataset",
            }
        )  # fmt: skip
        tables["patch_words"].append(
            {
                "image_id": image_id, "phrase_id": phrase_id, "split": "test",
                "region_ids": [f"{phrase_id}/r0"], "phrase": f"a {name}", "words": words,
                "grid": [GRID, GRID], "patches": lit.tolist(), "coverage": cover[lit].tolist(),
                "score": 1.0, "annotator": "dataset",
            }
        )  # fmt: skip


def _box(rng: np.random.Generator, left: int, right: int) -> list[int]:
    width, height = rng.integers(14, 26, 2)
    x0 = int(rng.integers(left, right - width + 1)) if right - width > left else left
    y0 = int(rng.integers(2, SIDE - height - 2))
    return [x0, y0, x0 + int(width), y0 + int(height)]


def _write_arm(folder: Path, arm: str, tables: dict[str, list[dict]], rng: np.random.Generator) -> None:
    predictions = schemas.from_rows("predictions", _predictions(arm, tables, rng))
    maps = schemas.from_rows("similarity_maps", _maps(arm, tables, rng))
    dataset.write_part(folder / "predictions", 0, predictions, "predictions", MADE_FROM)
    dataset.write_part(folder / "similarity_maps", 0, maps, "similarity_maps", MADE_FROM)
    made = {metric.key: _estimate(rng.uniform(0.2, 0.9), 800) for metric in METRICS}
    rows = predictions.to_pylist()
    for task, key in (
        ("caption", "captioning.objects"), ("referring", "referring.accuracy"),
        ("question", "question.accuracy"), ("instruction", "instruction.accuracy"),
    ):  # fmt: skip
        made[key] = estimate([row["score"] for row in rows if row["task"] == task], 200, 0)
    write_estimates(folder / "metrics.json", made)
    before = {key: made[key] for key in made if key.startswith(("alignment", "compression", "decomposition"))}
    write_estimates(folder / "pretrained.json", before)
    blind = {"referring.accuracy": 0.03, "question.accuracy": 0.26}
    write_estimates(folder / "no_image.json", {key: _estimate(value, 1000) for key, value in blind.items()})


def _predictions(arm: str, tables: dict[str, list[dict]], rng: np.random.Generator) -> list[dict]:
    rows = []
    for region in tables["regions"]:
        name = next(p["text"] for p in tables["phrases"] if p["phrase_id"] == region["phrase_id"])[2:]
        right = rng.random() < LEVEL.get(arm, 0.23) + 0.2
        shift = rng.integers(-2, 3, 4) if right else rng.integers(10, 20, 4)
        guess = np.clip(np.asarray(region["box"]) + shift, 0, SIDE).astype(float)
        unread = rng.random() < 0.05
        common = {"image_id": region["image_id"], "box": None, "predicted_box": None, "kind": None}
        colour = name.split()[0]
        answer = colour if rng.random() < LEVEL.get(arm, 0.23) + 0.3 else "pink"
        caption = next(c["text"] for c in tables["captions"] if c["image_id"] == region["image_id"])
        rows += [
            {
                **common, "conversation_id": f"{region['region_id']}/referring", "task": "referring",
                "kind": "attribute", "prompt": f"Where is the {name}?", "answer": "<b01> <b04> <b07> <b09>",
                "prediction": "<b01>" if unread else "<b02> <b04> <b08> <b09>", "box": region["box"],
                "predicted_box": None if unread else guess.tolist(), "score": float(right and not unread),
            },
            {
                **common, "conversation_id": f"{region['region_id']}/question", "task": "question",
                "kind": "colour", "prompt": f"What colour is the {name.split()[1]}?", "answer": colour,
                "prediction": answer, "score": float(answer == colour),
            },
            {
                **common, "conversation_id": f"{region['region_id']}/instruction", "task": "instruction",
                "kind": "left_to_right", "prompt": "List the objects, left to right.", "answer": "box, tile",
                "prediction": "box, tile" if right else "tile, <b>box</b>", "score": float(right),
            },
            {
                **common, "conversation_id": f"{region['region_id']}/caption", "task": "caption",
                "prompt": "Describe the image.", "answer": caption, "prediction": caption[:40],
                "score": float(rng.integers(0, 5)) / 4,
            },
        ]  # fmt: skip
    return rows


def _maps(arm: str, tables: dict[str, list[dict]], rng: np.random.Generator) -> list[dict]:
    sharpness = SHARPNESS.get(arm, 0.6)
    rows = []
    for row in tables["patch_words"]:
        coverage = np.zeros(GRID * GRID)
        coverage[row["patches"]] = row["coverage"]
        similarity = sharpness * coverage + rng.normal(0.1, 0.08, coverage.size)
        rows.append(
            {
                "image_id": row["image_id"], "phrase_id": row["phrase_id"], "phrase": row["phrase"],
                "grid": row["grid"], "similarity": similarity.tolist(), "coverage": coverage.tolist(),
            }
        )  # fmt: skip
    return rows


def _estimate(value: float, n: int) -> Estimate:
    half = 1.96 * (max(value * (1 - value), 0.01) / n) ** 0.5
    return Estimate(value, value - half, value + half, n)


def _write_references(path: Path) -> None:
    values = {
        "untrained projector": {"alignment.cosine": 0.01, "alignment.top1": 0.1, "compression.after": 0.61,
                                "captioning.objects": 0.05, "position.r2": 0.9},
        "encoder features": {"position.r2": 0.97, "probe.noun": 0.99},
        "constant answer": {"question.accuracy": 0.37, "instruction.accuracy": 0.04},
        "random true box": {"referring.accuracy": 0.36, "referring.miou": 0.41},
        "scene in words": {"referring.accuracy": 0.97, "question.accuracy": 0.95,
                           "instruction.accuracy": 0.88},
    }  # fmt: skip
    content = {
        name: {key: vars(_estimate(value, 1000)) for key, value in keyed.items()}
        for name, keyed in values.items()
    }
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))


def small_params(arms: Sequence[str] = ()) -> params.Params:
    """The committed parameters, with few resamples and few examples."""
    raw = params.load(Path(__file__).parents[2] / "params.yaml").model_dump(mode="json")
    raw["evaluate"]["bootstrap"] = 200
    raw["report"]["examples"] = 4
    if arms:
        raw["train"]["arms"] = {arm: {"loss": "none" if arm == "caption" else "cosine"} for arm in arms}
    return params.parse(raw)
