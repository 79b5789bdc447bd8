"""Intervals: by hand, at their edges, and their coverage by simulation."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from synthetic_run import random_folds, write_run

from benchmarks.interval_coverage import (
    EFFECTS,
    EMO_DB_COUNTS,
    LEVELS,
    Case,
    coverage,
    covered,
    grid,
    main,
    monte_carlo_error,
    simulate,
    true_scores,
)
from utils.corpora.emo_db import CORPUS
from utils.runs.records import Rows, load_run
from utils.scores.intervals import (
    exact_binomial,
    headline_intervals,
    jackknife_error,
    logit_jackknife,
    unit_counts,
    unit_of,
)
from utils.scores.metrics import accuracy, scores_of


def counts_of(right_of_ten: list[int]) -> np.ndarray:
    """Two classes; each unit has ten utterances of class 0, so many of them right."""
    return np.array([[[right, 10 - right], [0, 0]] for right in right_of_ten])


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """Ten speakers with twelve utterances each."""
    return load_run(write_run(tmp_path / "run", random_folds(0))).rows()


def test_jackknife_of_equal_speakers_is_the_error_of_a_mean() -> None:
    shares = np.array([0.5, 0.8, 0.9, 0.6])
    counts = counts_of([5, 8, 9, 6])
    error = scipy.stats.sem(shares)
    np.testing.assert_allclose(jackknife_error(counts, accuracy), [error], rtol=1e-12)


def test_logit_jackknife_by_hand() -> None:
    low, high = logit_jackknife(counts_of([5, 8, 9, 6]), accuracy)
    # Mean 0.7, error 0.0912871, t(3) 3.182446: logit 0.847298 ± 1.383410.
    expected = [1 / (1 + math.exp(0.536112)), 1 / (1 + math.exp(-2.230708))]
    np.testing.assert_allclose([low[0], high[0]], expected, atol=1e-6)


def test_leaving_each_speaker_out_by_hand(rows: Rows) -> None:
    """The error of every figure from rows that are really left out."""
    without = [
        scores_of(
            unit_counts(rows.take(rows.speakers != speaker), "utterance").sum(axis=0)
        )
        for speaker in sorted(set(rows.speakers))
    ]
    expected = np.std(without, axis=0) * (10 - 1) ** 0.5
    np.testing.assert_allclose(
        jackknife_error(unit_counts(rows, "speaker"), scores_of), expected, rtol=1e-12
    )


def test_an_interval_contains_its_score_within_0_and_1() -> None:
    case = Case(level=0.95, speaker_sd=1, class_sd=1)
    counts = simulate(case, 500, np.random.RandomState(0))
    value = scores_of(counts.sum(axis=1))
    low, high = logit_jackknife(counts, scores_of)
    assert ((low >= 0) & (low <= value) & (value <= high) & (high <= 1)).all()


@pytest.mark.parametrize(("right", "end"), [(10, "high"), (0, "low")])
def test_all_alike_is_the_exact_binomial_limit(right: int, end: str) -> None:
    low, high = logit_jackknife(counts_of([right] * 8), accuracy)
    exact = scipy.stats.binomtest(8 if right else 0, 8).proportion_ci(0.95)
    np.testing.assert_allclose([low[0], high[0]], [exact.low, exact.high], rtol=1e-12)
    assert {"high": high, "low": low}[end][0] == (1 if right else 0)


def test_one_unit_bounds_nothing() -> None:
    low, high = logit_jackknife(counts_of([7]), accuracy)
    assert (low[0], high[0]) == (0, 1)


def test_one_speaker_more_to_leave_out_where_all_errors_are_his() -> None:
    low, high = logit_jackknife(counts_of([10, 10, 10, 9]), accuracy)
    assert 0.5 < low[0] < 0.975 < high[0] < 1


def test_the_unit_is_the_speaker_where_several_are_known(rows: Rows) -> None:
    assert unit_of(rows) == "speaker"
    one = rows.take(rows.speakers == "s03")
    assert unit_of(one) == "utterance"
    speakers = rows.speakers.copy()
    speakers[0] = None
    some_unknown = Rows(**{**vars(rows), "speakers": speakers})
    assert unit_of(some_unknown) == "utterance"


def test_rows_of_one_utterance_belong_together(rows: Rows) -> None:
    twice = rows.take(np.repeat(np.arange(len(rows)), 2))
    assert unit_counts(twice, "utterance").shape == (120, 3, 3)
    np.testing.assert_array_equal(
        unit_counts(twice, "utterance"), 2 * unit_counts(rows, "utterance")
    )


def test_an_interval_names_its_method_and_unit(rows: Rows) -> None:
    ua, wa, *_ = headline_intervals(rows, scores_of)
    assert ua["method"] == "delete-one-speaker jackknife, logit scale, t(9)"
    assert (ua["unit"], ua["units"]) == ("speaker", 10)
    assert wa["value"] == np.mean(rows.true == rows.predicted)
    right = rows.take(rows.true == rows.predicted)
    assert headline_intervals(right, scores_of)[0]["method"].startswith(
        "exact binomial"
    )


def test_the_table_of_counts_is_emo_db_own(emo_db_dir: Path) -> None:
    manifest = CORPUS.read(emo_db_dir / "EMO-DB")
    speakers = sorted({str(utterance.speaker) for utterance in manifest.utterances})
    counts = np.zeros_like(EMO_DB_COUNTS)
    for utterance in manifest.utterances:
        row = speakers.index(str(utterance.speaker))
        counts[row, manifest.classes.index(utterance.label)] += 1
    np.testing.assert_array_equal(counts, EMO_DB_COUNTS)


def test_the_table_of_counts_has_535_utterances() -> None:
    assert EMO_DB_COUNTS.sum() == 535
    assert EMO_DB_COUNTS.sum(axis=0).tolist() == [81, 62, 71, 69, 46, 79, 127]


def test_the_simulation_draws_around_its_truth() -> None:
    """UA and WA are means over speakers: unbiased, and right at the stated level."""
    case = Case(level=0.8, speaker_sd=0.6, class_sd=0.5)
    values = scores_of(simulate(case, 4000, np.random.RandomState(0)).sum(axis=1))
    truth = true_scores(case)
    assert truth[0] == pytest.approx(0.8, abs=1e-6)
    error = values.std(axis=0) / 4000**0.5
    assert (np.abs(values.mean(axis=0) - truth)[:2] < 4 * error[:2]).all()


@pytest.mark.parametrize("level", LEVELS)
def test_the_headline_covers(level: float) -> None:
    """Within 92-98 % in every cell and figure; Monte-Carlo error 0.4 points."""
    num_datasets = 3000
    assert monte_carlo_error(num_datasets) < 0.004
    for number, (speaker_sd, class_sd) in enumerate(EFFECTS):
        case = Case(level=level, speaker_sd=speaker_sd, class_sd=class_sd)
        shares = coverage(case, num_datasets, seed=number)
        assert ((shares >= 0.92) & (shares <= 0.98)).all(), case


def test_the_simulation_tells_bad_intervals_from_good() -> None:
    """Intervals that take utterances as independent do not cover new speakers."""
    case = Case(level=0.8, speaker_sd=0.6, class_sd=0.5)
    pooled = simulate(case, 1000, np.random.RandomState(0)).sum(axis=1)
    limits = exact_binomial(scores_of(pooled)[:, :2], EMO_DB_COUNTS.sum())
    assert (covered(limits, true_scores(case)[:2]) < 0.8).all()


@pytest.mark.proof
def test_every_cell_of_the_full_grid_covers() -> None:
    for number, case in enumerate(grid()):
        shares = coverage(case, 20_000, seed=100 + number)
        assert ((shares >= 0.92) & (shares <= 0.98)).all(), case


def test_the_benchmark_prints_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--datasets", "10"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n| 0.") == len(grid())
    assert "Monte-Carlo error" in printed


def test_recalls_of_0_and_1_do_not_make_an_interval_of_no_width() -> None:
    """One class all right, the other all wrong: UA 0.5 whoever is left out."""
    answers = [[[1, 0], [0, 0]]] * 6 + [[[0, 0], [1, 0]]] * 4
    low, high = logit_jackknife(np.array(answers), scores_of)
    exact = scipy.stats.binomtest(5, 10).proportion_ci(0.95)
    np.testing.assert_allclose([low[0], high[0]], [exact.low, exact.high], rtol=1e-9)
    assert low[1] < 0.6 < high[1]  # WA has an error of its own
    assert high[1] - low[1] > 0.5


def test_an_exact_interval_says_so(rows: Rows) -> None:
    """One speaker whose recalls are 1, 0 and 0: the unit is the utterance."""
    one = rows.take(rows.speakers == "s03")
    alike = Rows(**{**vars(one), "probabilities": np.tile([0.8, 0.1, 0.1], (12, 1))})
    ua = headline_intervals(alike, scores_of)[0]
    assert ua["value"] == pytest.approx(1 / 3)
    assert ua["low"] < 0.2 < 0.5 < ua["high"]
    assert ua["method"].startswith("exact binomial over utterances: leaving any")
