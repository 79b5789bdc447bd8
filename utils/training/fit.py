"""The training of one fold: epochs of Keras's `fit`, a checkpoint after each."""

import math
import time
from typing import Any

import keras
import numpy as np

import models
from dataio import steps_per_epoch, tensorflow_pipeline, training_batches
from hyperparameters import InputError
from utils.audio.rooms import ROOMS_FORMAT
from utils.corpora.features import FUNCTIONALS_FORMAT
from utils.random_streams import Stream, random_state
from utils.training import checkpoint
from utils.training.backend import (
    batch_norm,
    environment_of_training,
    note_environment,
)
from utils.training.checkpoint import TEST_CURVE, State
from utils.training.examples import Examples, is_varied
from utils.training.job import FoldJob, Report
from utils.training.start import freeze, start_from
from utils.training.teacher import soft_labels


def fit_fold(job: FoldJob, report: Report = print) -> tuple[keras.Model, State]:
    """Train one fold to its last epoch, from its last checkpoint if it has one.

    Args:
        job: The fold.
        report: Called after every epoch with its accuracies and losses, and with
            warnings.

    Returns:
        The model with the weights of the kept epoch, and the final state.

    Raises:
        OSError: A checkpoint cannot be written; the older one stays.
        InputError: The fold's folder belongs to another run, or training diverged.
    """
    for left in job.fold_folder.glob(".*.part"):  # of a killed run: we hold the lock
        left.unlink()
    model, training = build_model(job), job.settings.training
    state, warnings = checkpoint.restore(job.fold_folder, _state_key(job), model)
    epochs = range(state.epochs_done, training.epochs)
    if epochs:
        warnings += note_environment(state, environment_of_training(job.threads))
    for line in warnings:
        report({"fold": job.fold.number, "warning": line})
    if epochs:
        count = len(job.dataset.training_numbers(job.fold.train))
        model.fit(
            _batches(job, epochs),
            steps_per_epoch=steps_per_epoch(count, training.batch_size),
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            shuffle=False,
            validation_data=_validation_data(job),
            callbacks=_callbacks(job, state, report),
            verbose=job.options.verbose,
        )
    if training.weight_average:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    if state.best:
        checkpoint.assign(model.variables, state.best)
    return model, state


def build_model(job: FoldJob) -> keras.Model:
    """The compiled network of one fold.

    Its weights are drawn from (seed, fold), or those of the starting model.
    """
    training = job.settings.training
    keras.backend.clear_session()
    policy = "mixed_float16" if training.mixed_precision else "float32"
    keras.config.set_dtype_policy(policy)
    draw = random_state(job.settings, Stream.INITIAL_WEIGHTS, job.fold.number)
    keras.utils.set_random_seed(int(draw.randint(2**31 - 1)))
    num_classes = len(job.dataset.manifest.classes)
    model = models.build_light_sernet(job.settings, num_classes, batch_norm())
    if job.start is not None:
        found = job.data_of(job.fold.train[:: max(1, len(job.fold.train) // 64)])
        assert found is not None, "a fold trains on at least one utterance"
        start_from(model, job.start, job.dataset.manifest.classes, found[0])
        freeze(model, training.frozen_stages)
    has_teacher = training.teacher != "none"
    model.compile(
        optimizer=build_optimizer(job),
        loss=keras.losses.CategoricalCrossentropy()
        if has_teacher
        else models.build_loss(job.settings.network),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    return model


def build_optimizer(job: FoldJob) -> keras.optimizers.Optimizer:
    """Adam as published, or what the settings ask for.

    The state of the schedule and the averaged weights are among its variables.
    """
    training = job.settings.training
    rate: Any = training.learning_rate_at(0)
    if training.schedule == "cosine":
        count = len(job.dataset.training_numbers(job.fold.train))
        steps = training.epochs * steps_per_epoch(count, training.batch_size)
        rising = int(training.warm_up * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if rising else training.learning_rate,
            max(1, steps - rising),
            warmup_target=training.learning_rate if rising else None,
            warmup_steps=rising,
        )
    options: dict[str, Any] = {}
    if training.weight_average:
        options = {"use_ema": True, "ema_momentum": training.weight_average}
    if training.optimizer == "adamw":
        options["weight_decay"] = training.weight_decay
        return keras.optimizers.AdamW(rate, **options)
    return keras.optimizers.Adam(rate, **options)


def _batches(job: FoldJob, epochs: range) -> Any:
    """The training batches of some epochs, in the form that the backend takes."""
    if is_varied(job.settings):
        examples = Examples(
            job.dataset, job.fold, voices=job.voices, soft_labels=soft_labels(job)
        )
        if keras.config.backend() == "tensorflow":
            return examples.tensorflow_pipeline(epochs)
        return examples.batches(epochs)
    if keras.config.backend() == "tensorflow":
        return tensorflow_pipeline(job.dataset, job.fold, epochs)
    return training_batches(job.dataset, job.fold, epochs)


def _choosing_ids(job: FoldJob) -> tuple[str, ...]:
    """Utterances of the set that chooses the epoch; empty if none does."""
    sets = {"test": job.fold.test, "validation": job.fold.validation, "none": ()}
    return sets[job.fold.chosen_on]


def _validation_data(job: FoldJob) -> tuple | None:
    """Features and labels that choose the epoch, in the form that the loss takes."""
    data = job.data_of(_choosing_ids(job))
    if data is None or job.settings.training.teacher == "none":
        return data
    num_classes = len(job.dataset.manifest.classes)
    return data[0], np.eye(num_classes, dtype=np.float32)[data[1]]


def _callbacks(
    job: FoldJob, state: State, report: Report
) -> list[keras.callbacks.Callback]:
    """Learning rate, checkpoint and, on request, TensorBoard."""
    training = job.settings.training
    callbacks: list[keras.callbacks.Callback] = [EpochEnd(job, state, report)]
    if training.schedule == "steps":
        callbacks.insert(
            0,
            keras.callbacks.LearningRateScheduler(
                lambda epoch: training.learning_rate_at(epoch)
            ),
        )
    if job.options.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(job.fold_folder / "tensorboard"))
    return callbacks


class EpochEnd(keras.callbacks.Callback):
    """After each epoch: history, best weights, checkpoint, report."""

    def __init__(self, job: FoldJob, state: State, report: Report) -> None:
        super().__init__()
        self.job, self.state, self.report = job, state, report
        is_whole = len(state.history.get(TEST_CURVE, [])) == state.epochs_done
        is_wanted = job.options.record_test_curve and is_whole
        self.test_data = job.data_of(job.fold.test) if is_wanted else None
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save the complete state, then report the epoch: in this order."""
        values = {
            name.replace("val_", "validation_"): float(value)
            for name, value in (logs or {}).items()
        }
        self._check(epoch, values)
        if self.test_data is not None:
            values[TEST_CURVE] = self._test_accuracy(*self.test_data)
        self._update_state(epoch, values)
        checkpoint.save(self.job.fold_folder, self.state, self.model)
        self.report({"fold": self.job.fold.number, "epoch": epoch, **values})

    def _test_accuracy(self, features: Any, labels: Any) -> float:
        """Of the weights that would be kept: their average, if they are averaged."""
        variables = self.model.trainable_variables
        weights = checkpoint.values_of(variables)
        if self.job.settings.training.weight_average:
            self.model.optimizer.finalize_variable_values(variables)
        predicted = self.model.predict(features, verbose=0).argmax(axis=1)
        checkpoint.assign(variables, weights)
        return float(np.mean(predicted == labels))

    def _update_state(self, epoch: int, values: dict[str, float]) -> None:
        """Add the epoch to the state; keep its weights if it is the best so far."""
        state = self.state
        for name, value in values.items():
            state.history.setdefault(name, []).append(value)
        state.epochs_done = epoch + 1
        if self.job.fold.chosen_on == "none":
            state.epoch_kept = epoch
        elif values["validation_accuracy"] >= state.best_accuracy:
            # of equal epochs the latest, as published
            state.epoch_kept = epoch
            state.best_accuracy = values["validation_accuracy"]
            state.best = checkpoint.values_of(self.model.variables)
        now, cpu_now = time.perf_counter(), time.process_time()
        state.seconds += now - self.started
        state.cpu_seconds += cpu_now - self.cpu_started
        self.started, self.cpu_started = now, cpu_now

    def _check(self, epoch: int, values: dict[str, float]) -> None:
        """Refuse an epoch that must not be saved.

        Raises:
            InputError: Training diverged, or another run replaced the segments.
        """
        self.job.dataset.check_segments()
        training = self.job.settings.training
        infinite = [f"{k} {v}" for k, v in values.items() if not math.isfinite(v)]
        if infinite:
            raise InputError(
                f"training diverged: {', '.join(infinite)} after epoch {epoch + 1} of "
                f"{training.epochs}; give a smaller --learning_rate than "
                f"{training.learning_rate:g}"
            )


def _state_key(job: FoldJob) -> str:
    """Run, fold, backend, teacher, rooms: random states differ between backends."""
    key = f"{job.run_hash}/{job.fold.number}/{keras.config.backend()}"
    if job.settings.training.teacher != "none":
        key += f"/{FUNCTIONALS_FORMAT}"
    return f"{key}/{ROOMS_FORMAT}" if job.settings.inputs.rooms else key
