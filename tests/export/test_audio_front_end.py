"""The front-end as a graph against the front-end of training."""

from pathlib import Path

import numpy as np
import pytest
from conftest import tone

from hyperparameters import INPUT_TYPES, FrontEnd
from utils.audio.features import compute_features
from utils.audio.prepare import cut, pad, prepare
from utils.audio.wav import read_wav
from utils.export import audio_front_end
from utils.model_files.tflite import COUNTED_ZERO

STEPS = 32768


def in_graph(samples: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    """16-bit steps of one utterance, normalised in the graph after padding."""
    [centre] = cut(samples, front_end.duration_samples)
    padded = pad(centre, front_end.duration_samples).astype(np.float32)
    return audio_front_end.normalise(padded[None], front_end).numpy()[0] * STEPS


def pcm16(samples: np.ndarray) -> np.ndarray:
    """Round samples to 16 bits."""
    return np.rint(samples * (STEPS - 1)) / STEPS


RANDOM = np.random.RandomState(0)
RECORDINGS = {
    "longer": pcm16(RANDOM.uniform(-0.2, 0.2, 70_001)),
    "exact": pcm16(RANDOM.normal(0, 0.1, 48_000).clip(-1, 1)),
    "odd": pcm16(RANDOM.normal(0, 0.1, 30_001).clip(-1, 1)),
    "even": pcm16(RANDOM.normal(0, 0.1, 30_002).clip(-1, 1)),
    "tone": pcm16(tone(2.0)[1:]),
    "zeros at the start": np.r_[np.zeros(500), pcm16(RANDOM.uniform(-1, 1, 9_001))],
    "loud click": np.r_[0.1, pcm16(RANDOM.normal(0, 1e-3, 20_000)), 1.0, -0.1],
    "one sample": np.array([0.25]),
}


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("percentile", [99.9, 95.0, 100.0])
def test_normalise_is_that_of_the_segments(name: str, percentile: float) -> None:
    front_end = FrontEnd(normalise_percentile=percentile)
    [expected] = prepare(RECORDINGS[name], front_end)
    difference = np.abs(in_graph(RECORDINGS[name], front_end) - expected)
    assert difference.max() <= 1
    # of 48,000; at 95 % the quiet recording has exact ties
    assert np.count_nonzero(difference) <= (60 if percentile != 95.0 else 400)


def test_zeros_at_both_ends_count_if_they_are_marked() -> None:
    silence = np.zeros(3_000)
    samples = np.r_[silence, pcm16(RANDOM.normal(0, 0.1, 9_001).clip(-1, 1)), silence]
    [expected] = prepare(samples, FrontEnd())
    assert np.abs(in_graph(samples, FrontEnd()) - expected).max() > 100
    marked = np.where(samples == 0.0, COUNTED_ZERO, samples)
    assert np.abs(in_graph(marked, FrontEnd()) - expected).max() <= 1


@pytest.mark.parametrize("value", [0.0, COUNTED_ZERO])
def test_silence_stays_silence(value: float) -> None:
    assert not in_graph(np.full(48_000, value), FrontEnd()).any()


def test_real_utterances_are_normalised_as_in_training(emo_db_dir: Path) -> None:
    paths = sorted((emo_db_dir / "EMO-DB").rglob("*.wav"))[::10]
    off = 0
    for path in paths:
        samples = read_wav(path, 16_000)
        [expected] = prepare(samples, FrontEnd())
        marked = np.where(samples == 0.0, COUNTED_ZERO, samples)
        difference = np.abs(in_graph(marked, FrontEnd()) - expected)
        assert difference.max() <= 1
        off += np.count_nonzero(difference)
    assert off <= 500, f"{off} samples of {len(paths)} utterances differ by one step"


@pytest.mark.parametrize("input_type", INPUT_TYPES)
@pytest.mark.parametrize("window", ["hann", "hamming"])
def test_features_are_those_of_training(input_type: str, window: str) -> None:
    front_end = FrontEnd(input_type=input_type, window=window, duration_s=0.5)
    samples = RANDOM.normal(0, 0.3, (1, 8_000)).clip(-1, 1).astype(np.float32)
    found = audio_front_end.features(samples, front_end).numpy()
    expected = compute_features(samples, front_end)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-5)
