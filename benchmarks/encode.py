"""Encoded copies of recordings, for benchmarks and tests."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from utils.audio.ffmpeg import ffmpeg_program

FORMATS = {".m4a": "ipod", ".wma": "asf"}  # ffmpeg's names; others are the suffix


def encode(
    path: Path, samples: npt.NDArray[np.int16], rate_hz: int, *options: str
) -> Path:
    """Write samples in the format of a suffix, through pydub and ffmpeg.

    Args:
        path: Target; its suffix chooses the format.
        samples: (samples,) or (samples, channels).
        rate_hz: Their rate.
        options: Words for ffmpeg, such as "-b:a", "32k".

    Returns:
        `path`.

    Raises:
        pydub.exceptions.CouldntEncodeError: ffmpeg cannot make the copy.
    """
    with warnings.catch_warnings():  # `audioop` is deprecated; ffmpeg is set below
        warnings.simplefilter("ignore")
        from pydub import AudioSegment

    AudioSegment.converter = ffmpeg_program(str(path))
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    sound = AudioSegment(
        samples.tobytes(), sample_width=2, frame_rate=rate_hz, channels=channels
    )
    kind = FORMATS.get(path.suffix, path.suffix[1:])
    sound.export(path, format=kind, parameters=options).close()
    return path
