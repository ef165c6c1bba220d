"""What ablations found: read from the DVC experiments that hold them, for the report and to print."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from flows import PROJECT, settings
from pipeline import commit
from pipeline import params as parameters
from pipeline.errors import UserError
from pipeline.report import ablations as shown
from pipeline.report.comparison import Row
from pipeline.report.style import interval, number

METRICS = Path("data/metrics.json")
FOUND = Path("data/comparisons/ablations.json")
CHANGES_NOTHING = ("compute", "profile")
"""Settings that no result depends on."""


def kept(project: Path = PROJECT) -> dict[str, str]:
    """By name, the git references of the DVC experiments that vary the current commit."""
    head = _git(project, "rev-parse", "HEAD").strip()
    folder = f"refs/exps/{head[:2]}/{head[2:]}/"
    listed = _git(project, "for-each-ref", "--format=%(refname)", folder)
    return {ref.removeprefix(folder): ref for ref in listed.split()}


def same(ref: str, text: str, changes: Mapping[str, Any], project: Path = PROJECT) -> bool:
    """Whether an experiment was run with the settings of a ``params.yaml``'s text and ``changes`` to them."""
    wanted = settings.leaves(settings.tree(text)) | dict(changes)
    there = settings.leaves(settings.tree(_git(project, "show", f"{ref}:{parameters.PARAMS_FILE}")))
    return _telling(wanted) == _telling(there)


def gather(
    arm: str, baseline: str, ablations: Mapping[str, Mapping[str, Any]], text: str, project: Path = PROJECT
) -> dict[str, Any]:
    """What the report shows: the run that is varied, and each of ``ablations`` that is there.

    Args:
        arm: the arm that is varied.
        baseline: the arm that it is compared with, in each run with the one trained on the same data.
        ablations: by experiment's name, the settings that it changes.
        text: ``params.yaml``, as it is without them.
        project: the workspace, with the varied run in it.

    Raises:
        UserError: the workspace's metrics, or an experiment's, lack the arm.
    """
    there, base = kept(project), settings.leaves(settings.tree(text))
    runs = []
    for name, changes in ablations.items():
        if name in there and same(there[name], text, changes, project):
            metrics = json.loads(_git(project, "show", f"{there[name]}:{METRICS}"))
            before = {key: base.get(key) for key in changes}
            runs.append(
                {"name": name, "changes": dict(changes), "instead_of": before}
                | _of_arms(metrics, arm, baseline, name)
            )
    metrics = json.loads((project / METRICS).read_text(encoding="utf-8"))
    return {
        "command": "make ablations",
        "commit": commit.current(project),
        "profile": base.get("profile"),
        "arm": arm,
        "baseline": baseline,
        "base": _of_arms(metrics, arm, baseline, str(METRICS)),
        "runs": runs,
    }


def table(found: Mapping[str, Any]) -> Table:
    """Ablations to look at: each run's arm, and in brackets its difference from the baseline."""
    section = shown.of(found)
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("")
    for metric in section.metrics:
        made.add_column(f"{metric.group}: {metric.title}", justify="right", max_width=24)
    for group, runs in section.groups:
        made.add_row(f"[bold]{group}[/bold]")
        for run in runs:
            rows = [run.rows.get(metric.key) for metric in section.metrics]
            made.add_row(run.title, *(_cell(row, section.arm) if row else "" for row in rows))
    return made


def _cell(row: Row, arm: str) -> str:
    value = number(row.arms[arm].value, row.metric)
    if arm not in row.differences:
        return value
    apart = row.differences[arm].estimate
    return (
        f"{value}\n[dim]{number(apart.value, row.metric, True)} ({interval(apart, row.metric, True)})[/dim]"
    )


def _of_arms(metrics: Mapping[str, Any], arm: str, baseline: str, where: str) -> dict[str, Any]:
    arms = metrics.get("arms", {})
    if missing := [name for name in (baseline, arm) if name not in arms]:
        raise UserError(
            f"{where} has no results of {missing[0]}: it has those of {', '.join(arms) or 'none'}."
        )
    differences = metrics.get("differences", {}).get(arm, {})
    return {"arms": {name: arms[name] for name in (baseline, arm)}, "differences": differences}


def _telling(leaves: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in leaves.items() if key.partition(".")[0] not in CHANGES_NOTHING}


def _git(project: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"`git {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout
