"""Functionals: statistics of an utterance's acoustic descriptors over time.

They are the classic alternative to a network (Schuller et al., "The INTERSPEECH 2016
computational paralinguistics challenge"): a baseline, the input of the teacher that
gives soft labels, and a partner of the network.
"""

import functools

import numpy as np
import numpy.typing as npt

from utils.audio.descriptors import (
    FRAME_SAMPLES,
    amplitude,
    descriptors,
    pitch_hz,
    slopes,
)

FloatArray = npt.NDArray[np.floating]
PERCENTILES = (1, 10, 25, 50, 75, 90, 99)
# A frame is voiced if it has a tenth of the loudest frame's amplitude and its pitch
# moves by less than a tenth of an octave.
VOICED_SHARE, VOICED_STEP = 0.1, 0.1
LEAST_VOICED = 5
NUM_FUNCTIONALS = 2437
MOST_S = 10.0  # of a recording, its centre
# A constant offset above this share of the standard deviation is removed. No recording
# of EMO-DB has more than 0.041, no copy of one in a room more than 0.068.
LEAST_OFFSET = 0.07


def most_samples(sample_rate_hz: int) -> int:
    """The most samples of a recording of which functionals are taken."""
    return int(MOST_S * sample_rate_hz)


def functionals(samples: FloatArray, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """All functionals of one utterance.

    Args:
        samples: (samples,); the level does not matter, nor does a large offset.
        sample_rate_hz: Must be at least twice 7,600 Hz.

    Returns:
        (2437,): 16 statistics of each of 75 descriptors, of their slopes, of the pitch
        of voiced frames and of its steps, then 5 numbers on the voiced parts.
    """
    if abs(offset := samples.mean()) > LEAST_OFFSET * samples.std():
        samples = samples - offset
    loudest = np.percentile(np.abs(samples), 99.9) + np.finfo(np.float64).eps
    samples = np.pad(samples / loudest, (0, max(0, FRAME_SAMPLES * 3 - len(samples))))
    rows = descriptors(samples, sample_rate_hz)
    pitch, parts = _pitch(samples, sample_rate_hz)
    values = [statistics(rows), statistics(slopes(rows)), statistics(pitch[None])]
    values += [statistics(np.diff(pitch, prepend=pitch[0])[None]), parts]
    return np.concatenate(values).astype(np.float32)


def _pitch(samples: FloatArray, sample_rate_hz: int) -> tuple[FloatArray, FloatArray]:
    """Log2 pitch of the voiced frames, and numbers on the voiced parts.

    Returns:
        (voiced frames,), at least one, in octaves; and (5,): share of voiced frames,
        mean and standard deviation of the voiced parts' lengths in frames, parts per
        second, duration in seconds.
    """
    octaves = np.log2(pitch_hz(samples, sample_rate_hz))
    loudness = amplitude(samples)
    is_loud = loudness > VOICED_SHARE * loudness.max()
    is_steady = np.abs(np.diff(octaves, prepend=octaves[0])) < VOICED_STEP
    is_voiced = is_loud & is_steady
    if is_voiced.sum() < LEAST_VOICED:
        is_voiced = loudness >= np.median(loudness)
    edges = np.flatnonzero(np.diff(is_voiced.astype(int), prepend=0, append=0))
    lengths = edges[1::2] - edges[::2]
    duration_s = len(samples) / sample_rate_hz
    parts = [is_voiced.mean(), lengths.mean(), lengths.std()]
    return octaves[is_voiced], np.array(
        [*parts, len(lengths) / duration_s, duration_s], np.float64
    )


def statistics(rows: FloatArray) -> FloatArray:
    """The statistics of each descriptor over time.

    Args:
        rows: (descriptors, frames).

    Returns:
        (16 · descriptors,): mean, standard deviation, seven percentiles, two ranges
        (25 to 75 and 1 to 99 %), skewness, kurtosis, slope and intercept of the
        regression on time within ±1, standard deviation of its residuals; statistic by
        statistic.
    """
    centred = rows - rows.mean(axis=1, keepdims=True)
    deviation = rows.std(axis=1)
    standard = centred / (deviation[:, None] + np.finfo(np.float64).eps)
    time = _time(rows.shape[1])
    slope = rows @ time / max(float(time @ time), 1.0)
    explained = slope**2 * np.mean(time**2)
    percentiles = np.percentile(rows, PERCENTILES, axis=1)
    return np.concatenate(
        [
            rows.mean(axis=1),
            deviation,
            percentiles.ravel(),
            percentiles[4] - percentiles[2],
            percentiles[6] - percentiles[0],
            np.mean(standard**3, axis=1),
            np.mean(standard**4, axis=1),
            slope,
            rows.mean(axis=1) - slope,
            np.sqrt(np.maximum(deviation**2 - explained, 0.0)),
        ]
    )


@functools.lru_cache(maxsize=64)
def _time(frames: int) -> FloatArray:
    """Time from −1 to 1, (frames,)."""
    return np.linspace(-1.0, 1.0, frames)
