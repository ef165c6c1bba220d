"""What the question makers share: the example itself, and names that are true of one object alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pipeline.sources.scenes.language import indefinite, named
from pipeline.sources.scenes.world import Thing

BOX = "<box>"  # stands in a text for the example's box; the language model's own format replaces it


@dataclass(frozen=True, slots=True)
class Example:
    """A question about a scene and its answer, which is right for this scene and no matter of opinion."""

    task: str
    kind: str | None
    prompt: str
    answer: str
    target: int | None = None
    """The object whose box the example is about."""


def matching(things: Sequence[Thing], noun: str = "", colour: str = "") -> list[int]:
    """The objects of a noun and a colour; an empty one matches all."""
    return [
        index
        for index, thing in enumerate(things)
        if (not noun or thing.noun == noun) and (not colour or thing.colour == colour)
    ]


def unique_name(things: Sequence[Thing], index: int) -> str | None:
    """The shortest of "cup" and "red cup" that is true of this object alone, if one is."""
    thing = things[index]
    if len(matching(things, thing.noun)) == 1:
        return thing.noun
    if len(matching(things, thing.noun, thing.colour)) == 1:
        return named(thing)
    return None


def regions(things: Sequence[Thing], rng: Random) -> list[Example]:
    """One example that gives a box and asks what is there."""
    target = rng.randrange(len(things))
    prompt = rng.choice((f"What is at {BOX}?", f"Name the thing at {BOX}.", f"What is in the box {BOX}?"))
    return [Example("region", None, prompt, indefinite(named(things[target])), target)]
