"""What training costs: this program against a plain Keras `fit`, in turns.

    python -m benchmarks.training -dn EMO-DB --data_dir data --epochs 5 --rounds 2
    python -m benchmarks.training --scaling

Measured are one process with two threads, two processes of one thread each (`--jobs 2`)
and, as the baseline, `fit` with two threads over a `tf.data` pipeline that reads each
WAV and computes its MFCC with `tf.signal` in every epoch, without a cache. All train
the same fold, validate on it, and get the same allocator settings. The first epoch of
each process, which traces the graph, is not counted. Prints Markdown; each figure is of
this machine as it is now: what else runs on it counts.
"""

import argparse
import itertools
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dataio import Places, load_dataset, steps_per_epoch
from hyperparameters import Settings
from utils import options
from utils.cli import Parser, run_main
from utils.fold_job import FoldJob, FoldOptions
from utils.folds import make_folds
from utils.processes import environment
from utils.run_folder import machine, run_hash
from utils.workers import worker_environment

MATRIX_SIZE = 2048
MATRIX_REPEATS = 8
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
TRAINING_PASSES = 3  # forward, gradient of the input, gradient of the weights


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One process's epochs after its first.

    Attributes:
        wall_s: Of each epoch.
        cpu_s: Of each epoch, all threads.
        peak_mib: Largest resident memory of the process.
        matrix_flops: Multiply and add operations a second of a matrix product on one
            thread, in the same process; 0 where not asked for.
    """

    wall_s: list[float]
    cpu_s: list[float]
    peak_mib: float
    matrix_flops: float = 0.0


class Clock:
    """Notes time and processor time at the end of each epoch."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def __call__(self, event: dict[str, Any]) -> None:
        if "epoch" in event:
            self.marks.append((time.perf_counter(), time.process_time()))

    def measurement(self, matrix_flops: float = 0.0) -> Measurement:
        """The epochs after the first."""
        wall, cpu = zip(*self.marks, strict=True)
        return Measurement(
            wall_s=[b - a for a, b in itertools.pairwise(wall)],
            cpu_s=[b - a for a, b in itertools.pairwise(cpu)],
            peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            matrix_flops=matrix_flops,
        )


def make_job(settings: Settings, places: Places, number: int, folder: Path) -> FoldJob:
    """A fold as a worker makes it."""
    dataset = load_dataset(settings, places)
    folds = make_folds(dataset.manifest.utterances, settings)
    return FoldJob(
        dataset=dataset,
        fold=folds[number],
        folder=folder,
        run_hash=run_hash(settings, dataset.manifest),
        num_folds=len(folds),
        options=FoldOptions(),
    )


def measure_program(
    settings: Settings, places: Places, number: int, threads: int
) -> Measurement:
    """Train a fold as `train.py` does, checkpoints among it."""
    from utils.backend import limit_threads
    from utils.training import fit_fold

    limit_threads(threads)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        fit_fold(make_job(settings, places, number, Path(folder)), clock)
    return clock.measurement(matrix_rate() if threads == 1 else 0.0)


def measure_baseline(
    settings: Settings, places: Places, number: int, threads: int
) -> Measurement:
    """Train the same network on the same fold by a plain Keras `fit`."""
    import keras

    import models
    from utils.backend import limit_threads

    limit_threads(threads)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(settings, places, number, Path(folder))
        model = models.build_light_sernet(settings, len(job.dataset.manifest.classes))
        loss = models.build_loss(settings.network)
        model.compile("adam", loss, metrics=["accuracy"])
        batch, count = settings.training.batch_size, len(job.fold.train)
        training = element_wise(job, job.fold.train).shuffle(count).repeat()
        model.fit(
            training.batch(batch).prefetch(2),
            steps_per_epoch=steps_per_epoch(count, batch),
            epochs=settings.training.epochs,
            validation_data=element_wise(job, job.fold.test).batch(batch).prefetch(2),
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_epoch_end=lambda epoch, logs: clock({"epoch": epoch})
                )
            ],
            verbose=0,
        )
    return clock.measurement()


def element_wise(job: FoldJob, utterance_ids: Sequence[str]) -> Any:
    """WAV to MFCC one element at a time, as the released code's pipeline does."""
    import tensorflow as tf

    front_end = job.settings.front_end
    numbers = job.dataset.numbers_of(utterance_ids)
    paths = [str(job.dataset.segments.paths[number]) for number in numbers]
    mel = tf.signal.linear_to_mel_weight_matrix(
        front_end.num_mel_bins,
        front_end.num_bins,
        front_end.sample_rate_hz,
        front_end.mel_low_hz,
        front_end.mel_high_hz,
    )

    def load(path: Any, label: Any) -> tuple[Any, Any]:
        samples = tf.audio.decode_wav(tf.io.read_file(path)).audio[:, 0]
        frames = tf.signal.stft(
            samples,
            front_end.frame_length_samples,
            front_end.hop_samples,
            front_end.fft_size,
        )
        log_mel = tf.math.log(tf.abs(frames) @ mel + front_end.log_offset)
        values = tf.signal.mfccs_from_log_mel_spectrograms(log_mel)
        values = values[..., : front_end.num_mfcc, None]
        limit = front_end.mfcc_limit
        values = tf.clip_by_value(values, -limit, limit)
        return tf.ensure_shape(values, front_end.input_shape), label

    elements = tf.data.Dataset.from_tensor_slices((paths, job.dataset.labels[numbers]))
    return elements.map(load, num_parallel_calls=tf.data.AUTOTUNE)


def matrix_rate() -> float:
    """Operations a second of a float32 matrix product on one thread, the best."""
    import tensorflow as tf

    matrix = tf.random.stateless_normal((MATRIX_SIZE, MATRIX_SIZE), (1, 2))
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)))
    times = []
    for _ in range(MATRIX_REPEATS):
        start = time.process_time()
        product().numpy()
        times.append(time.process_time() - start)
    return float(2 * MATRIX_SIZE**3 / min(times))


def measure_scale(
    settings: Settings, places: Places, number: int, scale: float
) -> tuple[int, Measurement]:
    """Train on a share of the utterances, or on each several times; nothing chosen.

    Returns:
        Training utterances, and the measurement on one thread.
    """
    from utils.backend import limit_threads
    from utils.training import fit_fold

    limit_threads(1)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(settings, places, number, Path(folder))
        count = round(scale * len(job.fold.train))
        repeated = job.fold.train * max(1, round(scale))
        fold = replace(job.fold, train=repeated[:count], chosen_on="none")
        fit_fold(replace(job, fold=fold), clock)
    return count, clock.measurement()


def epoch_operations(settings: Settings, places: Places, number: int) -> float:
    """Multiply and add operations of an epoch, counted from the layers.

    Three passes for each utterance that trains and one for each that validates; only
    convolutions and the dense layer count.
    """
    import keras

    from utils.training import build_model

    with tempfile.TemporaryDirectory() as folder:
        job = make_job(settings, places, number, Path(folder))
        model = build_model(job)
    products = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, height, width, filters = layer.output.shape
            kernel = layer.kernel_size[0] * layer.kernel_size[1]
            products += kernel * layer.input.shape[-1] * filters * height * width
        elif isinstance(layer, keras.layers.Dense):
            products += layer.input.shape[-1] * layer.units
    batch = settings.training.batch_size
    trained = (
        steps_per_epoch(len(job.dataset.numbers_of(job.fold.train)), batch) * batch
    )
    chosen_on = {"test": job.fold.test, "validation": job.fold.validation}
    chosen = len(job.dataset.numbers_of(chosen_on.get(job.fold.chosen_on, ())))
    return float(2 * products * (TRAINING_PASSES * trained + chosen))


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
}


def compare(settings: Settings, places: Places, rounds: int) -> list[str]:
    """Measure all kinds in turn, round after round; lines of Markdown."""
    found: dict[str, list[Measurement]] = {name: [] for name in KINDS}
    for _ in range(rounds):
        for name, (function, processes, threads) in KINDS.items():
            calls = [(settings, places, n, threads) for n in range(processes)]
            found[name] += in_processes(function, calls, threads)
    [operations] = in_processes(epoch_operations, [(settings, places, 0)], 1)
    count = len(make_job(settings, places, 0, Path()).fold.train)
    lines = [
        f"An epoch trains on {count} utterances: {operations / 1e12:.3f} TFLOP.",
        "",
        "| | CPU s an epoch | wall s an epoch | utterances / s | peak MiB a process |",
        "|---|---:|---:|---:|---:|",
    ]
    rates = {}
    for name, measurements in found.items():
        processes = KINDS[name][1]
        wall = median(measurements, "wall_s") / processes
        rates[name] = count / wall
        peak = max(each.peak_mib for each in measurements)
        cpu = median(measurements, "cpu_s")
        lines.append(
            f"| {name} | {cpu:.2f} | {wall:.2f} | {rates[name]:.1f} | {peak:.0f} |"
        )
    one, two, plain = rates.values()
    alone = found["--jobs 2, one thread each"]
    matrix = statistics.median(each.matrix_flops for each in alone)
    reached = operations / median(alone, "cpu_s")
    return [
        *lines,
        "",
        f"--jobs 2 trains {two / one:.2f} x as fast as one process with two threads, "
        f"{two / plain:.2f} x as fast as the plain fit.",
        f"One thread: {reached / 1e9:.1f} GFLOP/s in training, {matrix / 1e9:.1f} in a "
        f"matrix product of {MATRIX_SIZE}: {100 * reached / matrix:.0f} %.",
    ]


def median(measurements: Sequence[Measurement], name: str) -> float:
    """Median over all epochs of all processes."""
    return statistics.median(v for each in measurements for v in getattr(each, name))


def scaling(settings: Settings, places: Places) -> list[str]:
    """Cost against the number of utterances; lines of Markdown."""
    lines = [
        "| training utterances | CPU s an epoch | CPU ms an utterance |",
        "|---:|---:|---:|",
    ]
    for scale in SCALES:
        [(count, found)] = in_processes(
            measure_scale, [(settings, places, 0, scale)], 1
        )
        cpu = median([found], "cpu_s")
        lines.append(f"| {count} | {cpu:.2f} | {1000 * cpu / count:.2f} |")
    return lines


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Settings and places as of `train.py`, and what to measure."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(prog="python -m benchmarks.training", description=__doc__)
    options.add_settings(parser, words)
    options.add_places(parser)
    parser.add_argument("--rounds", type=int, default=2, help="of all kinds, in turn")
    parser.add_argument("--scaling", action="store_true", help="cost against size")
    parser.set_defaults(epochs=5, batch_size=32)
    return parser.parse_args(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    args = parse_args(argv)
    args.epochs = max(2, args.epochs)  # the first is not counted
    [settings] = options.settings_from(args)
    places = options.places_from(args)
    load_dataset(settings, places)  # made before anything is measured
    print(f"{machine()}; load before: {os.getloadavg()[0]:.1f}\n")
    lines = (
        scaling(settings, places)
        if args.scaling
        else compare(settings, places, args.rounds)
    )
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
