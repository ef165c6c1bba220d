"""The report: from what the stages left to one HTML page, ``metrics.json`` and two tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.params import ArmParams, Params
from pipeline.report import (
    ablations,
    answer,
    arms,
    audit,
    comparison,
    examples,
    exports,
    inputs,
    kinds,
    latex,
    lineage,
    outside,
    overlays,
    plots,
    projector,
    strips,
    study_figure,
    style,
)
from pipeline.report.comparison import Row
from pipeline.report.overview import beside_best, beside_best_over_seeds, of_examples, overview
from pipeline.tables import dataset
from pipeline.tables.metrics import BY_KEY

_SHARE = BY_KEY["decomposition.noun_and_attribute"]
"""How shares of pairs and their differences are written."""


def make(data: Path, params: Params) -> dict[Path, str]:
    """The report's files and their texts: nothing is written.

    ``data`` is the folder that the stages wrote to. The same inputs and parameters give the same texts:
    there is no clock, host or path of the machine in them.

    Raises:
        UserError: something that the report cannot do without is missing; the message names the stage.
    """
    found = inputs.read(data, params.arms)
    rows = _rows(found, params)
    benchmarks = outside.read(data, params.arms)
    outside_rows = outside.rows(data, benchmarks, params.evaluate.bootstrap, params.seed)
    folder = data / "report"
    return {
        folder / "index.html": _page(data, params, found, rows, outside_rows),
        folder / "results.md": exports.markdown([*rows, *outside_rows]),
        folder / "results.tex": latex.latex([*rows, *outside_rows]),
        data / "metrics.json": exports.metrics_json(found, rows, benchmarks),
    }


def _page(data: Path, params: Params, found: inputs.Inputs, rows: list[Row], outside_rows: list[Row]) -> str:
    root = params.source.path
    study = _study_rows(found.study) if found.study else []
    seeds = found.study["seeds"] if found.study else None
    done = {arm: len(of_arm) for arm, of_arm in (found.study or {}).get("seeds_done", {}).items()}
    decisive = study or rows
    looks = arms.looks(params.arms)
    # The study and the ablations may have run other arms; those that both have look alike.
    varied = ablations.of(found.ablations) if found.ablations else None
    elsewhere = [
        *(found.study["arms"] if found.study else []),
        *([varied.baseline, varied.arm] if varied else []),
    ]
    all_looks = arms.looks([*params.arms, *elsewhere])
    study_looks = {arm: all_looks[arm] for arm in found.study["arms"]} if found.study else {}
    environment = Environment(
        loader=PackageLoader("pipeline.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        looks=looks,
        study_looks=study_looks,
        all_looks=all_looks,
        strip=strips.strip,
        change=answer.change,
        svg=Markup,
    )
    environment.filters.update(
        number=style.number, interval=style.interval, told=_told, count=_count,
        sentence=lambda text: text.replace("_", " "), floor=style.floor_title, p_value=style.p_value,
        groupby_arm=lambda layers: [(arm, list(of)) for arm, of in groupby(layers, lambda one: one.arm)],
    )  # fmt: skip
    return environment.get_template("page.html.j2").render(
        settings_of_arms={arm: params.arm(arm) for arm in params.arms},
        answer=answer.answer(decisive, seeds, done, _judges(data / "true_words")),
        unfinished=done if any(count < (seeds or 0) for count in done.values()) else {},
        verdicts=answer.sorted_out(decisive),
        overview=overview(decisive),
        overview_looks=study_looks or looks,
        tested=TESTED.format(params.evaluate.bootstrap) + (HOLM if len(looks) > 2 else ""),
        study=found.study,
        study_groups=_groups(study),
        study_pretrained_groups=_groups(comparison.study_pretrained_rows(found.study) if found.study else []),
        study_plots=study_figure.study_curves(found.study.get("curves") or {}, all_looks)
        if found.study
        else [],
        groups=_groups(rows),
        kind_groups=_groups(kinds.rows(found.predictions, params.evaluate.bootstrap, params.seed)),
        outside_groups=_groups(outside_rows),
        pretrained_groups=_groups(
            comparison.pretrained_rows(
                found, _before_training(found.references), params.evaluate.bootstrap, params.seed
            )
        ),
        curves=plots.curves(found.curves, looks, _patch_measure(params)),
        phrases=examples.phrase_examples(data, root, found.maps, params.report.examples),
        answers=examples.answer_examples(data, root, found.predictions, looks),
        projector=projector.section(data, found, params, looks),
        share=_SHARE,
        ablations=varied,
        audit=audit.section(data, root, params.audit.sources),
        coverage_gradient=_gradient(overlays.COVERAGE_MAP),
        similarity_gradient=_gradient(overlays.SIMILARITY_MAP),
        stages=[_stage(name, summary) for name, summary in found.summaries.items()],
        settings=lineage.settings(params),
        origins=lineage.origins(data, params.arms),
        commands=lineage.commands(params.arms),
    )


def _rows(found: inputs.Inputs, params: Params) -> list[Row]:
    rows = comparison.final_rows(found, params.evaluate.bootstrap, params.seed)
    if len(found.arms) <= 2:
        return rows
    return beside_best(rows, of_examples(found), params.evaluate.bootstrap, params.seed)


def _study_rows(study: Mapping[str, Any]) -> list[Row]:
    rows = comparison.study_rows(study)
    return beside_best_over_seeds(rows, study.get("by_seed", {})) if len(study["arms"]) > 2 else rows


TESTED = (
    "p: two-sided, of no difference, by swapping the two arms’ values within examples: exact where answers"
    " are right or wrong, else {} times at random, so that it is never below one in as many."
)
HOLM = (
    " Under it p adjusted by Holm for all the arms that are compared in the metric: what is at most 0.05"
    " holds although several arms were looked at, though not although several metrics were."
)


def _before_training(references: inputs.References) -> inputs.References:
    """What the projector can be held against before fine-tuning: itself untrained, and what goes into it."""
    return {name: references[name] for name in (style.UNTRAINED, style.FEATURES) if name in references}


def _judges(true_words: Path) -> list[str]:
    """The annotation sources of the regions that projectors are judged by."""
    if not true_words.is_dir():
        return []
    return dataset.read(true_words, ["annotator"])["annotator"].unique().to_pylist()


def _groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    return [(title, list(members)) for title, members in groupby(rows, lambda row: row.metric.group)]


def _stage(name: str, summary: dict[str, Any]) -> dict[str, Any]:
    """A stage's counts, rejects most frequent first, with bars relative to the most frequent."""
    rejected = sorted(summary["rejected"].items(), key=lambda item: (-item[1], item[0]))
    widths = strips.bars([count for _, count in rejected])
    return {
        "name": name,
        "rows_in": summary["rows_in"],
        "rows_out": summary["rows_out"],
        "rejected": [(reason, n, width) for (reason, n), width in zip(rejected, widths, strict=True)],
        "rejected_total": sum(summary["rejected"].values()),
    }


def _gradient(name: str) -> str:
    """A colour map as a CSS gradient."""
    return ", ".join("#" + bytes(colour).hex() for colour in overlays.scale_colours(name, 9))


def _patch_measure(params: Params) -> str:
    """What the patch loss is measured in: arms with different losses share no unit."""
    losses = {arm.loss for arm in params.train.arms.values()} - {"none"}
    return "1 \u2212 cosine" if losses <= {"cosine"} else "each arm\u2019s own loss"


def _told(arm: ArmParams, first: bool) -> str:
    """What an arm does, to stand behind its name."""
    if arm.loss == "none":
        return "trains it on captions alone"
    also = "trains it on captions and" if first else "also"
    if not arm.captions:
        also = "trains it on patches alone and"
    special = [words for name, words in _SPECIAL.items() if getattr(arm, name) != _USUAL[name].default]
    return ", ".join([f"{also} {LOSSES[arm.loss]}", *(words.format(arm) for words in special)])


_USUAL = ArmParams.model_fields
_SPECIAL = {
    "words": "by its {0.words}",
    "apply_to": "each of a region\u2019s tokens by itself",
    "dimensions": "on a share of {0.dimensions:g} of the dimensions",
    "anneal": "less and less (annealed)",
    "finetune_beta": "in fine-tuning too (weight {0.finetune_beta:g})",
}
"""Settings of an arm that are told where they are not the usual ones."""
LOSSES = {
    "cosine": "pulls each patch towards the words for what it shows",
    "vocabulary": "asks that of all words those for what a patch shows are nearest to it",
    "contrastive": "asks that of the batch’s words those for what a patch shows are nearest to it",
    "logit_lens": "asks the language model’s last layer to name what a patch shows",
}


def _count(number: int) -> str:
    """A count with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")
