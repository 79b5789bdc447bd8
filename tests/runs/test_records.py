"""Fold records into arrays, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_run import CLASSES, random_folds, write_run

from hyperparameters import InputError
from utils.runs.records import load_run

FOLDS = [
    [("a1", "A", 0, 0), ("a2", "A", 1, 2)],
    [("b1", "B", 2, 2), ("b2", None, 1, 1)],
]


@pytest.mark.parametrize("with_config", [True, False])
def test_a_run_is_read_back(tmp_path: Path, with_config: bool) -> None:
    run = load_run(write_run(tmp_path / "run", FOLDS, with_config=with_config))
    rows = run.rows()
    assert rows.utterance_ids.tolist() == ["a1", "a2", "b1", "b2"]
    assert rows.true.tolist() == [0, 1, 2, 1]
    assert rows.predicted.tolist() == [0, 2, 2, 1]
    assert rows.speakers.tolist() == ["A", "A", "B", None]
    assert rows.folds.tolist() == [0, 0, 1, 1]
    assert rows.probabilities.shape == (4, 3)
    assert not rows.has_speakers
    assert rows.take(rows.folds == 0).has_speakers
    assert (run.classes, run.protocol, run.chosen_on) == (CLASSES, "speaker", "none")
    assert run.is_complete


def test_more_than_ten_folds_come_in_order(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", random_folds(0, speakers=12)))
    assert [record["fold"] for record in run.records] == list(range(12))


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", FOLDS)
    (folder / "folds/fold_00.json").unlink()
    run = load_run(folder)
    assert not run.is_complete
    assert run.num_folds == 2
    assert run.rows().utterance_ids.tolist() == ["b1", "b2"]


def test_a_run_without_test_set_has_no_rows(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path / "run", [[]], probabilities={}, settings={"protocol": "all"}
    )
    assert load_run(folder).rows().probabilities.shape == (0, 3)


def test_sources_are_those_of_every_fold(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", FOLDS)
    path = folder / "folds/fold_01.json"
    content = json.loads(path.read_text())
    content["probabilities"]["int8"] = np.eye(3)[:2].tolist()
    path.write_text(json.dumps(content))
    assert load_run(folder).sources == ("keras",)
    with pytest.raises(InputError, match=r"'int8' in every fold.*keras"):
        load_run(folder).rows("int8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 3]}, "class indices below 3"),
        ({"labels": [0]}, "'labels' must have 2 entries"),
        ({"speakers": ["A"]}, "'speakers' must have 2 entries"),
        ({"classes": None}, "'classes' must be of type list, got None"),
        ({"fold": 1}, "holds fold 1"),
        ({"hash": "other"}, "settings of another run"),
        ({"num_folds": "2"}, "'num_folds' must be of type int"),
        ({"probabilities": {"keras": [[1, 0, 0]]}}, r"must be 2 x 3 .* got 1 x 3"),
        ({"probabilities": {"keras": [[1, 0], [1]]}}, "no table of numbers"),
        ({"probabilities": {"keras": [[2, 0, 0], [1, 0, 0]]}}, "must lie in 0..1"),
        (
            {"probabilities": {"keras": [[float("nan"), 0, 0], [1, 0, 0]]}},
            "must lie in 0..1",
        ),
        ({"test": ["a1", "a1"]}, "fold 0 tests utterance a1 2 times"),
        ({"test": ["a1", "b1"]}, "protocol speaker tests utterance b1 2 times"),
    ],
)
def test_a_damaged_record_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = write_run(tmp_path / "run", FOLDS)
    path = folder / "folds/fold_00.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=message) as error:
        load_run(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    folder = write_run(tmp_path / "run", FOLDS)
    (folder / "folds/fold_00.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"fold_00\.json: .* makes it again"):
        load_run(folder)


def test_overlapping_hold_outs_repeat_utterances(tmp_path: Path) -> None:
    folds = [[("a1", "A", 0, 0)], [("a1", "A", 0, 1)]]
    folder = write_run(tmp_path / "run", folds, settings={"protocol": "paper"})
    assert load_run(folder).rows().utterance_ids.tolist() == ["a1", "a1"]


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folds/fold_\*\.json; give a run folder"):
        load_run(tmp_path / "nowhere")
