"""Where shards run: threads or processes of this one, a Dask or a Ray cluster; how a lost worker is told.

Without an address a cluster of ``compute.workers`` processes is started here and stopped afterwards. Workers
of a cluster elsewhere need this project and its environment at the same path, on a disk that all share.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from pipeline.errors import LostProcessError, UserError
from pipeline.params import ComputeParams

# Errors that say that a worker is gone, with their modules: neither library is imported unless it is used.
_LOST = {
    "distributed": ("KilledWorker", "CancelledError", "FutureCancelledError", "FuturesCancelledError"),
    "ray": ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "LocalRayletDiedError"),
}
_UNREACHED = "Failed to reach API"  # what a task that finds no Prefect server says
_REACH_SECONDS = 10
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def open_runner(compute: ComputeParams) -> Iterator[TaskRunner[Any]]:
    """The task runner that the settings ask for, to be entered in a flow.

    Raises:
        UserError: on entering, the cluster at ``compute.address`` cannot be reached; on leaving, its workers
            could not reach the Prefect server of this run.
    """
    kinds = {"threads": _threads, "processes": _processes, "dask": _dask, "ray": _ray}
    url = _server_url()
    # Told the server's address, workers do not start one each where this run has a temporary one.
    with temporary_settings({PREFECT_API_URL: url}), kinds[compute.runner](compute) as runner:
        try:
            yield runner
        except RuntimeError as error:
            if _UNREACHED not in str(error):
                raise
            raise UserError(
                f"compute.address: the workers of {compute.address} cannot reach this run's Prefect server at"
                f" {url}. Start one that listens to them, `prefect server start --host 0.0.0.0`, and set"
                " PREFECT_API_URL to its address as they see it, http://HOST:4200/api."
            ) from error


def _server_url() -> str:
    return str(get_client(sync_client=True).api_url).rstrip("/")


def is_lost(error: BaseException) -> bool:
    """Whether the error says that a worker was killed, and nothing of the shard that it worked on."""
    module = type(error).__module__.partition(".")[0]
    told = isinstance(error, BrokenProcessPool | LostProcessError)
    return told or type(error).__name__ in _LOST.get(module, ())


def settle(project: Path, gpus: int) -> None:
    """Make a worker process ready for a shard: in the project's folder, with a GPU of its own.

    Args:
        project: the folder that relative paths, of settings too, start from.
        gpus: how many GPUs the workers of this machine share out by their numbers. A worker that was
            started with CUDA_VISIBLE_DEVICES, by hand or by Ray, keeps what it has.
    """
    if Path.cwd() != project:
        os.chdir(project)
    if gpus and _VISIBLE not in os.environ:
        os.environ[_VISIBLE] = str(_worker_number() % gpus)


def _worker_number() -> int:
    """The number of this worker process among those of its cluster or pool, from 0."""
    if "distributed" in sys.modules:
        from distributed import get_worker

        try:
            return int(get_worker().name)
        except ValueError:  # not in a worker, or in one that was given a name
            pass
    identity = multiprocessing.current_process()._identity
    return identity[-1] - 1 if identity else 0


def _threads(compute: ComputeParams) -> AbstractContextManager[TaskRunner[Any]]:
    return ThreadPoolTaskRunner(max_workers=compute.workers)


def _processes(compute: ComputeParams) -> AbstractContextManager[TaskRunner[Any]]:
    return ProcessPoolTaskRunner(max_workers=compute.workers)


def _dask(compute: ComputeParams) -> AbstractContextManager[TaskRunner[Any]]:
    from distributed import Client
    from prefect_dask import DaskTaskRunner

    if compute.address is None:
        # A shard at a time in each process, so that none waits for the models of another.
        local = {"n_workers": compute.workers, "threads_per_worker": 1, "dashboard_address": None}
        return DaskTaskRunner(cluster_kwargs=local)
    try:
        Client(compute.address, timeout=_REACH_SECONDS, set_as_default=False).close()
    except (OSError, ValueError) as error:
        raise _unreachable("Dask", compute.address, "tcp://HOST:8786", error) from error
    return DaskTaskRunner(address=compute.address)


@contextmanager
def _ray(compute: ComputeParams) -> Iterator[TaskRunner[Any]]:
    from prefect_ray import RayTaskRunner
    from prefect_ray.context import remote_options

    # Workers import from where this process does: from this checkout, wherever the environment points.
    places = os.pathsep.join(str(Path(place).resolve()) for place in sys.path)
    settings: dict[str, Any] = {
        "log_to_driver": False,
        "runtime_env": {"env_vars": {"PYTHONPATH": places}},
    }
    if compute.address is None:
        # Ray would otherwise join a cluster that it finds running.
        settings |= {"address": "local", "include_dashboard": False}
        settings |= {"num_cpus": compute.workers, "num_gpus": compute.gpus or None}
        # Its workers would run at niceness 15 and starve beside anything else on the machine.
        settings |= {"_system_config": {"worker_niceness": 0}}
    with ExitStack() as stack:
        try:
            runner = stack.enter_context(RayTaskRunner(compute.address, settings))
        except (OSError, ValueError) as error:  # ConnectionError among them
            raise _unreachable("Ray", str(compute.address), "ray://HOST:10001", error) from error
        # With a GPU asked for, Ray shows each worker one.
        stack.enter_context(remote_options(num_cpus=1, num_gpus=1 if compute.gpus else 0))
        yield runner


def _unreachable(kind: str, address: str, example: str, error: Exception) -> UserError:
    return UserError(
        f"compute.address: there is no {kind} cluster at {address!r} ({error}). Start one, give its address"
        f" (such as {example}), or null for one on this machine."
    )
