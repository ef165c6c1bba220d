"""What a run leaves in the Prefect UI: results and their change, tables, pictures, the report's address."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect import get_run_logger
from prefect.artifacts import create_image_artifact, create_link_artifact, create_markdown_artifact

from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.report.commands import draw_overlays
from pipeline.tables import dataset
from pipeline.tables.metrics import METRICS, Metric

METRICS_FILE = Path("data/metrics.json")
REPORT = Path("data/report/index.html")
FILES_VARIABLE = "PATCHWORDS_FILES_URL"  # where `make serve` shows the workspace's report
OVERLAYS = 4

Results = Mapping[str, Any]


def read(file: Path = METRICS_FILE) -> Results:
    """The metrics of the last run; empty if there are none or they cannot be read."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def publish(stages: Collection[str], before: Results, settings: Params) -> None:
    """Create the artifacts of a run that has ended well and brought the stages up to date."""
    create_markdown_artifact(tables(Path()), "tables", "Datasets with their rows and digests")
    if "patch_words" in stages:
        _show_overlays(settings)
    if "report" in stages:
        create_markdown_artifact(results_table(read(), before), "results", "The arms, and the change")
        _link_report()


def results_table(now: Results, before: Results) -> str:
    """Every arm's metrics, beside their change since ``before`` in the metric's own unit, as Markdown."""
    arms = list(now.get("arms", {}))
    titles = [title for arm in arms for title in (arm.replace("_", "-"), "change")]
    lines = [f"| test split | {' | '.join(titles)} |", f"| --- |{' ---: |' * len(titles)}"]
    for metric in METRICS:
        cells = []
        for arm in arms:
            value = _value(now, arm, metric)
            cells += [_shown(value, metric), _change(value, _value(before, arm, metric), metric)]
        if any(cells):
            lines.append(f"| {metric.group}: {metric.title} | {' | '.join(cells)} |")
    changed = (
        "The change is against the run before." if before else "There was no run before to compare with."
    )
    return "\n".join([*lines, "", changed])


def tables(project: Path) -> str:
    """Rows and DVC's digest of every Arrow dataset that a stage has written, as Markdown."""
    lines = ["| dataset | stage | rows | digest |", "| --- | --- | ---: | --- |"]
    for stage, path, digest in outputs(project):
        folder = project / path
        if list(folder.glob("*.arrow")):
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
        create_link_artifact(f"{place}/{REPORT.name}", "The report", key="report")
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


def _value(results: Results, arm: str, metric: Metric) -> float | None:
    estimate = results.get("arms", {}).get(arm, {}).get(metric.key)
    return None if estimate is None else float(estimate["value"])


def _shown(value: float | None, metric: Metric) -> str:
    if value is None:
        return ""
    return f"{100 * value:.1f} %" if metric.unit == "share" else f"{value:.3f}"


def _change(now: float | None, before: float | None, metric: Metric) -> str:
    if now is None or before is None:
        return ""
    scale, places = (100, 1) if metric.unit == "share" else (1, 3)
    return f"{scale * (now - before):+.{places}f}"
