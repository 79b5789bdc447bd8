"""Curves and predictions of each fold as CSV files, for spreadsheets."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from utils.files import write_atomic
from utils.runs.folder import record_path
from utils.runs.records import Run
from utils.tables import csv_text


def write_tables(run: Run) -> list[Path]:
    """Write `fold_00_history.csv` and `fold_00_predictions.csv` beside each record.

    Args:
        run: A run, complete or not.

    Returns:
        The files; a fold without test utterances has no predictions.

    Raises:
        OSError: A file cannot be written.
    """
    written = []
    for record in run.records:
        path = record_path(run.folder, record["fold"])
        tables = {"history": history_rows(record)}
        if record["test"]:
            tables["predictions"] = prediction_rows(record)
        for name, rows in tables.items():
            written.append(path.with_name(f"{path.stem}_{name}.csv"))
            write_atomic(written[-1], csv_text(rows))
    return written


def history_rows(record: Mapping[str, Any]) -> list[Sequence[Any]]:
    """One row per epoch, counted from 0; the kept epoch is marked."""
    history = record.get("history", {})
    rows: list[Sequence[Any]] = [("epoch", "is_kept", *history)]
    for epoch, values in enumerate(zip_longest(*history.values(), fillvalue="")):
        rows.append((epoch, int(epoch == record.get("epoch_kept")), *values))
    return rows


def prediction_rows(record: Mapping[str, Any]) -> list[Sequence[Any]]:
    """One row per model and test utterance, with the probability of each class."""
    classes = record["classes"]
    heads = (f"probability_{name}" for name in classes)
    rows: list[Sequence[Any]] = [
        ("utterance", "speaker", "true", "model", "predicted", *heads)
    ]
    for model, table in record["probabilities"].items():
        columns = (record["test"], record["speakers"], record["labels"], table)
        for name, speaker, label, values in zip(*columns, strict=True):
            predicted = classes[values.index(max(values))]
            rows.append((name, speaker, classes[label], model, predicted, *values))
    return rows
