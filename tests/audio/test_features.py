"""The network's input against `tf.signal` and, in float64, librosa and SciPy."""

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft

from hyperparameters import INPUT_TYPES, FrontEnd
from utils.audio.features import compute_features, dct_matrix, mel_matrix, window
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.wav import read_wav

# `tf.signal` computes in float32.
LARGEST = {"spectrogram": 1e-4, "mel_spectrogram": 5e-3, "mfcc": 1e-3}
PAPER = {"window": "hamming", "mel_low_hz": 40.0}
Segments = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def speech(emo_db_dir: Path) -> Segments:
    """The centre 3 s of every 13th file of EMO-DB, as the network gets it."""
    paths = sorted((emo_db_dir / "EMO-DB").rglob("*.wav"))[::13]
    assert len(paths) == 42
    return _prepared([read_wav(path, 16_000) for path in paths])


@pytest.fixture(scope="module")
def noise() -> Segments:
    """White noise, long and short: quiet bins and padding."""
    draw = np.random.RandomState(0)
    return _prepared([draw.randn(int(16_000 * s)) for s in (5.0, 3.0, 2.0, 0.5)])


def _prepared(recordings: list[npt.NDArray[np.float64]]) -> Segments:
    rows = [prepare(samples, FrontEnd()) for samples in recordings]
    return from_pcm16(np.concatenate(rows))


def tensorflow_features(samples: Segments, front_end: FrontEnd) -> Any:
    """The released code's chain, in `tf.signal`."""
    import tensorflow as tf

    values = tf.abs(
        tf.signal.stft(
            samples,
            front_end.frame_length_samples,
            front_end.hop_samples,
            front_end.fft_size,
            window_fn=getattr(tf.signal, f"{front_end.window}_window"),
        )
    )
    if front_end.input_type == "spectrogram":
        return values[..., None].numpy()
    matrix = tf.signal.linear_to_mel_weight_matrix(
        front_end.num_mel_bins,
        front_end.num_bins,
        front_end.sample_rate_hz,
        front_end.mel_low_hz,
        front_end.mel_high_hz,
    )
    values = tf.math.log(tf.matmul(values, matrix) + front_end.log_offset)
    if front_end.input_type == "mfcc":
        values = tf.signal.mfccs_from_log_mel_spectrograms(values)
        limit = front_end.mfcc_limit
        values = tf.clip_by_value(values[..., : front_end.num_mfcc], -limit, limit)
    return values[..., None].numpy()


def float64_features(samples: Segments, front_end: FrontEnd) -> Any:
    """librosa's spectrogram, mel triangles by interpolation, SciPy's DCT."""
    values = librosa.stft(
        samples.astype(np.float64),
        n_fft=front_end.fft_size,
        hop_length=front_end.hop_samples,
        window=front_end.window,
        center=False,
    )
    values = np.abs(np.swapaxes(values, -1, -2))
    if front_end.input_type != "spectrogram":
        edges_hz = [front_end.mel_low_hz, front_end.mel_high_hz]
        edges_mel = librosa.hz_to_mel(edges_hz, htk=True)
        corners = np.linspace(*edges_mel, front_end.num_mel_bins + 2)
        frequencies_hz = librosa.fft_frequencies(sr=16_000, n_fft=front_end.fft_size)
        bins = librosa.hz_to_mel(frequencies_hz, htk=True)
        peaks = np.eye(len(corners))[1:-1]
        triangles = [np.interp(bins, corners, peak) for peak in peaks]
        values = np.log(values @ np.transpose(triangles) + front_end.log_offset)
    if front_end.input_type == "mfcc":
        values = scipy.fft.dct(values) / np.sqrt(2 * front_end.num_mel_bins)
        limit = front_end.mfcc_limit
        values = np.clip(values[..., : front_end.num_mfcc], -limit, limit)
    return values[..., None]


@pytest.mark.parametrize("input_type", INPUT_TYPES)
@pytest.mark.parametrize("options", [{}, PAPER], ids=["code", "paper"])
@pytest.mark.parametrize("sound", ["speech", "noise"])
def test_features_equal_both_references(
    request: pytest.FixtureRequest,
    sound: str,
    options: dict[str, Any],
    input_type: str,
) -> None:
    segments = request.getfixturevalue(sound)
    front_end = FrontEnd(input_type=input_type, **options)
    found = compute_features(segments, front_end)
    assert found.dtype == np.float32
    assert found.shape == (len(segments), *front_end.input_shape)
    expected = float64_features(segments, front_end)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    difference = np.abs(found - tensorflow_features(segments, front_end))
    assert difference.max() <= LARGEST[input_type]
    if sound == "speech":
        assert np.median(difference.max(axis=(1, 2, 3))) < 2e-4


@pytest.mark.parametrize("input_type", INPUT_TYPES)
@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_options_change_the_input(
    noise: Segments, input_type: str, name: str
) -> None:
    """The tolerances above are small enough to distinguish the front-ends."""
    if (input_type, name) == ("spectrogram", "mel_low_hz"):
        return  # has no mel bands
    code = compute_features(noise, FrontEnd(input_type=input_type))
    other = FrontEnd(input_type=input_type, **{name: PAPER[name]})
    assert np.abs(code - compute_features(noise, other)).max() > 0.1


def test_mfcc_is_clipped(noise: Segments) -> None:
    values = compute_features(noise, FrontEnd())
    assert values.min() == -10.0
    assert np.abs(values).max() <= 10.0
    wider = compute_features(noise, FrontEnd(mfcc_limit=100.0))
    assert np.abs(wider).max() > 10.0


def test_the_shape_of_the_samples_decides(noise: Segments) -> None:
    one = compute_features(noise[0], FrontEnd())
    np.testing.assert_array_equal(one, compute_features(noise, FrontEnd())[0])
    with pytest.raises(ValueError, match=r"must be 48000 long \(3 s\), got 47999"):
        compute_features(noise[:, 1:], FrontEnd())


@pytest.mark.parametrize("make", [window, mel_matrix, dct_matrix])
def test_cached_arrays_cannot_be_changed(make: Any) -> None:
    with pytest.raises(ValueError, match="read-only"):
        make(FrontEnd())[0] = 1.0
