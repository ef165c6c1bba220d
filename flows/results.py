"""What a run leaves in the Prefect UI: results and their change, tables, pictures, the report's address."""

from __future__ import annotations

import base64
import json
import os
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from prefect import get_run_logger
from prefect.artifacts import create_image_artifact, create_link_artifact, create_markdown_artifact

from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.report.commands import draw_overlays
from pipeline.tables import dataset
from pipeline.tables.metrics import AUDIT_METRICS, METRICS, Metric

REPORT = Path("data/report/index.html")
FILES_VARIABLE = "PATCHWORDS_FILES_URL"  # where `make serve` shows the workspace's report
OVERLAYS = 4

Estimates = Mapping[str, Mapping[str, float]]
"""Estimates by metric key."""


@dataclass(frozen=True)
class Results:
    """What the workspace has measured so far; empty where nothing was, or it cannot be read."""

    arms: Mapping[str, Estimates] = field(default_factory=dict)
    audits: Mapping[str, Estimates] = field(default_factory=dict)
    """By annotation source."""
    study: Mapping[str, Estimates] = field(default_factory=dict)
    """The arms, over seeds."""


def read(data: Path = Path("data")) -> Results:
    """The results in the folder of the datasets."""
    audits = {file.parent.name: _json(file).get("overall", {}) for file in data.glob("audit/*/audit.json")}
    arms, study = (_json(data / name).get("arms", {}) for name in ("metrics.json", "comparisons/study.json"))
    return Results(arms, dict(sorted(audits.items())), study)


def publish(stages: Collection[str], before: Results, settings: Params) -> None:
    """Create the artifacts of a run that has ended well and brought the stages up to date."""
    create_markdown_artifact(tables(Path(), stages), "tables", "Datasets with their rows and digests")
    now = read()
    if "patch_words" in stages:
        _show_overlays(settings)
    if any(stage.startswith("audit@") for stage in stages):
        text = comparison(now.audits, before.audits, AUDIT_METRICS, "phrases of the images looked at")
        create_markdown_artifact(text, "audit", "Annotation sources against human boxes, and the change")
    if "report" in stages:
        text = comparison(now.arms, before.arms, METRICS, "test split")
        create_markdown_artifact(text, "results", "The arms, and the change")
        _link_report()


def publish_study(before: Results) -> None:
    """Create the artifact of a study."""
    text = comparison(read().study, before.study, METRICS, "mean over seeds")
    create_markdown_artifact(text, "study", "The arms over several seeds, and the change")


def comparison(
    now: Mapping[str, Estimates], before: Mapping[str, Estimates], metrics: Sequence[Metric], corner: str
) -> str:
    """Every column's metrics, each with its change since ``before`` in the metric's own unit, as Markdown."""
    titles = [name.replace("_", "-") for name in now]
    lines = [f"| {corner} | {' | '.join(titles)} |", f"| --- |{' ---: |' * len(titles)}"]
    for metric in metrics:
        values = [(_value(now, name, metric), _value(before, name, metric)) for name in now]
        if any(value is not None for value, _ in values):
            cells = [_shown(*pair, metric) for pair in values]
            lines.append(f"| {metric.group}: {metric.title} | {' | '.join(cells)} |")
    changed = (
        "In brackets: the change against the run before."
        if before
        else "There was no run before to compare with."
    )
    return "\n".join([*lines, "", changed])


def tables(project: Path, stages: Collection[str]) -> str:
    """Rows and DVC's digest of every Arrow dataset of the stages, as Markdown.

    Those of other stages may lie there from other settings.
    """
    lines = ["| dataset | stage | rows | digest |", "| --- | --- | ---: | --- |"]
    for stage, path, digest in outputs(project):
        folder = project / path
        if stage in stages and list(folder.glob("*.arrow")):
            try:
                rows = f"{dataset.count_rows(folder):,}"
            except UserError as error:
                rows = str(error)
            lines.append(f"| {path} | {stage} | {rows} | `{digest}` |")
    return "\n".join(lines)


def outputs(project: Path) -> Iterator[tuple[str, str, str]]:
    """Stage, path and digest of everything that ``dvc.lock`` lists as a stage's output."""
    lock = project / "dvc.lock"
    if lock.exists():
        for stage, entry in (yaml.safe_load(lock.read_text(encoding="utf-8")).get("stages") or {}).items():
            for out in entry.get("outs", []):
                yield stage, out["path"], out.get("md5", "")


def _link_report() -> None:
    place = os.environ.get(FILES_VARIABLE)
    if place:
        # The address is one of that machine's loopback; a run handed over was made on another.
        where = f"Opens on {platform.node()}, where this run was made, while `make serve` runs there."
        create_link_artifact(f"{place}/{REPORT.name}", "The report", key="report", description=where)
    else:
        create_markdown_artifact(f"The report: `{REPORT.resolve()}`", "report")


def _show_overlays(settings: Params) -> None:
    try:
        files = draw_overlays(Path("data"), settings.source.path, Path(".work/overlays"), OVERLAYS)
    except UserError as error:
        get_run_logger().warning("No overlays: %s", error)
        return
    for number, file in enumerate(files, 1):
        encoded = base64.b64encode(file.read_bytes()).decode("ascii")
        create_image_artifact(f"data:image/png;base64,{encoded}", f"overlay-{number}", file.stem)


def _json(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _value(results: Mapping[str, Estimates], name: str, metric: Metric) -> float | None:
    estimate = results.get(name, {}).get(metric.key)
    return None if estimate is None else float(estimate["value"])


def _shown(now: float | None, before: float | None, metric: Metric) -> str:
    if now is None:
        return ""
    scale, places, unit = (100, 1, " %") if metric.unit == "share" else (1, 3, "")
    change = "" if before is None else f" ({scale * (now - before):+.{places}f})"
    return f"{scale * now:.{places}f}{unit}{change}"
