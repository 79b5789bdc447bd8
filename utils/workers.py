"""Folds in worker processes: one child, a local Dask cluster, or a running one.

A fold resumes from its own files, so that a worker may die at any moment; it is tried
three times. Whoever runs a fold holds its lock.
"""

import contextlib
import multiprocessing
import socket
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from filelock import Timeout

from dataio import load_dataset
from hyperparameters import InputError
from utils.cli import describe, one_line
from utils.files import locked
from utils.fold_job import FoldJob, FoldTask
from utils.folds import make_folds
from utils.processes import (
    death_note,
    die_with_parent,
    environment,
    interrupts_blocked,
    stderr_to,
)
from utils.run_folder import fold_folder

TRIES = 3
EXIT_TIMEOUT_S = 5.0  # for a worker that has delivered its result
LOG_NAME = "worker.log"
Events = Callable[[dict[str, Any]], None]


class FoldStopped(BaseException):
    """Raised where a fold reports, to end it there; its state is on disk."""


def worker_environment(threads: int) -> dict[str, str]:
    """What must be set before a worker process starts.

    Activations of some MB are allocated and freed at every step: glibc would return
    them to the system and fault them in again. Dask's own defaults do the opposite.

    Args:
        threads: Threads of TensorFlow and of the numeric libraries.
    """
    return {
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
        "MALLOC_TOP_PAD_": str(256 << 20),
    }


def run_task(task: FoldTask, report: Events) -> dict[str, Any]:
    """Run one fold in this process.

    Args:
        task: The fold.
        report: Called with a dict after every epoch.

    Returns:
        `{"fold": n}`, with `"error"`, one line, where the user must mend something.
    """
    log = fold_folder(task.folder, task.number) / LOG_NAME
    try:
        with locked(log.parent).acquire(blocking=False), stderr_to(log):
            error = _run_fold_with_retries(task, report)
            if error is None:
                log.unlink(missing_ok=True)
    except Timeout:
        error = "another process is training this fold"
    except InputError as mistake:
        error = one_line(mistake)
    except OSError as mistake:
        error = describe(mistake)
    except FoldStopped:
        error = "stopped"
    return {"fold": task.number} | ({} if error is None else {"error": error})


def _run_fold_with_retries(task: FoldTask, report: Events) -> str | None:
    """Run one fold, again where it fails for no fault of the user's.

    Returns:
        None when done, else one line; the tracebacks are in the fold's log.

    Raises:
        InputError: The user must mend something.
        OSError: A file cannot be written or read.
    """
    for attempt in range(1, TRIES + 1):
        try:
            _run_fold(task, report)
        except (InputError, OSError):
            raise
        except Exception as error:  # a bug, or memory: the other folds go on
            traceback.print_exc()
            text = one_line(error)[:200]
            line = f"failed ({type(error).__name__}: {text})"
            if attempt < TRIES:
                report({"fold": task.number, "warning": f"{line}, trying again"})
        else:
            return None
    return f"{line} {TRIES} times; see {LOG_NAME} in its folder"


def _run_fold(task: FoldTask, report: Events) -> None:
    """Load the data and train; imports Keras, which only workers need."""
    from utils.training import limit_threads, train_fold

    limit_threads(task.threads)
    dataset = load_dataset(task.settings, task.places)
    fold = make_folds(dataset.manifest.utterances, task.settings)[task.number]
    job = FoldJob(
        dataset=dataset,
        fold=fold,
        folder=task.folder,
        run_hash=task.run_hash,
        num_folds=task.num_folds,
        options=task.options,
    )
    train_fold(job, report)


def run_tasks(
    tasks: Sequence[FoldTask],
    on_event: Events,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
) -> dict[int, str]:
    """Run folds, some at once.

    Args:
        tasks: The folds.
        on_event: Called in this process with every event of every fold.
        jobs: Folds at once on this machine.
        scheduler: Address of a running Dask scheduler; its workers then decide.

    Returns:
        One line for each fold that failed, by number; empty when all are done.

    Raises:
        InputError: The scheduler cannot be reached.
    """
    if scheduler is None and (jobs == 1 or len(tasks) == 1):
        return _run_in_children(tasks, on_event)
    if scheduler is None and not has_loopback():
        on_event({"warning": "no loopback network: folds run one at a time"})
        return _run_in_children(tasks, on_event)
    from utils.cluster import run_on_dask

    return run_on_dask(tasks, on_event, jobs=min(jobs, len(tasks)), address=scheduler)


def has_loopback() -> bool:
    """Whether 127.0.0.1 answers; in an empty network namespace it does not."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=1).close()
    except OSError:
        return False
    return True


def _run_in_children(tasks: Sequence[FoldTask], on_event: Events) -> dict[int, str]:
    """One child process after the other."""
    outcomes = {task.number: _try(task, on_event) for task in tasks}
    return {number: error for number, error in outcomes.items() if error is not None}


def _try(task: FoldTask, on_event: Events) -> str | None:
    """One fold, again when its process dies; None when done, else what went wrong."""
    for _ in range(TRIES):
        try:
            return _run_in_child(task, on_event)
        except ChildProcessError as error:
            on_event({"fold": task.number, "warning": str(error)})
    log = fold_folder(task.folder, task.number) / LOG_NAME
    return f"its process died {TRIES} times; see {log}"


def _run_in_child(task: FoldTask, on_event: Events) -> str | None:
    """Run one fold in a child process; None when done, else the user's error.

    Raises:
        ChildProcessError: The process died.
    """
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    with environment(worker_environment(task.threads)), interrupts_blocked():
        child = context.Process(target=_child_main, args=(task, sending))
        child.start()
    sending.close()
    result: dict[str, Any] | None = None
    try:
        with contextlib.suppress(EOFError, ConnectionResetError):
            while result is None:
                event = receiving.recv()
                if "result" in event:
                    result = event["result"]
                else:
                    on_event(event)
        child.join(EXIT_TIMEOUT_S)
    finally:
        child.kill()
        child.join()
    if result is None:
        raise ChildProcessError(death_note(child.exitcode))
    error: str | None = result.get("error")
    return error


def _child_main(task: FoldTask, sending: Connection) -> None:
    """A child process: dies with its parent."""
    die_with_parent()
    sending.send({"result": run_task(task, sending.send)})
