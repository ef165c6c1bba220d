"""Noun phrases to regions.

A new annotation source is one file with a class that has `base.Annotator`'s methods, and one line in
`ANNOTATORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.grounding.base import Annotator
from pipeline.params import GroundParams


def _dataset(params: GroundParams, _kept_root: Path | None) -> Annotator:
    from pipeline.grounding.dataset import DatasetAnnotator

    return DatasetAnnotator(params.dataset)


def _open_clip(params: GroundParams, kept_root: Path | None) -> Annotator:
    from pipeline.grounding.open_clip import OpenClipAnnotator

    return OpenClipAnnotator(params.open_clip, kept_root)


def _groundingdino(params: GroundParams, kept_root: Path | None) -> Annotator:
    from pipeline.grounding.groundingdino import annotator

    return annotator(params.groundingdino, kept_root)


def _grounding_dino(params: GroundParams, kept_root: Path | None) -> Annotator:
    from pipeline.grounding.grounding_dino import annotator

    return annotator(params.grounding_dino, kept_root)


def _owlv2(params: GroundParams, kept_root: Path | None) -> Annotator:
    from pipeline.grounding.owlv2 import annotator

    return annotator(params.owlv2, kept_root)


def _tags(params: GroundParams, kept_root: Path | None) -> Annotator:
    from pipeline.grounding.tags import TagsAnnotator

    (source,) = _members(params, params.tags.source, kept_root)
    return TagsAnnotator(params.tags, source)


def _consensus(params: GroundParams, kept_root: Path | None) -> Annotator:
    from pipeline.grounding.consensus import ConsensusAnnotator

    return ConsensusAnnotator(params.consensus, _members(params, params.consensus.sources, kept_root))


def _members(
    params: GroundParams, sources: Mapping[str, Any], kept_root: Path | None
) -> tuple[Annotator, ...]:
    """Sources by name, with the settings that they are given there instead of their own."""
    own = params.model_copy(update=dict(sources))
    return tuple(ANNOTATORS[name](own, kept_root) for name in sources)


ANNOTATORS: dict[str, Callable[[GroundParams, Path | None], Annotator]] = {
    "dataset": _dataset,
    "open_clip": _open_clip,
    "groundingdino": _groundingdino,
    "grounding_dino": _grounding_dino,
    "owlv2": _owlv2,
    "tags": _tags,
    "consensus": _consensus,
}


def open_annotator(params: GroundParams, kept_root: Path | None = None) -> Annotator:
    """The annotation source that ``ground.source`` asks for, its boxes made into masks by ``ground.masks``.

    What models say is kept below ``kept_root`` and not asked again, whatever thresholds are set, and nothing
    is kept without one (see `pipeline.grounding.kept`). The same regions come out either way.

    Raises:
        UserError: there is no such source, or its settings do not fit together.
    """
    if params.source not in ANNOTATORS:
        raise UserError(f"ground.source: found {params.source!r}; it must be one of {', '.join(ANNOTATORS)}.")
    source = ANNOTATORS[params.source](params, kept_root)
    if params.masks == "none":
        return source
    from pipeline.grounding.segmentation import MaskedAnnotator

    return MaskedAnnotator(source, params.masks, getattr(params.mask_models, params.masks), kept_root)
