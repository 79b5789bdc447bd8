"""One fold, from features to its record: a pure function of settings and fold number.

It runs in a worker process of one thread, may be killed at any moment, and goes on
from the last finished epoch when called again.
"""

import math
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import models
from dataio import steps_per_epoch, tensorflow_pipeline, training_batches
from hyperparameters import InputError, to_flat
from utils import checkpoint, scoring
from utils.checkpoint import State
from utils.files import write_atomic, write_json
from utils.fold_job import FoldJob, has_audio_models, needs_export
from utils.folds import random_state
from utils.run_folder import (
    FORMAT,
    WEIGHTS_NAME,
    commit,
    describe_corpus,
    provenance,
    read_record,
    record_path,
)

INITIAL_WEIGHTS_STREAM = 4  # keeps them apart from other draws of one seed
# Backends and processors round differently; other weights differ by tenths.
SAME_WEIGHTS_TOLERANCE = 0.02
TEST_CURVE = "test_accuracy"
Report = Callable[[dict[str, Any]], None]


def limit_threads(threads: int) -> None:
    """Hold TensorFlow or PyTorch to some threads, also in a worker of others.

    Another number of threads adds in another order and gives other weights. JAX can't
    be held: it takes the cores that the process may use (XLA's flag for one thread,
    `--xla_cpu_multi_thread_eigen=false`, changes nothing in 0.10).
    """
    if keras.config.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
    if keras.config.backend() != "tensorflow":
        return
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def fit_fold(job: FoldJob, report: Report = print) -> tuple[keras.Model, State]:
    """Train one fold to its last epoch and return it with the kept epoch's weights.

    Args:
        job: The fold.
        report: Called after every epoch with its figures, and with warnings.

    Returns:
        The model with the kept weights, and the final state.

    Raises:
        OSError: A checkpoint cannot be written; the older one stays.
        InputError: The fold's folder belongs to another run.
    """
    for left in job.fold_folder.glob(".*.part"):  # of a killed run: we hold the lock
        left.unlink()
    model = build_model(job)
    state, warnings = checkpoint.restore(job.fold_folder, _state_key(job), model)
    epochs = range(state.epochs_done, job.settings.training.epochs)
    if epochs:
        warnings += note_conditions(state, conditions(job.threads))
    for line in warnings:
        report({"fold": job.fold.number, "warning": line})
    if epochs:
        _fit(job, model, state, epochs, report)
    if state.best:
        checkpoint.assign(model.variables, state.best)
    return model, state


def conditions(threads: int) -> dict[str, Any]:
    """What a fold's numbers depend on besides settings and data.

    Args:
        threads: What the backend was held to; JAX can't be.
    """
    backend = keras.config.backend()
    return {
        "commit": commit(),
        "backend": backend,
        "threads": None if backend == "jax" else threads,
        "device": device_name(),
    }


def device_name() -> str:
    """`cpu`, or the name of the accelerator that the backend computes on."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            details = tf.config.experimental.get_device_details(device)
            return str(details.get("device_name", "gpu"))
    elif keras.config.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            return str(torch.cuda.get_device_name())
        if torch.backends.mps.is_available():
            return "mps"
    elif keras.config.backend() == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    return "cpu"


def note_conditions(state: State, now: dict[str, Any]) -> list[str]:
    """Add to a state what trains from here on, where that is news.

    Args:
        state: Fresh or restored.
        now: As `conditions` has them.

    Returns:
        A warning where other conditions trained the epochs before; else nothing.
    """
    known = state.trained_by[-1] if state.trained_by else {}
    if all(known.get(name) == value for name, value in now.items()):
        return []
    state.trained_by.append({"from_epoch": state.epochs_done, **now})
    changes = [
        f"{name} {known[name]}, now {value}"
        for name, value in now.items()
        if name in known and known[name] != value
    ]
    if not changes:
        return []
    return [
        f"resumed after epoch {state.epochs_done} with {'; '.join(changes)}: results "
        "may differ from those of an uninterrupted run"
    ]


def build_model(job: FoldJob) -> keras.Model:
    """The network of one fold, compiled; its weights are drawn from (seed, fold)."""
    training = job.settings.training
    keras.backend.clear_session()
    policy = "mixed_float16" if training.mixed_precision else "float32"
    keras.config.set_dtype_policy(policy)
    draw = random_state(job.settings, INITIAL_WEIGHTS_STREAM, job.fold.number)
    keras.utils.set_random_seed(int(draw.randint(2**31 - 1)))
    num_classes = len(job.dataset.manifest.classes)
    model = models.build_light_sernet(job.settings, num_classes)
    model.compile(
        optimizer=keras.optimizers.Adam(training.learning_rate_at(0)),
        loss=models.build_loss(job.settings.network),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _fit(
    job: FoldJob, model: keras.Model, state: State, epochs: range, report: Report
) -> None:
    """Run the remaining epochs; the callback keeps state and best weights."""
    if keras.config.backend() == "tensorflow":
        batches = tensorflow_pipeline(job.dataset, job.fold, epochs)
    else:
        batches = training_batches(job.dataset, job.fold, epochs)
    numbers = job.dataset.numbers_of(job.fold.train)
    callbacks: list[keras.callbacks.Callback] = [
        keras.callbacks.LearningRateScheduler(
            lambda epoch: job.settings.training.learning_rate_at(epoch)
        ),
        EpochEnd(job, state, report),
    ]
    if job.options.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(job.fold_folder / "tensorboard"))
    model.fit(
        batches,
        steps_per_epoch=steps_per_epoch(len(numbers), job.settings.training.batch_size),
        initial_epoch=epochs.start,
        epochs=epochs.stop,
        shuffle=False,
        validation_data=_choosing_data(job),
        callbacks=callbacks,
        verbose=job.options.verbose,
    )


def _choosing_data(job: FoldJob) -> tuple[np.ndarray, np.ndarray] | None:
    """Features and labels of the set that chooses the epoch; None where none does."""
    ids = {"test": job.fold.test, "validation": job.fold.validation, "none": ()}
    return job.data_of(ids[job.fold.chosen_on])


class EpochEnd(keras.callbacks.Callback):
    """After each epoch: history, best weights, checkpoint, report."""

    def __init__(self, job: FoldJob, state: State, report: Report) -> None:
        super().__init__()
        self.job, self.state, self.report = job, state, report
        is_whole = len(state.history.get(TEST_CURVE, [])) == state.epochs_done
        wanted = job.options.record_test_curve and is_whole
        self.test_data = job.data_of(job.fold.test) if wanted else None
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Order matters: the state on disk is complete before anyone hears of it."""
        figures = _figures(logs or {})
        self._check(epoch, figures)
        if self.test_data is not None:
            features, labels = self.test_data
            predicted = self.model.predict(features, verbose=0).argmax(axis=1)
            figures[TEST_CURVE] = float(np.mean(predicted == labels))
        state = self.state
        for name, value in figures.items():
            state.history.setdefault(name, []).append(value)
        state.epochs_done = epoch + 1
        if self.job.fold.chosen_on == "none":
            state.epoch_kept = epoch
        elif figures["validation_accuracy"] >= state.best_accuracy:
            # the latest of equals, as published
            state.epoch_kept, state.best_accuracy = (
                epoch,
                figures["validation_accuracy"],
            )
            state.best = checkpoint.values_of(self.model.variables)
        now, cpu_now = time.perf_counter(), time.process_time()
        state.seconds += now - self.started
        state.cpu_seconds += cpu_now - self.cpu_started
        self.started, self.cpu_started = now, cpu_now
        checkpoint.save(self.job.fold_folder, state, self.model)
        self.report({"fold": self.job.fold.number, "epoch": epoch, **figures})

    def _check(self, epoch: int, figures: dict[str, float]) -> None:
        """Refuse an epoch that nothing should go on from.

        Raises:
            InputError: The training diverged, or not all of what it read is its own.
        """
        self.job.dataset.check_segments()
        training = self.job.settings.training
        infinite = [f"{k} {v}" for k, v in figures.items() if not math.isfinite(v)]
        if infinite:
            raise InputError(
                f"training diverged: {', '.join(infinite)} after epoch {epoch + 1} of "
                f"{training.epochs}; give a smaller --learning_rate than "
                f"{training.learning_rate:g}"
            )


def _figures(logs: dict[str, float]) -> dict[str, float]:
    """Keras's log names in the project's words."""
    return {
        name.replace("val_", "validation_"): float(value)
        for name, value in logs.items()
    }


def _state_key(job: FoldJob) -> str:
    """Which run and fold, and on which backend: seed states differ between them."""
    return f"{job.run_hash}/{job.fold.number}/{keras.config.backend()}"


def make_record(job: FoldJob, state: State) -> dict[str, Any]:
    """The record of a finished fold: small, self-contained, JSON; no predictions yet.

    Args:
        job: The fold.
        state: Its final state.
    """
    manifest, fold = job.dataset.manifest, job.fold
    trained_by = state.trained_by[-1] if state.trained_by else {}
    by_id = {utterance.id: utterance for utterance in manifest.utterances}
    return {
        "format": FORMAT,
        "hash": job.run_hash,
        "fold": fold.number,
        "num_folds": job.num_folds,
        "settings": to_flat(job.settings),
        "corpus": describe_corpus(manifest),
        "classes": list(manifest.classes),
        "chosen_on": fold.chosen_on,
        "epoch_kept": state.epoch_kept,
        "seconds": round(state.seconds, 3),
        "cpu_seconds": round(state.cpu_seconds, 3),
        **provenance(job.options.command),
        **{name: trained_by.get(name) for name in ("backend", "threads", "device")},
        "trained_by": state.trained_by,
        "train": list(fold.train),
        "validation": list(fold.validation),
        "test": list(fold.test),
        "labels": [manifest.classes.index(by_id[name].label) for name in fold.test],
        "speakers": [by_id[name].speaker for name in fold.test],
        "history": {
            name: scoring.rounded(np.array(values))
            for name, values in state.history.items()
            if len(values) == state.epochs_done  # a curve begun or left off is none
        },
    }


def train_fold(job: FoldJob, report: Report = print) -> None:
    """Train, export and score one fold; write its record.

    A fold that has its record is not trained again. It is exported again where that is
    asked for, or where models that take audio are asked for and it has none.

    Args:
        job: The fold.
        report: Called with a dict after every epoch and at each stage.

    Raises:
        InputError: The fold's folder belongs to another run, or what is asked for
            cannot be exported here.
        OSError: A file cannot be written; the fold resumes when that is mended.
    """
    number = job.fold.number
    record = read_record(job.folder, number, job.run_hash)
    if record is not None and not needs_export(record, job.options):
        report({"fold": number, "stage": "done"})
        return
    if keras.config.backend() != "tensorflow" and (record or job.options.fused):
        raise InputError(
            "only TensorFlow exports models, and KERAS_BACKEND is "
            f"{keras.config.backend()}: train without -m, then export with "
            f"`KERAS_BACKEND=tensorflow python train.py --export_only {job.folder}`, "
            "which takes -m"
        )
    if record is None:
        model, state = fit_fold(job, report)
        save_weights(model, job.fold_folder / WEIGHTS_NAME)
        record = make_record(job, state)
    report({"fold": number, "stage": "exporting"})
    record |= export_and_score(job, record)
    write_json(record_path(job.folder, number), record)
    checkpoint.remove(job.fold_folder)
    report({"fold": number, "stage": "done"})


def export_and_score(job: FoldJob, record: dict[str, Any]) -> dict[str, Any]:
    """Export the fold's weights where TensorFlow runs, and score every model.

    Args:
        job: The fold.
        record: The fold's, so far. What the trained model answered stays as it is
            recorded: another backend or machine would round it differently.

    Returns:
        The record's `probabilities` by source and `calibration`, utterance ids.

    Raises:
        InputError: The weights are missing, or are not those of the record.
    """
    path = job.fold_folder / WEIGHTS_NAME
    keras.backend.clear_session()
    model = load_weights(path)
    values = scoring.predict_keras(job, model)
    known = record.get("probabilities", {})
    if known:
        check_same_answers(path, values, known["keras"])
    found: dict[str, Any] = {"keras": scoring.rounded(values)} | known
    calibration: list[str] = record.get("calibration", [])
    if keras.config.backend() == "tensorflow":
        calibration = scoring.calibration_ids(job)
        with_audio = job.options.fused or has_audio_models(record)
        paths = scoring.export_fold(job, model, calibration, with_audio=with_audio)
        answers = scoring.predict_files(job, paths)
        found |= {name: scoring.rounded(rows) for name, rows in answers.items()}
    return {"probabilities": found, "calibration": calibration}


def check_same_answers(
    path: Path, values: np.ndarray, recorded: list[list[float]]
) -> None:
    """Hold weights to what the record says their network answered.

    Raises:
        InputError: They are of another training.
    """
    differences = np.abs(values - np.reshape(recorded, values.shape))
    if differences.max(initial=0.0) > SAME_WEIGHTS_TOLERANCE:
        raise InputError(
            f"{path}: these weights do not give the record's answers (probabilities "
            f"differ by {differences.max():.2f}); they are of another training"
        )


def load_weights(path: Path) -> keras.Model:
    """A fold's network from its `.keras` file.

    Raises:
        InputError: Missing or damaged.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        if not path.exists():
            line = f"{path} is missing; only the fold's record was copied here"
            raise InputError(line) from error
        raise InputError(f"{path}: damaged ({error}); copy it again") from error


def save_weights(model: keras.Model, path: Path) -> None:
    """Save a `.keras` file without the optimiser, whole or not at all.

    Raises:
        OSError: The disk is full or the folder not writable.
    """
    plain = keras.Model(model.inputs, model.outputs, name=model.name)
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / path.name
        plain.save(temporary)
        write_atomic(path, temporary.read_bytes())
