"""The training of one fold: epochs of Keras's `fit`, each followed by a checkpoint."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import models
from dataio import steps_per_epoch, tensorflow_pipeline, training_batches
from hyperparameters import InputError
from utils.protocols.folds import Stream, random_state
from utils.training import checkpoint
from utils.training.backend import environment_of_training, note_conditions
from utils.training.checkpoint import State
from utils.training.job import FoldJob

TEST_CURVE = "test_accuracy"
Report = Callable[[dict[str, Any]], None]


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
        warnings += note_conditions(state, environment_of_training(job.threads))
    for line in warnings:
        report({"fold": job.fold.number, "warning": line})
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
    draw = random_state(job.settings, Stream.INITIAL_WEIGHTS, job.fold.number)
    keras.utils.set_random_seed(int(draw.randint(2**31 - 1)))
    num_classes = len(job.dataset.manifest.classes)
    model = models.build_light_sernet(job.settings, num_classes, batch_norm())
    model.compile(
        optimizer=keras.optimizers.Adam(training.learning_rate_at(0)),
        loss=models.build_loss(job.settings.network),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    return model


def batch_norm() -> type[keras.layers.Layer]:
    """The layer to train with: Keras's own, or with TensorFlow a faster one."""
    if keras.config.backend() != "tensorflow":
        return keras.layers.BatchNormalization
    from utils.training.fused_norm import FusedBatchNormalization

    return FusedBatchNormalization


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
