"""Captions as people write them: an opening that brings up some of the things, then the others in turn.

An opening takes a view of the scene and returns what it says and which groups it brought up, or None where
it does not fit; so does a continuation, for one more group. Adding a construction is adding a function to
one of the two lists. Every sentence is true of the scene, and together they name every thing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from pipeline.sources.scenes.groups import Group, gather
from pipeline.sources.scenes.language import Part, Parts, Span, article, listed, number, render
from pipeline.sources.scenes.relations import ABOVE, BELOW, DIRECTIONS, LEFT, RIGHT, Places
from pipeline.sources.scenes.world import Scene

_WAYS = {
    LEFT: ("left of", "to the left of"),
    RIGHT: ("right of", "to the right of"),
    ABOVE: ("above",),
    BELOW: ("below", "below", "under"),
}
_VERBS = {"is": ("is", "is", "stands", "sits", "lies"), "are": ("are", "are", "stand", "sit", "lie")}
_BACKGROUND = 0.25  # how often a caption mentions it


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

    def related_pair(self) -> tuple[Group, str, Group] | None:
        """The first two groups, in order of thought, with a relation between them."""
        for a in self.groups:
            for b in self.groups:
                if a is not b and (relation := self.relation(a, b)):
                    return a, relation, b
        return None


Said = tuple[Parts, list[Group]]
Opening = Callable[[View], "Said | None"]
Continuation = Callable[[View, list[Group], Group], "Parts | None"]


def caption(scene: Scene, places: Places, rng: Random) -> tuple[str, list[Span]]:
    """One caption of the scene.

    Returns:
        The text, and (start, end, objects) of every noun phrase that names objects.
    """
    groups = gather(scene.things)
    rng.shuffle(groups)
    view = View(groups, places, scene.background, rng)
    opening, said = _first(rng, OPENINGS, view) or _all_there(view)
    sentences = [opening]
    rest = [group for group in groups if group not in said]
    while rest:
        group = rest.pop(0)
        plain = len(sentences) == 1 and not {" with ", ", with ", ", and "} & set(sentences[0])
        clause = _with_clause(view, said, group) if plain and rng.random() < 0.5 else None
        if clause:
            sentences[0] = [*sentences[0], *clause]
        else:
            sentences.append(_first(rng, CONTINUATIONS, view, said, group) or _also(view, said, group))
        said = [*said, group]
    unsaid = not any("background" in part for part in opening)
    if unsaid and len(sentences) < 3 and rng.random() < _BACKGROUND:
        sentences.append([f"the background is {scene.background}"])
    return render(sentences)


def _first(rng: Random, ways: Sequence[Callable], *args: Any) -> Any:
    """What the first of the ways that fits says, tried in random order."""
    for way in rng.sample(ways, len(ways)):
        if (said := way(*args)) is not None:
            return said
    return None


# --- openings ---


def _on_background(view: View) -> Parts:
    if view.rng.random() > _BACKGROUND:
        return []
    return [f" {view.rng.choice(('on', 'against'))} {article(view.background)} {view.background} background"]


def _everything(view: View) -> Parts:
    return listed([[view.new(group)] for group in view.groups])


def _all(view: View) -> Said:
    """A red cup, a blue star and two kites on a grey background."""
    return [*_everything(view), *_on_background(view)], view.groups


def _all_there(view: View) -> Said:
    """There are two red cups and a blue star."""
    return [f"there {view.groups[0].be} ", *_everything(view), *_on_background(view)], view.groups


def _all_pictured(view: View) -> Said:
    """A picture of a red cup and a blue star."""
    way = view.rng.choice(("a picture of ", "a picture with ", "this picture shows ", "we see "))
    return [way, *_everything(view), *_on_background(view)], view.groups


def _all_counted(view: View) -> Said | None:
    """Three things: a red cup, a blue star and a kite."""
    count = sum(len(group.members) for group in view.groups)
    if count < 3 or len(view.groups) == 1:
        return None
    return [f"{view.rng.choice(('', 'there are '))}{number(count)} things: ", *_everything(view)], view.groups


def _all_in_line(view: View) -> Said | None:
    """From left to right: a red cup, a blue star and a kite."""
    axis = view.rng.choice((0, 0, 1))
    by_member = {group.members[0]: group for group in view.groups}
    line = view.places.in_line(by_member, axis)
    if line is None or len(line) < 2 or not all(group.single for group in view.groups):
        return None
    way = ("from left to right", "from top to bottom")[axis] + view.rng.choice((": ", ", there is "))
    groups = [by_member[member] for member in line]
    return [way, *listed([[view.new(group)] for group in groups])], groups


def _sides(view: View) -> Said | None:
    """On the left is a red cup and on the right are two stars."""
    pair = next(
        ((a, b) for a in view.groups for b in view.groups
         if a is not b and view.places.all_clearly(LEFT, a.members, b.members)
         and all(view.places.centres[m][0] < 0.42 for m in a.members)
         and all(view.places.centres[m][0] > 0.58 for m in b.members)),
        None,
    )  # fmt: skip
    if pair is None:
        return None
    a, b = pair
    middle = view.rng.choice((" and on the right ", ", on the right "))
    return [f"on the left {a.be} ", view.new(a), f"{middle}{b.be} ", view.new(b)], [a, b]


def _pair(view: View) -> Said | None:
    """A red cup stands left of a blue star."""
    if (pair := view.related_pair()) is None:
        return None
    a, relation, b = pair
    return [view.new(a), f" {view.rng.choice(_VERBS[a.be])} {relation} ", view.new(b)], [a, b]


def _pair_there(view: View) -> Said | None:
    """There is a purple key next to a white bell."""
    if (pair := view.related_pair()) is None:
        return None
    a, relation, b = pair
    return [f"there {a.be} ", view.new(a), f" {relation} ", view.new(b)], [a, b]


def _pair_bare(view: View) -> Said | None:
    """A red cup left of a blue star."""
    if (pair := view.related_pair()) is None:
        return None
    a, relation, b = pair
    return [view.new(a), f" {relation} ", view.new(b)], [a, b]


def _pair_turned(view: View) -> Said | None:
    """Above a blue star is a red cup."""
    if (pair := view.related_pair()) is None:
        return None
    a, relation, b = pair
    return [f"{relation} ", view.new(b), f" {a.be} ", view.new(a)], [b, a]


def _pair_with(view: View) -> Said | None:
    """A blue star with a red cup above it."""
    if (pair := view.related_pair()) is None:
        return None
    a, relation, b = pair
    return [view.new(b), " with ", view.new(a), f" {relation} {b.pronoun}"], [b, a]


def _pair_side_by_side(view: View) -> Said | None:
    """A red cup and a blue star side by side."""
    single = [group for group in view.groups if group.single]
    for a in single:
        for b in single:
            if a is not b and view.places.beside(a.members[0], b.members[0]):
                way = view.rng.choice((" side by side", " next to each other", " are side by side"))
                return [view.new(a), " and ", view.new(b), way], [a, b]
    return None


def _between(view: View) -> Said | None:
    """A red cup is between a blue star and a kite."""
    single = [group for group in view.groups if group.single]
    for a in single:
        for b in single:
            for c in single:
                if len({a, b, c}) == 3 and view.places.between(*(g.members[0] for g in (a, b, c))):
                    way = view.rng.choice((" between ", f" {view.rng.choice(_VERBS['is'])} between "))
                    return [view.new(a), way, view.new(b), " and ", view.new(c)], [a, b, c]
    return None


def _predicates(view: View) -> Said | None:
    """The cup is red and the star is blue."""
    told = [group for group in view.groups if group.alone][:3]
    if not told:
        return None
    clauses: list[Parts] = [[group.known(view.rng, False), f" {group.be} {group.colour}"] for group in told]
    return listed(clauses), told


def _both(view: View) -> Said | None:
    """The cup and the star are both red."""
    told = [group for group in view.groups if group.alone]
    for a in told:
        for b in told:
            if a is not b and a.colour == b.colour:
                both = "both " if a.single and b.single and view.rng.random() < 0.7 else ""
                names = (a.known(view.rng, False), " and ", b.known(view.rng, False))
                return [*names, f" are {both}{a.colour}"], [a, b]
    return None


OPENINGS: tuple[Opening, ...] = (
    _all, _all_there, _all_pictured, _all_counted, _all_in_line, _sides, _pair, _pair_there, _pair_bare,
    _pair_turned, _pair_with, _pair_side_by_side, _between, _predicates, _both,
)  # fmt: skip


# --- continuations ---


def _anchor(view: View, said: list[Group], group: Group) -> tuple[str, Group] | None:
    """A group that was brought up, and how the new one lies to it."""
    for anchor in view.rng.sample(said, len(said)):
        if relation := view.relation(group, anchor):
            return relation, anchor
    return None


def _with_clause(view: View, said: list[Group], group: Group) -> Parts | None:
    """..., with a green kite above them."""
    if (relation := view.relation(group, *said)) is None:
        return None
    them = said[0].pronoun if len(said) == 1 else "them"
    return [view.rng.choice((", with ", ", and ")), view.new(group), f" {relation} {them}"]


def _also(view: View, said: list[Group], group: Group) -> Parts:
    """There is also a green kite."""
    return [f"there {group.be} also ", view.new(group)]


def _also_there(view: View, said: list[Group], group: Group) -> Parts | None:
    """There is a green kite above the star too."""
    if (found := _anchor(view, said, group)) is None:
        return None
    relation, anchor = found
    also = view.rng.choice((" also ", " "))
    return [f"there {group.be}{also}", view.new(group), f" {relation} ", view.known(anchor)]


def _stands(view: View, said: list[Group], group: Group) -> Parts | None:
    """A green kite is above the star."""
    if (found := _anchor(view, said, group)) is None:
        return None
    relation, anchor = found
    verb = view.rng.choice(_VERBS[group.be])
    return [view.new(group), f" {verb} {relation} ", view.known(anchor)]


def _turned(view: View, said: list[Group], group: Group) -> Parts | None:
    """Above the star is a green kite."""
    if (found := _anchor(view, said, group)) is None:
        return None
    relation, anchor = found
    return [f"{relation} ", view.known(anchor), f" {group.be} ", view.new(group)]


def _predicate(view: View, said: list[Group], group: Group) -> Parts | None:
    """The kite above the star is green."""
    if not group.alone or (found := _anchor(view, said, group)) is None:
        return None
    relation, anchor = found
    return [group.known(view.rng, False), f" {relation} ", view.known(anchor), f" {group.be} {group.colour}"]


def _predicate_plain(view: View, said: list[Group], group: Group) -> Parts | None:
    """The kite is green."""
    if not group.alone:
        return None
    return [group.known(view.rng, False), f" {group.be} {group.colour}"]


CONTINUATIONS: tuple[Continuation, ...] = (_also_there, _stands, _turned, _predicate, _predicate_plain)
