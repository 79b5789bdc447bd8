"""The baseline of `benchmarks.training`: a plain Keras `fit`, nothing cached.

Its `tf.data` pipeline reads each WAV and computes its MFCC with `tf.signal` in every
epoch, one element at a time, as the released code does.
"""

from collections.abc import Callable, Sequence
from typing import Any

from dataio import steps_per_epoch
from utils.training.job import FoldJob


def fit_plain(job: FoldJob, report: Callable[[dict[str, Any]], None]) -> None:
    """Train the fold's network on its utterances, and report each epoch."""
    import keras

    import models

    settings = job.settings
    model = models.build_light_sernet(settings, len(job.dataset.manifest.classes))
    model.compile("adam", models.build_loss(settings.network), metrics=["accuracy"])
    batch, count = settings.training.batch_size, len(job.fold.train)
    training = _elements(job, job.fold.train).shuffle(count).repeat()
    model.fit(
        training.batch(batch).prefetch(2),
        steps_per_epoch=steps_per_epoch(count, batch),
        epochs=settings.training.epochs,
        validation_data=_elements(job, job.fold.test).batch(batch).prefetch(2),
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: report({"epoch": epoch})
            )
        ],
        verbose=0,
    )


def _elements(job: FoldJob, utterance_ids: Sequence[str]) -> Any:
    """Features and labels of some utterances as a `tf.data.Dataset`."""
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
