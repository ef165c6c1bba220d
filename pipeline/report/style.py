"""Names, order and colours of the arms, and how numbers are written: the same in every table and picture.

The arms' colours are of the Okabe-Ito palette, which colour-blind readers can tell apart; the page gives
each a lighter twin on a dark background.
"""

from __future__ import annotations

from pipeline.tables.metrics import Estimate, Metric

ARMS = ("caption", "patch_aligned")
ARM_TITLES = {"caption": "Captions only", "patch_aligned": "Patch-aligned"}
ARM_COLOURS = {"caption": "#0072b2", "patch_aligned": "#d55e00"}
CEILING = "scene in words"
FEATURES = "encoder features"
"""What probes read from these is their ceiling."""
UNTRAINED = "untrained projector"
MINUS = "\u2212"


def floor_title(reference: str) -> str:
    """A reference's name for reading: ``no image: caption`` becomes ``no image (captions only)``."""
    name, _, arm = reference.partition(": ")
    return f"{name} ({ARM_TITLES.get(arm, arm).lower()})" if arm else name


def number(value: float, metric: Metric, signed: bool = False) -> str:
    """A metric's value as text: shares in per cent with one decimal, other numbers with three.

    Differences (``signed``) carry their sign; those of shares are percentage points.
    """
    scaled, decimals = (100 * value, 1) if metric.unit == "share" else (value, 3)
    text = f"{scaled:+.{decimals}f}" if signed else f"{scaled:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def unit(metric: Metric, signed: bool = False) -> str:
    """What stands behind the number in a sentence."""
    if metric.unit != "share":
        return ""
    return " points" if signed else "\u202f%"


def interval(estimate: Estimate, metric: Metric, signed: bool = False) -> str:
    """``low to high`` of the 95 % interval."""
    return f"{number(estimate.low, metric, signed)} to {number(estimate.high, metric, signed)}"
