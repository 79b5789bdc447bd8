"""Scales of features, compared with means over the frames themselves."""

from typing import Any

import numpy as np
import pytest

from hyperparameters import FrontEnd
from utils.audio.features import compute_features
from utils.audio.scale import Moments, Scale, Voices, add, learn_voices, measure

FRONT_END = FrontEnd(duration_s=0.5)


def recording(level: float, seed: int) -> np.ndarray:
    """Unclipped MFCC of noise in the middle of a segment of zeros."""
    noise = np.random.default_rng(seed).normal(0.0, level, FRONT_END.duration_samples)
    noise[: len(noise) // 2] = 0.0
    return compute_features(noise, FRONT_END, clipped=False)


@pytest.mark.parametrize("input_type", ["mfcc", "mel_spectrogram"])
def test_only_sounding_frames_are_measured(input_type: str) -> None:
    """Frames that hold zeros alone are left out; the rest is averaged."""
    front_end = FrontEnd(duration_s=0.5, input_type=input_type)
    noise = np.random.default_rng(0).normal(0.0, 0.1, front_end.duration_samples)
    noise[: len(noise) // 2] = 0.0
    features = compute_features(noise, front_end, clipped=False)
    starts = np.arange(front_end.num_frames) * front_end.hop_samples
    sounds = starts + front_end.frame_length_samples > len(noise) // 2 + 64
    found = measure(features, front_end)
    assert found.frames == pytest.approx(sounds.sum(), abs=1)
    kept = features[-found.frames :, :, 0].astype(np.float64)
    np.testing.assert_allclose(found.scale.mean, kept.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.scale.deviation, kept.std(axis=0), rtol=1e-6)


def test_louder_recordings_have_the_same_deviation_and_as_many_frames() -> None:
    quiet = measure(recording(0.01, seed=1), FRONT_END)
    loud = measure(recording(0.1, seed=1), FRONT_END)
    assert quiet.frames == loud.frames
    np.testing.assert_allclose(quiet.scale.deviation[1:], loud.scale.deviation[1:], 0.1)


def test_moments_add_as_recordings_do() -> None:
    parts = [recording(0.1, seed) for seed in (1, 2, 3)]
    together = add([measure(part, FRONT_END) for part in parts])
    frames = [part[-measure(part, FRONT_END).frames :, :, 0] for part in parts]
    kept = np.concatenate(frames).astype(np.float64)
    assert (together.recordings, together.frames) == (3, len(kept))
    np.testing.assert_allclose(together.scale.mean, kept.mean(axis=0), rtol=1e-9)


def moments(*values: float) -> Moments:
    """One recording with one feature, these values in its frames."""
    row = np.array(values)
    return Moments(1, len(row), np.array([row.sum()]), np.array([(row**2).sum()]))


def test_a_voice_is_shrunk_towards_the_typical_one() -> None:
    """By hand: voices at 0 and 4, recordings ±1 around them."""
    voices = learn_voices(
        {
            "anna": [moments(-2, 0), moments(0, 2)],
            "ben": [moments(2, 4), moments(4, 6)],
        }
    )
    assert voices.typical.mean == pytest.approx([2.0])
    assert voices.typical.deviation == pytest.approx([np.sqrt(2.0)])
    assert voices.recordings_needed == pytest.approx([2.0 / 8.0])  # within / between
    assert voices.scale_of(None) is voices.typical
    heard = voices.scale_of(moments(9, 11))  # mean 10, deviation 1, one recording
    assert heard.mean == pytest.approx([10 / 1.25 + 2 * 0.25 / 1.25])
    assert heard.deviation == pytest.approx([1 / 11 + np.sqrt(2.0) * 10 / 11])


def test_scaled_mfcc_are_clipped_and_log_mel_are_not() -> None:
    scale = Scale(np.full(40, 2.0), np.full(40, 0.5))
    features = np.full((3, 40, 1), 12.0, np.float32)
    assert np.all(scale.apply(features, FRONT_END) == 10.0)
    features = np.full((3, 128, 1), 12.0, np.float32)
    scale = Scale(np.full(128, 2.0), np.full(128, 0.5))
    log_mel = FrontEnd(input_type="mel_spectrogram")
    assert np.all(scale.apply(features, log_mel) == 20.0)


def test_voices_survive_json() -> None:
    voices = learn_voices({"a": [moments(-2, 0), moments(0, 2)], "b": [moments(2, 4)]})
    again = Voices.from_dict(voices.to_dict(), 1)
    assert again.to_dict() == voices.to_dict()


@pytest.mark.parametrize(
    "damage",
    [
        {"mean": [0.0, 1.0]},
        {"mean": [float("nan")]},
        {"deviation": [0.0]},
        {"recordings_needed": [-1.0]},
        {"recordings_needed": None},
    ],
)
def test_damaged_voices_are_refused(damage: dict[str, Any]) -> None:
    whole = {"mean": [0.0], "deviation": [1.0], "recordings_needed": [1.0]}
    with pytest.raises(ValueError, match="must be"):
        Voices.from_dict(whole | damage, 1)
