"""A process per fold: locks, deaths, tries, signals, and no open port."""

import os
import pickle
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock
from test_dataio import toy_dataset, write_toy
from training_runs import TrainedDemo, fold_lock, fold_processes, make_job, wait_for

from hyperparameters import InputError
from utils.corpora.load import DataPaths
from utils.processes import sigterm_as_interrupt, stderr_to
from utils.protocols.folds import make_folds
from utils.runs import folder as run_folder
from utils.training.checkpoint import STATE_NAMES
from utils.training.fold_models import predict_files
from utils.training.job import FoldJob, FoldOptions
from utils.training.process import LOG_NAME, TRIES, child_environment
from utils.training.run import make_jobs, run_folds

Event = dict[str, Any]


@pytest.fixture
def jobs(trained_demo: TrainedDemo, tmp_path: Path) -> list[FoldJob]:
    """Both folds of the small run, not trained."""
    return [make_job(trained_demo.derived_dir, tmp_path, n) for n in (0, 1)]


def test_an_interrupted_run_kills_its_processes_which_listen_on_no_port(
    jobs: list[FoldJob],
) -> None:
    """As by Ctrl-C, or when nobody reads the progress; no fold is tried again.

    Whoever can connect to a port of a worker could run code as its user. The first
    event is the warning of a damaged state, before the first epoch.
    """
    for job in jobs:
        job.fold_folder.mkdir(parents=True)
        (job.fold_folder / STATE_NAMES[0]).write_bytes(b"damaged")
    looked_at: list[psutil.Process] = []

    def show(event: Event) -> None:
        looked_at.extend([psutil.Process(), *fold_processes()])
        for each in looked_at:
            ports = each.net_connections()
            assert not [port for port in ports if port.status == psutil.CONN_LISTEN]
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_folds(jobs, show, at_once=2)
    assert len(looked_at) == 3
    assert fold_processes() == []


def test_a_process_that_dies_three_times_is_reported_and_the_others_run(
    jobs: list[FoldJob],
) -> None:
    """Processes are killed as they start; the other fold is refused by its lock."""
    killed: set[int] = set()
    events: list[Event] = []

    def kill_children() -> None:
        while len(killed) < TRIES:
            for child in wait_for(fold_processes, "a process"):
                child.kill()
                killed.add(child.pid)

    lock = fold_lock(jobs[1].folder, 1)
    lock.parent.mkdir(parents=True)
    killer = threading.Thread(target=kill_children)
    killer.start()
    with FileLock(lock):
        failures = run_folds(jobs, events.append)
    killer.join()
    reason = "its process was ended by SIGKILL (out of memory?)"
    assert failures[0].startswith(f"{reason}, {TRIES} times; see ")
    assert failures[1] == "another process is training this fold"
    assert not jobs[1].fold_folder.exists()
    again = {"fold": 0, "warning": f"{reason}; trying again"}
    assert events == [again] * (TRIES - 1)


def test_a_failing_fold_is_tried_three_times(jobs: list[FoldJob]) -> None:
    """Any error but `InputError` and `OSError`; here Keras finds no such backend."""
    job = replace(jobs[0], backend="abacus")
    events: list[Event] = []
    failures = run_folds([job], events.append)
    log = job.fold_folder / LOG_NAME
    assert failures[0].startswith("failed (ValueError: ")
    assert failures[0].endswith(f"), {TRIES} times; see {log}")
    assert "Traceback" in log.read_text()
    assert [event["warning"][-14:] for event in events] == ["; trying again"] * 2


def toy_jobs(folder: Path, cache: str = "disk") -> list[FoldJob]:
    """Both folds of a run on the toy corpus, which may be changed."""
    write_toy(folder)
    paths = DataPaths(data_dir=folder, derived_dir=folder / "derived", cache=cache)
    dataset = toy_dataset(paths)
    folds = make_folds(dataset.manifest.utterances, dataset.settings)
    return make_jobs(dataset, folds, folder / "run", options=FoldOptions())


@pytest.mark.parametrize("cache", ["disk", "None"])
def test_a_job_needs_no_second_look_at_the_corpus(tmp_path: Path, cache: str) -> None:
    """It is small when pickled; only features are read by the process that trains."""
    jobs = toy_jobs(tmp_path, cache)
    assert [job.fold.number for job in jobs] == [0, 1]
    features = jobs[0].dataset.features[list(range(10))]
    pickled = pickle.dumps(jobs[0])
    assert len(pickled) < features.nbytes
    shutil.rmtree(tmp_path / "TOY")
    job = pickle.loads(pickled)
    assert run_folder.run_hash(job.settings, job.dataset.manifest) == job.run_hash
    features, labels = job.data_of(job.fold.test)
    assert len(features) == len(labels) == len(job.fold.test)


def test_a_recording_that_changed_since_the_run_began_is_not_scored(
    tmp_path: Path,
) -> None:
    """As on a machine that sees other files."""
    job = toy_jobs(tmp_path)[0]
    paths = {u.id: u.path for u in job.dataset.manifest.utterances}
    changed = paths[job.fold.test[0]]
    changed.write_bytes(changed.read_bytes()[:-100])
    with pytest.raises(InputError) as error:
        predict_files(job, {})
    assert str(error.value).startswith(
        f"{changed} has changed since the run read the corpus"
    )


@pytest.mark.parametrize(("wanted", "found"), [("jax", "jax"), (None, None)])
def test_a_process_keeps_no_backend_of_an_earlier_run(
    jobs: list[FoldJob],
    monkeypatch: pytest.MonkeyPatch,
    wanted: str | None,
    found: str | None,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    environ = child_environment(replace(jobs[0], backend=wanted))
    assert environ.get("KERAS_BACKEND") == found
    assert environ["OMP_NUM_THREADS"] == "1"
    assert environ["MALLOC_MMAP_MAX_"] == "0"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_block_with_their_status(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stop, sigterm_as_interrupt():
        signal.raise_signal(number)
    assert stop.value.args == (128 + number,)
    assert signal.getsignal(number) is before


def test_native_output_goes_to_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "worker.log"
    with log.open("wb") as notes, stderr_to(notes):
        os.write(2, b"from C++\n")
    os.write(2, b"after\n")
    assert log.read_text() == "from C++\n"
    assert capfd.readouterr().err == "after\n"
