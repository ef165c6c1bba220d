"""Runs a block's shards as Prefect tasks: in parallel, resumable, with retries, progress and a summary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote
from rich.console import Console

from flows import resume, summary
from flows.progress import artifact_key, progress
from flows.summary import Summary
from pipeline.errors import UserError
from pipeline.params import ComputeParams
from pipeline.tables import shards
from pipeline.tables.shards import Block, Staging

DATA = Path("data")
WORK = Path(".work")  # on the same disk as DATA, so that publishing is a rename
RETRIES = 2
RETRY_SECONDS = 2

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
    named = do_shard.with_options(name=block.stage, task_run_name=f"{block.stage}-{{shard}}")
    try:
        with progress(block.stage, count, count - len(todo)) as advance, _runner(compute) as runner:
            # Quoted, because Prefect would walk through what a block holds in search of other tasks' results.
            common = {"block": quote(block), "staging": quote(staging), "units": quote(units)}
            futures = [runner.submit(named, {**common, "shard": shard}) for shard in todo]
            for future in as_completed(futures):
                future.result()
                advance()
    except BrokenProcessPool as error:
        raise UserError(
            f"{block.stage}: a worker process was killed, most often because memory ran out. Lower "
            f"compute.workers (found {compute.workers}) or source.shard_size; finished shards are kept."
        ) from error


def _runner(compute: ComputeParams) -> TaskRunner[Any]:
    kind = {"threads": ThreadPoolTaskRunner, "processes": ProcessPoolTaskRunner}[compute.runner]
    return kind(max_workers=compute.workers)


def _can_pass(_task: Any, _run: Any, state: Any) -> bool:
    """Whether trying again may help: the operating system stumbled, and not over something lasting."""
    error = state.result(raise_on_failure=False)
    passing = isinstance(error, OSError) and not isinstance(error, LASTING)
    if passing:
        Console(stderr=True).print(f"[yellow]{type(error).__name__}: {error}: trying again[/yellow]")
    return passing


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=_can_pass, cache_policy=NO_CACHE)
def do_shard(block: Block, staging: Staging, units: Mapping[str, str], shard: int) -> None:
    """Do one shard, check that no row was lost, and keep it."""
    tables = block.process(shard)
    count = shards.count(block, shard, tables)
    summary.check_balance(block.stage, shard, count.rows_in, tables, units)
    resume.keep(staging, shard, tables, count)
