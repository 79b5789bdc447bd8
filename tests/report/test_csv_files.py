"""CSV tables of a run's folds."""

import csv
from pathlib import Path

import pytest
from synthetic_run import trained_run

from utils.report.csv_files import write_tables
from utils.runs.records import load_run


def read(path: Path) -> list[dict[str, str]]:
    """A CSV file's rows by column."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_hold_every_epoch_and_every_answer(tmp_path: Path) -> None:
    run = load_run(trained_run(tmp_path, folds_done=(1, 3)))
    paths = write_tables(run)
    assert [path.name for path in paths] == [
        f"fold_{fold:02d}_{name}.csv"
        for fold in (1, 3)
        for name in ("history", "predictions")
    ]
    record = run.records[0]
    history = read(tmp_path / "folds" / "fold_01_history.csv")
    assert [float(row["loss"]) for row in history] == record["history"]["loss"]
    kept = [row["epoch"] for row in history if row["is_kept"] == "1"]
    assert kept == [str(record["epoch_kept"])]
    answers = read(tmp_path / "folds" / "fold_01_predictions.csv")
    for model in ("keras", "int8"):
        rows = [row for row in answers if row["model"] == model]
        assert [row["utterance"] for row in rows] == record["test"]
        for row, values, label in zip(
            rows, record["probabilities"][model], record["labels"], strict=True
        ):
            found = [float(row[f"probability_{name}"]) for name in run.classes]
            assert found == pytest.approx(values)
            assert row["true"] == run.classes[label]
            assert row["predicted"] == run.classes[values.index(max(values))]


def test_a_fold_that_tests_nobody_has_a_history_alone(tmp_path: Path) -> None:
    folder = trained_run(tmp_path, protocol="all", chosen_on="none", folds_done=(0,))
    assert [path.name for path in write_tables(load_run(folder))] == [
        "fold_00_history.csv"
    ]


def test_an_unspoken_speaker_is_an_empty_cell(tmp_path: Path) -> None:
    run = load_run(trained_run(tmp_path, folds_done=(0,)))
    run.records[0]["speakers"] = [None] * len(run.records[0]["test"])
    rows = read(write_tables(run)[1])
    assert {row["speaker"] for row in rows} == {""}
