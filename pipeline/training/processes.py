"""Stages in several processes: who is who, how they are started, what they share out, and a sharded model.

A stage that `compute.processes` gives several starts itself again under torchrun; one that was started by
torchrun (on several machines, say) takes what it finds.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.multiprocessing import _prctl_pr_set_pdeathsig  # type: ignore[attr-defined]

from pipeline.params import ComputeParams

T = TypeVar("T")


def rank() -> int:
    """This process's number; 0 writes."""
    return distributed.get_rank() if distributed.is_initialized() else int(os.environ.get("RANK", "0"))


def count() -> int:
    """How many processes train together."""
    return (
        distributed.get_world_size()
        if distributed.is_initialized()
        else int(os.environ.get("WORLD_SIZE", "1"))
    )


def wait() -> None:
    """Wait until every process is here."""
    if distributed.is_initialized():
        distributed.barrier()


def wanted(compute: ComputeParams) -> int:
    """Processes that ``compute.processes`` asks for: 0 means one for each GPU seen."""
    return compute.processes or max(torch.cuda.device_count(), 1)


def launch(compute: ComputeParams, module: str, arguments: Sequence[str]) -> None:
    """Put torchrun in this process's place where several processes are wanted.

    A process that torchrun started goes on, and is killed with it. It has a session of its own, so that it
    would live on when all that was started from a shell is killed, and train beside the run that comes next.

    Args:
        compute: how many processes.
        module: the command's module, as in ``python -m``.
        arguments: its arguments.
    """
    if "LOCAL_RANK" in os.environ:
        if sys.platform == "linux":
            _prctl_pr_set_pdeathsig(signal.SIGKILL)
        return
    if wanted(compute) == 1:
        return
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // wanted(compute), 1)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={wanted(compute)}", "-m", module, *arguments]
    sys.stdout.flush()
    os.execv(sys.executable, command)


@contextmanager
def joined() -> Iterator[None]:
    """A group of the processes that torchrun started, each with a GPU of its own where there are any.

    For work that is shared out by `own_part` and put together by `gathered`. A process alone is no group.
    Processes may wait for one that does something alone: when one dies, torchrun ends the others.
    """
    if "LOCAL_RANK" not in os.environ:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("gloo", timeout=timedelta(days=1))
    try:
        yield
    finally:
        distributed.destroy_process_group()


def own_part() -> tuple[int, int]:
    """(i, n): this process is the i-th of a group of n, counted from 0; (0, 1) without a group."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def gathered(mine: T) -> list[T]:
    """What each process of the group has, in their order, in every one of them."""
    if not distributed.is_initialized():
        return [mine]
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, mine)
    return found


def shard(whole: nn.Module, layers: Sequence[nn.Module], device: str) -> None:
    """Shard a module's parameters over all processes, in place: FSDP2, a unit for each of ``layers``.

    Gradients and the optimiser's state are then sharded as well.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if not distributed.is_initialized():
        distributed.init_process_group("gloo" if device == "cpu" else "nccl")
    if device != "cpu":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    mesh = init_device_mesh(device, (count(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(whole, mesh=mesh)
