"""Cut, normalise and pad an utterance (Light-SERNet, section 3.1; released code).

Training and inference share these functions.
"""

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd
from utils.audio.wav import PCM16_SCALE, to_pcm16
from utils.audio.windows import is_speech, level_db

FloatArray = npt.NDArray[np.floating]
CENTRE, OVERLAPPING = 1, 2  # values of `mode`
HOPS = 6  # overlapping segments begin at most a sixth of their length apart
MOST_HOPS = 14  # 15 segments of 3 s cover 10 s; EMO-DB's longest utterance has 9 s


def heard_samples(length: int, mode: int = CENTRE) -> int:
    """The most samples of an utterance that segments of `length` samples hear.

    Args:
        length: Samples per segment.
        mode: `CENTRE` or `OVERLAPPING`, as in `cut`.
    """
    return length + MOST_HOPS * length // HOPS if mode == OVERLAPPING else length


def cut(samples: FloatArray, length: int, mode: int = CENTRE) -> list[FloatArray]:
    """Cut one utterance into segments of at most `length` samples.

    Args:
        samples: (samples,).
        length: Samples per segment.
        mode: 1 keeps one segment from the centre; 0 keeps as many whole segments as
            fit; 2 keeps as few segments, evenly spaced, as cover the utterance with
            steps of at most a sixth of their length, without those that hold no speech;
            of a long utterance, they cover the centre `heard_samples`. What is removed
            at both ends is equally long, with an odd sample at the end; a shorter
            utterance is kept whole.

    Returns:
        At least one array of at most `length` samples.
    """
    if mode == OVERLAPPING:
        return _overlapping(cut(samples, heard_samples(length, mode))[0], length)
    whole = max(1, len(samples) // length) if mode == 0 else 1
    start = max(0, len(samples) - whole * length) // 2
    return [samples[start + i * length :][:length] for i in range(whole)]


def _overlapping(samples: FloatArray, length: int) -> list[FloatArray]:
    """Segments that cover an utterance; those without speech are left out."""
    excess = max(0, len(samples) - length)
    hops = -(-excess * HOPS // length)
    starts = [excess * number // hops for number in range(hops + 1)] if hops else [0]
    parts = [samples[start:][:length] for start in starts]
    kept = is_speech([level_db(part) for part in parts])
    return [part for part, is_kept in zip(parts, kept, strict=True) if is_kept] or parts


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
    samples: FloatArray, front_end: FrontEnd, mode: int = CENTRE
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
