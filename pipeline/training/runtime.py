"""What training and evaluation commands do first and last: seeds, determinism, whole outputs, progress."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from transformers import set_seed
from transformers.utils import logging

from pipeline.tables import folders
from pipeline.training import processes

DATA = Path("data")
WORK = Path(".work")


def prepare(seed: int, threads: int = 0) -> None:
    """Fix every seed, ask for deterministic kernels, and quiet the libraries' notices."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if threads:
        torch.set_num_threads(threads)
    set_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else every new tensor is filled before it is written: a twelfth of a small model's step, to find bugs.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def device() -> str:
    """``cuda`` where there is one, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def move(model: torch.nn.Module) -> None:
    """Move a model, in place, to the `device`."""
    model.to(device())


def autocast() -> torch.autocast:
    """bfloat16 matrix products where the hardware has them (GPU, AVX-512 BF16); float32 elsewhere."""
    return torch.autocast(device(), torch.bfloat16, enabled=has_bfloat16())


def has_bfloat16() -> bool:
    """Whether bfloat16 products run in hardware here."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported())


def frozen_dtype() -> torch.dtype:
    """What frozen language models are held in: bfloat16 on a GPU, where products are in it anyway."""
    return torch.bfloat16 if device() == "cuda" and has_bfloat16() else torch.float32


def publish(build: Callable[[Path], object], target: Path) -> None:
    """Make a folder in the work area and move it to ``target`` only when it is whole.

    Of several processes that train together the first does it, and the others wait.
    """
    if not processes.rank():
        folders.publish(build, target)
    processes.wait()


def write_curve(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write a learning curve as CSV: step, loss, learning rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ("step", "loss", "learning_rate"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


class Progress:
    """A progress bar in a terminal, a line every tenth of the way elsewhere; ``quiet``: nothing at all."""

    def __init__(self, title: str, total: int, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._title, self._total, self._done = title, total, 0
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total, note="")

    def advance(self, steps: int = 1, loss: float | None = None) -> None:
        """Some more steps are done; the loss is shown beside the bar."""
        before, self._done = self._done, self._done + steps
        note = "" if loss is None else f"loss {loss:.3f}"
        if self._console.is_terminal:
            self._bar.update(self._task, advance=steps, note=note)
        elif self._done * 10 // self._total > before * 10 // self._total:
            self._console.print(f"{self._title}: {self._done} of {self._total}  {note}", highlight=False)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
