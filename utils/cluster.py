"""Folds on `dask.distributed`: a local cluster, or any running one."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import dask
from distributed import Client, LocalCluster, WorkerPlugin, as_completed, get_worker
from distributed.scheduler import KilledWorker

from hyperparameters import InputError
from utils.files import PROJECT
from utils.fold_job import FoldTask
from utils.workers import TOPIC, TRIES, run_task, worker_environment

Events = Callable[[dict[str, Any]], None]
CONNECT_TIMEOUT_S = 15


def run_on_dask(
    tasks: Sequence[FoldTask], on_event: Events, *, jobs: int, address: str | None
) -> dict[int, str]:
    """Run folds on Dask workers.

    Args:
        tasks: The folds.
        on_event: Called with every event of every fold.
        jobs: Worker processes of a local cluster.
        address: A running scheduler's; None starts a local cluster. Its workers must
            see the same files; they need not have been started in the project.

    Returns:
        One line for each fold that failed, by number.

    Raises:
        InputError: No scheduler answers at `address`.
    """
    configuration = {
        # Dask sets the allocator's trim threshold to 64 KiB before a worker starts
        "distributed.nanny.pre-spawn-environ": worker_environment(tasks[0].threads),
        "distributed.scheduler.allowed-failures": TRIES - 1,
        "distributed.logging.distributed": "error",
        "distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S}s",
    }
    with dask.config.set(configuration):
        if address is not None:
            return _submit(_connect(address), tasks, on_event)
        with LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.ERROR,
        ) as cluster:
            return _submit(Client(cluster), tasks, on_event)


def _connect(address: str) -> Client:
    """A client of a running scheduler."""
    try:
        return Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--scheduler {address}: no Dask scheduler answers ({error}); start one "
            "with `dask scheduler`, or leave the option out"
        ) from error


def _submit(
    client: Client, tasks: Sequence[FoldTask], on_event: Events
) -> dict[int, str]:
    """Submit every fold and gather what went wrong."""
    failures = {}
    with client:
        client.register_plugin(_path_plugin(str(PROJECT)))
        client.subscribe_topic(TOPIC, lambda event: on_event(event[1]))
        futures = {
            client.submit(
                run_on_worker, task, key=f"{task.folder.name}-{task.number}"
            ): task.number
            for task in tasks
        }
        for future in as_completed(futures):
            number = futures[future]
            try:
                error = future.result().get("error")
            except KilledWorker:
                error = f"worker died {TRIES} times"
            if error is not None:
                failures[number] = error
                on_event({"fold": number, "warning": error})
    return failures


def run_on_worker(task: FoldTask) -> dict[str, Any]:
    """One fold on a Dask worker; its events go to the client."""
    worker = get_worker()
    return run_task(task, lambda event: worker.log_event(TOPIC, event))


def _path_plugin(folder: str) -> WorkerPlugin:
    """A plugin that lets every worker, also a later one, import the project.

    The class is local so that it travels by value: the worker can't import it yet.
    """

    class ProjectPath(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            import sys

            if folder not in sys.path:
                sys.path.insert(0, folder)

    return ProjectPath()
