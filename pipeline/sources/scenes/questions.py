"""Questions with short answers: colour, count, existence, relation. Answers are balanced within a kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from pipeline.params import ScenesParams
from pipeline.sources.scenes.examples import Example, matching, unique_name
from pipeline.sources.scenes.language import indefinite, named, number, plural
from pipeline.sources.scenes.relations import DIRECTIONS, OPPOSITE, Places
from pipeline.sources.scenes.shapes import NOUNS
from pipeline.sources.scenes.world import COLOURS, Thing

_QUESTIONS = 4
_TRIES = 12
# Chance of asking for each count, where the scene offers it: twos and more are rarer on offer.
_COUNT_WEIGHTS = {0: 1.0, 1: 1.0, 2: 2.0}
_MANY_WEIGHT = 2.5

Asked = tuple[str, str]  # prompt, answer


def questions(things: Sequence[Thing], places: Places, params: ScenesParams, rng: Random) -> list[Example]:
    """Four examples, one a kind; where a kind has no question in this scene, another existence or count."""
    examples: list[Example] = []
    prompts: set[str] = set()
    kinds = list(MAKERS)
    for _ in range(_TRIES):
        kind = kinds.pop(0) if kinds else rng.choice(("existence", "count"))
        asked = MAKERS[kind](things, places, params, rng)
        if asked is not None and asked[0] not in prompts:
            prompts.add(asked[0])
            examples.append(Example("question", kind, *asked))
        if len(examples) == _QUESTIONS:
            break
    return examples


def _colour(things: Sequence[Thing], places: Places, params: ScenesParams, rng: Random) -> Asked | None:
    """What colour is the cup?"""
    once = [thing for thing in things if len(matching(things, thing.noun)) == 1]
    if not once:
        return None
    thing = rng.choice(once)
    way = rng.choice(("What colour is the {}?", "Which colour is the {}?"))
    return way.format(thing.noun), thing.colour


def _count(things: Sequence[Thing], places: Places, params: ScenesParams, rng: Random) -> Asked | None:
    """How many cups are there? The answer is chosen first, among those that the scene offers."""
    offers: dict[int, list[str]] = {}
    held = Counter([thing.noun for thing in things] + [thing.colour for thing in things])
    for noun in NOUNS[: params.nouns]:
        offers.setdefault(held[noun], []).append(plural(noun))
    for colour in tuple(COLOURS)[: params.colours]:
        offers.setdefault(held[colour], []).append(f"{colour} things")
    if rng.random() < 0.15:
        offers.setdefault(len(things), []).append("things")
    counts = sorted(offers)
    weights = [_COUNT_WEIGHTS.get(count, _MANY_WEIGHT) for count in counts]
    count = rng.choices(counts, weights)[0]
    return f"How many {rng.choice(offers[count])} are there?", number(count)


def _existence(things: Sequence[Thing], places: Places, params: ScenesParams, rng: Random) -> Asked | None:
    """Is there a red cup? Where not, mostly the noun is there and the colour too, but not together."""
    yes = rng.random() < 0.5
    thing = rng.choice(things)
    if yes:
        name = named(thing)
    else:
        absent = _absent(things, thing, params, rng)
        if absent is None:
            return None
        name = absent
    way = rng.choice(("Is there {}?", "Can you see {}?"))
    return way.format(indefinite(name)), "yes" if yes else "no"


def _absent(things: Sequence[Thing], thing: Thing, params: ScenesParams, rng: Random) -> str | None:
    """The name of what the scene lacks, as close as can be to what it holds."""
    colours, nouns = tuple(COLOURS)[: params.colours], NOUNS[: params.nouns]
    there = {(other.noun, other.colour) for other in things}
    mixed = [(thing.noun, other.colour) for other in things]
    recoloured = [(thing.noun, colour) for colour in colours]
    other_noun = [(noun, thing.colour) for noun in nouns]
    chance = rng.random()
    ways = (mixed, recoloured, other_noun) if chance < 0.6 else (other_noun, recoloured)
    for names in ways:
        lacking = [name for name in names if name not in there]
        if lacking:
            noun, colour = rng.choice(lacking)
            return f"{colour} {noun}"
    return None


def _relation(things: Sequence[Thing], places: Places, params: ScenesParams, rng: Random) -> Asked | None:
    """Is the cup left of the star? Or: What is left of the star?"""
    makers = [_relation_holds, _relation_what]
    rng.shuffle(makers)
    return makers[0](things, places, rng) or makers[1](things, places, rng)


def _relation_holds(things: Sequence[Thing], places: Places, rng: Random) -> Asked | None:
    order = rng.sample(range(len(things)), len(things))
    for a in order:
        for b in order:
            first, second = unique_name(things, a), unique_name(things, b)
            if a == b or first is None or second is None:
                continue
            for relation in rng.sample(DIRECTIONS, len(DIRECTIONS)):
                if places.clearly(relation, a, b):
                    yes = rng.random() < 0.5
                    said = relation if yes else OPPOSITE[relation]
                    return f"Is the {first} {said} the {second}?", "yes" if yes else "no"
    return None


def _relation_what(things: Sequence[Thing], places: Places, rng: Random) -> Asked | None:
    for anchor in rng.sample(range(len(things)), len(things)):
        name = unique_name(things, anchor)
        if name is None:
            continue
        for relation in rng.sample(DIRECTIONS, len(DIRECTIONS)):
            found = places.only(relation, range(len(things)), anchor)
            if found is not None:
                return f"What is {relation} the {name}?", indefinite(named(things[found]))
    return None


MAKERS: dict[str, Callable[[Sequence[Thing], Places, ScenesParams, Random], Asked | None]] = {
    "colour": _colour,
    "count": _count,
    "existence": _existence,
    "relation": _relation,
}
