"""Folds on `dask.distributed`: a local cluster, or any running one."""

import contextlib
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

import dask
from distributed import Client, LocalCluster, WorkerPlugin, as_completed, get_worker
from distributed.scheduler import KilledWorker

from hyperparameters import InputError
from utils.cli import one_line
from utils.files import PROJECT
from utils.processes import interrupts_blocked
from utils.training.job import FoldTask
from utils.training.workers import TRIES, try_fold

Events = Callable[[dict[str, Any]], None]
CONNECT_TIMEOUT_S = 15


def run_on_dask(
    tasks: Sequence[FoldTask], on_event: Events, *, jobs: int, address: str | None
) -> dict[int, str]:
    """Run folds on Dask workers.

    Args:
        tasks: The folds, all of one run, with absolute paths.
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
        "distributed.scheduler.allowed-failures": TRIES - 1,
        "distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S}s",
    }
    with dask.config.set(configuration), quiet_dask():
        if address is not None:
            with _connect(address) as client:
                client.register_plugin(_project_plugin())
                return _submit(client, tasks, on_event)
        with _local_cluster(jobs) as cluster, Client(cluster) as client:
            client.register_plugin(_quick_end_plugin())
            return _submit(client, tasks, on_event)


@contextlib.contextmanager
def quiet_dask() -> Iterator[None]:
    """Keep Dask's notes on its own business out of the bars; what counts is raised."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _local_cluster(jobs: int) -> Iterator[LocalCluster]:
    """Worker processes of one thread each, to the end of the block."""
    with interrupts_blocked():
        cluster = LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
    with cluster:
        yield cluster


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
    client.subscribe_topic(topic_of(tasks[0]), lambda event: on_event(event[1]))
    futures = {
        client.submit(
            _by_value(), pickle.dumps(task), key=f"{topic_of(task)} fold {task.number}"
        ): task.number
        for task in tasks
    }
    for future in as_completed(futures):
        number = futures[future]
        try:
            error = future.result()
        except KilledWorker:
            error = f"its Dask worker died {TRIES} times"
        except CancelledError:
            error = "the scheduler was lost"
        except Exception as reason:  # the worker's own: no project, no memory
            name, text = type(reason).__name__, one_line(reason)[:200]
            error = f"its Dask worker failed ({name}: {text})"
        if error is not None:
            failures[number] = error
    return failures


def topic_of(task: FoldTask) -> str:
    """What events and keys of one run are called; a scheduler may serve several."""
    return f"light-sernet {task.folder}"


def _by_value() -> Callable[[bytes], str | None]:
    """`run_on_worker` for a scheduler that can't import the project.

    A scheduler unpickles what it is given; a local function travels by value, and the
    task in bytes that only the worker opens.
    """

    def run(task: bytes) -> str | None:
        import pickle

        from utils.training.cluster import run_on_worker

        return run_on_worker(pickle.loads(task))

    return run


def run_on_worker(task: FoldTask) -> str | None:
    """One fold, started by a Dask worker; its events go to the client.

    Returns:
        None when done, else one line.

    Raises:
        RuntimeError: The client left; the fold was ended, and goes on from its last
            epoch when the client comes back.
    """
    worker, topic = get_worker(), topic_of(task)
    key = worker.get_current_task()

    def report(event: dict[str, Any]) -> None:
        state = worker.state.tasks.get(key)
        if state is None or state.state == "cancelled":
            raise RuntimeError("the client left")
        worker.log_event(topic, event)

    return try_fold(task, report)


def _project_plugin() -> WorkerPlugin:
    """A plugin that lets every worker, also a later one, import the project.

    The class is local so that it travels by value: the worker can't import it yet.
    """
    folder = str(PROJECT)

    class Project(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            import sys

            if folder not in sys.path:
                sys.path.insert(0, folder)

    return Project()


def _quick_end_plugin() -> WorkerPlugin:
    """A plugin that ends a worker process without waiting for its running fold."""

    class QuickEnd(WorkerPlugin):
        def teardown(self, worker: Any) -> None:
            os._exit(0)

    return QuickEnd()
