"""Noun phrases to regions.

A new annotation source is one file with a class that has `base.Annotator`'s methods, and one line in
`ANNOTATORS`.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.errors import UserError
from pipeline.grounding.base import Annotator
from pipeline.params import GroundParams


def _dataset(params: GroundParams) -> Annotator:
    from pipeline.grounding.dataset import DatasetAnnotator

    return DatasetAnnotator(params.dataset)


def _open_clip(params: GroundParams) -> Annotator:
    from pipeline.grounding.open_clip import OpenClipAnnotator

    return OpenClipAnnotator(params.open_clip)


ANNOTATORS: dict[str, Callable[[GroundParams], Annotator]] = {"dataset": _dataset, "open_clip": _open_clip}


def open_annotator(params: GroundParams) -> Annotator:
    """The annotation source that ``ground.source`` asks for.

    Raises:
        UserError: there is no such source.
    """
    if params.source not in ANNOTATORS:
        raise UserError(f"ground.source: found {params.source!r}; it must be one of {', '.join(ANNOTATORS)}.")
    return ANNOTATORS[params.source](params)
