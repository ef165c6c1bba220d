"""The VQA rule against lmms-eval's, where its environment is there (`make benchmarks-env`)."""

from __future__ import annotations

import importlib.util
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.evaluation.vqa import normalise, vqa_accuracy

ROOT = Path(__file__).parents[2]
PLACE = ".venv-benchmarks/lib/python*/site-packages/lmms_eval/tasks/_task_utils/vqa_eval_metric.py"
FILE = next(iter(ROOT.glob(PLACE)), None)
pytestmark = pytest.mark.skipif(FILE is None, reason="there is no .venv-benchmarks: make benchmarks-env")

WORDS = ("two", "the", "a", "none", "dont", "don't", "dog's", "red,", "1,000", "2.5", "left-hand", "yes!")
ANSWERS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


@pytest.fixture(scope="module")
def official():
    """lmms-eval's processor as its task vqav2 uses it; its file needs nothing else of the package."""
    assert FILE is not None
    spec = importlib.util.spec_from_file_location("vqa_eval_metric", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    processor = module.EvalAIAnswerProcessor()
    return lambda text: processor.process_digit_article(
        processor.process_punctuation(text.replace("\n", " ").replace("\t", " ").strip())
    )


@given(st.one_of(ANSWERS, st.text(alphabet="abt the one.,;/-'!?()\n 129", max_size=20)))
@example("Couldn'tve; (whats that?) 3,000.")
def test_answers_are_normalised_as_there(official, text):
    assert normalise(text) == official(text)


@given(ANSWERS, st.lists(ANSWERS, min_size=10, max_size=10))
def test_ten_answers_are_scored_as_there(official, said, people):
    people = [*people[:7], said, said.upper(), f" {said}"]
    found = []
    for left_out in range(10):
        others = [official(answer) for k, answer in enumerate(people) if k != left_out]
        found.append(min(1, sum(answer == official(said) for answer in others) / 3))
    np.testing.assert_allclose(vqa_accuracy([said], [people]), statistics.mean(found))
