"""Folds in worker processes: one child, a local Dask cluster, or a running one.

A fold resumes from its own files, so that a worker may die at any moment; it is tried
three times. Whoever runs a fold holds its lock.
"""

import contextlib
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import IO, Any

from utils.files import PROJECT
from utils.processes import exit_reason
from utils.runs.folder import fold_folder
from utils.training.job import FoldTask

TRIES = 3
LOG_NAME = "worker.log"
BACKEND = "KERAS_BACKEND"
Events = Callable[[dict[str, Any]], None]


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
    from utils.training.cluster import run_on_dask

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
    outcomes = {task.number: try_fold(task, on_event) for task in tasks}
    return {number: error for number, error in outcomes.items() if error is not None}


def try_fold(task: FoldTask, on_event: Events) -> str | None:
    """Run one fold in a process of its own, again when that dies.

    Args:
        task: The fold.
        on_event: Called here with every event of the fold; what it raises ends the
            process.

    Returns:
        None when done, else one line on what went wrong.
    """
    for _ in range(TRIES):
        try:
            return _run_in_child(task, on_event)
        except ChildProcessError as error:
            on_event({"fold": task.number, "warning": str(error)})
    log = fold_folder(task.folder, task.number) / LOG_NAME
    return f"its process died {TRIES} times; see {log}"


def _run_in_child(task: FoldTask, on_event: Events) -> str | None:
    """Run one fold in a child process; None when done, else the user's error.

    No `multiprocessing.Process`: a Dask worker may not start one. No fold in a Dask
    worker itself: its other threads draw from the random state that weights come from.

    Raises:
        ChildProcessError: The process died.
    """
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = subprocess.Popen(
        [sys.executable, "-m", "utils.training.process", str(sending.fileno())],
        cwd=PROJECT,
        env=child_environment(task),
        stdin=subprocess.PIPE,
        pass_fds=[sending.fileno()],
        start_new_session=True,  # a terminal's Ctrl-C is for the parent
    )
    sending.close()
    result: dict[str, Any] | None = None
    try:
        _give(child, task)
        while result is None:
            event = _next_event(receiving)
            if event is None:
                break
            result = event.get("result")
            if result is None:
                on_event(event)
    finally:
        receiving.close()
        child.kill()  # with its result delivered it has nothing left to do
        status = child.wait()
        with contextlib.suppress(OSError):
            _input_of(child).close()
    if result is None:
        raise ChildProcessError(exit_reason(status))
    error: str | None = result.get("error")
    return error


def child_environment(task: FoldTask) -> dict[str, str]:
    """The environment of a fold's process, whatever backend ran here before."""
    kept = {name: value for name, value in os.environ.items() if name != BACKEND}
    own = {} if task.backend is None else {BACKEND: task.backend}
    return kept | worker_environment(task.threads) | own


def _give(child: subprocess.Popen[bytes], task: FoldTask) -> None:
    """Send the task; the pipe stays open as long as this process lives."""
    with contextlib.suppress(OSError):  # it died
        pickle.dump(task, _input_of(child))
        _input_of(child).flush()


def _next_event(receiving: Connection) -> dict[str, Any] | None:
    """What a child tells next; None when it died, maybe in mid-word."""
    try:
        event: dict[str, Any] = receiving.recv()
    except (EOFError, OSError, pickle.UnpicklingError):
        return None
    return event


def _input_of(child: subprocess.Popen[bytes]) -> IO[bytes]:
    """A child's standard input."""
    assert child.stdin is not None, "it was started with a pipe"
    return child.stdin
