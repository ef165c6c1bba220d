"""A scene as a caption sees it: what there is to talk about, and the words at hand."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pipeline.sources.scenes.groups import Group
from pipeline.sources.scenes.language import Part
from pipeline.sources.scenes.relations import ABOVE, BELOW, DIRECTIONS, LEFT, RIGHT, Places

_WAYS = {
    LEFT: ("left of", "to the left of"),
    RIGHT: ("right of", "to the right of"),
    ABOVE: ("above",),
    BELOW: ("below", "below", "under"),
}
_VERBS = {True: ("is", "is", "stands", "sits", "lies"), False: ("are", "are", "stand", "sit", "lie")}


@dataclass(frozen=True, slots=True)
class View:
    """A scene as a caption sees it."""

    groups: list[Group]
    """In the order in which this caption thinks of them."""
    places: Places
    background: str
    rng: Random

    def new(self, group: Group) -> Part:
        """A group brought up."""
        return group.new(self.rng)

    def known(self, group: Group) -> Part:
        """A group come back to."""
        return group.known(self.rng)

    def relation(self, group: Group, *others: Group) -> str | None:
        """Words for how the group lies to all of the others, if there are any that nobody would deny."""
        anchors = [member for other in others for member in other.members]
        say = [self.rng.choice(_WAYS[way]) for way in DIRECTIONS
               if self.places.all_clearly(way, group.members, anchors)]  # fmt: skip
        if len(anchors) == 1 and group.single:
            a, b = group.members[0], anchors[0]
            say += ["next to", "beside"] if self.places.beside(a, b) else []
            say += ["in front of"] * 2 if self.places.in_front(a, b) else []
            say += ["behind"] * 2 if self.places.in_front(b, a) else []
        return self.rng.choice(say) if say else None

    def verb(self, group: Group) -> str:
        """A verb of place that agrees with the group."""
        return self.rng.choice(_VERBS[group.single])

    def related_pair(self) -> tuple[Group, str, Group] | None:
        """The first two groups, in order of thought, with a relation between them."""
        for a in self.groups:
            for b in self.groups:
                if a is not b and (relation := self.relation(a, b)):
                    return a, relation, b
        return None
