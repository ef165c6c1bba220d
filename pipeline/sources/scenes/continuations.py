"""Ways to go on with a caption: a sentence, or a clause, that brings up one more group.

A continuation takes a view of the scene, the groups brought up so far and the new one, and returns its
words, or None where it does not fit. Adding a construction is adding a function to `CONTINUATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.sources.scenes.groups import Group
from pipeline.sources.scenes.language import Parts
from pipeline.sources.scenes.view import View

Continuation = Callable[[View, list[Group], Group], "Parts | None"]


def _anchor(view: View, said: list[Group], group: Group) -> tuple[str, Group] | None:
    """A group that was brought up, and how the new one lies to it."""
    for anchor in view.rng.sample(said, len(said)):
        if relation := view.relation(group, anchor):
            return relation, anchor
    return None


def with_clause(view: View, said: list[Group], group: Group) -> Parts | None:
    """..., with a green kite above them."""
    if (relation := view.relation(group, *said)) is None:
        return None
    them = said[0].pronoun if len(said) == 1 else "them"
    return [view.rng.choice((", with ", ", and ")), view.new(group), f" {relation} {them}"]


def also(view: View, said: list[Group], group: Group) -> Parts:
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
    return [view.new(group), f" {view.verb(group)} {relation} ", view.known(anchor)]


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
