"""What a caption talks about: the things of a scene, those alike taken together ("two red cups")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pipeline.sources.scenes.language import Mention, article, number, plural
from pipeline.sources.scenes.world import Thing

_SAYS_COLOUR, _SAYS_PATTERN, _SAYS_SIZE = 0.96, 0.7, 0.4  # how often an indefinite phrase says each


@dataclass(frozen=True, slots=True)
class Group:
    """Things of one noun and colour; pattern and size only where all of them share it."""

    members: tuple[int, ...]
    noun: str
    colour: str
    pattern: str
    size: str
    alone: bool
    """No other group has the noun, so that "the cup" (or "the cups") names this one."""

    @property
    def single(self) -> bool:
        """Whether the group is one thing."""
        return len(self.members) == 1

    @property
    def be(self) -> str:
        """``is`` or ``are``."""
        return "is" if self.single else "are"

    @property
    def pronoun(self) -> str:
        """``it`` or ``them``."""
        return "it" if self.single else "them"

    def new(self, rng: Random) -> Mention:
        """The phrase that brings the group up: "a small red cup", "two red cups"."""
        says = (
            (self.size, _SAYS_SIZE),
            (self.pattern, _SAYS_PATTERN),
            (self.colour, _SAYS_COLOUR),
        )
        words = [word for word, often in says if word and rng.random() < often]
        words.append(self.noun if self.single else plural(self.noun))
        count = article(words[0]) if self.single else number(len(self.members))
        return " ".join([count, *words]), self.members

    def known(self, rng: Random, colour: bool = True) -> Mention:
        """The phrase that comes back to the group: "the cup", or "the red cup" where there are others.

        Without ``colour`` it is never said: for sentences that go on to say it.
        """
        noun = self.noun if self.single else plural(self.noun)
        says = colour and (not self.alone or rng.random() < 0.4)
        return f"the {self.colour} {noun}" if says else f"the {noun}", self.members


def gather(things: Sequence[Thing]) -> list[Group]:
    """The groups of a scene, in the order of their first members."""
    alike: dict[tuple[str, str], list[int]] = {}
    for index, thing in enumerate(things):
        alike.setdefault((thing.noun, thing.colour), []).append(index)
    nouns = [noun for noun, _ in alike]
    groups = []
    for (noun, colour), members in alike.items():
        patterns = {things[m].pattern for m in members}
        sizes = {things[m].size for m in members}
        groups.append(
            Group(
                members=tuple(members),
                noun=noun,
                colour=colour,
                pattern=patterns.pop() if len(patterns) == 1 and patterns != {"plain"} else "",
                size=sizes.pop() if len(sizes) == 1 else "",
                alone=nouns.count(noun) == 1,
            )
        )
    return groups
