"""A built-in world of drawn scenes with exact ground truth: every picture, box, mask and sentence is made.

`world` says what is in a scene, `shapes` and `draw` make its pixels, `relations` says what is where,
`language` and `captions` put it into words, `referring`, `questions` and `instructions` ask about it, and
`source` makes tables of it all.
"""

from pipeline.sources.scenes.shapes import NOUNS
from pipeline.sources.scenes.world import COLOURS

__all__ = ["COLOURS", "NOUNS"]
