"""Metrics: named once, and written so that they read back."""

import json

from pipeline.tables import metrics
from pipeline.tables.metrics import METRICS, Estimate


def test_keys_are_unique_and_groups_are_together():
    assert len(metrics.BY_KEY) == len(METRICS)
    groups = [metric.group for metric in METRICS]
    starts = [group for previous, group in zip([None, *groups], groups, strict=False) if group != previous]
    assert len(starts) == len(set(starts))


def test_units_and_directions_are_among_the_known():
    assert {metric.unit for metric in METRICS} <= {"share", "number"}
    assert {metric.direction for metric in METRICS} <= {-1, 0, 1}
    assert all(metric.doc for metric in METRICS)


def test_estimates_read_back_to_six_decimals(tmp_path):
    estimates = {"alignment.cosine": Estimate(1 / 3, 0.25, 0.5, 12)}
    metrics.write_estimates(tmp_path / "new" / "metrics.json", estimates)
    text = (tmp_path / "new" / "metrics.json").read_text()
    assert json.loads(text) == {"alignment.cosine": {"value": 0.333333, "low": 0.25, "high": 0.5, "n": 12}}
    read = metrics.read_estimates(tmp_path / "new" / "metrics.json")
    assert read == {"alignment.cosine": Estimate(0.333333, 0.25, 0.5, 12)}
