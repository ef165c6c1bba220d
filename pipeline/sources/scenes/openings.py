"""Ways to open a caption.

An opening takes a view of the scene and returns its sentence and the groups that it brought up, or None
where it does not fit. Adding a construction is adding a function to `OPENINGS`.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.sources.scenes.groups import Group
from pipeline.sources.scenes.language import Parts, article, listed, number
from pipeline.sources.scenes.relations import LEFT
from pipeline.sources.scenes.view import View

Said = tuple[Parts, list[Group]]
Opening = Callable[[View], "Said | None"]
_BACKGROUND = 0.25  # how often an opening that may mention the background does


def _on_background(view: View) -> Parts:
    if view.rng.random() > _BACKGROUND:
        return []
    return [f" {view.rng.choice(('on', 'against'))} {article(view.background)} {view.background} background"]


def _everything(view: View) -> Parts:
    return listed([[view.new(group)] for group in view.groups])


def _all(view: View) -> Said:
    """A red cup, a blue star and two kites on a grey background."""
    return [*_everything(view), *_on_background(view)], view.groups


def all_there(view: View) -> Said:
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
    return [view.new(a), f" {view.verb(a)} {relation} ", view.new(b)], [a, b]


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
                    way = view.rng.choice((" between ", f" {view.verb(a)} between "))
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
    _all, all_there, _all_pictured, _all_counted, _all_in_line, _sides, _pair, _pair_there, _pair_bare,
    _pair_turned, _pair_with, _pair_side_by_side, _between, _predicates, _both,
)  # fmt: skip
