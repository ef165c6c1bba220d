"""Annotation source: the dense similarity of an open_clip model's patches with a phrase's text.

A phrase and every patch of its image are embedded in the model's shared space; the patches that resemble
the phrase most make one region, as a mask of the image's own pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.grounding import batches, dense_clip, kept, pretrained
from pipeline.grounding.base import ShardInputs
from pipeline.grounding.dense_clip import DenseClip
from pipeline.params import OpenClipSourceParams
from pipeline.patches.geometry import Geometry
from pipeline.tables import digests, masks, schemas
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Tables

REASONS = {
    "below_min_similarity": "the most similar patch is below ground.open_clip.min_similarity",
    "image_unreadable": "the image could not be read",
}


class Regions(NamedTuple):
    """Where an image resembles each of some texts."""

    masks: np.ndarray
    """bool (texts, height, width), image pixels."""
    boxes: np.ndarray
    """int (texts, 4), the tight box around each mask."""
    cosine: np.ndarray
    """Mean over the region's patches, (texts,)."""
    best: np.ndarray
    """Cosine of the image's most similar patch, (texts,)."""


@dataclass(frozen=True)
class OpenClipAnnotator:
    """Grounds every phrase to the patches that resemble its text; see `pipeline.grounding.base.Annotator`.

    One region a phrase. Its score is (1 + mean cosine of its patches) / 2, so that 0.5 is no resemblance.

    What is kept below ``kept_root`` is the similarity of each phrase with each patch, 4 bytes a patch: 2 KB a
    phrase for a 24 x 24 grid, where the patches' features would be 1.7 MB an image. In full precision, since
    which patches are above a threshold would otherwise depend on the rounding.
    """

    params: OpenClipSourceParams
    kept_root: Path | None = None

    def __post_init__(self) -> None:
        pretrained.check_template("ground.open_clip.prompt", self.params.prompt)

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
        wanted: dict[str, dict[str, None]] = {}  # image -> its distinct texts
        for image_id, text in zip(image_ids, texts, strict=True):
            wanted.setdefault(image_id, {})[text] = None

        unreadable: dict[str, str] = {}
        said = self._recall(model, shard, wanted, unreadable)
        found: dict[tuple[str, str], dict[str, Any] | str] = {}  # a region, or why there is none
        for image_id, own in wanted.items():
            if image_id in unreadable:
                continue
            sizes, maps = zip(*(_unpack(said[image_id, text]) for text in own), strict=True)
            width, height = sizes[0]
            regions = locate(np.stack(maps), model.geometry, width, height, self.params.threshold)
            for i, text in enumerate(own):
                found[image_id, text] = self._region(regions, i)

        rows, rejects = [], Rejects("ground", REASONS)
        for phrase_id, image_id, text in zip(phrase_ids, image_ids, texts, strict=True):
            region = found.get((image_id, text))
            if region is None:
                rejects.add(f"phrase:{phrase_id}", "image_unreadable", unreadable[image_id])
            elif isinstance(region, str):
                rejects.add(f"phrase:{phrase_id}", "below_min_similarity", region)
            else:
                names_of = {"region_id": f"{phrase_id}/r0", "phrase_id": phrase_id, "image_id": image_id}
                rows.append({**names_of, **region})
        return {"regions": schemas.from_rows("regions", rows), "rejects": rejects.table()}

    def _recall(
        self,
        model: DenseClip,
        shard: ShardInputs,
        wanted: Mapping[str, Mapping[str, None]],
        unreadable: dict[str, str],
    ) -> dict[tuple[str, str], bytes]:
        """Similarities of the images that can be read with their texts; why others cannot be, to the dict."""
        contents = batches.contents(shard.images)
        unreadable.update((image_id, batches.ELSEWHERE) for image_id in wanted if image_id not in contents)

        def make(lacking: list[tuple[str, str]]) -> Iterator[dict[tuple[str, str], bytes]]:
            texts: dict[str, list[str]] = {}  # image -> texts that it lacks
            for image_id, text in lacking:
                texts.setdefault(image_id, []).append(text)
            numbers = {text: i for i, text in enumerate(dict.fromkeys(text for _, text in lacking))}
            if numbers:
                prompts = [self.params.prompt.replace("{}", text) for text in numbers]
                features_KE = model.encode_texts(prompts)
            for batch in batches.batches(shard.images, shard.root, texts, self.params.batch_size, unreadable):
                features_BNE = model.encode_patches([picture for _, picture in batch], self.params.dense)
                made = {}
                for (image_id, picture), patches_NE in zip(batch, features_BNE, strict=True):
                    own = texts[image_id]
                    similarity_KN = features_KE[[numbers[text] for text in own]] @ patches_NE.T
                    for text, similarity_N in zip(own, similarity_KN, strict=True):
                        made[image_id, text] = _pack(picture.size, similarity_N)
                yield made

        before = self.params.model_dump(mode="json", exclude={"threshold", "min_similarity", "batch_size"})
        return kept.recall(
            kept.open_kept(
                self.kept_root, {"source": self.name, "settings": before, "weights": self._weights}
            ),
            [(image_id, text) for image_id in wanted if image_id in contents for text in wanted[image_id]],
            lambda unit: kept.key(contents[unit[0]], unit[1]),
            make,
        )

    def _region(self, found: Regions, i: int) -> dict[str, Any] | str:
        """Text ``i``'s box, mask, score and annotator, or why it has none."""
        if found.best[i] < self.params.min_similarity:
            return (
                f"the most similar patch has cosine {found.best[i]:.3f}, below {self.params.min_similarity}"
            )
        return {
            "box": found.boxes[i].tolist(),
            "mask": masks.encode(found.masks[i]),
            "score": (1 + float(found.cosine[i])) / 2,
            "annotator": self.name,
        }

    @cached_property
    def _weights(self) -> str:
        return dense_clip.weights_digest(self.params.model, self.params.pretrained)


def locate(
    similarity_KN: np.ndarray, geometry: Geometry, width: int, height: int, threshold: float
) -> Regions:
    """The regions of an image that its patches' similarities with K texts make, one a text.

    Args:
        similarity_KN: cosine of each text with each patch, (texts, rows * columns).
        geometry: the model's; patches are blocks of the pixels whose centres they see.
        width: pixels of the image.
        height: the same.
        threshold: a patch belongs to the region when its similarity, scaled so that the least similar patch
            of the image has 0 and the most similar 1, exceeds this. The most similar always belongs.
            Patches that see nothing but padding count for nothing.
    """
    rows_of, columns_of = geometry.patches_of_pixels(width, height)
    seen = np.zeros(geometry.grid, dtype=bool)
    seen[np.ix_(np.unique(rows_of[rows_of >= 0]), np.unique(columns_of[columns_of >= 0]))] = True
    seen_N = seen.ravel()
    low = similarity_KN.min(axis=1, where=seen_N, initial=np.inf, keepdims=True)
    best = similarity_KN.max(axis=1, where=seen_N, initial=-np.inf, keepdims=True)
    chosen_KN = (similarity_KN - low > threshold * (best - low)) | (similarity_KN == best)
    chosen_KN &= seen_N
    cosine = similarity_KN.mean(axis=1, where=chosen_KN)

    # A row and a column of False at the end: what -1, a pixel that no patch sees, picks.
    padded = np.zeros((len(chosen_KN), geometry.grid[0] + 1, geometry.grid[1] + 1), dtype=bool)
    padded[:, :-1, :-1] = chosen_KN.reshape(-1, *geometry.grid)
    masks_KHW = padded[:, rows_of[:, None], columns_of]
    x0, x1 = _ends(np.any(padded, axis=1)[:, columns_of])
    y0, y1 = _ends(np.any(padded, axis=2)[:, rows_of])
    return Regions(masks_KHW, np.stack([x0, y0, x1, y1], axis=1), cosine, best[:, 0])


def _pack(size: tuple[int, int], similarity_N: np.ndarray) -> bytes:
    """Width and height of an image in pixels, and a similarity for each patch."""
    return np.array(size, "<i4").tobytes() + similarity_N.astype("<f4").tobytes()


def _unpack(data: bytes) -> tuple[tuple[int, int], np.ndarray]:
    width, height = np.frombuffer(data, "<i4", 2).tolist()
    return (width, height), np.frombuffer(data, "<f4", offset=8)


def _ends(line_KL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First true element of each row, and one past the last."""
    return line_KL.argmax(axis=1), line_KL.shape[1] - line_KL[:, ::-1].argmax(axis=1)
