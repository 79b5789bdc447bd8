"""The teacher: linear discriminant analysis on functionals, as a source of soft labels.

A teacher must not have trained on what it labels: each training speaker is labelled by
a teacher of the other training speakers, and no test speaker takes part.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.training.job import FoldJob

FloatArray = npt.NDArray[np.floating]
Predict = Callable[[FloatArray], FloatArray]
# Of 0.3, 0.5, 0.6 and 0.9, compared on EMO-DB with speakers held out (docs/recipes.md)
SHRINKAGE = 0.6
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

    The covariance is (1 − s) · S + s · (trace S / features) · I with s = 0.6. It is
    computed in the space that the recordings span, which changes nothing: there are
    fewer recordings than functionals, and the rest of the space has no variance.

    Args:
        values: (recordings, functionals), standardised.
        labels: (recordings,), class indices; a class may be missing.
        num_classes: Number of classes.

    Returns:
        Function from (n, functionals) to class probabilities, (n, classes).
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    mean = values.mean(axis=0)
    _, singular, directions = np.linalg.svd(values - mean, full_matrices=False)
    kept = int((singular > singular[0] * 1e-8).sum())
    project = directions[:kept].T
    # the same multiple of I, expressed in a space of fewer dimensions
    ratio = SHRINKAGE / (1.0 - SHRINKAGE) * kept / values.shape[1]
    fitted = LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage=ratio / (1.0 + ratio)
    ).fit((values - mean) @ project, labels)

    def predict(others: FloatArray) -> FloatArray:
        found = np.zeros((len(others), num_classes))
        found[:, fitted.classes_] = fitted.predict_proba((others - mean) @ project)
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
        predict = fit_linear(scaled[0][others], labels[others], num_classes)
        for speed, values in enumerate(scaled):
            for row, probabilities in zip(own, predict(values[own]), strict=True):
                found[speed, numbers_of[job.fold.train[row]]] = probabilities
    return found
