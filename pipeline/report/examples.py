"""Examples worth looking at: phrases on their patches with the arms' maps, best and worst answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError
from pipeline.patches.geometry import Geometry
from pipeline.report import drawing, lookup, overlays
from pipeline.report.arms import Looks
from pipeline.report.canvas import Colour, data_uri
from pipeline.report.figure import split_at
from pipeline.report.plots import CROWD
from pipeline.tables import digests

RIGHT = 0.5
"""A score that counts as right when answers are sorted: those of most tasks are 0 or 1."""
TASKS = {
    "referring": "Referring expressions",
    "question": "Questions",
    "instruction": "Instructions",
    "caption": "Captions",
    "region": "Regions",
}


@dataclass(frozen=True)
class PhraseExample:
    """A phrase of the test split: pictures as data URIs."""

    phrase_id: str
    caption: tuple[str, str, str]
    """Before, in and after the phrase."""
    picture: str
    lit: str
    maps: dict[str, str]
    peak: dict[str, float]
    """Coverage of each arm's most similar patch: 1 when it lies wholly on the phrase."""
    limits: tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    """Answers to a task that turned out alike in kind: how many, and one to look at."""

    title: str
    count: int
    share: float
    example: dict[str, Any] | None


def phrase_examples(data: Path, root: Path, maps: Mapping[str, pa.Table], count: int) -> list[PhraseExample]:
    """Up to ``count`` phrases that all arms have a similarity map of, spread evenly over them.

    Raises:
        UserError: the arms' maps share no phrase.
    """
    ids = [table["phrase_id"].to_pylist() for table in maps.values()]
    shared = set(ids[0]).intersection(*ids[1:])
    ordered = [name for name in ids[0] if name in shared]
    if not ordered:
        raise UserError(
            "The arms' similarity_maps share no phrase: run `dvc repro evaluate` for all of them."
        )
    steps = np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int))
    chosen = [ordered[step] for step in steps]
    rows = {arm: _by_id(table, "phrase_id", chosen) for arm, table in maps.items()}
    geometry = Geometry.from_encoder(data / "models" / "encoder")
    found = lookup.phrases(data, chosen)
    return [
        _phrase_example(found[name], {arm: rows[arm][name] for arm in maps}, root, geometry)
        for name in chosen
    ]


def _phrase_example(
    phrase: lookup.Phrase, maps: Mapping[str, Mapping[str, Any]], root: Path, geometry: Geometry
) -> PhraseExample:
    picture = drawing.picture_of(phrase.image, root)
    edges = overlays.patch_edges(geometry, *picture.size)
    grids = drawing.similarity_grids(maps)
    limits = overlays.shared_limits(list(grids.values()))
    any_map = next(iter(maps.values()))
    coverage = np.asarray(any_map["coverage"], dtype=np.float64)
    lit = coverage.reshape(any_map["grid"])
    return PhraseExample(
        phrase_id=phrase.phrase_id,
        caption=split_at(phrase.caption, *phrase.span),
        picture=data_uri(overlays.coverage_panel(picture, edges, np.zeros_like(lit), phrase.regions)),
        lit=data_uri(overlays.coverage_panel(picture, edges, lit, phrase.regions)),
        maps={
            arm: data_uri(overlays.similarity_panel(picture, edges, grid, limits, phrase.regions))
            for arm, grid in grids.items()
        },
        peak={arm: float(coverage[int(np.argmax(grid))]) for arm, grid in grids.items()},
        limits=limits,
    )


def answer_examples(
    data: Path, root: Path, predictions: Mapping[str, pa.Table], looks: Looks
) -> dict[str, list[Outcome]]:
    """By task, the four ways in which the arms' answers can turn out, with counts and an example of each.

    Of each kind the clearest example is taken: the one whose scores lie furthest into the corner (all
    high, all low, or far apart); ties fall by the digest of the example's id.
    """
    answers = {arm: {row["conversation_id"]: row for row in predictions[arm].to_pylist()} for arm in looks}
    baseline = next(iter(answers.values()))
    shared = [name for name in baseline if all(name in of_arm for of_arm in answers.values())]
    chosen: dict[str, list[tuple[str, int, float, str | None]]] = {}
    for task in TASKS:
        of_task = [name for name in shared if baseline[name]["task"] == task]
        if of_task:
            scores = {name: [float(of_arm[name]["score"]) for of_arm in answers.values()] for name in of_task}
            chosen[task] = _by_outcome(scores, [look.title for look in looks.values()])
    wanted = {name for kinds in chosen.values() for *_, name in kinds if name}
    images = lookup.by_id(data / "images", "image_id", {baseline[name]["image_id"] for name in wanted})
    return {
        TASKS[task]: [
            Outcome(
                title,
                count,
                share,
                _answer_example({arm: of_arm[name] for arm, of_arm in answers.items()}, images, root, looks)
                if name
                else None,
            )
            for title, count, share, name in kinds
        ]
        for task, kinds in chosen.items()
    }


def _by_outcome(
    scores: Mapping[str, Sequence[float]], titles: Sequence[str]
) -> list[tuple[str, int, float, str | None]]:
    """Title, count, share and the clearest example of each outcome; the baseline's score comes first."""
    turned_out = {name: _outcome(of_arms) for name, of_arms in scores.items()}
    found = []
    for outcome, title in _outcomes(titles).items():
        clear = {name: how for name, (kind, how) in turned_out.items() if kind == outcome}

        def order(name: str, clear: Mapping[str, float] = clear) -> tuple[float, str]:
            return -clear[name], digests.of_bytes(name.encode())

        found.append((title, len(clear), len(clear) / len(scores), min(clear, key=order, default=None)))
    return found


def _outcome(scores: Sequence[float]) -> tuple[tuple[bool, bool], float]:
    """(baseline right, the others right), and how clearly; others that differ count as not like the baseline.

    So every example has one outcome: all arms are right, all are wrong, or the baseline is wrong where
    another is right, or right where another is wrong.
    """
    baseline, *others = scores
    if min(scores) >= RIGHT:
        return (True, True), sum(scores)
    if max(scores) < RIGHT:
        return (False, False), -sum(scores)
    if baseline < RIGHT:
        return (False, True), max(others) - baseline
    return (True, False), baseline - min(others)


def _outcomes(titles: Sequence[str]) -> dict[tuple[bool, bool], str]:
    """What the outcomes are called; ``titles`` are the arms'."""
    baseline, *others = (title.lower().replace("captions only", "captions-only") for title in titles)
    if not others:
        return {(True, True): "Right", (False, False): "Wrong"}
    two = len(others) == 1
    return {
        (True, True): "Both right" if two else "All right",
        (False, True): f"Only {others[0]} right" if two else f"Right, but not with {baseline}",
        (True, False): f"Only {baseline} right" if two else f"Wrong in an arm, but not with {baseline}",
        (False, False): "Both wrong" if two else "All wrong",
    }


def _answer_example(
    answers: Mapping[str, Mapping[str, Any]],
    images: Mapping[str, Mapping[str, Any]],
    root: Path,
    looks: Looks,
) -> dict[str, Any]:
    any_answer = next(iter(answers.values()))
    picture = drawing.picture_of(images[any_answer["image_id"]], root)
    boxes = [
        (answer["predicted_box"], rgb(looks[arm].colour))
        for arm, answer in answers.items()
        if answer["predicted_box"]
    ]
    return {
        "id": any_answer["conversation_id"],
        "kind": any_answer["kind"],
        "prompt": any_answer["prompt"],
        "reference": any_answer["answer"],
        "boxed": bool(any_answer["box"]),
        "picture": data_uri(overlays.box_panel(picture, boxes, any_answer["box"])),
        "said": _said(answers),
    }


def _said(answers: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the arms answered; of more than `CROWD`, those that say the same stand together."""
    found: dict[Any, dict[str, Any]] = {}
    for arm, answer in answers.items():
        unread = answer["task"] == "referring" and bool(answer["box"]) and not answer["predicted_box"]
        same = (answer["prediction"], float(answer["score"]), unread)
        key = same if len(answers) > CROWD else arm
        found.setdefault(key, dict(zip(("text", "score", "unread"), same, strict=True)) | {"arms": []})
        found[key]["arms"].append(arm)
    return list(found.values())


def _by_id(table: pa.Table, column: str, values: Sequence[str]) -> dict[str, dict[str, Any]]:
    wanted = pa.compute.is_in(table[column], value_set=pa.array(values, type=pa.string()))
    return {row[column]: row for row in table.filter(wanted).to_pylist()}


def rgb(colour: str) -> Colour:
    """``#rrggbb`` as three numbers."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue
