"""The teacher: the linear model on functionals, as a source of soft labels.

A teacher must not have trained on what it labels: each training speaker is labelled by
a teacher of the other training speakers, at all playing speeds; not in other rooms.
"""

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.model_files.linear import softmax
from utils.training.job import FoldJob
from utils.training.linear_model import fit_linear, standardise_by_voice

MIN_SPEAKERS = 3


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
    speeds = job.settings.inputs.speed_factors
    labels = dataset.labels[[numbers_of[name][0] for name in job.fold.train]]
    scaled = [
        standardise_by_voice(at_speed[rows], speakers.tolist())
        for at_speed in dataset.functionals.array[: 1 + len(speeds)]
    ]
    num_classes = len(dataset.manifest.classes)
    shape = (len(scaled), len(dataset.segments.utterance_ids), num_classes)
    found = np.full(shape, np.nan, np.float32)
    for speaker in sorted(set(speakers)):
        others, own = speakers != speaker, np.flatnonzero(speakers == speaker)
        weights, bias = fit_linear(
            np.concatenate([values[others] for values in scaled]),
            np.tile(labels[others], len(scaled)),
            num_classes,
        )
        for speed, values in enumerate(scaled):
            predicted = softmax(values[own] @ weights + bias)
            for row, probabilities in zip(own, predicted, strict=True):
                found[speed, numbers_of[job.fold.train[row]]] = probabilities
    return found
