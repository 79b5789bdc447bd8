"""The process that runs one fold: it may die at any moment, and dies with its parent.

`utils.training.workers` starts `python -m utils.training.process FD`. The task comes,
pickled, from stdin, which stays open while the parent lives; events go to the
file descriptor.
"""

import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from filelock import Timeout

from dataio import load_dataset
from hyperparameters import InputError
from utils.cli import describe, one_line
from utils.files import locked
from utils.processes import stderr_to
from utils.protocols.folds import make_folds
from utils.runs.folder import fold_folder, run_hash
from utils.training.job import FoldJob, FoldTask
from utils.training.workers import LOG_NAME, TRIES

Events = Callable[[dict[str, Any]], None]


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
        with locked(log.parent).acquire(blocking=False):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as notes, stderr_to(notes):
                error = _run_fold_with_retries(task, report)
            if error is None:
                log.unlink()
    except Timeout:
        error = "another process is training this fold"
    except InputError as mistake:
        error = one_line(mistake)
    except OSError as mistake:
        error = describe(mistake)
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
    from utils.training.backend import limit_threads
    from utils.training.record import train_fold

    limit_threads(task.threads)
    dataset = load_dataset(task.settings, task.data_paths)
    if run_hash(task.settings, dataset.manifest) != task.run_hash:
        raise InputError(
            f"{dataset.manifest.corpus} is not what it was when the run began (files "
            "were added, removed or altered, or this worker sees others): put it back, "
            "or give the command again for a run of its own on what is there now"
        )
    fold = make_folds(dataset.manifest.utterances, task.settings)[task.number]
    job = FoldJob(
        dataset=dataset,
        fold=fold,
        folder=task.folder,
        run_hash=task.run_hash,
        num_folds=task.num_folds,
        options=task.options,
        threads=task.threads,
    )
    train_fold(job, report)


def main(argv: Sequence[str]) -> None:
    """Run the fold that comes from stdin."""
    sending = Connection(int(argv[0]), readable=False)
    task: FoldTask = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    sending.send({"result": run_task(task, sending.send)})


def _die_with_parent() -> None:
    """End this process when nobody holds its stdin any more, whatever it is doing."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
