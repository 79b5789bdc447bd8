"""The one definition of the network's input: samples to spectrogram, mel, MFCC.

It needs NumPy only, so that inference and every Keras backend share it; exported models
that take raw audio hold the same matrices. Numerically it equals the chain of
`tf.signal` in the released code: periodic window, magnitude, HTK mel bins without DC,
natural logarithm, DCT-II scaled by sqrt(2 / mel bins) (Light-SERNet, section 3.1).
"""

import functools

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd

FloatArray = npt.NDArray[np.floating]


@functools.lru_cache(maxsize=8)
def window(front_end: FrontEnd) -> FloatArray:
    """Periodic Hann or Hamming window, (frame_length_samples,), float64."""
    mean = {"hann": 0.5, "hamming": 0.54}[front_end.window]
    turns = np.arange(front_end.frame_length_samples) / front_end.frame_length_samples
    return _constant(mean - (1.0 - mean) * np.cos(2.0 * np.pi * turns))


def _constant(values: FloatArray) -> FloatArray:
    """Make an array read-only, because the caches return the same one every time."""
    values.setflags(write=False)
    return values


def hz_to_mel(frequency_hz: FloatArray | float) -> FloatArray:
    """HTK mel scale: 1127 · ln(1 + f / 700 Hz)."""
    return 1127.0 * np.log1p(np.asarray(frequency_hz) / 700.0)


@functools.lru_cache(maxsize=8)
def mel_matrix(front_end: FrontEnd) -> FloatArray:
    """Triangular mel weights with peak 1, linear in mel; none for DC.

    Returns:
        (num_bins, num_mel_bins), float64; `spectrogram @ mel_matrix` is mel.
    """
    nyquist_hz = front_end.sample_rate_hz / 2
    bins_mel = hz_to_mel(np.linspace(0.0, nyquist_hz, front_end.num_bins))[:, None]
    edges_mel = np.linspace(
        hz_to_mel(front_end.mel_low_hz),
        hz_to_mel(front_end.mel_high_hz),
        front_end.num_mel_bins + 2,
    )
    low, centre, high = edges_mel[:-2], edges_mel[1:-1], edges_mel[2:]
    rising = (bins_mel - low) / (centre - low)
    falling = (high - bins_mel) / (high - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return _constant(weights)


@functools.lru_cache(maxsize=8)
def dct_matrix(front_end: FrontEnd) -> FloatArray:
    """DCT-II with factor 2 / sqrt(2 · mel bins), the zeroth row at the same scale.

    Returns:
        (num_mel_bins, num_mfcc), float64; `log_mel @ dct_matrix` is MFCC.
    """
    bands, kept = front_end.num_mel_bins, front_end.num_mfcc
    angle = np.pi / (2 * bands) * np.outer(2 * np.arange(bands) + 1, np.arange(kept))
    return _constant(2.0 * np.cos(angle) / np.sqrt(2.0 * bands))


def spectrogram(samples: FloatArray, front_end: FrontEnd) -> FloatArray:
    """Magnitude of the short-time Fourier transform, no padding at the end.

    Args:
        samples: (..., duration_samples), within ±1.
        front_end: Frame, hop, FFT and window.

    Returns:
        (..., num_frames, num_bins), float64.
    """
    length, hop = front_end.frame_length_samples, front_end.hop_samples
    frames = np.lib.stride_tricks.sliding_window_view(samples, length, axis=-1)
    frames = frames[..., ::hop, :] * window(front_end)
    return np.abs(np.fft.rfft(frames, n=front_end.fft_size))


def compute_features(
    samples: FloatArray, front_end: FrontEnd, *, clipped: bool = True
) -> npt.NDArray[np.float32]:
    """The network's input for prepared segments.

    Args:
        samples: (..., duration_samples), from `utils.audio.prepare`.
        front_end: Input type and its constants.
        clipped: False if `utils.audio.scale` is to standardise and clip the MFCC.

    Returns:
        (..., num_frames, num_features, 1), float32: magnitudes; natural log of mel +
        1e-6; or MFCC clipped to ±10.

    Raises:
        ValueError: `samples` is not as long as the front-end's segment.
    """
    if samples.shape[-1] != front_end.duration_samples:
        raise ValueError(
            f"samples must be {front_end.duration_samples} long "
            f"({front_end.duration_s:g} s), got {samples.shape[-1]}"
        )
    values = spectrogram(samples.astype(np.float64), front_end)
    if front_end.input_type != "spectrogram":
        values = np.log(values @ mel_matrix(front_end) + front_end.log_offset)
    if front_end.input_type == "mfcc":
        limit = front_end.mfcc_limit if clipped else np.inf
        values = np.clip(values @ dct_matrix(front_end), -limit, limit)
    return values[..., None].astype(np.float32)
