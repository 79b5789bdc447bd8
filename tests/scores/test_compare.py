"""Comparison of runs: paired tests by brute force and by hand, refusals, the table."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from synthetic_run import CLASSES, Row, random_folds, write_run

from hyperparameters import InputError
from utils.runs.records import Run, load_run
from utils.scores.compare import compare, heading_of, main, to_text
from utils.scores.comparison_plot import comparison_figure
from utils.scores.metrics import confusion, recalls_of, scores_of
from utils.scores.paired import (
    Paired,
    common_utterances,
    mcnemar,
    sign_flip,
    unit_differences,
)
from utils.scores.seeds import pool_seeds


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


def paired(
    right: list[list[int]], speakers: str, true: list[int] | None = None
) -> Paired:
    """Right answers of two runs; a speaker per letter, `?` if unknown."""
    return Paired(
        true=np.array(true or [0] * len(speakers)),
        speakers=np.array([None if s == "?" else s for s in speakers], object),
        right=np.array(right, float),
    )


@pytest.mark.parametrize("seed", range(3))
def test_sign_flip_equals_brute_force(seed: int) -> None:
    """All 2^8 sign vectors, in exact integers: many of their sums tie."""
    gains = np.random.RandomState(seed).randint(-3, 5, size=8)
    signs = np.array(list(itertools.product((1, -1), repeat=8)))
    expected = np.mean(abs(signs @ gains) >= abs(gains.sum()))
    assert sign_flip(gains / 535) == expected  # thirds and tenths do not add exactly


FAIR_COIN = scipy.stats.binomtest(24, 36).pvalue  # beyond the exact range


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ([0.01] * 10, 2 / 2**10),
        ([0.0] * 10, 1),
        ([0.1, -0.1], 1),
        ([0.3, 0.0], 1),  # a single difference to flip
        ([1.0] * 24 + [-1.0] * 12, pytest.approx(FAIR_COIN, abs=0.003)),
    ],
)
def test_sign_flip_at_its_ends(gains: list[float], expected: float) -> None:
    assert sign_flip(np.array(gains)) == expected


def test_differences_are_those_of_the_pooled_scores(runs: list[Run]) -> None:
    found = common_utterances(*runs)
    assert found is not None
    unit, contributions = unit_differences(found)
    first, second = (scores_of(confusion(run.rows()))[:2] for run in runs)
    assert (unit, contributions.shape) == ("speaker", (2, 10))
    np.testing.assert_allclose(contributions.sum(axis=1), second - first, rtol=1e-12)


BY_UTTERANCE = [[1 / 6, 1 / 6, -1 / 6, 1 / 2], [1 / 4, 1 / 4, -1 / 4, 1 / 4]]


@pytest.mark.parametrize(
    ("speakers", "unit", "contributions"),
    [
        ("AABB", "speaker", [[2 / 6, 2 / 6], [2 / 4, 0]]),
        ("AA?B", "utterance", BY_UTTERANCE),
        ("AAAA", "utterance", BY_UTTERANCE),
    ],
)
def test_contributions_by_hand(
    speakers: str, unit: str, contributions: list[list[float]]
) -> None:
    found = paired([[0, 0, 1, 0], [1, 1, 0, 1]], speakers, true=[0, 0, 0, 1])
    assert unit_differences(found)[0] == unit
    np.testing.assert_allclose(unit_differences(found)[1], contributions, atol=1e-15)


def test_mcnemar_by_hand() -> None:
    """Eight gained, one lost: 2 · (1 + 9) / 2^9."""
    found = paired([[0] * 8 + [1] + [1] * 5, [1] * 8 + [0] + [1] * 5], "A" * 14)
    assert mcnemar(found) == pytest.approx(20 / 512, rel=1e-12)
    assert mcnemar(paired([[0, 1], [0, 1]], "AA")) == 1


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
    assert (line["rows"], line["paired"]["utterances"]) == (4, 3)
    assert line["paired"]["mcnemar_p"] is None
    assert line["paired"]["wa_difference"] == pytest.approx(0.5)


def test_runs_are_tested_against_the_first(runs: list[Run]) -> None:
    first, second, same = compare([*runs, runs[0]])
    assert (first["paired"], second["differs"]) == (None, [])
    tests = second["paired"]
    assert (tests["unit"], tests["utterances"]) == ("speaker", 120)
    difference = second["wa"]["value"] - first["wa"]["value"]
    assert tests["wa_difference"] == pytest.approx(difference)
    assert tests["wa_sign_flip_p"] == 2 / 1024
    assert [v for k, v in same["paired"].items() if k.endswith("_p")] == [1, 1, 1]


def test_the_table_is_printed_and_written(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random_folds(1, right=0.9)
    third = write_run(tmp_path / "third", seed, settings={"seed": 7, "dropout": 0.5})
    names = [str(folder) for folder in (*folders, third)]
    table = tmp_path / "table.md"
    assert main([*names, "--markdown", str(table)]) == 0
    printed, written = capsys.readouterr().out, table.read_text()
    lines = [line for line in written.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1
    cells = [line.split(" | ")[:3] for line in lines[2:]]
    for line, parts in zip(printed.splitlines()[1:4], cells, strict=True):
        assert all(part.removeprefix("| ") in line for part in parts)
    for text in (printed, written):
        assert "(0.002)" in text
        assert "<0.001" in text  # McNemar's
        assert "\n1. first: dataset_name DEMO, protocol speaker, select last," in text
        assert "seed 42, epochs 2; epoch chosen on: none; 10 of 10 folds" in text
        assert "\n2. second: the same settings; epoch chosen on: none;" in text
        assert "\n3. third: dropout 0.5, seed 7; epoch chosen on: none;" in text
        assert "delete-one-speaker jackknife, logit scale, t(9)" in text
        assert "Sign flips over 10 speakers cannot give a p below 0.002." in text
        assert text.endswith("\nTEST\nProtocol speaker: no audit recorded\n")


def test_partial_runs_are_told(folders: list[Path]) -> None:
    for folder in folders:
        (folder / "folds" / "fold_03.json").unlink()
    text = to_text(compare([load_run(folder) for folder in folders]))
    assert text.count("PARTIAL: 9 of 10 folds, 108 rows") == 2


def write_seeds(folder: Path) -> list[str]:
    """Two seeds of two losses; the second loss is right more often."""
    return [
        str(
            write_run(
                folder / f"{loss_name}{seed}",
                random_folds(seed, right=right),
                settings={"seed": seed, "loss_name": loss_name},
            )
        )
        for loss_name, right in (("cross_entropy", 0.5), ("focal", 0.9))
        for seed in (1, 2)
    ]


def test_seeds_are_pooled_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = write_seeds(tmp_path)
    every = compare([load_run(name) for name in names])
    assert len(every) == 4
    first, second = compare(pool_seeds([load_run(name) for name in names]))
    for line, seeds in ((first, every[:2]), (second, every[2:])):
        assert line["rows"] == 240
        mean = np.mean([seed["ua"]["value"] for seed in seeds])
        assert line["ua"]["value"] == pytest.approx(mean)
        assert line["ua"]["units"] == 10  # speakers: seeds are no new ones
    difference = second["ua"]["value"] - first["ua"]["value"]
    assert second["paired"]["utterances"] == 120
    assert second["paired"]["ua_difference"] == pytest.approx(difference)
    assert second["differs"] == []
    main([*names, "--pool_seeds"])
    printed = capsys.readouterr().out
    assert "seed 1, 2, epochs 2" in printed
    assert "20 of 20 folds, 240 rows" in printed
    assert len(compare(pool_seeds([load_run(n) for n in names[1:]]))) == 2
    with pytest.raises(InputError, match="another run has the same settings and seed"):
        pool_seeds([load_run(names[0]), load_run(names[0])])


def test_the_picture_shows_every_run_and_class(tmp_path: Path) -> None:
    names = write_seeds(tmp_path)
    path = tmp_path / "a b.PNG"
    assert main([*names, "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "a b.png").exists()
    runs = [load_run(name) for name in names]
    recalls = [recalls_of(run) for run in runs]
    recalls[1] = {**recalls[1], "anger": None}  # not tested
    assert heading_of(runs) == ["TEST", "Protocol speaker: no audit recorded"]
    texts = ["first", "second", "third", "fourth"]
    figure = comparison_figure(texts, {"Recall by class": recalls})
    [axes], [legend] = figure.axes, figure.legends
    assert [text.get_text() for text in legend.get_texts()] == texts
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(CLASSES)
    for number, container in enumerate(axes.containers):
        expected = [score["value"] for score in recalls[number].values() if score]
        assert container.lines[0].get_xdata().tolist() == expected
    with pytest.raises(InputError, match=r"--plot must end in \.png, \.pdf"):
        main([*names, "--plot", str(tmp_path / "a.jpg")])


BEST = {"settings": {"select": "best"}, "chosen_on": "validation"}
CHOOSER = "set that chose the epoch"
OTHER_CORPUS = {"corpus": {"name": "OTHER", "digest": "beef"}}


@pytest.mark.parametrize(
    ("differs", "num_rows", "changes", "common"),
    [
        ("protocol", 12, {"settings": {"protocol": "random"}}, 120),
        ("utterances", 11, {}, 110),
        ("corpus", 12, OTHER_CORPUS, 0),
        (CHOOSER, 12, BEST, 120),
    ],
)
def test_different_runs_are_compared_on_request_only(
    folders: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    differs: str,
    num_rows: int,
    changes: dict,
    common: int,
) -> None:
    folds = [fold[:num_rows] for fold in random_folds(1, right=0.9)]
    other = write_run(tmp_path / "other", folds, **changes)
    arguments = [str(folders[0]), str(other)]
    with pytest.raises(InputError, match=rf"differ in {differs}.*--allow_different"):
        main(arguments)
    assert capsys.readouterr().out == ""
    assert main([*arguments, "--allow_different"]) == 0
    printed = capsys.readouterr().out
    text = f"on request, although it differs in {differs} ({common} common utterances)"
    assert text in printed
    assert ("–          –" in printed.splitlines()[2]) == (common == 0)


def test_a_run_without_scores_is_refused(tmp_path: Path, runs: list[Run]) -> None:
    settings = {"protocol": "all"}
    folder = write_run(tmp_path / "all", [[]], probabilities={}, settings=settings)
    with pytest.raises(InputError, match="protocol all tests no utterance"):
        compare([load_run(folder), *runs], allow_different=True)


def test_mistakes_are_named(
    folders: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(folder) for folder in folders]
    with pytest.raises(InputError, match="no probabilities of 'int8'"):
        main([*names, "--source", "int8"])
    with pytest.raises(SystemExit):
        main(names[:1])
    assert "give two run folders or more, got 1" in capsys.readouterr().err
