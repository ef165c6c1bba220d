"""The heads of many phrases at once, with what stands before them: what annotation sources look up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Heads:
    """Of each phrase, in the order of its table: the head and its surroundings."""

    terms: Sequence[str]
    """Attributes and compounds before the head, lower case, and the head's lemma, with spaces between;
    empty for a phrase without a head."""
    surfaces: Sequence[str]
    """The head as written, lower case; empty without a head."""
    starts: Sequence[int]
    """The head's first character in the caption; -1 without a head."""
    ends: Sequence[int]
    """One past the head's last character; -1 without a head."""
    words: pa.ChunkedArray

    def attributes(self, row: int) -> list[tuple[str, str]]:
        """The attributes of one phrase, wherever they stand: (as written, lemma), lower case."""
        return [
            (word["text"].lower(), word["lemma"].lower())
            for word in self.words[row].as_py()
            if word["role"] == "attribute"
        ]


def read_heads(phrases: pa.Table) -> Heads:
    """The heads of a ``phrases`` table; of several in one phrase the first counts."""
    phrases = phrases.combine_chunks()  # so that row numbers of flattened lists are those of the table
    words = phrases["words"]
    count = phrases.num_rows
    phrase_of = pc.list_parent_indices(words).to_numpy()
    flat = pc.list_flatten(words)
    role = pc.struct_field(flat, "role")
    start = pc.struct_field(flat, "start").to_numpy()
    text = pc.utf8_lower(pc.struct_field(flat, "text"))
    lemma = pc.utf8_lower(pc.struct_field(flat, "lemma"))

    all_heads = np.flatnonzero(pc.equal(role, "head").to_numpy())
    with_head, first = np.unique(phrase_of[all_heads], return_index=True)
    head = all_heads[first]
    starts, ends = np.full(count, -1), np.full(count, -1)
    starts[with_head] = start[head]
    ends[with_head] = pc.struct_field(flat, "end").to_numpy()[head]
    surfaces = np.full(count, "", dtype=object)
    surfaces[with_head] = text.take(head).to_numpy()

    is_head = np.zeros(len(phrase_of), bool)
    is_head[head] = True
    is_before = pc.is_in(role, pa.array(["attribute", "compound"])).to_numpy() & (start < starts[phrase_of])
    used = is_head | is_before
    used_text = pc.if_else(pa.array(is_head), lemma, text).filter(pa.array(used))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(phrase_of[used], minlength=count))])
    per_phrase = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _whole(used_text))
    return Heads(
        terms=pc.binary_join(per_phrase, " ").to_pylist(),
        surfaces=surfaces.tolist(),
        starts=starts.tolist(),
        ends=ends.tolist(),
        words=words,
    )


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
