"""Linear discriminant analysis on functionals: the baseline, and the teacher.

Functionals are scaled to the voice, as features are: by all recordings of the voice in
training; later by those that are known, or by a typical voice if none is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from utils.audio.scale import Moments, Scale, Voices, add, learn_voices

FloatArray = npt.NDArray[np.floating]
Predict = Callable[[FloatArray], FloatArray]
# Of 0.05, 0.1, 0.2, 0.3, 0.6 and 0.8 on EMO-DB (docs/recipes.md)
SHRINKAGE = 0.3
LIMIT = 5.0  # standardised functionals are clipped to ± this value


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


@dataclass(frozen=True)
class LinearModel:
    """A model of functionals for voices of which all, little or nothing is known.

    Attributes:
        corpus: Mean and standard deviation of the training set: common units.
        voices: What the training voices have in common, in these units.
        predict_scaled: From scaled functionals to class probabilities.
    """

    corpus: Scale
    voices: Voices
    predict_scaled: Predict

    def predict(self, values: FloatArray, known: FloatArray) -> FloatArray:
        """Class probabilities of recordings of one voice.

        Args:
            values: (recordings, functionals).
            known: (n, functionals), of the recordings that set the scale; n may be 0.

        Returns:
            (recordings, classes).
        """
        moments = _moments(_in_units(known, self.corpus))
        scale = self.voices.scale_of(add(moments) if moments else None)
        values = _in_units(values, self.corpus)
        return self.predict_scaled(standardise(values, scale.mean, scale.deviation))


def fit_linear_model(
    at_speeds: FloatArray,
    speakers: Sequence[str],
    labels: npt.NDArray[np.integer],
    num_classes: int,
) -> LinearModel:
    """Fit a linear model of functionals that are scaled to the voice.

    Args:
        at_speeds: (1 + speeds, recordings, functionals); the original speed is first.
        speakers: The speaker of each recording.
        labels: (recordings,), class indices.
        num_classes: Number of classes.
    """
    scaled = [standardise_by_voice(values, speakers) for values in at_speeds]
    labels_at_speeds = np.tile(labels, len(scaled))
    predict = fit_linear(np.concatenate(scaled), labels_at_speeds, num_classes)
    original = at_speeds[0].astype(np.float64)
    corpus = Scale(original.mean(axis=0), original.std(axis=0))
    by_voice: dict[str, list[Moments]] = {}
    moments = _moments(_in_units(original, corpus))
    for speaker, of_recording in zip(speakers, moments, strict=True):
        by_voice.setdefault(speaker, []).append(of_recording)
    return LinearModel(corpus, learn_voices(by_voice), predict)


def _in_units(values: FloatArray, corpus: Scale) -> FloatArray:
    """Standardise by the training set, without clipping."""
    return (values - corpus.mean) / (corpus.deviation + np.finfo(np.float32).eps)


def _moments(values: FloatArray) -> list[Moments]:
    """The moments of each recording; it counts as one frame."""
    return [Moments(1, 1, row, row**2) for row in values]
