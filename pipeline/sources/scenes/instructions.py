"""Instructions whose answers have a form that can be checked: an order, one word, a selection, a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from pipeline.params import ScenesParams
from pipeline.sources.scenes.examples import Example, matching
from pipeline.sources.scenes.relations import Places
from pipeline.sources.scenes.world import COLOURS, Thing

_INSTRUCTIONS = 2
_TRIES = 10
_NONE = 0.2  # how often the selection is empty
NOTHING = "none"

Asked = tuple[str, str]  # prompt, answer


def instructions(things: Sequence[Thing], places: Places, params: ScenesParams, rng: Random) -> list[Example]:
    """Two examples, of different kinds where the scene allows them."""
    examples: list[Example] = []
    prompts: set[str] = set()
    kinds = rng.sample(tuple(MAKERS), len(MAKERS))
    for _ in range(_TRIES):
        kind = kinds.pop(0) if kinds else rng.choice(("one_word", "only_colour"))
        asked = MAKERS[kind](things, places, params, rng)
        if asked is not None and asked[0] not in prompts:
            prompts.add(asked[0])
            examples.append(Example("instruction", kind, *asked))
        if len(examples) == _INSTRUCTIONS:
            break
    return examples


def _left_to_right(
    things: Sequence[Thing], places: Places, params: ScenesParams, rng: Random
) -> Asked | None:
    line = places.in_line(range(len(things)))
    if line is None:
        return None
    prompt = rng.choice(("List the objects from left to right.", "Name the things from left to right."))
    return prompt, ", ".join(things[index].noun for index in line)


def _noun_colour(things: Sequence[Thing], places: Places, params: ScenesParams, rng: Random) -> Asked | None:
    line = places.in_line(range(len(things)))
    if line is None:
        return None
    answer = "; ".join(f"{things[index].noun}: {things[index].colour}" for index in line)
    return "Write noun: colour for each object, left to right.", answer


def _one_word(things: Sequence[Thing], places: Places, params: ScenesParams, rng: Random) -> Asked | None:
    """The colour of the only cup, or the noun of the only red thing."""
    asked = [
        *((f"what colour is the {t.noun}?", t.colour) for t in things if len(matching(things, t.noun)) == 1),
        *((f"what is the {t.colour} thing?", t.noun)
          for t in things if len(matching(things, colour=t.colour)) == 1),
    ]  # fmt: skip
    if not asked:
        return None
    question, answer = rng.choice(asked)
    return rng.choice((f"Answer in one word: {question}", f"In one word, {question}")), answer


def _only_colour(things: Sequence[Thing], places: Places, params: ScenesParams, rng: Random) -> Asked | None:
    colours = tuple(COLOURS)[: params.colours]
    present = {thing.colour for thing in things}
    absent = [colour for colour in colours if colour not in present]
    nothing = bool(absent) and rng.random() < _NONE
    colour = rng.choice(absent if nothing else [c for c in colours if c in present])
    line = places.in_line(matching(things, colour=colour))
    if line is None:
        return None
    prompt = rng.choice(
        ("Name only the {} things, left to right.", "List only the {} things, left to right.")
    )
    return prompt.format(colour), ", ".join(things[index].noun for index in line) or NOTHING


MAKERS: dict[str, Callable[[Sequence[Thing], Places, ScenesParams, Random], Asked | None]] = {
    "left_to_right": _left_to_right,
    "one_word": _one_word,
    "only_colour": _only_colour,
    "noun_colour": _noun_colour,
}
