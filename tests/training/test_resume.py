"""Killed runs: the same command continues them, and the results are bit-equal."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from training_runs import (
    WAIT_S,
    TrainedDemo,
    command,
    epochs_on_disk,
    fold_lock,
    holder_of,
    make_job,
    read_record,
    results,
    train,
    wait_for,
)

from hyperparameters import InputError
from utils.training.run import run_folds

KILLS_IN_PROOF = 100
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="finds processes through Linux's /proc"
)


@contextlib.contextmanager
def started(
    derived_dir: Path, output_dir: Path, *more: str
) -> Iterator[subprocess.Popen[str]]:
    """The small run's command, running; killed at the end of the block if it still is.

    Its output goes to files in `output_dir`'s parent.
    """
    words = command(derived_dir, output_dir, *more)
    with (output_dir.parent / "stderr.txt").open("w") as stderr:
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=stderr, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def last_line(output_dir: Path) -> str:
    """The last line that the command wrote to stderr."""
    return (output_dir.parent / "stderr.txt").read_text().splitlines()[-1]


def wait_for_epoch(folder: Path, fold: int, process: subprocess.Popen[str]) -> None:
    """Wait until the first epoch of a fold is on disk, as long as the command runs."""
    stderr = folder.parent.parent / "stderr.txt"

    def epochs() -> set[tuple[str, int]]:
        assert process.poll() is None, stderr.read_text()
        return epochs_on_disk(folder, fold)

    try:
        wait_for(epochs, "an epoch")
    except AssertionError as error:
        listed = "\n".join(str(path) for path in sorted(folder.rglob("*")))
        raise AssertionError(f"{error}\n{stderr.read_text()}\n{listed}") from error


def wait_for_worker(folder: Path, *folds: int) -> int:
    """Wait until some fold is worked on; the process that does it."""

    def worker() -> int | None:
        return next(
            filter(None, (holder_of(fold_lock(folder, n)) for n in folds)), None
        )

    pid: int = wait_for(worker, "a fold's worker")
    return pid


def wait_for_end_of(pids: list[int]) -> None:
    """Wait until no process of a killed run is left."""
    wait_for(lambda: not any(map(is_running, pids)), "the end of the workers")


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children_of(process: subprocess.Popen[str]) -> list[int]:
    """All processes that a run has started."""
    return [child.pid for child in psutil.Process(process.pid).children(recursive=True)]


def test_a_run_stopped_in_three_ways_is_bit_equal(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    output_dir = tmp_path / "result"
    folder = output_dir / trained_demo.folder.name
    how = (trained_demo.derived_dir, output_dir, "--folds", "0", "--jobs", "1")
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with started(*how) as process:
            wait_for_worker(folder, 0)
            wait_for_epoch(folder, 0, process)
            workers = children_of(process)
            process.send_signal(number)
            assert process.wait(WAIT_S) == status
        assert last_line(output_dir).startswith(
            "stopped; this continues it: python train.py -dn DEMO"
        )
        wait_for_end_of(workers)
    with started(*how) as process:
        wait_for_worker(folder, 0)
        time.sleep(random.uniform(0.0, 2.0))
        workers = children_of(process)
        process.kill()
        process.wait()
        wait_for_end_of(workers)
    assert train(*how).returncode == 0
    assert results(read_record(folder, 0)) == results(trained_demo.record(0))


@pytest.mark.proof  # minutes: processes start and die again and again
def test_processes_die_with_their_parent_and_are_replaced_alone(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    output_dir = tmp_path / "result"
    folder = output_dir / trained_demo.folder.name
    how = (trained_demo.derived_dir, output_dir, "--jobs", "2")
    with started(*how) as process:
        wait_for_epoch(folder, 0, process)
        workers = children_of(process)
        process.kill()
        process.wait()
        wait_for_end_of(workers)
    with started(*how) as process:
        worker = wait_for_worker(folder, 0, 1)
        os.kill(worker, signal.SIGKILL)
        wait_for_end_of([worker])
        assert process.wait(WAIT_S) == 0
    assert_same_folds(trained_demo, folder)


def assert_same_folds(trained_demo: TrainedDemo, folder: Path) -> None:
    """Both folds have the results of the run that was never killed."""
    for fold in (0, 1):
        assert results(read_record(folder, fold)) == results(trained_demo.record(fold))


def is_held(folder: Path) -> bool:
    """Whether a process works on a fold."""
    return any(holder_of(fold_lock(folder, fold)) is not None for fold in (0, 1))


@contextlib.contextmanager
def hand_started_cluster(folder: Path) -> Iterator[str]:
    """A Dask scheduler and two workers, started elsewhere; yields the address."""
    file = folder / "scheduler.json"
    scheduler = "scheduler --port 0 --dashboard-address 127.0.0.1:0"
    worker = "worker --nthreads 1 --no-dashboard"
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with contextlib.ExitStack() as stack:
        for words in (scheduler, worker, worker):
            command = [sys.executable, "-m", "dask", *words.split()]
            command += ["--host", "127.0.0.1", "--scheduler-file", str(file)]
            with (folder / "dask.txt").open("a") as log:
                process = subprocess.Popen(
                    command, cwd=folder, env=environ, stdout=log, stderr=log
                )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            wait_for(file.exists, "the scheduler")
        yield json.loads(file.read_text())["address"]


def test_a_dask_cluster_gives_the_same(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    folder = tmp_path / "result" / trained_demo.folder.name
    with hand_started_cluster(tmp_path) as address:
        how = (trained_demo.derived_dir, tmp_path / "result", "--scheduler", address)
        with started(*how) as process:
            wait_for_epoch(folder, 0, process)
            process.kill()
        wait_for(lambda: not is_held(folder), "the cluster to leave the folds")
        done = train(*how)
    assert done.returncode == 0, done.stderr
    assert_same_folds(trained_demo, folder)


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


def is_alive_after(process: subprocess.Popen[str], seconds: float) -> bool:
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
        how = (trained_demo.derived_dir, output_dir, "--jobs", str(1 + rounds % 2))
        with started(*how) as process:
            while kills < KILLS_IN_PROOF and is_alive_after(
                process, draw.uniform(0, 25)
            ):
                workers = children_of(process)
                victim = draw.choice([process.pid, *workers])
                with contextlib.suppress(ProcessLookupError):  # it ended by itself
                    os.kill(victim, signal.SIGKILL)
                    kills += 1
                if victim == process.pid:
                    process.wait()
                    wait_for_end_of(workers)
            process.wait(WAIT_S)
        if process.returncode == 0:
            rounds += 1
            assert_same_folds(trained_demo, folder)
            shutil.rmtree(folder)
    print(f"{kills} kills, {rounds} runs came to their end")
    assert rounds >= 2


@pytest.mark.proof
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs `unshare`")
def test_a_full_file_system_is_one_line_and_the_run_goes_on_when_mended(
    trained_demo: TrainedDemo, tmp_path: Path
) -> None:
    """A tmpfs too small for the state, then one with room; in a name space of its own.

    A shell script, since the mount is seen inside the name space alone.
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


def kill_after_an_epoch(
    words: list[str], environ: dict[str, str], output_dir: Path
) -> None:
    """Kill a command as soon as the first epoch of its fold is on disk."""
    with (output_dir.parent / "stderr.txt").open("w") as stderr:
        process = subprocess.Popen(words, env=environ, stderr=stderr)
    with process:
        [folder] = wait_for(lambda: list(output_dir.glob("*/")), "the run folder")
        wait_for_epoch(folder, 0, process)
        workers = children_of(process)
        process.kill()
    wait_for_end_of(workers)


@pytest.mark.proof
def test_another_backend_resumes_bit_equal_and_its_weights_are_exported_here(
    trained_demo: TrainedDemo, tmp_path: Path, torch_python: str
) -> None:
    environ = os.environ | {"KERAS_BACKEND": "torch"}
    records, folder = [], Path()
    for name in ("whole", "killed"):
        words = command(trained_demo.derived_dir, tmp_path / name, "--folds", "0")
        words = [torch_python, *words[1:], "--epochs", "5", "--jobs", "1"]
        how = {"env": environ, "capture_output": True, "text": True}
        refused = subprocess.run([*words, "-m", "true"], **how)
        assert refused.returncode == 2
        assert "-m true exports, and only TensorFlow does" in refused.stderr
        if name == "killed":
            kill_after_an_epoch(words, environ, tmp_path / name)
        done = subprocess.run(words, **how)
        assert done.returncode == 0, done.stderr
        [folder] = (tmp_path / name).iterdir()
        records.append(results(read_record(folder, 0)))
    assert records[0] == records[1]
    assert list(records[0]["probabilities"]) == ["keras"]
    again = train(trained_demo.derived_dir, tmp_path, "--export_only", str(folder))
    assert again.returncode == 0, again.stderr
    exported = read_record(folder, 0)["probabilities"]
    names = {"float32", "float16", "dynamic", "int8", "int8_tiled"}
    assert set(exported) == {"keras", *names}
    for row, other in zip(exported["keras"], exported["float32"], strict=True):
        assert other == pytest.approx(row, abs=1e-4)
    assert exported["keras"] == records[0]["probabilities"]["keras"]
