"""Stage ``audit``: how good are annotation sources? ``python -m pipeline.audit [--source NAME]``.

Writes ``data/audit/<source>/``: the dataset ``results`` (a row a phrase), ``metrics.json`` (the measures, for
``dvc metrics show``) and ``audit.json`` (the same with intervals, by noun and by size, and what was left
out).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline import params as parameters
from pipeline.audit import images
from pipeline.audit.audit import Audit, audit
from pipeline.console import run_command
from pipeline.errors import UserError
from pipeline.grounding import ANNOTATORS, open_annotator
from pipeline.params import Params
from pipeline.tables import dataset, digests, folders
from pipeline.tables.dataset import Provenance
from pipeline.tables.metrics import AUDIT_METRICS, Estimate, Estimates, rounded

DATA = Path("data")


def main() -> None:
    """Audit one source, or those of ``audit.sources``, by the settings of params.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", choices=tuple(ANNOTATORS))
    asked = parser.parse_args().source
    params = parameters.load()
    found = {}
    for name in [asked] if asked else params.audit.sources:
        found[name] = run(name, params, DATA)
    show(found)


def run(name: str, params: Params, data: Path) -> Audit:
    """Audit a source and write ``data/audit/<name>``, whole or not at all."""
    # Boxes are compared, so what would make masks of them is left out.
    annotator = open_annotator(params.ground.model_copy(update={"source": name, "masks": "none"}))
    chosen = images.choose(data, params.audit.splits, params.audit.images)
    shards = images.shards(data, chosen, params.source.path)
    found = audit(annotator, shards, params.audit.bootstrap, params.seed)
    made_from = Provenance(
        digests.of_value([params.audit.model_dump(mode="json", exclude={"sources"}), params.seed]),
        {
            # Where there was nothing to judge, the source was not run, and its model need not be there.
            "annotator": annotator.digest() if found.results.num_rows else "",
            **{one: digests.of_files(data / one, "part-*.arrow") for one in images.TABLES},
        },
    )
    write(found, data / "audit" / name, made_from)
    return found


def write(found: Audit, folder: Path, made_from: Provenance) -> None:
    """Write an audit's files to a folder that takes the place of an older one.

    Raises:
        UserError: they could not be written.
    """
    flat = {
        "images": found.images,
        "phrases": found.results.num_rows,
        **{key.partition(".")[2]: round(one.value, 6) for key, one in found.measures.overall.items()},
    }

    def build(partial: Path) -> None:
        dataset.write_part(partial / "results", 0, found.results, "audit", made_from)
        _write_json(partial / "metrics.json", flat)
        _write_json(partial / "audit.json", content(found))

    try:
        folders.publish(build, folder)
    except OSError as error:
        raise UserError(
            f"Could not write {folder}: {error.strerror or error}. Run the command again."
        ) from error


def content(found: Audit) -> dict[str, Any]:
    """``audit.json``: counts, ``overall`` and ``groups`` of estimates ``{value, low, high, n}``."""
    return {
        "images": found.images,
        "phrases": found.results.num_rows,
        "left_out": found.left_out,
        "rejected": found.rejected,
        "overall": _plain(found.measures.overall),
        "groups": {
            kind: {name: _plain(one) for name, one in groups.items()}
            for kind, groups in found.measures.groups.items()
        },
    }


def show(found: dict[str, Audit]) -> None:
    """The sources side by side in the terminal."""
    table = Table("", *found)
    table.add_row("images", *(f"{one.images:,}" for one in found.values()))
    table.add_row("phrases with true boxes", *(f"{one.results.num_rows:,}" for one in found.values()))
    for metric in AUDIT_METRICS:
        table.add_row(metric.title, *(_shown(one.measures.overall.get(metric.key)) for one in found.values()))
    for name, one in found.items():
        for reason, count in one.rejected.items():
            table.add_row(f"rejected: {reason}", *(f"{count:,}" if name == other else "" for other in found))
    console = Console()
    console.print(table)
    if not any(one.results.num_rows for one in found.values()):
        console.print(
            "No phrase of the images looked at has a box that people drew, so nothing could be judged:"
            " audit.splits chooses the images."
        )


def _shown(estimate: Estimate | None) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]" if estimate else ""


def _plain(estimates: Estimates) -> dict[str, dict[str, float]]:
    return {key: rounded(asdict(one)) for key, one in estimates.items()}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
