"""A fold's predictions by how much is known of the test voice.

The recordings that set the scale are not labelled, and those that do are not scored,
except if all of them do both. Kept in the record apart from the other predictions: a
score from them says that it used the test speaker's recordings.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from dataio import Dataset
from utils.audio.scale import Scale, add
from utils.model_files.linear import LinearModel, moments_of
from utils.protocols.folds import Fold
from utils.random_streams import Stream, random_state
from utils.runs.checks import NOT_SCORED
from utils.training.job import FoldJob
from utils.training.linear_model import fit_linear_model

COUNTS = (1, 3, 5, 10, 20)
DRAWS = 4  # sets of recordings per count
NEUTRAL, NEUTRAL_COUNT = "neutral", 3
Probabilities = npt.NDArray[np.floating]
Chosen = dict[str, list[str]]  # by speaker: the recordings that set the scale
Predict = Callable[[Sequence[Chosen]], list[Probabilities]]


def predict_known_voice(
    dataset: Dataset, fold: Fold, systems: dict[str, Predict]
) -> dict[str, Any]:
    """Predict the test utterances with scales of their own voice.

    Args:
        dataset: Utterances and settings.
        fold: Has at least one test utterance.
        systems: By name, from plans (which recordings set each speaker's scale) to the
            probabilities of all test utterances by plan, (utterances, classes) each.

    Returns:
        `all`: by system, (utterances, classes), if all of a voice's test recordings set
        its scale. `draws`: by number of recordings (`1`, `3`, ... or `neutral`), by
        system and for each draw, the class predicted for each utterance, −1 for those
        that set the scale. `pair` is the mean of `keras` and `functionals`.
    """
    plans = list(_draws(dataset, fold))
    every = _by_speaker(dataset, fold.test)
    chosen = [every, *(found for _, found in plans)]
    tables = {
        name: predict(chosen if name != "int8" else chosen[:1])
        for name, predict in systems.items()
    }
    known = {name: found[0].round(6).tolist() for name, found in tables.items()}
    tables.pop("int8", None)
    if "functionals" in tables and "keras" in tables:
        both = zip(tables["keras"], tables["functionals"], strict=True)
        tables["pair"] = [(network + linear) / 2 for network, linear in both]
    draws: dict[str, dict[str, list[list[int]]]] = {}
    for number, (name, found) in enumerate(plans, 1):
        used = {utterance for names in found.values() for utterance in names}
        is_used = np.array([utterance in used for utterance in fold.test])
        for system, values in tables.items():
            classes = np.where(is_used, NOT_SCORED, values[number].argmax(axis=1))
            of_system = draws.setdefault(name, {}).setdefault(system, [])
            of_system.append(classes.astype(int).tolist())
    return {"all": known, "draws": draws}


def _by_speaker(dataset: Dataset, names: Sequence[str]) -> Chosen:
    """Utterances by speaker."""
    speaker_of = {u.id: u.voice for u in dataset.manifest.utterances}
    found: Chosen = {}
    for name in names:
        found.setdefault(speaker_of[name], []).append(name)
    return found


def _draws(dataset: Dataset, fold: Fold) -> Iterator[tuple[str, Chosen]]:
    """The recordings that set each test speaker's scale, draw by draw.

    A count is left out if a speaker would have no other recording.
    """
    speakers = _by_speaker(dataset, fold.test)
    labels = {u.id: u.label for u in dataset.manifest.utterances}
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
                dataset.settings, Stream.KNOWN_VOICE, fold.number, count, draw
            )
            yield (
                name,
                {
                    speaker: [names[i] for i in random.permutation(len(names))[:count]]
                    for speaker, names in offered.items()
                },
            )


def network(job: FoldJob, predict: Callable[[Any], Any]) -> Predict:
    """A network as a system of `predict_known_voice`.

    Args:
        job: The fold, with feature scaling by voice.
        predict: From features (n, frames, features, 1) to probabilities.
    """
    speakers = _by_speaker(job.dataset, job.fold.test)
    order = [name for names in speakers.values() for name in names]
    position = {name: number for number, name in enumerate(order)}
    rows = [position[name] for name in job.fold.test]

    def predict_plans(plans: Sequence[Chosen]) -> list[Probabilities]:
        answers = []
        for chosen in plans:  # one after another: each has a copy of the features
            data = [
                job.data_of(names, scale_of(job, chosen[speaker]))
                for speaker, names in speakers.items()
            ]
            features = np.concatenate([pair[0] for pair in data if pair is not None])
            values = job.dataset.mean_over_segments(predict(features), order)
            answers.append(values[rows])
        return answers

    return predict_plans


def scale_of(job: FoldJob, utterance_ids: Sequence[str]) -> Scale:
    """The scale that some recordings of one voice give.

    Args:
        job: The fold, with feature scaling.
        utterance_ids: Recordings of one speaker, at least one.
    """
    assert job.voices is not None
    moments = [job.dataset.moments[0][name] for name in utterance_ids]
    return job.voices.scale_of(add(moments))


def fit_functionals(dataset: Dataset, fold: Fold) -> LinearModel:
    """The linear model on the functionals of a fold's training set."""
    assert dataset.functionals is not None
    utterances, classes = dataset.manifest.utterances, list(dataset.manifest.classes)
    position = {u.id: number for number, u in enumerate(utterances)}
    train = [position[name] for name in fold.train]
    return fit_linear_model(
        dataset.functionals.array[:, train],
        [utterances[i].voice for i in train],
        np.array([classes.index(utterances[i].label) for i in train]),
        classes,
        rooms=dataset.settings.inputs.rooms,
    )


def functionals(dataset: Dataset, fold: Fold, model: LinearModel) -> Predict:
    """A linear model as a system of `predict_known_voice`.

    Args:
        dataset: Has functionals.
        fold: Is tested.
        model: From `fit_functionals`.
    """
    assert dataset.functionals is not None
    original = dataset.functionals.array[0]
    position = {u.id: n for n, u in enumerate(dataset.manifest.utterances)}
    row_of = {name: number for number, name in enumerate(fold.test)}
    speakers = _by_speaker(dataset, fold.test)

    def rows(names: Sequence[str]) -> npt.NDArray[np.float64]:
        return original[[position[name] for name in names]].astype(np.float64)

    def predict_plans(plans: Sequence[Chosen]) -> list[Probabilities]:
        found: list[Probabilities] = []
        for chosen in plans:
            table = np.empty((len(fold.test), len(model.classes)))
            for speaker, names in speakers.items():
                known = [moments_of(row) for row in rows(chosen.get(speaker, []))]
                voice = add(known) if known else None
                at = [row_of[name] for name in names]
                table[at] = replace(model, voice=voice).predict(rows(names))
            found.append(table)
        return found

    return predict_plans


def keras_predictor(model: keras.Model) -> Any:
    """A function from features to probabilities."""
    return lambda features: model.predict(features, verbose=0)
