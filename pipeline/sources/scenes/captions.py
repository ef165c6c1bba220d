"""Captions as people write them: an opening that brings up some of the things, then the others in turn.

Every sentence is true of the scene, and together they name every thing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from pipeline.sources.scenes.continuations import CONTINUATIONS, also, with_clause
from pipeline.sources.scenes.groups import gather
from pipeline.sources.scenes.language import Span, render
from pipeline.sources.scenes.openings import OPENINGS, all_there
from pipeline.sources.scenes.relations import Places
from pipeline.sources.scenes.view import View
from pipeline.sources.scenes.world import Scene

_CLAUSE = 0.5  # how often the first sentence takes in one more group
_BACKGROUND = 0.25  # how often a short caption ends with the background
_JOINTS = {" with ", ", with ", ", and "}  # a sentence that has one takes no clause


def caption(scene: Scene, places: Places, rng: Random) -> tuple[str, list[Span]]:
    """One caption of the scene.

    Returns:
        The text, and (start, end, objects) of every noun phrase that names objects.
    """
    groups = gather(scene.things)
    rng.shuffle(groups)
    view = View(groups, places, scene.background, rng)
    opening, said = _first(rng, OPENINGS, view) or all_there(view)
    sentences = [opening]
    rest = [group for group in groups if group not in said]
    while rest:
        group = rest.pop(0)
        takes_clause = len(sentences) == 1 and not _JOINTS & set(sentences[0])
        clause = with_clause(view, said, group) if takes_clause and rng.random() < _CLAUSE else None
        if clause:
            sentences[0] = [*sentences[0], *clause]
        else:
            sentences.append(_first(rng, CONTINUATIONS, view, said, group) or also(view, said, group))
        said = [*said, group]
    unsaid = not any(isinstance(part, str) and "background" in part for part in opening)
    if unsaid and len(sentences) < 3 and rng.random() < _BACKGROUND:
        sentences.append([f"the background is {scene.background}"])
    return render(sentences)


def _first(rng: Random, ways: Sequence[Callable], *args: Any) -> Any:
    """What the first of the ways that fits says, tried in random order."""
    for way in rng.sample(ways, len(ways)):
        if (said := way(*args)) is not None:
            return said
    return None
