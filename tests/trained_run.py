"""A small run folder as training leaves it, with invented answers and curves."""

from pathlib import Path
from typing import Any

import numpy as np

from hyperparameters import from_flat, to_flat
from utils.files import write_json
from utils.runs.folder import record_path

CLASSES = ("boredom", "anxiety_fear", "anger")
SPEAKERS = ("03", "08", "09", "10")
PER_FOLD = 12
EPOCHS = 5
NOTE = "Synthetic speech: its scores say nothing about emotion recognition."
VERDICT = "speaker-dependent; the test fold chose the epoch: optimistic"


def make_run(
    folder: Path,
    *,
    protocol: str = "published",
    chosen_on: str = "test",
    folds_done: tuple[int, ...] = (0, 1, 2, 3),
    extra: dict[str, Any] | None = None,
) -> Path:
    """Write config.json and one record a fold.

    Args:
        folder: To be filled.
        protocol: `all` tests nobody.
        chosen_on: What chose the epoch.
        folds_done: Of four; of one under `all`.
        extra: Added to config.json, or replacing what is there.
    """
    settings = to_flat(from_flat({"dataset_name": "DEMO", "epochs": EPOCHS}))
    shared = {
        "format": 1,
        "hash": "0123abcd",
        "settings": settings | {"protocol": protocol},
        "classes": list(CLASSES),
        "corpus": {"name": "DEMO", "digest": "d", "utterances": 48, "note": NOTE},
        "num_folds": 1 if protocol == "all" else len(SPEAKERS),
        "versions": {"python": "3.11.1", "keras": "3.15.0"},
        "commit": "abcdef123456",
        "command": "train.py -dn DEMO",
        "machine": "a processor, 2 cores, Linux",
        "time": "2026-01-02T03:04:05+00:00",
    }
    audit = {
        "protocol": protocol,
        "verdict": VERDICT,
        "notes": ["Every sentence is in training too."],
        "lines": ["fold  test  speakers shared", "   0    12                4"],
    }
    write_json(folder / "config.json", shared | {"audit": audit} | (extra or {}))
    for fold in folds_done:
        record = shared | make_fold(fold, chosen_on, is_tested=protocol != "all")
        write_json(record_path(folder, fold), record)
    return folder


def make_fold(fold: int, chosen_on: str, *, is_tested: bool) -> dict[str, Any]:
    """What differs from fold to fold; `int8` answers otherwise in fold 0 alone."""
    draw = np.random.RandomState(fold)
    labels = np.arange(PER_FOLD if is_tested else 0) % len(CLASSES)
    probabilities = draw.dirichlet(np.ones(len(CLASSES)), len(labels))
    is_right = draw.random_sample(len(labels)) < 0.5
    probabilities[is_right, labels[is_right]] += 1.0
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    int8 = probabilities[:, ::-1] if fold == 0 else probabilities
    return {
        "fold": fold,
        "chosen_on": chosen_on,
        "epoch_kept": EPOCHS - 1 if chosen_on == "none" else 3,
        "seconds": 60.0,
        "cpu_seconds": 90.0,
        "train": [],
        "validation": [],
        "test": [f"{fold}{number:02d}" for number in range(len(labels))],
        "labels": labels.tolist(),
        "speakers": [SPEAKERS[number // 3] for number in range(len(labels))],
        "probabilities": {"keras": probabilities.tolist(), "int8": int8.tolist()},
        "history": make_history(fold, chosen_on),
    }


def make_history(fold: int, chosen_on: str) -> dict[str, list[float]]:
    """Curves of five epochs."""
    epochs = range(EPOCHS)
    history = {
        "loss": [2.0 / (epoch + 1) for epoch in epochs],
        "accuracy": [0.4 + 0.1 * epoch for epoch in epochs],
        "learning_rate": [1e-4] * EPOCHS,
    }
    if chosen_on != "none":
        history["validation_loss"] = [2.1 / (epoch + 1) for epoch in epochs]
        history["validation_accuracy"] = [0.3, 0.5, 0.7, 0.8 - 0.02 * fold, 0.6]
    return history
