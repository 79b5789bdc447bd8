"""One fold: the same results whatever happens to it on the way."""

import errno
import json
import os
import resource
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_runs import (
    EPOCHS,
    StopAfter,
    TrainedDemo,
    epochs_on_disk,
    make_job,
    read_record,
    results,
    run_here,
)

from dataio import load_dataset
from hyperparameters import Settings, from_flat, to_flat
from utils.corpora.load import DataPaths
from utils.report import render as report
from utils.runs import folder as run_folder
from utils.training.job import FoldJob, FoldOptions

# Trains a fold in the worker: error, epochs trained, all events
Run = Callable[..., tuple[str | None, list[int], list[dict[str, Any]]]]


@pytest.fixture
def job(trained_demo: TrainedDemo, tmp_path: Path) -> FoldJob:
    """Fold 0 of the small run, not trained."""
    return make_job(trained_demo.derived_dir, tmp_path)


@pytest.fixture
def run(fold_worker: ProcessPoolExecutor) -> Run:
    """Run a fold in the worker process."""

    def call(*arguments: Any) -> tuple[str | None, list[int], list[dict[str, Any]]]:
        error, events = fold_worker.submit(run_here, *arguments).result()
        return error, [e["epoch"] for e in events if "epoch" in e], events

    return call


def assert_same_as(trained_demo: TrainedDemo, job: FoldJob) -> None:
    """The fold's record is that of the fold that was never stopped."""
    assert results(read_record(job.folder, 0)) == results(trained_demo.record(0))


def test_a_fold_stopped_twice_is_bit_equal(
    trained_demo: TrainedDemo, job: FoldJob, run: Run
) -> None:
    assert run(job, StopAfter(0))[:2] == ("stopped", [0])
    assert run(job, StopAfter(2))[:2] == ("stopped", [1, 2])
    assert run(job)[:2] == (None, [3])
    assert_same_as(trained_demo, job)
    left = {path.name for path in job.fold_folder.iterdir()}
    assert "weights.keras" in left
    assert not {name for name in left if name.startswith(("state", ".", "worker"))}


def test_a_resume_under_other_conditions_is_warned_of_and_recorded(
    job: FoldJob, run: Run
) -> None:
    """As of one thread and of two; this process can't change its number any more."""
    run(job, StopAfter(EPOCHS - 2))
    for path in job.fold_folder.glob("state_*.npz"):
        with np.load(path) as archive:
            arrays = dict(archive)
        scalars = json.loads(arrays["scalars"].tobytes())
        [begun] = scalars["trained_by"]
        scalars["trained_by"] = [begun | {"commit": "abc", "threads": 2}]
        arrays["scalars"] = np.frombuffer(json.dumps(scalars).encode(), np.uint8)
        np.savez(path, **arrays)
    _, _, events = run(job)
    [warning] = [event["warning"] for event in events if "warning" in event]
    assert warning.startswith(
        f"resumed after epoch {EPOCHS - 1} with commit abc, now {begun['commit']}; "
        "threads 2, now 1: results may differ"
    )
    record = read_record(job.folder, 0)
    assert record["trained_by"] == [
        begun | {"commit": "abc", "threads": 2},
        begun | {"from_epoch": EPOCHS - 1},
    ]
    assert (record["backend"], record["threads"]) == ("tensorflow", 1)
    assert record["device"] == begun["device"]


def test_damaged_state_costs_an_epoch_and_changes_nothing(
    trained_demo: TrainedDemo, job: FoldJob, run: Run
) -> None:
    run(job, StopAfter(1))
    states = job.fold_folder.glob("state_*.npz")
    newest = max(states, key=lambda path: path.stat().st_mtime_ns)
    os.truncate(newest, newest.stat().st_size // 2)
    _, epochs, events = run(job)
    [warning] = [event["warning"] for event in events if "warning" in event]
    assert warning.startswith(f"{newest}: damaged")
    assert epochs == list(range(1, EPOCHS))
    assert_same_as(trained_demo, job)


@dataclass(frozen=True)
class FullDisk:
    """From epoch 1 on no file may grow beyond 1 MiB."""

    folder: Path

    def __call__(self, epoch: int) -> None:
        if epoch == 1:
            self.limit(1 << 20)

    def undo(self) -> None:
        """Let files grow again."""
        self.limit(resource.getrlimit(resource.RLIMIT_FSIZE)[1])

    @staticmethod
    def limit(size: int) -> None:
        """Set the largest size of a file, bytes."""
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


@dataclass(frozen=True)
class ClosedFolder:
    """From epoch 1 on the fold's folder takes no file from this process.

    chmod means nothing to root: there the process becomes another user first.
    """

    folder: Path
    user: int = 65534

    def __call__(self, epoch: int) -> None:
        if epoch == 1:
            self.folder.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
            if os.geteuid() == 0:
                os.seteuid(self.user)

    def undo(self) -> None:
        """Make the folder writable again."""
        if os.getuid() == 0:
            os.seteuid(0)
        self.folder.chmod(stat.S_IRWXU)


@pytest.mark.parametrize(
    ("obstacle", "number"), [(FullDisk, errno.EFBIG), (ClosedFolder, errno.EACCES)]
)
@pytest.mark.usefixtures("nobody")
def test_a_folder_that_takes_no_state_is_one_line_and_the_fold_resumes_when_mended(
    trained_demo: TrainedDemo,
    fold_worker: ProcessPoolExecutor,
    tmp_path: Path,
    job: FoldJob,
    run: Run,
    obstacle: Callable[[Path], Any],
    number: int,
) -> None:
    for part in (*tmp_path.parents, tmp_path):
        if not part.stat().st_mode & stat.S_IXOTH and part.owner() == "root":
            part.chmod(part.stat().st_mode | stat.S_IXOTH)  # pytest's are private
    hindered = obstacle(job.fold_folder)
    try:
        error, _, _ = run(job, hindered)
    finally:
        fold_worker.submit(hindered.undo).result()
    assert os.strerror(number) in str(error)
    assert "\n" not in str(error)
    assert not list(job.folder.rglob("*.part"))
    assert run(job)[:2] == (None, list(range(2, EPOCHS)))
    assert_same_as(trained_demo, job)


def test_first_epoch_depends_on_seed_and_fold_alone(
    trained_demo: TrainedDemo, run: Run, tmp_path: Path
) -> None:
    losses = {}
    for name, fold, seed in (("again", 0, 42), ("fold", 1, 42), ("seed", 0, 43)):
        job = make_job(trained_demo.derived_dir, tmp_path / name, fold, seed=seed)
        losses[name] = np.float32(run(job, StopAfter(0))[2][0]["loss"])
    first = [np.float32(trained_demo.record(n)["history"]["loss"][0]) for n in (0, 1)]
    assert [losses["again"], losses["fold"]] == first
    assert len({losses["seed"], *first}) == 3


def test_a_diverged_training_is_one_line_and_leaves_no_state(
    trained_demo: TrainedDemo, run: Run, tmp_path: Path
) -> None:
    job = make_job(trained_demo.derived_dir, tmp_path, learning_rate=1e30)
    error, _, events = run(job)
    assert str(error).startswith("training diverged: ")
    assert str(error).endswith(
        "after epoch 1 of 4; give a smaller --learning_rate than 1e+30"
    )
    assert events == []
    assert epochs_on_disk(job.folder, 0) == set()


@dataclass(frozen=True)
class ReplaceSegments:
    """After epoch 0 another run makes other segments in the same folder."""

    settings: Settings
    derived_dir: Path

    def __call__(self, epoch: int) -> None:
        if epoch == 0:
            other = from_flat({**to_flat(self.settings), "normalise_percentile": 50.0})
            paths = DataPaths(data_dir=self.derived_dir, derived_dir=self.derived_dir)
            load_dataset(other, paths)


def test_no_epoch_is_kept_that_read_another_runs_segments(
    trained_demo: TrainedDemo, run: Run, tmp_path: Path
) -> None:
    derived_dir = tmp_path / "data"
    shutil.copytree(trained_demo.derived_dir, derived_dir)
    job = make_job(derived_dir, tmp_path, cache="None")
    error, epochs, _ = run(job, ReplaceSegments(job.settings, derived_dir))
    assert "replaced by another run with other settings" in str(error)
    assert epochs == [0]
    again = make_job(derived_dir, tmp_path, cache="None")
    assert run(again)[:2] == (None, list(range(1, EPOCHS)))
    assert_same_as(trained_demo, again)


@pytest.mark.parametrize("protocol", ["paper", "random", "speaker", "all"])
def test_every_protocol_trains_and_reports(
    trained_demo: TrainedDemo, run: Run, tmp_path: Path, protocol: str
) -> None:
    select = "last" if protocol == "speaker" else "best"  # two folds: nobody validates
    changes = {"protocol": protocol, "select": select, "epochs": 1}
    job = make_job(trained_demo.derived_dir, tmp_path, **changes)
    assert run(job)[0] is None
    record = read_record(job.folder, 0)
    assert len(record["probabilities"]["int8"]) == len(record["test"])
    assert bool(record["test"]) == (protocol != "all")
    assert not set(record["train"]) & set(record["test"])
    rendered = report.render(job.folder)
    assert rendered.headline.startswith("DEMO")
    assert rendered.report.exists()


def test_finished_fold_is_exported_again_only_from_its_own_weights(
    trained_demo: TrainedDemo, job: FoldJob, run: Run
) -> None:
    shutil.copytree(trained_demo.folder, job.folder, dirs_exist_ok=True)
    record, weights = (
        run_folder.record_path(job.folder, 0),
        run_folder.weights_path(job.folder, 0),
    )
    before = record.read_bytes()
    assert run(job)[:2] == (None, [])
    again = replace(job, options=FoldOptions(export_again=True))
    shutil.copy(run_folder.weights_path(job.folder, 1), weights)
    assert "so they are of another training" in str(run(again)[0])
    os.truncate(weights, 1000)
    assert f"{weights}: cannot be loaded by Keras" in str(run(again)[0])
    weights.unlink()
    for options in (again.options, FoldOptions(fused=True)):
        error = run(replace(job, options=options))[0]
        assert f"{weights} is missing; only the fold's record was copied" in str(error)
    assert record.read_bytes() == before
