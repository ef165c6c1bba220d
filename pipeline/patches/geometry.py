"""The exact affine map from image pixels to the encoder's input, and the patch grid that lies on it.

Coordinates are continuous: pixel column ``j`` of an image is the interval ``[j, j + 1]``. Resizing to
``new`` pixels maps the image's interval ``[0, old]`` onto ``[0, new]`` (Pillow's and torch's convention,
``align_corners=False``); cropping and padding shift by whole pixels. What makes the map exact is that the
sizes and shifts, which are integers, are rounded as the encoder's own preprocessing rounds them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pipeline.tables import digests

Fit = Literal["none", "stretch", "shorter_side", "pad_to_square", "cover", "contain"]
Crop = Literal["down", "nearest"]


class Axis(NamedTuple):
    """One axis of the map, in whole numbers: input = (pixel * scale + shift) / unit; one value an image."""

    scale: np.ndarray
    shift: np.ndarray
    unit: np.ndarray


@dataclass(frozen=True)
class Geometry:
    """What an encoder's preprocessing does with an image of any size. All sizes are (height, width)."""

    fit: Fit
    """How the image is brought to ``resize``: ``none``: not at all; ``stretch``: both sides, whatever the
    aspect ratio; ``shorter_side``: ``resize`` is square and the shorter side gets it (transformers,
    torchvision: the longer side is rounded down); ``pad_to_square``: padded evenly to a square, which is
    then stretched (LLaVA-1.5); ``cover``, ``contain``: the smallest size that covers, or the largest that
    fits, ``resize``, sides rounded to nearest (open_clip's ``ResizeKeepRatio``)."""
    resize: tuple[int, int]
    """Pixels that the image is resized to."""
    input: tuple[int, int]
    """Pixels of the encoder's input, after the centre crop or padding."""
    patch: tuple[int, int]
    """Pixels of a patch."""
    crop: Crop = "down"
    """How half a pixel of the crop's corner is rounded: ``down`` (transformers) or ``nearest``, to even
    (torchvision's ``CenterCrop`` and open_clip)."""

    @classmethod
    def from_encoder(cls, folder: Path) -> Geometry:
        """The geometry of a transformers CLIP, SigLIP or LLaVA vision encoder.

        Reads ``config.json`` and ``preprocessor_config.json`` (of a LLaVA ``processor_config.json``) and
        nothing else of the folder.

        Raises:
            UserError: a file is missing or broken, or asks for preprocessing that no fixed grid follows from.
        """
        from pipeline.patches import processor

        return cls(**processor.read_encoder(folder))

    @classmethod
    def from_open_clip(cls, preprocess: dict[str, Any], patch: tuple[int, int]) -> Geometry:
        """The geometry of an open_clip model, from its ``visual.preprocess_cfg`` (``size``, ``resize_mode``).

        Raises:
            UserError: the resize mode is none of open_clip's.
        """
        from pipeline.patches import processor

        return cls(**processor.read_open_clip(preprocess), patch=patch)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches. A remainder that fills no patch is seen by none."""
        return self.input[0] // self.patch[0], self.input[1] // self.patch[1]

    @property
    def patches(self) -> int:
        """Patches in the grid; patch ``row * columns + column``."""
        return self.grid[0] * self.grid[1]

    def digest(self) -> str:
        """Digest of the map and the grid."""
        return digests.of_value(asdict(self))

    def axes(self, width: ArrayLike, height: ArrayLike) -> tuple[Axis, Axis]:
        """The map's x and y axis for images of these sizes, in whole numbers, so that nothing is rounded."""
        w = np.atleast_1d(np.asarray(width, dtype=np.int64))
        h = np.atleast_1d(np.asarray(height, dtype=np.int64))
        new_h, new_w = self._resized(w, h)
        left = _centre(new_w, self.input[1], self.crop)
        top = _centre(new_h, self.input[0], self.crop)
        if self.fit != "pad_to_square":
            return Axis(new_w, left * w, w), Axis(new_h, top * h, h)
        side = np.maximum(w, h)  # LlavaImageProcessor.pad_to_square: the odd pixel goes right and below
        return (
            Axis(new_w, (side - w) // 2 * new_w + left * side, side),
            Axis(new_h, (side - h) // 2 * new_h + top * side, side),
        )

    def transform(
        self, width: ArrayLike, height: ArrayLike
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """``(scale_x, scale_y, shift_x, shift_y)``: input = pixel * scale + shift; float64, one an image."""
        x, y = self.axes(width, height)
        return x.scale / x.unit, y.scale / y.unit, x.shift / x.unit, y.shift / y.unit

    def boxes_to_input(self, boxes: ArrayLike, width: ArrayLike, height: ArrayLike) -> np.ndarray:
        """Boxes (n, 4) in image pixels as boxes in pixels of the encoder's input, float64, not clipped.

        ``width`` and ``height`` are those of each box's image (n,), or of the one image of all.
        """
        scale_x, scale_y, shift_x, shift_y = self.transform(width, height)
        scale = np.stack([scale_x, scale_y, scale_x, scale_y], axis=1)
        shift = np.stack([shift_x, shift_y, shift_x, shift_y], axis=1)
        return np.asarray(boxes, dtype=np.float64).reshape(-1, 4) * scale + shift

    def patches_of_pixels(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """The inverse: the grid row of each pixel row (height,) and the column of each pixel column (width,).

        A pixel belongs to the patch that its centre lies in; -1 where none sees it (cropped away).
        """
        found = []
        for axis, pixels, patch, count in zip(
            self.axes(width, height), (width, height), self.patch[::-1], self.grid[::-1], strict=True
        ):
            # The centre of pixel j is j + 1/2; doubled, it is whole.
            doubled = (2 * np.arange(pixels) + 1) * axis.scale + 2 * axis.shift
            index = doubled // (2 * patch * axis.unit)
            found.append(np.where((index >= 0) & (index < count), index, -1))
        columns, rows = found
        return rows, columns

    def _resized(self, w: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Height and width after the resize (of the padded square for ``pad_to_square``)."""
        to_h, to_w = self.resize
        if self.fit == "none":
            return h, w
        if self.fit in ("stretch", "pad_to_square"):
            return np.full_like(h, to_h), np.full_like(w, to_w)
        if self.fit == "shorter_side":
            # int(size * longer / shorter): floor division of whole numbers is the same and cannot slip.
            longer = to_h * np.maximum(w, h) // np.minimum(w, h)
            return np.where(w <= h, longer, to_h), np.where(w <= h, to_h, longer)
        pick = np.minimum if self.fit == "cover" else np.maximum
        ratio = pick(h / to_h, w / to_w)
        return np.rint(h / ratio).astype(np.int64), np.rint(w / ratio).astype(np.int64)


def _centre(size: np.ndarray, target: int, crop: Crop) -> np.ndarray:
    """Where the resized image's edge comes to lie in an input of ``target`` pixels: negative if cropped.

    Padding puts the odd pixel right and below in torchvision's, open_clip's and transformers' processors;
    transformers' Pillow-backed ones put it left and above instead, one pixel of the input away.
    """
    surplus = size - target
    cut = surplus // 2 if crop == "down" else np.rint(surplus / 2).astype(np.int64)
    return np.where(surplus >= 0, -cut, -surplus // 2)
