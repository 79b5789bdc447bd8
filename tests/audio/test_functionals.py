"""Functionals, compared with SciPy and with sounds of known pitch."""

import numpy as np
import scipy.signal
import scipy.stats

from utils.audio.functionals import functionals, statistics

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


def test_the_pitch_is_that_of_the_sound_whatever_its_level() -> None:
    for frequency_hz in (110.0, 200.0, 330.0):
        values = functionals(sawtooth(frequency_hz), RATE_HZ)
        assert values.shape == (2501,)
        assert np.isfinite(values).all()
        assert abs(2 ** values[PITCH_MEDIAN] / frequency_hz - 1) < 0.01
        quieter = functionals(0.01 * sawtooth(frequency_hz), RATE_HZ)
        np.testing.assert_allclose(values, quieter, rtol=1e-3, atol=1e-2)


def test_noise_and_clicks_have_functionals_too() -> None:
    noise = np.random.default_rng(1).normal(size=RATE_HZ)
    click = np.zeros(1024)
    click[500] = 1.0
    for samples in (noise, click):
        assert np.isfinite(functionals(samples, RATE_HZ)).all()
