"""The scores of speech emotion recognition, from confusion matrices.

UA (unweighted accuracy) is the mean recall, WA (weighted accuracy) the accuracy, and
weighted F1 the paper's F1. The headline scores pool the rows of all folds. If an
utterance was tested several times (protocol `paper`), each of its rows counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.runs.records import Rows, Run
from utils.scores.intervals import headline_intervals

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
    """Quotient; 0 where `whole` is 0."""
    shape = np.broadcast_shapes(part.shape, whole.shape)
    return np.divide(part, whole, out=np.zeros(shape), where=whole > 0)


def scores_of(counts: npt.NDArray[Any]) -> FloatArray:
    """UA, WA, weighted F1 and macro F1 of confusion matrices.

    A fold may lack a class. As in scikit-learn, UA averages over the classes present
    among the true labels (`balanced_accuracy_score`), and macro F1 over those present
    among the true or the predicted labels (`f1_score`).

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
    """WA alone, (..., 1); on the rows of one class this is the recall of that class."""
    return scores_of(counts)[..., 1:2]


def baselines(counts: npt.NDArray[Any], classes: Sequence[str]) -> dict[str, Any]:
    """Scores that need no model: a random class, and always the most frequent class.

    Args:
        counts: (classes, classes), rows true, columns predicted; at least one row.
        classes: Names in the order of the rows.

    Returns:
        `{"chance": scores, "majority": scores, "majority_class": name}`.
    """
    true = counts.sum(axis=1)
    guesses = np.repeat(true[:, None] / len(true), len(true), axis=1)
    always = np.zeros_like(counts)
    always[:, true.argmax()] = true
    return {
        "chance": by_name(scores_of(guesses).tolist()),
        "majority": by_name(scores_of(always).tolist()),
        "majority_class": classes[true.argmax()],
    }


def by_name(values: Sequence[Any] | FloatArray) -> dict[str, Any]:
    """Four values, keyed by the short names of the scores."""
    return dict(zip(SCORES, values, strict=True))


def fold_scores(rows: Rows) -> dict[str, Any]:
    """Scores of each fold, their mean and their standard deviation over folds.

    Returns:
        `{"note", "scores": [{"fold", "n", scores}], "mean": {...}, "sd": {...}}`;
        the values of "sd" (n - 1) are None if there is only one fold.
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
    """Support, recall with its interval, precision and F1 of each class.

    Args:
        rows: The scored utterances.
        classes: Names in the order of the outputs.

    Returns:
        One dictionary per class; `recall` is None if the class was not tested, and
        `precision` is None if it was never predicted.
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


def recalls_of(run: Run, source: str = "keras") -> dict[str, Any]:
    """The recall of each class with its interval; None if it was not tested."""
    rows = per_class(run.rows(source), run.classes)
    return {row["class"]: row["recall"] for row in rows}


def per_speaker(rows: Rows) -> list[dict[str, Any]]:
    """UA and WA of each speaker, with intervals over the speaker's utterances.

    Returns:
        One dictionary per speaker; an empty list if speakers are unknown.
    """
    names = sorted(set(rows.speakers)) if rows.has_speakers else []
    return [_group(rows, "speaker", name, rows.speakers == name) for name in names]


def per_duration(
    rows: Rows, durations_s: Mapping[str, float], num_groups: int = 4
) -> list[dict[str, Any]]:
    """UA and WA of groups of utterances from the shortest to the longest.

    Args:
        rows: The scored utterances.
        durations_s: Duration of each utterance, by id.
        num_groups: They have about equally many rows.

    Returns:
        One dictionary per group; an empty list if a duration is unknown.
    """
    if not durations_s.keys() >= set(rows.utterance_ids):
        return []
    lengths = np.array([durations_s[name] for name in rows.utterance_ids])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, num_groups + 1)))
    group = np.clip(np.searchsorted(edges, lengths, side="left"), 1, None)
    names = {n: f"{edges[n - 1]:.2f}-{edges[n]:.2f} s" for n in range(1, len(edges))}
    return [
        _group(rows, "duration", names.get(n, f"{edges[0]:.2f} s"), group == n)
        for n in np.unique(group).tolist()
    ]


def _group(rows: Rows, kind: str, name: str, chosen: npt.ArrayLike) -> dict[str, Any]:
    """UA and WA of some rows with their intervals."""
    group = rows.take(np.asarray(chosen))
    ua, wa, *_ = headline_intervals(group, scores_of)
    return {kind: name, "n": len(group), "ua": ua, "wa": wa}


def summary(
    run: Run, source: str = "keras", durations_s: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Every score of a run, ready for JSON, as fractions of 1.

    Args:
        run: A run, complete or not.
        source: The model to score: `keras`, `float32`, `int8`, ...
        durations_s: Duration of each utterance, if known.

    Returns:
        The entry of one model in `metrics.json`. Protocol `all` tests no utterance: `n`
        is 0 and there are no scores.

    Raises:
        InputError: The run has no probabilities of that model.
    """
    return {
        "source": source,
        "protocol": run.protocol,
        "chosen_on": run.chosen_on,
        "complete": run.is_complete,
        **rows_summary(run.rows(source), run.classes, durations_s),
    }


def rows_summary(
    rows: Rows, classes: Sequence[str], durations_s: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Every score of some rows; of no rows only that there are none.

    Args:
        rows: The scored utterances.
        classes: Names in the order of the outputs.
        durations_s: Duration of each utterance, if known.
    """
    speakers = set(rows.speakers) if rows.has_speakers else set()
    content = {
        "n": len(rows),
        "utterances": len(set(rows.utterance_ids)),
        "speakers": len(speakers),
    }
    if not len(rows):
        return content
    counts = confusion(rows)
    by_duration = per_duration(rows, durations_s or {})
    return content | {
        "headline": by_name(headline_intervals(rows, scores_of)),
        "baselines": baselines(counts, classes),
        "folds": fold_scores(rows),
        "per_class": per_class(rows, classes),
        "per_speaker": per_speaker(rows),
        **({"per_duration": by_duration} if by_duration else {}),
        "confusion": {"classes": list(classes), "counts": counts.tolist()},
    }
