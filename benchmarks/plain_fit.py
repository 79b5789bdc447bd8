"""The baseline of `benchmarks.training`: a plain Keras `fit`, nothing cached."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.epoch import Clock, Measurement, make_job
from dataio import steps_per_epoch
from hyperparameters import Settings
from utils.corpora.load import DataPaths
from utils.training.job import FoldJob


def measure_baseline(
    settings: Settings, data_paths: DataPaths, number: int, threads: int
) -> Measurement:
    """Train the same network on the same fold by a plain Keras `fit`."""
    import keras

    import models
    from utils.training.backend import limit_threads

    limit_threads(threads)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(settings, data_paths, number, Path(folder))
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
