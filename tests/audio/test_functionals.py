"""Functionals, compared with librosa, SciPy and sounds of known pitch."""

import librosa
import numpy as np
import pytest
import scipy.signal
import scipy.stats
import soundfile

from utils.audio.descriptors import (
    FRAME_SAMPLES,
    HOP_SAMPLES,
    PITCH_FRAME_SAMPLES,
    amplitude,
    descriptors,
    pitch_hz,
    slopes,
)
from utils.audio.functionals import functionals, statistics
from utils.corpora.demo import FOLDER

RATE_HZ = 16_000
PITCH_MEDIAN = -37 + 4  # of 16 statistics of pitch, 16 of its steps, 5 numbers


def sawtooth(frequency_hz: float, seconds: float = 1.0) -> np.ndarray:
    """A voiced sound."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return scipy.signal.sawtooth(2 * np.pi * frequency_hz * time)


def test_statistics_are_scipys() -> None:
    rows = np.random.default_rng(0).gamma(2.0, size=(3, 50))
    found = statistics(rows).reshape(16, 3)
    time = np.linspace(-1, 1, 50)
    for number, row in enumerate(rows):
        line = scipy.stats.linregress(time, row)
        residual = np.std(row - line.slope * time - line.intercept)
        points = np.percentile(row, [1, 10, 25, 50, 75, 90, 99])
        expected = [
            row.mean(),
            row.std(),
            *points,
            points[4] - points[2],
            points[6] - points[0],
            scipy.stats.skew(row),
            scipy.stats.kurtosis(row, fisher=False),
            line.slope,
            row.mean() - line.slope,
            residual,
        ]
        np.testing.assert_allclose(found[:, number], expected, rtol=1e-7)


@pytest.mark.parametrize("source", ["speech", "noise", "gaps", "click"])
def test_descriptors_are_librosas(source: str) -> None:
    samples = {
        "speech": soundfile.read(FOLDER / "03a01Wa.flac")[0],
        "noise": np.random.default_rng(2).normal(size=9_001) / 3,
        "gaps": np.where(np.arange(9_000) // 3_000 == 1, sawtooth(150.0)[:9_000], 0.0),
        "click": np.eye(1, 4_000, 1_500)[0],
    }[source]
    rows = descriptors(samples, RATE_HZ)
    expected = librosa_descriptors(samples)
    np.testing.assert_allclose(rows, expected, atol=2e-6)
    np.testing.assert_allclose(
        slopes(rows), librosa.feature.delta(rows, width=5), atol=1e-9
    )
    sizes = {"frame_length": PITCH_FRAME_SAMPLES, "hop_length": HOP_SAMPLES}
    [loudness] = librosa.feature.rms(y=samples, **sizes)
    np.testing.assert_allclose(amplitude(samples), loudness, rtol=1e-6)
    if source == "click":  # has no period, so that rounding decides
        return
    pitch = librosa.yin(samples, fmin=60, fmax=600, sr=RATE_HZ, **sizes)
    is_used = loudness > 0.1 * loudness.max()
    found = pitch_hz(samples, RATE_HZ)
    np.testing.assert_allclose(found[is_used], pitch[is_used], rtol=1e-9)


def librosa_descriptors(samples: np.ndarray) -> np.ndarray:
    """The same descriptors, made with librosa."""
    feature, sizes = librosa.feature, {"hop_length": HOP_SAMPLES}
    magnitude = np.abs(librosa.stft(samples, n_fft=FRAME_SAMPLES, **sizes))
    mel = feature.melspectrogram(
        S=magnitude**2, sr=RATE_HZ, n_mels=40, fmin=50.0, fmax=7600.0
    )
    decibels = librosa.power_to_db(mel)
    spectrum = {"S": magnitude, "sr": RATE_HZ}
    roll_offs = (0.25, 0.5, 0.75, 0.9)
    rows = [
        np.log(mel + 1e-6),
        feature.mfcc(S=decibels, n_mfcc=20),
        np.log(feature.rms(S=magnitude, frame_length=FRAME_SAMPLES) + 1e-6),
        feature.zero_crossing_rate(samples, frame_length=FRAME_SAMPLES, **sizes),
        feature.spectral_centroid(**spectrum),
        feature.spectral_bandwidth(**spectrum),
        *(feature.spectral_rolloff(**spectrum, roll_percent=p) for p in roll_offs),
        feature.spectral_contrast(**spectrum, n_bands=6, fmin=100.0)[:-1],
        librosa.onset.onset_strength(S=decibels, sr=RATE_HZ, **sizes)[None],
    ]
    return np.concatenate(rows)


def test_the_pitch_is_that_of_the_sound_whatever_its_level() -> None:
    for frequency_hz in (110.0, 200.0, 330.0):
        values = functionals(sawtooth(frequency_hz), RATE_HZ)
        assert values.shape == (2437,)
        assert np.isfinite(values).all()
        assert abs(2 ** values[PITCH_MEDIAN] / frequency_hz - 1) < 0.01
        quieter = functionals(0.01 * sawtooth(frequency_hz), RATE_HZ)
        np.testing.assert_allclose(values, quieter, rtol=1e-3, atol=1e-2)


def test_an_offset_of_the_samples_changes_nothing() -> None:
    samples, _ = soundfile.read(sorted(FOLDER.glob("03*.flac"))[0])
    samples = samples - samples.mean()
    values = functionals(samples, RATE_HZ)
    for offset in (-0.5, 0.08 * samples.std()):
        shifted = functionals(samples + offset, RATE_HZ)
        np.testing.assert_allclose(shifted, values, rtol=1e-3, atol=1e-2)


def test_noise_and_clicks_have_functionals_too() -> None:
    noise = np.random.default_rng(1).normal(size=RATE_HZ)
    click = np.zeros(1024)
    click[500] = 1.0
    for samples in (noise, click):
        assert np.isfinite(functionals(samples, RATE_HZ)).all()
