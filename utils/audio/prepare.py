"""Cut, normalise and pad an utterance (Light-SERNet, section 3.1; released code).

Training and inference share these functions.
"""

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd
from utils.audio.wav import PCM16_SCALE, to_pcm16

FloatArray = npt.NDArray[np.floating]


def cut(samples: FloatArray, length: int, mode: int = 1) -> list[FloatArray]:
    """Cut one utterance into segments of at most `length` samples.

    Args:
        samples: (samples,).
        length: Samples per segment.
        mode: 1 keeps one segment from the centre; 0 keeps as many whole segments as
            fit. Both remove the same number of samples at both ends, an odd one at the
            end, and keep a shorter utterance whole.

    Returns:
        At least one array of at most `length` samples.
    """
    whole = max(1, len(samples) // length) if mode == 0 else 1
    start = max(0, len(samples) - whole * length) // 2
    return [samples[start + i * length :][:length] for i in range(whole)]


def normalise(samples: FloatArray, percentile: float) -> FloatArray:
    """Divide by a percentile of |samples| and clip to ±1; before padding.

    Args:
        samples: (samples,), not empty.
        percentile: In percent, linear between order statistics.

    Returns:
        Same shape, float64; all zeros for silence.
    """
    level = np.percentile(np.abs(samples), percentile) + np.finfo(np.float64).eps
    return np.clip(samples / level, -1.0, 1.0)


def pad(samples: FloatArray, length: int) -> FloatArray:
    """Add zeros on both sides up to `length` samples, an odd one at the end."""
    missing = length - len(samples)
    return np.pad(samples, (missing // 2, missing - missing // 2))


def prepare(
    samples: FloatArray, front_end: FrontEnd, mode: int = 1
) -> npt.NDArray[np.int16]:
    """The 16-bit segments of an utterance from which features are computed.

    Args:
        samples: (samples,) at the front-end's rate; any scale.
        front_end: Segment length and normalisation.
        mode: As in `cut`.

    Returns:
        (segments, duration_samples), int16.
    """
    length = front_end.duration_samples
    segments = [
        pad(normalise(segment, front_end.normalise_percentile), length)
        for segment in cut(np.asarray(samples, np.float64), length, mode)
    ]
    return to_pcm16(np.stack(segments))


def from_pcm16(segments: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """16-bit samples as float32 within ±1, as WAV readers scale them."""
    return (segments / PCM16_SCALE).astype(np.float32)
