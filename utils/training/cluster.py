"""Folds on the workers of a running Dask scheduler (`--scheduler`)."""

import contextlib
import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from distributed import Client, WorkerPlugin, as_completed, get_worker
from distributed.scheduler import KilledWorker

from hyperparameters import InputError
from utils.cli import one_line
from utils.files import PROJECT
from utils.training.job import FoldJob, Report
from utils.training.process import run_fold

CONNECT_TIMEOUT_S = 15


def run_on_dask(
    jobs: Sequence[FoldJob], on_event: Report, address: str
) -> dict[int, str]:
    """Run folds on Dask workers.

    Args:
        jobs: The folds, all of one run, with absolute paths.
        on_event: Called with every event of every fold.
        address: The scheduler's address. Its workers must see the same files; they
            need not have been started in the project.

    Returns:
        One line per fold that failed, by fold number.

    Raises:
        InputError: No scheduler answers at `address`.
    """
    with _quiet_dask(), _connect(address) as client:
        client.register_plugin(_project_plugin())
        return _submit(client, jobs, on_event)


@contextlib.contextmanager
def _quiet_dask() -> Iterator[None]:
    """Silence Dask's logger; errors still propagate."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _connect(address: str) -> Client:
    """A client of a running scheduler.

    Raises:
        InputError: None answers.
    """
    try:
        return Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--scheduler {address}: no Dask scheduler answers ({error}); start one "
            "with `dask scheduler`, or leave the option out"
        ) from error


def _submit(
    client: Client, jobs: Sequence[FoldJob], on_event: Report
) -> dict[int, str]:
    """Submit every fold and collect the failures."""
    failures = {}
    client.subscribe_topic(_topic_of(jobs[0]), lambda event: on_event(event[1]))
    futures = {
        client.submit(
            _by_value(),
            pickle.dumps(job),
            key=f"{_topic_of(job)} fold {job.fold.number}",
        ): job.fold.number
        for job in jobs
    }
    for future in as_completed(futures):
        try:
            error = future.result()
        except KilledWorker:
            error = "its Dask worker died again and again"
        except CancelledError:
            error = "the connection to the scheduler was lost"
        except Exception as reason:  # on the worker: no project, no memory
            name, text = type(reason).__name__, one_line(reason)[:200]
            error = f"its Dask worker failed ({name}: {text})"
        if error is not None:
            failures[futures[future]] = error
    return failures


def _topic_of(job: FoldJob) -> str:
    """Name of one run's events and keys; a scheduler may serve several runs."""
    return f"light-sernet {job.folder}"


def _by_value() -> Callable[[bytes], str | None]:
    """`run_on_worker`, for a scheduler that cannot import the project.

    A scheduler unpickles what it is sent. A local function travels by value, and the
    job as bytes that only the worker unpickles.
    """

    def run(pickled: bytes) -> str | None:
        import pickle

        from utils.training.cluster import run_on_worker

        return run_on_worker(pickle.loads(pickled))

    return run


def run_on_worker(job: FoldJob) -> str | None:
    """Run one fold on this Dask worker; its events go to the client.

    If the client leaves, the fold is stopped; it resumes from its last epoch when the
    client comes back.

    Returns:
        None if the fold is done, else one line.
    """
    worker = get_worker()
    key = worker.get_current_task()

    def has_client_left() -> bool:
        state = worker.state.tasks.get(key)
        return state is None or state.state == "cancelled"

    def report(event: dict[str, Any]) -> None:
        worker.log_event(_topic_of(job), event)

    return run_fold(job, report, has_client_left)


def _project_plugin() -> WorkerPlugin:
    """A plugin that lets every worker, also a later one, import the project.

    The class is local so that it travels by value: the worker cannot import it yet.
    """
    folder = str(PROJECT)

    class Project(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            import sys

            if folder not in sys.path:
                sys.path.insert(0, folder)

    return Project()
