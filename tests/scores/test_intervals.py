"""Intervals: by hand, at their edges, and their coverage by simulation."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from scipy.special import expit
from synthetic_run import random_folds, write_run

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

# Utterances of each speaker and class of EMO-DB, in the order of its manifest
EMO_DB_COUNTS = np.array(
    [
        [5, 7, 7, 4, 1, 11, 14],
        [10, 9, 11, 6, 0, 10, 12],
        [4, 4, 4, 1, 8, 9, 13],
        [8, 3, 4, 8, 1, 4, 10],
        [8, 7, 8, 10, 2, 9, 11],
        [5, 4, 2, 6, 2, 4, 12],
        [10, 5, 10, 7, 8, 9, 12],
        [8, 10, 8, 12, 8, 7, 16],
        [9, 4, 6, 8, 5, 11, 13],
        [14, 9, 11, 7, 11, 5, 14],
    ]
)
CLASS_SHIFTS = np.array([0.0, 0.6, -0.8, -0.4, -0.2, 0.3, 0.5])  # logit: harder, easier
CENTRES = (0.4, 0.9, 1.5, 2.4, 3.2)  # logits of recalls from about 0.6 to 0.95
# Standard deviations of the logit: between speakers, between a speaker's classes
EFFECTS = ((0, 0), (0.3, 0), (0.6, 0), (1, 0), (0, 0.5), (0.3, 0.5), (0.6, 1), (1, 1))


def answer_shares(recall: np.ndarray) -> np.ndarray:
    """Share of each answer per true class; wrong ones are equally frequent."""
    others = 1 - np.eye(7)
    return recall[..., None] * np.eye(7) + (1 - recall)[..., None] * others / 6


def simulate(
    centre: float, speaker_sd: float, class_sd: float, datasets: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw data sets whose speakers, and each class of a speaker, differ in difficulty.

    Returns:
        Confusion counts, (data sets, speakers, classes, classes), and the scores over
        all speakers that could have been drawn, (4,).
    """
    random = np.random.default_rng(0)
    effects = speaker_sd * random.standard_normal((datasets, 10, 1))
    effects = effects + class_sd * random.standard_normal((datasets, 10, 7))
    shares = answer_shares(expit(centre + CLASS_SHIFTS + effects))
    counts = random.multinomial(EMO_DB_COUNTS, shares)
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    both = nodes * np.hypot(speaker_sd, class_sd)  # the sum of two normals
    recalls = expit(centre + CLASS_SHIFTS[:, None] + both) @ weights / weights.sum()
    truth = scores_of(answer_shares(recalls) * EMO_DB_COUNTS.sum(axis=0)[:, None])
    return counts, truth


@pytest.mark.parametrize("centre", CENTRES)
@pytest.mark.parametrize(
    "datasets", [1500, pytest.param(20_000, marks=pytest.mark.proof)]
)
def test_the_headline_covers(centre: float, datasets: int) -> None:
    """In 92 to 98 % of the data sets; the Monte-Carlo error is 0.6 points or less."""
    for effects in EFFECTS:
        counts, truth = simulate(centre, *effects, datasets)
        value = scores_of(counts.sum(axis=1))
        low, high = logit_jackknife(counts, scores_of)
        assert ((low >= 0) & (low <= value) & (value <= high) & (high <= 1)).all()
        covered = ((low <= truth) & (truth <= high)).mean(axis=0)
        assert ((covered >= 0.92) & (covered <= 0.98)).all(), effects


def test_the_simulation_tells_bad_intervals_from_good() -> None:
    """Intervals over independent utterances do not cover new speakers."""
    counts, truth = simulate(1.5, 0.6, 0.5, 4000)
    values = scores_of(counts.sum(axis=1))[:, :2]
    error = values.std(axis=0) / 4000**0.5
    assert (np.abs(values.mean(axis=0) - truth[:2]) < 4 * error).all()  # unbiased
    low, high = exact_binomial(values, EMO_DB_COUNTS.sum())
    assert (((low <= truth[:2]) & (truth[:2] <= high)).mean(axis=0) < 0.8).all()


def test_the_table_of_counts_is_that_of_emo_db(emo_db_dir: Path) -> None:
    manifest = CORPUS.read(emo_db_dir / "EMO-DB")
    found = Counter((u.speaker, u.label) for u in manifest.utterances)
    speakers = sorted({speaker for speaker, _ in found})
    cells = itertools.product(speakers, manifest.classes)
    assert [found[cell] for cell in cells] == EMO_DB_COUNTS.ravel().tolist()


def counts_of(right_of_ten: list[int]) -> np.ndarray:
    """Two classes; each unit has ten utterances of class 0, so many of them right."""
    return np.array([[[right, 10 - right], [0, 0]] for right in right_of_ten])


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """Ten speakers with twelve utterances each."""
    return load_run(write_run(tmp_path / "run", random_folds(0))).rows()


def test_a_jackknife_by_hand() -> None:
    """Mean 0.7, error 0.0912871, t(3) 3.182446: logit 0.847298 ± 1.383410."""
    counts = counts_of([5, 8, 9, 6])
    error = scipy.stats.sem([0.5, 0.8, 0.9, 0.6])
    np.testing.assert_allclose(jackknife_error(counts, accuracy), [error], rtol=1e-12)
    limits = np.ravel(logit_jackknife(counts, accuracy))
    np.testing.assert_allclose(limits, expit([-0.536112, 2.230708]), atol=1e-6)


def test_the_error_is_that_of_leaving_each_speaker_out(rows: Rows) -> None:
    without = [
        scores_of(
            unit_counts(rows.take(rows.speakers != speaker), "utterance").sum(axis=0)
        )
        for speaker in sorted(set(rows.speakers))
    ]
    expected = np.std(without, axis=0) * (10 - 1) ** 0.5
    found = jackknife_error(unit_counts(rows, "speaker"), scores_of)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("right", "limits"),
    [
        ([10] * 8, scipy.stats.binomtest(8, 8).proportion_ci(0.95)),
        ([0] * 8, scipy.stats.binomtest(0, 8).proportion_ci(0.95)),
        ([7], (0, 1)),  # one unit bounds nothing
    ],
)
def test_units_that_are_all_alike(right: list[int], limits: tuple) -> None:
    found = np.ravel(logit_jackknife(counts_of(right), accuracy))
    np.testing.assert_allclose(found, limits, rtol=1e-12)


def test_one_speaker_who_makes_all_errors_is_an_error_to_estimate() -> None:
    low, high = logit_jackknife(counts_of([10, 10, 10, 9]), accuracy)
    assert 0.5 < low[0] < 0.975 < high[0] < 1


def test_recalls_of_0_and_1_do_not_make_an_interval_of_no_width() -> None:
    """One class all right, the other all wrong: UA 0.5 whoever is left out."""
    answers = [[[1, 0], [0, 0]]] * 6 + [[[0, 0], [1, 0]]] * 4
    low, high = logit_jackknife(np.array(answers), scores_of)
    exact = scipy.stats.binomtest(5, 10).proportion_ci(0.95)
    np.testing.assert_allclose([low[0], high[0]], exact, rtol=1e-9)
    assert low[1] < 0.6 < high[1]  # WA has an error of its own
    assert high[1] - low[1] > 0.5


def test_the_unit_is_the_speaker_if_several_are_known(rows: Rows) -> None:
    assert unit_of(rows) == "speaker"
    assert unit_of(rows.take(rows.speakers == "s03")) == "utterance"
    twice = rows.take(np.repeat(np.arange(len(rows)), 2))
    rows.speakers[0] = None
    assert unit_of(rows) == "utterance"
    counts = unit_counts(twice, "utterance")  # rows of one utterance are one unit
    np.testing.assert_array_equal(counts, 2 * unit_counts(rows, "utterance"))


def test_an_interval_names_its_method_and_unit(rows: Rows) -> None:
    ua, wa, *_ = headline_intervals(rows, scores_of)
    assert ua["method"] == "delete-one-speaker jackknife, logit scale, t(9)"
    assert (ua["unit"], ua["units"]) == ("speaker", 10)
    assert wa["value"] == np.mean(rows.true == rows.predicted)
    right = headline_intervals(rows.take(rows.true == rows.predicted), scores_of)[0]
    assert right["method"] == "exact binomial over speakers, all alike"
    one = rows.take(rows.speakers == "s03")  # recalls of 1, 0 and 0
    alike = Rows(**{**vars(one), "probabilities": np.tile([0.8, 0.1, 0.1], (12, 1))})
    ua = headline_intervals(alike, scores_of)[0]
    assert ua["value"] == pytest.approx(1 / 3)
    assert ua["low"] < 0.2 < 0.5 < ua["high"]
    assert ua["method"].startswith("exact binomial over utterances: leaving any")
