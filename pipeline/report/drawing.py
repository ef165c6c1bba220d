"""A phrase, drawn: from rows of the datasets to pictures, for the command, the report and other viewers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.patches.geometry import Geometry
from pipeline.report import arms, figure, overlays
from pipeline.report.canvas import png
from pipeline.report.lookup import Phrase
from pipeline.sources.pictures import load_picture

COVERAGE_BAR = figure.Bar(overlays.COVERAGE_MAP, "0", "1", "coverage of the patch")


def picture_of(image: Mapping[str, Any], root: Path) -> Image.Image:
    """The picture of a row of ``images``, RGB; paths are below the source's ``root``."""
    return load_picture(image["image"], root, image["image_id"])


def note_of(row: Mapping[str, Any]) -> str:
    """What stands under the picture of a row of ``patch_words``: its name, words, annotator and score."""
    words = ", ".join(f"{word['text']} ({word['role']})" for word in row["words"])
    return f"{row['phrase_id']}   {words}   {row['annotator']}, score {row['score']:.2f}"


def draw_phrase(picture: Image.Image, phrase: Phrase, row: Mapping[str, Any], geometry: Geometry) -> bytes:
    """PNG of a phrase on its patches.

    The picture with the regions outlined, the same with the patches of the ``patch_words`` row lit by
    their coverage, the colour bar, and the caption with the phrase marked.
    """
    edges = overlays.patch_edges(geometry, *picture.size)
    nothing = np.zeros(row["grid"])
    lit = overlays.dense(row["patches"], row["coverage"], row["grid"])
    return png(
        figure.compose(
            [
                ("Regions", overlays.coverage_panel(picture, edges, nothing, phrase.regions)),
                ("Patches", overlays.coverage_panel(picture, edges, lit, phrase.regions)),
            ],
            phrase.caption,
            phrase.span,
            [COVERAGE_BAR],
            note_of(row),
        )
    )


def draw_similarity(
    picture: Image.Image, phrase: Phrase, maps: Mapping[str, Mapping[str, Any]], geometry: Geometry
) -> bytes:
    """PNG of a phrase's similarity maps, an arm each side by side on one colour scale.

    ``maps``: rows of ``similarity_maps`` of the phrase by arm.
    """
    edges = overlays.patch_edges(geometry, *picture.size)
    grids = similarity_grids(maps)
    limits = overlays.shared_limits(list(grids.values()))
    nothing = np.zeros_like(next(iter(grids.values())))
    panels = [("Region", overlays.coverage_panel(picture, edges, nothing, phrase.regions))]
    panels += [
        (arms.title(arm), overlays.similarity_panel(picture, edges, grid, limits, phrase.regions))
        for arm, grid in grids.items()
    ]
    bar = figure.Bar(
        overlays.SIMILARITY_MAP, f"{limits[0]:.2f}", f"{limits[1]:.2f}", "cosine of patch and words"
    )
    return png(figure.compose(panels, phrase.caption, phrase.span, [bar], phrase.phrase_id))


def similarity_grids(maps: Mapping[str, Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Rows of ``similarity_maps`` by arm as (rows, columns) arrays."""
    return {
        arm: np.asarray(row["similarity"], dtype=np.float64).reshape(row["grid"]) for arm, row in maps.items()
    }
