"""The parse stage: captions to noun phrases, a shard at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from pipeline.params import ParseParams
from pipeline.phrases import nlp, workers
from pipeline.phrases.extract import REASONS, Parsed
from pipeline.tables import dataset, digests, schemas
from pipeline.tables.dataset import Provenance
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Tables

# Captions that a process remembers over its shards: some 50 MB.
_REMEMBERED = 20_000
_cache: dict[tuple[str, str], Parsed] = {}


class ParseBlock:
    """Noun phrases of the captions dataset in ``captions``.

    The unit of work, which `rows_in` counts, is the nominal span (see `candidates`), and each caption
    without any phrase counts as one more: spans + such captions = phrases + rejects.
    """

    stage = "parse"
    outputs = ("phrases",)

    def __init__(self, captions: Path, params: ParseParams) -> None:
        self._captions = captions
        self._params = params
        self._rows_in: dict[int, int] = {}

    def shard_count(self) -> int:
        """A shard is a part of the captions dataset."""
        return len(dataset.parts(self._captions))

    def provenance(self) -> Provenance:
        """Digests of the settings, the captions and the language model, not how many processes parse."""
        return Provenance(
            params=self._params.model_copy(update={"processes": 1}).digest(),
            inputs={
                "captions": digests.of_files(self._captions, "part-*.arrow"),
                "model": nlp.model_version(self._params.model),
            },
        )

    def rows_in(self, shard: int) -> int:
        """Nominal spans in the shard's captions, and captions without a phrase.

        Remembered from `process`, as nothing but the parser can count them; parses the shard if need be.
        """
        if shard not in self._rows_in:
            self.process(shard)
        return self._rows_in[shard]

    def process(self, shard: int) -> Tables:
        """Tables ``phrases`` and ``rejects`` of one shard.

        Raises:
            UserError: the captions or the language model cannot be read.
        """
        captions = dataset.read_part(self._captions / dataset.PART.format(shard)).to_pylist()
        parsed = parse([row["text"] for row in captions], self._params)
        phrases = []
        rejects = Rejects(self.stage, REASONS)
        for caption, found in zip(captions, parsed, strict=True):
            phrases += _rows(caption, found)
            _reject(caption, found, rejects)
        self._rows_in[shard] = sum(found.candidates + (not found.phrases) for found in parsed)
        return {"phrases": schemas.from_rows("phrases", phrases), "rejects": rejects.table()}


@dataclass(frozen=True)
class TagPhrasesBlock:
    """The phrases that the stage ``tag`` made of images, taken over as they are, with its rejects.

    The unit of work is the image: it has a phrase or more, or one reject.
    """

    tags: Path
    """The folder that the stage filled: ``phrases`` and ``rejects/tag``, or nothing."""

    stage = "parse"
    outputs = ("phrases",)

    def has_any(self) -> bool:
        """Whether there are tags, so that phrases come from them."""
        return (self.tags / "phrases").is_dir()

    def shard_count(self) -> int:
        """A shard is a part of the tags' phrases."""
        return len(dataset.parts(self.tags / "phrases"))

    def provenance(self) -> Provenance:
        """Digest of the tags."""
        return Provenance(inputs={"tags": digests.of_files(self.tags, "part-*.arrow")})

    def rows_in(self, shard: int) -> int:
        """Images of the shard."""
        tables = self.process(shard)
        return pc.count_distinct(tables["phrases"]["image_id"]).as_py() + tables["rejects"].num_rows

    def process(self, shard: int) -> Tables:
        """Tables ``phrases`` and ``rejects`` of one shard."""
        part = dataset.PART.format(shard)
        return {
            "phrases": dataset.read_part(self.tags / "phrases" / part),
            "rejects": dataset.read_part(self.tags / "rejects" / "tag" / part),
        }


def parse(texts: Sequence[str], params: ParseParams) -> list[Parsed]:
    """The noun phrases of each text, in order; equal texts are parsed once.

    What a text gives does not depend on the others, so a process remembers recent texts over its shards.

    Raises:
        UserError: the language model cannot be loaded.
        LostProcessError: a process that helped to parse was killed.
    """
    known = dict(_remembered(texts, params.model))
    new = [text for text in dict.fromkeys(texts) if text not in known]
    known.update(zip(new, workers.parse_all([_readable(text) for text in new], params), strict=True))
    if len(_cache) + len(new) > _REMEMBERED:
        _cache.clear()
    _cache.update({(params.model, text): known[text] for text in new[:_REMEMBERED]})
    return [known[text] for text in texts]


def _remembered(texts: Sequence[str], model: str) -> Iterator[tuple[str, Parsed]]:
    for text in texts:
        found = _cache.get((model, text))  # one look: another thread may clear the cache in between
        if found is not None:
            yield text, found


def forget() -> None:
    """Forget the captions that this process has parsed, as benchmarks have to."""
    _cache.clear()


def _readable(text: str) -> str:
    """Capitals throughout read as names to the tagger; lowercase it, where that keeps the offsets."""
    lowered = text.lower()
    return lowered if text.isupper() and len(lowered) == len(text) else text


def _rows(caption: dict, found: Parsed) -> list[dict]:
    text = caption["text"]
    return [
        {
            "phrase_id": f"{caption['caption_id']}/p{k}",
            "caption_id": caption["caption_id"],
            "image_id": caption["image_id"],
            "text": text[phrase.start : phrase.end],
            "start": phrase.start,
            "end": phrase.end,
            "is_plural": phrase.is_plural,
            "words": [{"text": text[word.start : word.end], **word._asdict()} for word in phrase.words],
        }
        for k, phrase in enumerate(found.phrases)
    ]


def _reject(caption: dict, found: Parsed, rejects: Rejects) -> None:
    caption_id, text = caption["caption_id"], caption["text"]
    for start, end, reason in found.left_out:
        rejects.add(f"chunk:{caption_id}:{start}-{end}", reason, f'"{text[start:end]}": {REASONS[reason]}')
    if not found.phrases:
        rejects.add(f"caption:{caption_id}", "caption_without_phrases")
