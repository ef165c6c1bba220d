"""ODVG's JSONL, which trains Grounding DINO (Open-GroundingDINO, MM-Grounding-DINO; GRIT and GoldG come so).

As `pipeline.sources.grounding_json` reads it. ``regions`` and ``patch_words`` become a line for each caption,
``"grounding": {"caption", "regions": [{"bbox", "phrase", "tokens_positive"}]}``, boxes (x0, y0, x1, y1) in
pixels; of ``patch_words`` only the regions that made it onto patches. ``objects`` become a line for each
image, ``"detection": {"instances": [{"bbox", "label", "category"}]}``, and ``label_map.json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from pipeline.export import pictures
from pipeline.export.files import JsonLines, dumps
from pipeline.export.job import Item, Job, Row
from pipeline.report import lookup


def write(job: Job) -> None:
    """Write the lines of each split and, if pictures are copied, ``images/``."""
    table = job.table.name
    labels: dict[str, int] = {}
    names = ("objects",) if table == "objects" else grounded_tables(table)
    with ExitStack() as stack:
        files: dict[str, JsonLines] = {}
        for item in job.items(*names):
            split = item.image["split"]
            if split not in files:
                files[split] = stack.enter_context(JsonLines(job.out / f"{split}.jsonl"))
            pictures.put(job.out / "images", item.file, item.content)
            job.report.written["images"] += 1
            for line in _detections(item, labels) if table == "objects" else _groundings(item, job):
                files[split].add(line)
                job.report.written["lines"] += 1
    if table == "objects":
        names_by_number = {str(number): name for name, number in labels.items()}
        (job.out / "label_map.json").write_text(dumps(names_by_number) + "\n", encoding="utf-8")


def grounded_tables(table: str) -> tuple[str, ...]:
    """The tables that captions with grounded phrases are made of."""
    return ("captions", "phrases", "regions", *(("patch_words",) if table == "patch_words" else ()))


def grounded(item: Item) -> Iterator[tuple[Row, list[tuple[Row, list[Row]]]]]:
    """(caption, [(phrase, its regions)]) of an image: phrases with a region, in the caption's order."""
    chosen = None
    if "patch_words" in item.rows:
        chosen = {name for row in item.rows["patch_words"] for name in row["region_ids"]}
    regions: dict[str, list[Row]] = {}
    for row in item.rows["regions"]:
        if chosen is None or row["region_id"] in chosen:
            regions.setdefault(row["phrase_id"], []).append(row)
    for caption in [*item.rows["captions"], *lookup.tag_captions(item.rows["phrases"])]:
        phrases = [row for row in item.rows["phrases"] if row["caption_id"] == caption["caption_id"]]
        found = [(row, regions[row["phrase_id"]]) for row in phrases if row["phrase_id"] in regions]
        yield caption, sorted(found, key=lambda pair: (pair[0]["start"], pair[0]["end"]))


def _groundings(item: Item, job: Job) -> Iterator[Row]:
    for caption, phrases in grounded(item):
        regions = [
            {
                "bbox": region["box"],
                "phrase": phrase["text"],
                "tokens_positive": [[phrase["start"], phrase["end"]]],
            }
            for phrase, found in phrases
            for region in found
        ]
        job.report.written["regions"] += len(regions)
        yield _line(item) | {"grounding": {"caption": caption["text"], "regions": regions}}


def _detections(item: Item, labels: dict[str, int]) -> Iterator[Row]:
    instances = [
        {"bbox": row["box"], "label": labels.setdefault(row["label"], len(labels)), "category": row["label"]}
        for row in item.rows["objects"]
    ]
    yield _line(item) | {"detection": {"instances": instances}}


def _line(item: Item) -> Row:
    return {"filename": item.file, "height": item.image["height"], "width": item.image["width"]}
