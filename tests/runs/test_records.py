"""Fold records into arrays, and what is refused."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_run import CLASSES, SETTINGS, edit_record, random_folds, write_run

from hyperparameters import PROTOCOL_NAMES, InputError
from utils.runs.checks import CHOSEN_ON
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


NAN = float("nan")
DAMAGED = [
    ({"labels": [0, 3]}, "class indices below 3"),
    ({"labels": [0]}, "'labels' must have 2 entries"),
    ({"labels": [0, True]}, "'labels' must be a list, each entry a whole number"),
    ({"speakers": ["A"]}, "'speakers' must have 2 entries"),
    ({"speakers": ["A", ["B"]]}, "'speakers' must be a list, each entry text or null"),
    ({"classes": None}, "'classes' must be a list, each entry text, got None"),
    ({"fold": 1}, "holds fold 1, so its name must be fold_01.json"),
    ({"num_folds": "2"}, "'num_folds' must be a whole number"),
    ({"probabilities": {"keras": [[1, 0, 0]]}}, r"must be 2 x 3 .* got 1 x 3"),
    ({"probabilities": {"keras": [[1, 0], [1]]}}, r"must be 2 x 3 .* got 2 x 1/2"),
    ({"probabilities": {"int8": [[1, 0, 0]] * 2}}, "must hold those of 'keras'"),
    ({"probabilities": {"keras": [1, 0]}}, "'probabilities' must be an object, each"),
    ({"probabilities": {"keras": [[2, 0, 0], [1, 0, 0]]}}, "must lie in 0..1"),
    ({"probabilities": {"keras": [[NAN, 0, 0]] * 2}}, "damaged .NaN is no number"),
    ({"test": ["a1", "a1"]}, "utterance a1 occurs 2 times"),
    ({"test": ["a1", ["a2"]]}, "'test' must be a list, each entry text"),
    ({"train": ["b1", "a2"]}, "'test': utterance a2 occurs 2 times"),
    ({"validation": ["a1"]}, "'test': utterance a1 occurs 2 times"),
    ({"history": {"loss": [1.0], "x": []}}, "must have one value per epoch"),
    ({"history": {"loss": ["1"]}}, "'history' must be an object, each value a list"),
    ({"history": {"loss": [1.0]}}, "'epoch_kept' must be one of the 1 epochs"),
    ({"history": {"loss": [1.0]}, "epoch_kept": 1}, "must be one of the 1 epochs"),
    ({"seconds": NAN}, "damaged .NaN is no number"),
    ({"seconds": 10**400}, "'seconds' must be a finite number"),
    ({"cpu_seconds": "1"}, "'cpu_seconds' must be a finite number, got '1'"),
    ({"machine": ["a"]}, "'machine' must be text"),
    ({"trained_by": ["abc"]}, "'trained_by' must be a list, each entry an object"),
    ({"trained_by": [{"commit": 1}]}, "'trained_by' must be a list"),
    ({"versions": {"python": 3}}, "'versions' must be an object, each value text"),
    ({"command": "\x1b[2J"}, r"texts must be printable, got '\\x1b\[2J'"),
    ({"command": "\ud800"}, r"texts must be printable, got '\\ud800'"),
    ({"audit": {"folds": {"\x9b": 1}}}, "texts must be printable"),
    ({"hash": "other"}, "another 'hash' than the run"),
    ({"settings": {"protocol": "speaker"}}, "fold 0 has another 'settings'"),
    ({"classes": ["a", "b", "c"]}, "fold 0 has another 'classes'"),
    ({"corpus": {"name": "TEST", "digest": "f00d"}}, "fold 0 has another 'corpus'"),
    ({"chosen_on": "test"}, "has 'chosen_on' 'none', but fold 0 'test'"),
]


@pytest.mark.parametrize(("changes", "message"), DAMAGED)
def test_a_damaged_record_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = write_run(tmp_path / "run", FOLDS)
    edit_record(folder, 0, **changes)
    with pytest.raises(InputError, match=message) as error:
        load_run(folder)
    assert str(folder) in str(error.value)


OTHER = {"name": "TEST", "digest": "f00d"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"settings": {**SETTINGS, "protocol": "random"}},
            "hash of its settings",
        ),
        ({"settings": {**SETTINGS, "epochs": 300}}, "hash of its settings"),
        ({"settings": {**SETTINGS, "epochs": 0}}, "settings: --epochs must be"),
        ({"settings": {"lr": 1}}, "settings: no such setting: lr"),
        ({"settings": {"seed": [1]}}, "'settings' must be an object, each value text"),
        ({"corpus": OTHER}, "hash of its settings and corpus is"),
        ({"classes": ["sadness", "boredom", "anger"]}, "fold 0 has another 'classes'"),
        ({"classes": ["anger", "anger"]}, "two different names or more"),
        ({"num_folds": 3}, "fold 0 has another 'num_folds' than the run"),
        ({"num_folds": 10**18}, r"'num_folds' must be 1 to 10000, got 1e\+18"),
        ({"num_folds": 10**400}, "'num_folds' must be a whole number"),
        ({"num_folds": 2.0}, "'num_folds' must be a whole number"),
        ({"audit": {"verdict": ["fair"]}}, "'audit' must be an object .'verdict' text"),
        ({"corpus": {"name": "TEST", "note": 5}}, "'corpus' must be an object"),
    ],
)
def test_an_edited_configuration_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = write_run(tmp_path / "run", FOLDS)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=message):
        load_run(folder)


FAIR = {"verdict": "speaker-independent; nothing chose the epoch"}
LEAKY = {"train": ["b1", "b2"], "speakers": ["B", "A"]}  # speaker B of fold 0 trains


@pytest.mark.parametrize(
    ("settings", "of_run", "of_fold", "message"),
    [
        ({}, {}, LEAKY, "fold 0 trains on its test speaker B"),
        ({"protocol": "session"}, {}, LEAKY, "trains on its test speaker B"),
        ({"protocol": "random"}, {}, LEAKY, None),
        ({"protocol": "random"}, {"audit": FAIR}, LEAKY, "not speaker-independent as"),
        ({"protocol": "random"}, {"audit": FAIR}, {}, None),
        ({}, {"chosen_on": "test"}, {}, "has 'chosen_on' 'none', but fold 0 'test'"),
        ({"protocol": "published", "select": "best"}, {"chosen_on": "test"}, {}, None),
        (
            {"select": "best"},
            {"chosen_on": "test"},
            {},
            "chosen_on' 'validation'",
        ),
        ({"protocol": "all"}, {}, {}, "protocol all tests no utterance, unlike fold 0"),
        ({}, {"corpus": {**OTHER, "utterances": 5}}, {}, "of 5 the folds test 4"),
        ({}, {"corpus": {**OTHER, "utterances": 4}}, {}, None),
        (
            {},
            {},
            {"test": ["a1", "b1"]},
            "tests an utterance once: utterance b1 ",
        ),
        ({"protocol": "paper"}, {}, {"test": ["a1", "b1"]}, None),
    ],
)
def test_folds_that_contradict_the_protocol_are_refused(
    tmp_path: Path,
    settings: dict[str, Any],
    of_run: dict[str, Any],
    of_fold: dict[str, Any],
    message: str | None,
) -> None:
    """As if whoever changed the records had also changed the hash."""
    folder = write_run(tmp_path / "run", FOLDS, settings=settings, **of_run)
    edit_record(folder, 0, **of_fold)
    if message is None:
        assert load_run(folder).is_complete
    else:
        with pytest.raises(InputError, match=message):
            load_run(folder)


def test_every_protocol_has_a_rule() -> None:
    assert tuple(CHOSEN_ON) == PROTOCOL_NAMES


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff", '{"x": ' + "[" * 5000])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    folder = write_run(tmp_path / "run", FOLDS)
    (folder / "folds/fold_00.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"fold_00\.json: .* makes it again"):
        load_run(folder)


@pytest.mark.parametrize("name", ["config.json", "folds/fold_00.json"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "huge"])
def test_what_is_no_file_of_the_run_is_not_opened(
    tmp_path: Path, name: str, kind: str
) -> None:
    folder = write_run(tmp_path / "run", FOLDS)
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if kind == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(content)
        os.truncate(path, 2**40)
    with pytest.raises(InputError, match="must be a file "):
        load_run(folder)


def test_overlapping_hold_outs_repeat_utterances(tmp_path: Path) -> None:
    folds = [[("a1", "A", 0, 0)], [("a1", "A", 0, 1)]]
    folder = write_run(tmp_path / "run", folds, settings={"protocol": "paper"})
    assert load_run(folder).rows().utterance_ids.tolist() == ["a1", "a1"]


def test_a_fold_has_one_record(tmp_path: Path) -> None:
    """Under `paper`, where utterances repeat, a second one would be scored too."""
    folds = [[("a1", "A", 0, 0)], [("a1", "A", 0, 1)]]
    folder = write_run(tmp_path / "run", folds, settings={"protocol": "paper"})
    (folder / "folds/fold_01.json").unlink()
    shutil.copy(folder / "folds/fold_00.json", folder / "folds/fold_000.json")
    with pytest.raises(
        InputError, match=r"fold_000.json: .* name must be fold_00.json"
    ):
        load_run(folder)


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folds/fold_\*\.json; give a run folder"):
        load_run(tmp_path / "nowhere")
