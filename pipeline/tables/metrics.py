"""What is measured: each metric's name, title, unit and direction, and an estimate with its interval.

``data/evaluation/*/metrics.json`` and the report all hold ``{metric key: estimate}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and the number of examples that it rests on.

    Of a number that comes from outside without an interval, ``low`` and ``high`` are NaN.
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def has_interval(self) -> bool:
        """Whether the interval is known."""
        return self.low == self.low


@dataclass(frozen=True)
class Metric:
    """How a metric is named and read."""

    key: str
    group: str
    title: str
    unit: str
    """``share`` is shown as per cent; ``number`` as it is."""
    direction: int
    """+1: higher is better; -1: lower is better; 0: neither."""
    doc: str
    probe: bool = False
    """Read from the tokens by a linear probe. What it reads from the encoder's features is the ceiling, and
    an untrained projector, which passes most of it on, is no floor."""


METRICS = (
    Metric("alignment.cosine", "Alignment", "Cosine of region and words", "number", 1,
           "mean cos(v, w) over held-out regions; v the coverage-weighted mean of projected patches"),
    Metric("alignment.top1", "Alignment", "Right word ranked first", "share", 1,
           "the region's head noun is the nearest of the vocabulary's words"),
    Metric("alignment.top5", "Alignment", "Right word among five", "share", 1,
           "the region's head noun is among the five nearest words"),
    Metric("alignment.attribute_top1", "Alignment", "Right attribute ranked first", "share", 1,
           "the region's attribute is the nearest of the attribute words"),
    Metric("alignment.mrr", "Alignment", "Mean reciprocal rank of the word", "number", 1,
           "1 / rank of the head noun among the vocabulary's words"),
    Metric("alignment.pointing", "Alignment", "Pointing accuracy", "share", 1,
           "the patch most similar to the phrase lies on its region"),
    Metric("alignment.miou", "Alignment", "mIoU of the similarity map", "number", 1,
           "overlap of the thresholded similarity map with the region's patches"),
    Metric("compression.before", "Compression", "Entropy before the projector", "number", 0,
           "von Neumann entropy of an image's encoder tokens / log min(N, d)"),
    Metric("compression.after", "Compression", "Entropy after the projector", "number", -1,
           "the same after the projector; lower is more compressed"),
    Metric("decomposition.recall", "Decomposition", "True words found by matching pursuit", "share", 1,
           "share of a patch's words among the K that matching pursuit picks"),
    Metric("decomposition.positive", "Decomposition", "Found by pursuit of positive parts", "share", 0,
           "the same share where a pick has to point the token's way, not against it"),
    Metric("decomposition.nearest", "Decomposition", "Found among the nearest words", "share", 0,
           "the same share for the K words of highest cosine"),
    Metric("decomposition.chance", "Decomposition", "Found by chance", "share", 0,
           "the same share for K words drawn at random"),
    Metric("decomposition.noun_and_attribute", "Decomposition", "Noun and attribute both found", "share", 1,
           "pairs of a noun and its attribute that a patch carries and its K words both hold"),
    Metric("decomposition.noun_and_attribute_control", "Decomposition", "Both found where one is carried",
           "share", 0, "the same two words in patches of other images that carry one of the two"),
    Metric("decomposition.two_nouns", "Decomposition", "Nouns of two phrases both found", "share", 1,
           "pairs of nouns of two phrases that a patch carries and its K words both hold"),
    Metric("decomposition.two_nouns_control", "Decomposition", "Two nouns found where one is carried",
           "share", 0, "the same two nouns in patches of other images that carry one of the two"),
    Metric("position.r2", "Read by a linear probe", "Place of a token (R²)", "number", 1,
           "share of the variance of a token's row and column that ridge regression reads from it", True),
    Metric("position.error", "Read by a linear probe", "Place of a token: error, patches", "number", -1,
           "mean distance between the place read and the true one, in patches", True),
    Metric("position.box", "Read by a linear probe", "Box of a region (mean IoU)", "number", 1,
           "overlap of the box read from a region's pooled tokens with the box around its patches", True),
    Metric("probe.noun", "Read by a linear probe", "Noun of a region", "share", 1,
           "the noun read from a region's pooled tokens is the right one", True),
    Metric("probe.attribute", "Read by a linear probe", "Attribute of a region", "share", 1,
           "the attribute read from a region's pooled tokens is one of its own", True),
    Metric("captioning.cider", "Captions", "CIDEr", "number", 1, "CIDEr against the image's captions"),
    Metric("captioning.bleu4", "Captions", "BLEU-4", "number", 1,
           "n-grams of up to four words shared with the image's captions, over all captions at once"),
    Metric("captioning.meteor", "Captions", "METEOR", "number", 1,
           "words aligned with the image's captions by form, stem, synonym and paraphrase"),
    Metric("captioning.rouge_l", "Captions", "ROUGE-L", "number", 1,
           "longest common subsequence with the image's captions"),
    Metric("captioning.spice", "Captions", "SPICE", "number", 1,
           "objects, attributes and relations shared with the image's captions"),
    Metric("captioning.chair_i", "Captions", "Hallucinated objects (CHAIRi)", "share", -1,
           "objects that captions mention and the image does not have, of all they mention"),
    Metric("captioning.chair_s", "Captions", "Captions with a hallucinated object (CHAIRs)", "share", -1,
           "captions that mention an object that the image does not have"),
    Metric("captioning.objects", "Captions", "Objects named with right attributes (F1)", "share", 1,
           "objects of the scene that the caption names with their noun and colour"),
    Metric("referring.accuracy", "Referring expressions", "Accuracy at IoU 0.5", "share", 1,
           "the answered box overlaps the true one by half or more"),
    Metric("referring.miou", "Referring expressions", "Mean IoU", "number", 1,
           "overlap of answered and true box; unparsable answers count as zero"),
    Metric("referring.unread", "Referring expressions", "Answers without a box", "share", -1,
           "answers that no box could be read from: they count as wrong"),
    Metric("region.accuracy", "Region descriptions", "Accuracy", "share", 1,
           "asked what is in a box, the model says the object with its attributes"),
    Metric("question.accuracy", "Questions", "Accuracy", "share", 1, "the answer equals the reference"),
    Metric("instruction.accuracy", "Instructions", "Followed", "share", 1,
           "the answer has the asked form and the right content"),
)  # fmt: skip

AUDIT_METRICS = (
    Metric("audit.recall", "Boxes", "Recall", "share", 1,
           "true boxes that a region of their own overlaps by half or more (IoU 0.5)"),
    Metric("audit.precision", "Boxes", "Precision", "share", 1,
           "regions that overlap a true box of their own by half or more"),
    Metric("audit.miou", "Boxes", "Mean IoU", "number", 1,
           "a true box's overlap with the region closest to it; 0 where there is none"),
    Metric("audit.phrase_recall", "Phrases", "Phrase recall", "share", 1,
           "phrases whose best-scored region overlaps any of their true boxes by half or more"
           " (Recall@1, any-box protocol: Kamath et al., MDETR, 2021)"),
    Metric("audit.pointing", "Phrases", "Pointing accuracy", "share", 1,
           "phrases whose best-scored region has its centre in a true box"),
    Metric("audit.grounded", "Phrases", "Grounded at all", "share", 0,
           "phrases that the source gives a region, right or wrong"),
)  # fmt: skip
"""What the audit of an annotation source measures; ``data/audit/*/audit.json`` holds it."""

BY_KEY = {metric.key: metric for metric in METRICS}
BY_AUDIT_KEY = {metric.key: metric for metric in AUDIT_METRICS}

Estimates = dict[str, Estimate]


def write_estimates(path: Path, estimates: Mapping[str, Estimate]) -> None:
    """Write ``{metric key: {value, low, high, n}}`` as JSON, rounded to six decimals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {key: rounded(asdict(estimate)) for key, estimate in estimates.items()}
    path.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def rounded(estimate: Mapping[str, float]) -> dict[str, float]:
    """An estimate's numbers as they are written: to six decimals."""
    return {name: round(number, 6) for name, number in estimate.items()}


def read_estimates(path: Path) -> Estimates:
    """Read what `write_estimates` wrote."""
    return {key: Estimate(**value) for key, value in json.loads(path.read_text(encoding="utf-8")).items()}
