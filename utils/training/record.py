"""One fold, from features to its files and its record.

Same settings and fold number, same results. It runs in a worker process, may be killed
at any moment, and goes on from the last finished epoch when called again.
"""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

import models
from hyperparameters import InputError, to_flat
from utils.files import write_atomic, write_json
from utils.model_files.keras_model import read_keras
from utils.runs.folder import (
    FORMAT,
    WEIGHTS_NAME,
    describe_corpus,
    provenance,
    read_record,
    record_path,
)
from utils.training import checkpoint
from utils.training import fold_models as scoring
from utils.training.checkpoint import State
from utils.training.fit import Report, fit_fold
from utils.training.job import FoldJob, has_audio_models, needs_export

# Backends and processors round differently; other weights differ by tenths.
SAME_WEIGHTS_TOLERANCE = 0.02


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
        save_weights(job, model)
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
    if not path.exists():
        raise InputError(f"{path} is missing; only the fold's record was copied here")
    return read_keras(path)


def save_weights(job: FoldJob, model: keras.Model) -> None:
    """Save a fold's network as `.keras`, of Keras's own layers, whole or not at all.

    Args:
        job: The fold.
        model: As trained; neither its optimiser nor its way to compute is saved.

    Raises:
        OSError: The disk is full or the folder not writable.
    """
    plain = models.build_light_sernet(job.settings, len(job.dataset.manifest.classes))
    plain.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / WEIGHTS_NAME
        plain.save(temporary)
        write_atomic(job.fold_folder / WEIGHTS_NAME, temporary.read_bytes())
