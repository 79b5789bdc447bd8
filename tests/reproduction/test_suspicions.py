"""The numbers of the suspicions, counted by hand on small runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_run import Row, edit_record, write_run

from hyperparameters import from_flat, to_flat
from reproduction.suspicions import (
    answers_another_question,
    best_together,
    change_row,
    curve_rows,
    suspicions,
)
from utils.runs.records import Run, load_run


def rows(fold: int, answers: list[int]) -> list[Row]:
    """Utterances of one speaker, all of class 0, with these answers."""
    return [
        (f"s{fold}u{number}", f"s{fold}", 0, answer)
        for number, answer in enumerate(answers)
    ]


def published_run(
    folder: Path,
    folds: list[list[Row]] | None = None,
    accuracy: list[list[float]] | None = None,
    **chosen: Any,
) -> Run:
    """A run whose test folds chose the epoch; by default of one fold and epoch."""
    settings = to_flat(from_flat({"dataset_name": "EMO-DB", **chosen}))
    is_shared = settings["protocol"] in ("published", "paper")
    chosen_on = "test" if is_shared else "validation"
    folds = folds or [rows(0, [0])]
    write_run(folder, folds, settings=settings, chosen_on=chosen_on)
    for fold, curve in enumerate(accuracy or [[1.0]] * len(folds)):
        # the loss is lowest after the second epoch, if there is one
        loss = [1.0, 0.2, 0.5, 0.2][: len(curve)]
        history = {"validation_accuracy": curve, "validation_loss": loss}
        edit_record(folder, fold, history=history, epoch_kept=0)
    return load_run(folder)


@pytest.fixture
def base(tmp_path: Path) -> Run:
    """Two folds of 4 and 2 utterances; the best epochs have 3 and 2 right."""
    curves = [[0.25, 0.75, 0.75, 0.5], [0.5, 0.5, 1.0, 0.0]]
    folds = [rows(0, [0, 0, 0, 1]), rows(1, [0, 0])]
    return published_run(tmp_path / "base", folds, curves)


def test_what_the_choice_of_an_epoch_contributes(
    base: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproduction.suspicions.SHORTER", (2, 100))
    expected = [
        ("as published", "83.33", "+0.00"),  # 3 + 2 of 6
        ("1 to 2 epochs of a fold are equal, 1.5 on average", "83.33", "+0.00"),
        ("the first 2 epochs", "66.67", "-16.67"),  # 3 + 1; 100 epochs were not run
        # right answers of both folds by epoch: 1 + 1, 3 + 1, 3 + 2, 2 + 0
        ("every two folds, 6 utterances", "83.33", "+0.00"),
        ("all folds, 6 utterances", "83.33", "+0.00"),
        ("the lowest test loss", "66.67", "-16.67"),  # the second epoch: 3 + 1
        ("the last one", "33.33", "-50.00"),  # 2 + 0
        ("mean of the last 50", "54.17", "-29.17"),  # 9/4 + 4/4
        # folds at 75 and 100 %: their sd is 17.68, that of their mean 12.50
        ("standard deviation of 17.68", "87.50", "± 12.50"),
    ]
    found = curve_rows(base)
    assert [tuple(row[1:]) for row in found] == [row[1:] for row in expected]
    for (text, *_), (part, *_) in zip(found, expected, strict=True):
        assert part in text


def test_chance_needs_several_folds_and_all_of_them(base: Run, tmp_path: Path) -> None:
    (base.folder / "folds" / "fold_01.json").unlink()
    part = load_run(base.folder)
    for run in (part, published_run(tmp_path / "one")):
        assert not any("initialisation" in line[0] for line in curve_rows(run))
    assert suspicions([part]).startswith("### cross_entropy, seed 42 (1 of 2 folds)")


def test_folds_that_choose_one_epoch_together() -> None:
    right = np.array([[4, 1, 0], [1, 3, 1], [0, 1, 2]])
    # the first two: 5, 4, 1; the last alone: 0, 1, 2
    assert best_together(right, 2).tolist() == [5, 2]


def test_a_changed_setting_is_compared_on_common_utterances(
    base: Run, tmp_path: Path
) -> None:
    other = published_run(tmp_path / "other", [rows(0, [0, 1, 1, 1])], window="hamming")
    # one speaker: units are utterances; two lost, none gained: 2 of 4 sign vectors
    assert change_row(base, other) == [
        "`window` hamming, not hann",
        *("1 of 1", "4", "75.00", "25.00"),
        *("-50.00 (0.500)", "-50.00 (0.500)"),
    ]
    other = published_run(tmp_path / "apart", [rows(7, [0])], seed=43)
    assert change_row(base, other)[2:] == ["0", "–", "–", "–", "–"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, False),
        ({"protocol": "paper"}, False),
        ({"seed": 7}, False),
        ({"loss_name": "focal"}, False),
        ({"mel_low_hz": 40.0}, True),
    ],
)
def test_only_another_question_leaves_the_results(
    tmp_path: Path, chosen: dict[str, Any], expected: bool
) -> None:
    run = published_run(tmp_path / "run", **chosen)
    assert answers_another_question(run) is expected


def test_a_setting_added_later_is_no_difference(base: Run, tmp_path: Path) -> None:
    del base.config["settings"]["mixed_precision"]  # as in a record made before
    other = published_run(tmp_path / "other", dropout=0.5)
    assert change_row(base, other)[0] == "`dropout` 0.5, not 0.3"
    assert not answers_another_question(base)


def test_each_loss_is_compared_with_its_own_base(base: Run, tmp_path: Path) -> None:
    made = [{"loss_name": "focal"}, {"protocol": "paper"}, {"protocol": "speaker"}]
    others = [published_run(tmp_path / str(i), **c) for i, c in enumerate(made)]
    bare = published_run(tmp_path / "bare")
    del bare.records[0]["history"]
    assert suspicions([bare, *others[1:]]) == "None measured yet."
    text = suspicions([base, *others])
    cross_entropy, focal = text.split("### focal")
    assert cross_entropy.startswith("### cross_entropy, seed 42 (2 of 2 folds)")
    assert "`protocol` paper, not published" in cross_entropy
    assert "speaker" not in text  # its epochs are not chosen on the test set
    assert "`loss_name`" not in text
    assert focal.startswith(", seed 42 (1 of 1 folds)")
