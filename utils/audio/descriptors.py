"""Acoustic descriptors of every frame, in NumPy: spectrum, energy, pitch.

They equal those of librosa (McFee et al., "librosa: Audio and music signal analysis in
Python", 2015) for float64 samples; tests compare both. So that a recording is answered
without the two seconds that librosa takes to start.

The contrast is that of librosa's bands up to 3.2 kHz, at most 80 dB below the loudest.
None depends on the faintest sound near half the sample rate. Resampling and codecs
change it: the contrast above 3.2 kHz and the flatness of the whole spectrum tell them
apart better than emotions (docs/recipes.md).
"""

import functools

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
FRAME_SAMPLES = 512  # 32 ms at 16 kHz
PITCH_FRAME_SAMPLES = 1024
HOP_SAMPLES = 160
NUM_MEL, NUM_MFCC = 40, 20
MEL_LOW_HZ, MEL_HIGH_HZ = 50.0, 7600.0
PITCH_LOW_HZ, PITCH_HIGH_HZ = 60.0, 600.0
PITCH_THRESHOLD = 0.1  # of YIN: a dip below it is a period
ROLL_OFFS = (0.25, 0.5, 0.75, 0.9)
CONTRAST_BANDS, CONTRAST_LOW_HZ, CONTRAST_SHARE = 6, 100.0, 0.02
FLUX_DELAY = 7  # frames: one for the difference, six to centre it
OFFSET = 1e-6
LEAST_POWER, RANGE_DB = 1e-10, 80.0
ZERO = 1e-10  # samples up to this magnitude have no sign
TINY = np.finfo(np.float64).tiny


def descriptors(samples: FloatArray, sample_rate_hz: int) -> FloatArray:
    """Spectral descriptors of every frame.

    Args:
        samples: (samples,), loudest about 1.
        sample_rate_hz: Sample rate.

    Returns:
        (75, frames): log mel, MFCC, log RMS, zero-crossing rate, spectral centroid,
        bandwidth, roll-offs, contrast, flux.
    """
    turns = np.arange(FRAME_SAMPLES) / FRAME_SAMPLES
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * turns)
    magnitude = np.abs(np.fft.rfft(_frames(samples, FRAME_SAMPLES) * hann)).T
    power = magnitude**2
    mel = _mel_matrix(sample_rate_hz) @ power
    decibels = _decibels(mel)
    hertz = np.linspace(0.0, sample_rate_hz / 2, len(magnitude))
    sums = magnitude.sum(axis=0)
    shares = magnitude / np.where(sums < TINY, 1.0, sums)
    centroid = hertz @ shares
    spread = (hertz[:, None] - centroid) ** 2
    rows = [
        np.log(mel + OFFSET),
        _dct_matrix() @ decibels,
        np.log(_rms(power) + OFFSET),
        _zero_crossing_rate(samples),
        centroid,
        np.sqrt(np.sum(shares * spread, axis=0)),
        *_roll_offs(magnitude, hertz),
        _contrast(magnitude, hertz),
        _flux(decibels),
    ]
    return np.vstack(rows)


def slopes(rows: FloatArray) -> FloatArray:
    """Regression slope over five frames; at both ends, that of the outer five.

    Args:
        rows: (descriptors, frames), at least five frames.
    """
    windows = np.lib.stride_tricks.sliding_window_view(rows, 5, axis=1)
    found = windows @ np.arange(-2.0, 3.0) / 10.0
    return np.pad(found, ((0, 0), (2, 2)), mode="edge")


def pitch_hz(samples: FloatArray, sample_rate_hz: int) -> FloatArray:
    """Pitch of every frame (YIN, de Cheveigné and Kawahara, 2002).

    Returns:
        (frames,), Hz; unvoiced frames have some value, too.
    """
    shortest = int(sample_rate_hz / PITCH_HIGH_HZ)
    longest = int(np.ceil(sample_rate_hz / PITCH_LOW_HZ))
    frames = _frames(samples, PITCH_FRAME_SAMPLES)
    spectrum = np.fft.rfft(frames, 2 * PITCH_FRAME_SAMPLES)
    products = np.fft.irfft(np.abs(spectrum) ** 2)[:, : longest + 1]
    energy = np.cumsum(frames**2, axis=1)[:, :longest]
    energy[:, 0] = 0.0  # librosa leaves out the first sample
    difference = 2.0 * (products[:, :1] - products[:, 1:]) - energy
    mean = np.cumsum(difference, axis=1) / np.arange(1, longest + 1)
    first = slice(shortest - 1, None)  # the period of column 0 is one sample
    values = difference[:, first] / (mean[:, first] + TINY)
    number = np.arange(len(values))
    best = _first_dip(values)
    inner = np.clip(best, 1, values.shape[1] - 2)
    before, at, after = (values[number, inner + step] for step in (-1, 0, 1))
    curvature, slope = after + before - 2.0 * at, (after - before) / 2.0
    is_usable = (np.abs(slope) < np.abs(curvature)) & (best == inner)
    shift = np.where(is_usable, -slope / np.where(is_usable, curvature, 1.0), 0.0)
    return sample_rate_hz / (shortest + best + shift)


def _first_dip(values: FloatArray) -> npt.NDArray[np.int64]:
    """The first local minimum below the threshold, else the minimum, in each row."""
    is_dip = np.zeros(values.shape, bool)
    is_dip[:, 0] = values[:, 0] < values[:, 1]
    is_dip[:, 1:-1] = (values[:, 1:-1] < values[:, :-2]) & (
        values[:, 1:-1] <= values[:, 2:]
    )
    is_dip[:, -1] = values[:, -1] < values[:, -2]
    is_dip &= values < PITCH_THRESHOLD
    return np.where(is_dip.any(axis=1), is_dip.argmax(axis=1), values.argmin(axis=1))


def amplitude(samples: FloatArray) -> FloatArray:
    """Root mean square of every frame of `pitch_hz`, (frames,)."""
    return np.sqrt(np.mean(_frames(samples, PITCH_FRAME_SAMPLES) ** 2, axis=1))


def _frames(samples: FloatArray, length: int, mode: str = "constant") -> FloatArray:
    """Frames with their centres at multiples of the hop, (frames, length)."""
    padded = np.pad(samples, length // 2, mode=mode)  # type: ignore[call-overload]
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::HOP_SAMPLES]


@functools.lru_cache(maxsize=4)
def _mel_matrix(sample_rate_hz: int) -> FloatArray:
    """Slaney's mel filters of equal area, (NUM_MEL, bins), rounded to float32."""
    edges_hz = _mel_to_hz(
        np.linspace(_hz_to_mel(MEL_LOW_HZ), _hz_to_mel(MEL_HIGH_HZ), NUM_MEL + 2)
    )
    hertz = np.linspace(0.0, sample_rate_hz / 2, FRAME_SAMPLES // 2 + 1)
    low, centre, high = (edges_hz[i : NUM_MEL + i, None] for i in range(3))
    rising, falling = (hertz - low) / (centre - low), (high - hertz) / (high - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    return (weights * (2.0 / (high - low))).astype(np.float32).astype(np.float64)


def _hz_to_mel(hertz: float) -> float:
    """Slaney's scale: 15 mel per kHz up to 1 kHz, above that 27 per factor of 6.4."""
    if hertz < 1000.0:
        return hertz * 0.015
    return 15.0 + 27.0 * float(np.log(hertz / 1000.0) / np.log(6.4))


def _mel_to_hz(mel: FloatArray) -> FloatArray:
    """The inverse of `_hz_to_mel`."""
    return np.where(mel < 15.0, mel / 0.015, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))


@functools.cache
def _dct_matrix() -> FloatArray:
    """The first rows of the orthonormal DCT-II, (NUM_MFCC, NUM_MEL)."""
    angles = np.outer(np.arange(NUM_MFCC), np.arange(NUM_MEL) + 0.5) * np.pi / NUM_MEL
    matrix = np.cos(angles) * np.sqrt(2.0 / NUM_MEL)
    matrix[0] /= np.sqrt(2.0)
    return matrix


def _decibels(values: FloatArray) -> FloatArray:
    """Level, at most 80 dB below the loudest."""
    found = 10.0 * np.log10(np.maximum(LEAST_POWER, values))
    return np.maximum(found, found.max() - RANGE_DB)


def _rms(power: FloatArray) -> FloatArray:
    """Root mean square of each frame, from its power spectrum."""
    total = power.sum(axis=0) - (power[0] + power[-1]) / 2.0
    return np.sqrt(2.0 * total) / FRAME_SAMPLES


def _zero_crossing_rate(samples: FloatArray) -> FloatArray:
    """Share of the samples of each frame whose sign differs from the one before."""
    is_negative = _frames(samples, FRAME_SAMPLES, mode="edge") < -ZERO
    changes = is_negative[:, 1:] != is_negative[:, :-1]
    return changes.sum(axis=1) / FRAME_SAMPLES


def _roll_offs(magnitude: FloatArray, hertz: FloatArray) -> list[FloatArray]:
    """The frequencies below which these shares of the magnitude lie."""
    total = np.cumsum(magnitude, axis=0)
    return [hertz[(total >= share * total[-1]).argmax(axis=0)] for share in ROLL_OFFS]


def _contrast(magnitude: FloatArray, hertz: FloatArray) -> FloatArray:
    """Peak over valley in dB, by octave band up to 3200 Hz (Jiang et al., 2002)."""
    edges = [0.0, *(CONTRAST_LOW_HZ * 2.0 ** np.arange(CONTRAST_BANDS))]
    peaks, valleys = [], []
    for band in range(CONTRAST_BANDS):
        [inside] = np.nonzero((hertz >= edges[band]) & (hertz <= edges[band + 1]))
        first, last = max(0, inside[0] - 1), inside[-1]
        count = max(1, int(np.rint(CONTRAST_SHARE * (last - first + 1))))
        ordered = np.sort(magnitude[first:last], axis=0)
        valleys.append(ordered[:count].mean(axis=0))
        peaks.append(ordered[-count:].mean(axis=0))
    return _decibels(np.stack(peaks)) - _decibels(np.stack(valleys))


def _flux(decibels: FloatArray) -> FloatArray:
    """Mean rise of the mel bands, delayed as librosa's onset strength is."""
    rise = np.maximum(0.0, np.diff(decibels, axis=1)).mean(axis=0)
    return np.pad(rise, (FLUX_DELAY, 0))[: decibels.shape[1]]
