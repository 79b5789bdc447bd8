"""The figures of speech emotion recognition, from confusion matrices.

UA (unweighted accuracy) is the mean recall, WA (weighted accuracy) the accuracy,
weighted F1 the paper's F1. The headline pools the rows of all folds; where the same
utterance was tested several times (protocol `paper`) every row counts.
"""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.runs.records import Rows, Run
from utils.scores.intervals import headline_intervals, reference_intervals

SCORES = {
    "ua": "UA",
    "wa": "WA",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
}
FOLD_NOTE = "UA of a fold: mean recall over the classes present in its test set"
FloatArray = npt.NDArray[np.floating]


def confusion(rows: Rows) -> npt.NDArray[np.int64]:
    """Confusion matrix, (classes, classes), rows true, columns predicted."""
    counts = np.zeros((rows.num_classes, rows.num_classes), np.int64)
    np.add.at(counts, (rows.true, rows.predicted), 1)
    return counts


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> FloatArray:
    """Quotient, 0 where nothing can be counted."""
    shape = np.broadcast_shapes(part.shape, whole.shape)
    return np.divide(part, whole, out=np.zeros(shape), where=whole > 0)


def scores_of(counts: npt.NDArray[Any]) -> FloatArray:
    """UA, WA, weighted F1 and macro F1 of confusion matrices.

    As in scikit-learn UA averages over the classes present among the true labels
    (`balanced_accuracy_score`) and macro F1 over those present among true or predicted
    labels (`f1_score`); a fold may lack a class.

    Args:
        counts: (..., classes, classes), rows true, columns predicted; any weights.

    Returns:
        (..., 4) in the order of `SCORES`, within 0..1.
    """
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    true, predicted = counts.sum(axis=-1), counts.sum(axis=-2)  # (..., classes)
    total = true.sum(axis=-1)
    f1 = _ratio(2 * right, true + predicted)
    return np.stack(
        [
            _ratio(_ratio(right, true).sum(axis=-1), (true > 0).sum(axis=-1)),
            _ratio(right.sum(axis=-1), total),
            _ratio((f1 * true).sum(axis=-1), total),
            _ratio(f1.sum(axis=-1), (true + predicted > 0).sum(axis=-1)),
        ],
        axis=-1,
    )


def accuracy(counts: npt.NDArray[Any]) -> FloatArray:
    """WA alone, (..., 1): on the rows of one class it is that class's recall."""
    return scores_of(counts)[..., 1:2]


def by_name(values: Sequence[Any] | FloatArray) -> dict[str, Any]:
    """Four values by the figures' short names."""
    return dict(zip(SCORES, values, strict=True))


def fold_scores(rows: Rows) -> dict[str, Any]:
    """Figures of each fold, their mean and their standard deviation over folds.

    Args:
        rows: At least one.

    Returns:
        `{"note", "scores": [{"fold", "n", figures}], "mean": {...}, "sd": {...}}`;
        the sd (n - 1) is None where there is one fold.
    """
    scores, table = [], []
    for fold in np.unique(rows.folds):
        counts = confusion(rows.take(rows.folds == fold))
        table.append(scores_of(counts))
        values = by_name(table[-1].tolist())
        scores.append({"fold": int(fold), "n": int(counts.sum()), **values})
    several = len(table) > 1
    spread = np.std(table, axis=0, ddof=1).tolist() if several else [None] * 4
    return {
        "note": FOLD_NOTE,
        "scores": scores,
        "mean": by_name(np.mean(table, axis=0).tolist()),
        "sd": by_name(spread),
    }


def per_class(rows: Rows, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Support, precision, F1 and recall with its interval, of each class.

    Args:
        rows: The scored utterances.
        classes: Names in the order of the outputs.

    Returns:
        One dictionary a class; `recall` is None where the class was not tested,
        `precision` where it was never answered.
    """
    counts = confusion(rows)
    table = []
    for index, name in enumerate(classes):
        right, true = counts[index, index], counts[index].sum()
        predicted = counts[:, index].sum()
        of_class = rows.take(rows.true == index)
        recall = headline_intervals(of_class, accuracy)[0] if true else None
        table.append(
            {
                "class": name,
                "support": int(true),
                "recall": recall,
                "precision": float(right / predicted) if predicted else None,
                "f1": float(_ratio(2 * right, true + predicted)),
            }
        )
    return table


def per_speaker(rows: Rows) -> list[dict[str, Any]]:
    """UA and WA of each speaker, with intervals over the speaker's utterances.

    Returns:
        One dictionary a speaker; none where speakers are unknown.
    """
    if not rows.has_speakers:
        return []
    table = []
    for speaker in sorted(set(rows.speakers)):
        own = rows.take(rows.speakers == speaker)
        ua, wa, *_ = headline_intervals(own, scores_of)
        table.append({"speaker": speaker, "n": len(own), "ua": ua, "wa": wa})
    return table


def summary(run: Run, source: str = "keras") -> dict[str, Any]:
    """Every figure of a run, ready for JSON; fractions, not percent.

    Args:
        run: A run, complete or not.
        source: Which model answered: `keras`, `float32`, `int8`, ...

    Returns:
        What `metrics.json` holds of one model. Protocol `all` tests nobody: `n` is 0
        and there is no figure.

    Raises:
        InputError: The run has no probabilities of that model.
    """
    rows = run.rows(source)
    speakers = set(rows.speakers) if rows.has_speakers else set()
    content = {
        "source": source,
        "protocol": run.protocol,
        "chosen_on": run.chosen_on,
        "complete": run.is_complete,
        "n": len(rows),
        "utterances": len(set(rows.utterance_ids)),
        "speakers": len(speakers),
    }
    if not len(rows):
        return content
    counts = confusion(rows)
    return content | {
        "headline": by_name(headline_intervals(rows, scores_of)),
        "reference_intervals": [
            interval
            | {"low": by_name(interval["low"]), "high": by_name(interval["high"])}
            for interval in reference_intervals(rows, scores_of)
        ],
        "folds": fold_scores(rows),
        "per_class": per_class(rows, run.classes),
        "per_speaker": per_speaker(rows),
        "confusion": {"classes": list(run.classes), "counts": counts.tolist()},
    }


def over_seeds(runs: Sequence[Run], source: str = "keras") -> dict[str, Any]:
    """Spread of the pooled figures over runs that differ in the seed alone.

    Args:
        runs: Two or more.
        source: Which model answered.

    Returns:
        `{"seeds": [...], "ua": {"mean", "sd", "min", "max"}, ...}`; sd with n - 1.

    Raises:
        InputError: Fewer than two runs, a seed twice, an unfinished run, another
            setting or corpus that differs.
    """
    if len(runs) < 2:
        raise InputError(f"a spread over seeds needs two runs, got {len(runs)}")
    for run in runs[1:]:
        _check_same_but_seed(runs[0], run)
    seeds = [run.settings["seed"] for run in runs]
    seed, times = collections.Counter(seeds).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"each run needs a seed of its own, got {times} of seed {seed}"
        )
    if unfinished := [run for run in runs if not run.is_complete]:
        raise InputError(
            f"{unfinished[0].folder}: {unfinished[0].progress} done; finish the run "
            "first"
        )
    table = np.stack([scores_of(confusion(run.rows(source))) for run in runs])
    spread = {
        "mean": table.mean(axis=0),
        "sd": table.std(axis=0, ddof=1),
        "min": table.min(axis=0),
        "max": table.max(axis=0),
    }
    return {"seeds": seeds} | {
        figure: {name: float(values[index]) for name, values in spread.items()}
        for index, figure in enumerate(SCORES)
    }


def _check_same_but_seed(first: Run, other: Run) -> None:
    """Refuse two runs between which more than the seed differs."""
    names = sorted(first.settings.keys() | other.settings.keys())
    differing = [
        name
        for name in names
        if name != "seed" and first.settings.get(name) != other.settings.get(name)
    ]
    if first.corpus_digest != other.corpus_digest:
        differing.append("corpus")
    if differing:
        raise InputError(
            f"{other.folder}: runs over seeds may differ in the seed alone, but "
            f"{', '.join(differing)} differs from {first.folder}"
        )
