"""Comparison of runs: paired tests by brute force and by hand, refusals, tables."""

import csv
import io
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from synthetic_run import Row, random_folds, write_run

from hyperparameters import InputError
from utils.files import PROJECT
from utils.runs.records import Run, load_run
from utils.scores.compare import compare, main, to_csv
from utils.scores.metrics import confusion, scores_of
from utils.scores.paired import (
    Paired,
    common_utterances,
    mcnemar,
    sign_flip,
    unit_differences,
)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two runs on the same utterances; the second is right more often."""
    return [
        write_run(tmp_path / "first", random_folds(0, right=0.5)),
        write_run(tmp_path / "second", random_folds(1, right=0.9)),
    ]


@pytest.fixture
def runs(folders: list[Path]) -> list[Run]:
    """The two runs, loaded."""
    return [load_run(folder) for folder in folders]


def paired(first: list[float], second: list[float], speakers: list[str]) -> Paired:
    """Shares of right answers to utterances of one class."""
    return Paired(
        true=np.zeros(len(first), np.int64),
        speakers=np.array(speakers, object),
        right=np.array([first, second], float),
    )


@pytest.mark.parametrize("seed", range(3))
def test_sign_flip_equals_brute_force(seed: int) -> None:
    """All 2^8 sign vectors, in exact integers: many of their sums tie."""
    gains = np.random.RandomState(seed).randint(-3, 5, size=8)
    signs = np.array(list(itertools.product((1, -1), repeat=8)))
    expected = np.mean(abs(signs @ gains) >= abs(gains.sum()))
    assert sign_flip(gains / 535) == expected  # thirds and tenths do not add exactly


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        (np.full(10, 0.01), 2 / 2**10),
        (np.zeros(10), 1),
        (np.array([0.1, -0.1]), 1),
        (np.array([0.3, 0.0]), 1),  # a single difference to flip
        # beyond the exact range: the exact tail of a fair coin's sum
        (
            np.array([1.0] * 24 + [-1.0] * 12),
            pytest.approx(scipy.stats.binomtest(24, 36).pvalue, abs=0.003),
        ),
    ],
)
def test_sign_flip_at_its_ends(gains: np.ndarray, expected: float) -> None:
    assert sign_flip(gains) == expected


def test_differences_are_those_of_the_pooled_scores(runs: list[Run]) -> None:
    found = common_utterances(*runs)
    assert found is not None
    unit, contributions = unit_differences(found)
    first, second = (scores_of(confusion(run.rows()))[:2] for run in runs)
    assert unit == "speaker"
    assert contributions.shape == (2, 10)
    np.testing.assert_allclose(contributions.sum(axis=1), second - first, rtol=1e-12)


def test_contributions_by_hand() -> None:
    found = Paired(
        true=np.array([0, 0, 0, 1]),
        speakers=np.array(["A", "A", "B", "B"], object),
        right=np.array([[0, 0, 1, 0], [1, 1, 0, 1]], float),
    )
    unit, contributions = unit_differences(found)
    assert unit == "speaker"
    np.testing.assert_allclose(contributions, [[2 / 6, 2 / 6], [2 / 4, 0]], atol=1e-15)


@pytest.mark.parametrize("speakers", [["A", None, "C"], ["A", "A", "A"]])
def test_unknown_speakers_make_the_utterance_the_unit(speakers: list[str]) -> None:
    unit, contributions = unit_differences(paired([0, 1, 0], [1, 1, 1], speakers))
    assert unit == "utterance"
    assert contributions.shape == (2, 3)


def test_mcnemar_by_hand() -> None:
    """Eight gained, one lost: 2 · (1 + 9) / 2^9."""
    found = paired([0] * 8 + [1] + [1] * 5, [1] * 8 + [0] + [1] * 5, ["A"] * 14)
    assert mcnemar(found) == pytest.approx(20 / 512, rel=1e-12)
    assert mcnemar(paired([0, 1], [0, 1], ["A", "A"])) == 1


def test_repeated_utterances_count_once_with_their_mean(tmp_path: Path) -> None:
    folds: list[list[Row]] = [
        [("a1", "A", 0, 0), ("b1", "B", 1, 1)],
        [("a1", "A", 0, 1), ("b2", "B", 1, 0)],
    ]
    better: list[list[Row]] = [[(*row[:3], row[2]) for row in rows] for rows in folds]
    runs = [
        load_run(write_run(tmp_path / name, rows, settings={"protocol": "paper"}))
        for name, rows in (("first", folds), ("second", better))
    ]
    found = common_utterances(*runs)
    assert found is not None
    assert found.right.tolist() == [[0.5, 1, 0], [1, 1, 1]]
    line = compare(runs)[1]
    assert line["rows"] == 4
    assert line["paired"]["utterances"] == 3
    assert line["paired"]["mcnemar_p"] is None
    assert line["paired"]["wa_difference"] == pytest.approx(0.5)


def test_compare_tests_against_the_first(runs: list[Run]) -> None:
    first, second = compare(runs)
    assert first["paired"] is None
    assert second["differs"] == []
    tests = second["paired"]
    assert (tests["unit"], tests["utterances"]) == ("speaker", 120)
    assert tests["wa_difference"] == pytest.approx(
        second["wa"]["value"] - first["wa"]["value"]
    )
    assert tests["wa_sign_flip_p"] == 2 / 1024
    same = compare([runs[0], runs[0]])[1]["paired"]
    p_values = [same[name] for name in same if name.endswith("_p")]
    assert p_values == [1, 1, 1]


def test_the_table_and_its_files(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, values = tmp_path / "table.md", tmp_path / "table.csv"
    names = [str(folder) for folder in folders]
    assert main([*names, "--markdown", str(table), "--csv", str(values)]) == 0
    printed = capsys.readouterr().out
    assert printed == table.read_text()
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| first | speaker | last | none | 42 | 2 | 10/10 | 120 |" in printed
    assert "(0.002)" in lines[3]
    assert "delete-one-speaker jackknife, logit scale, t(9)" in printed
    with values.open() as file:
        first, second = csv.DictReader(file)
    expected = compare([load_run(folder) for folder in folders])[1]
    assert first["paired_mcnemar_p"] == ""
    assert float(second["ua_low"]) == expected["ua"]["low"]
    assert float(second["paired_ua_sign_flip_p"]) == 2 / 1024


@pytest.mark.parametrize(
    ("differs", "num_rows", "changes", "in_table"),
    [
        ("protocol", 12, {"settings": {"protocol": "random"}}, "| protocol |"),
        ("utterances", 11, {}, "| utterances (110 common) |"),
        (
            "corpus",
            12,
            {"corpus": {"name": "OTHER", "digest": "beef"}},
            "| – | – | – | corpus |",
        ),
        (
            "set that chose the epoch",
            12,
            {"chosen_on": "test"},
            "| set that chose the epoch |",
        ),
    ],
)
def test_different_runs_are_compared_on_request_only(
    folders: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    differs: str,
    num_rows: int,
    changes: dict,
    in_table: str,
) -> None:
    folds = [fold[:num_rows] for fold in random_folds(1, right=0.9)]
    other = write_run(tmp_path / "other", folds, **changes)
    arguments = [str(folders[0]), str(other)]
    with pytest.raises(InputError, match=rf"differ in {differs}.*--allow_different"):
        main(arguments)
    assert capsys.readouterr().out == ""
    assert main([*arguments, "--allow_different"]) == 0
    printed = capsys.readouterr().out
    assert in_table in printed
    assert "compared on request" in printed
    line = compare([load_run(path) for path in arguments], allow_different=True)[1]
    assert (line["paired"] is None) == (differs == "corpus")
    (cells,) = csv.DictReader(io.StringIO(to_csv([line])))
    assert cells["differs"] == differs


def test_a_run_without_scores_is_refused(tmp_path: Path, runs: list[Run]) -> None:
    folder = write_run(
        tmp_path / "all", [[]], probabilities={}, settings={"protocol": "all"}
    )
    with pytest.raises(InputError, match="protocol all tests no utterance"):
        compare([load_run(folder), *runs], allow_different=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["first"], "give two run folders or more, got 1"),
        (["first", "second", "--source", "int8"], "no probabilities of 'int8'"),
        (["first", "second", "--csv", "first"], "first"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    folders: list[Path], arguments: list[str], message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "utils.scores.compare", *arguments],
        cwd=folders[0].parent,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
