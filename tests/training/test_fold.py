"""One fold: the same results whatever happens to it on the way."""

import errno
import os
import resource
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from training_runs import (
    StopAfter,
    TrainedDemo,
    edit_state,
    epochs_on_disk,
    make_job,
    read_record,
    results,
    run_here,
    state_of,
)

from dataio import load_dataset
from hyperparameters import Settings, from_flat, to_flat
from utils.corpora.load import DataPaths
from utils.runs import folder as run_folder
from utils.training.fit import build_model
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


def limit_files(size: int | None = None) -> None:
    """Set the largest size of a file, bytes; None: the largest that is allowed."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size or hard, hard))


def fill_disk(epoch: int) -> None:
    """After the first epoch no file may grow beyond 1 MiB."""
    limit_files(1 << 20)


def test_a_fold_that_is_stopped_in_three_ways_is_bit_equal(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, job: FoldJob, run: Run
) -> None:
    """By a full disk, after an epoch, and with a damaged state on another machine."""
    error, epochs, _ = run(job, fill_disk)
    fold_worker.submit(limit_files).result()
    assert epochs == [0], "the next epoch could not be saved"
    assert os.strerror(errno.EFBIG) in str(error)
    assert "\n" not in str(error)
    assert not list(job.folder.rglob("*.part"))
    assert run(job, StopAfter(2))[:2] == ("stopped", [1, 2])
    older, newest = sorted(job.fold_folder.glob("state_*.npz"), key=os.path.getmtime)
    os.truncate(newest, newest.stat().st_size // 2)
    [begun] = state_of(older)["trained_by"]
    other = begun | {"commit": "abc", "threads": 2}
    edit_state(older, trained_by=[other])
    _, epochs, events = run(job)
    assert epochs == [2, 3]
    damage, change = [event["warning"] for event in events if "warning" in event]
    assert damage.startswith(f"{newest}: damaged")
    assert change.startswith(
        f"resumed after epoch 2 with commit abc, now {begun['commit']}; threads 2, "
        "now 1: results may differ"
    )
    record = read_record(job.folder, 0)
    assert results(record) == results(trained_demo.record(0))
    assert (record["backend"], record["threads"]) == ("tensorflow", 1)
    assert record["trained_by"] == [other, begun | {"from_epoch": 2}]
    left = {path.name for path in job.fold_folder.iterdir()}
    assert "weights.keras" in left
    assert not {name for name in left if name.startswith(("state", ".", "worker"))}


def test_weights_are_drawn_from_seed_and_fold(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    def first_weight(fold: int, seed: int) -> float:
        job = make_job(trained_demo.derived_dir, tmp_path, fold, seed=seed)
        return float(build_model(job).get_weights()[0].flat[0])

    drawn = [first_weight(*pair) for pair in ((0, 42), (0, 42), (1, 42), (0, 43))]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


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
    assert len(epochs_on_disk(job.folder, 0)) == 1


def test_a_finished_fold_is_exported_again_only_from_its_own_weights(
    trained_demo: TrainedDemo, job: FoldJob, run: Run
) -> None:
    shutil.copytree(trained_demo.folder, job.folder, dirs_exist_ok=True)
    record = run_folder.record_path(job.folder, 0)
    weights, others = (run_folder.weights_path(job.folder, n) for n in (0, 1))
    before = record.read_bytes()
    assert run(job)[:2] == (None, [])
    again = replace(job, options=FoldOptions(export_again=True))
    shutil.copy(others, weights)
    assert "so they are of another training" in str(run(again)[0])
    os.truncate(weights, 1000)
    assert f"{weights}: cannot be loaded by Keras" in str(run(again)[0])
    weights.unlink()
    for options in (again.options, FoldOptions(fused=True)):
        error = run(replace(job, options=options))[0]
        assert f"{weights} is missing; only the fold's record was copied" in str(error)
    assert record.read_bytes() == before
