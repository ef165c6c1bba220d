"""Three images with everything the data stages make of them, in two parts: small enough to know by heart.

790 and 791 are train and part 0, 900 is test and part 1. 791 lies in a file below the root, the others in the
table. The phrase 790/c42/p0 was not grounded.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.tables import dataset, masks, schemas
from pipeline.tables.dataset import Provenance

Rows = dict[str, list[dict[str, Any]]]
SIZES = {"790": (40, 30), "791": (30, 40), "900": (20, 20)}
SPLITS = {"790": "train", "791": "train", "900": "test"}
PART_OF = {"790": 0, "791": 0, "900": 1}
FILE = "pics/791.png"
GRID = [2, 4]
MADE_FROM = Provenance("0123456789abcdef", {"source": "fedcba9876543210"})


def picture(image_id: str) -> bytes:
    """The image's encoded picture."""
    width, height = SIZES[image_id]
    pixels = np.full((height, width, 3), int(image_id) % 251, dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _mask(image_id: str, x0: int, y0: int, x1: int, y1: int) -> dict[str, Any]:
    width, height = SIZES[image_id]
    pixels = np.zeros((height, width), dtype=bool)
    pixels[y0:y1, x0:x1] = True
    return masks.encode(pixels)


def _word(text: str, role: str, start: int, lemma: str | None = None) -> dict[str, Any]:
    word = {"text": text, "lemma": lemma or text, "role": role}
    return {**word, "start": start, "end": start + len(text)}


def rows() -> Rows:
    """All rows by table, fresh: tests may change them."""
    images = [
        {
            "image_id": name,
            "image": {
                "bytes": None if name == "791" else picture(name),
                "path": FILE if name == "791" else None,
            },
            "sha256": name * 16, "width": SIZES[name][0], "height": SIZES[name][1], "split": SPLITS[name],
        }
        for name in SIZES
    ]  # fmt: skip
    texts = {
        "790/c41": "A red cup on a wooden table.",
        "790/c42": "Two cups.",
        "791/c43": "A dog — and no cat.",
        "900/c44": "An old car.",
    }
    captions = [
        {"caption_id": name, "image_id": name.split("/")[0], "text": text} for name, text in texts.items()
    ]
    phrases = [
        _phrase("790/c41", 0, "A red cup", 0, _word("red", "attribute", 2), _word("cup", "head", 6)),
        _phrase(
            "790/c41", 1, "a wooden table", 13, _word("wooden", "attribute", 15), _word("table", "head", 22)
        ),
        _phrase(
            "790/c42", 0, "Two cups", 0, _word("Two", "number", 0, "two"), _word("cups", "head", 4, "cup")
        ),
        _phrase("791/c43", 0, "A dog", 0, _word("dog", "head", 2)),
        _phrase("900/c44", 0, "An old car", 0, _word("old", "attribute", 3), _word("car", "head", 7)),
    ]
    boxes = {
        "790/c41/p0": [([2.5, 3.0, 20.0, 25.25], 0.9, None), ([21.0, 3.0, 30.0, 25.0], 0.25, None)],
        "790/c41/p1": [([0.0, 10.0, 40.0, 30.0], 0.5, _mask("790", 0, 10, 40, 30))],
        "791/c43/p0": [([5.1, 6.2, 17.3, 39.9], 0.75, None)],
        "900/c44/p0": [([1.0, 1.0, 19.0, 19.0], 1.0, _mask("900", 1, 1, 19, 19))],
    }
    regions = [
        {
            "region_id": f"{name}/r{number}", "phrase_id": name, "image_id": name.split("/")[0], "box": box,
            "mask": mask, "score": score, "annotator": "hand",
        }
        for name, found in boxes.items()
        for number, (box, score, mask) in enumerate(found)
    ]  # fmt: skip
    return {
        "images": images,
        "captions": captions,
        "objects": _objects(),
        "conversations": _conversations(),
        "phrases": phrases,
        "regions": regions,
        "patch_words": _patch_words(),
        "rejects/ingest": [],
        "rejects/parse": [],
        "rejects/ground": [
            {
                "stage": "ground", "key": "phrase:790/c42/p0", "reason": "not_found",
                "message": "no region reached the threshold",
            }
        ],
        "rejects/patch_words": [],
    }  # fmt: skip


def tagged() -> Rows:
    """The rows of a run without captions, by tags: 790's are "A red cup, a wooden table, Two cups"."""
    made, last = rows() | {"captions": []}, {}
    for row in made["phrases"]:
        start = last.get(row["image_id"], -2) + 2
        moved = start - row["start"]
        words = [{**w, "start": w["start"] + moved, "end": w["end"] + moved} for w in row["words"]]
        end = start + len(row["text"])
        row.update(caption_id=f"{row['image_id']}/tags", start=start, end=end, words=words)
        last[row["image_id"]] = end
    return made


def _phrase(caption_id: str, number: int, text: str, start: int, *words: dict[str, Any]) -> dict[str, Any]:
    return {
        "phrase_id": f"{caption_id}/p{number}", "caption_id": caption_id,
        "image_id": caption_id.split("/")[0],
        "text": text, "start": start, "end": start + len(text), "is_plural": text.startswith("Two"),
        "words": list(words),
    }  # fmt: skip


def _objects() -> list[dict[str, Any]]:
    def one(name: str, label: str, box: list[float], mask: Any, *spans: tuple[str, int, int], crowd=False):
        return {
            "object_id": name, "image_id": name.split("/")[0], "label": label, "attributes": [], "box": box,
            "mask": mask, "is_crowd": crowd,
            "phrase": [{"caption_id": caption, "start": start, "end": end} for caption, start, end in spans],
        }  # fmt: skip

    return [
        one("790/o1", "cup", [2.5, 3.0, 20.0, 25.25], None, ("790/c41", 0, 9)),
        one("790/o2", "table", [0.0, 10.0, 40.0, 30.0], _mask("790", 0, 10, 40, 30), ("790/c41", 13, 27)),
        one(
            "791/o7", "dog", [5.1, 6.2, 17.3, 39.9], _mask("791", 6, 7, 17, 39), ("791/c43", 0, 5), crowd=True
        ),
        one("900/o9", "car", [1.0, 1.0, 19.0, 19.0], None, ("900/c44", 0, 10)),
    ]


def _conversations() -> list[dict[str, Any]]:
    def one(name: str, task: str, question: str, answer: str, box: list[float] | None) -> dict[str, Any]:
        image_id = name.split("/")[0]
        turns = [{"role": "user", "text": question}, {"role": "assistant", "text": answer}]
        return {
            "conversation_id": name, "image_id": image_id, "task": task, "kind": None, "turns": turns,
            "answer": answer, "box": box, "split": SPLITS[image_id],
        }  # fmt: skip

    single = "Answer the question using a single word or phrase."
    return [
        one("790/q0", "referring", "Where is the red cup?", "<box>", [2.5, 3.0, 20.0, 25.25]),
        one("790/q1", "question", f"What is on the table?\n{single}", "A cup", None),
        one("791/q0", "region", "What is at <box>?", "a dog", [5.1, 6.2, 17.3, 39.9]),
        one("900/q0", "chat", "What is this?", "A car, and an old one.", None),
    ]


def _patch_words() -> list[dict[str, Any]]:
    def one(name: str, phrase: str, words: str, patches: dict[int, float], score: float, regions: int = 1):
        image_id = name.split("/")[0]
        *attributes, head = words.split()
        roles = [*((text, "attribute") for text in attributes), (head, "head")]
        return {
            "image_id": image_id, "phrase_id": name, "split": SPLITS[image_id],
            "region_ids": [f"{name}/r{number}" for number in range(regions)], "phrase": phrase,
            "words": [{"text": text, "lemma": text, "role": role} for text, role in roles], "grid": GRID,
            "patches": list(patches), "coverage": list(patches.values()), "score": score, "annotator": "hand",
        }  # fmt: skip

    return [
        one("790/c41/p0", "A red cup", "red cup", {0: 0.5, 1: 1.0, 4: 0.25}, 0.9, regions=2),
        one("790/c41/p1", "a wooden table", "wooden table", {4: 1.0, 5: 1.0, 6: 1.0, 7: 1.0}, 0.5),
        one("791/c43/p0", "A dog", "dog", {1: 0.75}, 0.75),
        one("900/c44/p0", "An old car", "old car", {0: 0.125, 3: 0.25}, 1.0),
    ]


def write(data: Path, made: Rows | None = None, made_from: Provenance = MADE_FROM) -> Path:
    """Write the datasets below ``data``, and the one picture that lies in a file below ``data/raw``."""
    for name, found in (rows() if made is None else made).items():
        for part in (0, 1):
            chosen = [row for row in found if PART_OF[_image_of(row)] == part]
            table = name.split("/")[0]
            dataset.write_part(data / name, part, schemas.from_rows(table, chosen), table, made_from)
    file = data / "raw" / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(picture("791"))
    return data


def _image_of(row: dict[str, Any]) -> str:
    return row["image_id"] if "image_id" in row else row["key"].partition(":")[2].split("/")[0]
