"""One model file scored on a whole corpus."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hyperparameters import InputError
from utils.audio.wav import Read
from utils.corpora import have_same_recordings
from utils.corpora.class_map import SharedClasses, shared_classes
from utils.corpora.manifest import Manifest
from utils.model_files.footprint import footprint
from utils.model_files.tflite import Classifier, load_model, predict_utterance
from utils.processes import capture_stderr
from utils.runs.records import Rows
from utils.scores.intervals import headline_intervals, interval_text
from utils.scores.metrics import SCORES, by_name, confusion, scores_of
from utils.tables import text_table

Progress = Callable[[Iterable[Any]], Iterable[Any]]


def score_model(
    path: Path,
    manifest: Manifest,
    read: Read,
    *,
    labels: str | None = None,
    progress: Progress = iter,
) -> tuple[dict[str, Any], Rows]:
    """Score a model on every utterance whose class it knows, by any common name.

    A prediction of a class that the corpus does not have counts as wrong, as in use.

    Args:
        path: `.tflite` or `.keras` file.
        manifest: The corpus.
        read: Path and rate in Hz to samples, (samples,).
        labels: Class names, if the file does not name them.
        progress: Wraps the loop over utterances, as tqdm does.

    Returns:
        Scores with intervals, confusion, notes on what the score is worth, and the
        footprint of a TFLite file; and the scored utterances.

    Raises:
        InputError: The file cannot be used, or shares fewer than two classes with the
            corpus.
    """
    model = _load(path, labels)
    shared = shared_classes(model.classes, manifest.classes)
    output_of = {label: model.classes.index(name) for name, label in shared.pairs}
    known = [u for u in manifest.utterances if u.label in output_of]
    if not known:
        raise InputError(f"{manifest.corpus}: no utterance of {', '.join(output_of)}")
    rate_hz = model.front_end.sample_rate_hz
    probabilities = [
        predict_utterance(model, read(utterance.path, rate_hz))
        for utterance in progress(known)
    ]
    rows = Rows(
        utterance_ids=np.array([u.id for u in known], object),
        true=np.array([output_of[u.label] for u in known], np.int64),
        probabilities=np.stack(probabilities).astype(np.float64),
        speakers=np.array([u.speaker for u in known], object),
        folds=np.zeros(len(known), np.int64),
    )
    content = {
        "model": path.name,
        "corpus": manifest.corpus,
        "classes": model.classes,
        "n": len(rows),
        "headline": by_name(headline_intervals(rows, scores_of)),
        "confusion": confusion(rows).tolist(),
        "notes": _notes(model.trained_on, manifest, shared),
        "footprint": None if path.suffix == ".keras" else footprint(path),
    }
    return content, rows


def _load(path: Path, labels: str | None) -> Classifier:
    """Load a model; only a `.keras` file needs Keras."""
    if path.suffix == ".keras":
        from utils.model_files.keras_model import load_keras_model

        model: Classifier = load_keras_model(path, labels)
        return model
    with capture_stderr():
        return load_model(path, labels)


def _notes(
    trained_on: str | None, manifest: Manifest, shared: SharedClasses
) -> list[str]:
    """Remarks without which the score would mislead."""
    notes = [manifest.note] if manifest.note else []
    if trained_on is not None and have_same_recordings(trained_on, manifest.corpus):
        notes.append(
            f"Trained on {trained_on}: this is no score on unseen speech; --run gives "
            "that."
        )
    if renamed := [f"{a} = {b}" for a, b in shared.pairs if a != b]:
        notes.append(f"Classes of the model and the corpus: {', '.join(renamed)}.")
    if shared.corpus_only:
        count = sum(u.label in shared.corpus_only for u in manifest.utterances)
        names = ", ".join(shared.corpus_only)
        notes.append(f"Left out, unknown to the model: {names} (utterances: {count}).")
    if shared.model_only:
        names = ", ".join(shared.model_only)
        notes.append(f"Not in the corpus, counted as wrong if predicted: {names}.")
    return notes


def score_text(content: dict[str, Any]) -> str:
    """The score as text for a terminal."""
    lines = [
        f"{content['model']} on {content['n']:,} utterances of {content['corpus']}"
    ]
    for name, title in SCORES.items():
        lines.append(f"{title:12}{interval_text(content['headline'][name])} %")
    classes = content["classes"]
    counts = zip(classes, content["confusion"], strict=True)
    rows = [(name, *row) for name, row in counts]
    lines += text_table(("true \\ predicted", *classes), rows)
    if measured := footprint_text(content["footprint"]):
        lines.append(measured)
    return "\n".join([*lines, *content["notes"]])


def footprint_text(measured: dict[str, Any] | None) -> str:
    """Size, speed and memory of a model file in one line; empty if not measured."""
    if measured is None:
        return ""
    grown = measured["memory_growth_bytes"]
    memory = "" if grown is None else f", memory growth {grown / 2**20:.1f} MiB"
    return (
        f"{measured['bytes']:,} bytes, p50 {measured['p50_ms']:.2f} ms, p95 "
        f"{measured['p95_ms']:.2f} ms per segment on one thread{memory}"
    )
