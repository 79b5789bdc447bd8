"""What training costs: processes, threads and the batch norm compared, in turns.

    python -m benchmarks.training -dn EMO-DB --data_dir data --epochs 5 --rounds 2

All train the same fold and validate on it. The first epoch of each process, which
traces the graph, is not counted. Prints Markdown; other programs on the machine change
the numbers.
"""

import argparse
import itertools
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dataio import load_dataset
from hyperparameters import Settings
from utils import options
from utils.cli import Parser, run_main
from utils.corpora.load import DataPaths
from utils.model_files.footprint import peak_memory_bytes
from utils.protocols.folds import make_folds
from utils.runs.folder import machine
from utils.tables import markdown_table
from utils.training.job import FoldJob, FoldOptions, Report
from utils.training.process import worker_environment
from utils.training.run import make_jobs

HEADS = (
    "",
    "CPU s per epoch",
    "wall s per epoch",
    "utterances / s",
    "peak MiB per process",
)
Fit = Callable[[FoldJob, Report], object]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The epochs of one process after its first.

    Attributes:
        wall_s: Of each epoch.
        cpu_s: Of each epoch, all threads.
        peak_mib: Largest resident memory of the process.
    """

    wall_s: list[float]
    cpu_s: list[float]
    peak_mib: float


def fit_program(job: FoldJob, report: Report) -> None:
    """Train a fold as `train.py` does, with checkpoints."""
    from utils.training.fit import fit_fold

    fit_fold(job, report)


def fit_keras_norm(job: FoldJob, report: Report) -> None:
    """The same, with Keras's batch norm instead of TensorFlow's kernel."""
    import keras

    norm = keras.layers.BatchNormalization
    with patch("utils.training.fit.batch_norm", lambda: norm):
        fit_program(job, report)


# What trains, in how many processes of how many threads
KINDS: dict[str, tuple[Fit, int, int]] = {
    "one process, two threads": (fit_program, 1, 2),
    "--jobs 2, one thread each": (fit_program, 2, 1),
    "one process, two threads, Keras's batch norm": (fit_keras_norm, 1, 2),
}


def jobs_of(settings: Settings, data_paths: DataPaths, folder: Path) -> list[FoldJob]:
    """The folds as `train.py` makes them."""
    dataset = load_dataset(settings, data_paths)
    folds = make_folds(dataset.manifest.utterances, settings)
    return make_jobs(dataset, folds, folder, options=FoldOptions())


def measure(fit: Fit, job: FoldJob, threads: int) -> Measurement:
    """Train one fold in this process, and time its epochs."""
    from utils.training.backend import limit_threads

    limit_threads(threads)
    marks: list[tuple[float, float]] = []

    def report(event: dict[str, Any]) -> None:
        if "epoch" in event:
            marks.append((time.perf_counter(), time.process_time()))

    fit(job, report)
    wall, cpu = zip(*marks, strict=True)
    return Measurement(
        wall_s=[b - a for a, b in itertools.pairwise(wall)],
        cpu_s=[b - a for a, b in itertools.pairwise(cpu)],
        peak_mib=(peak_memory_bytes() or 0) / 2**20,
    )


def measure_kind(
    name: str, settings: Settings, data_paths: DataPaths
) -> list[Measurement]:
    """Measure one kind in new processes, all at once."""
    fit, processes, threads = KINDS[name]
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, worker_environment(threads)),
        ProcessPoolExecutor(processes, mp_context=context) as executor,
    ):
        jobs = jobs_of(settings, data_paths, Path(folder))[:processes]
        futures = [executor.submit(measure, fit, job, threads) for job in jobs]
        return [future.result() for future in futures]


def compare(settings: Settings, data_paths: DataPaths, rounds: int) -> list[str]:
    """Measure all kinds in turn, round after round; lines of Markdown."""
    found: dict[str, list[Measurement]] = {name: [] for name in KINDS}
    for _ in range(rounds):
        for name, measurements in found.items():
            measurements += measure_kind(name, settings, data_paths)
    count = len(jobs_of(settings, data_paths, Path())[0].fold.train)
    rows, rates = [], []
    for name, measurements in found.items():
        wall = median(measurements, "wall_s") / KINDS[name][1]
        rates.append(count / wall)
        peak = max(each.peak_mib for each in measurements)
        cpu = median(measurements, "cpu_s")
        cells = (f"{cpu:.2f}", f"{wall:.2f}", f"{rates[-1]:.1f}", f"{peak:.0f}")
        rows.append([name, *cells])
    one, two, keras_norm = rates
    return [
        f"An epoch trains on {count} utterances.",
        "",
        *markdown_table(HEADS, rows),
        "",
        f"--jobs 2 trains {two / one:.2f} x as fast as one process with two threads.",
        f"TensorFlow's batch norm trains {one / keras_norm:.2f} x as fast as Keras's.",
    ]


def median(measurements: Sequence[Measurement], name: str) -> float:
    """Median over all epochs of all processes."""
    return statistics.median(v for each in measurements for v in getattr(each, name))


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of `train.py` for settings and data, and the number of rounds."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(prog="python -m benchmarks.training", description=__doc__)
    groups = options.add_settings(parser, words)
    options.add_data_paths(groups["data"])
    options.add_cache(groups["data"])
    parser.add_argument("--rounds", type=int, default=2, help="of all kinds, in turn")
    parser.set_defaults(epochs=5, batch_size=32)
    return parser.parse_args(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    args = parse_args(argv)
    args.epochs = max(2, args.epochs)  # the first is not counted
    [settings] = options.settings_from(args)
    print(f"{machine()}; load before: {os.getloadavg()[0]:.1f}\n")
    print("\n".join(compare(settings, options.data_paths_from(args), args.rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
