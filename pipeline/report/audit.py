"""Annotation sources side by side: the audit's measures as a table and strips, the worst examples drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape
from PIL import Image

from pipeline.errors import UserError
from pipeline.report import canvas, drawing, lookup
from pipeline.report.canvas import Colour, data_uri
from pipeline.report.examples import rgb
from pipeline.report.figure import split_at
from pipeline.report.inputs import estimates
from pipeline.report.strips import WIDTH
from pipeline.report.style import number
from pipeline.tables import dataset, digests
from pipeline.tables.metrics import AUDIT_METRICS, BY_AUDIT_KEY, Estimate, Estimates, Metric

WORST = 4
"""Most examples of a source."""
BY_GROUP = "audit.recall"
"""The measure that is shown by noun and by size."""
# Of the Okabe-Ito palette and its like: what the two first arms do not wear.
COLOURS = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#a6761d", "#7f7f7f")
_PAD, _LANE = 6, 9


@dataclass(frozen=True)
class Source:
    """An audited source."""

    name: str
    colour: str
    images: int
    phrases: int
    overall: Estimates
    groups: dict[str, dict[str, Estimates]]
    left_out: dict[str, int]
    rejected: dict[str, int]


@dataclass(frozen=True)
class Group:
    """A noun or a size: recall of each source, and all of them on one scale."""

    name: str
    n: int
    recalls: dict[str, Estimate]
    strip: Markup


@dataclass(frozen=True)
class Example:
    """A phrase that a source got wrong."""

    phrase_id: str
    caption: tuple[str, str, str]
    """Before, in and after the phrase."""
    picture: str
    iou: float
    score: float


@dataclass(frozen=True)
class Section:
    """What the page shows of the audit."""

    sources: list[Source]
    rows: list[tuple[Metric, dict[str, Estimate]]]
    nouns: list[Group]
    sizes: list[Group]
    linked: int
    """Phrases whose true boxes the dataset links to them."""
    named: int
    """Phrases whose true boxes are those that their words name."""
    examples: dict[str, list[Example]]


def section(data: Path, root: Path, names: Sequence[str]) -> Section | None:
    """The sources of ``names`` that were audited, or None if there was nothing to judge.

    Raises:
        UserError: an audit is cut short, or not of the same run as the datasets.
    """
    folders = {name: data / "audit" / name for name in names}
    found = [
        _source(name, COLOURS[place % len(COLOURS)], folder / "audit.json")
        for place, (name, folder) in enumerate(folders.items())
        if (folder / "audit.json").exists()
    ]
    sources = [source for source in found if source.phrases]
    if not sources:
        return None
    truth = {name: one["audit.phrase_recall"].n for name, one in sources[0].groups["truth"].items()}
    return Section(
        sources=sources,
        rows=[
            (metric, {one.name: one.overall[metric.key] for one in sources if metric.key in one.overall})
            for metric in AUDIT_METRICS
        ],
        nouns=_groups(sources, "noun"),
        sizes=_groups(sources, "size"),
        linked=truth.get("linked", 0),
        named=truth.get("named", 0),
        examples={one.name: worst(data, root, folders[one.name] / "results", one) for one in sources},
    )


def worst(data: Path, root: Path, results: Path, source: Source) -> list[Example]:
    """Phrases whose best region misses, the surest of the least overlapping first, a noun and an image each.

    Drawn: the true boxes in white and black, the source's regions in its colour. A phrase without a region
    shows nothing and is left to the counts.
    """
    table = dataset.read(results)
    missed = table.select(["phrase_id", "image_id", "noun", "iou", "scores", "hit"]).to_pylist()
    missed = [row for row in missed if row["scores"] and not row["hit"]]
    missed.sort(key=lambda row: (row["iou"], -row["scores"][0], digests.of_bytes(row["phrase_id"].encode())))
    chosen: list[dict[str, Any]] = []
    for row in missed:
        if all(row["noun"] != one["noun"] and row["image_id"] != one["image_id"] for one in chosen):
            chosen.append(row)
        if len(chosen) == WORST:
            break
    ids = [row["phrase_id"] for row in chosen]
    full = lookup.by_id(results, "phrase_id", ids)
    phrases = lookup.phrases(data, ids)
    return [_example(full[name], phrases[name], root, rgb(source.colour)) for name in ids]


def draw(
    picture: Image.Image, true: Sequence[canvas.Box], found: Sequence[canvas.Box], colour: Colour
) -> Image.Image:
    """The picture with true boxes outlined in white and black, and regions in ``colour`` on top."""
    on = canvas.panel(picture)
    pixels = on.pixels
    for box in true:
        pixels = canvas.outline(pixels, canvas.inside_box(on, box), width=3)
    for box in found:
        pixels = canvas.outline(pixels, canvas.inside_box(on, box), colour, canvas.LIGHT, width=3)
    return Image.fromarray(pixels)


def _example(row: Mapping[str, Any], phrase: lookup.Phrase, root: Path, colour: Colour) -> Example:
    picture = drawing.picture_of(phrase.image, root)
    # Regions from the least sure on, so that the best one lies on top.
    drawn = draw(picture, row["true_boxes"], row["boxes"][::-1], colour)
    return Example(
        phrase_id=row["phrase_id"],
        caption=split_at(phrase.caption, *phrase.span),
        picture=data_uri(drawn),
        iou=row["iou"],
        score=row["scores"][0],
    )


def _source(name: str, colour: str, path: Path) -> Source:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Source(
            name=name,
            colour=colour,
            images=content["images"],
            phrases=content["phrases"],
            overall=estimates(content["overall"]),
            groups={
                kind: {group: estimates(one) for group, one in groups.items()}
                for kind, groups in content["groups"].items()
            },
            left_out=content["left_out"],
            rejected=content["rejected"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is no whole audit ({error!r}): run `dvc repro audit@{name}` to make it again."
        ) from error


def _groups(sources: Sequence[Source], kind: str) -> list[Group]:
    """Groups in the first source's order: the truth is the same for all of them."""
    groups = []
    for name in sources[0].groups.get(kind, {}):
        recalls = {
            one.name: one.groups[kind][name][BY_GROUP] for one in sources if name in one.groups.get(kind, {})
        }
        colours = {one.name: one.colour for one in sources}
        groups.append(Group(name, max(one.n for one in recalls.values()), recalls, strip(recalls, colours)))
    return groups


def strip(recalls: Mapping[str, Estimate], colours: Mapping[str, str]) -> Markup:
    """Shares with their intervals as an SVG element, a lane a source, from 0 to 100 %."""
    height = _LANE * len(recalls) + 6

    def x(value: float) -> float:
        return round(_PAD + min(max(value, 0.0), 1.0) * (WIDTH - 2 * _PAD), 1)

    parts = [f'<line class="axis" x1="{_PAD}" x2="{WIDTH - _PAD}" y1="{height - 2}" y2="{height - 2}"/>']
    for lane, (name, one) in enumerate(recalls.items()):
        y = 4 + _LANE * lane
        parts.append(
            f'<g style="color:{colours[name]}"><line x1="{x(one.low)}" x2="{x(one.high)}"'
            f' y1="{y}" y2="{y}"/><circle cx="{x(one.value)}" cy="{y}" r="3"/></g>'
        )
    metric = BY_AUDIT_KEY[BY_GROUP]
    label = "; ".join(f"{name} {number(one.value, metric)}" for name, one in recalls.items())
    return Markup(
        f'<svg class="strip" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + "</svg>"
    )
