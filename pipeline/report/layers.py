"""What is measured of the projector by layer of training: encoder, untrained, pre-trained, fine-tuned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from pipeline.report.inputs import Inputs
from pipeline.report.style import FEATURES, UNTRAINED
from pipeline.tables.metrics import METRICS, Estimate, Estimates, Metric

GROUPS = ("Alignment", "Compression", "Decomposition", "Read by a linear probe")
BEFORE, AFTER = "compression.before", "compression.after"


@dataclass(frozen=True)
class Layer:
    """A column: the vision tokens of a stage of training."""

    key: str
    """``features``, ``untrained``, ``pretrained: <arm>`` or ``finetuned: <arm>``."""
    title: str
    arm: str | None
    """None where it is the same for all arms."""


@dataclass(frozen=True)
class Row:
    """A metric at each layer that it was measured at, by the layer's key."""

    metric: Metric
    values: dict[str, Estimate]


def layers(arms: Iterable[str]) -> list[Layer]:
    """The columns, in the order in which a token comes by them."""
    found = [Layer("features", "Encoder’s features", None), Layer("untrained", "Untrained projector", None)]
    for arm in arms:
        found += [
            Layer(f"pretrained: {arm}", "Pre-trained", arm),
            Layer(f"finetuned: {arm}", "Fine-tuned", arm),
        ]
    return found


def estimates(found: Inputs) -> dict[str, Estimates]:
    """Estimates by layer. The entropy of the encoder's features stands where that of the tokens does."""
    by_layer = {
        "features": dict(found.references.get(FEATURES, {})),
        "untrained": found.references.get(UNTRAINED, {}),
        **{f"pretrained: {arm}": values for arm, values in found.pretrained.items()},
        **{f"finetuned: {arm}": values for arm, values in found.arms.items()},
    }
    entropies = [values[BEFORE] for values in by_layer.values() if BEFORE in values]
    if entropies:
        by_layer["features"][AFTER] = entropies[0]
    return by_layer


def rows(by_layer: Mapping[str, Estimates]) -> list[tuple[str, list[Row]]]:
    """Rows by group of metrics; metrics that no layer has are left out."""
    found = []
    for metric in METRICS:
        values = {layer: of[metric.key] for layer, of in by_layer.items() if metric.key in of}
        if metric.group in GROUPS and metric.key != BEFORE and values:
            found.append(Row(metric, values))
    return [(group, list(members)) for group, members in groupby(found, lambda row: row.metric.group)]
