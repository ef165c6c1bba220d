"""Boxes into masks, by transformers' SAM or SAM 2: ``ground.masks``.

Kirillov et al., *Segment Anything*, ICCV 2023, arXiv 2304.02643; Ravi et al., *SAM 2: Segment Anything in
Images and Videos*, arXiv 2408.00714.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.grounding import batches, kept, pretrained
from pipeline.grounding.base import Annotator, ShardInputs
from pipeline.params import MaskModelParams
from pipeline.tables import digests, masks, schemas
from pipeline.tables.shards import Tables

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[float, ...]
Unit = tuple[str, Box]  # an image and a box in it

_BOXES = 64  # boxes of an image that are decoded at a time
_ADVICE = (
    "Give the hub name or folder of a model such as facebook/sam-vit-base or facebook/sam2.1-hiera-large."
)


@dataclass(frozen=True)
class MaskedAnnotator:
    """Another annotation source whose regions get masks; implements `pipeline.grounding.base.Annotator`.

    A region that has a mask keeps it. A new mask leaves the box as it is and says so in the column
    ``annotator``: ``owlv2+sam``. A region stays without one where the model marks no pixel, or where the
    image cannot be read (a source that looks at no pixels may have grounded it all the same).
    """

    source: Annotator
    kind: str
    """``sam`` or ``sam2``."""
    params: MaskModelParams
    kept_root: Path | None = None
    """Where masks are kept, by the image's content and the box (see `pipeline.grounding.kept`)."""

    @property
    def name(self) -> str:
        """``<source>+<kind>``."""
        return f"{self.source.name}+{self.kind}"

    def digest(self) -> str:
        """Digest of the source, and of the mask model and its files; ``batch_size`` changes no mask."""
        return digests.of_value([self.source.digest(), self.kind, self.params.model, self._weights])

    def ground(self, shard: ShardInputs) -> Tables:
        """The source's tables with masks in ``regions``.

        Raises:
            UserError: a model cannot be loaded.
        """
        tables = self.source.ground(shard)
        rows = tables["regions"].to_pylist()
        bare = {i: (row["image_id"], tuple(row["box"])) for i, row in enumerate(rows) if row["mask"] is None}
        said = self._recall(shard, list(dict.fromkeys(bare.values())))
        for i, unit in bare.items():
            mask = _unpack(said[unit]) if unit in said else None
            if mask is not None:
                rows[i] |= {"mask": mask, "annotator": f"{rows[i]['annotator']}+{self.kind}"}
        regions = schemas.from_rows("regions", rows) if bare else tables["regions"]
        return {**tables, "regions": regions}

    @cached_property
    def _weights(self) -> str:
        return pretrained.digest_of(self.params.model)

    def _recall(self, shard: ShardInputs, units: list[Unit]) -> dict[Unit, bytes]:
        """The mask of each box of each image that can be read, packed."""
        contents = batches.contents(shard.images)

        def make(lacking: list[Unit]) -> Iterator[dict[Unit, bytes]]:
            boxes: dict[str, list[Box]] = defaultdict(list)
            for image_id, box in lacking:
                boxes[image_id].append(box)
            for batch in batches.batches(shard.images, shard.root, boxes, self.params.batch_size, {}):
                wanted = [np.array(boxes[image_id]) for image_id, _ in batch]
                with pretrained.LOCK:
                    model = load(self.kind, self.params.model)
                    found = model.segment([picture for _, picture in batch], wanted)
                yield {
                    (image_id, box): _pack(mask)
                    for (image_id, _), values in zip(batch, found, strict=True)
                    for box, mask in zip(boxes[image_id], values, strict=True)
                }

        return kept.recall(
            kept.open_kept(
                self.kept_root,
                {"source": self.kind, "settings": {"model": self.params.model}, "weights": self._weights},
            ),
            [unit for unit in units if unit[0] in contents],
            lambda unit: kept.key(contents[unit[0]], *unit[1]),
            make,
        )


def _pack(mask: dict[str, Any] | None) -> bytes:
    """Height, width and run lengths of a mask; nothing for none."""
    return b"" if mask is None else np.array(mask["size"], "<i4").tobytes() + mask["counts"]


def _unpack(data: bytes) -> dict[str, Any] | None:
    return {"size": np.frombuffer(data, "<i4", 2).tolist(), "counts": data[8:]} if data else None


@dataclass(frozen=True)
class MaskModel:
    """A loaded SAM or SAM 2 with its image processor."""

    model: Any
    processor: Any

    def segment(self, pictures: list[Image], boxes: list[np.ndarray]) -> list[list[dict[str, Any] | None]]:
        """A mask for each box of each picture, or None where the model marks nothing.

        Images are encoded together and once; the boxes of an image (boxes, 4) are prompts of its encoding.
        The model's one mask for unambiguous prompts is taken, as SAM's authors advise for boxes.
        """
        import torch

        inputs = self.processor(images=pictures, return_tensors="pt")
        sizes = [(picture.height, picture.width) for picture in pictures]
        # SAM scales the longer side and pads; SAM 2 stretches, and has no such entry.
        seen = inputs.get("reshaped_input_sizes")
        seen = seen.tolist() if seen is not None else [list(inputs["pixel_values"].shape[-2:])] * len(sizes)
        found: list[list[dict[str, Any] | None]] = []
        with torch.inference_mode(), pretrained.half_precision():
            embeddings = self.model.get_image_embeddings(inputs["pixel_values"].to(self.model.device))
            for i, (height, width) in enumerate(sizes):
                one = (
                    [level[i : i + 1] for level in embeddings]
                    if isinstance(embeddings, (list, tuple))
                    else embeddings[i : i + 1]
                )
                scale = torch.tensor([seen[i][1] / width, seen[i][0] / height]).repeat(2)
                prompts = torch.from_numpy(boxes[i]).float() * scale
                values: list[dict[str, Any] | None] = []
                for part in prompts.split(_BOXES):
                    out = self.model(
                        image_embeddings=one,
                        input_boxes=part[None].to(self.model.device),
                        multimask_output=False,
                    )
                    extra = [[seen[i]]] if "reshaped_input_sizes" in inputs else []
                    logits = [out.pred_masks[0].float().cpu()]
                    pixels = self.processor.post_process_masks(logits, [(height, width)], *extra)[0][:, 0]
                    values += [masks.encode(mask) if mask.any() else None for mask in pixels.numpy()]
                found.append(values)
        return found


@lru_cache(maxsize=1)
def load(kind: str, place: str) -> MaskModel:
    """The mask model, loaded once a process.

    Raises:
        UserError: it cannot be loaded, or is a model of another kind.
    """
    return pretrained.load(f"ground.mask_models.{kind}.model", place, _ADVICE, lambda: _load(kind, place))


def _load(kind: str, place: str) -> MaskModel:
    from transformers import AutoConfig, AutoImageProcessor, Sam2Model, SamModel

    setting = f"ground.mask_models.{kind}.model"
    # Released SAM 2 checkpoints are configured as the video model, whose image half is SAM 2.
    known = {"sam": ("sam",), "sam2": ("sam2", "sam2_video")}[kind]
    pretrained.check_architecture(setting, place, AutoConfig.from_pretrained(place).model_type, known)
    model: Any = SamModel if kind == "sam" else Sam2Model
    return MaskModel(
        model.from_pretrained(place).eval().to(pretrained.device()), AutoImageProcessor.from_pretrained(place)
    )
