"""A fold's predictions when some recordings of the test voice set the scale.

The recordings are not labelled, and those that set the scale are not scored, except
where all of them do both. Kept in the record apart from the other predictions: a score
from them says that it used the test speaker's recordings.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from dataio import Dataset
from utils.audio.scale import Moments, Scale, add
from utils.protocols.folds import Fold
from utils.random_streams import Stream, random_state
from utils.training.job import FoldJob
from utils.training.teacher import (
    fit_linear,
    standardise,
    standardise_by_voice,
)

COUNTS = (1, 3, 5, 10, 20)
DRAWS = 4  # sets of recordings per count
NEUTRAL, NEUTRAL_COUNT = "neutral", 3
NOT_SCORED = -1
Probabilities = npt.NDArray[np.float32]


def predict_known_voice(job: FoldJob, models: dict[str, Any]) -> dict[str, Any]:
    """Predict the test utterances with scales of their own voice.

    Args:
        job: The fold, with feature scaling by voice and at least one test utterance.
        models: Functions from features (n, frames, features, 1) to probabilities, by
            name; `keras` is one of them.

    Returns:
        `all`: by name of the model, (utterances, classes), if all of a voice's test
        recordings set its scale. `draws`: by number of recordings (`1`, `3`, ... or
        `neutral`), for each draw the class that `keras` predicts for each utterance, −1
        for those that set the scale.
    """
    every = _by_speaker(job, job.fold.test)
    plans = list(_draws(job))
    known = {
        name: _predict(job, predict, [every])[0].tolist()
        for name, predict in models.items()
    }
    draws: dict[str, list[list[int]]] = {}
    tables = _predict(job, models["keras"], [chosen for _, chosen in plans])
    for (name, chosen), table in zip(plans, tables, strict=True):
        used = {utterance for names in chosen.values() for utterance in names}
        is_used = np.array([utterance in used for utterance in job.fold.test])
        predicted = np.where(is_used, NOT_SCORED, table.argmax(axis=1))
        draws.setdefault(name, []).append(predicted.astype(int).tolist())
    return {"all": known, "draws": draws}


def _by_speaker(job: FoldJob, names: Sequence[str]) -> dict[str, list[str]]:
    """Utterances by speaker."""
    speaker_of = {u.id: u.speaker or u.id for u in job.dataset.manifest.utterances}
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(speaker_of[name], []).append(name)
    return found


def _draws(job: FoldJob) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """The recordings that set each test speaker's scale, draw by draw.

    A count is left out if a speaker would have no other recording.
    """
    speakers = _by_speaker(job, job.fold.test)
    labels = {u.id: u.label for u in job.dataset.manifest.utterances}
    neutral = {
        speaker: [name for name in names if labels[name] == NEUTRAL]
        for speaker, names in speakers.items()
    }
    plans = [(str(count), count, speakers) for count in COUNTS]
    plans.append((NEUTRAL, NEUTRAL_COUNT, neutral))
    for name, count, offered in plans:
        if any(len(speakers[s]) <= count > 0 for s in speakers):
            continue
        if any(len(names) < count for names in offered.values()):
            continue
        for draw in range(DRAWS):
            random = random_state(
                job.settings, Stream.KNOWN_VOICE, job.fold.number, count, draw
            )
            yield (
                name,
                {
                    speaker: [names[i] for i in random.permutation(len(names))[:count]]
                    for speaker, names in offered.items()
                },
            )


def _predict(
    job: FoldJob, predict: Any, plans: Sequence[dict[str, list[str]]]
) -> list[Probabilities]:
    """Probabilities of all test utterances by plan, (utterances, classes) each.

    Args:
        job: The fold.
        predict: From features to probabilities; called once.
        plans: The recordings that set each speaker's scale.
    """
    if not plans:
        return []
    speakers = _by_speaker(job, job.fold.test)
    data = [
        job.data_of(names, scale_of(job, chosen[speaker]))
        for chosen in plans
        for speaker, names in speakers.items()
    ]
    values = predict(np.concatenate([pair[0] for pair in data if pair is not None]))
    order = [name for names in speakers.values() for name in names]
    position = {name: number for number, name in enumerate(order)}
    rows = [position[name] for name in job.fold.test]
    return [
        job.dataset.mean_over_segments(part, order)[rows]
        for part in np.split(values, len(plans))
    ]


def scale_of(job: FoldJob, utterance_ids: Sequence[str]) -> Scale:
    """The scale that some recordings of one voice give.

    Args:
        job: The fold, with feature scaling.
        utterance_ids: Recordings of one speaker, at least one.
    """
    assert job.voices is not None
    moments: list[Moments] = [
        job.dataset.moments[0][number]
        for number in job.dataset.numbers_of(utterance_ids)
    ]
    return job.voices.scale_of(add(moments))


def predict_functionals(dataset: Dataset, fold: Fold) -> dict[str, list[list[float]]]:
    """The test utterances predicted by the linear model that also teaches.

    Args:
        dataset: Has functionals.
        fold: Trained and tested on.

    Returns:
        `none`: (utterances, classes), functionals standardised by the training set;
        `all`: standardised by all recordings of each voice. Both trained at all speeds.
    """
    assert dataset.functionals is not None
    at_speeds = dataset.functionals.array
    position = {u.id: n for n, u in enumerate(dataset.manifest.utterances)}
    train, test = (
        np.array([position[name] for name in names])
        for names in (fold.train, fold.test)
    )
    speakers = [u.speaker or u.id for u in dataset.manifest.utterances]
    classes = list(dataset.manifest.classes)
    labels = np.array([classes.index(u.label) for u in dataset.manifest.utterances])
    mean = at_speeds[0][train].mean(axis=0, dtype=np.float64)
    deviation = at_speeds[0][train].std(axis=0, dtype=np.float64)

    def by_voice(values: Any, rows: Any) -> Any:
        return standardise_by_voice(values[rows], [speakers[i] for i in rows])

    def by_corpus(values: Any, rows: Any) -> Any:
        return standardise(values[rows], mean, deviation)

    found = {}
    for name, scaled in (("none", by_corpus), ("all", by_voice)):
        predict = fit_linear(
            np.concatenate([scaled(values, train) for values in at_speeds]),
            np.tile(labels[train], len(at_speeds)),
            len(classes),
        )
        found[name] = predict(scaled(at_speeds[0], test)).round(6).tolist()
    return found


def keras_predictor(model: keras.Model) -> Any:
    """A function from features to probabilities."""
    return lambda features: model.predict(features, verbose=0)
