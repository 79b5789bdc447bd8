"""A process per fold: its start and supervision, and what it does.

A fold resumes from its own files, so its process may die at any moment; it is then
started again. `python -m utils.training.process FD` reads a pickled job from stdin,
which stays open while the parent lives, and sends events to the file descriptor.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import IO, Any

from filelock import Timeout

from hyperparameters import InputError
from utils.cli import describe, one_line
from utils.files import PROJECT, locked
from utils.processes import stderr_to
from utils.training.job import FoldJob, Report

TRIES = 3
POLL_S = 0.2  # how soon a stop is noticed
LOG_NAME = "worker.log"
BACKEND = "KERAS_BACKEND"
STOPPED = "stopped"


def run_fold(
    job: FoldJob, on_event: Report, is_stopped: Callable[[], bool]
) -> str | None:
    """Run one fold in a process, again if that dies or fails.

    Args:
        job: The fold.
        on_event: Called in this process with every event of the fold.
        is_stopped: If it returns True, the process is killed and not started again.

    Returns:
        None if the fold is done, else one line on what went wrong.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return _run_in_child(job, on_event, is_stopped)
        except ChildProcessError as error:
            reason = str(error)
        if attempt < TRIES:
            on_event({"fold": job.fold.number, "warning": f"{reason}; trying again"})
    return f"{reason}, {TRIES} times; see {job.fold_folder / LOG_NAME}"


def _run_in_child(
    job: FoldJob, on_event: Report, is_stopped: Callable[[], bool]
) -> str | None:
    """Run one fold in a child process; return as `run_fold` does.

    Not `multiprocessing.Process`, which a Dask worker may not start; nor in a thread of
    a Dask worker, where other threads draw from the random state of the weights.

    Raises:
        ChildProcessError: The process died, or failed for no fault of the user's.
    """
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = subprocess.Popen(
        [sys.executable, "-m", "utils.training.process", str(sending.fileno())],
        cwd=PROJECT,
        env=child_environment(job),
        stdin=subprocess.PIPE,
        pass_fds=[sending.fileno()],
        start_new_session=True,  # a terminal's Ctrl-C is for the parent
    )
    sending.close()
    event: dict[str, Any] | None = None
    try:
        _send_job(child, job)
        while not is_stopped():
            if not receiving.poll(POLL_S):
                continue
            event = _next_event(receiving)
            if event is None or "failure" in event or "result" in event:
                break
            on_event(event)
        else:
            return STOPPED
    finally:
        receiving.close()
        child.kill()  # with its result delivered it has nothing left to do
        status = child.wait()
        with contextlib.suppress(OSError):
            _stdin_of(child).close()
    if event is None or "failure" in event:
        raise ChildProcessError(event["failure"] if event else exit_reason(status))
    error: str | None = event["result"]
    return error


def worker_environment(threads: int) -> dict[str, str]:
    """Environment variables that must be set before a training process starts.

    Activations of some MB are allocated and freed at every step: glibc would return
    them to the system and map them again. Dask's own defaults do the opposite.

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


def child_environment(job: FoldJob) -> dict[str, str]:
    """The environment of a fold's process; a backend set here does not leak into it."""
    kept = {name: value for name, value in os.environ.items() if name != BACKEND}
    backend = {} if job.backend is None else {BACKEND: job.backend}
    return kept | worker_environment(job.threads) | backend


def exit_reason(exit_code: int) -> str:
    """How a process ended, in a few words."""
    if exit_code >= 0:
        return f"its process ended with status {exit_code}"
    name = signal.Signals(-exit_code).name
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"


def _send_job(child: subprocess.Popen[bytes], job: FoldJob) -> None:
    """Send the job; the pipe stays open as long as this process lives."""
    with contextlib.suppress(OSError):  # it died
        pickle.dump(job, _stdin_of(child))
        _stdin_of(child).flush()


def _next_event(receiving: Connection) -> dict[str, Any] | None:
    """The child's next event; None if it died, perhaps while sending one."""
    try:
        event: dict[str, Any] = receiving.recv()
    except (EOFError, OSError, pickle.UnpicklingError):
        return None
    return event


def _stdin_of(child: subprocess.Popen[bytes]) -> IO[bytes]:
    """A child's standard input."""
    assert child.stdin is not None, "it was started with a pipe"
    return child.stdin


def main(argv: Sequence[str]) -> None:
    """Run the fold that arrives on stdin; send events, then `result` or `failure`."""
    sending = Connection(int(argv[0]), readable=False)
    job: FoldJob = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        sending.send({"result": run_job(job, sending.send)})
    except Exception as error:  # a bug, or memory: the other folds continue
        text = one_line(error)[:200]
        sending.send({"failure": f"failed ({type(error).__name__}: {text})"})


def run_job(job: FoldJob, report: Report) -> str | None:
    """Run one fold in this process, holding its lock, with stderr in its log.

    Keras is imported here: the parent does without.

    Args:
        job: The fold.
        report: Called with a dict after every epoch and at each stage.

    Returns:
        None if the fold is done, else one line that the user can act on.

    Raises:
        Exception: Any other; its traceback is in the log.
    """
    log = job.fold_folder / LOG_NAME
    try:
        with locked(log.parent).acquire(blocking=False):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as notes, stderr_to(notes), _traceback_printed():
                from utils.training.backend import limit_threads
                from utils.training.fold import train_fold

                limit_threads(job.threads)
                train_fold(job, report)
            log.unlink()
    except Timeout:
        return "another process is training this fold"
    except InputError as mistake:
        return one_line(mistake)
    except OSError as mistake:
        return describe(mistake)
    return None


@contextlib.contextmanager
def _traceback_printed() -> Iterator[None]:
    """Print the traceback of an error that is not the user's to mend."""
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception:
        traceback.print_exc()
        raise


def _die_with_parent() -> None:
    """End this process as soon as its stdin is closed, whatever it is doing."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
