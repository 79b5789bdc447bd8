"""The network's input against `tf.signal`, on real speech and on noise."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hyperparameters import INPUT_TYPES, FrontEnd
from utils.audio.features import compute_features, dct_matrix, mel_matrix, window
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.wav import read_wav

NUM_FILES = 42
LARGEST = {"spectrogram": 1e-4, "mel_spectrogram": 5e-3, "mfcc": 1e-3}
MEDIAN = 2e-4
Segments = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def speech(emo_db_dir: Path) -> Segments:
    """The centre 3 s of every 13th file of EMO-DB, as the network gets it."""
    paths = sorted((emo_db_dir / "EMO-DB").rglob("*.wav"))
    chosen = paths[:: len(paths) // NUM_FILES][:NUM_FILES]
    return _prepared([read_wav(path, 16_000) for path in chosen])


@pytest.fixture(scope="module")
def noise() -> Segments:
    """White noise, loud and soft, long and short: quiet bins and padding."""
    draw = np.random.RandomState(0)
    return _prepared(
        [draw.randn(int(16_000 * seconds)) for seconds in (5.0, 3.0, 2.0, 0.5)]
    )


def _prepared(recordings: list[npt.NDArray[np.float64]]) -> Segments:
    rows = [prepare(samples, FrontEnd()) for samples in recordings]
    return from_pcm16(np.concatenate(rows))


def tensorflow_features(samples: Segments, front_end: FrontEnd) -> Any:
    """The released code's chain, in `tf.signal`."""
    import tensorflow as tf

    windows = {
        "hann": tf.signal.hann_window,
        "hamming": tf.signal.hamming_window,
    }
    values = tf.abs(
        tf.signal.stft(
            samples,
            front_end.frame_length_samples,
            front_end.hop_samples,
            front_end.fft_size,
            window_fn=windows[front_end.window],
            pad_end=False,
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


def differences(samples: Segments, front_end: FrontEnd) -> npt.NDArray[np.float64]:
    """The largest difference to `tf.signal` in each segment."""
    ours = compute_features(samples, front_end)
    theirs = tensorflow_features(samples, front_end)
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape == (len(samples), *front_end.input_shape)
    return np.abs(ours - theirs).max(axis=(1, 2, 3))


@pytest.mark.parametrize("input_type", INPUT_TYPES)
def test_real_speech_equals_tf_signal(speech: Segments, input_type: str) -> None:
    assert len(speech) == NUM_FILES
    found = differences(speech, FrontEnd(input_type=input_type))
    assert found.max() <= LARGEST[input_type]
    assert np.median(found) < MEDIAN


@pytest.mark.parametrize("input_type", INPUT_TYPES)
@pytest.mark.parametrize(
    "options", [{}, {"window": "hamming", "mel_low_hz": 40.0}], ids=["code", "paper"]
)
def test_noise_equals_tf_signal(
    noise: Segments, input_type: str, options: dict[str, Any]
) -> None:
    front_end = FrontEnd(input_type=input_type, **options)
    assert differences(noise, front_end).max() <= LARGEST[input_type]


@pytest.mark.parametrize("input_type", INPUT_TYPES)
def test_the_paper_s_options_change_the_input(noise: Segments, input_type: str) -> None:
    """The tolerances above would tell one front-end from the other."""
    code = compute_features(noise, FrontEnd(input_type=input_type))
    hamming = FrontEnd(input_type=input_type, window="hamming")
    assert np.abs(code - compute_features(noise, hamming)).max() > 0.1
    if input_type != "spectrogram":
        low = FrontEnd(input_type=input_type, mel_low_hz=40.0)
        assert np.abs(code - compute_features(noise, low)).max() > 0.1


def test_mfcc_is_clipped(noise: Segments) -> None:
    values = compute_features(noise, FrontEnd())
    assert values.min() == -10.0
    assert np.abs(values).max() <= 10.0
    wider = compute_features(noise, FrontEnd(mfcc_limit=100.0))
    assert np.abs(wider).max() > 10.0


def test_leading_shape_is_kept(noise: Segments) -> None:
    front_end = FrontEnd()
    one = compute_features(noise[0], front_end)
    assert one.shape == front_end.input_shape
    np.testing.assert_array_equal(one, compute_features(noise, front_end)[0])


def test_another_length_is_refused(noise: Segments) -> None:
    with pytest.raises(ValueError, match=r"must be 48000 long \(3 s\), got 47999"):
        compute_features(noise[:, 1:], FrontEnd())


@pytest.mark.parametrize("make", [window, mel_matrix, dct_matrix])
def test_what_is_cached_cannot_be_changed(make: Any) -> None:
    with pytest.raises(ValueError, match="read-only"):
        make(FrontEnd())[0] = 1.0
