"""The words a token is decomposed into, and which of a region's tokens belong to its noun."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from pipeline.evaluation import dictionary
from pipeline.evaluation.regions import Regions


def regions_of(*phrases):
    words = [[{"text": t, "lemma": t, "role": role} for t, role in phrase] for phrase in phrases]
    table = pa.table({"phrase_id": [f"p{k}" for k in range(len(words))]})
    return Regions(table, np.zeros(len(words), int), np.ones((len(words), 1), np.float32), words)


@pytest.fixture(scope="module")
def pieces():
    """A byte-level BPE as GPT-2's, whose merges know "cup" and "tur", and not "quoise"."""
    made = ByteLevelBPETokenizer()
    made.train_from_iterator(["red cup cup tur tur red"] * 30, vocab_size=275, show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=made._tokenizer, eos_token="<e>", pad_token="<e>")


def test_special_tokens_are_no_words_and_words_are_what_they_say(words):
    table = torch.arange(float(len(words))).unsqueeze(1).expand(-1, 3)
    found = dictionary.of(words, table)
    assert "cup" in found.words and "<pad>" not in found.words and "<image>" not in found.words
    assert len(found) == len(words) - len(set(words.all_special_ids))
    assert found.vectors_VD[:, 0].tolist() == found.ids


def test_a_table_longer_than_the_vocabulary_is_read_to_its_end(words):
    found = dictionary.of(words, torch.ones(len(words) + 5, 2))
    assert found.words[-1] == f"<{len(words) + 4}>"


def test_each_token_has_the_role_of_its_word(words):
    found = dictionary.of(words, torch.ones(len(words), 2))
    true = dictionary.true_tokens(
        found, words,
        regions_of([("two", "number"), ("red", "attribute"), ("cup", "head")], [("star", "head")]),
    )  # fmt: skip
    assert [[found.words[row] for row in rows] for rows in true.rows] == [["red", "cup"], ["star"]]
    assert true.roles == [["attribute", "head"], ["head"]]


def test_words_of_several_tokens_give_their_role_to_each(pieces):
    found = dictionary.of(pieces, torch.ones(len(pieces), 2))
    true = dictionary.true_tokens(found, pieces, regions_of([("turquoise", "attribute"), ("cup", "head")]))
    rows, roles = true.rows[0], true.roles[0]
    assert len(rows) > 3  # "turquoise" is several
    assert [found.words[row] for row, role in zip(rows, roles, strict=True) if role == "head"] == ["cup"]
    said = "".join(found.words[row] for row, role in zip(rows, roles, strict=True) if role != "head")
    assert set(said) == set("turquoise")


def test_no_regions_have_no_tokens(words):
    assert dictionary.true_tokens(dictionary.of(words, torch.ones(9, 2)), words, regions_of()).rows == []
