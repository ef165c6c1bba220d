"""Which objects captions name: the constructions that people use, one by one."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.naming import lexicon, named_objects, object_f1
from pipeline.params import ScenesParams
from pipeline.sources.scenes import COLOURS as SCENE_COLOURS
from pipeline.sources.scenes import NOUNS as SCENE_NOUNS
from pipeline.sources.scenes.captions import caption
from pipeline.sources.scenes.draw import draw
from pipeline.sources.scenes.relations import Places

NOUNS = ["cup", "boat", "kite", "star", "moon", "key", "bell", "fish", "leaf", "fire hydrant"]
COLOURS = ["red", "green", "blue", "yellow", "white", "purple", "orange"]
KNOWN = lexicon(NOUNS, COLOURS)


def _as_set(text):
    """``2 red cup, star`` as {("cup", "red"): 2, ("star", ""): 1}."""
    named = {}
    for item in filter(None, text.split(", ")):
        count, _, rest = item.partition(" ") if item[0].isdigit() else ("1", "", item)
        colour, noun = next(
            ((c, rest.removeprefix(f"{c} ")) for c in COLOURS if rest.startswith(c)), ("", rest)
        )
        named[noun, colour] = int(count)
    return named


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        # noun phrases
        (
            "A red cup stands left of a blue star, with a small green kite above them.",
            "red cup, blue star, green kite",
        ),
        ("Two red boats and a yellow moon on a white background.", "2 red boat, yellow moon"),
        ("A striped red cup, a red, dotted boat and 3 green leaves.", "red cup, red boat, 3 green leaf"),
        ("A red fire hydrant next to two fire hydrants.", "red fire hydrant, 2 fire hydrant"),
        ("A pair of red keys.", "2 red key"),
        ("White bells", "2 white bell"),
        ("A red-coloured cup", "red cup"),
        ("Three white fish", "3 white fish"),
        ("There is a cup.", "cup"),
        # several colours
        ("A red and a blue cup.", "red cup, blue cup"),
        ("Two red and blue cups.", "red cup, blue cup"),
        ("Two cups, one red and one blue.", "red cup, blue cup"),
        # predicates
        ("The cup is red and the star is blue.", "red cup, blue star"),
        ("The cup is red, the star is blue, and the keys are white.", "red cup, blue star, 2 white key"),
        ("A cup and a star are red.", "red cup, red star"),
        ("The cup and the star are both red.", "red cup, red star"),
        ("A cup next to a white bell is red.", "red cup, white bell"),
        ("A star, which is blue, sits above a red cup.", "blue star, red cup"),
        ("A cup left of a star that is blue.", "cup, blue star"),
        ("There is a moon. It is yellow.", "yellow moon"),
        ("The fish are orange.", "2 orange fish"),
        ("Left of the fish are two red cups.", "fish, 2 red cup"),
        (
            "There is a purple key next to a white bell. The fish below them is orange.",
            "purple key, white bell, orange fish",
        ),
        # second mentions
        ("A red cup. The cup is left of a star.", "red cup, star"),
        ("A red cup left of a star. The star is blue.", "red cup, blue star"),
        ("There is a red cup. The cup below it is blue.", "red cup, blue cup"),
        ("A red cup and another red cup.", "2 red cup"),
        ("Two red cups. The red cups are above a star.", "2 red cup, star"),
        # what is no object
        ("The background is white.", ""),
        ("A red cup. The background is white.", "red cup"),
        ("A red cup on a white wall beside a blue door.", "red cup"),
        ("To the left of the white house is a red cup.", "red cup"),
        ("", ""),
        ("red", ""),
        ("a the is and two which", ""),
    ],
)
def test_what_a_caption_names(caption, named):
    assert named_objects(caption, KNOWN) == _as_set(named)


def test_one_thing_of_two_colours_is_neither_of_them():
    assert named_objects("A red and blue kite.", KNOWN) == {("kite", "blue and red"): 1}


OPENERS = ("a", "the", "two", "one", "red", "blue", "tall")
WORDS = (*OPENERS, "cup", "cups", "star", "it", "is", "are", "which", "and", ",", ".")
THINGS = st.lists(
    st.tuples(st.sampled_from(NOUNS), st.sampled_from(COLOURS)), min_size=1, max_size=5, unique=True
)


@given(THINGS)
def test_a_plain_list_is_named_whole(things):
    caption = ", ".join(f"a {colour} {noun}" for noun, colour in things)
    assert named_objects(caption, KNOWN) == dict.fromkeys(things, 1)


@given(THINGS.filter(lambda things: len({noun for noun, _ in things}) == len(things)))
def test_predicates_say_what_a_list_says(things):
    caption = " and ".join(f"the {noun} is {colour}" for noun, colour in things)
    assert named_objects(caption, KNOWN) == dict.fromkeys(things, 1)


@given(st.lists(st.sampled_from(WORDS)))
def test_any_row_of_words_can_be_read(words):
    """Models say odd things: whatever they say is read, the same each time, and names known words only."""
    caption = " ".join(words)
    named = named_objects(caption, KNOWN)
    assert named == named_objects(caption, KNOWN)
    assert {noun for noun, _ in named} <= {"cup", "star"}
    assert all(count > 0 for count in named.values())


def test_f1_by_hand():
    said, true = named_objects("two red cups, a star", KNOWN), named_objects("a red cup, a star", KNOWN)
    assert object_f1(said, true) == pytest.approx(2 * 2 / 5)


def test_a_word_cannot_be_noun_and_colour():
    with pytest.raises(ValueError, match="orange: a word cannot be both"):
        lexicon(["cup", "orange"], ["orange", "red"])


def test_the_scenes_captions_are_read_as_what_was_drawn():
    """Captions and grammar were written apart: what one says of a scene, the other reads.

    Left out: captions that do not say a colour, and scenes of which they cannot say how many ("the stars are
    red" of three, "the fish and the cup are red" of two fish).
    """
    params = ScenesParams(
        train=1,
        validation=1,
        test=1,
        image_size=64,
        nouns=20,
        colours=10,
        patterns=4,
        objects=(2, 5),
        object_size=(0.2, 0.4),
        overlap=0.1,
        captions=1,
    )
    known = lexicon(SCENE_NOUNS, SCENE_COLOURS)
    read = 0
    for seed in range(150):
        scene = draw(params, Random(seed))
        true = Counter((thing.noun, thing.colour) for thing in scene.things)
        text, _ = caption(scene, Places(scene), Random(seed))
        named = named_objects(text, known)
        clear = all(count == 1 or (count == 2 and noun != "fish") for (noun, _), count in true.items())
        if clear and all(colour for _, colour in named):
            read += 1
            assert named == true, text
    assert read > 100
