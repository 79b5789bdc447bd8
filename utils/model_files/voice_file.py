"""A voice in a file: sums over features of its recordings, no audio."""

import dataclasses
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperparameters import FrontEnd, InputError
from utils.audio.functionals import NUM_FUNCTIONALS
from utils.audio.scale import Moments, Voices, add
from utils.cli import printable
from utils.files import read_regular, write_json
from utils.model_files.tflite import Classifier, ModelT
from utils.runs.json_files import VALUE, fits

FORMAT, KIND = 1, "voice"
MOST_BYTES = 2**20
SUMS = {"recordings": int, "frames": int, "total": [float], "squares": [float]}
KEYS = {"format": int, "kind": str, "front_end": {str: VALUE}, **SUMS}
OPTIONAL = {"functionals": SUMS, "speech_s": float}
OTHER_FUNCTIONALS = 2501  # their number before two descriptors were removed
MOST_FEATURE = 1e4  # of a feature, which is a logarithm
MOST_FUNCTIONAL = 1e6  # of a functional; some are in Hz


@dataclass(frozen=True, kw_only=True)
class Voice:
    """What some recordings teach about one voice.

    Attributes:
        front_end: Front-end of the model that it was learnt for.
        speech_s: Duration of the speech, s.
        moments: Sums over the sounding frames.
        functionals: Sums over the recordings, for a linear model beside the network;
            None if the file has none.
    """

    front_end: FrontEnd
    speech_s: float
    moments: Moments
    functionals: Moments | None = None

    def joined(self, other: "Voice") -> "Voice":
        """What both teach together; functionals only if both have them."""
        functionals = None
        if self.functionals is not None and other.functionals is not None:
            functionals = add([self.functionals, other.functionals])
        return Voice(
            front_end=self.front_end,
            speech_s=self.speech_s + other.speech_s,
            moments=add([self.moments, other.moments]),
            functionals=functionals,
        )


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
    content = {
        "format": FORMAT,
        "kind": KIND,
        "front_end": asdict(voice.front_end),
        "speech_s": round(voice.speech_s, 3),
        **_to_dict(voice.moments),
    }
    if voice.functionals is not None:
        content["functionals"] = _to_dict(voice.functionals)
    write_json(path, content)


def check_target(path: Path) -> None:
    """Check that a new voice would replace nothing but an older voice.

    Raises:
        InputError: There is another file, or a folder, pipe or device.
    """
    if not os.path.lexists(path):
        return
    try:
        content = json.loads(read_regular(path, MOST_BYTES))
        is_voice = isinstance(content, dict) and content.get("kind") == KIND
    except (OSError, ValueError, RecursionError):
        is_voice = False
    if not is_voice:
        raise InputError(
            f"--voice {printable(path)}: exists and is no voice file; give another name"
        )


def _to_dict(moments: Moments) -> dict[str, Any]:
    return {
        "recordings": moments.recordings,
        "frames": moments.frames,
        "total": moments.total.tolist(),
        "squares": moments.squares.tolist(),
    }


def _from_dict(values: Any, size: int, most: float) -> Moments:
    """Read what `_to_dict` returned.

    Args:
        values: The JSON object.
        size: Number of values in each list.
        most: The largest possible magnitude of a mean.

    Raises:
        KeyError, OverflowError, TypeError, ValueError: It is damaged.
    """
    found = Moments(
        values["recordings"],
        values["frames"],
        np.array(values["total"], np.float64),
        np.array(values["squares"], np.float64),
    )
    if found.total.shape != (size,) or found.squares.shape != (size,):
        raise ValueError
    if not 1 <= found.recordings <= found.frames:
        raise ValueError
    mean, mean_square = found.total / found.frames, found.squares / found.frames
    if abs(mean).max() > most or mean_square.max() > most**2:
        raise ValueError
    if (mean_square < 0.999 * mean**2).any():  # a negative variance
        raise ValueError
    return found


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
        if not fits(content, KEYS | OPTIONAL) or not content.keys() >= KEYS.keys():
            raise ValueError
        if content["kind"] != KIND or content["format"] != FORMAT:
            raise ValueError
        front_end = FrontEnd(**content["front_end"])
        hop_s = front_end.hop_samples / front_end.sample_rate_hz
        sounding_s = content["frames"] * hop_s  # what older files have instead
        linear = content.get("functionals")
        if linear is not None and len(linear["total"]) == OTHER_FUNCTIONALS:
            linear = None  # of no use any more; the rest is
        voice = Voice(
            front_end=front_end,
            speech_s=float(content.get("speech_s", sounding_s)),
            moments=_from_dict(content, front_end.num_features, MOST_FEATURE),
            functionals=None
            if linear is None
            else _from_dict(linear, NUM_FUNCTIONALS, MOST_FUNCTIONAL),
        )
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


def with_voice(model: ModelT, voice: Voice) -> ModelT:
    """The same model, calibrated to a voice."""
    linear = model.linear
    if linear is not None:
        if voice.functionals is None:
            raise InputError(
                "--voice: has no functionals, or those of another version; make it "
                "again with --calibrate"
            )
        linear = dataclasses.replace(linear, voice=voice.functionals)
    changes = {"voice": voice.moments, "linear": linear}
    return dataclasses.replace(model, **changes)  # type: ignore[type-var]
