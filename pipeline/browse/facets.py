"""What there is to filter by, with counts: splits, annotators, words, rejects, and the tables themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.browse import columns
from pipeline.browse.index import Index
from pipeline.browse.store import MADE_BY, Store
from pipeline.tables import schemas
from pipeline.tables.schemas import SPLITS

Counted = list[dict[str, Any]]


def splits(index: Index) -> Counted:
    """Images of each split."""
    counts = np.bincount(index.splits[index.splits >= 0], minlength=len(SPLITS))
    return [{"split": name, "images": int(counts[i])} for i, name in enumerate(SPLITS)]


def annotators(store: Store) -> Counted:
    """Rows of ``patch_words`` (where there are none yet, of ``regions``) of each annotator, most first."""
    name = "regions" if "patch_words" in store.problems else "patch_words"
    return [{"annotator": value, "rows": count} for value, count in _counts(store.tables[name]["annotator"])]


def rejects(store: Store) -> Counted:
    """Rejects by stage and reason, stages in the order in which they run, most first."""
    return [
        {"stage": stage, "reason": reason, "rows": count}
        for stage, table in store.rejects.items()
        for reason, count in _counts(table["reason"])
    ]


def words(store: Store) -> list[tuple[str, int]]:
    """Lemmas of ``patch_words`` and how many rows carry each, most first, then by letter."""
    totals: Counter[str] = Counter()
    for chunk in store.tables["patch_words"]["words"].chunks:
        coded = pc.dictionary_encode(pc.utf8_lower(chunk.flatten().field("lemma")))
        codes = np.from_dlpack(coded.indices)
        # A row that carries a word twice counts once.
        once = np.unique(columns.parents(chunk).astype(np.int64) * len(coded.dictionary) + codes)
        if len(once):
            counts = np.bincount(once % len(coded.dictionary), minlength=len(coded.dictionary))
            totals.update(dict(zip(coded.dictionary.to_pylist(), counts.tolist(), strict=True)))
    return sorted(totals.items(), key=lambda each: (-each[1], each[0]))


def tables(store: Store) -> Counted:
    """Every table: its rows, what a row is, the stage that makes it, what is wrong with it."""
    listed = [_about(store, store.tables[name], name, name, stage) for name, stage in MADE_BY.items()]
    listed += [
        _about(store, table, f"rejects/{stage}", "rejects", stage) for stage, table in store.rejects.items()
    ]
    for name in sorted({*store.maps, *(key for key in store.problems if "/similarity_maps" in key)}):
        table = store.maps.get(name, pa.Table.from_batches([], schemas.SCHEMAS["similarity_maps"]))
        listed.append(_about(store, table, name, "similarity_maps", f"evaluate@{name.partition('/')[0]}"))
    return listed


def _about(store: Store, table: pa.Table, name: str, schema: str, stage: str) -> dict[str, Any]:
    metadata = table.schema.metadata or {}
    return {
        "name": name,
        "rows": table.num_rows,
        "doc": schemas.SCHEMAS[schema].metadata[b"doc"].decode(),
        "columns": [
            {"name": field.name, "doc": (field.metadata or {}).get(b"doc", b"").decode()}
            for field in schemas.SCHEMAS[schema]
        ],
        "stage": stage,
        "params": metadata.get(b"patchwords.params", b"").decode(),
        "problem": store.problems.get(name),
    }


def _counts(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    found = [(each["values"], each["counts"]) for each in pc.value_counts(column).to_pylist()]
    return sorted(found, key=lambda each: (-each[1], each[0]))
