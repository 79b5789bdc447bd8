"""One utterance to network segments (Light-SERNet, section 3.1; released code).

Cut, normalise, pad, round to 16 bits: training and inference share these functions.
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
        length: Samples a segment.
        mode: 1: the centre, one segment. 0: every whole segment that fits, the
            remainder cut at both ends. A shorter utterance stays whole in both.
            What is cut off is the same at both ends, an odd sample more at the end.

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
        Same shape, float64; zeros where all samples are zero.
    """
    level = np.percentile(np.abs(samples), percentile) + np.finfo(np.float64).eps
    return np.clip(samples / level, -1.0, 1.0)


def pad(samples: FloatArray, length: int) -> FloatArray:
    """Zeros on both sides up to `length` samples, an odd one at the end."""
    missing = length - len(samples)
    return np.pad(samples, (missing // 2, missing - missing // 2))


def prepare(
    samples: FloatArray, front_end: FrontEnd, mode: int = 1
) -> npt.NDArray[np.int16]:
    """An utterance as the network's front-end gets it, in training and inference.

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
    """16-bit samples as float32 within ±1, the scale of WAV readers."""
    return (segments / PCM16_SCALE).astype(np.float32)
