"""Windows over a stream: no sample is missed, memory is constant, silence is found."""

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperparameters import FrontEnd, InputError
from utils.audio.bandwidth import Bandwidth, needed_hz
from utils.audio.decode import blocks
from utils.audio.windows import SILENCE_DB, Sliding, is_speech, level_db, slide
from utils.corpora.demo import FOLDER as DEMO_FOLDER

RATE_HZ = 16_000


@settings(deadline=None, max_examples=200)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=12),
    length=st.integers(1, 25),
    hop=st.integers(1, 40),
)
def test_windows_do_not_depend_on_the_blocks(sizes, length, hop):
    """A window starts every hop; if hop <= length, every sample is in a window."""
    samples = np.arange(sum(sizes), dtype=float)
    parts = np.split(samples, np.cumsum(sizes)[:-1]) if sizes else []
    windows = list(slide(parts, Sliding(length=length, hop=hop)))
    for number, window in enumerate(windows):
        assert window.start == number * hop
        expected = samples[window.start : window.start + length]
        np.testing.assert_array_equal(window.samples, expected)
    assert all(len(window.samples) == length for window in windows[:-1])
    assert all(len(window.samples) for window in windows)
    if hop <= length and len(samples):
        covered = np.unique(np.concatenate([window.samples for window in windows]))
        np.testing.assert_array_equal(covered, samples)
        ends = [window.start + len(window.samples) for window in windows]
        assert ends == sorted(set(ends))  # every window adds samples


def test_a_long_hop_keeps_no_samples_between_windows():
    stream = (np.ones(1000) for _ in range(1000))
    windows = list(slide(stream, Sliding(length=10, hop=100_000)))
    assert [window.start for window in windows] == list(range(0, 1_000_000, 100_000))
    assert max(window.samples.base.size for window in windows) <= 2000


@pytest.mark.parametrize(("length_s", "length"), [(None, 40_000), (0.064, 1024)])
def test_the_longest_and_the_shortest_window(length_s, length):
    front_end = FrontEnd(duration_s=2.5)
    sliding = Sliding.build(front_end, length_s=length_s, hop_s=1.0)
    assert sliding == Sliding(length=length, hop=16_000)


@pytest.mark.parametrize(
    ("length_s", "hop_s", "message"),
    [
        (3.1, 1.0, "--length must be .* at most the model's segment, 3 s, got 3.1"),
        (0.0, 1.0, "--length"),
        (float("nan"), 1.0, "--length"),
        (1e-5, 1.0, "--length must be at least one frame, 1024 samples at 16000 Hz"),
        (0.0639, 1.0, "--length must be at least one frame"),
        (None, 0.0, "--hop must be above 0 and at most 86400 s, got 0"),
        (None, 1e307, r"--hop must be above 0 .* got 1e\+307"),
        (None, -1.0, "--hop"),
        (None, float("nan"), "--hop"),
        (None, float("inf"), "--hop"),
    ],
)
def test_impossible_windows_are_refused(length_s, hop_s, message):
    with pytest.raises(InputError, match=message):
        Sliding.build(FrontEnd(), length_s=length_s, hop_s=hop_s)


def test_level_is_rms_in_decibels():
    assert level_db(np.array([0.1, -0.1] * 4)) == pytest.approx(-20.0)
    assert level_db(np.array([0.3, 0.1] * 4)) == pytest.approx(
        -20.0
    )  # an offset of 0.2
    assert level_db(np.full(8, 0.1)) == SILENCE_DB
    assert level_db(np.array([1e-300, 0.0] * 4)) == SILENCE_DB


def test_speech_is_within_25_db_of_the_speech_level():
    levels = np.full(100, -30.0)
    levels[:4] = -5.0  # four loud knocks in a hundred windows do not set the level
    levels[50:60] = [-54.9] * 5 + [-55.1] * 5
    expected = np.ones(100, bool)
    expected[55:60] = False
    np.testing.assert_array_equal(is_speech(levels), expected)
    assert is_speech([-80.0]).all()  # a quiet file is its own speech
    assert not is_speech([SILENCE_DB, SILENCE_DB]).any()


def speech() -> np.ndarray:
    return soundfile.read(DEMO_FOLDER / "03a02Na.flac")[0]


def bandwidth_of(samples: np.ndarray, block: int = 5000) -> float | None:
    bandwidth = Bandwidth(RATE_HZ)
    for start in range(0, len(samples), block):
        bandwidth.add(samples[start : start + block])
    return bandwidth.hz


def test_speech_reaches_the_bandwidth_of_the_features():
    """In blocks of any size, and with the offset of a cheap sound card."""
    hz = bandwidth_of(speech())
    assert hz >= needed_hz(FrontEnd()) == 7500.0
    assert bandwidth_of(speech(), block=333) == hz
    assert bandwidth_of(0.1 * speech() + 0.1) == hz


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 12_000])
def test_a_telephone_copy_has_a_lower_bandwidth(tmp_path, rate_hz):
    path = tmp_path / "a.wav"
    soundfile.write(path, soxr.resample(speech(), RATE_HZ, rate_hz), rate_hz)
    back = np.concatenate(list(blocks(path, RATE_HZ)))
    for copy in (back, np.rint(back * 32767) / 32767):  # also stored again, at 16 kHz
        assert bandwidth_of(copy) == pytest.approx(rate_hz / 2, rel=0.05)


def test_a_short_or_silent_recording_has_no_bandwidth():
    assert bandwidth_of(np.ones(1000)) is None
    assert bandwidth_of(np.zeros(5000)) is None


def test_the_bandwidth_needed_depends_on_the_features():
    assert needed_hz(FrontEnd(input_type="spectrogram")) == 7500.0
    assert needed_hz(FrontEnd(mel_high_hz=4000.0)) == 4000.0
