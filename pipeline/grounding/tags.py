"""Phrases without captions: words of a vocabulary that an image shows, to be grounded by another source.

The paper's own annotation is made so: a tagger, a detector, a segmenter. The stage ``tag`` makes a table
``phrases``, which the stage ``parse`` takes over in place of the captions' phrases, and the stage ``ground``
grounds its rows like any others.

A tag's caption, ``<image>/tags``, is the image's tags in the order of their phrases with a comma and a space
between; no table holds it, and the characters that a phrase names are its characters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.grounding import batches, dense_clip, kept, pretrained
from pipeline.grounding.base import Annotator, ShardInputs
from pipeline.grounding.dense_clip import DenseClip
from pipeline.params import TagsParams
from pipeline.tables import dataset, digests, schemas
from pipeline.tables.dataset import Provenance
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Tables

REASONS = {
    "no_tag": "no word of the vocabulary is similar enough to the image",
    "image_unreadable": "the image could not be read",
}
_SETTING = "ground.tags"
_CAPTION, _BETWEEN = schemas.TAGS_CAPTION, schemas.BETWEEN_TAGS


@dataclass(frozen=True)
class TagBlock:
    """Tags of every image as phrases; implements `pipeline.tables.shards.Block`.

    The unit of work is the image: it has a phrase or more, or one reject, both for ``parse``.
    """

    images: Path
    root: Path
    params: TagsParams
    kept_root: Path | None = None
    """Where the images' features are kept, so that other words or thresholds send none through the model."""

    stage = "tag"
    outputs = ("phrases",)

    def shard_count(self) -> int:
        """As many as ``images`` has parts."""
        return len(dataset.parts(self.images))

    def provenance(self) -> Provenance:
        """Digests of what tags depend on, and of the images."""
        return Provenance(
            params=digest(self.params), inputs={"images": digests.of_files(self.images, "part-*.arrow")}
        )

    def rows_in(self, shard: int) -> int:
        """Images of the shard."""
        return dataset.read_part(dataset.parts(self.images)[shard], columns=["image_id"]).num_rows

    def process(self, shard: int) -> Tables:
        """``phrases`` and ``rejects`` of one shard."""
        images = dataset.read_part(dataset.parts(self.images)[shard])
        return tag(images, self.root, self.params, self.kept_root)


@dataclass(frozen=True)
class TagsAnnotator:
    """Grounds tags with another source; implements `pipeline.grounding.base.Annotator`."""

    params: TagsParams
    source: Annotator

    @property
    def name(self) -> str:
        """The other source's: how a phrase was made, its caption's name says."""
        return self.source.name

    def digest(self) -> str:
        """The other source's digest; the tags themselves are an input."""
        return self.source.digest()

    def ground(self, shard: ShardInputs) -> Tables:
        """The other source's tables.

        Raises:
            UserError: there are phrases that were not made from tags.
        """
        captions = shard.phrases["caption_id"]
        others = pc.sum(pc.invert(pc.ends_with(captions, _CAPTION))).as_py() or 0
        if others:
            raise UserError(
                f"ground.source: tags grounds phrases that were made from tags, but {others} of a shard's"
                f" {len(captions)} phrases come from captions. Run the stage parse again (`dvc repro`), or"
                " choose another source to ground captions."
            )
        return self.source.ground(shard)


def digest(params: TagsParams) -> str:
    """Digest of what tags depend on: settings, vocabulary, model; not of who grounds them."""
    settings = params.model_dump(mode="json", exclude={"source", "batch_size", "vocabulary"})
    weights = dense_clip.weights_digest(params.model, params.pretrained, _SETTING)
    return digests.of_value([settings, read_vocabulary(params.vocabulary), weights])


def read_vocabulary(path: Path) -> list[str]:
    """The words: a line each, without empty lines and repetitions.

    Raises:
        UserError: the file is missing or holds no word.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{_SETTING}.vocabulary: {str(path)!r} cannot be read ({error}). Give a text file with a word a"
            " line, such as pipeline/grounding/vocabulary.txt."
        ) from error
    words = [" ".join(line.replace(",", " ").split()) for line in lines]
    words = list(dict.fromkeys(word for word in words if word))
    if not words:
        raise UserError(f"{_SETTING}.vocabulary: {str(path)!r} holds no word; it needs one a line.")
    return words


def tag(images: pa.Table, root: Path, params: TagsParams, kept_root: Path | None = None) -> Tables:
    """``phrases`` and ``rejects`` of some rows of ``images``, in their order.

    An image's tags are the ``best`` words of the vocabulary by the cosine of image and prompt, best first,
    of those whose cosine is ``min_similarity`` or more. Equal ones follow the vocabulary's order.

    Raises:
        UserError: the vocabulary, the prompt or the model cannot be used.
    """
    pretrained.check_template(f"{_SETTING}.prompt", params.prompt)
    words = read_vocabulary(params.vocabulary)
    weights = dense_clip.weights_digest(params.model, params.pretrained, _SETTING)
    model = dense_clip.load(params.model, params.pretrained, weights, _SETTING)
    features_KE = model.encode_texts([params.prompt.replace("{}", word) for word in words])
    unreadable: dict[str, str] = {}
    said = _image_features(model, images, root, params, weights, kept_root, unreadable)
    rows: list[dict[str, Any]] = []
    rejects = Rejects("parse", REASONS)
    for image_id in images["image_id"].to_pylist():
        if image_id in unreadable:
            rejects.add(f"image:{image_id}", "image_unreadable", unreadable[image_id])
            continue
        cosine_K = features_KE @ np.frombuffer(said[image_id], "<f4")
        best = np.argsort(-cosine_K, kind="stable")[: params.best]
        best = best[cosine_K[best] >= params.min_similarity]
        if len(best):
            rows += _phrases(image_id, [words[k] for k in best])
        else:
            message = f"the best word has cosine {cosine_K.max():.3f}, below {params.min_similarity}"
            rejects.add(f"image:{image_id}", "no_tag", message)
    return {"phrases": schemas.from_rows("phrases", rows), "rejects": rejects.table()}


def _image_features(
    model: DenseClip,
    images: pa.Table,
    root: Path,
    params: TagsParams,
    weights: str,
    kept_root: Path | None,
    unreadable: dict[str, str],
) -> dict[str, bytes]:
    """The unit feature of each image that can be read, float32; why others cannot, to the dict."""
    contents = batches.contents(images)

    def make(lacking: list[str]) -> Iterator[dict[str, bytes]]:
        for batch in batches.batches(images, root, lacking, params.batch_size, unreadable):
            features_BE = model.encode_images([picture for _, picture in batch]).astype("<f4", copy=False)
            yield {image_id: row.tobytes() for (image_id, _), row in zip(batch, features_BE, strict=True)}

    settings = {"model": params.model, "pretrained": params.pretrained}
    about = {"source": "tags", "settings": settings, "weights": weights}
    store = kept.open_kept(kept_root, about)
    return kept.recall(store, list(contents), lambda image_id: kept.key(contents[image_id]), make)


def _phrases(image_id: str, tags: list[str]) -> Iterator[dict[str, Any]]:
    start = 0
    for number, text in enumerate(tags):
        yield {
            "phrase_id": f"{image_id}{_CAPTION}/p{number}",
            "caption_id": f"{image_id}{_CAPTION}",
            "image_id": image_id,
            "text": text,
            "start": start,
            "end": start + len(text),
            "is_plural": False,
            "words": list(_words(text, start)),
        }
        start += len(text) + len(_BETWEEN)


def _words(text: str, start: int) -> Iterator[dict[str, Any]]:
    """The last word is the head; a vocabulary's words are lemmas, and what precedes a head names its kind."""
    parts = text.split(" ")
    for i, part in enumerate(parts):
        role = "head" if i == len(parts) - 1 else "compound"
        yield {"text": part, "lemma": part.lower(), "role": role, "start": start, "end": start + len(part)}
        start += len(part) + 1
