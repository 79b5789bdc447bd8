"""One fold: the same results whatever happens to it on the way."""

import errno
import json
import os
import resource
import shutil
import stat
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from training_runs import (
    EPOCHS,
    StopAfter,
    TrainedDemo,
    epochs_on_disk,
    make_task,
    read_record,
    results,
    run_here,
)

from dataio import load_dataset
from utils.report import render as report
from utils.runs import folder as run_folder
from utils.training.job import FoldOptions, FoldTask


def test_a_fold_stopped_twice_is_bit_equal(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    task = make_task(trained_demo.derived_dir, tmp_path)
    seen = []
    for epoch in (0, 2, EPOCHS):
        outcome, events = fold_worker.submit(run_here, task, StopAfter(epoch)).result()
        seen += [event["epoch"] for event in events if "epoch" in event]
        assert outcome.get("error") == (None if epoch == EPOCHS else "stopped")
    assert seen == list(range(EPOCHS)), "no epoch is trained twice"
    assert results(read_record(task.folder, 0)) == results(trained_demo.record(0))
    left = {path.name for path in run_folder.fold_folder(task.folder, 0).iterdir()}
    assert "weights.keras" in left
    assert not {name for name in left if name.startswith(("state", ".", "worker"))}


def test_a_resume_under_other_conditions_is_warned_of_and_recorded(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    """As of one thread and of two; this process can't change its number any more."""
    task = make_task(trained_demo.derived_dir, tmp_path, epochs=2)
    fold_worker.submit(run_here, task, StopAfter(0)).result()
    [path] = run_folder.fold_folder(task.folder, 0).glob("state_*.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    scalars = json.loads(arrays["scalars"].tobytes())
    [begun] = scalars["trained_by"]
    scalars["trained_by"] = [begun | {"commit": "abc", "threads": 2}]
    arrays["scalars"] = np.frombuffer(json.dumps(scalars).encode(), np.uint8)
    np.savez(path, **arrays)
    _, events = fold_worker.submit(run_here, task).result()
    [warning] = [event["warning"] for event in events if "warning" in event]
    assert warning.startswith(
        f"resumed after epoch 1 with commit abc, now {begun['commit']}; threads 2, "
        "now 1: results may differ"
    )
    record = read_record(task.folder, 0)
    assert record["trained_by"] == [
        begun | {"commit": "abc", "threads": 2},
        begun | {"from_epoch": 1},
    ]
    assert (record["backend"], record["threads"]) == ("tensorflow", 1)
    assert record["device"] == begun["device"]


def test_damaged_state_costs_an_epoch_and_changes_nothing(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    task = make_task(trained_demo.derived_dir, tmp_path)
    fold_worker.submit(run_here, task, StopAfter(1)).result()
    states = run_folder.fold_folder(task.folder, 0).glob("state_*.npz")
    newest = max(states, key=lambda path: path.stat().st_mtime_ns)
    os.truncate(newest, newest.stat().st_size // 2)
    _, events = fold_worker.submit(run_here, task).result()
    [warning] = [event["warning"] for event in events if "warning" in event]
    assert warning.startswith(f"{newest}: damaged")
    assert [e["epoch"] for e in events if "epoch" in e] == list(range(1, EPOCHS))
    assert results(read_record(task.folder, 0)) == results(trained_demo.record(0))


@dataclass(frozen=True)
class FillDisk:
    """From an epoch on no file may grow beyond a size, as on a full disk."""

    epoch: int
    limit_bytes: int

    def __call__(self, epoch: int) -> None:
        if epoch == self.epoch:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit_bytes, hard))


def unlimit_files() -> None:
    """Undo `FillDisk`."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_a_full_disk_is_one_line_and_the_fold_goes_on_when_mended(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    task = make_task(trained_demo.derived_dir, tmp_path)
    try:
        full = FillDisk(epoch=1, limit_bytes=1 << 20)
        outcome, _ = fold_worker.submit(run_here, task, full).result()
    finally:
        fold_worker.submit(unlimit_files).result()
    assert os.strerror(errno.EFBIG) in outcome["error"]
    assert "\n" not in outcome["error"]
    assert not list(task.folder.rglob("*.part"))
    outcome, events = fold_worker.submit(run_here, task).result()
    assert "error" not in outcome
    assert [e["epoch"] for e in events if "epoch" in e] == list(range(2, EPOCHS))
    assert results(read_record(task.folder, 0)) == results(trained_demo.record(0))


@dataclass(frozen=True)
class CloseFolder:
    """From an epoch on a folder takes no file from this process.

    chmod means nothing to root: there the process becomes another user first.
    """

    epoch: int
    folder: Path
    user: int

    def __call__(self, epoch: int) -> None:
        if epoch == self.epoch:
            self.folder.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
            if os.geteuid() == 0:
                os.seteuid(self.user)


def open_folder(folder: Path) -> None:
    """Undo `CloseFolder`."""
    if os.getuid() == 0:
        os.seteuid(0)
    folder.chmod(stat.S_IRWXU)


def test_an_unwritable_folder_is_one_line_and_the_fold_goes_on_when_mended(
    trained_demo: TrainedDemo,
    fold_worker: ProcessPoolExecutor,
    tmp_path: Path,
    nobody: int,
) -> None:
    task = make_task(trained_demo.derived_dir, tmp_path)
    for part in (*tmp_path.parents, tmp_path):
        if not part.stat().st_mode & stat.S_IXOTH and part.owner() == "root":
            part.chmod(part.stat().st_mode | stat.S_IXOTH)  # pytest's are private
    folder = run_folder.fold_folder(task.folder, 0)
    try:
        closed = CloseFolder(epoch=1, folder=folder, user=nobody)
        outcome, _ = fold_worker.submit(run_here, task, closed).result()
    finally:
        fold_worker.submit(open_folder, folder).result()
    assert os.strerror(errno.EACCES) in outcome["error"]
    assert str(folder) in outcome["error"]
    outcome, _ = fold_worker.submit(run_here, task).result()
    assert "error" not in outcome
    assert results(read_record(task.folder, 0)) == results(trained_demo.record(0))


def test_first_epoch_depends_on_seed_and_fold_alone(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    losses = {}
    for name, fold, seed in (("again", 0, 42), ("fold", 1, 42), ("seed", 0, 43)):
        task = make_task(trained_demo.derived_dir, tmp_path / name, fold, seed=seed)
        _, events = fold_worker.submit(run_here, task, StopAfter(0)).result()
        losses[name] = np.float32(events[0]["loss"])
    first = [np.float32(trained_demo.record(n)["history"]["loss"][0]) for n in (0, 1)]
    assert losses["again"] == first[0]
    assert losses["fold"] == first[1]
    assert len({losses["seed"], *first}) == 3


def test_a_diverged_training_is_one_line_and_leaves_no_state(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    task = make_task(trained_demo.derived_dir, tmp_path, learning_rate=1e30)
    outcome, events = fold_worker.submit(run_here, task).result()
    assert outcome["error"].startswith("training diverged: ")
    assert outcome["error"].endswith(
        "after epoch 1 of 4; give a smaller --learning_rate than 1e+30"
    )
    assert events == [], "no epoch, and no second try"
    assert epochs_on_disk(task.folder, 0) == set()


@dataclass(frozen=True)
class ReplaceSegments:
    """After an epoch another run makes other segments in the same folder."""

    epoch: int
    task: FoldTask

    def __call__(self, epoch: int) -> None:
        if epoch == self.epoch:
            front_end = replace(self.task.settings.front_end, normalise_percentile=50.0)
            load_dataset(
                replace(self.task.settings, front_end=front_end), self.task.data_paths
            )


def test_no_epoch_is_kept_that_read_another_runs_segments(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    derived_dir = tmp_path / "data"
    shutil.copytree(trained_demo.derived_dir, derived_dir)
    task = make_task(derived_dir, tmp_path)
    task = replace(task, data_paths=replace(task.data_paths, cache="None"))
    other = ReplaceSegments(0, task)
    outcome, events = fold_worker.submit(run_here, task, other).result()
    assert "replaced by another run with other settings" in outcome["error"]
    assert [event["epoch"] for event in events] == [0]
    outcome, events = fold_worker.submit(run_here, task).result()
    assert [e["epoch"] for e in events if "epoch" in e] == list(range(1, EPOCHS))
    assert results(read_record(task.folder, 0)) == results(trained_demo.record(0))


@pytest.mark.parametrize("protocol", ["paper", "random", "speaker", "all"])
def test_every_protocol_trains_and_reports(
    trained_demo: TrainedDemo,
    fold_worker: ProcessPoolExecutor,
    tmp_path: Path,
    protocol: str,
) -> None:
    select = "last" if protocol == "speaker" else "best"  # two folds: nobody validates
    changes = {"protocol": protocol, "select": select, "epochs": 1}
    task = make_task(trained_demo.derived_dir, tmp_path, **changes)
    outcome, _ = fold_worker.submit(run_here, task).result()
    assert outcome == {"fold": 0}
    record = read_record(task.folder, 0)
    assert len(record["probabilities"]["int8"]) == len(record["test"])
    assert bool(record["test"]) == (protocol != "all")
    trained, tested = set(record["train"]), set(record["test"])
    assert not trained & tested
    rendered = report.render(task.folder)
    assert "DEMO is synthetic" in rendered.headline
    assert rendered.report.exists()


def test_finished_fold_is_exported_again_only_from_its_own_weights(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    folder = tmp_path / trained_demo.folder.name
    shutil.copytree(trained_demo.folder, folder)
    before = run_folder.record_path(folder, 0).read_bytes()
    task = make_task(trained_demo.derived_dir, tmp_path)
    assert task.folder == folder
    assert fold_worker.submit(run_here, task).result()[0] == {"fold": 0}
    assert run_folder.record_path(folder, 0).read_bytes() == before
    task = replace(task, options=FoldOptions(export_again=True))
    weights = run_folder.weights_path(folder, 0)
    shutil.copy(run_folder.weights_path(folder, 1), weights)
    outcome, _ = fold_worker.submit(run_here, task).result()
    assert "they are of another training" in outcome["error"]
    os.truncate(weights, 1000)
    outcome, _ = fold_worker.submit(run_here, task).result()
    assert f"{weights}: cannot be loaded by Keras" in outcome["error"]
    weights.unlink()
    outcome, _ = fold_worker.submit(run_here, task).result()
    assert f"{weights} is missing" in outcome["error"]
    assert run_folder.record_path(folder, 0).read_bytes() == before
