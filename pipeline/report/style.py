"""How numbers and references are written: the same in every table and picture."""

from __future__ import annotations

from pipeline.report import arms
from pipeline.tables.metrics import Estimate, Metric

CEILING = "scene in words"
FEATURES = "encoder features"
"""What probes read from these is their ceiling."""
UNTRAINED = "untrained projector"
MINUS = "\u2212"


def floor_title(reference: str) -> str:
    """A reference's name for reading: ``no image: caption`` becomes ``no image (captions only)``."""
    name, _, arm = reference.partition(": ")
    return f"{name} ({arms.title(arm).lower()})" if arm else name


def number(value: float, metric: Metric, signed: bool = False) -> str:
    """A metric's value as text: shares in per cent with one decimal, other numbers with three.

    Differences (``signed``) carry their sign; those of shares are percentage points.
    """
    scaled, decimals = (100 * value, 1) if metric.unit == "share" else (value, 3)
    text = f"{scaled:+.{decimals}f}" if signed else f"{scaled:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def p_value(p: float) -> str:
    """A p with three decimals; one that would read as zero as ``<0.001``."""
    return f"{p:.3f}" if p >= 0.0005 else "<0.001"


def unit(metric: Metric, signed: bool = False) -> str:
    """What stands behind the number in a sentence."""
    if metric.unit != "share":
        return ""
    return " points" if signed else "\u202f%"


def interval(estimate: Estimate, metric: Metric, signed: bool = False) -> str:
    """``low to high`` of the 95 % interval."""
    if not estimate.has_interval:
        return "no interval"
    return f"{number(estimate.low, metric, signed)} to {number(estimate.high, metric, signed)}"
