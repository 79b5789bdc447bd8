"""The folds of a run: what is left to do, how many at once, and their supervision."""

import ctypes.util
import importlib.util
import os
import queue
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dataio import Dataset
from utils.model_files.starting import StartingModel
from utils.processes import usable_cores
from utils.protocols.folds import Fold
from utils.runs.folder import commit, read_record, run_hash, weights_path
from utils.training.job import FoldJob, FoldOptions, Report, needs_export
from utils.training.process import BACKEND, run_fold


def make_jobs(
    dataset: Dataset,
    folds: Sequence[Fold],
    folder: Path,
    *,
    options: FoldOptions,
    threads: int | None = None,
    start: StartingModel | None = None,
) -> list[FoldJob]:
    """One job per fold of a run.

    Args:
        dataset: Corpus, features and settings.
        folds: All folds of the run.
        folder: The run folder, absolute.
        options: What does not affect the result.
        threads: Threads per fold; None means 1, or all cores with a GPU.
        start: The model whose weights training starts from, or None.
    """
    return [
        FoldJob(
            dataset=dataset,
            fold=fold,
            num_folds=len(folds),
            folder=folder,
            run_hash=run_hash(dataset.settings, dataset.manifest),
            options=options,
            threads=threads or (usable_cores() if has_gpu() else 1),
            backend=os.environ.get(BACKEND),
            start=start,
        )
        for fold in folds
    ]


def has_work(job: FoldJob) -> bool:
    """Whether a fold is to be trained or exported; print why not if that is unexpected.

    Raises:
        InputError: The fold's record is damaged or belongs to another run.
    """
    number = job.fold.number
    record = read_record(job.folder, number, job.run_hash)
    if record is None:
        if job.options.export_again:
            print(f"fold {number}: not finished, passed over", file=sys.stderr)
        return not job.options.export_again
    if not needs_export(record, job.options):
        return False
    has_weights = weights_path(job.folder, number).exists()
    if not has_weights:
        print(f"fold {number}: no weights here, left as it is", file=sys.stderr)
    return has_weights


def commit_warning(finished: Sequence[FoldJob]) -> list[str]:
    """A line if some folds were finished by another commit of the project.

    Args:
        finished: Folds that have no work left, or that are not to be run now.

    Raises:
        InputError: A fold's record is damaged or belongs to another run.
    """
    records = [
        read_record(job.folder, job.fold.number, job.run_hash) for job in finished
    ]
    made_by = {
        part.get("commit")
        for record in filter(None, records)
        for part in (record, *record.get("trained_by", ()))
    }
    if others := sorted(filter(None, made_by - {commit()})):
        return [
            f"warning: finished folds were made with commit {', '.join(others)}, now "
            f"{commit()}: if the code differs, so may their results"
        ]
    return []


def has_gpu() -> bool:
    """Whether an NVIDIA GPU and its libraries are installed, without a slow import.

    TensorFlow's wheel computes on the CPU if cuDNN is not installed beside it.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    has_device = any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()
    return has_device and (
        importlib.util.find_spec("nvidia") is not None  # as pip installs them
        or ctypes.util.find_library("cudnn") is not None
    )


def default_jobs(threads: int | None) -> int:
    """Folds to train at once: as many as the cores allow, or one with a GPU."""
    return 1 if has_gpu() else max(1, usable_cores() // (threads or 1))


def run_folds(
    jobs: Sequence[FoldJob],
    on_event: Report,
    *,
    at_once: int = 1,
    scheduler: str | None = None,
) -> dict[int, str]:
    """Run folds, each in a child process that a thread waits for.

    Events are handled in the calling thread; if it is interrupted, the child processes
    are killed.

    Args:
        jobs: The folds, all of one run.
        on_event: Called with every event of every fold.
        at_once: Folds at once on this machine.
        scheduler: Address of a running Dask scheduler, whose workers run the folds.

    Returns:
        One line per fold that failed, by fold number.

    Raises:
        InputError: The scheduler does not answer.
    """
    if scheduler is not None:
        from utils.training.cluster import run_on_dask  # an optional package

        return run_on_dask(jobs, on_event, scheduler)
    events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    stop, pool = threading.Event(), ThreadPoolExecutor(at_once)
    try:
        futures = {
            job.fold.number: pool.submit(run_fold, job, events.put, stop.is_set)
            for job in jobs
        }
        for future in futures.values():
            future.add_done_callback(lambda _: events.put(None))
        for _ in jobs:
            while (event := events.get()) is not None:
                on_event(event)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    outcomes = {number: future.result() for number, future in futures.items()}
    return {number: error for number, error in outcomes.items() if error is not None}
