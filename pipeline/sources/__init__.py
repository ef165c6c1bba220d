"""Where images, captions, annotations and conversations come from.

A new dataset format is one file with a function ``source(params)`` that gives a `base.Source` (most give a
`listing.ListedSource`), one line in `FORMATS`, and its settings in `pipeline.params.SourceParams`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from pipeline.errors import UserError
from pipeline.params import SourceParams
from pipeline.sources.base import Source


def _scenes(params: SourceParams, seed: int) -> Source:
    from pipeline.sources.scenes.source import ScenesSource

    return ScenesSource(params, seed)


def _coco(params: SourceParams, seed: int) -> Source:
    from pipeline.sources.coco import CocoSource

    return CocoSource(params)


def _listed(name: str) -> Callable[[SourceParams, int], Source]:
    """A format whose module ``pipeline.sources.<name>`` has a function ``source``."""
    return lambda params, seed: import_module(f"pipeline.sources.{name}").source(params)


FORMATS: dict[str, Callable[[SourceParams, int], Source]] = {
    "scenes": _scenes,
    "coco": _coco,
    "llava": _listed("llava"),
    "flickr30k": _listed("flickr30k"),
    "refcoco": _listed("refcoco"),
    "visual_genome": _listed("visual_genome"),
    "grounding_json": _listed("grounding_json"),
    "webdataset": _listed("webdataset"),
    "parquet": _listed("parquet"),
    "folder": _listed("folder"),
}


def open_source(params: SourceParams, seed: int) -> Source:
    """The source that ``source.name`` asks for; ``seed`` matters only to sources that make their images.

    Raises:
        UserError: there is no such format.
    """
    if params.name not in FORMATS:
        raise UserError(f"source.name: found {params.name!r}; it must be one of {', '.join(FORMATS)}.")
    return FORMATS[params.name](params, seed)
