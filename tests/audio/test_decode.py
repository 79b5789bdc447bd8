"""Decoding: every container gives the same samples, every bad file one line."""

import os
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from sounds import RATE_HZ, encoded, tone

from hyperparameters import InputError
from utils.audio import decode, native
from utils.audio.decode import blocks
from utils.audio.native import BLOCK_VALUES
from utils.audio.wav import read_any, read_wav
from utils.cli import printable
from utils.files import PROJECT

QUARTER_HOUR = 900 * RATE_HZ


@pytest.mark.parametrize(
    ("suffix", "subtype", "channels"),
    [
        (".wav", "PCM_16", 1),
        (".wav", "PCM_24", 1),
        (".wav", "PCM_32", 1),
        (".wav", "FLOAT", 1),
        (".wav", "DOUBLE", 2),
        (".wav", "PCM_16", 2),
        (".flac", "PCM_16", 1),
        (".flac", "PCM_24", 2),
    ],
)
def test_lossless_forms_give_the_same_samples(tmp_path, suffix, subtype, channels):
    samples = tone()
    path = tmp_path / f"a{suffix}"
    stored = np.repeat(samples[:, None], channels, axis=1)
    soundfile.write(path, stored, RATE_HZ, subtype=subtype)
    np.testing.assert_array_equal(read_any(path, RATE_HZ), samples)
    if channels == 1:
        np.testing.assert_array_equal(read_wav(path, RATE_HZ), samples)


def test_stereo_is_the_mean(tmp_path):
    path = tmp_path / "a.wav"
    left, right = tone(), tone()[::-1] / 2
    soundfile.write(path, np.stack([left, right], 1), RATE_HZ, subtype="DOUBLE")
    np.testing.assert_allclose(
        read_any(path, RATE_HZ), (left + right) / 2, rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path, rate_hz):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(rate_hz), rate_hz, subtype="FLOAT")
    samples, expected = read_any(path, RATE_HZ), tone()
    assert len(samples) == len(expected)
    middle = slice(1000, -1000)  # a filter rings at the ends
    np.testing.assert_allclose(samples[middle], expected[middle], atol=1e-4)


def test_blocks_join_without_a_seam(tmp_path):
    """A file of several blocks, resampled, equals the resampler on the whole."""
    path = tmp_path / "a.wav"
    noise = np.random.RandomState(0).uniform(-1, 1, BLOCK_VALUES * 2 + 17)
    soundfile.write(path, noise, 44_100, subtype="DOUBLE")
    parts = list(blocks(path, RATE_HZ))
    assert len(parts) >= 3
    expected = soxr.resample(noise, 44_100, RATE_HZ)
    np.testing.assert_array_equal(np.concatenate(parts), expected)


@pytest.mark.parametrize(
    "name", ["a.m4a", "a.mp4", "a.opus", "a.wma", "a.mp3", "a.ogg"]
)
def test_compressed_forms_are_the_tone(tmp_path, name):
    samples = read_any(encoded(tmp_path / name), RATE_HZ)
    spectrum = np.abs(np.fft.rfft(samples))
    peak_hz = np.argmax(spectrum) * RATE_HZ / len(samples)
    assert abs(peak_hz - 440.0) < 2.0
    assert 1.4 < len(samples) / RATE_HZ < 1.8


def test_odd_names_reach_the_decoder(tmp_path):
    """A name is never taken for a shell command, an option or a protocol."""
    contents = [encoded(tmp_path / f"a.{kind}").read_bytes() for kind in ("m4a", "wav")]
    names = ["-i.m4a", "a 'b' \"c\".m4a", "new\nline.m4a", "ü€😀.m4a", "http:x", "%d"]
    for name in [*names, os.fsdecode(b"\xff.wav")]:  # the last is not UTF-8
        for content in contents:
            path = tmp_path / name
            path.write_bytes(content)
            assert len(read_any(path, RATE_HZ)) > RATE_HZ


def test_raw_is_a_name_like_any_other(tmp_path):
    """soundfile requires the rate of every `*.raw` before it opens the file."""
    path = tmp_path / "a.raw"
    soundfile.write(tmp_path / "a.wav", tone(), RATE_HZ)
    path.write_bytes((tmp_path / "a.wav").read_bytes())
    np.testing.assert_allclose(read_any(path, RATE_HZ), tone(), atol=1e-6)


@pytest.mark.parametrize(
    "length", [0, 0x7FFF_F000, 0x7FFF_FF00, 0x7FFF_FFFF, 0xFFFF_FFFF]
)
def test_a_wav_from_a_pipe_states_no_length(tmp_path, length):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), RATE_HZ)
    content = bytearray(path.read_bytes())
    start = content.index(b"data") + 4
    content[start : start + 4] = length.to_bytes(4, "little")
    path.write_bytes(content)
    np.testing.assert_array_equal(read_any(path, RATE_HZ), tone())
    cut = start + 4 + 2 * len(tone())
    content[start : start + 4] = (cut - start).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="truncated"):
        read_any(path, RATE_HZ)


def test_windows_gets_names_as_text(tmp_path, monkeypatch):
    """There, libsndfile reads bytes in a code page without `€`."""
    path = tmp_path / "ü€😀.wav"
    assert native.name_for_soundfile(path) == os.fsencode(path)
    monkeypatch.setattr(os, "name", "nt")
    assert native.name_for_soundfile(path) == str(path)


@pytest.mark.parametrize(
    ("channels", "share", "note"),
    [
        ([1, -1], 1, "only channel 1 is used"),  # a wire is reversed
        ([0.3, -0.31], 0.3, "only channel 1 is used"),
        ([0, 0, 1, -1], 1, "only channel 3 is used"),
        ([1, 0], 0.5, None),
        ([0, 0, 0, 0, 0, 1], 1 / 6, None),  # a film: speech in the centre
    ],
)
@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("kept_values", [4_000_000, 1000])
def test_channels_that_cancel_each_other_are_not_mixed(
    tmp_path, monkeypatch, channels, share, note, offset, kept_values
):
    """In one pass or two, and with an offset that does not cancel."""
    monkeypatch.setattr(decode, "KEPT_VALUES", kept_values)
    path, notes = tmp_path / "a.wav", []
    stored = np.outer(tone(), channels) + offset
    soundfile.write(path, stored, RATE_HZ, subtype="DOUBLE")
    samples = np.concatenate(list(blocks(path, RATE_HZ, notes)))
    np.testing.assert_allclose(samples, share * tone() + offset, atol=1e-12)
    assert notes == ([f"its channels cancel each other: {note}"] if note else [])


def noises(*channels: list[float]) -> np.ndarray:
    """Noise of 6 s: the gains of each channel in each second."""
    seconds = np.random.RandomState(0).normal(0, 0.1, (6, RATE_HZ))
    return np.stack([(seconds * np.c_[gains]).ravel() for gains in channels], axis=1)


USED = " each other{}: only channel {} is used"
SPAN = " from 2.0 to 4.0 s"
ONES, ZEROS, PART = [1.0] * 6, [0.0] * 6, [1, 1, -1, -1, 1, 1]
QUIET = [1e-3, 1e-3, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("gains", "channel", "note"),
    [
        ([ONES, ONES], None, None),
        ([ONES, PART], 0, USED.format(SPAN, 1)),
        ([PART, ONES], 0, USED.format(SPAN, 1)),
        ([PART, ONES, ZEROS], 0, USED.format(SPAN, 1)),
        ([ZEROS, ONES, PART], 1, USED.format(SPAN, 2)),
        ([ONES, [-1.0] * 6], 0, USED.format("", 1)),
        ([[-1.0] * 5 + [1], ONES], 0, USED.format(" from 0.0 to 5.0 s", 1)),
        # the first channel lacks the end, so the second one is used
        ([[1, 1, 1, 1, 1, 0], PART], 1, USED.format(SPAN, 2)),
        # each channel alone lacks more than what is cancelled
        (
            [[0, 0, 1, 1, 1, 1], [1, 1, 1, -1, 0, 0]],
            None,
            " each other from 3.0 to 4.0 s: little of that part is heard",
        ),
        # what cancels only in a pause is not heard anyway
        ([QUIET, np.multiply(QUIET, [-1, -1, 1, 1, 1, 1])], None, None),
        ([[1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1]], None, None),
    ],
)
@pytest.mark.parametrize("kept_values", [4_000_000, 1000])
def test_channels_that_cancel_each_other_in_a_part(
    tmp_path, monkeypatch, gains, channel, note, kept_values
):
    monkeypatch.setattr(decode, "KEPT_VALUES", kept_values)
    path, notes = tmp_path / "a.wav", []
    stored = noises(*gains)
    soundfile.write(path, stored, RATE_HZ, subtype="DOUBLE")
    samples = np.concatenate(list(blocks(path, RATE_HZ, notes)))
    expected = stored.mean(axis=1) if channel is None else stored[:, channel]
    np.testing.assert_allclose(samples, expected, atol=1e-12)
    assert notes == ([f"its channels cancel{note}"] if note else [])


@pytest.mark.parametrize("value", [0.1, 0.3])
def test_offsets_do_not_cancel_each_other(tmp_path, value):
    path, notes = tmp_path / "a.wav", []
    stored = np.full((RATE_HZ, 2), [value, -value / 3])
    soundfile.write(path, stored, RATE_HZ, subtype="DOUBLE")
    assert not np.concatenate(list(blocks(path, RATE_HZ, notes))).any()
    assert not notes


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 44_100])
@pytest.mark.parametrize("value", [0.0, 0.1, -1.0])
def test_an_offset_without_sound_is_silence(tmp_path, rate_hz, value):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(rate_hz, value), rate_hz, subtype="FLOAT")
    assert not np.concatenate(list(blocks(path, RATE_HZ))).any()
    for read in (read_any, read_wav) if rate_hz == RATE_HZ else (read_any,):
        with pytest.raises(InputError, match="silent throughout"):
            read(path, RATE_HZ)
    samples = np.full(rate_hz, value)
    samples[-1] = 0.5  # a last sample that differs
    soundfile.write(path, samples, rate_hz, subtype="FLOAT")
    assert read_any(path, RATE_HZ).any()


def sounds(values: list[float], subtype: str = "FLOAT", rate_hz: int = RATE_HZ):
    return lambda path: soundfile.write(path, np.array(values), rate_hz, subtype)


def holds(content: bytes):
    return lambda path: path.write_bytes(content)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
# A list of odd length without the required padding hides the samples after it.
UNPADDED = b"RIFF\x64\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80>\0\0\0}\0\0\2\0\x10\0"
UNPADDED += b"LIST\x0f\0\0\0INFOISFT\x03\0\0\0abcdata\x20\0\0\0" + bytes(range(32))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.wav", holds(b""), r"is empty \(0 bytes\)"),
        ("a.wav", holds(b"hello " * 99), "cannot be read as audio"),
        ("a.wav", holds(b"RIFF\x24\x08"), "cannot be read as audio"),
        ("a.wav", holds(UNPADDED), "cannot be read as audio"),
        ("a.wav", holds(LFS), "is a git-lfs pointer; type `git lfs pull`"),
        ("a.flac", holds(LFS), "is a git-lfs pointer"),
        ("a.wav", sounds([0.1, float("nan")]), "holds NaN"),
        ("a.wav", sounds([0.1, float("inf")]), "holds NaN or infinite"),
        ("a.wav", sounds([1e300, 1e300], "DOUBLE"), "holds NaN or infinite"),
        ("a.wav", sounds([]), "holds no samples"),
        ("a.wav", sounds([0.1, 0.2], rate_hz=10), "rate must be 2000"),
        ("a.wav", lambda path: path.mkdir(), "is a directory"),
        ("a.wav", os.mkfifo, "is not a regular file"),
        ("a.wav", lambda path: None, "no such file"),
        ("a" * 300, lambda path: None, "cannot be opened"),
        ("a\nb.wav", lambda path: None, r"a\\nb\.wav: no such file"),
    ],
)
def test_bad_files_say_why_in_one_line(tmp_path, name, make, message):
    path = tmp_path / name
    make(path)
    for read in (read_any, read_wav):
        if read is read_any or "rate" not in message:
            with pytest.raises(InputError, match=message) as caught:
                read(path, RATE_HZ)
            assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_no_permission_as_another_user(nobody: int) -> None:
    """Root can read anything, so another user tries."""
    code = (
        "import sys; from pathlib import Path\n"
        "from utils.audio.decode import check_file\n"
    )
    code += "try: check_file(Path(sys.argv[1]))\nexcept ValueError as e: print(e)"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "a.wav")
        path.write_bytes(b"RIFF")
        path.chmod(0)
        become = ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups"]
        source = PROJECT / "utils" / "audio" / "decode.py"
        if subprocess.run([*become, "test", "-r", source], check=False).returncode:
            pytest.skip("another user cannot read this project's folder")
        result = subprocess.run(
            [*become, sys.executable, "-c", code, str(path)],
            cwd=PROJECT,
            capture_output=True,
            text=True,
        )
    if "Permission" in result.stderr:
        pytest.skip("another user cannot reach this Python")
    assert result.stdout == f"{path}: may not be read (permission denied)\n"


def test_shown_escapes_what_would_break_a_line():
    assert printable("a\nb\tü'\"") == "a\\nb\\tü'\""
    assert printable("\udcff") == "\\udcff"


@pytest.mark.parametrize("value", [0, 1])
def test_silence_before_the_sound_takes_no_memory(tmp_path: Path, value: int) -> None:
    path = tmp_path / "muted.wav"
    samples = np.full(QUARTER_HOUR, value, np.int16)
    samples[-RATE_HZ:] += (1000 * tone(1.0)).astype(np.int16)
    soundfile.write(path, samples, RATE_HZ)
    tracemalloc.start()
    count = sum(len(block) for block in blocks(path, RATE_HZ))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == len(samples)
    assert peak < 2**25
