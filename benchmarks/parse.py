"""What finding phrases costs beside spaCy itself: ``python -m benchmarks.parse [--captions N]``.

Compares, in one run and on the same captions, spaCy's bare ``nlp.pipe`` (``ner`` excluded, nothing done with
what it gives) with the whole of our parse: texts in, phrases out. No two captions are equal, so nothing is
gained from parsing equal ones once. With one process, both take turns on slices of the captions and processor
time counts, so that other work on the machine weighs on both alike; with two, wall-clock time counts.
"""

from __future__ import annotations

import functools
import itertools
import random
import time
from collections.abc import Callable

import typer
from rich.console import Console
from rich.table import Table

from pipeline.params import ParseParams
from pipeline.phrases import block, nlp

MODEL = "en_core_web_sm"
BATCH = 256
OPENINGS = ("A {} {} is {} a {} {}.", "Two {} {}s {} the {} {}.", "There is a {} {} {} some {} {}s in it.")
ADJECTIVES = ("red", "small", "wooden", "striped", "old", "bright yellow", "large", "broken")
NOUNS = ("dog", "kite", "parking meter", "bench", "umbrella", "plate", "laptop", "boat", "tennis racket")
PLACES = ("on top of", "next to", "in front of", "under", "lying beside", "to the left of")
EXTRAS = ("in a park", "with a group of people", "on a sunny day", "that a man looks at", "near his house")


def captions(count: int) -> list[str]:
    """Distinct captions of the length of COCO's (about eleven words)."""
    slots = (OPENINGS, ADJECTIVES, NOUNS, PLACES, ADJECTIVES, NOUNS, EXTRAS)
    every = [
        f"{opening.format(*words).removesuffix('.')} {extra}."
        for opening, *words, extra in itertools.product(*slots)
    ]
    random.Random(0).shuffle(every)
    if count > len(every):
        raise typer.BadParameter(f"at most {len(every)} distinct captions can be made")
    return every[:count]


def spent(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds that a call takes by a clock."""
    start = clock()
    work()
    return clock() - start


def main(
    count: int = typer.Option(4096, "--captions", help="Distinct captions."),
    slices: int = typer.Option(8, help="Turns with one process."),
) -> None:
    """Print captions a second and the ratio to bare spaCy, with one process and with two."""
    import spacy

    bare = spacy.load(nlp.installed_name(MODEL), exclude=["ner"])
    texts = captions(count)

    def run_bare(some: list[str], processes: int) -> None:
        for _ in bare.pipe(some, batch_size=BATCH, n_process=processes):
            pass

    def run_ours(some: list[str], processes: int) -> None:
        block.forget()
        block.parse(some, ParseParams(model=MODEL, batch_size=BATCH, processes=processes))

    run_ours(texts[:BATCH], 1)
    run_bare(texts[:BATCH], 1)
    table = Table(
        "processes", "clock", "bare nlp.pipe", "captions to phrases", "ratio", title=f"{count} captions"
    )
    size = -(-count // slices)
    parts = [texts[i : i + size] for i in range(0, count, size)]
    for processes, clock, portions in ((1, time.process_time, parts), (2, time.perf_counter, [texts])):
        theirs = ours = 0.0
        for turn, part in enumerate(portions):
            for who in (run_bare, run_ours) if turn % 2 else (run_ours, run_bare):
                took = spent(functools.partial(who, part, processes), clock)
                theirs, ours = (theirs + took, ours) if who is run_bare else (theirs, ours + took)
        name = "processor" if clock is time.process_time else "wall"
        table.add_row(
            str(processes), name, f"{count / theirs:,.0f}/s", f"{count / ours:,.0f}/s", f"{theirs / ours:.1%}"
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
