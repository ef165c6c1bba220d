"""What the tasks' metrics are means of: one value an example, from a ``predictions`` table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.evaluation import caption_scores, captioning, hallucination, referring
from pipeline.evaluation.caption_scores import JavaScorers, Unmeasured
from pipeline.evaluation.regions import Measures
from pipeline.evaluation.statistics import estimate, per_example
from pipeline.evaluation.world import World
from pipeline.params import EvaluateParams
from pipeline.tables.metrics import Estimates

Score = Callable[[], np.ndarray]


@dataclass(frozen=True)
class TaskMeasures:
    """Values of each metric, and why a metric has none."""

    values: Measures = field(default_factory=dict)
    """Metric -> (names of the examples, a value each)."""
    unmeasured: dict[str, str] = field(default_factory=dict)
    """Metric -> the reason, in words."""

    def estimates(self, settings: EvaluateParams, seed: int) -> Estimates:
        """Means with their intervals."""
        found = {key: values for key, (_, values) in self.values.items()}
        return {key: estimate(values, settings.bootstrap, seed) for key, values in found.items()}

    def add(self, key: str, examples: Sequence[str], score: Score) -> None:
        """Keep what ``score`` gives, or the reason why it gives nothing."""
        try:
            self.values[key] = (list(examples), score())
        except Unmeasured as reason:
            self.unmeasured[key] = str(reason)


def measure(predictions: pa.Table, world: World, java: JavaScorers | None = None) -> TaskMeasures:
    """Every metric of the tasks that a ``predictions`` table has; METEOR and SPICE if ``java`` is given."""
    found = TaskMeasures()
    by_task: dict[str, list[dict]] = {}
    for row in predictions.to_pylist():
        by_task.setdefault(row["task"], []).append(row)
    for task, rows in by_task.items():
        names = [row["conversation_id"] for row in rows]
        scores = np.array([row["score"] for row in rows])
        if task == "caption":
            _captions(found, names, rows, world, java)
            if world.lexicon() is not None:
                found.values["captioning.objects"] = (names, scores)
        elif task == "referring":
            boxes = [row["predicted_box"] for row in rows]
            true = np.array([row["box"] for row in rows], np.float64)
            found.values["referring.accuracy"] = (names, scores)
            found.values["referring.miou"] = (names, referring.box_scores(boxes, true).iou)
            found.values["referring.unread"] = (names, referring.unparsable(boxes))
        else:
            found.values[f"{task}.accuracy"] = (names, scores)
    return found


def _captions(
    found: TaskMeasures, names: list[str], rows: list[dict], world: World, java: JavaScorers | None
) -> None:
    said = [row["prediction"] for row in rows]
    true = [world.captions[row["image_id"]] for row in rows]
    found.add("captioning.cider", names, lambda: cider(said, true))
    found.add("captioning.bleu4", names, lambda: caption_scores.bleu4(said, true))
    found.add("captioning.rouge_l", names, lambda: caption_scores.rouge_l(said, true))
    if java is not None:
        found.add("captioning.meteor", names, lambda: java.meteor(said, true))
        found.add("captioning.spice", names, lambda: java.spice(said, true))
    if world.labels:
        objects = [[row["label"] for row in world.objects[row["image_id"]]] for row in rows]
        kinds = hallucination.kinds_of(world.labels)
        counts = hallucination.chair_counts(said, true, objects, kinds)
        found.add("captioning.chair_i", names, lambda: mentions_hallucinated(counts))
        found.values["captioning.chair_s"] = (names, (counts[:, 0] > 0).astype(np.float64))
    else:
        for key in ("captioning.chair_i", "captioning.chair_s"):
            found.unmeasured[key] = "not measured: the dataset has no objects"


def cider(said: Sequence[str], true: Sequence[Sequence[str]]) -> np.ndarray:
    """`captioning.cider`.

    Raises:
        Unmeasured: there is one image, which leaves every n-gram without a weight.
    """
    if len(said) < 2:
        raise Unmeasured("not measured: CIDEr weights n-grams by how few images have them: it needs two")
    return captioning.cider(said, true)


def mentions_hallucinated(counts: np.ndarray) -> np.ndarray:
    """CHAIRi of `hallucination.chair_counts`: a value a caption, whose mean is the share of all mentions.

    Raises:
        Unmeasured: no caption mentions an object.
    """
    if not counts[:, 1].any():
        raise Unmeasured("not measured: no caption mentions an object")
    return per_example(counts, lambda sums: sums[:, 0] / np.maximum(sums[:, 1], 1))
