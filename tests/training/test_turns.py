"""Turns: tokenised, drawn and padded; and where a batch is cut by length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.turns import IGNORED, Turns, draw_some, split_by_length

TURNS = Turns(
    tokens=np.array([11, 12, 13, 21, 22, 31, 32, 33, 34], np.int32),
    starts=np.array([0, 3, 5, 9]),
    learned=np.array([0, 1, 1, 1, 1, 0, 0, 0, 1], bool),
    firsts=np.array([0, 2, 2, 3]),
)
"""Three turns, of 3, 2 and 4 tokens: two about image 0, none about image 1, one about image 2."""


def test_padding_and_labels_by_hand():
    ids, labels = TURNS.pad(np.array([[0, 1], [2, 0]]), pad=7)
    x = IGNORED
    assert ids.tolist() == [[[11, 12, 13, 7], [21, 22, 7, 7]], [[31, 32, 33, 34], [11, 12, 13, 7]]]
    assert labels.tolist() == [[[x, 12, 13, x], [21, 22, x, x]], [[x, x, x, 34], [x, 12, 13, x]]]


def test_padding_is_as_wide_as_the_longest_turn_drawn():
    ids, _ = TURNS.pad(np.array([[1]]), pad=7)
    assert ids.tolist() == [[[21, 22]]]


def test_tokenising_puts_prompt_and_answer_together_and_sorts_by_image(words):
    turns = Turns.of(
        words,
        [
            ([["<assistant>", "none</s>"], ["<assistant>", "nobody's</s>"]], np.array([2, -1])),
            (
                [["<user>what colour ?<assistant>", "red</s>"], ["<assistant>", "a cup</s>"]],
                np.array([0, 0]),
            ),
        ],
        3,
        "<image>",
    )
    rows = [turns.tokens[turns.starts[i] : turns.starts[i + 1]].tolist() for i in range(3)]
    assert rows[0] == words("<user>what colour ?<assistant>red</s>", add_special_tokens=False)["input_ids"]
    assert rows[1] == words.convert_tokens_to_ids(["<assistant>", "▁a", "▁cup", "</s>"])
    learned = [turns.learned[turns.starts[i] : turns.starts[i + 1]].tolist() for i in range(3)]
    assert learned == [
        [False] * (len(rows[0]) - 2) + [True] * 2,
        [False, True, True, True],
        [False, True, True],
    ]
    assert turns.firsts.tolist() == [0, 2, 2, 3]


def test_no_turns_at_all(words):
    turns = Turns.of(words, [], 2, "<image>")
    assert turns.firsts.tolist() == [0, 0, 0]
    assert turns.tokens.size == 0


def test_turns_drawn_about_an_image_are_about_it():
    for seed in range(20):
        generator = np.random.default_rng(seed)
        assert sorted(TURNS.draw(0, 2, generator)) == [0, 1]
        assert TURNS.draw(2, 3, generator).tolist() == [2, 2, 2]


@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 999))
def test_nothing_is_drawn_again_before_everything_was(available, count, seed):
    drawn = draw_some(available, count, np.random.default_rng(seed))
    assert len(drawn) == count
    for start in range(0, count, available):
        block = drawn[start : start + available]
        assert len(set(block)) == len(block)
        assert set(block) <= set(range(available))


@pytest.mark.parametrize("count", [1, 3, 7])
def test_every_turn_is_as_likely_as_any_other(count):
    drawn = [draw_some(5, count, np.random.default_rng(seed)) for seed in range(2000)]
    shares = np.bincount(np.concatenate(drawn), minlength=5) / (2000 * count)
    assert np.abs(shares - 0.2).max() < 0.03


def computed(lengths, cut):
    """Tokens computed when columns before and after the cut are padded to their own longest."""
    groups = [group for group in (lengths[:, :cut], lengths[:, cut:]) if group.size]
    return sum(group.shape[1] * group.max() for group in groups)


@given(
    st.integers(1, 4).flatmap(
        lambda turns: st.lists(
            st.lists(st.integers(2, 30), min_size=turns, max_size=turns).map(sorted), min_size=1, max_size=5
        )
    )
)
def test_the_cut_is_the_best_of_all_or_none_pays(rows):
    lengths = np.array(rows)
    turns = lengths.shape[1]
    cut = split_by_length(lengths)
    costs = {place: computed(lengths, place) for place in range(1, turns + 1)}
    best = min(costs.values())
    if cut < turns:
        assert costs[cut] == best < 0.85 * costs[turns]
    else:
        assert best >= 0.85 * costs[turns]


@pytest.mark.parametrize(
    ("lengths", "cut"),
    [
        ([[5, 5, 5, 5]], 4),  # alike: one group
        ([[4, 4, 20, 20]], 2),  # 2 x 4 + 2 x 20 = 48 of 80
        ([[4, 20, 20, 20]], 1),  # 64 of 80
        ([[4, 18, 20, 20], [4, 4, 4, 20]], 1),
        ([[9]], 1),
    ],
)
def test_cuts_by_hand(lengths, cut):
    assert split_by_length(np.array(lengths)) == cut
