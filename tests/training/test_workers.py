"""Worker processes: locks, deaths, tries, and who answers to which signal."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock
from test_dataio import toy_settings, write_toy
from training_runs import (
    WAIT_S,
    TrainedDemo,
    fold_lock,
    make_task,
    run_here,
)

from dataio import load_dataset
from hyperparameters import InputError
from utils.corpora.load import DataPaths
from utils.processes import (
    environment,
    interrupts_blocked,
    sigterm_as_interrupt,
    stderr_to,
)
from utils.runs import folder as run_folder
from utils.training.job import FoldOptions, FoldTask
from utils.training.workers import (
    TRIES,
    child_environment,
    run_tasks,
    worker_environment,
)


def test_a_screen_that_is_gone_ends_the_run(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    """A broken pipe of progress lines is no death of the worker."""
    events: list[dict[str, Any]] = []

    def show(event: dict[str, Any]) -> None:
        events.append(event)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_tasks([make_task(trained_demo.derived_dir, tmp_path)], show, jobs=1)
    assert len(events) == 1


@pytest.mark.parametrize(("asked", "found"), [("jax", "jax"), (None, None)])
def test_a_worker_keeps_no_backend_of_an_earlier_run(
    trained_demo: TrainedDemo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str | None,
    found: str | None,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    task = make_task(trained_demo.derived_dir, tmp_path)
    environ = child_environment(replace(task, backend=asked))
    assert environ.get("KERAS_BACKEND") == found
    assert environ["OMP_NUM_THREADS"] == "1"


def test_a_fold_in_other_hands_is_refused_in_one_line(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    task = make_task(trained_demo.derived_dir, tmp_path)
    lock = fold_lock(task.folder, 0)
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        outcome, events = fold_worker.submit(run_here, task).result()
    assert outcome["error"] == "another process is training this fold"
    assert events == []
    assert not run_folder.fold_folder(task.folder, 0).exists()


def test_a_corpus_that_changed_since_the_run_began_is_not_trained_on(
    fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    """As when a recording is added, or on a machine that sees other files."""
    write_toy(tmp_path)
    data_paths = DataPaths(data_dir=tmp_path, derived_dir=tmp_path / "derived")
    dataset = load_dataset(toy_settings(), data_paths)
    task = FoldTask(
        settings=dataset.settings,
        data_paths=data_paths,
        number=0,
        num_folds=2,
        folder=tmp_path / "run",
        run_hash=run_folder.run_hash(dataset.settings, dataset.manifest),
        options=FoldOptions(),
    )
    shutil.copy(tmp_path / "TOY/calm/u0.wav", tmp_path / "TOY/calm/u10.wav")
    outcome, events = fold_worker.submit(run_here, task).result()
    assert outcome["error"].startswith("TOY is not what it was when the run began")
    assert events == []
    assert not run_folder.record_path(task.folder, 0).exists()


@dataclass(frozen=True)
class Fail:
    """Something that no user can mend."""

    def __call__(self, epoch: int) -> None:
        raise ZeroDivisionError(f"at epoch {epoch}")


def test_a_failing_fold_is_tried_three_times(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    task = make_task(trained_demo.derived_dir, tmp_path)
    outcome, events = fold_worker.submit(run_here, task, Fail()).result()
    epochs = [event["epoch"] for event in events if "epoch" in event]
    assert epochs == [0, 1, 2], "each try goes on from the last epoch on disk"
    assert outcome["error"].startswith("failed (ZeroDivisionError: at epoch 2) 3 times")
    log = run_folder.fold_folder(task.folder, 0) / "worker.log"
    assert log.read_text().count("Traceback") == TRIES
    warnings = [event["warning"] for event in events if "warning" in event]
    assert len(warnings) == TRIES - 1


def test_a_process_that_dies_three_times_is_reported_and_the_others_run(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    """Children are killed as they start; the other fold is refused by its lock."""
    tasks = [make_task(trained_demo.derived_dir, tmp_path, n) for n in (0, 1)]
    killed: set[int] = set()
    events: list[dict[str, Any]] = []

    def kill_children() -> None:
        deadline = time.monotonic() + WAIT_S
        while len(killed) < TRIES and time.monotonic() < deadline:
            for child in psutil.Process().children():
                with suppress(psutil.NoSuchProcess):
                    if "utils.training.process" in child.cmdline():
                        child.kill()
                        killed.add(child.pid)
            time.sleep(0.01)

    lock = fold_lock(tasks[1].folder, 1)
    lock.parent.mkdir(parents=True)
    killer = threading.Thread(target=kill_children)
    killer.start()
    with FileLock(lock):
        failures = run_tasks(tasks, events.append, jobs=1)
    killer.join()
    assert failures[0].startswith(f"its process died {TRIES} times; see ")
    assert failures[1] == "another process is training this fold"
    assert len([e for e in events if "ended by SIGKILL" in e.get("warning", "")]) == 3


def test_no_scheduler_at_the_address_is_one_line(
    trained_demo: TrainedDemo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.training.cluster.CONNECT_TIMEOUT_S", 1)
    task = make_task(trained_demo.derived_dir, tmp_path)
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        run_tasks([task], print, scheduler="tcp://127.0.0.1:9")


def test_workers_keep_large_memory_and_use_one_thread(
    fold_worker: ProcessPoolExecutor,
) -> None:
    for name, value in worker_environment(1).items():
        assert fold_worker.submit(os.getenv, name).result() == value


def test_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SER_A", "before")
    monkeypatch.delenv("SER_B", raising=False)
    with environment({"SER_A": "inside", "SER_B": "inside"}):
        assert (os.environ["SER_A"], os.environ["SER_B"]) == ("inside", "inside")
    assert os.environ["SER_A"] == "before"
    assert "SER_B" not in os.environ


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_block_with_their_status(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stop, sigterm_as_interrupt():
        signal.raise_signal(number)
    assert stop.value.args == (128 + number,)
    assert signal.getsignal(number) is before


def test_ctrl_c_does_not_reach_processes_started_meanwhile() -> None:
    code = "import signal, time; print(flush=True); time.sleep(60)"
    with interrupts_blocked():
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
        child.kill()


def test_native_output_goes_to_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "worker.log"
    with log.open("wb") as notes, stderr_to(notes):
        os.write(2, b"from C++\n")
    os.write(2, b"after\n")
    assert log.read_text() == "from C++\n"
    assert capfd.readouterr().err == "after\n"


def test_a_fold_without_weights_is_not_exported(
    trained_demo: TrainedDemo, fold_worker: ProcessPoolExecutor, tmp_path: Path
) -> None:
    task = make_task(trained_demo.derived_dir, tmp_path)
    path = run_folder.record_path(task.folder, 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(run_folder.record_path(trained_demo.folder, 0).read_bytes())
    task = replace(task, options=FoldOptions(fused=True))
    outcome, _ = fold_worker.submit(run_here, task).result()
    assert "only the fold's record was copied here" in outcome["error"]
