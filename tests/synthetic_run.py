"""Run folders with records of invented answers, for tests of what reads records."""

import json
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ("boredom", "sadness", "anger")
# (utterance id, speaker, true class, predicted class)
Row = tuple[str, str | None, int, int]


def one_hot(predicted: int, num_classes: int = len(CLASSES)) -> list[float]:
    """Probabilities whose largest stands at `predicted`."""
    rest = 0.25 / (num_classes - 1)
    return [0.75 if index == predicted else rest for index in range(num_classes)]


def record(fold: int, rows: list[Row], num_folds: int, **changes: Any) -> dict:
    """One fold's record; `changes` replace its entries."""
    settings = {"protocol": "speaker", "select": "last", "seed": 42, "epochs": 2}
    return {
        "format": 1,
        "fold": fold,
        "num_folds": num_folds,
        "hash": "0123456789abcdef",
        "settings": settings,
        "corpus": {"name": "TEST", "digest": "feed"},
        "classes": list(CLASSES),
        "chosen_on": "none",
        "test": [name for name, _, _, _ in rows],
        "speakers": [speaker for _, speaker, _, _ in rows],
        "labels": [true for _, _, true, _ in rows],
        "probabilities": {"keras": [one_hot(row[3]) for row in rows]},
        **changes,
    }


def write_run(
    folder: Path,
    folds: list[list[Row]],
    *,
    settings: dict[str, Any] | None = None,
    with_config: bool = True,
    **changes: Any,
) -> Path:
    """Write a run folder with one record a fold, and its config.json.

    Args:
        folder: Made.
        folds: Test rows of each fold.
        settings: Replace some of the settings.
        with_config: False: only the records, as where only they were copied.
        **changes: Replace entries of every record.
    """
    (folder / "folds").mkdir(parents=True)
    for fold, rows in enumerate(folds):
        content = record(fold, rows, len(folds), **changes)
        content["settings"] |= settings or {}
        path = folder / "folds" / f"fold_{fold:02d}.json"
        path.write_text(json.dumps(content))
    if with_config:
        keys = ("format", "settings", "hash", "classes", "corpus", "num_folds")
        config = {key: content[key] for key in keys}
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def random_folds(
    seed: int, *, speakers: int = 10, per_speaker: int = 12, right: float = 0.7
) -> list[list[Row]]:
    """One fold a speaker, every class in each, answers right with that chance."""
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
