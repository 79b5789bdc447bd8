"""Calibrate to a voice: learn its scale from some recordings.

The recordings need no labels.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd, InputError
from utils.audio.decode import blocks
from utils.audio.features import compute_features
from utils.audio.prepare import cut, from_pcm16, prepare
from utils.audio.scale import COMPARED, Moments, add, distance, measure
from utils.audio.windows import SILENCE_DB, level_db
from utils.cli import one_line
from utils.inference.classify import Answer, RecordingStats
from utils.model_files.linear import moments_of, recording_functionals
from utils.model_files.tflite import Classifier
from utils.model_files.voice_file import Voice, calibrated_by

MIN_SPEECH_S = 2.0
# Distance from the typical training voice (`utils.audio.scale.distance`): three
# recordings of EMO-DB's speakers have 0.2 to 0.5, music more than 1.
MOST_UNLIKE = 0.7
# Mean ratio of its deviations to those of the typical voice: low for steady noise.
LEAST_VARIED = 0.6
# Distance of a recording from its own voice: 99 % of EMO-DB's recordings are below.
UNLIKE_ITS_VOICE = 0.75


def learn_voice(recordings: Iterable[tuple[Path, str]], model: Classifier) -> Voice:
    """Learn a voice from unlabelled recordings of it.

    Args:
        recordings: Path and printable name of each.
        model: Whose features are standardised.

    Returns:
        The voice; each segment of a recording counts as one recording.

    Raises:
        InputError: The model cannot be calibrated; a recording cannot be read; there
            is less than two seconds of speech, or what sounds is no speech.
    """
    voices = calibrated_by(model)
    front_end, rate_hz = model.front_end, model.front_end.sample_rate_hz
    found: list[Moments] = []
    of_functionals: list[Moments] = []
    for path, name in recordings:
        samples = _read(path, name, front_end)
        found += _moments_of(samples, front_end)
        of_functionals.append(moments_of(recording_functionals(samples, rate_hz)))
    if not found:
        raise InputError("--calibrate: there is no recording")
    voice = Voice(
        front_end=front_end, moments=add(found), functionals=add(of_functionals)
    )
    if voice.speech_s < MIN_SPEECH_S:
        raise InputError(
            f"--calibrate needs at least {MIN_SPEECH_S:g} s of speech, got "
            f"{voice.speech_s:.1f} s; give more recordings"
        )
    scale = voice.moments.scale
    variety = scale.deviation[COMPARED] / voices.typical.deviation[COMPARED]
    if distance(scale, voices.typical) > MOST_UNLIKE or variety.mean() < LEAST_VARIED:
        raise InputError(
            "--calibrate: these recordings do not sound like speech of one person "
            "(music, noise, a poor line?); give others"
        )
    return voice


def _read(path: Path, name: str, front_end: FrontEnd) -> npt.NDArray[np.float64]:
    """The samples of a recording.

    Raises:
        InputError: It cannot be read or is silent.
    """
    rate_hz = front_end.sample_rate_hz
    stats = RecordingStats(rate_hz)
    try:
        samples = np.concatenate([*stats.measure(blocks(path, rate_hz)), np.empty(0)])
    except OSError as error:
        raise InputError(f"{name}: {one_line(error)}") from error
    stats.check(name, front_end)
    return samples


def _moments_of(samples: npt.NDArray[np.float64], front_end: FrontEnd) -> list[Moments]:
    """The moments of each segment of a recording that is not silent."""
    return [
        measure(
            compute_features(
                from_pcm16(prepare(segment, front_end))[0], front_end, clipped=False
            ),
            front_end,
        )
        for segment in cut(samples, front_end.duration_samples, mode=0)
        if level_db(segment) > SILENCE_DB
    ]


def add_notes(answer: Answer, path: Path, model: Classifier) -> Answer:
    """Say if a recording does not sound like the voice that the model expects.

    Args:
        answer: The classification of the recording.
        path: The recording.
        model: Calibrated or not.
    """
    if model.voice is None or model.scale is None:
        return answer
    samples = _read(path, answer.name, model.front_end)
    found = _moments_of(samples, model.front_end)
    if not found or distance(add(found).scale, model.scale) <= UNLIKE_ITS_VOICE:
        return answer
    note = "does not sound like the voice given with --voice: the answer is unreliable"
    return dataclasses.replace(answer, notes=(*answer.notes, note))
