"""How arms look: a title, a colour and a mark each, the same in every table and picture.

The first colours are of the Okabe-Ito palette, which colour-blind readers can tell apart; a dozen cannot all
be so far apart. Pages give each a lighter twin on a dark background. Marks differ as well, so that no arm is
told by its colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

COLOURS = (
    ("#0072b2", "#5cb8f0"),
    ("#d55e00", "#ff9a4d"),
    ("#009e73", "#4fd3aa"),
    ("#b8568f", "#e79cc6"),
    ("#b07d00", "#f0c14b"),
    ("#5b4fa2", "#a99df0"),
    ("#6b6b6b", "#b9b9b9"),
    ("#8a3b12", "#d9a184"),
    ("#1b8a99", "#6fd6e2"),
    ("#c2185b", "#ff8ab3"),
    ("#5c7a12", "#b5d65a"),
    ("#2b3a67", "#9fb3ff"),
)
"""On light paper, and on dark."""
MARKS = ("circle", "square", "triangle", "diamond", "down")
TITLES = {"caption": "Captions only", "patch_aligned": "Patch-aligned"}


@dataclass(frozen=True)
class Look:
    """How one arm looks."""

    title: str
    colour: str
    dark: str
    mark: str
    """One of `MARKS`."""
    css: str
    """Its class on a page, and the name of the variable that holds its colour."""


Looks = dict[str, Look]


def looks(arms: Iterable[str]) -> Looks:
    """Looks by arm, in the order given: the first is the one that the others are compared with.

    Colours and marks repeat after as many arms as there are; both together after 60.
    """
    return {
        arm: Look(title(arm), *COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)], f"arm-{place + 1}")
        for place, arm in enumerate(dict.fromkeys(arms))
    }


def title(arm: str) -> str:
    """An arm's name for reading."""
    words = arm.replace("_", " ")
    return TITLES.get(arm, words[:1].upper() + words[1:])
