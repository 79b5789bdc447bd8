"""One fold from features to models and record; runs in its process.

Same settings and fold number, same results. It may be killed at any moment, and resumes
from the last finished epoch when called again.
"""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

import models
from hyperparameters import InputError, to_flat
from utils.files import write_atomic, write_json
from utils.runs.folder import (
    FORMAT,
    WEIGHTS_NAME,
    describe_corpus,
    provenance,
    read_record,
    record_path,
)
from utils.training import checkpoint
from utils.training.checkpoint import State
from utils.training.fit import fit_fold
from utils.training.fold_models import export_and_predict, rounded
from utils.training.job import FoldJob, Report, needs_export


def train_fold(job: FoldJob, report: Report = print) -> None:
    """Train one fold, export its models, predict its test set; write its record.

    A finished fold is not trained again, only exported if `needs_export`.

    Args:
        job: The fold.
        report: Called with a dict after every epoch and at each stage.

    Raises:
        InputError: The fold's folder belongs to another run, or the models wanted
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
    record |= export_and_predict(job, record)
    write_json(record_path(job.folder, number), record)
    checkpoint.remove(job.fold_folder)
    report({"fold": number, "stage": "done"})


def save_weights(job: FoldJob, model: keras.Model) -> None:
    """Save a fold's network as a `.keras` file of Keras's own layers, atomically.

    Args:
        job: The fold.
        model: As trained; optimiser and training-only layers are not saved.

    Raises:
        OSError: The disk is full or the folder not writable.
    """
    plain = models.build_light_sernet(job.settings, len(job.dataset.manifest.classes))
    plain.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / WEIGHTS_NAME
        plain.save(temporary)
        write_atomic(job.fold_folder / WEIGHTS_NAME, temporary.read_bytes())


def make_record(job: FoldJob, state: State) -> dict[str, Any]:
    """The JSON record of a finished fold, small and self-contained; no predictions yet.

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
        **({} if job.start is None else {"start": job.start.describe()}),
        **({} if job.voices is None else {"voices": job.voices.to_dict()}),
        "labels": [manifest.classes.index(by_id[name].label) for name in fold.test],
        "speakers": [by_id[name].speaker for name in fold.test],
        "history": {
            name: rounded(np.array(values))
            for name, values in state.history.items()
            if len(values) == state.epochs_done  # not a curve with missing epochs
        },
    }
