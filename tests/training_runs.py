"""A small DEMO run trained once for all tests, and a process that trains folds."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import pytest
from filelock import FileLock

from dataio import load_dataset
from hyperparameters import from_flat
from utils.corpora import corpus_by_name
from utils.corpora.load import DataPaths
from utils.files import PROJECT, write_json
from utils.protocols.folds import make_folds
from utils.runs import folder as run_folder
from utils.training.job import FoldJob, FoldOptions
from utils.training.process import run_job, worker_environment
from utils.training.run import make_jobs

EPOCHS = 4
# A protocol with training, validation and test sets; DEMO's defaults otherwise
CHANGES = {"duration_s": 0.2, "protocol": "random", "num_folds": 2, "epochs": EPOCHS}
OPTIONS = [
    *("-dn", "DEMO", "-id", "0.2", "--protocol", "random", "--num_folds", "2"),
    *("--epochs", str(EPOCHS), "--record_test_curve"),
]
WAIT_S = 240.0  # a machine under load; what is waited for takes seconds


@dataclasses.dataclass(frozen=True)
class TrainedDemo:
    """What `train.py` left, never killed.

    Attributes:
        derived_dir: Corpus, segments and features.
        folder: The run folder.
        stdout: What the command printed.
        stderr: What it printed there.
    """

    derived_dir: Path
    folder: Path
    stdout: str
    stderr: str

    def record(self, fold: int) -> dict[str, Any]:
        """A fold's record."""
        return read_record(self.folder, fold)


@pytest.fixture(scope="session")
def trained_demo(tmp_path_factory: pytest.TempPathFactory) -> TrainedDemo:
    """Both folds of the small DEMO run; trained once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    is_distributed = "PYTEST_XDIST_WORKER" in os.environ
    home = (base.parent if is_distributed else base) / "trained_demo"
    notes = home.with_suffix(".json")
    with FileLock(home.with_suffix(".lock")):
        if not notes.exists():
            options = ("--jobs", "2", "--tensorboard")
            done = train(home / "data", home / "result", *options)
            assert done.returncode == 0, done.stderr
            texts = {"stdout": done.stdout, "stderr": done.stderr}
            notes.write_text(json.dumps(texts))
    [folder] = (home / "result").iterdir()
    return TrainedDemo(home / "data", folder, **json.loads(notes.read_text()))


@pytest.fixture(scope="session")
def fold_worker() -> Iterator[ProcessPoolExecutor]:
    """A process set up as training sets up its workers; it lives for all tests."""
    with patch.dict(os.environ, worker_environment(1)):
        executor = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        executor.submit(os.getpid).result()
    with executor:
        yield executor


def command(derived_dir: Path, output_dir: Path, *more: str) -> list[str]:
    """The command line of the small run, to be started anywhere."""
    data_paths = ["--derived_dir", str(derived_dir), "--output_dir", str(output_dir)]
    return [sys.executable, str(PROJECT / "train.py"), *OPTIONS, *data_paths, *more]


def train(
    derived_dir: Path, output_dir: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    """Run the small run's command to its end."""
    words = command(derived_dir, output_dir, *more)
    return subprocess.run(words, capture_output=True, text=True, check=False)


def read_record(folder: Path, fold: int) -> dict[str, Any]:
    """A fold's record, unchecked."""
    content: dict[str, Any] = json.loads(
        run_folder.record_path(folder, fold).read_text(encoding="utf-8")
    )
    return content


def results(record: dict[str, Any]) -> dict[str, Any]:
    """All of a record that must be bit-equal between runs, however they went."""
    about = ("command", "commit", "machine", "versions", "time", "trained_by")
    return {
        name: value
        for name, value in record.items()
        if name not in (*about, "seconds", "cpu_seconds")
    }


class FoldStopped(BaseException):
    """Raised when a fold reports an epoch, to end the fold; its state is on disk."""


def make_job(
    derived_dir: Path,
    output_dir: Path,
    number: int = 0,
    *,
    cache: str = "disk",
    **changes: Any,
) -> FoldJob:
    """A fold of the small run, or of one with other settings; as `train.py` makes it.

    Args:
        derived_dir: Corpus, segments and features.
        output_dir: The run folder is made in it.
        number: The fold.
        cache: Of the features.
        **changes: Settings.
    """
    defaults = corpus_by_name("DEMO").defaults
    settings = from_flat({**defaults, "dataset_name": "DEMO", **CHANGES, **changes})
    paths = DataPaths(data_dir=derived_dir, derived_dir=derived_dir, cache=cache)
    dataset = load_dataset(settings, paths)
    folds = make_folds(dataset.manifest.utterances, settings)
    folder = output_dir / run_folder.run_name(settings, dataset.manifest)
    if not (folder / "config.json").exists():
        config = run_folder.make_config(
            settings,
            dataset.manifest,
            num_folds=len(folds),
            command="a test",
            data_paths=paths,
        )
        write_json(folder / run_folder.CONFIG_NAME, config)
    options = FoldOptions(command="a test", record_test_curve=True)
    return make_jobs(dataset, folds, folder, options=options)[number]


def run_here(
    job: FoldJob, at_epoch: Callable[[int], None] = lambda epoch: None
) -> tuple[str | None, list[dict[str, Any]]]:
    """Run a fold in this process; for `fold_worker`.

    Args:
        job: The fold.
        at_epoch: Called after each epoch with its number.

    Returns:
        What `run_job` returns, `stopped` if `at_epoch` did that, and all events.
    """
    events = []

    def report(event: dict[str, Any]) -> None:
        events.append(event)
        if "epoch" in event:
            at_epoch(event["epoch"])

    try:
        return run_job(job, report), events
    except FoldStopped:
        return "stopped", events


@dataclasses.dataclass(frozen=True)
class StopAfter:
    """Ends a fold after an epoch, its state on disk."""

    epoch: int

    def __call__(self, epoch: int) -> None:
        if epoch == self.epoch:
            raise FoldStopped


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Wait until something is so, and return it."""
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for {what}"
        time.sleep(0.05)
    return found


def fold_processes(parent: int | None = None) -> list[psutil.Process]:
    """The processes that train for another one, or for this one."""
    found = []
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "utils.training.process" in child.cmdline():
                found.append(child)
    return found


def fold_lock(folder: Path, fold: int) -> Path:
    """The lock of a fold, beside its folder."""
    path = run_folder.fold_folder(folder, fold)
    return path.with_name(f".{path.name}.lock")


def epochs_on_disk(folder: Path, fold: int) -> set[tuple[str, int]]:
    """State files of a fold with their times: changes with every epoch."""
    states = run_folder.fold_folder(folder, fold).glob("state_*.npz")
    return {(path.name, path.stat().st_mtime_ns) for path in states}


def state_of(path: Path) -> dict[str, Any]:
    """The numbers and texts in a state file."""
    with np.load(path) as archive:
        scalars: dict[str, Any] = json.loads(archive["scalars"].tobytes())
    return scalars


def edit_state(path: Path, **changes: Any) -> None:
    """Replace numbers and texts in a state file; None removes one."""
    scalars = {k: v for k, v in (state_of(path) | changes).items() if v is not None}
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["scalars"] = np.frombuffer(json.dumps(scalars).encode(), np.uint8)
    np.savez(path, **arrays)
