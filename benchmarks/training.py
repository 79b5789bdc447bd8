"""What training costs: this program against a plain Keras `fit`, in turns.

    python -m benchmarks.training -dn EMO-DB --data_dir data --epochs 5 --rounds 2
    python -m benchmarks.training --scaling

Measured are one process with two threads, two processes of one thread each (`--jobs
2`), as the baseline `fit` with two threads over a `tf.data` pipeline that reads each
WAV and computes its MFCC with `tf.signal` in every epoch, without a cache, and the
first again with Keras's own batch norm. All train the same fold, validate on it, and
get the same allocator settings. The first epoch of each process, which traces the
graph, is not counted. Prints Markdown; each figure is of this machine as it is now:
what else runs on it counts.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.epoch import (
    MATRIX_SIZE,
    Clock,
    Measurement,
    epoch_operations,
    make_job,
    matrix_rate,
)
from benchmarks.plain_fit import measure_baseline
from dataio import load_dataset
from hyperparameters import Settings
from utils import options
from utils.cli import Parser, run_main
from utils.corpora.load import DataPaths
from utils.processes import environment
from utils.runs.folder import machine
from utils.tables import markdown_table
from utils.training.workers import worker_environment

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
HEADS = (
    "",
    "CPU s an epoch",
    "wall s an epoch",
    "utterances / s",
    "peak MiB a process",
)
SCALING_HEADS = ("training utterances", "CPU s an epoch", "CPU ms an utterance")


def measure_program(
    settings: Settings, data_paths: DataPaths, number: int, threads: int
) -> Measurement:
    """Train a fold as `train.py` does, checkpoints among it."""
    from utils.training.backend import limit_threads
    from utils.training.fit import fit_fold

    limit_threads(threads)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        fit_fold(make_job(settings, data_paths, number, Path(folder)), clock)
    return clock.measurement(matrix_rate() if threads == 1 else 0.0)


def measure_own_norm(
    settings: Settings, data_paths: DataPaths, number: int, threads: int
) -> Measurement:
    """The same, with Keras's batch norm instead of TensorFlow's kernel."""
    import keras

    with patch(
        "utils.training.fit.batch_norm", lambda: keras.layers.BatchNormalization
    ):
        return measure_program(settings, data_paths, number, threads)


def measure_scale(
    settings: Settings, data_paths: DataPaths, number: int, scale: float
) -> tuple[int, Measurement]:
    """Train on a share of the utterances, or on each several times; nothing chosen.

    Returns:
        Training utterances, and the measurement on one thread.
    """
    from utils.training.backend import limit_threads
    from utils.training.fit import fit_fold

    limit_threads(1)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(settings, data_paths, number, Path(folder))
        count = round(scale * len(job.fold.train))
        repeated = job.fold.train * max(1, round(scale))
        fold = replace(job.fold, train=repeated[:count], chosen_on="none")
        fit_fold(replace(job, fold=fold), clock)
    return count, clock.measurement()


def in_processes(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], threads: int
) -> list[Any]:
    """Call a function in one new process for each tuple of arguments, all at once."""
    context = multiprocessing.get_context("spawn")
    with (
        environment(worker_environment(threads)),
        ProcessPoolExecutor(len(calls), mp_context=context) as executor,
    ):
        return [f.result() for f in [executor.submit(function, *c) for c in calls]]


KINDS: dict[str, tuple[Callable[..., Measurement], int, int]] = {
    "one process, two threads": (measure_program, 1, 2),
    "--jobs 2, one thread each": (measure_program, 2, 1),
    "plain Keras fit, two threads": (measure_baseline, 1, 2),
    "one process, two threads, Keras's batch norm": (measure_own_norm, 1, 2),
}


def compare(settings: Settings, data_paths: DataPaths, rounds: int) -> list[str]:
    """Measure all kinds in turn, round after round; lines of Markdown."""
    found: dict[str, list[Measurement]] = {name: [] for name in KINDS}
    for _ in range(rounds):
        for name, (function, processes, threads) in KINDS.items():
            calls = [(settings, data_paths, n, threads) for n in range(processes)]
            found[name] += in_processes(function, calls, threads)
    [operations] = in_processes(epoch_operations, [(settings, data_paths, 0)], 1)
    count = len(make_job(settings, data_paths, 0, Path()).fold.train)
    rows, rates = [], {}
    for name, measurements in found.items():
        processes = KINDS[name][1]
        wall = median(measurements, "wall_s") / processes
        rates[name] = count / wall
        peak = max(each.peak_mib for each in measurements)
        cpu = median(measurements, "cpu_s")
        figures = (f"{cpu:.2f}", f"{wall:.2f}", f"{rates[name]:.1f}", f"{peak:.0f}")
        rows.append([name, *figures])
    one, two, plain, own_norm = rates.values()
    alone = found["--jobs 2, one thread each"]
    matrix = statistics.median(each.matrix_flops for each in alone)
    reached = operations / median(alone, "cpu_s")
    return [
        f"An epoch trains on {count} utterances: {operations / 1e12:.3f} TFLOP.",
        "",
        *markdown_table(HEADS, rows),
        "",
        f"--jobs 2 trains {two / one:.2f} x as fast as one process with two threads, "
        f"{two / plain:.2f} x as fast as the plain fit.",
        f"TensorFlow's batch norm trains {one / own_norm:.2f} x as fast as Keras's.",
        f"One thread: {reached / 1e9:.1f} GFLOP/s in training, {matrix / 1e9:.1f} in a "
        f"matrix product of {MATRIX_SIZE}: {100 * reached / matrix:.0f} %.",
    ]


def median(measurements: Sequence[Measurement], name: str) -> float:
    """Median over all epochs of all processes."""
    return statistics.median(v for each in measurements for v in getattr(each, name))


def scaling(settings: Settings, data_paths: DataPaths) -> list[str]:
    """Cost against the number of utterances; lines of Markdown."""
    rows = []
    for scale in SCALES:
        [(count, found)] = in_processes(
            measure_scale, [(settings, data_paths, 0, scale)], 1
        )
        cpu = median([found], "cpu_s")
        rows.append([count, f"{cpu:.2f}", f"{1000 * cpu / count:.2f}"])
    return markdown_table(SCALING_HEADS, rows)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Settings and data_paths as of `train.py`, and what to measure."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(prog="python -m benchmarks.training", description=__doc__)
    groups = options.add_settings(parser, words)
    options.add_data_paths(groups["data"])
    options.add_cache(groups["data"])
    parser.add_argument("--rounds", type=int, default=2, help="of all kinds, in turn")
    parser.add_argument("--scaling", action="store_true", help="cost against size")
    parser.set_defaults(epochs=5, batch_size=32)
    return parser.parse_args(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    args = parse_args(argv)
    args.epochs = max(2, args.epochs)  # the first is not counted
    [settings] = options.settings_from(args)
    data_paths = options.data_paths_from(args)
    load_dataset(settings, data_paths)  # made before anything is measured
    print(f"{machine()}; load before: {os.getloadavg()[0]:.1f}\n")
    lines = (
        scaling(settings, data_paths)
        if args.scaling
        else compare(settings, data_paths, args.rounds)
    )
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
