"""The front-end in C against `utils.audio`, on this machine and on an emulated ARM."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
from c_programs import (
    QUANTISATION,
    Samples,
    assert_near,
    build,
    compiler,
    expected_rows,
    run_driver,
)

from hyperparameters import FrontEnd, InputError
from utils.audio.wav import PCM16_SCALE
from utils.audio.windows import (
    LEVELS_KEPT,
    ROOM_DB,
    Sliding,
    is_speech,
    level_db,
    slide,
)
from utils.export.c_front_end import write_front_end

FRONT_END = FrontEnd()
SHORT = FrontEnd(duration_s=0.2, frame_length_samples=200, hop_samples=96, fft_size=256)
COMPILERS = ("gcc", "clang")


def speech_like(num_samples: int, seed: int = 0) -> Samples:
    """Noise under a slow envelope, (num_samples,), int16."""
    generator = np.random.default_rng(seed)
    envelope = np.abs(np.sin(np.arange(num_samples) / 2000.0)) ** 3
    noise = 6000.0 * generator.standard_normal(num_samples) * envelope
    return noise.clip(-32768, 32767).astype(np.int16)


@pytest.fixture
def emo_db_recordings(emo_db_dir: Path) -> list[Samples]:
    """100 recordings of EMO-DB, spread over its speakers."""
    paths = sorted((emo_db_dir / "EMO-DB").rglob("*.wav"))[::5][:100]
    return [soundfile.read(path, dtype="int16")[0] for path in paths]


@pytest.mark.parametrize("name", COMPILERS)
def test_rows_of_real_speech(
    name: str, tmp_path: Path, emo_db_recordings: list[Samples]
) -> None:
    program = build(tmp_path, FRONT_END, [compiler(name), "-O2"])
    got = run_driver([program], tmp_path, FRONT_END, emo_db_recordings)
    expected = np.stack([expected_rows(FRONT_END, r) for r in emo_db_recordings])
    assert got.flags.all()
    assert expected.std() > 20  # otherwise equality would mean little
    assert_near(got.rows, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"input_type": "spectrogram"},
        {"input_type": "mel_spectrogram", "num_mel_bins": 40},
        {"num_mel_bins": 30, "num_mfcc": 13, "mfcc_limit": 3.0},
        {"window": "hamming", "frame_length_samples": 255, "hop_samples": 77},
        {"fft_size": 1024, "normalise_percentile": 97.3},
        {"duration_s": 0.0125, "normalise_percentile": 100.0},  # a single frame
        {"frame_length_samples": 3, "fft_size": 4, "num_mel_bins": 2, "num_mfcc": 2},
    ],
)
def test_other_settings_and_lengths(changes: dict[str, object], tmp_path: Path) -> None:
    front_end = dataclasses.replace(SHORT, **changes)
    program = build(tmp_path, front_end, [compiler("gcc"), "-O1"])
    lengths = (2, 3, 199, 3199, 3200, 3205, 13_000)
    recordings = [speech_like(20_000)[7_000:][:length] for length in lengths]
    got = run_driver([program], tmp_path, front_end, recordings)
    assert got.flags.all()
    expected = np.stack([expected_rows(front_end, r) for r in recordings])
    assert_near(got.rows, expected)


STREAMS = {  # samples of each push, samples from one window to the next
    "overlapping windows": (1_000, 800),
    "gaps between windows": (777, 5_001),
    "more than one window per push": (20_000, 1_600),
    "sample by sample": (1, 3_200),
    "more windows than levels kept": (20_000, 25),
}


@pytest.mark.parametrize(("block", "hop"), STREAMS.values(), ids=STREAMS)
def test_stream_has_the_windows_and_the_speech_of_the_command_line(
    block: int, hop: int, tmp_path: Path
) -> None:
    """The loud beginning sets the level until it is forgotten."""
    gains = np.repeat([3.0, 0.02, 0.001, 0.4, 0.0, 0.02, 0.05], 3_200)
    samples = speech_like(22_400, seed=2) * gains
    stream = samples.clip(-32768, 32767).astype(np.int16)
    blocks = [stream[start:][:block] for start in range(0, len(stream), block)]
    program = build(tmp_path, SHORT, [compiler("gcc"), "-O1"])
    got = run_driver([program], tmp_path, SHORT, blocks, hop)
    windows, has_speech = command_line(SHORT, stream, hop)
    assert got.flags.tolist() == has_speech
    assert 0 < sum(has_speech) < len(has_speech)
    some = slice(None, None, 1 + len(windows) // 50)
    expected = np.stack([expected_rows(SHORT, window) for window in windows[some]])
    assert_near(got.rows[some], expected)


def command_line(
    front_end: FrontEnd, stream: Samples, hop: int
) -> tuple[list[Samples], list[bool]]:
    """The whole windows of a stream, and whether `--mic` takes them for speech."""
    sliding = Sliding(length=front_end.duration_samples, hop=hop)
    found = [window.samples for window in slide([stream / PCM16_SCALE], sliding)]
    windows = [samples for samples in found if len(samples) == sliding.length]
    levels = [level_db(samples) for samples in windows]
    is_loud = [
        is_speech(levels[max(0, end - LEVELS_KEPT) : end])[-1]
        for end in range(1, len(levels) + 1)
    ]
    is_room = [level <= ROOM_DB for level in levels]
    return (
        [(samples * PCM16_SCALE).astype(np.int16) for samples in windows],
        [bool(a and not b) for a, b in zip(is_loud, is_room, strict=True)],
    )


def test_fft_size_must_be_a_power_of_two(tmp_path: Path) -> None:
    front_end = dataclasses.replace(SHORT, fft_size=300)
    with pytest.raises(InputError, match=r"power of two, at least 4, got 300"):
        write_front_end(front_end, QUANTISATION, tmp_path)
