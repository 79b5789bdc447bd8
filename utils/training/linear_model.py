"""Fits linear discriminant analysis on functionals: the baseline, and the teacher.

Functionals are scaled to the voice, as features are: by all recordings of the voice in
training; later by those that are known, or by a typical voice if none is.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from utils.audio.scale import Moments, Scale, learn_voices
from utils.model_files.linear import LinearModel, moments_of, standardise

FloatArray = npt.NDArray[np.floating]
# Of 0.05, 0.1, 0.2, 0.3, 0.6 and 0.8 on EMO-DB (docs/recipes.md)
SHRINKAGE = 0.3


def standardise_by_voice(
    values: FloatArray, speakers: Sequence[str], of: FloatArray | None = None
) -> FloatArray:
    """Scale the functionals of each speaker by all recordings of that speaker.

    Args:
        values: (recordings, functionals).
        speakers: The speaker of each recording.
        of: The recordings that set the scale, of the same shape; None: `values`.

    Returns:
        Same shape, float64, within ±5.
    """
    scaled, names = np.empty(values.shape), np.array(speakers)
    for speaker in set(speakers):
        rows = values[names == speaker].astype(np.float64)
        known = (values if of is None else of)[names == speaker].astype(np.float64)
        scaled[names == speaker] = standardise(
            rows, known.mean(axis=0), known.std(axis=0)
        )
    return scaled


def fit_linear(
    values: FloatArray, labels: npt.NDArray[np.integer], num_classes: int
) -> tuple[FloatArray, FloatArray]:
    """Fit linear discriminant analysis with a shrunk covariance matrix.

    The covariance is (1 − s) · S + s · (trace S / functionals) · I. The result is that
    of scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s)` in a
    fifteenth of the time, because it needs no singular values.

    Args:
        values: (recordings, functionals), standardised.
        labels: (recordings,), class indices; a class may be missing.
        num_classes: Number of classes.

    Returns:
        Weights, (functionals, classes), and bias, (classes,), −inf for a missing class:
        the softmax of `values @ weights + bias` are the probabilities.
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
    weights = np.zeros((values.shape[1], num_classes))
    weights[:, present] = np.linalg.solve(covariance, means.T)
    bias = np.full(num_classes, -np.inf)
    priors = np.log(counts[present] / len(labels))
    bias[present] = priors - 0.5 * np.sum(means.T * weights[:, present], axis=0)
    return weights, bias


def fit_linear_model(
    copies: FloatArray,
    speakers: Sequence[str],
    labels: npt.NDArray[np.integer],
    classes: Sequence[str],
    *,
    rooms: int = 0,
) -> LinearModel:
    """Fit a linear model of functionals that are scaled to the voice.

    What is heard in other rooms counts twice: with the scale of the voice in that room,
    and with its scale in the original recordings, as if the room were not known.

    Args:
        copies: (1 + copies, recordings, functionals); the original is first.
        speakers: The speaker of each recording.
        labels: (recordings,), class indices.
        classes: Class names.
        rooms: How many copies, the last ones, are heard in other rooms.
    """
    scaled = [standardise_by_voice(values, speakers) for values in copies]
    scaled += [
        standardise_by_voice(values, speakers, of=copies[0])
        for values in copies[len(copies) - rooms :]
    ]
    labels_of_copies = np.tile(labels, len(scaled))
    weights, bias = fit_linear(np.concatenate(scaled), labels_of_copies, len(classes))
    original = copies[0].astype(np.float64)
    deviation = original.std(axis=0) + np.finfo(np.float32).eps
    corpus = Scale(original.mean(axis=0), deviation)
    by_voice: dict[str, list[Moments]] = {}
    for speaker, row in zip(speakers, original, strict=True):
        of_recording = moments_of((row - corpus.mean) / deviation)
        by_voice.setdefault(speaker, []).append(of_recording)
    return LinearModel(tuple(classes), corpus, learn_voices(by_voice), weights, bias)
