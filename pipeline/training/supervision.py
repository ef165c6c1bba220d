"""Patch words as the arrays that the patch loss takes.

Shapes: B images, R regions an image (padded), N patches of the grid, K tokens of a region's words (padded).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.models.chat import encode_words
from pipeline.patches.geometry import Geometry
from pipeline.tables import dataset

CONTENT_ROLES = ("head", "attribute", "compound")
"""Roles of words that say what a region shows."""


@dataclass(frozen=True)
class PatchSupervision:
    """Patch words of many images, ragged: region r covers ``patches[starts[r]:starts[r + 1]]``."""

    patches: np.ndarray
    coverage: np.ndarray
    starts: np.ndarray
    word_ids: np.ndarray
    """(regions, K) token ids of the words, padded with ``pad``."""
    firsts: np.ndarray
    """Regions ``firsts[k]:firsts[k + 1]`` belong to image k."""
    patch_count: int
    pad: int

    def regions(self, images: np.ndarray) -> np.ndarray:
        """Regions of each of some images."""
        return self.firsts[images + 1] - self.firsts[images]

    def words(self, images: np.ndarray) -> np.ndarray:
        """Word ids (regions, K) of all regions of some images, an image after the other."""
        rows = [np.arange(self.firsts[image], self.firsts[image + 1]) for image in images]
        return self.word_ids[np.concatenate(rows)]

    def batch(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights (B, R, N) float32 and word ids (B, R, K) of images; those without regions are zero."""
        firsts, lasts = self.firsts[images], self.firsts[images + 1]
        most = max(int((lasts - firsts).max()), 1)
        weights = np.zeros((len(images), most, self.patch_count), np.float32)
        words = np.full((len(images), most, self.word_ids.shape[1]), self.pad, np.int64)
        for row, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
            words[row, : last - first] = self.word_ids[first:last]
            begin, end = self.starts[first], self.starts[last]
            region = np.repeat(np.arange(last - first), np.diff(self.starts[first : last + 1]))
            weights[row, region, self.patches[begin:end]] = self.coverage[begin:end]
        return weights, words


def load(folder: Path, images: Sequence[str], tokenizer, words: str, patch_count: int) -> PatchSupervision:
    """Read the patch words of some images.

    Args:
        folder: the ``patch_words`` dataset.
        images: image ids, in the order in which they will be numbered.
        tokenizer: of the language model.
        words: ``phrase`` takes all words of a phrase, ``head`` its head noun alone; with ``words`` a region
            is there once for each of its content words, which is its target then.
        patch_count: N of the encoder that is trained with.

    Raises:
        UserError: the tables were made for another patch grid.
    """
    table = dataset.read(folder, ["image_id", "words", "grid", "patches", "coverage"])
    check_grid(table, patch_count, folder)
    return of_table(table, images, tokenizer, words, patch_count)


def of_table(
    table: pa.Table, images: Sequence[str], tokenizer, words: str, patch_count: int
) -> PatchSupervision:
    """As `load`, of rows that are there already; their grids may differ and have ``patch_count`` at most."""
    number = {image: index for index, image in enumerate(images)}
    owner = np.fromiter((number.get(i, -1) for i in table["image_id"].to_pylist()), np.int64, table.num_rows)
    order = np.argsort(owner, kind="stable")
    order = order[owner[order] >= 0]
    table, owner = table.take(order), owner[order]
    texts = [target_texts(entry, words) for entry in table["words"].to_pylist()]
    # A region for each of its targets.
    targets = np.asarray([len(found) for found in texts], np.int64)
    table, owner = table.take(np.repeat(np.arange(len(texts)), targets)), np.repeat(owner, targets)
    flat = [text for found in texts for text in found]
    ids = encode_words(tokenizer, flat)
    check_words(flat, ids, tokenizer.unk_token_id)
    lengths = pc.list_value_length(table["patches"]).to_numpy()
    return PatchSupervision(
        patches=pc.list_flatten(table["patches"]).to_numpy(),
        coverage=pc.list_flatten(table["coverage"]).to_numpy(),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        word_ids=pad_ids(ids, tokenizer.pad_token_id),
        firsts=np.searchsorted(owner, np.arange(len(images) + 1)),
        patch_count=patch_count,
        pad=tokenizer.pad_token_id,
    )


def check_grid(table: pa.Table, patch_count: int, folder: Path) -> None:
    """Refuse patch words that were made for another grid or preprocessing than the encoder's.

    Args:
        table: of the dataset ``patch_words``.
        patch_count: what the encoder makes of an image.
        folder: of the dataset; the encoder's, where there is one, is ``models/encoder`` beside it.

    Raises:
        UserError: they do not fit.
    """
    mend = "run `dvc repro patch_words` to make it for this encoder"
    if table.num_rows:
        rows, columns = table["grid"][0].as_py()
        if rows * columns != patch_count:
            raise UserError(
                f"{folder} was made for a {rows} x {columns} patch grid, but the encoder makes {patch_count} "
                f"patches: {mend}"
            )
    encoder = folder.parent / "models/encoder"
    made_for = dataset.provenance(folder).inputs.get("geometry")
    if made_for is None or not (encoder / "preprocessor_config.json").exists():
        return
    geometry = Geometry.from_encoder(encoder)
    if geometry.digest() != made_for:
        raise UserError(
            f"{folder} was made for other preprocessing of images than {encoder} has now ({geometry}): its "
            f"words lie on other patches; {mend}"
        )


def check_words(texts: Sequence[str], ids: Sequence[Sequence[int]], unknown: int | None) -> None:
    """Raise a `UserError` where the tokenizer knows no token of most regions' words."""
    lost = [text for text, row in zip(texts, ids, strict=True) if all(token == unknown for token in row)]
    if len(lost) * 2 > len(texts):
        examples = ", ".join(repr(text) for text in list(dict.fromkeys(lost))[:5])
        raise UserError(
            f"language_model: its tokenizer knows no token of the words of {len(lost):,} of {len(texts):,} "
            f"regions, such as {examples}: the patch loss would have no target. Use a language model in "
            "the captions' language; where it is trained, `dvc repro language_model` builds its vocabulary"
        )


def target_texts(words: list[dict], which: str) -> list[str]:
    """The targets of a region: one text, or with ``words`` each distinct content word of its phrase."""
    if which == "words":
        return list(dict.fromkeys(word["text"] for word in words if word["role"] in CONTENT_ROLES))
    return [target_text(words, which)]


def target_text(words: list[dict], which: str) -> str:
    """The text whose tokens make a region's target: all words of its phrase, or the head noun."""
    chosen = [word["text"] for word in words if which == "phrase" or word["role"] == "head"]
    return " ".join(chosen)


def pad_ids(ids: Sequence[Sequence[int]], pad: int) -> np.ndarray:
    """Ragged ids as (rows, K), padded on the right."""
    width = max((len(row) for row in ids), default=1)
    padded = np.full((len(ids), width), pad, np.int64)
    for row, values in enumerate(ids):
        padded[row, : len(values)] = values
    return padded
