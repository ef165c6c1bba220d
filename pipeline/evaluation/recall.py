"""How many of a patch's true words its decomposition finds, by the number of words picked.

T tokens, a region's best patch each; K words picked.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch

from pipeline.evaluation import decomposition, dictionary
from pipeline.evaluation.dictionary import Dictionary
from pipeline.evaluation.regions import Measures, Regions
from pipeline.evaluation.statistics import estimate
from pipeline.params import EvaluateParams
from pipeline.tables.metrics import rounded
from pipeline.training.supervision import pad_ids

LONGEST = 8
"""Words that the curve of recall by K goes up to, where ``evaluate.words`` is not more."""
ROLES = {"all": None, "nouns": ("head", "compound"), "attributes": ("attribute",)}
"""Whose recall by K is told apart."""


@dataclass(frozen=True)
class Recalled:
    """Recall of the true words of regions' best patches, by the number K of words picked.

    T tokens, a region each; K up to the longest.
    """

    examples: list[str]
    pursuit: dict[str, tuple[np.ndarray, np.ndarray]]
    """By role (`ROLES`): which tokens have such words, and their recall, for each of them (., K)."""
    positive: dict[str, tuple[np.ndarray, np.ndarray]]
    """Pursuit that picks no word for being the token's opposite, as it does for most tokens that nothing has
    aligned: without it they would be said to carry less than they do."""
    nearest: dict[str, tuple[np.ndarray, np.ndarray]]
    vocabulary: int

    def measures(self, k: int) -> Measures:
        """Recall among the first ``k`` words of both pursuits, of the nearest words, and by chance."""
        chance = np.full(len(self.examples), decomposition.chance_recall(k, self.vocabulary))
        return {
            "decomposition.recall": (self.examples, self.pursuit["all"][1][:, k - 1]),
            "decomposition.positive": (self.examples, self.positive["all"][1][:, k - 1]),
            "decomposition.nearest": (self.examples, self.nearest["all"][1][:, k - 1]),
            "decomposition.chance": (self.examples, chance),
        }

    def curves(self, settings: EvaluateParams, seed: int) -> dict[str, dict]:
        """Estimates for each K, by role and method."""
        found: dict[str, dict] = {}
        for name, by_role in (("pursuit", self.pursuit), ("nearest", self.nearest)):
            for role, (rows, recall) in by_role.items():
                if len(rows):
                    found.setdefault(role, {})[name] = [
                        rounded(asdict(estimate(at_k, settings.bootstrap, seed))) for at_k in recall.T
                    ]
        for role, curves in found.items():
            ks = range(1, len(curves["pursuit"]) + 1)
            found[role]["chance"] = [round(decomposition.chance_recall(k, self.vocabulary), 6) for k in ks]
        return found


def decompose(tokens_BND: torch.Tensor, words: Dictionary, tokenizer, regions: Regions, k: int) -> Recalled:
    """Recall of each region's words in its best patch: by matching pursuit and by the nearest words.

    The dictionary is the language model's input embeddings of every token but the special ones. Matching
    pursuit adds a word at a time, so its first ``k`` are the same however many are asked for.
    """
    true = dictionary.true_tokens(words, tokenizer, regions)
    rows = [row for row, found in enumerate(true.rows) if found]
    best = torch.from_numpy(regions.coverage.argmax(1))
    tokens_TD = tokens_BND[torch.from_numpy(regions.image), best][rows]
    longest = min(max(k, LONGEST), len(words))
    picked = {
        "pursuit": decomposition.matching_pursuit(tokens_TD, words.vectors_VD, longest).words_TK,
        "positive": decomposition.matching_pursuit(
            tokens_TD, words.vectors_VD, longest, positive=True
        ).words_TK,
        "nearest": decomposition.nearest_words(tokens_TD, words.vectors_VD, longest),
    }
    recall: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {name: {} for name in picked}
    for role, names in ROLES.items():
        wanted = [
            [
                token
                for token, kind in zip(true.rows[row], true.roles[row], strict=True)
                if not names or kind in names
            ]
            for row in rows
        ]
        having = np.asarray([place for place, tokens in enumerate(wanted) if tokens], np.int64)
        padded = pad_ids([wanted[place] for place in having], -1)
        for name, picked_TK in picked.items():
            recall[name][role] = having, decomposition.recall_by_k(picked_TK[having], padded)
    ids = regions.phrase_ids
    return Recalled(
        [ids[row] for row in rows], recall["pursuit"], recall["positive"], recall["nearest"], len(words)
    )
