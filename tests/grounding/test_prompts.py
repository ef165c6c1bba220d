"""Prompts: every phrase is in one, and its span of tokens is the phrase's own."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import bert_tokenizer

from pipeline.grounding import prompts

TOKENIZER = bert_tokenizer()
TEXTS = st.lists(st.one_of(st.text(max_size=20), st.sampled_from(["a dog", "two cats", "the red ball"])))


def tokens_of(text):
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


def test_a_prompt_by_hand():
    (prompt,) = prompts.build(["the Dog", "two red  cats", "hat."], TOKENIZER, 256)
    assert prompt.text == "the dog . two red cats . hat ."
    assert prompt.members == (0, 1, 2)
    # [CLS] the dog . two red cats . hat . [SEP]
    assert prompt.spans == ((1, 3), (4, 7), (8, 9))


@settings(deadline=None)
@given(TEXTS, st.integers(8, 40))
def test_spans_are_the_tokens_of_their_phrases_and_no_phrase_is_lost(texts, max_tokens):
    made = prompts.build(texts, TOKENIZER, max_tokens)
    members = [member for prompt in made for member in prompt.members]
    assert members == [i for i, text in enumerate(texts) if tokens_of(prompts.clean(text))]
    for prompt in made:
        ids = TOKENIZER(prompt.text)["input_ids"]
        assert len(ids) <= max_tokens
        separators = {i for i, token in enumerate(ids) if token in (101, 102, 1012, 1029)}
        assert separators == {0, len(ids) - 1, *(end for _, end in prompt.spans)}
        for member, (start, end) in zip(prompt.members, prompt.spans, strict=True):
            whole = tokens_of(prompts.clean(texts[member]))
            assert ids[start:end] == whole[: max_tokens - 3]


@settings(deadline=None)
@given(TEXTS, st.integers(8, 40))
def test_a_prompt_is_only_closed_when_the_next_phrase_does_not_fit(texts, max_tokens):
    made = prompts.build(texts, TOKENIZER, max_tokens)
    for prompt, following in pairwise(made):
        start, end = following.spans[0]
        # The last full stop, the phrase, its full stop, [SEP].
        assert prompt.spans[-1][1] + 1 + (end - start) + 2 > max_tokens


@pytest.mark.parametrize("word", ["dog", "xyz"])
def test_a_phrase_longer_than_a_prompt_is_cut_to_what_fits(word):
    phrase = " ".join([word] * 300)
    first, second = prompts.build([phrase, "a hat"], TOKENIZER, 256)
    assert (first.members, first.spans) == ((0,), ((1, 254),))
    assert TOKENIZER(first.text)["input_ids"][1:254] == tokens_of(phrase)[:253]
    assert len(TOKENIZER(first.text)["input_ids"]) == 256
    assert second.members == (1,)


def test_the_tokenizers_own_marks_are_only_text_in_a_phrase():
    (prompt,) = prompts.build(["a [SEP] dog", "[MASK]? hat"], TOKENIZER, 256)
    ids = TOKENIZER(prompt.text)["input_ids"]
    assert ids.count(102) == 1
    assert 103 not in ids
    assert ids.count(1012) == 2
    assert 1029 not in ids


def test_no_texts_make_no_prompt():
    assert prompts.build([], TOKENIZER, 256) == []
    assert prompts.build(["", ".", " ? "], TOKENIZER, 256) == []
