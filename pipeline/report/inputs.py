"""What the stages left for the report: measures, answers, similarity maps, curves, counts.

Of each arm, ``data/evaluation/<arm>/``:

- ``metrics.json``: estimates after fine-tuning; ``pretrained.json``: before it (optional);
  ``no_image.json``: of the model without its image (optional); ``unmeasured.json``: the reasons why metrics
  were not measured (optional);
- datasets ``predictions`` and ``similarity_maps``, and ``measures`` and ``measures_pretrained`` (optional).

``data/evaluation/references/metrics.json``: ``{reference: {metric key: estimate}}``: floors and ceiling.
``data/curves/<run>.csv``: ``step`` and measured columns. ``data/summaries/<stage>.json``: rows in, out and
rejected. ``data/comparisons/``: ``study.json``, the study over seeds, and ``ablations.json`` (both optional).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from pipeline.errors import UserError
from pipeline.tables import dataset
from pipeline.tables.metrics import Estimate, Estimates

References = dict[str, Estimates]
STAGES = ("ingest", "parse", "ground", "patch_words")


@dataclass(frozen=True)
class Inputs:
    """Everything that the report shows, read once. Arms stand in one order, the baseline first."""

    arms: dict[str, Estimates]
    pretrained: dict[str, Estimates]
    references: References
    measures: dict[str, pa.Table]
    measures_pretrained: dict[str, pa.Table]
    predictions: dict[str, pa.Table]
    maps: dict[str, pa.Table]
    curves: dict[str, pa.Table]
    summaries: dict[str, dict[str, Any]]
    unmeasured: dict[str, str]
    """By metric, why it was not measured."""
    study: dict[str, Any] | None
    ablations: dict[str, Any] | None


def read(data: Path, arms: Sequence[str]) -> Inputs:
    """Read the inputs of some arms.

    Raises:
        UserError: something that the report cannot do without is missing or cut short; the message names
            the stage that makes it.
    """
    evaluation = data / "evaluation"
    estimates = {arm: _estimates(evaluation / arm / "metrics.json", f"evaluate@{arm}") for arm in arms}
    references = {
        name: _as_estimates(values, evaluation / "references" / "metrics.json", "references")
        for name, values in _json(evaluation / "references" / "metrics.json", "references").items()
    }
    for arm in arms:
        blind = evaluation / arm / "no_image.json"
        if blind.exists():
            references[f"no image: {arm}"] = _estimates(blind, f"evaluate@{arm}")
    pretrained = {arm: evaluation / arm / "pretrained.json" for arm in arms}
    runs = [f"{kind}-{arm}" for kind in ("pretrain", "finetune") for arm in arms]
    study, ablations = (data / "comparisons" / name for name in ("study.json", "ablations.json"))
    return Inputs(
        arms=estimates,
        pretrained={
            arm: _estimates(path, f"evaluate@{arm}") for arm, path in pretrained.items() if path.exists()
        },
        references=references,
        measures=_optional(evaluation, arms, "measures"),
        measures_pretrained=_optional(evaluation, arms, "measures_pretrained"),
        predictions={arm: _dataset(evaluation / arm / "predictions", f"evaluate@{arm}") for arm in arms},
        maps={arm: _dataset(evaluation / arm / "similarity_maps", f"evaluate@{arm}") for arm in arms},
        curves={
            run: _curve(path)
            for run in ("encoder", "language_model", *runs)
            if (path := data / "curves" / f"{run}.csv").exists()
        },
        summaries={
            stage: _json(path, stage)
            for stage in STAGES
            if (path := data / "summaries" / f"{stage}.json").exists()
        },
        unmeasured={
            key: reason
            for arm in arms
            if (path := evaluation / arm / "unmeasured.json").exists()
            for key, reason in _json(path, f"evaluate@{arm}").items()
        },
        study=_json(study, "make study") if study.exists() else None,
        ablations=_json(ablations, "make ablations") if ablations.exists() else None,
    )


def estimate(value: dict[str, Any]) -> Estimate:
    """An estimate from its JSON form; edges that are null are not known."""
    low, high = (nan if value[edge] is None else value[edge] for edge in ("low", "high"))
    return Estimate(value["value"], low, high, value["n"])


def estimates(values: Mapping[str, Any]) -> Estimates:
    """Estimates from their JSON form, by metric."""
    return {key: estimate(value) for key, value in values.items()}


def _estimates(path: Path, stage: str) -> Estimates:
    return _as_estimates(_json(path, stage), path, stage)


def _as_estimates(values: Any, path: Path, stage: str) -> Estimates:
    try:
        return estimates(values)
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} does not hold {{metric: {{value, low, high, n}}}}: run {_command(stage)} again."
        ) from error


def _json(path: Path, stage: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no {path}: run {_command(stage)} to make it.") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path} is not whole JSON ({error}): run {_command(stage)} to make it again."
        ) from error


def _dataset(folder: Path, stage: str) -> pa.Table:
    if not folder.is_dir():
        raise UserError(f"There is no dataset at {folder}: run {_command(stage)} to make it.")
    return dataset.read(folder)


def _optional(evaluation: Path, arms: Sequence[str], name: str) -> dict[str, pa.Table]:
    """A dataset of all arms; nothing where one lacks it."""
    folders = {arm: evaluation / arm / name for arm in arms}
    whole = all(folder.is_dir() for folder in folders.values())
    return {arm: dataset.read(folder) for arm, folder in folders.items()} if whole else {}


def _curve(path: Path) -> pa.Table:
    try:
        table = pyarrow.csv.read_csv(path)
    except pa.ArrowInvalid as error:
        raise UserError(
            f"{path} is not a whole CSV file ({error}): delete it and run `dvc repro` to make it again."
        ) from error
    if "step" not in table.column_names:
        raise UserError(f"{path} has no column `step`, only {table.column_names}: run `dvc repro` again.")
    return table


def _command(stage: str) -> str:
    return f"`{stage}`" if stage.startswith("make ") else f"`dvc repro {stage}`"
