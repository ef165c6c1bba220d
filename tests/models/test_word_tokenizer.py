"""The word-level tokenizer of the embedded profile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.models import vocabulary
from pipeline.models.chat import encode

WORDS = ["a", "red", "cup", "two", "stars"]
BOXES = ("<b00>", "<b01>", "<b02>")
TOKENIZER = vocabulary.build([" ".join(WORDS), "a , . ?", "cup, cup. cup?"], BOXES)


@given(st.lists(st.sampled_from([*WORDS, *BOXES]), min_size=1, max_size=12))
def test_known_words_come_back_as_they_were(words):
    text = " ".join(words)
    (ids,) = encode(TOKENIZER, [text])
    assert len(ids) == len(words)
    assert TOKENIZER.convert_ids_to_tokens(ids) == [w if w in BOXES else f"▁{w}" for w in words]
    decoded = TOKENIZER.decode(ids)  # no space is kept before a box word
    assert decoded.replace(" ", "") == text.replace(" ", "")
    assert encode(TOKENIZER, [decoded]) == [ids]


def test_upper_case_is_read_as_lower_case():
    assert encode(TOKENIZER, ["A Red CUP"]) == encode(TOKENIZER, ["a red cup"])


def test_a_word_that_was_never_seen_is_unknown():
    unknown = TOKENIZER.convert_tokens_to_ids(vocabulary.UNKNOWN)
    assert encode(TOKENIZER, ["a purple cup"])[0][1] == unknown


@given(st.lists(st.sampled_from([*WORDS, ",", ".", "?", "cup,", "red."]), min_size=1, max_size=12))
def test_punctuation_comes_back_with_the_spaces_that_it_had(words):
    text = " ".join(words)
    decoded = TOKENIZER.decode(encode(TOKENIZER, [text])[0])
    assert decoded.split() == words


def test_a_punctuation_mark_is_a_token_of_its_own():
    ids = encode(TOKENIZER, ["red cup, two."])[0]
    assert len(ids) == 5
    assert TOKENIZER.decode(ids[:2]) == "red cup"


def test_a_box_is_four_tokens_however_it_is_spaced():
    ids = TOKENIZER.convert_tokens_to_ids(["<b00>", "<b01>", "<b02>", "<b02>"])
    assert encode(TOKENIZER, ["<b00> <b01> <b02> <b02>"]) == [ids]
    assert encode(TOKENIZER, ["<b00><b01><b02><b02>"]) == [ids]


@given(st.permutations(["a red cup", "two stars .", "the cup , red ?"]), st.booleans())
def test_ids_depend_on_the_set_of_words_alone(texts, twice):
    again = vocabulary.build([*texts, *texts] if twice else texts, BOXES)
    first = vocabulary.build(sorted(texts), BOXES)
    assert again.get_vocab() == first.get_vocab()


def test_special_tokens_come_first_and_padding_is_zero():
    assert TOKENIZER.convert_ids_to_tokens(range(len(vocabulary.SPECIAL))) == list(vocabulary.SPECIAL)
    assert TOKENIZER.pad_token_id == 0


def test_an_ending_is_added_only_where_asked():
    closed = vocabulary.build(["a red cup"], add_eos=True)
    assert closed("a red cup")["input_ids"][-1] == closed.eos_token_id
    assert closed.eos_token_id not in TOKENIZER("a red cup")["input_ids"]
    assert closed.eos_token_id not in encode(closed, ["a red cup"])[0]


def test_a_saved_tokenizer_reads_the_same(tmp_path):
    from transformers import AutoTokenizer

    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "<s><image><user>A red cup? <b01> <b02> <b00> <b01><assistant>two</s>"
    assert encode(loaded, [text]) == encode(TOKENIZER, [text])
    assert loaded.chat_template == TOKENIZER.chat_template
