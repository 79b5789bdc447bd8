"""One fold, from features to its record: a pure function of settings and fold number.

It runs in a worker process of one thread, may be killed at any moment, and goes on
from the last finished epoch when called again.
"""

import os
import time
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
from utils.files import write_json
from utils.fold_job import FoldJob
from utils.folds import random_state
from utils.run_folder import (
    FORMAT,
    describe_corpus,
    provenance,
    read_record,
    record_path,
)

INITIAL_WEIGHTS_STREAM = 4  # keeps them apart from other draws of one seed
WEIGHTS_NAME = "weights.keras"
Report = Callable[[dict[str, Any]], None]


def limit_threads(threads: int) -> None:
    """Hold TensorFlow to some threads, also in a worker that others started.

    Another number of threads adds in another order and gives other weights.
    """
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
    model = build_model(job)
    state, warnings = checkpoint.restore(job.fold_folder, _state_key(job), model)
    for line in warnings:
        report({"fold": job.fold.number, "warning": line})
    epochs = range(state.epochs_done, job.settings.training.epochs)
    if epochs:
        _fit(job, model, state, epochs, report)
    if state.best:
        checkpoint.assign(model.variables, state.best)
    return model, state


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
    for left in job.fold_folder.glob(".*.part"):  # of a killed run: we hold the lock
        left.unlink()
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
        self.test_data = (
            job.data_of(job.fold.test) if job.options.record_test_curve else None
        )
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Order matters: the state on disk is complete before anyone hears of it."""
        figures = _figures(logs or {})
        if self.test_data is not None:
            features, labels = self.test_data
            predicted = self.model.predict(features, verbose=0).argmax(axis=1)
            figures["test_accuracy"] = float(np.mean(predicted == labels))
        state = self.state
        for name, value in figures.items():
            state.history.setdefault(name, []).append(value)
        state.epochs_done = epoch + 1
        accuracy = figures.get("validation_accuracy", -1.0)
        if self.job.fold.chosen_on == "none":
            state.epoch_kept = epoch
        elif accuracy >= state.best_accuracy:  # the latest of equals, as published
            state.epoch_kept, state.best_accuracy = epoch, accuracy
            state.best = checkpoint.values_of(self.model.variables)
        now, cpu_now = time.perf_counter(), time.process_time()
        state.seconds += now - self.started
        state.cpu_seconds += cpu_now - self.cpu_started
        self.started, self.cpu_started = now, cpu_now
        checkpoint.save(self.job.fold_folder, state, self.model)
        self.report({"fold": self.job.fold.number, "epoch": epoch, **figures})


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
        "train": list(fold.train),
        "validation": list(fold.validation),
        "test": list(fold.test),
        "labels": [manifest.classes.index(by_id[name].label) for name in fold.test],
        "speakers": [by_id[name].speaker for name in fold.test],
        "history": {k: scoring.rounded(np.array(v)) for k, v in state.history.items()},
    }


def train_fold(job: FoldJob, report: Report = print) -> None:
    """Train, export and score one fold; write its record.

    A fold that has its record is not trained again; predictions of exported models
    that it lacks (audio in, or trained where TensorFlow was not) are added.

    Args:
        job: The fold.
        report: Called with a dict after every epoch and at each stage.

    Raises:
        OSError: A file cannot be written; the fold resumes when that is mended.
    """
    number = job.fold.number
    record = read_record(job.folder, number, job.run_hash)
    if record is None:
        model, state = fit_fold(job, report)
        save_weights(model, job.fold_folder / WEIGHTS_NAME)
        record = make_record(job, state)
    report({"fold": number, "stage": "exporting"})
    record |= export_and_score(job)
    write_json(record_path(job.folder, number), record)
    checkpoint.remove(job.fold_folder)
    report({"fold": number, "stage": "done"})


def export_and_score(job: FoldJob) -> dict[str, Any]:
    """Export the fold's weights where TensorFlow runs, and score every model.

    Returns:
        The record's `probabilities` by source and `calibration`, utterance ids.

    Raises:
        InputError: The weights are not there.
    """
    path = job.fold_folder / WEIGHTS_NAME
    if not path.exists():
        raise InputError(f"{path} is missing; only its record was copied here")
    keras.backend.clear_session()
    model = keras.models.load_model(path, compile=False)
    probabilities = {"keras": scoring.predict_keras(job, model)}
    calibration: list[str] = []
    if keras.config.backend() == "tensorflow":
        calibration = scoring.calibration_ids(job)
        paths = scoring.export_fold(job, model, calibration)
        probabilities |= scoring.predict_files(job, paths)
    return {
        "probabilities": {k: scoring.rounded(v) for k, v in probabilities.items()},
        "calibration": calibration,
    }


def save_weights(model: keras.Model, path: Path) -> None:
    """Save a `.keras` file without the optimiser, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"part_{path.name}")
    keras.Model(model.inputs, model.outputs, name=model.name).save(temporary)
    os.replace(temporary, path)
