"""A voice in a file: sums over features of its recordings, no audio."""

import dataclasses
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hyperparameters import FrontEnd, InputError
from utils.audio.scale import Moments, Voices
from utils.cli import printable
from utils.files import read_regular, write_json
from utils.model_files.tflite import Classifier
from utils.runs.json_files import VALUE, fits

FORMAT = 1
MOST_BYTES = 2**20
KEYS = {
    "format": int,
    "kind": str,
    "front_end": {str: VALUE},
    "recordings": int,
    "frames": int,
    "total": [float],
    "squares": [float],
}
MOST_VALUE = 1e4  # of a feature, which is a logarithm
ModelT = TypeVar("ModelT", bound=Classifier)


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


def calibrated_by(model: Classifier) -> Voices:
    """What a voice is compared with.

    Raises:
        InputError: The model does not standardise features.
    """
    if model.voices is None:
        raise InputError(
            "--voice and --calibrate need a model trained with --feature_scaling voice"
        )
    return model.voices


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
        content: Any = json.loads(read_regular(path, MOST_BYTES))
    except InputError as error:
        raise InputError(f"--voice {error}") from error
    except OSError as error:
        raise InputError(
            f"--voice {name}: {error.strerror or error}; make it with --calibrate"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"--voice {name}: is not a voice file") from error
    try:
        if not fits(content, KEYS) or not content.keys() >= KEYS.keys():
            raise ValueError
        if content["kind"] != "voice" or content["format"] != FORMAT:
            raise ValueError
        voice = Voice(
            front_end=FrontEnd(**content["front_end"]),
            moments=Moments(
                content["recordings"],
                content["frames"],
                np.array(content["total"], np.float64),
                np.array(content["squares"], np.float64),
            ),
        )
        _check(voice)
    except (TypeError, ValueError, OverflowError) as error:
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
    if not 1 <= moments.recordings <= moments.frames:
        raise ValueError
    mean = moments.total / moments.frames
    mean_square = moments.squares / moments.frames
    if abs(mean).max() > MOST_VALUE or mean_square.max() > MOST_VALUE**2:
        raise ValueError
    if (mean_square < 0.999 * mean**2).any():  # a negative variance
        raise ValueError


def with_voice(model: ModelT, voice: Voice) -> ModelT:
    """The same model, calibrated to a voice."""
    return dataclasses.replace(model, voice=voice.moments)  # type: ignore[type-var]
