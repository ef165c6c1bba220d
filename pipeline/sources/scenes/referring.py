"""Referring expressions: phrases true of exactly one object of the scene, that need what they say.

An *attribute* expression tells the object by what it is ("the small red cup", "the red thing"), a
*relation* expression by where it is ("the cup left of the star", "the leftmost cup").
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from pipeline.sources.scenes.examples import BOX, Example, matching, unique_name
from pipeline.sources.scenes.relations import APART, DIRECTIONS, Places
from pipeline.sources.scenes.world import Thing

_EXPRESSIONS = 3
_PROMPTS = (
    "Where is {}?",
    "Give the box of {}.",
    "Find {}.",
    "Point to {}.",
    "Which box is {} in?",
    "Show the box around {}.",
)
_EXTREMES = (("leftmost", 0, 1), ("rightmost", 0, -1), ("highest", 1, 1), ("lowest", 1, -1))
_THING = 0.25  # how often "thing" is tried before the noun


def referring(things: Sequence[Thing], places: Places, rng: Random) -> list[Example]:
    """Up to three examples about different objects; fewer where no expression tells an object apart."""
    examples: list[Example] = []
    for target in rng.sample(range(len(things)), len(things)):
        kinds = [("attribute", attribute_expression), ("relation", relation_expression)]
        rng.shuffle(kinds)
        for kind, make in kinds:
            expression = make(things, places, target, rng)
            if expression:
                prompt = rng.choice(_PROMPTS).format(expression)
                examples.append(Example("referring", kind, prompt, BOX, target))
                break
        if len(examples) == _EXPRESSIONS:
            break
    return examples


def attribute_expression(things: Sequence[Thing], places: Places, target: int, rng: Random) -> str | None:
    """The fewest words for what the object is that are true of it alone.

    Where no other object has its noun, which alone would do, "the red thing" is tried first: it needs the
    attribute. Else the colour is said all the same.
    """
    thing = things[target]
    pattern = "" if thing.pattern == "plain" else thing.pattern
    several = len(matching(things, thing.noun)) > 1
    options: list[tuple[str, ...]] = [(thing.colour, thing.noun)]
    if several:
        options += [(word, thing.noun) for word in (thing.size, pattern) if word]
        rng.shuffle(options)
        options += [(word, thing.colour, thing.noun) for word in (thing.size, pattern) if word]
    if not several or rng.random() < _THING:
        options.insert(0, (thing.colour, "thing"))
    for words in options:
        if _true_of(things, words) == [target]:
            return f"the {' '.join(words)}"
    return None


def relation_expression(things: Sequence[Thing], places: Places, target: int, rng: Random) -> str | None:
    """Words for where the object is, where its noun alone would be true of several."""
    heads = [things[target].noun, "thing"]
    for head in heads[::-1] if rng.random() < _THING else heads:
        among = _true_of(things, (head,))
        if len(among) < 2:
            continue
        makers = [_by_extreme, _by_anchor, _by_anchor]
        rng.shuffle(makers)
        for make in makers:
            if words := make(things, places, target, among, head, rng):
                return words
    return None


def _true_of(things: Sequence[Thing], words: Sequence[str]) -> list[int]:
    """The objects that every one of the words is true of."""
    return [
        index
        for index, thing in enumerate(things)
        if all(word in (thing.noun, thing.colour, thing.size, thing.pattern, "thing") for word in words)
    ]


def _by_extreme(
    things: Sequence[Thing], places: Places, target: int, among: list[int], head: str, rng: Random
) -> str | None:
    """The leftmost cup."""
    centres = places.centres
    for word, axis, sign in rng.sample(_EXTREMES, len(_EXTREMES)):
        here = sign * centres[target][axis]
        if all(sign * centres[other][axis] - here >= APART for other in among if other != target):
            return f"the {word} {head}"
    return None


def _by_anchor(
    things: Sequence[Thing], places: Places, target: int, among: list[int], head: str, rng: Random
) -> str | None:
    """The cup left of the blue star."""
    for anchor in rng.sample(range(len(things)), len(things)):
        name = unique_name(things, anchor)
        if anchor == target or name is None:
            continue
        for relation in rng.sample(DIRECTIONS, len(DIRECTIONS)):
            if places.only(relation, among, anchor) == target:
                return f"the {head} {relation} the {name}"
    return None
