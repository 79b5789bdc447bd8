"""Segments of an utterance against an independent version."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from hyperparameters import FrontEnd
from utils.audio.prepare import cut, from_pcm16, heard_samples, pad, prepare
from utils.audio.wav import read_wav

RATE_HZ = 16_000
# Lengths in samples, from EMO-DB's range of 1.2 to 9 s: shorter, exact, odd, whole
# multiples of 3 s and of 2.25 s and one off them.
LENGTHS = (
    *(19_608, 22_001, 28_333, 35_999, 36_000, 36_001, 44_511, 47_999, 48_000, 48_001),
    *(48_003, 60_000, 71_999, 72_000, 72_001, 95_999, 96_001, 111_999, 112_001),
    *(143_717,),
)
FloatArray = npt.NDArray[np.float64]


def recording(length: int, seed: int = 0) -> FloatArray:
    """Swelling noise at some level, with one click."""
    draw = np.random.RandomState([seed, length])
    samples = draw.uniform(0.01, 0.8) * draw.uniform(-1, 1, length)
    samples *= np.hanning(length)
    samples[length // 3] = 0.9
    return samples


def expected_segments(samples: FloatArray, length: int, mode: int) -> FloatArray:
    """Cut, normalise and pad by the definitions, before rounding."""
    count = len(samples) // length if mode == 0 and len(samples) >= length else 1
    surplus = max(0, len(samples) - count * length)
    kept = list(samples)[surplus // 2 : len(samples) - (surplus - surplus // 2)]
    segments = np.zeros((count, length))
    for number, segment in enumerate(segments):
        part = kept[number * length : (number + 1) * length]
        magnitudes = sorted(map(abs, part))
        position = 0.999 * (len(part) - 1)
        below = int(position)
        above = min(below + 1, len(part) - 1)
        step = magnitudes[above] - magnitudes[below]
        level = magnitudes[below] + (position - below) * step + sys.float_info.epsilon
        before = (length - len(part)) // 2
        scaled = [min(1.0, max(-1.0, value / level)) for value in part]
        segment[before : before + len(part)] = scaled
    return segments


def check(samples: FloatArray, front_end: FrontEnd, mode: int) -> None:
    """Compare `prepare` with the independent version."""
    found = prepare(samples, front_end, mode)
    expected = expected_segments(samples, front_end.duration_samples, mode)
    assert found.dtype == np.int16
    assert found.shape == expected.shape
    assert np.abs(found - 32767.0 * expected).max() <= 1.0


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize(
    ("duration_s", "lengths"),
    [(3.0, LENGTHS), (7.0, LENGTHS[::9]), (2.25, LENGTHS[::9])],
)
def test_segments_equal_the_independent_version(
    duration_s: float, lengths: tuple[int, ...], mode: int
) -> None:
    for length in lengths:
        check(recording(length), FrontEnd(duration_s=duration_s), mode)


@pytest.mark.parametrize("duration_s", [3.0, 7.0, 2.25])
def test_segments_of_real_speech(emo_db_dir: Path, duration_s: float) -> None:
    for path in sorted((emo_db_dir / "EMO-DB").rglob("*.wav"))[::70]:
        check(read_wav(path, RATE_HZ), FrontEnd(duration_s=duration_s), 1)


@pytest.mark.parametrize(
    ("length", "mode", "first", "last"),
    [(10, 1, 3, 6), (11, 1, 3, 6), (4, 1, 0, 3), (3, 1, 0, 2), (11, 0, 1, 8)],
)
def test_the_odd_sample_is_cut_at_the_end(
    length: int, mode: int, first: int, last: int
) -> None:
    parts = cut(np.arange(length), 4, mode)
    assert (parts[0][0], parts[-1][-1]) == (first, last)


@pytest.mark.parametrize(
    ("length", "starts"),
    [
        (40, [0]),  # shorter: whole
        (60, [0]),
        (61, [0, 1]),
        (70, [0, 10]),
        (75, [0, 7, 15]),  # steps of at most 10
        (200, list(range(0, 141, 10))),
        (301, list(range(50, 191, 10))),  # the centre 200
    ],
)
def test_overlapping_segments_cover_the_utterance(
    length: int, starts: list[int]
) -> None:
    parts = cut(np.arange(1.0, length + 1.0), 60, mode=2)
    assert [int(part[0]) - 1 for part in parts] == starts
    assert {len(part) for part in parts} == {min(length, 60)}
    assert heard_samples(60, 2) == 200


def test_segments_in_a_pause_are_left_out() -> None:
    """Normalised, the noise of a pause would be as loud as speech."""
    samples = np.random.RandomState(0).uniform(-1, 1, 200)
    samples[60:140] *= 1e-4
    starts = [*range(0, 60, 10), *range(90, 141, 10)]
    parts = cut(samples, 60, mode=2)
    assert len(parts) == len(starts)
    for part, start in zip(parts, starts, strict=True):
        np.testing.assert_array_equal(part, samples[start : start + 60])
    assert len(cut(np.zeros(80), 60, mode=2)) == 3  # nothing else to keep


def test_the_odd_zero_is_padded_at_the_end() -> None:
    assert pad(np.array([1.0, 2.0]), 5).tolist() == [0, 1, 2, 0, 0]
    assert not prepare(np.zeros(100), FrontEnd()).any()


def test_the_level_is_that_of_the_cut_not_of_the_file() -> None:
    """A loud beginning that is cut off has no effect."""
    quiet, loud = recording(48_000), np.full(10_000, 0.99)
    found = prepare(np.concatenate([loud, quiet, loud]), FrontEnd())
    np.testing.assert_array_equal(found, prepare(quiet, FrontEnd()))


def test_16_bit_samples_are_scaled_as_by_the_wav_reader(tmp_path: Path) -> None:
    samples = prepare(recording(40_000), FrontEnd())[0]
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="PCM_16")
    read = read_wav(tmp_path / "a.wav", RATE_HZ)
    np.testing.assert_array_equal(from_pcm16(samples), read)
