"""What finding phrases costs beside spaCy itself, and what a second process gives.

``python -m benchmarks.parse [--captions N]`` compares, in one run and on the same captions, spaCy's bare
``nlp.pipe`` (nothing done with what it gives) with the whole of our parse: texts in, phrases out. Bare spaCy
runs twice: with everything but ``ner``, and with no more components than our parse, which finds lemmas by
itself. No two captions are equal, so nothing is gained from parsing equal ones once. All take turns on slices
of the captions, and processor time counts, so that other work on the machine weighs on all alike.

Then two processes against one by wall-clock time, for which the machine has to be idle: spaCy's by its
``n_process``, which forks for each slice; ours, whose workers stay, first from cold (workers begun, models
loaded), then warm, in turn with one process.
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

OURS = "captions to phrases"
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
    slices: int = typer.Option(8, help="Turns that they take."),
) -> None:
    """Print captions a second, the ratio to bare spaCy, and that of two processes to one."""
    import spacy

    pipes = {
        "bare, all but ner": spacy.load(nlp.installed_name(MODEL), exclude=["ner"]),
        "bare, our components": spacy.load(nlp.installed_name(MODEL), exclude=nlp.UNUSED),
    }
    texts = captions(count)

    def run(who: str, some: list[str], processes: int = 1) -> None:
        if who == OURS:
            block.forget()
            block.parse(some, ParseParams(model=MODEL, batch_size=BATCH, processes=processes))
            return
        for _ in pipes[who].pipe(some, batch_size=BATCH, n_process=processes):
            pass

    everyone = [*pipes, OURS]
    for who in everyone:
        run(who, texts[:BATCH])
    size = -(-count // slices)
    parts = [texts[i : i + size] for i in range(0, count, size)]
    took = dict.fromkeys(everyone, 0.0)
    for turn, part in enumerate(parts):
        for who in everyone[turn % 3 :] + everyone[: turn % 3]:
            took[who] += spent(functools.partial(run, who, part), time.process_time)
    table = Table(*everyone, *(f"ratio to {who}" for who in pipes), title=f"{count} captions, processor time")
    rates = (f"{count / took[who]:,.0f}/s" for who in everyone)
    table.add_row(*rates, *(f"{took[who] / took[OURS]:.1%}" for who in pipes))
    Console().print(table)

    cold = spent(functools.partial(run, OURS, texts[:BATCH], 2), time.perf_counter)
    table = Table("", "one process", "two", "ratio", title=f"{count} captions, wall clock")
    for who in everyone[1:]:
        walls = {1: 0.0, 2: 0.0}
        for turn, part in enumerate(parts):
            for processes in (1, 2) if turn % 2 else (2, 1):
                walls[processes] += spent(functools.partial(run, who, part, processes), time.perf_counter)
        one, two = (count / walls[processes] for processes in (1, 2))
        table.add_row(who, f"{one:,.0f}/s", f"{two:,.0f}/s", f"{two / one:.2f}")
    Console().print(table)
    alone = walls[1] / count * BATCH
    Console().print(
        f"The first {BATCH} captions took two processes {cold:.1f} s, as they began; one, {alone:.1f} s."
    )


if __name__ == "__main__":
    typer.run(main)
