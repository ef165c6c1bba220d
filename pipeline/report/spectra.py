"""Plots of the projector: eigenvalues of an image's tokens, and true words found by words picked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline.report.arms import Look, Looks
from pipeline.report.plots import CROWD, LONE, MARKERS, MUTED, Plot, chart

STAGES = {"pretrained": "Pre-trained", "finetuned": "Fine-tuned"}
ROLES = {"nouns": "nouns", "attributes": "attributes"}
SMALLEST = 1e-5
"""Eigenvalues below this share are rounding; the axis ends there."""


def spectra(
    curves: Mapping[str, Mapping[str, Any]], untrained: Mapping[str, Any], looks: Looks
) -> list[Plot]:
    """Mean eigenvalues by rank, a plot for each stage of training.

    ``curves``: of each arm what ``curves.json`` holds; ``untrained`` the same of the untrained projector.
    """
    plots = []
    for stage, title in STAGES.items():
        mine = {arm: found[stage]["spectrum"] for arm, found in curves.items() if stage in found}
        if not mine:
            continue

        def paint(axes: Axes, mine: Mapping[str, Any] = mine) -> None:
            before = np.asarray(next(iter(mine.values()))["before"])
            _spectrum(axes, before, LONE, "-")
            if untrained:
                _spectrum(axes, np.asarray(untrained["untrained"]["spectrum"]["after"]), MUTED, ":")
            for arm, found in mine.items():
                _spectrum(axes, np.asarray(found["after"]), looks[arm].colour, "-", looks[arm])
            axes.set_yscale("log")
            axes.set_ylim(bottom=SMALLEST)
            axes.set_xscale("log")

        label = f"Eigenvalues: {title.lower()}"
        plots.append(Plot(label, chart(paint, label, "rank", "share", f"spectrum.{stage}", looks)))
    return plots


def _spectrum(axes: Axes, values: np.ndarray, colour: str, style: str, look: Look | None = None) -> None:
    rank = np.arange(1, len(values) + 1)
    shown = values >= SMALLEST
    # Marks at powers of two: evenly along a logarithmic axis.
    at = [place for place in (2**k - 1 for k in range(20)) if place < int(shown.sum())]
    axes.plot(
        rank[shown], values[shown], style, color=colour, linewidth=1.6, markersize=4,
        marker=MARKERS[look.mark] if look else None, markevery=at,
    )  # fmt: skip


def recalls(curves: Mapping[str, Mapping[str, Any]], looks: Looks) -> list[Plot]:
    """Per cent of true words found by K, a plot for each role and stage of training.

    Lines: matching pursuit; dashed, where arms are few: the K nearest words; dotted: K words at random. Bands
    are 95 % intervals.
    """
    plots = []
    for stage, title in STAGES.items():
        for role, name in ROLES.items():
            mine = {
                arm: found[stage]["recall"][role]
                for arm, found in curves.items()
                if role in found.get(stage, {}).get("recall", {})
            }
            if not mine:
                continue

            def paint(axes: Axes, mine: Mapping[str, Any] = mine) -> None:
                chance = 100 * np.asarray(next(iter(mine.values()))["chance"])
                axes.plot(np.arange(1, len(chance) + 1), chance, ":", color=MUTED, linewidth=1.6)
                for arm, found in mine.items():
                    if len(looks) <= CROWD:
                        _recall(axes, found["nearest"], looks[arm], "--")
                    _recall(axes, found["pursuit"], looks[arm], "-")
                axes.set_ylim(0, 100)

            label = f"{name.capitalize()} found: {title.lower()}"
            salt = f"recall.{stage}.{role}"
            plots.append(Plot(label, chart(paint, label, "words picked, K", "per cent", salt, looks)))
    return plots


def _recall(axes: Axes, at_k: Sequence[Mapping[str, float]], look: Look, style: str) -> None:
    k = np.arange(1, len(at_k) + 1)
    value, low, high = (100 * np.array([one[name] for one in at_k]) for name in ("value", "low", "high"))
    if style == "-":
        axes.fill_between(k, low, high, color=look.colour, alpha=0.18, linewidth=0)
    axes.plot(
        k, value, style, color=look.colour, linewidth=1.6 if style == "-" else 1.1,
        marker=MARKERS[look.mark] if style == "-" else None, markersize=3.5,
    )  # fmt: skip
