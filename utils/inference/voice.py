"""Calibrate to a voice: learn its scale from some recordings, keep it in a file.

The recordings need no labels. The file holds sums of features, no audio.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperparameters import FrontEnd, InputError
from utils.audio.decode import blocks
from utils.audio.features import compute_features
from utils.audio.prepare import cut, from_pcm16, prepare
from utils.audio.scale import (
    COMPARED,
    Moments,
    Voices,
    add,
    distance,
    measure,
)
from utils.audio.windows import SILENCE_DB, level_db
from utils.cli import one_line, printable
from utils.files import write_json
from utils.inference.classify import Answer, RecordingStats
from utils.model_files.tflite import Classifier

FORMAT = 1
MIN_SPEECH_S = 2.0
# Distance from the typical training voice (`utils.audio.scale.distance`): three
# recordings of EMO-DB's speakers have 0.2 to 0.5, music more than 1.
MOST_UNLIKE = 0.7
# Mean ratio of its deviations to those of the typical voice: low for steady noise.
LEAST_VARIED = 0.6
# Distance of a recording from its own voice: 99 % of EMO-DB's recordings are below.
UNLIKE_ITS_VOICE = 0.75


@dataclass(frozen=True, kw_only=True)
class Voice:
    """What some recordings teach about one voice.

    Attributes:
        front_end: Front-end of the model that it was learnt for.
        moments: Sums over the sounding frames.
    """

    front_end: FrontEnd
    moments: Moments

    @property
    def speech_s(self) -> float:
        """Duration of the sounding frames, s."""
        hop_s = self.front_end.hop_samples / self.front_end.sample_rate_hz
        return self.moments.frames * hop_s


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
    found: list[Moments] = []
    for path, name in recordings:
        found += _moments_of(path, name, model.front_end)
    if not found:
        raise InputError("--calibrate: there is no recording")
    voice = Voice(front_end=model.front_end, moments=add(found))
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


def calibrated_by(model: Classifier) -> Voices:
    """What a voice is compared with.

    Raises:
        InputError: The model does not standardise features, or does so inside.
    """
    if model.voices is None:
        raise InputError(
            "--voice and --calibrate need a model trained with --feature_scaling voice"
        )
    if model.takes_audio:
        raise InputError(
            "this model takes audio and scales its features inside: use the file "
            "without `fuse` in its name"
        )
    return model.voices


def _moments_of(path: Path, name: str, front_end: FrontEnd) -> list[Moments]:
    """The moments of each segment of a recording that is not silent."""
    rate_hz = front_end.sample_rate_hz
    stats = RecordingStats(rate_hz)
    try:
        samples = np.concatenate([*stats.measure(blocks(path, rate_hz)), np.empty(0)])
        stats.check(name, front_end)
    except OSError as error:
        raise InputError(f"{name}: {one_line(error)}") from error
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


def save_voice(path: Path, voice: Voice) -> None:
    """Write a voice to a JSON file, atomically.

    Raises:
        OSError: The file cannot be written.
    """
    moments = {
        "recordings": voice.moments.recordings,
        "frames": voice.moments.frames,
        "total": voice.moments.total.tolist(),
        "squares": voice.moments.squares.tolist(),
    }
    front_end = asdict(voice.front_end)
    write_json(
        path,
        {"format": FORMAT, "kind": "voice", "front_end": front_end, **moments},
    )


def load_voice(path: Path, model: Classifier) -> Voice:
    """Read a voice from its file, for a model.

    Raises:
        InputError: The file is missing, damaged, no voice, or made for another
            front-end; or the model cannot be calibrated.
    """
    calibrated_by(model)
    name = printable(path)
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"--voice {name}: {error.strerror or error}; make it with --calibrate"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"--voice {name}: is not a voice file") from error
    try:
        if content["kind"] != "voice" or content["format"] != FORMAT:
            raise ValueError
        voice = Voice(
            front_end=FrontEnd(**content["front_end"]),
            moments=Moments(
                int(content["recordings"]),
                int(content["frames"]),
                np.array(content["total"], np.float64),
                np.array(content["squares"], np.float64),
            ),
        )
        _check(voice)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"--voice {name}: is damaged or no voice file; make it again with "
            "--calibrate"
        ) from error
    if voice.front_end != model.front_end:
        raise InputError(
            f"--voice {name}: was made for a model with another front-end; make it "
            "again with --calibrate and this model"
        )
    return voice


def _check(voice: Voice) -> None:
    """Raise ValueError if a voice's numbers are impossible."""
    moments = voice.moments
    shape = (voice.front_end.num_features,)
    if moments.total.shape != shape or moments.squares.shape != shape:
        raise ValueError
    if moments.recordings < 1 or moments.frames < 1:
        raise ValueError
    if not np.isfinite([moments.total, moments.squares]).all():
        raise ValueError


def add_notes(answer: Answer, path: Path, model: Classifier) -> Answer:
    """Say if a recording does not sound like the voice that the model expects.

    Args:
        answer: The classification of the recording.
        path: The recording.
        model: Calibrated or not.
    """
    if model.voice is None or model.scale is None:
        return answer
    found = _moments_of(path, answer.name, model.front_end)
    if not found or distance(add(found).scale, model.scale) <= UNLIKE_ITS_VOICE:
        return answer
    note = "does not sound like the voice given with --voice: the answer is unreliable"
    return dataclasses.replace(answer, notes=(*answer.notes, note))


def with_voice(model: Classifier, voice: Voice) -> Classifier:
    """The same model, calibrated to a voice."""
    calibrated: Classifier = dataclasses.replace(model, voice=voice.moments)  # type: ignore[type-var]
    return calibrated
