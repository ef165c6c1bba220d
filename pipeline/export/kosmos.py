"""Kosmos-2's grounded captions (arXiv 2306.14824), a JSON line each: ``{"id", "image", "text"}``.

    <grounding>There is <phrase>a red cup</phrase><object><patch_index_0044><patch_index_0863></object>.

A box is the pair of cells of a 32 x 32 grid over the picture that hold its corners; boxes of one phrase are
divided by ``</delimiter_of_multi_objects/>``. Phrases cannot nest: of two that share characters the one that
begins first stays, and of those that begin together the longer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack

from pipeline.export import odvg, pictures
from pipeline.export.files import JsonLines
from pipeline.export.job import Job, Row

BINS = 32
_DELIMITER = "</delimiter_of_multi_objects/>"


def write(job: Job) -> None:
    """Write the lines of each split and, if pictures are copied, ``images/``."""
    with ExitStack() as stack:
        files: dict[str, JsonLines] = {}
        for item in job.items(*odvg.grounded_tables(job.table.name)):
            split = item.image["split"]
            pictures.put(job.out / "images", item.file, item.content)
            job.report.written["images"] += 1
            for caption, phrases in odvg.grounded(item):
                if "<" in caption["text"]:
                    job.report.leave_out("caption_with_tags", caption["caption_id"])
                    continue
                kept = _apart(phrases, job)
                if split not in files:
                    files[split] = stack.enter_context(JsonLines(job.out / f"{split}.jsonl"))
                text = grounded_text(caption["text"], kept, item.image["width"], item.image["height"])
                files[split].add({"id": caption["caption_id"], "image": item.file, "text": text})
                job.report.written["captions"] += 1
                job.report.written["phrases"] += len(kept)


def grounded_text(caption: str, phrases: Sequence[tuple[Row, Sequence[Row]]], width: int, height: int) -> str:
    """A caption with tags around its phrases (rows with their regions), which are in order and apart."""
    pieces, last = ["<grounding>"], 0
    for phrase, regions in phrases:
        boxes = _DELIMITER.join(_cells(region["box"], width, height) for region in regions)
        pieces += [caption[last : phrase["start"]], "<phrase>", caption[phrase["start"] : phrase["end"]]]
        pieces.append(f"</phrase><object>{boxes}</object>")
        last = phrase["end"]
    return "".join([*pieces, caption[last:]])


def _cells(box: Sequence[float], width: int, height: int) -> str:
    """The cells of a box's upper left and lower right corner: row * 32 + column; the box is half-open."""
    x0, y0, x1, y1 = box
    upper = math.floor(y0 / height * BINS) * BINS + math.floor(x0 / width * BINS)
    lower = math.ceil(y1 / height * BINS - 1) * BINS + math.ceil(x1 / width * BINS - 1)
    return f"<patch_index_{upper:04d}><patch_index_{lower:04d}>"


def _apart(phrases: Sequence[tuple[Row, list[Row]]], job: Job) -> list[tuple[Row, list[Row]]]:
    kept: list[tuple[Row, list[Row]]] = []
    for phrase, regions in sorted(phrases, key=lambda pair: (pair[0]["start"], -pair[0]["end"])):
        if kept and phrase["start"] < kept[-1][0]["end"]:
            job.report.leave_out("phrase_in_another", phrase["phrase_id"])
        else:
            kept.append((phrase, regions))
    return kept
