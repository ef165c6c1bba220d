"""What the projector does, layer by layer of training: the report's section on the analysis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.patches.geometry import Geometry
from pipeline.report import breakdown, drawing, hypothesis, layers, lookup, nearest, overlays, spectra
from pipeline.report.arms import Looks
from pipeline.report.breakdown import Breakdown
from pipeline.report.hypothesis import Test
from pipeline.report.inputs import Inputs
from pipeline.report.layers import Layer, Row
from pipeline.report.nearest import Panel
from pipeline.report.plots import Plot
from pipeline.tables import dataset

PICTURES = 2
"""Images shown with their patches labelled."""
STAGES = {"": "pre-trained", "_finetuned": "fine-tuned"}
"""By the ending of the dataset's name."""


@dataclass(frozen=True)
class Section:
    """What the page shows of the analysis."""

    layers: list[Layer]
    groups: list[tuple[str, list[Row]]]
    names: dict[str, str]
    """Layers for reading, by key."""
    hypothesis: list[tuple[str, str, list[Test]]]
    """By kind of pair: its name, what the tests say, the tests."""
    breakdowns: list[tuple[str, Breakdown]]
    """By stage of training, the last first."""
    spectra: list[Plot]
    recalls: list[Plot]
    pictures: list[tuple[str, list[Panel]]]
    """By image, its caption and a panel for each arm and stage."""


def section(data: Path, found: Inputs, params: Params, looks: Looks) -> Section:
    """Everything that the section shows; what the stages did not leave is left out.

    Raises:
        UserError: a file is cut short, or not of the same run as the datasets.
    """
    resamples, seed = params.evaluate.bootstrap, params.seed
    evaluation = data / "evaluation"
    columns = layers.layers(looks)
    names = {
        layer.key: f"{looks[layer.arm].title}, {layer.title.lower()}" if layer.arm else layer.title
        for layer in columns
    }
    by_layer = layers.estimates(found)
    tests = hypothesis.tests(_measures(evaluation, found), resamples, seed)
    curves = {arm: _json(evaluation / arm / "curves.json") for arm in looks}
    regions = _regions(data, found)
    stages = (("After fine-tuning", found.measures), ("Before fine-tuning", found.measures_pretrained))
    return Section(
        layers=[layer for layer in columns if by_layer.get(layer.key)],
        groups=layers.rows(by_layer),
        names=names,
        hypothesis=[
            (title, hypothesis.verdict(mine, names), mine)
            for kind, title in hypothesis.KINDS.items()
            if (mine := [test for test in tests if test.kind == kind])
        ],
        breakdowns=[
            (title, breakdown.breakdown(measures, regions, resamples, seed))
            for title, measures in stages
            if measures and regions
        ],
        spectra=spectra.spectra(
            {arm: curve for arm, curve in curves.items() if curve},
            _json(evaluation / "references" / "curves.json"),
            looks,
        ),
        recalls=spectra.recalls(curves, looks),
        pictures=pictures(data, params.source.path, looks),
    )


def pictures(data: Path, root: Path, looks: Looks, count: int = PICTURES) -> list[tuple[str, list[Panel]]]:
    """Images with their patches labelled by the nearest words, each with its captions."""
    folders = [
        (arm, stage, data / "evaluation" / arm / f"patch_labels{ending}")
        for ending, stage in STAGES.items()
        for arm in looks
    ]
    labels = {(arm, stage): dataset.read(path) for arm, stage, path in folders if path.is_dir()}
    if not labels:
        return []
    images = next(iter(labels.values()))["image_id"].to_pylist()
    chosen = images[:: max(1, len(images) // count)][:count]
    by_image = {key: {row["image_id"]: row for row in table.to_pylist()} for key, table in labels.items()}
    rows = lookup.by_id(data / "images", "image_id", chosen)
    geometry = Geometry.from_encoder(data / "models" / "encoder")
    made = []
    for image in chosen:
        picture = drawing.picture_of(rows[image], root)
        edges = overlays.patch_edges(geometry, *picture.size)
        said = lookup.rows(data / "true_words", "image_id", [image])
        carried = nearest.carried_words(said, geometry.grid[0] * geometry.grid[1])
        panels = [
            nearest.panel(picture, edges, mine[image], carried, arm, stage)
            for (arm, stage), mine in by_image.items()
            if image in mine
        ]
        captions = lookup.rows(data / "captions", "image_id", [image])
        made.append((" ".join(row["text"] for row in captions), panels))
    return made


def _measures(evaluation: Path, found: Inputs) -> dict[str, pa.Table]:
    """The table ``measures`` of each layer that has one."""
    untrained = evaluation / "references" / "measures"
    tables = {"untrained": dataset.read(untrained)} if untrained.is_dir() else {}
    for arm in found.arms:
        for stage, of_arms in (("pretrained", found.measures_pretrained), ("finetuned", found.measures)):
            if arm in of_arms:
                tables[f"{stage}: {arm}"] = of_arms[arm]
    return tables


def _regions(data: Path, found: Inputs) -> list[dict[str, Any]]:
    """Rows of ``true_words`` that an arm was measured on."""
    wanted = {
        example
        for table in found.measures.values()
        for key, example in zip(table["metric"].to_pylist(), table["example"].to_pylist(), strict=True)
        if key == "alignment.cosine"
    }
    return lookup.rows(data / "true_words", "phrase_id", wanted) if wanted else []


def _json(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path} is cut short ({error}): run `dvc repro evaluate references` again."
        ) from error
