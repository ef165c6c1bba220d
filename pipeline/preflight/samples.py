"""Eight drawn samples in the format of a profile's source, so that its reader is rehearsed as well."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from pipeline.models.boxes import BoxFormat
from pipeline.params import SourceParams
from pipeline.sources import open_source
from pipeline.sources.rows import split_of

TRAIN, VALIDATION, TEST = 8, 2, 4
COUNTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
SHARES = {"test_share": 0.3, "validation_share": 0.15}
"""Of made files, whose few images have to be in every split."""
FORMATS = ("scenes", "llava")
"""Sources whose own reader is rehearsed; drawn scenes stand for the others."""


def llava(source: SourceParams, seed: int, root: Path) -> None:
    """Drawn scenes as LLaVA's files: pictures, captions, and conversations of several turns, some with a box.

    Args:
        source: of the profile; scenes are drawn as it says, and files named as it says.
        seed: of the scenes.
        root: folder to write to.
    """
    total = sum(COUNTS.values())
    drawn = source.model_copy(
        update={
            "name": "scenes",
            "shard_size": total,
            "scenes": source.scenes.model_copy(update={"train": total - 2, "validation": 1, "test": 1}),
        }
    )
    tables = open_source(drawn, seed)
    shards = [tables.read(shard) for shard in range(tables.shard_count())]
    images = [row for shard in shards for row in shard["images"].to_pylist()]
    rows: dict[str, dict[str, list[Any]]] = {
        "captions": defaultdict(list),
        "conversations": defaultdict(list),
    }
    for shard in shards:
        for kind, found in rows.items():
            for row in shard[kind].to_pylist():
                found[row["image_id"]].append(row)
    files: dict[str, list[dict]] = {kind: [] for kind in rows}
    for image, name in zip(images, _names(), strict=True):
        path = root / source.llava.images[-1] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image["image"]["bytes"])
        caption = rows["captions"][image["image_id"]][0]["text"]
        files["captions"].append(_row(name, [("Describe the image.", caption)]))
        said = [_said(row, image) for row in rows["conversations"][image["image_id"]]]
        files["conversations"].append(_row(name, said[:2]))
        files["conversations"] += [_row(name, [each]) for each in said[2:]]
    for name, kind in source.llava.files.items():
        (root / name).write_text(json.dumps(files[kind]), encoding="utf-8")


def _said(row: dict, image: dict) -> tuple[str, str]:
    """Question and answer with the box, if there is one, in LLaVA's decimals."""
    question, answer = row["turns"][0]["text"], row["answer"]
    if row["box"] is not None:
        box = BoxFormat("llava").render(row["box"], image["width"], image["height"])
        question, answer = (text.replace("<box>", box) for text in (question, answer))
    return question, answer


def _row(image: str, turns: list[tuple[str, str]]) -> dict:
    texts = [
        {"from": speaker, "value": text}
        for place, (question, answer) in enumerate(turns)
        for speaker, text in (("human", question if place else f"<image>\n{question}"), ("gpt", answer))
    ]
    return {"id": image, "image": image, "conversations": texts}


def _names() -> list[str]:
    """Names of pictures that fall into the splits as `COUNTS` says."""
    left, names, number = dict(COUNTS), [], 0
    while any(left.values()):
        name = f"made/{number}.png"
        split = split_of(name, **SHARES)
        if left[split]:
            left[split] -= 1
            names.append(name)
        number += 1
    return names
