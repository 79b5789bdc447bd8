"""Run folders with invented answers, for tests of everything that reads records."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from hyperparameters import from_flat, to_flat
from utils.files import write_json
from utils.runs.checks import CHOSEN_ON
from utils.runs.folder import hash_of

CLASSES = ("boredom", "sadness", "anger")
SETTINGS = {"protocol": "speaker", "select": "last", "seed": 42, "epochs": 2}
EPOCHS = 5
NOTE = "Synthetic speech: its scores say nothing about emotion recognition."
VERDICT = "speaker-dependent; the test fold chose the epoch: optimistic"
CONFIG_KEYS = (
    *("format", "settings", "hash", "classes", "corpus", "num_folds"),
    "audit",
)
# (utterance id, speaker, true class, predicted class)
Row = tuple[str, str | None, int, int]


def one_hot(predicted: int, num_classes: int = len(CLASSES)) -> list[float]:
    """Probabilities, the largest one at `predicted`."""
    rest = 0.25 / (num_classes - 1)
    return [0.75 if index == predicted else rest for index in range(num_classes)]


def record(fold: int, rows: list[Row], num_folds: int, **changes: Any) -> dict:
    """One fold's record; `changes` replace its entries."""
    classes = changes.get("classes", CLASSES)
    content = {
        "format": 1,
        "fold": fold,
        "num_folds": num_folds,
        "settings": SETTINGS,
        "corpus": {"name": "TEST", "digest": "feed"},
        "classes": list(classes),
        "chosen_on": "none",
        "test": [name for name, _, _, _ in rows],
        "speakers": [speaker for _, speaker, _, _ in rows],
        "labels": [true for _, _, true, _ in rows],
        "probabilities": {"keras": [one_hot(row[3], len(classes)) for row in rows]},
        **changes,
    }
    made_from = from_flat(content["settings"]), content["corpus"]["digest"]
    return {"hash": hash_of(*made_from), **content}


def write_run(
    folder: Path,
    folds: list[list[Row]],
    *,
    settings: dict[str, Any] | None = None,
    with_config: bool = True,
    **changes: Any,
) -> Path:
    """Write a run folder with one record per fold, and its config.json.

    Args:
        folder: Made.
        folds: Test rows of each fold.
        settings: Replace some of the settings.
        with_config: False: only the records, as if only they were copied.
        **changes: Replace entries of every record.
    """
    settings = SETTINGS | (settings or {})
    for fold, rows in enumerate(folds):
        content = record(fold, rows, len(folds), settings=settings, **changes)
        write_json(folder / "folds" / f"fold_{fold:02d}.json", content)
    if with_config:
        config = {key: content[key] for key in CONFIG_KEYS if key in content}
        write_json(folder / "config.json", config)
    return folder


def random_folds(
    seed: int, *, speakers: int = 10, per_speaker: int = 12, right: float = 0.7
) -> list[list[Row]]:
    """One fold per speaker, every class in each, answers right with that chance."""
    random = np.random.RandomState(seed)
    folds = []
    for speaker in range(speakers):
        rows: list[Row] = []
        for number in range(per_speaker):
            true = number % len(CLASSES)
            wrong = (true + 1 + random.randint(len(CLASSES) - 1)) % len(CLASSES)
            predicted = true if random.random_sample() < right else wrong
            name = f"s{speaker:02d}u{number:02d}"
            rows.append((name, f"s{speaker:02d}", true, int(predicted)))
        folds.append(rows)
    return folds


def edit_record(folder: Path, fold: int, /, **changes: Any) -> None:
    """Replace entries of one record."""
    path = folder / "folds" / f"fold_{fold:02d}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def trained_run(
    folder: Path,
    *,
    protocol: str = "published",
    folds_done: tuple[int, ...] = (0, 1, 2, 3),
    extra: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write a run as training leaves it: curves, audit, origin, an exported model.

    Args:
        folder: Made.
        protocol: `all` tests no utterance.
        folds_done: Of four; of one under `all`.
        extra: Added to config.json, or replacing its entries.
        **changes: Replace entries of every record.
    """
    folds = random_folds(0, speakers=4, right=0.6)
    chosen_on = CHOSEN_ON[protocol]
    settings = from_flat({"epochs": EPOCHS, "protocol": protocol})
    shared = {
        "settings": to_flat(settings),
        "corpus": {"name": "DEMO", "digest": "d", "utterances": 48, "note": NOTE},
        "num_folds": 1 if protocol == "all" else len(folds),
        "versions": {"python": "3.11.1", "keras": "3.15.0"},
        "commit": "abcdef123456",
        "command": "train.py -dn DEMO",
        "machine": "a processor, 2 cores, Linux",
        "time": "2026-01-02T03:04:05+00:00",
        "seconds": 60.0,
        "cpu_seconds": 90.0,
        "chosen_on": chosen_on,
        "epoch_kept": EPOCHS - 1 if chosen_on == "none" else 3,
        **changes,
    }
    audit = {
        "verdict": VERDICT,
        "notes": ["Every sentence is in training too."],
        "lines": ["fold  test  speakers shared", "   0    12                4"],
    }
    for fold in folds_done:
        rows = folds[fold] if protocol != "all" else []
        keras = [one_hot(row[3]) for row in rows]
        # int8 predicts other classes in fold 0 only
        int8 = [values[::-1] for values in keras] if fold == 0 else keras
        shared["probabilities"] = {"keras": keras, "int8": int8}
        shared["history"] = _history(fold, chosen_on)
        content = record(fold, rows, **shared)
        write_json(folder / "folds" / f"fold_{fold:02d}.json", content)
    config = {key: content[key] for key in CONFIG_KEYS if key in content}
    write_json(folder / "config.json", config | {"audit": audit} | (extra or {}))
    return folder


def _history(fold: int, chosen_on: str) -> dict[str, list[float]]:
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
