"""Encoded copies of recordings for tests, made by pydub."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from utils.audio.decode import ffmpeg_program

FORMATS = {".m4a": "ipod", ".wma": "asf"}  # ffmpeg's names; others are the suffix


def encode(
    path: Path, samples: npt.NDArray[np.int16], rate_hz: int, *options: str
) -> Path:
    """Write samples, (samples,) or (samples, channels), in the format of the suffix.

    Args:
        path: Target.
        samples: 16-bit.
        rate_hz: Their rate.
        options: ffmpeg's, such as `-b:a 32k`, one word each.
    """
    with warnings.catch_warnings():  # `audioop` is deprecated; ffmpeg is set below
        warnings.simplefilter("ignore")
        from pydub import AudioSegment

    AudioSegment.converter = ffmpeg_program("test")
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    sound = AudioSegment(
        samples.tobytes(), sample_width=2, frame_rate=rate_hz, channels=channels
    )
    kind = FORMATS.get(path.suffix, path.suffix[1:])
    sound.export(path, format=kind, parameters=options).close()
    return path
