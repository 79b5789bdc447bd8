"""Scores of exported models: every precision on the test set of every fold."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.model_files.footprint import footprint
from utils.model_files.tflite import (
    NAMES,
    LiteModel,
    file_name,
    load_model,
    predict_recordings,
)
from utils.processes import capture_stderr
from utils.runs.folder import fold_folder, machine, settings_of, versions
from utils.runs.records import Rows, Run
from utils.scores.intervals import headline_intervals
from utils.scores.metrics import by_name, confusion, scores_of

FORMAT = 1
ROUNDING = 1e-9  # percentage points: 0.80 less 0.79 is one, but not in binary
REFERENCE = "keras"
IN_TABLE = ("ua", "wa", "weighted_f1")
FloatArray = npt.NDArray[np.floating]
ReadUtterance = Callable[[str], FloatArray]
Progress = Callable[[Iterable[Any]], Iterable[Any]]
ORIGIN = ("audio_type", "loss_name", "protocol", "epochs", "seed")  # of a run's models
Folds = dict[str, list[int]]  # by model name, the folds whose file was scored


def fold_files(run: Run, fold: int) -> dict[str, Path]:
    """The model files of a fold that exist, by name: `float32`, `fuse_int8`, ..."""
    folder = fold_folder(run.folder, fold)
    paths = {name: folder / file_name(run.file_stem, name) for name in NAMES}
    return {name: path for name, path in paths.items() if path.exists()}


def has_files(run: Run) -> bool:
    """Whether any fold with test utterances has a model file."""
    return any(fold_files(run, r["fold"]) for r in run.records if r["test"])


def rescore(
    run: Run, read: ReadUtterance, progress: Progress = iter
) -> tuple[Run, Folds]:
    """Run the model files of every fold on the test utterances of that fold.

    Args:
        run: A run, complete or not.
        read: Utterance id to samples, (samples,) at the run's rate.
        progress: Wraps the loop over folds, as tqdm does.

    Returns:
        The run with the new predictions in its records, and the folds whose files
        exist; other folds keep the predictions recorded after training.

    Raises:
        InputError: A file cannot be used or has other classes than the run.
    """
    records, folds = [], Folds()
    for record in progress(run.records):
        tables = _predictions(run, record, read) if record["test"] else {}
        for name in tables:
            folds.setdefault(name, []).append(record["fold"])
        records.append(record | {"probabilities": record["probabilities"] | tables})
    return replace(run, records=tuple(records)), folds


def _predictions(
    run: Run, record: dict[str, Any], read: ReadUtterance
) -> dict[str, list[list[float]]]:
    """Probabilities of a fold's test utterances, for each of its model files."""
    models = fold_models(run, record)
    if not models:
        return {}
    mode = int(run.settings["segment_mode"])
    tables = predict_recordings(models, map(read, record["test"]), mode)
    return {name: rows.tolist() for name, rows in tables.items()}


def fold_models(
    run: Run, record: Mapping[str, Any], names: Sequence[str] = NAMES
) -> dict[str, LiteModel]:
    """The models of a fold that have a file, by name.

    Args:
        run: The run.
        record: Of the fold.
        names: The models wanted.

    Raises:
        InputError: A file cannot be used, or is not a model of this fold and may have
            learnt what the fold tests.
    """
    found = fold_files(run, record["fold"])
    paths = {name: path for name, path in found.items() if name in names}
    with capture_stderr():
        models = {name: load_model(path) for name, path in paths.items()}
    settings = settings_of(run.config)
    is_scaled = settings.inputs.feature_scaling != "none"
    for name, model in models.items():
        if model.front_end != settings.front_end or bool(model.voices) != is_scaled:
            raise InputError(
                f"{paths[name]}: its front-end or scaling is not the run's; export it "
                "again"
            )
        if model.classes != run.classes:
            raise InputError(
                f"{paths[name]}: its classes are {', '.join(model.classes)}, the "
                f"run's are {', '.join(run.classes)}"
            )
        _check_origin(paths[name], run, record, model.metadata or {})
    return models


def _check_origin(
    path: Path, run: Run, record: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Check what a model file says of its training.

    Raises:
        InputError: It is of another fold or run.
    """
    expected = {key: run.settings[key] for key in ORIGIN} | {
        "fold": record["fold"],
        "num_folds": run.num_folds,
    }
    found = {key: metadata.get(key, value) for key, value in expected.items()}
    if metadata:
        expected["start_from"] = run.settings["start_from"]
        start = metadata.get("started_from", {"sha256": "none"})
        found["start_from"] = start.get("sha256") if isinstance(start, dict) else start
    for key, value in expected.items():
        if found[key] != value:
            raise InputError(
                f"{path}: is a model of {key} {found[key]}, not {value}: it may have "
                "learnt what is tested here; export the fold again"
            )


def evaluate(run: Run, folds: Folds, gate_points: float) -> dict[str, Any]:
    """The whole evaluation of a run, ready for JSON.

    Args:
        run: From `rescore`, or as recorded.
        folds: From `rescore`, or empty.
        gate_points: How far UA may fall below Keras float32, percentage points.

    Returns:
        `models`: one dictionary per model, Keras first. `passes`: whether all are
        within the gate; None if the run is unfinished, tests no utterance, or exported
        nothing in every fold.
    """
    present = [name for name in (REFERENCE, *NAMES) if name in run.sources]
    models = [_describe(run, name, folds.get(name, ())) for name in present]
    losses = [
        row["ua_loss_points"]
        for row in models
        if row["model"] != REFERENCE and "ua_loss_points" in row
    ]
    is_judged = run.is_complete and bool(losses)
    return {
        "format": FORMAT,
        "run": run.folder.resolve().name,
        "hash": run.config["hash"],
        "corpus": run.config["corpus"],
        "protocol": run.protocol,
        "verdict": run.verdict,
        "folds": [record["fold"] for record in run.records],
        "num_folds": run.num_folds,
        "utterances": len(run.rows()),
        "machine": machine(),
        "versions": versions(),
        "gate_points": gate_points,
        "passes": max(losses) <= gate_points + ROUNDING if is_judged else None,
        "models": models,
    }


def _describe(run: Run, name: str, rescored: Sequence[int]) -> dict[str, Any]:
    """One model's scores, differences from Keras, and footprint."""
    content: dict[str, Any] = {"model": name}
    if len(run.rows()):
        content |= compare(run.rows(name), run.rows(REFERENCE))
    if name == REFERENCE:
        return content
    recorded = [r["fold"] for r in run.records if r["fold"] not in rescored]
    content |= {"folds_rescored": list(rescored), "folds_recorded": recorded}
    if path := _file_to_measure(run, name):
        content |= {"file": str(path.relative_to(run.folder)), **footprint(path)}
    return content


def compare(rows: Rows, reference: Rows) -> dict[str, Any]:
    """Scores of a model with their intervals, and its differences from another model.

    Args:
        rows: Predictions of the model.
        reference: Predictions of Keras float32 for the same utterances.

    Returns:
        `ua`, `wa`, `weighted_f1` as in `headline_intervals`; `ua_loss_points`, how
        far UA is below the reference, percentage points; `agreement`, the share of
        the same classes; `max_probability_difference`.
    """
    scores = by_name(headline_intervals(rows, scores_of))
    reference_ua = by_name(scores_of(confusion(reference)))["ua"]
    difference = np.abs(rows.probabilities - reference.probabilities)
    return {name: scores[name] for name in IN_TABLE} | {
        "ua_loss_points": float(100 * (reference_ua - scores["ua"]["value"])),
        "agreement": float(np.mean(rows.predicted == reference.predicted)),
        "max_probability_difference": float(difference.max()),
    }


def _file_to_measure(run: Run, name: str) -> Path | None:
    """The file at the top of the run folder, or that of the first fold that has one."""
    top = run.folder / file_name(run.file_stem, name)
    found = [fold_files(run, record["fold"]).get(name) for record in run.records]
    return next((path for path in (top, *found) if path and path.exists()), None)
