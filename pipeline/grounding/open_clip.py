"""Annotation source: the dense similarity of an open_clip model's patches with a phrase's text.

A phrase and every patch of its image are embedded in the model's shared space; the patches that resemble
the phrase most make one region, as a mask of the image's own pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.grounding import dense_clip
from pipeline.grounding.base import ShardInputs
from pipeline.params import OpenClipSourceParams
from pipeline.patches.geometry import Geometry
from pipeline.sources.pictures import load_picture
from pipeline.tables import digests, masks, schemas
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Tables

if TYPE_CHECKING:
    from PIL.Image import Image

REASONS = {
    "below_min_similarity": "the most similar patch is below ground.open_clip.min_similarity",
    "image_unreadable": "the image could not be read",
}
_LOCAL = "local-dir:"


class Region(NamedTuple):
    """A place in an image that resembles a phrase."""

    mask: np.ndarray
    """bool (height, width), image pixels."""
    box: tuple[int, int, int, int]
    """The tight box around the mask."""
    cosine: float
    """Mean over the region's patches."""


@dataclass(frozen=True)
class OpenClipAnnotator:
    """Grounds every phrase to the patches that resemble its text; see `pipeline.grounding.base.Annotator`.

    One region a phrase. Its score is (1 + mean cosine of its patches) / 2, so that 0.5 is no resemblance.
    """

    params: OpenClipSourceParams

    def __post_init__(self) -> None:
        if "{}" not in self.params.prompt:
            raise UserError(
                f"ground.open_clip.prompt: found {self.params.prompt!r}; it needs {{}} where the phrase goes."
            )

    @property
    def name(self) -> str:
        """``open_clip``."""
        return "open_clip"

    def digest(self) -> str:
        """Digest of the settings and of the model's files; ``batch_size`` changes no region."""
        settings = self.params.model_dump(mode="json", exclude={"batch_size"})
        return digests.of_value([settings, self._weights])

    def ground(self, shard: ShardInputs) -> Tables:
        """``regions`` and ``rejects``, in the order of the phrases; images and texts are encoded once each.

        Raises:
            UserError: the model cannot be loaded, or its vision tower is no plain vision transformer.
        """
        model = dense_clip.load(self.params.model, self.params.pretrained, self._weights)
        phrase_ids, image_ids, texts = (
            shard.phrases.column(name).to_pylist() for name in ("phrase_id", "image_id", "text")
        )
        text_index = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        if text_index:
            prompts = [self.params.prompt.replace("{}", text) for text in text_index]
            features_KE = model.encode_texts(prompts)
        wanted: dict[str, dict[str, int]] = {}  # image -> its distinct texts
        for image_id, text in zip(image_ids, texts, strict=True):
            wanted.setdefault(image_id, {})[text] = text_index[text]

        found: dict[tuple[str, str], Region | str] = {}  # a region, or why there is none
        unreadable: dict[str, str] = {}
        for batch in self._batches(shard, wanted, unreadable):
            names, pictures = zip(*batch, strict=True)
            for name, picture, patches_NE in zip(
                names, pictures, model.encode_patches(list(pictures), self.params.dense), strict=True
            ):
                index = list(wanted[name].values())
                for text, similarity in zip(wanted[name], features_KE[index] @ patches_NE.T, strict=True):
                    found[name, text] = self._region(similarity, model.geometry, picture.size)

        rows, rejects = [], Rejects("ground", REASONS)
        for phrase_id, image_id, text in zip(phrase_ids, image_ids, texts, strict=True):
            region = found.get((image_id, text))
            if region is None:
                rejects.add(f"phrase:{phrase_id}", "image_unreadable", unreadable[image_id])
            elif isinstance(region, str):
                rejects.add(f"phrase:{phrase_id}", "below_min_similarity", region)
            else:
                rows.append(self._row(phrase_id, image_id, region))
        return {"regions": schemas.from_rows("regions", rows), "rejects": rejects.table()}

    def _batches(
        self, shard: ShardInputs, wanted: Mapping[str, Any], unreadable: dict[str, str]
    ) -> Iterator[list[tuple[str, Image]]]:
        """The readable images that have phrases, some at a time; why the others are not goes to the dict."""
        unreadable.update(dict.fromkeys(wanted, "the image is not in the same part of the table `images`"))
        batch = []
        ids = shard.images.column("image_id").to_pylist()
        for i, image_id in enumerate(ids):
            if image_id not in wanted:
                continue
            try:
                picture = load_picture(shard.images.column("image")[i].as_py(), shard.root, image_id)
            except UserError as error:
                unreadable[image_id] = str(error)
                continue
            batch.append((image_id, picture))
            if len(batch) == self.params.batch_size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _region(self, similarity: np.ndarray, geometry: Geometry, size: tuple[int, int]) -> Region | str:
        region, best = locate(similarity, geometry, *size, self.params.threshold)
        if best < self.params.min_similarity:
            return f"the most similar patch has cosine {best:.3f}, below {self.params.min_similarity}"
        return region

    def _row(self, phrase_id: str, image_id: str, region: Region) -> dict[str, Any]:
        return {
            "region_id": f"{phrase_id}/r0",
            "phrase_id": phrase_id,
            "image_id": image_id,
            "box": region.box,
            "mask": masks.encode(region.mask),
            "score": (1 + region.cosine) / 2,
            "annotator": self.name,
        }

    @cached_property
    def _weights(self) -> str:
        """Digest of the model's own files, where it is made of files."""
        if self.params.model.startswith(_LOCAL):
            folder = Path(self.params.model.removeprefix(_LOCAL))
            if not (folder / "open_clip_config.json").is_file():
                raise UserError(
                    f"ground.open_clip.model: found {self.params.model!r}, but there is no "
                    f"{folder / 'open_clip_config.json'}. Run `dvc repro encoder` to train the encoder, or "
                    "name another folder or one of open_clip's architectures."
                )
            return digests.of_files(folder)
        file = Path(self.params.pretrained or "")
        return digests.of_file(file) if file.is_file() else ""


def locate(
    similarity: np.ndarray, geometry: Geometry, width: int, height: int, threshold: float
) -> tuple[Region, float]:
    """The region of an image that its patches' similarities make, and the similarity of its best patch.

    Args:
        similarity: cosine of each patch with the text, (rows * columns,).
        geometry: the model's; patches are blocks of the pixels whose centres they see.
        width: pixels of the image.
        height: the same.
        threshold: a patch belongs to the region when its similarity, scaled so that the least similar patch
            of the image has 0 and the most similar 1, exceeds this. The most similar always belongs.
            Patches that see nothing but padding count for nothing.
    """
    rows_of, columns_of = geometry.patches_of_pixels(width, height)
    inside = np.ix_(np.unique(rows_of[rows_of >= 0]), np.unique(columns_of[columns_of >= 0]))
    grid = similarity.reshape(geometry.grid)
    seen = grid[inside]
    low, best = float(seen.min()), float(seen.max())
    chosen = np.zeros(geometry.grid, dtype=bool)
    chosen[inside] = (seen - low > threshold * (best - low)) | (seen == best)
    # A row and a column of False at the end: what -1, a pixel that no patch sees, picks.
    mask = np.pad(chosen, ((0, 1), (0, 1)))[np.ix_(rows_of, columns_of)]
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1)
    return Region(mask, box, float(grid[chosen].mean())), best
