"""Features that no cache holds: images are decoded and encoded whenever a batch asks for them.

With ``train.cache_features: false`` the stage ``features`` writes, in place of a table, a note of what they
are made from (`MARKER`). The data loader's workers decode pictures; the frozen encoder runs in the step.

Shapes: B images, H x S pixels of the encoder's input, N patches, W width of the encoder times its layers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import nn
from transformers import AutoConfig, AutoImageProcessor

from pipeline.models import encoder as encoders
from pipeline.models import pretrained
from pipeline.tables import dataset
from pipeline.tables.dataset import Provenance
from pipeline.training.images import normalise, pixels_of
from pipeline.training.runtime import device, has_bfloat16

MARKER = "on_demand.json"


def encode(tower: nn.Module, pixels: torch.Tensor, layers: Sequence[int]) -> torch.Tensor:
    """Features (B, N, W) of pixels (B, 3, H, S), rounded to float16, cached or not.

    In float32 on a CPU, whatever surrounds it; on a GPU with products in bfloat16, as LLaVA's scripts run it.
    """
    kind = pixels.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda" and has_bfloat16()):
        found = encoders.patch_tokens(tower, pixels, layers)
    # The copy, unlike what inference mode gives, may take part in a graph.
    return found.half()


def write_marker(folder: Path, layers: Sequence[int], made_from: Provenance) -> None:
    """Write the note that stands in the place of a table."""
    folder.mkdir(parents=True, exist_ok=True)
    note = {"layers": list(layers), "params": made_from.params, "inputs": dict(made_from.inputs)}
    (folder / MARKER).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class OnDemand:
    """Features of one split's images, made when they are asked for: as `features.Features` otherwise."""

    image_ids: list[str]
    parts: list[Path]
    """Files of the ``images`` dataset."""
    part_of: np.ndarray
    row_of: np.ndarray
    root: Path
    """The source's root, for images held by path."""
    encoder: Path
    layers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getstate__(self) -> dict:
        """What a worker is sent: no table, processor or encoder that was opened here."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def patch_count(self) -> int:
        """N, the vision tokens of an image."""
        config = pretrained.load("encoder", "vision model", self.encoder, AutoConfig)
        return encoders.patch_count(getattr(config, "vision_config", config))

    def entries(self, images: Sequence[int] | np.ndarray) -> dict[str, torch.Tensor]:
        """What a batch holds of images by number: ``pixels``, float32 (B, 3, H, S), normalised."""
        rows = [self._tables[self.part_of[image]].slice(self.row_of[image], 1) for image in images]
        processor = self._processor
        pixels = torch.from_numpy(pixels_of(pa.concat_tables(rows), self.root, processor))
        return {"pixels": normalise(pixels, tuple(processor.image_mean), tuple(processor.image_std))}

    def take(self, images: Sequence[int] | np.ndarray) -> torch.Tensor:
        """float32 features (B, N, W) of images by number, on the CPU."""
        pieces = [images[start : start + _AT_A_TIME] for start in range(0, len(images), _AT_A_TIME)]
        found = [
            encode(self._tower, self.entries(piece)["pixels"].to(device()), self.layers).cpu()
            for piece in pieces
        ]
        return torch.cat(found).float()

    @cached_property
    def _tables(self) -> list[pa.Table]:
        return [dataset.read_part(part, ["image_id", "image"]) for part in self.parts]

    @cached_property
    def _processor(self):
        return pretrained.load("encoder", "image processor", self.encoder, AutoImageProcessor)

    @cached_property
    def _tower(self) -> nn.Module:
        return encoders.load(self.encoder)[0].to(device())


_AT_A_TIME = 256


def load(folder: Path, split: str, root: Path, only: Sequence[str] | None = None) -> OnDemand:
    """The features of a split's images, in the order of the table; ``only`` keeps some of them.

    Args:
        folder: where the note is; the ``images`` dataset and the encoder are beside it.
        split: its name.
        root: the source's root, for images held by path.
        only: ids of the images that are kept; None: all.
    """
    note = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    wanted = None if only is None else set(only)
    paths = dataset.parts(folder.parent / "images")
    ids: list[str] = []
    part_of: list[int] = []
    row_of: list[int] = []
    for part, path in enumerate(paths):
        table = dataset.read_part(path, ["image_id", "split"])
        columns = zip(table["image_id"].to_pylist(), table["split"].to_pylist(), strict=True)
        for row, (image, where) in enumerate(columns):
            if where == split and (wanted is None or image in wanted):
                ids.append(image)
                part_of.append(part)
                row_of.append(row)
    encoder = folder.parent / "models/encoder"
    return OnDemand(ids, paths, np.asarray(part_of), np.asarray(row_of), root, encoder, tuple(note["layers"]))
