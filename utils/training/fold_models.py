"""A fold's models: exported, and each asked about the fold's own test utterances."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from utils.model_files.tflite import load_model, predict_recordings
from utils.protocols.folds import Stream, random_state
from utils.runs.folder import file_stem
from utils.training.job import FoldJob

CALIBRATION_UTTERANCES = 128
Probabilities = npt.NDArray[np.float32]


def predict_keras(job: FoldJob, model: keras.Model) -> Probabilities:
    """Class probabilities of the fold's test utterances.

    Args:
        job: The fold.
        model: Its trained network.

    Returns:
        (utterances, classes), averaged over an utterance's segments; no rows where
        nobody is tested.
    """
    data = job.data_of(job.fold.test)
    if data is None:
        return np.empty((0, len(job.dataset.manifest.classes)), np.float32)
    values = model.predict(data[0], verbose=0)
    return job.dataset.mean_over_segments(values, job.fold.test)


def calibration_ids(job: FoldJob) -> list[str]:
    """Training utterances that set the ranges of int8: 128, drawn from (seed, fold)."""
    draw = random_state(job.settings, Stream.CALIBRATION, job.fold.number)
    order = draw.permutation(len(job.fold.train))[:CALIBRATION_UTTERANCES]
    return sorted(job.fold.train[i] for i in order)


def export_fold(
    job: FoldJob, model: keras.Model, calibration: Sequence[str], *, with_audio: bool
) -> dict[str, Path]:
    """Write the fold's TFLite files into its folder.

    Args:
        job: The fold.
        model: Its trained network.
        calibration: Training utterances.
        with_audio: Also the models that take samples.

    Returns:
        Files by the name of their predictions in the record.
    """
    from utils.export.convert import ExportJob, export_models  # needs TensorFlow

    data = job.data_of(calibration)
    assert data is not None, "a fold trains on at least one utterance"
    manifest = job.dataset.manifest
    return export_models(
        model,
        ExportJob(
            folder=job.fold_folder,
            stem=file_stem(manifest.corpus, job.settings),
            classes=manifest.classes,
            front_end=job.settings.front_end,
            calibration=data[0],
            origin=origin(job),
            with_audio=with_audio,
        ),
    )


def origin(job: FoldJob) -> dict[str, Any]:
    """What a model file says of where it comes from; the run's scores come later."""
    data, manifest = job.settings.data, job.dataset.manifest
    return {
        "corpus": {"name": manifest.corpus, "note": manifest.note},
        "audio_type": data.audio_type,
        "loss_name": job.settings.network.loss_name,
        "protocol": data.protocol,
        "select": "last" if job.fold.chosen_on == "none" else "best",
        "epochs": job.settings.training.epochs,
        "seed": job.settings.training.seed,
        "fold": job.fold.number,
        "run": job.folder.name,
        "scores": None,
    }


def predict_files(job: FoldJob, paths: dict[str, Path]) -> dict[str, Probabilities]:
    """Ask exported models as they will be used: from the samples of each file.

    Args:
        job: The fold.
        paths: Model files by name.

    Returns:
        (utterances, classes) by name.
    """
    by_id = {utterance.id: utterance for utterance in job.dataset.manifest.utterances}
    rate_hz = job.settings.front_end.sample_rate_hz
    return predict_recordings(
        {name: load_model(path) for name, path in paths.items()},
        (job.dataset.read(by_id[name].path, rate_hz) for name in job.fold.test),
        job.settings.data.segment_mode,
    )


def rounded(values: npt.NDArray[Any]) -> list[Any]:
    """Numbers as the shortest decimals that give the same float32 back."""
    if values.ndim > 1:
        return [rounded(row) for row in values]
    return [float(str(value)) for value in values.astype(np.float32)]
