"""Curves and answers of each fold as CSV files, for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from utils.files import write_atomic
from utils.records import Run
from utils.run_folder import record_path


def write_tables(run: Run) -> list[Path]:
    """Write `fold_00_history.csv` and `fold_00_predictions.csv` beside each record.

    Args:
        run: A run, complete or not.

    Returns:
        The files; a fold that tests nobody has no predictions.

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
            write_csv(written[-1], rows)
    return written


def history_rows(record: Mapping[str, Any]) -> list[Sequence[Any]]:
    """One row an epoch, counted from 0; the epoch that is kept is marked."""
    history = record.get("history", {})
    rows: list[Sequence[Any]] = [("epoch", "is_kept", *history)]
    for epoch, values in enumerate(zip_longest(*history.values(), fillvalue="")):
        rows.append((epoch, int(epoch == record.get("epoch_kept")), *values))
    return rows


def prediction_rows(record: Mapping[str, Any]) -> list[Sequence[Any]]:
    """One row for each test utterance and model, with the probability of each class."""
    classes = record["classes"]
    heads = (f"probability_{name}" for name in classes)
    rows: list[Sequence[Any]] = [
        ("utterance", "speaker", "true", "model", "predicted", *heads)
    ]
    for model, table in record["probabilities"].items():
        about = zip(record["test"], record["speakers"], record["labels"], strict=True)
        for (name, speaker, label), values in zip(about, table, strict=True):
            predicted = classes[values.index(max(values))]
            rows.append((name, speaker, classes[label], model, predicted, *values))
    return rows


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as UTF-8 CSV, whole or not at all."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_atomic(path, text.getvalue())
