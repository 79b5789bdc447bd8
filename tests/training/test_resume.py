"""Killed runs: the same command continues them, and the results are bit-equal."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from training_runs import (
    WAIT_S,
    TrainedDemo,
    command,
    epochs_on_disk,
    fold_lock,
    fold_processes,
    make_job,
    read_record,
    results,
    train,
    wait_for,
)

from hyperparameters import InputError
from utils.training.run import run_folds

KILLS_IN_PROOF = 100


class Started:
    """A command that runs; killed at the end of a `with` block if it still does."""

    def __init__(self, words: Sequence[str], home: Path, **environ: str) -> None:
        self.stderr = home / "stderr.txt"
        with self.stderr.open("w") as file:
            self.process = subprocess.Popen(
                words,
                stdout=subprocess.DEVNULL,
                stderr=file,
                env={**os.environ, **environ},
            )

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def workers(self) -> list[psutil.Process]:
        """Its processes that train; the command must still run."""
        assert self.process.poll() is None, self.stderr.read_text()
        return fold_processes(self.process.pid)

    def wait_for_epoch(self, folder: Path) -> None:
        """Wait until another epoch of fold 0 is on disk."""
        before = epochs_on_disk(folder, 0)

        def is_later() -> bool:
            self.workers()
            return epochs_on_disk(folder, 0) != before

        wait_for(is_later, f"an epoch in {folder}")

    def stop(self, number: signal.Signals) -> int:
        """Send a signal; return the exit status once no worker is left."""
        workers = self.workers()
        self.process.send_signal(number)
        status = self.process.wait(WAIT_S)
        wait_for_end_of(workers)
        return status


def wait_for_end_of(processes: Sequence[psutil.Process]) -> None:
    """Wait until processes are gone, or zombies."""

    def is_alive(process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return False

    wait_for(lambda: not any(map(is_alive, processes)), "the end of the workers")


@contextlib.contextmanager
def hand_started_cluster(folder: Path) -> Iterator[str]:
    """A Dask scheduler and a worker, started elsewhere; yields the address."""
    file = folder / "scheduler.json"
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with contextlib.ExitStack() as stack:
        for words in (
            "scheduler --port 0 --dashboard-address 127.0.0.1:0",
            "worker --nthreads 1 --no-dashboard",
        ):
            program = [sys.executable, "-m", "dask", *words.split()]
            program += ["--host", "127.0.0.1", "--scheduler-file", str(file)]
            with (folder / "dask.txt").open("a") as log:
                process = subprocess.Popen(
                    program, cwd=folder, env=environ, stdout=log, stderr=log
                )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            wait_for(file.exists, "the scheduler")
        yield json.loads(file.read_text())["address"]


def test_a_stopped_run_continues_on_a_dask_cluster_and_is_bit_equal(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    output_dir = tmp_path / "result"
    folder = output_dir / trained_demo.folder.name
    where = (trained_demo.derived_dir, output_dir, "--folds", "0")
    alone = command(*where, "--jobs", "1")
    with Started(alone, tmp_path) as run:
        wait_for(run.workers, "the fold's process")[0].kill()  # it is replaced
        run.wait_for_epoch(folder)
        assert run.stop(signal.SIGINT) == 130
    last = run.stderr.read_text().splitlines()[-1]
    assert last.startswith("stopped; this continues it: python train.py -dn DEMO")
    for number, status in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        with Started(alone, tmp_path) as run:
            wait_for(run.workers, "the fold's process")
            assert run.stop(number) == status
    with hand_started_cluster(tmp_path) as address:
        on_cluster = (*where, "--scheduler", address)
        with Started(command(*on_cluster), tmp_path) as run:
            run.wait_for_epoch(folder)
            run.stop(signal.SIGKILL)
        with FileLock(fold_lock(folder, 0), timeout=WAIT_S):
            pass  # the cluster has left the fold
        done = train(*on_cluster)
    assert done.returncode == 0, done.stderr
    assert results(read_record(folder, 0)) == results(trained_demo.record(0))


def test_workers_that_do_not_see_the_project_fail_each_fold_in_one_line(
    trained_demo: TrainedDemo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.training.cluster.PROJECT", tmp_path / "not mounted")
    jobs = [make_job(trained_demo.derived_dir, tmp_path, n) for n in (0, 1)]
    with hand_started_cluster(tmp_path) as address:
        failures = run_folds(jobs, print, scheduler=address)
    line = "its Dask worker failed (ModuleNotFoundError: No module named 'utils')"
    assert failures == {0: line, 1: line}


def test_no_scheduler_at_the_address_is_one_line(
    trained_demo: TrainedDemo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.training.cluster.CONNECT_TIMEOUT_S", 1)
    job = make_job(trained_demo.derived_dir, tmp_path)
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        run_folds([job], print, scheduler="tcp://127.0.0.1:9")


def is_alive_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether a process still runs after some time; returns when it ends."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.mark.proof
def test_a_hundred_kills_change_nothing(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    """At random moments, of the parent or of workers, jobs 1 and 2 in turn."""
    draw, kills, rounds = random.Random(0), 0, 0
    output_dir = tmp_path / "result"
    folder = output_dir / trained_demo.folder.name
    while kills < KILLS_IN_PROOF or folder.exists():
        jobs = str(1 + rounds % 2)
        words = command(trained_demo.derived_dir, output_dir, "--jobs", jobs)
        with Started(words, tmp_path) as run:
            process = run.process
            while kills < KILLS_IN_PROOF and is_alive_after(
                process, draw.uniform(0, 25)
            ):
                workers = fold_processes(process.pid)
                victim = draw.choice([process.pid, *(w.pid for w in workers)])
                with contextlib.suppress(ProcessLookupError):  # it ended by itself
                    os.kill(victim, signal.SIGKILL)
                    kills += 1
                if victim == process.pid:
                    process.wait()
                    wait_for_end_of(workers)
            process.wait(WAIT_S)
        if process.returncode == 0:
            rounds += 1
            for fold in (0, 1):
                found = results(read_record(folder, fold))
                assert found == results(trained_demo.record(fold))
            shutil.rmtree(folder)
    print(f"{kills} kills, {rounds} runs came to their end")
    assert rounds >= 2


@pytest.mark.proof
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs `unshare`")
def test_a_full_file_system_is_one_line_and_the_run_continues_when_mended(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    """A tmpfs too small for the state, then one with room; seen in its name space only.

    Therefore a shell script.
    """
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    words = command(trained_demo.derived_dir, small / "result", "--folds", "0")
    script = """
        mount -t tmpfs -o size=9m tmpfs "$1" || exit 77
        small=$1 kept=$2; shift 2
        "$@"; echo "status $?"
        mount -o remount,size=200m "$small"
        "$@"; echo "status $?"
        cp -r "$small" "$kept"
    """
    shell = ["unshare", "-rm", "sh", "-c", script, "sh", str(small), str(kept), *words]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr}")
    statuses = [line for line in done.stdout.splitlines() if line.startswith("status")]
    assert statuses == ["status 2", "status 0"], done.stderr
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert "No space left on device" in errors[0]
    folder = kept / "result" / trained_demo.folder.name
    assert results(read_record(folder, 0)) == results(trained_demo.record(0))


@pytest.fixture
def torch_python() -> str:
    """A Python with Keras and PyTorch, without TensorFlow."""
    python = os.environ.get("SER_TORCH_PYTHON")
    if python is None:
        pytest.skip(
            "set SER_TORCH_PYTHON to a Python with keras and torch, without tensorflow"
        )
    check = "import importlib.util as u; print(u.find_spec('tensorflow'))"
    found = subprocess.run([python, "-c", check], capture_output=True, text=True)
    assert found.stdout == "None\n", "that Python must not have TensorFlow"
    return python


@pytest.mark.proof
def test_another_backend_resumes_bit_equal_and_its_weights_are_exported_here(
    trained_demo: TrainedDemo, tmp_path: Path, torch_python: str
) -> None:
    environ = {"KERAS_BACKEND": "torch"}
    how = {"env": os.environ | environ, "capture_output": True, "text": True}
    records, folder = [], Path()
    for name in ("whole", "killed"):
        words = command(trained_demo.derived_dir, tmp_path / name, "--folds", "0")
        words = [torch_python, *words[1:], "--epochs", "5", "--jobs", "1"]
        if name == "killed":
            with Started(words, tmp_path, **environ) as run:
                run.wait_for_epoch(tmp_path / name / folder.name)
                run.stop(signal.SIGKILL)
        done = subprocess.run(words, **how)
        assert done.returncode == 0, done.stderr
        [folder] = (tmp_path / name).iterdir()
        records.append(results(read_record(folder, 0)))
    assert records[0] == records[1]
    assert list(records[0]["probabilities"]) == ["keras"]
    refused = subprocess.run([*words, "-m", "true"], **how)
    assert refused.returncode == 2
    assert "-m true exports, and only TensorFlow does" in refused.stderr
    again = train(trained_demo.derived_dir, tmp_path, "--export_only", str(folder))
    assert again.returncode == 0, again.stderr
    exported = read_record(folder, 0)["probabilities"]
    names = {"float32", "float16", "dynamic", "int8", "int8_tiled"}
    assert set(exported) == {"keras", *names}
    for row, other in zip(exported["keras"], exported["float32"], strict=True):
        assert other == pytest.approx(row, abs=1e-4)
    assert exported["keras"] == records[0]["probabilities"]["keras"]
