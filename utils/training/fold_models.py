"""A fold's models: exported, and their predictions of the fold's test utterances."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.audio.prepare import OVERLAPPING
from utils.files import sha256
from utils.model_files.keras_model import read_keras
from utils.model_files.linear import LINEAR_SUFFIX, save_linear
from utils.model_files.tflite import load_model, predict_recordings
from utils.random_streams import Stream, random_state
from utils.runs.folder import WEIGHTS_NAME, file_stem, read_config
from utils.training import known_voice
from utils.training.job import FoldJob, has_audio_models

CALIBRATION_UTTERANCES = 128
# Backends and processors round differently; other weights differ by tenths.
SAME_WEIGHTS_TOLERANCE = 0.02
Probabilities = npt.NDArray[np.float32]


def export_and_predict(job: FoldJob, record: dict[str, Any]) -> dict[str, Any]:
    """Export the fold's weights on TensorFlow, and predict with every model.

    Args:
        job: The fold.
        record: The fold's record so far. Recorded predictions of the trained model
            stay: another backend or machine would round them differently.

    Returns:
        The record's `probabilities` by model, `calibration` (utterance ids), and
        `functionals` and `known_voice` if the settings ask for them.

    Raises:
        InputError: The weights are missing or do not belong to the record, or the
            corpus has changed.
    """
    path = job.fold_folder / WEIGHTS_NAME
    if not path.exists():
        raise InputError(f"{path} is missing; only the fold's record was copied here")
    keras.backend.clear_session()
    model = read_keras(path)
    values = predict_keras(job, model)
    known = record.get("probabilities", {})
    if known:
        _check_same(path, values, known["keras"])
    found: dict[str, Any] = {"keras": rounded(values)} | known
    calibration: list[str] = record.get("calibration", [])
    paths: dict[str, Path] = {}
    if keras.config.backend() == "tensorflow":
        calibration = calibration_ids(job)
        with_audio = job.options.fused or has_audio_models(record)
        paths = export_fold(job, model, calibration, with_audio=with_audio)
        predicted = predict_files(job, paths)
        found |= {name: rounded(rows) for name, rows in predicted.items()}
    return {
        "probabilities": found,
        "calibration": calibration,
        **_with_known_voice(job, model, paths),
    }


def _with_known_voice(
    job: FoldJob, model: keras.Model, paths: dict[str, Path]
) -> dict[str, Any]:
    """What a record also holds if features are scaled by voice or a teacher helps."""
    found: dict[str, Any] = {}
    systems: dict[str, known_voice.Predict] = {}
    if job.dataset.functionals is not None:
        linear = known_voice.fit_functionals(job.dataset, job.fold)
        stem = file_stem(job.dataset.manifest.corpus, job.settings)
        save_linear(job.fold_folder / f"{stem}{LINEAR_SUFFIX}", linear)
        systems["functionals"] = known_voice.functionals(job.dataset, job.fold, linear)
    if not job.fold.test:
        return found
    if "functionals" in systems:
        [nothing_known] = systems["functionals"]([{}])
        found["functionals"] = {"none": nothing_known.round(6).tolist()}
    if job.settings.inputs.feature_scaling == "voice":
        systems["keras"] = known_voice.network(job, known_voice.keras_predictor(model))
        if "int8" in paths:
            int8 = load_model(paths["int8"]).predict
            systems["int8"] = known_voice.network(job, int8)
        found["known_voice"] = known_voice.predict_known_voice(
            job.dataset, job.fold, systems
        )
    return found


def _check_same(path: Path, values: np.ndarray, recorded: list[list[float]]) -> None:
    """Check that weights give the recorded predictions.

    Raises:
        InputError: They were trained otherwise.
    """
    differences = np.abs(values - np.reshape(recorded, values.shape))
    if differences.max(initial=0.0) > SAME_WEIGHTS_TOLERANCE:
        raise InputError(
            f"{path}: these weights do not give the recorded probabilities (they "
            f"differ by {differences.max():.2f}), so they are of another training"
        )


def predict_keras(job: FoldJob, model: keras.Model) -> Probabilities:
    """Class probabilities of the fold's test utterances.

    Args:
        job: The fold.
        model: Its trained network.

    Returns:
        (utterances, classes), averaged over an utterance's segments; no rows if the
        fold has no test set.
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
        with_audio: Also the models that take raw audio.

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
            origin=_origin(job),
            with_audio=with_audio,
            voices=job.voices,
        ),
    )


def _origin(job: FoldJob) -> dict[str, Any]:
    """Metadata of the model files; the run's scores are added later."""
    data, manifest = job.settings.data, job.dataset.manifest
    start = read_config(job.folder).get("start")  # also when exported again
    return {
        **({} if start is None else {"started_from": start}),
        **({"segment_mode": OVERLAPPING} if data.segment_mode == OVERLAPPING else {}),
        **({"rooms": rooms} if (rooms := job.settings.inputs.rooms) else {}),
        "corpus": {"name": manifest.corpus, "note": manifest.note},
        "audio_type": data.audio_type,
        "loss_name": job.settings.network.loss_name,
        "protocol": data.protocol,
        "select": "last" if job.fold.chosen_on == "none" else "best",
        "epochs": job.settings.training.epochs,
        "seed": job.settings.training.seed,
        "fold": job.fold.number,
        "num_folds": job.num_folds,
        "run": job.folder.name,
        "scores": None,
    }


def predict_files(job: FoldJob, paths: dict[str, Path]) -> dict[str, Probabilities]:
    """Predict with exported models as they will be used: from each file's samples.

    Args:
        job: The fold.
        paths: Model files by name.

    Returns:
        (utterances, classes) by name.

    Raises:
        InputError: A recording has changed since the run read the corpus.
    """
    return predict_recordings(
        {name: load_model(path, is_trusted=True) for name, path in paths.items()},
        _test_recordings(job),
        job.settings.data.segment_mode,
    )


def _test_recordings(job: FoldJob) -> Iterator[npt.NDArray[np.float64]]:
    """Samples of each test utterance, whose file must not have changed."""
    paths = {
        utterance.id: utterance.path for utterance in job.dataset.manifest.utterances
    }
    hashes = job.dataset.segments.content_hashes
    for name in job.fold.test:
        if sha256(paths[name]) != hashes[name]:
            raise InputError(
                f"{paths[name]} has changed since the run read the corpus, or this "
                "worker sees another file: put it back, or give the command again for "
                "a run on the corpus as it is now"
            )
        yield job.dataset.read(paths[name], job.settings.front_end.sample_rate_hz)


def rounded(values: npt.NDArray[Any]) -> list[Any]:
    """Numbers as the shortest decimals that give the same float32 back."""
    if values.ndim > 1:
        return [rounded(row) for row in values]
    return [float(str(value)) for value in values.astype(np.float32)]
