"""BLEU-4, ROUGE-L, METEOR and SPICE against pycocoevalcap's own results."""

from __future__ import annotations

import random
import shutil

import numpy as np
import pytest

from pipeline.evaluation import caption_scores
from pipeline.evaluation.caption_scores import NO_JAVA, JavaScorers, Unmeasured, bleu4, rouge_l
from pipeline.evaluation.captioning import tokenise

WORDS = ("a", "red", "blue", "cup", "star", "cat", "on", "two", "small", "left", "of", "with", "and")
CAPTIONS = [
    "A man riding a wave on top of a surfboard.",
    "Two dogs play with a red ball, and a cat watches them.",
    "A kitchen with a stove, a sink and a refrigerator!",
    "There is a small blue cup to the left of the plate.",
]


def made(count, seed=0):
    """Captions, and two references each, of random words."""
    draw = random.Random(seed)
    sentences = [" ".join(draw.choices(WORDS, k=draw.randint(4, 12))) for _ in range(3 * count)]
    return sentences[:count], [sentences[count + 2 * i : count + 2 * i + 2] for i in range(count)]


def numbered(said, true):
    return dict(enumerate(true)), {i: [caption] for i, caption in enumerate(said)}


@pytest.mark.parametrize("count", [1, 2, 30])
def test_the_mean_of_bleu_is_the_library_s_bleu_of_the_whole_list(count):
    from pycocoevalcap.bleu.bleu import Bleu

    said, true = made(count, seed=count)
    values = bleu4(said, true)
    assert len(values) == count
    assert values.mean() == pytest.approx(Bleu(4).compute_score(*numbered(said, true), verbose=0)[0][3])


def test_too_short_captions_are_penalised_as_in_the_library():
    from pycocoevalcap.bleu.bleu import Bleu

    _, true = made(20)
    said = [" ".join(captions[0].split()[:5]) for captions in true]
    expected = Bleu(4).compute_score(*numbered(said, true), verbose=0)[0][3]
    assert bleu4(said, true).mean() == pytest.approx(expected)
    assert expected < 0.9


def test_bleu_and_rouge_of_the_references_themselves_are_one():
    _, true = made(5)
    said = [captions[1] for captions in true]
    np.testing.assert_allclose(bleu4(said, true), 1)
    np.testing.assert_allclose(rouge_l(said, true), 1)


def test_rouge_by_hand():
    # The longest common subsequence of "a red cup" and "a cup on a table" is "a cup": P 2/3, R 2/5.
    precision, recall, square = 2 / 3, 2 / 5, 1.2**2
    expected = (1 + square) * precision * recall / (recall + square * precision)
    assert rouge_l(["A red cup."], [["a cup on a table"]]) == pytest.approx([expected])


def test_rouge_is_the_library_s():
    from pycocoevalcap.rouge.rouge import Rouge

    said, true = made(30)
    np.testing.assert_array_equal(rouge_l(said, true), Rouge().compute_score(*numbered(said, true))[1])


def test_nothing_said_scores_nothing():
    assert rouge_l([""], [["a cup"]]) == pytest.approx([0])
    assert bleu4([""], [["a cup"]]) == pytest.approx([0], abs=1e-6)


def test_without_java_both_say_so(monkeypatch):
    monkeypatch.setattr(caption_scores.shutil, "which", lambda name: None)
    java = JavaScorers()
    for score in (java.meteor, java.spice):
        with pytest.raises(Unmeasured, match=NO_JAVA):
            score(["a cup"], [["a cup"]])


def test_switched_off_both_say_so():
    java = JavaScorers(start=False)
    for score in (java.meteor, java.spice):
        with pytest.raises(Unmeasured, match=r"evaluate\.java"):
            score(["a cup"], [["a cup"]])


def test_without_its_parser_spice_says_what_to_do(monkeypatch):
    monkeypatch.setattr(caption_scores.shutil, "which", lambda name: "/usr/bin/java")
    monkeypatch.setattr(caption_scores, "SPICE_JAR", "none-of-that-name.jar")
    monkeypatch.setattr("pycocoevalcap.meteor.meteor.Meteor", object)
    with pytest.raises(Unmeasured, match="get_stanford_models"):
        JavaScorers().spice(["a cup"], [["a cup"]])


def test_meteor_s_mean_is_the_score_of_the_whole_list():
    class Program:
        """Stands for METEOR's program, which takes ten seconds to start."""

        def compute_score(self, true, said):
            assert said == {0: ["a cup"], 1: ["two stars"]}
            assert true == {0: ["a red cup"], 1: ["stars", "a star"]}
            return 0.5, [0.2, 0.6]

    scorers = JavaScorers(start=False)
    scorers._meteor = Program()
    found = scorers.meteor(["A cup.", "two stars"], [["a red cup"], ["stars", "a star"]])
    np.testing.assert_allclose(found, [0.3, 0.7])


needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java")


@needs_java
def test_words_are_those_of_the_penn_treebank_tokeniser():
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    official = PTBTokenizer().tokenize({i: [{"caption": c}] for i, c in enumerate(CAPTIONS)})
    assert [tokenise(caption) for caption in CAPTIONS] == [official[i][0] for i in range(len(CAPTIONS))]
