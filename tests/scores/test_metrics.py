"""Scores against scikit-learn and hand-computed values; what a summary holds."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)
from synthetic_run import CLASSES, random_folds, write_run

from utils.files import PROJECT
from utils.runs.records import Rows, Run, load_run
from utils.scores.metrics import (
    SCORES,
    baselines,
    confusion,
    fold_scores,
    per_class,
    per_duration,
    scores_of,
    summary,
)


def rows_of(true: list[int], predicted: list[int], num_classes: int = 3) -> Rows:
    """Rows with these answers, one utterance each, speakers unknown."""
    n = len(true)
    return Rows(
        utterance_ids=np.array([f"u{i}" for i in range(n)], object),
        true=np.array(true),
        probabilities=np.eye(num_classes)[predicted],
        speakers=np.array([None] * n, object),
        folds=np.zeros(n, np.int64),
    )


def by_scikit_learn(rows: Rows) -> list[float]:
    """UA, WA, weighted F1, macro F1."""
    true, predicted = rows.true, rows.predicted
    with warnings.catch_warnings():  # an answer that is never true is meant here
        warnings.filterwarnings("ignore", message="y_pred contains classes not in")
        ua = balanced_accuracy_score(true, predicted)
    kinds = ("weighted", "macro")
    f1 = [f1_score(true, predicted, average=k, zero_division=0) for k in kinds]
    return [ua, accuracy_score(true, predicted), *f1]


def test_scores_by_hand() -> None:
    # Recalls 2/3, 1/2, 1; precisions 2/3, 1, 1/2; F1 2/3, 2/3, 2/3.
    rows = rows_of([0, 0, 0, 1, 1, 2], [0, 0, 2, 0, 1, 2])
    assert confusion(rows).tolist() == [[2, 0, 1], [1, 1, 0], [0, 0, 1]]
    found = scores_of(confusion(rows))
    np.testing.assert_allclose(found, [13 / 18, 4 / 6, 2 / 3, 2 / 3], rtol=1e-15)


@pytest.mark.parametrize("seed", range(20))
def test_scores_equal_scikit_learn(seed: int) -> None:
    """Small draws of many classes: some are never true, some never predicted."""
    random = np.random.RandomState(seed)
    true = random.randint(0, 6, size=random.randint(1, 25))
    guessed = random.randint(0, 7, len(true))
    predicted = np.where(random.random_sample(len(true)) < 0.5, true, guessed)
    rows = rows_of(true.tolist(), predicted.tolist(), num_classes=7)
    counts = confusion(rows)
    np.testing.assert_array_equal(
        counts, confusion_matrix(true, predicted, labels=range(7))
    )
    np.testing.assert_allclose(scores_of(counts), by_scikit_learn(rows), rtol=1e-13)
    many = scores_of(np.stack([[counts, counts.T]] * 3))  # leading dimensions stay
    assert many.shape == (3, 2, len(SCORES))
    np.testing.assert_array_equal(many[2, 0], scores_of(counts))


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_the_published_matrix_gives_the_published_scores(loss: str) -> None:
    published = json.loads((PROJECT / "reproduction/published.json").read_text())
    scores = scores_of(np.array(published["confusion"][loss]))[:3]
    expected = published["scores_percent"][loss]["paper"]
    found = dict(zip(("ua", "wa", "weighted_f1"), 100 * scores, strict=True))
    assert found == pytest.approx(expected, abs=0.006)


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[..., Run]:
    """A function (folds, **changes) that writes a run and loads it."""
    return lambda folds, **changes: load_run(
        write_run(tmp_path / "run", folds, **changes)
    )


def test_a_fold_averages_over_the_classes_it_has(run_of: Callable[..., Run]) -> None:
    folds = [
        [("a1", "A", 0, 0), ("a2", "A", 0, 1), ("a3", "A", 1, 1)],  # no class 2
        [("b1", "B", 0, 0), ("b2", "B", 1, 1), ("b3", "B", 2, 2)],
    ]
    scores = fold_scores(run_of(folds).rows())
    assert [score["ua"] for score in scores["scores"]] == [0.75, 1.0]
    assert scores["mean"]["ua"] == 0.875
    assert scores["sd"]["ua"] == pytest.approx(0.25 / 2**0.5)
    assert "classes present" in scores["note"]
    assert fold_scores(rows_of([0], [0]))["sd"]["ua"] is None  # a single fold


def test_a_class_never_tested_or_predicted_has_no_recall_or_precision() -> None:
    table = per_class(rows_of([0, 1], [0, 0]), CLASSES)
    assert table[1]["precision"] is None
    assert table[2]["recall"] is None
    assert table[2]["f1"] == 0


def test_a_summary_pools_the_rows_of_all_folds(run_of: Callable[..., Run]) -> None:
    run = run_of(random_folds(3))
    content, rows = summary(run), run.rows()
    pooled = [content["headline"][name]["value"] for name in SCORES]
    np.testing.assert_allclose(pooled, by_scikit_learn(rows), rtol=1e-13)
    method = content["headline"]["ua"]["method"]
    assert method == "delete-one-speaker jackknife, logit scale, t(9)"
    counts = (content["n"], content["utterances"], content["speakers"])
    assert (*counts, content["complete"]) == (120, 120, 10, True)
    assert np.sum(content["confusion"]["counts"]) == 120
    json.dumps(content, allow_nan=False)


def test_classes_and_speakers_equal_scikit_learn(run_of: Callable[..., Run]) -> None:
    run = run_of(random_folds(1))
    content, rows = summary(run), run.rows()
    table = content["per_class"]
    assert [line["class"] for line in table] == list(CLASSES)
    assert {line["recall"]["unit"] for line in table} == {"speaker"}
    found = [
        [line["precision"] for line in table],
        [line["recall"]["value"] for line in table],
        [line["f1"] for line in table],
        [line["support"] for line in table],
    ]
    expected = precision_recall_fscore_support(rows.true, rows.predicted)
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    speakers = [line["speaker"] for line in content["per_speaker"]]
    assert speakers == sorted(set(rows.speakers))
    for line in content["per_speaker"]:
        ua, wa, *_ = by_scikit_learn(rows.take(rows.speakers == line["speaker"]))
        values = [line[name]["value"] for name in ("ua", "wa")]
        assert values == pytest.approx([ua, wa], rel=1e-13)
        assert (line["wa"]["unit"], line["n"]) == ("utterance", 12)


@pytest.mark.parametrize(
    ("lengths", "groups"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], {"1.00-2.75 s": 2, "6.25-8.00 s": 2}),
        ([1, 1, 1, 1, 1, 1, 1, 9], {"1.00-9.00 s": 8}),
        ([2] * 8, {"2.00 s": 8}),
        ([1] * 7, {}),  # one is unknown
    ],
)
def test_groups_of_durations(lengths: list[float], groups: dict[str, int]) -> None:
    rows = rows_of([0, 1] * 4, [0, 1, 0, 0, 0, 1, 0, 1])
    table = per_duration(rows, {f"u{i}": x for i, x in enumerate(lengths)})
    found = {line["duration"]: line["n"] for line in table}
    assert found.items() >= groups.items()
    assert sum(found.values()) == (8 if groups else 0)
    if "1.00-2.75 s" in groups:
        assert [line["wa"]["value"] for line in table] == [1, 0.5, 1, 1]


def test_baselines_by_hand() -> None:
    """Three of class 0, one of class 1: always 0 has recalls 1 and 0."""
    found = baselines(confusion(rows_of([0, 0, 0, 1], [0, 1, 0, 1], 2)), ("a", "b"))
    assert found["majority_class"] == "a"
    chance, majority = found["chance"], found["majority"]
    assert (chance["ua"], chance["wa"]) == (0.5, 0.5)
    assert (majority["ua"], majority["wa"]) == (0.5, 0.75)
    assert majority["macro_f1"] == pytest.approx(3 / 7)
    assert chance["weighted_f1"] == pytest.approx(0.75 * 0.6 + 0.25 / 3)


def test_repeated_rows_count(run_of: Callable[..., Run]) -> None:
    folds = [
        [("a1", "A", 0, 0), ("b1", "B", 1, 1)],
        [("a1", "A", 0, 1), ("b2", "B", 1, 1)],
    ]
    content = summary(run_of(folds, settings={"protocol": "paper"}))
    assert content["headline"]["wa"]["value"] == 0.75
    assert (content["n"], content["utterances"]) == (4, 3)


def test_unknown_speakers_are_reported(run_of: Callable[..., Run]) -> None:
    folds = [[(name, None, true, got) for name, _, true, got in random_folds(4)[0]]]
    content = summary(run_of(folds))
    assert "delete-one-utterance" in content["headline"]["ua"]["method"]
    assert (content["per_speaker"], content["speakers"]) == ([], 0)


def test_a_run_without_test_set_has_no_scores(run_of: Callable[..., Run]) -> None:
    content = summary(run_of([[]], probabilities={}, settings={"protocol": "all"}))
    assert content["n"] == 0
    assert "headline" not in content
