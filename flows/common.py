"""Runs a block's shards as Prefect tasks: in parallel, resumable, with retries, progress and a summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from rich.console import Console

from flows import resume, runners, summary
from flows.progress import artifact_key, progress
from flows.summary import Summary
from pipeline.errors import LostProcessError, UserError
from pipeline.params import ComputeParams
from pipeline.tables import shards
from pipeline.tables.shards import Block, Staging

DATA = Path("data")
WORK = Path(".work")  # on the same disk as DATA, so that publishing is a rename
RETRIES = 2
RETRY_SECONDS = 2
# Seconds before shards are given out again after a worker was lost, each time longer.
LOST_SECONDS = (1, 5, 25)

# What a retry cannot mend, among the errors of the operating system.
LASTING = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)


def run_block(
    block: Block, units: Mapping[str, str], compute: ComputeParams, data: Path = DATA, work: Path = WORK
) -> Summary:
    """Do a stage: every shard that is not done yet, then publish the tables. To be called in a flow.

    Args:
        block: the stage's work.
        units: tables and columns that stand for its units of work, as in `summary.check_balance`.
        compute: where shards run.
        data: folder of the datasets: tables go to ``<table>`` and ``rejects/<stage>``, the summary to
            ``summaries/<stage>.json``.
        work: folder where finished shards wait.

    Raises:
        UserError: whatever a shard met that the user can mend. Finished shards are kept for the next run.
        RuntimeError: rows in are not rows out + rejects.
    """
    began = time.perf_counter()
    staging = resume.open_staging(block, work)
    every = range(block.shard_count())
    todo = [shard for shard in every if not resume.is_done(block, staging, shard)]
    _do_shards(block, staging, units, compute, todo, len(every))
    total = summary.of_counts(resume.read_count(staging, shard) for shard in every)
    staging.publish(
        {name: data / name for name in block.outputs} | {"rejects": data / "rejects" / block.stage}
    )
    total.write(data / "summaries" / f"{block.stage}.json")
    seconds = time.perf_counter() - began
    text = summary.markdown(total, seconds)
    create_markdown_artifact(text, key=artifact_key(block.stage, "summary"))
    get_run_logger().info("%s\n%s", block.stage, text)
    summary.show(block.stage, total, seconds, resumed=len(every) - len(todo))
    return total


def _do_shards(
    block: Block,
    staging: Staging,
    units: Mapping[str, str],
    compute: ComputeParams,
    todo: list[int],
    count: int,
) -> None:
    with progress(block.stage, count, count - len(todo)) as advance:
        for seconds in (*LOST_SECONDS, None):
            lost = _try_shards(block, staging, units, compute, todo, advance)
            if lost is None:
                return
            todo = [shard for shard in todo if not resume.is_done(block, staging, shard)]
            told = f"{block.stage}: a worker was lost ({type(lost).__name__}), {len(todo)} shards to do"
            if seconds is not None and todo:
                Console(stderr=True).print(f"[yellow]{told}: trying again in {seconds} s[/yellow]")
                time.sleep(seconds)
    setting = lost if isinstance(lost, LostProcessError) else f"compute.workers (found {compute.workers})"
    raise UserError(
        f"{block.stage}: a worker process was killed {len(LOST_SECONDS) + 1} times, most often because memory"
        f" ran out. Lower {setting} or source.shard_size; finished shards are kept."
    )


def _try_shards(
    block: Block,
    staging: Staging,
    units: Mapping[str, str],
    compute: ComputeParams,
    todo: list[int],
    advance: Callable[[], None],
) -> BaseException | None:
    """Give the shards out once; the error of a lost worker, if that is all that went wrong."""
    if not todo:
        return None
    named = do_shard.with_options(name=block.stage, task_run_name=f"{block.stage}-{{shard}}")
    # Threads share a process, and so its GPU.
    work = Work(block, staging, units, Path.cwd(), 0 if compute.runner == "threads" else compute.gpus)
    lost: BaseException | None = None
    with runners.open_runner(compute) as runner:
        futures = []
        try:
            futures += [runner.submit(named, {"work": work, "shard": shard}) for shard in todo]
        except BrokenProcessPool as error:  # a worker died while others' shards were still handed out
            lost = error
        for future in as_completed(futures):
            try:
                future.result()
                advance()
            except Exception as error:
                if not runners.is_lost(error):
                    raise
                lost = error
    return lost


def _can_pass(_task: Any, _run: Any, state: Any) -> bool:
    """Whether trying again may help: the operating system stumbled, and not over something lasting."""
    error = state.result(raise_on_failure=False)
    passing = isinstance(error, OSError) and not isinstance(error, LASTING)
    if passing:
        Console(stderr=True).print(f"[yellow]{type(error).__name__}: {error}: trying again[/yellow]")
    return passing


class Work:
    """What a shard's task needs beside its number.

    A class of its own, and no dataclass: Prefect and Dask walk through collections in search of other tasks'
    results, and would take a block apart.
    """

    def __init__(
        self, block: Block, staging: Staging, units: Mapping[str, str], project: Path, gpus: int
    ) -> None:
        self.block = block
        self.staging = staging
        self.units = units
        self.project = project
        self.gpus = gpus


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=_can_pass, cache_policy=NO_CACHE)
def do_shard(work: Work, shard: int) -> None:
    """Do one shard, check that no row was lost, and keep it; one that is done already stays as it is.

    A cluster gives a shard out again when its worker dies, which may be after the last file was written.
    """
    runners.settle(work.project, work.gpus)
    block = work.block
    if resume.is_done(block, work.staging, shard):
        return
    tables = block.process(shard)
    count = shards.count(block, shard, tables)
    summary.check_balance(block.stage, shard, count.rows_in, tables, work.units)
    resume.keep(work.staging, shard, tables, count)
