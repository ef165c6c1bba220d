"""Where images, captions, annotations and conversations come from.

A new dataset format is one file with a class that has `base.Source`'s methods, and one line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.errors import UserError
from pipeline.params import SourceParams
from pipeline.sources.base import Source


def _scenes(params: SourceParams, seed: int) -> Source:
    from pipeline.sources.scenes.source import ScenesSource

    return ScenesSource(params, seed)


def _coco(params: SourceParams, seed: int) -> Source:
    from pipeline.sources.coco import CocoSource

    return CocoSource(params)


FORMATS: dict[str, Callable[[SourceParams, int], Source]] = {"scenes": _scenes, "coco": _coco}


def open_source(params: SourceParams, seed: int) -> Source:
    """The source that ``source.name`` asks for; ``seed`` matters only to sources that make their images.

    Raises:
        UserError: there is no such format.
    """
    if params.name not in FORMATS:
        raise UserError(f"source.name: found {params.name!r}; it must be one of {', '.join(FORMATS)}.")
    return FORMATS[params.name](params, seed)
