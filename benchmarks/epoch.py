"""An epoch of training as the benchmarks see it: a fold, a clock, operations."""

import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataio import load_dataset, steps_per_epoch
from hyperparameters import Settings
from utils.corpora.load import DataPaths
from utils.model_files.footprint import peak_memory_bytes
from utils.protocols.folds import make_folds
from utils.runs.folder import run_hash
from utils.training.job import FoldJob, FoldOptions

MATRIX_SIZE = 2048
MATRIX_REPEATS = 8
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
            peak_mib=(peak_memory_bytes() or 0) / 2**20,
            matrix_flops=matrix_flops,
        )


def make_job(
    settings: Settings, data_paths: DataPaths, number: int, folder: Path
) -> FoldJob:
    """A fold as a worker makes it."""
    dataset = load_dataset(settings, data_paths)
    folds = make_folds(dataset.manifest.utterances, settings)
    return FoldJob(
        dataset=dataset,
        fold=folds[number],
        folder=folder,
        run_hash=run_hash(settings, dataset.manifest),
        num_folds=len(folds),
        options=FoldOptions(),
    )


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


def epoch_operations(settings: Settings, data_paths: DataPaths, number: int) -> float:
    """Multiply and add operations of an epoch, counted from the layers.

    Three passes for each utterance that trains and one for each that validates; only
    convolutions and the dense layer count.
    """
    import keras

    from utils.training.fit import build_model

    with tempfile.TemporaryDirectory() as folder:
        job = make_job(settings, data_paths, number, Path(folder))
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
