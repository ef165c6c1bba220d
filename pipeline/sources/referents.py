"""Which words of an expression about a box name the thing in the box."""

from __future__ import annotations

import re

# What comes after one of these says where the thing is or what it does, and names other things.
_RELATIONS = re.compile(
    r"\s+(?:of|in|on|at|by|to|with|without|near|next|behind|beside|between|above|below|under|over|from|for|"
    r"against|around|across|along|inside|outside|that|who|which|whose|is|are|has|have|and|holding|wearing|"
    r"facing|standing|sitting|looking|touching|closest|nearest)\b",
    re.IGNORECASE,
)


def span_of(expression: str) -> tuple[int, int]:
    """The characters (start, end) of an expression that name its thing: up to the first relation.

    "man left of the dog" is about a man: its "dog" must not be taken for what the box shows. An expression
    that begins with a relation ("on the left") has no better part than the whole.
    """
    start = len(expression) - len(expression.lstrip())
    found = _RELATIONS.search(expression, start + 1)
    begins = _RELATIONS.match(" " + expression.lstrip())
    return start, found.start() if found and not begins else len(expression.rstrip())
