"""The numbers of the suspicions, counted by hand on small runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperparameters import from_flat, to_flat
from reproduction.suspicions import (
    Curves,
    answers_another_question,
    change_row,
    curve_rows,
    suspicions,
)
from tests.synthetic_run import Row, write_run
from utils.runs.records import Run, load_run


def rows(fold: int, answers: list[int]) -> list[Row]:
    """Utterances of one speaker, all of class 0, with these answers."""
    return [
        (f"s{fold}u{number}", f"s{fold}", 0, answer)
        for number, answer in enumerate(answers)
    ]


def published_run(
    folder: Path,
    folds: list[list[Row]],
    accuracy: list[list[float]],
    **chosen: Any,
) -> Run:
    """A run whose test folds chose, with a curve for each fold."""
    settings = to_flat(from_flat({"dataset_name": "EMO-DB", **chosen}))
    is_shared = settings["protocol"] in ("published", "paper")
    chosen_on = "test" if is_shared else "validation"
    write_run(folder, folds, settings=settings, chosen_on=chosen_on)
    for path, curve in zip(sorted(folder.glob("folds/*.json")), accuracy, strict=True):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"history": history_of(curve)}))
    return load_run(folder)


def history_of(accuracy: list[float]) -> dict[str, list[float]]:
    """A curve, and a loss that is lowest at the second epoch where there is one."""
    loss = [1.0, 0.2, 0.5, 0.2][: len(accuracy)]
    return {"validation_accuracy": accuracy, "validation_loss": loss}


@pytest.fixture
def base(tmp_path: Path) -> Run:
    """Two folds of 4 and 2 utterances; the best epochs have 3 and 2 right."""
    curves = [[0.25, 0.75, 0.75, 0.5], [0.5, 0.5, 1.0, 0.0]]
    folds = [rows(0, [0, 0, 0, 1]), rows(1, [0, 0])]
    return published_run(tmp_path / "base", folds, curves)


def test_what_the_choice_of_an_epoch_is_worth(
    base: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproduction.suspicions.SHORTER", (2, 100))
    (
        published,
        ties,
        shorter,
        two_folds,
        all_folds,
        lowest_loss,
        last,
        mean,
        chance,
    ) = curve_rows(base)
    assert published[1:] == ["83.33", "+0.00"]  # 3 + 2 of 6
    assert "1 to 2 epochs of a fold are equal, 1.5 on average" in ties[0]
    assert ties[1:] == ["83.33", "+0.00"]
    assert "the first 2 epochs" in shorter[0]
    assert shorter[1:] == ["66.67", "-16.67"]  # 3 + 1; 100 epochs were not run
    assert "every two folds, 6 utterances" in two_folds[0]
    assert "all folds, 6 utterances" in all_folds[0]
    # right answers of both folds by epoch: 1 + 1, 3 + 1, 3 + 2, 2 + 0
    assert two_folds[1:] == all_folds[1:] == ["83.33", "+0.00"]
    assert lowest_loss[1:] == ["66.67", "-16.67"]  # the second epoch: 3 + 1
    assert last[1:] == ["33.33", "-50.00"]  # 2 + 0
    assert mean[1:] == ["54.17", "-29.17"]  # 9/4 + 4/4
    # folds at 75 and 100 %: their sd is 17.68, of the mean of two 12.50
    assert "17.68" in chance[0]
    assert chance[1:] == ["87.50", "± 12.50"]


def test_a_single_fold_tells_nothing_of_chance(tmp_path: Path) -> None:
    run = published_run(tmp_path / "one", [rows(0, [0, 1])], [[0.5]])
    assert not any("initialisation" in line[0] for line in curve_rows(run))


def test_a_part_of_the_folds_tells_nothing_of_chance(base: Run) -> None:
    (base.folder / "folds" / "fold_01.json").unlink()
    part = load_run(base.folder)
    assert not any("initialisation" in line[0] for line in curve_rows(part))
    assert suspicions([part]).startswith("### cross_entropy (1 of 2 folds)")


def test_folds_that_choose_one_epoch_together() -> None:
    right = np.array([[4, 1, 0], [1, 3, 1], [0, 1, 2]])
    curves = Curves(right, np.zeros((3, 3)), np.array([4, 4, 4]))
    # the first two: 5, 4, 1; the last alone: 0, 1, 2; all: 5, 5, 3
    assert curves.best_together(2).tolist() == [5, 2]
    assert curves.best_together(3).tolist() == [5]


def test_a_changed_setting_is_compared_on_common_utterances(
    base: Run, tmp_path: Path
) -> None:
    folds = [rows(0, [0, 1, 1, 1])]
    other = published_run(tmp_path / "other", folds, [[0.25]], window="hamming")
    text, done, common, before, after, ua, wa = change_row(base, other)
    assert text == "`window` hamming, not hann"
    assert (done, common) == ("1 of 1", "4")
    assert (before, after) == ("75.00", "25.00")
    # one speaker: units are utterances; two lost, none gained: 2 of 4 sign vectors
    assert (ua, wa) == ("-50.00 (0.500)", "-50.00 (0.500)")


def test_without_common_utterances_nothing_is_compared(
    base: Run, tmp_path: Path
) -> None:
    other = published_run(tmp_path / "other", [rows(7, [0])], [[1.0]], seed=43)
    assert change_row(base, other)[2:] == ["0", "–", "–", "–", "–"]


def test_only_another_question_leaves_the_results(base: Run, tmp_path: Path) -> None:
    assert not answers_another_question(base)
    chosen: dict[str, Any]
    for chosen in ({"protocol": "paper"}, {"seed": 7}, {"loss_name": "focal"}):
        run = published_run(tmp_path / str(chosen), [rows(0, [0])], [[1.0]], **chosen)
        assert not answers_another_question(run)
    changed = published_run(tmp_path / "x", [rows(0, [0])], [[1.0]], mel_low_hz=40.0)
    assert answers_another_question(changed)


def test_a_setting_added_later_is_no_difference(base: Run, tmp_path: Path) -> None:
    del base.config["settings"]["mixed_precision"]  # as in a record made before
    other = published_run(tmp_path / "other", [rows(0, [0])], [[1.0]], dropout=0.5)
    assert change_row(base, other)[0] == "`dropout` 0.5, not 0.3"
    assert not answers_another_question(base)


def test_a_record_without_curves_is_no_base(tmp_path: Path) -> None:
    run = published_run(tmp_path / "bare", [rows(0, [0])], [[1.0]])
    del run.records[0]["history"]
    assert suspicions([run]) == "None measured yet."


def test_each_loss_has_its_own_base(base: Run, tmp_path: Path) -> None:
    made: list[tuple[str, dict[str, Any]]] = [
        ("focal", {"loss_name": "focal"}),
        ("paper", {"protocol": "paper"}),
        ("held-out", {"protocol": "speaker"}),
    ]
    others = [
        published_run(tmp_path / name, [rows(0, [0])], [[1.0]], **chosen)
        for name, chosen in made
    ]
    text = suspicions([base, *others])
    cross_entropy, focal = text.split("### focal")
    assert cross_entropy.startswith("### cross_entropy (2 of 2 folds)")
    assert "`protocol` paper, not published" in cross_entropy
    assert "speaker" not in text  # its epochs are not chosen on the test set
    assert "`loss_name`" not in text
    assert focal.startswith(" (1 of 1 folds)")


def test_without_runs_it_says_so() -> None:
    assert suspicions([]) == "None measured yet."
