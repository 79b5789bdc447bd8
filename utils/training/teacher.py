"""The teacher: linear discriminant analysis on functionals, as a source of soft labels.

A teacher must not have trained on what it labels: each training speaker is labelled by
a teacher of the other training speakers, at all playing speeds.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.training.job import FoldJob

FloatArray = npt.NDArray[np.floating]
Predict = Callable[[FloatArray], FloatArray]
# Of 0.05, 0.1, 0.2, 0.3, 0.6 and 0.8 on EMO-DB (docs/recipes.md)
SHRINKAGE = 0.3
LIMIT = 5.0  # standardised functionals are clipped to ± this value
MIN_SPEAKERS = 3


def standardise(
    values: FloatArray, mean: FloatArray, deviation: FloatArray
) -> FloatArray:
    """Scale functionals, (n, functionals), and clip outliers."""
    scaled = (values - mean) / (deviation + np.finfo(np.float32).eps)
    return np.clip(scaled, -LIMIT, LIMIT)


def standardise_by_voice(values: FloatArray, speakers: Sequence[str]) -> FloatArray:
    """Scale the functionals of each speaker by all recordings of that speaker.

    Args:
        values: (recordings, functionals).
        speakers: The speaker of each recording.

    Returns:
        Same shape, float64, within ±5.
    """
    scaled, names = np.empty(values.shape), np.array(speakers)
    for speaker in set(speakers):
        rows = values[names == speaker].astype(np.float64)
        scaled[names == speaker] = standardise(
            rows, rows.mean(axis=0), rows.std(axis=0)
        )
    return scaled


def fit_linear(
    values: FloatArray, labels: npt.NDArray[np.integer], num_classes: int
) -> Predict:
    """Fit linear discriminant analysis with a shrunk covariance matrix.

    The covariance is (1 − s) · S + s · (trace S / functionals) · I. The result is that
    of scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s)` in a
    fifteenth of the time, because it needs no singular values.

    Args:
        values: (recordings, functionals), standardised.
        labels: (recordings,), class indices; a class may be missing.
        num_classes: Number of classes.

    Returns:
        Function from (n, functionals) to class probabilities, (n, classes).
    """
    counts = np.bincount(labels, minlength=num_classes)
    present = np.flatnonzero(counts)
    means = np.stack([values[labels == label].mean(axis=0) for label in present])
    row_of = np.searchsorted(present, labels)
    residuals = (values - means[row_of]).astype(np.float32)
    scatter = (residuals.T @ residuals).astype(np.float64) / len(values)
    variance = np.trace(scatter) / len(scatter)
    covariance = (1.0 - SHRINKAGE) * scatter
    covariance[np.diag_indices_from(covariance)] += SHRINKAGE * variance
    weights = np.linalg.solve(covariance, means.T)
    bias = np.log(counts[present] / len(labels)) - 0.5 * np.sum(means.T * weights, 0)

    def predict(others: FloatArray) -> FloatArray:
        scores = others @ weights + bias
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        found = np.zeros((len(others), num_classes))
        found[:, present] = scores / scores.sum(axis=1, keepdims=True)
        return found

    return predict


def soft_labels(job: FoldJob) -> npt.NDArray[np.float32] | None:
    """The teacher's probabilities for the training set of a fold.

    Args:
        job: The fold.

    Returns:
        (1 + speeds, segments, classes), NaN outside the training set; None if the
        settings name no teacher.

    Raises:
        InputError: The training set has fewer than three speakers.
    """
    dataset = job.dataset
    if dataset.functionals is None:
        return None
    numbers_of = dataset.segment_numbers
    position = {u.id: n for n, u in enumerate(dataset.manifest.utterances)}
    rows = np.array([position[name] for name in job.fold.train])
    speakers = np.array(
        [dataset.speaker_of_segment[numbers_of[name][0]] for name in job.fold.train]
    )
    if len(set(speakers)) < MIN_SPEAKERS:
        raise InputError(
            f"--teacher needs at least {MIN_SPEAKERS} training speakers, got "
            f"{len(set(speakers))}: use --teacher none"
        )
    labels = dataset.labels[[numbers_of[name][0] for name in job.fold.train]]
    scaled = [
        standardise_by_voice(at_speed[rows], speakers.tolist())
        for at_speed in dataset.functionals.array
    ]
    num_classes = len(dataset.manifest.classes)
    shape = (len(scaled), len(dataset.segments.utterance_ids), num_classes)
    found = np.full(shape, np.nan, np.float32)
    for speaker in sorted(set(speakers)):
        others, own = speakers != speaker, np.flatnonzero(speakers == speaker)
        predict = fit_linear(
            np.concatenate([values[others] for values in scaled]),
            np.tile(labels[others], len(scaled)),
            num_classes,
        )
        for speed, values in enumerate(scaled):
            for row, probabilities in zip(own, predict(values[own]), strict=True):
                found[speed, numbers_of[job.fold.train[row]]] = probabilities
    return found
