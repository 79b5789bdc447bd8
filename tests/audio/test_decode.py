"""Decoding: every container gives the same samples, every bad file one line."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from benchmarks.encode import encode
from hyperparameters import InputError
from utils.audio import decode
from utils.audio.decode import BLOCK_VALUES, blocks
from utils.audio.wav import read_any, read_wav
from utils.cli import printable
from utils.files import PROJECT

RATE_HZ = 16_000


def tone(rate_hz: int = RATE_HZ, duration_s: float = 1.5) -> np.ndarray:
    """A swelling 440 Hz tone, (samples,), on the 16-bit grid."""
    time_s = np.arange(int(rate_hz * duration_s)) / rate_hz
    samples = 0.5 * np.sin(2 * np.pi * 440.0 * time_s) * time_s / duration_s
    return np.rint(samples * 32768) / 32768


def encoded(path: Path) -> Path:
    """The tone in the format of the suffix."""
    return encode(path, (32768 * tone()).astype(np.int16), RATE_HZ)


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


def test_strict_and_any_reader_agree_on_16_khz_mono(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), RATE_HZ)
    np.testing.assert_array_equal(read_any(path, RATE_HZ), read_wav(path, RATE_HZ))


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
    path.write_text("hello " * 99)
    for read in (read_any, read_wav):
        with pytest.raises(InputError, match=r"a\.raw: (cannot be read|has no sound)"):
            read(path, RATE_HZ)


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
    assert not decode.is_truncated_riff(path)
    if length:
        np.testing.assert_array_equal(read_any(path, RATE_HZ), tone())
    cut = start + 4 + 2 * len(tone())
    content[start : start + 4] = (cut - start).to_bytes(4, "little")
    path.write_bytes(content)
    assert decode.is_truncated_riff(path)


def test_only_the_samples_tell_that_a_wav_is_cut(tmp_path):
    """A list of odd length without the required padding hides their beginning."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), RATE_HZ)
    content = path.read_bytes()
    start = content.index(b"data")
    note = b"LIST\x0f\0\0\0INFOISFT\x03\0\0\0abc"
    path.write_bytes(content[:start] + note + content[start:])
    with pytest.raises(InputError, match="cannot be read as audio"):
        read_any(path, RATE_HZ)


def test_windows_gets_names_as_text(tmp_path, monkeypatch):
    """There, libsndfile reads bytes in a code page without `€`."""
    path = tmp_path / "ü€😀.wav"
    assert decode.name_for_soundfile(path) == os.fsencode(path)
    monkeypatch.setattr(os, "name", "nt")
    assert decode.name_for_soundfile(path) == str(path)


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.m4a\n"
DASH = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"
profiles="urn:mpeg:dash:profile:isoff-live:2011" type="dynamic"></MPD>"""


@pytest.mark.parametrize("suffix", [".m3u8", ".wav", ".mp4", ""])
@pytest.mark.parametrize(
    "text",
    [
        HLS,  # without #EXT-X-ENDLIST, ffmpeg waits for more
        f"{HLS}#EXT-X-ENDLIST\n",
        f"\ufeff{HLS}",
        "ffconcat version 1.0\nfile secret.m4a\n",
        DASH,
    ],
)
def test_no_other_file_is_read(tmp_path, suffix, text):
    encoded(tmp_path / "secret.m4a")
    path = tmp_path / f"list{suffix}"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is a playlist or another text"):
        read_any(path, RATE_HZ)


def truncated(path: Path, samples: np.ndarray) -> None:
    soundfile.write(path, samples, RATE_HZ)
    path.write_bytes(path.read_bytes()[:4000])


def sounds(values: list[float], subtype: str = "FLOAT"):
    return lambda path: soundfile.write(path, np.array(values), RATE_HZ, subtype)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.wav", lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
        ("a.wav", lambda path: path.write_text("hello " * 99), "cannot be read as"),
        ("a.wav", lambda path: path.write_bytes(b"RIFF\x24\x08"), "cannot be read as"),
        ("a.wav", lambda path: truncated(path, tone()), "truncated"),
        ("a.flac", lambda path: truncated(path, tone()), "cannot be read|damaged"),
        ("a.wav", sounds([0.1, float("nan")]), "holds NaN"),
        ("a.wav", sounds([0.1, float("inf")]), "holds NaN or infinite"),
        ("a.wav", sounds([1e300, 1e300], "DOUBLE"), "holds NaN or infinite"),
        ("a.wav", sounds([0.0] * 500), "silent throughout"),
        ("a.wav", sounds([]), "holds no samples"),
        ("a.wav", lambda path: soundfile.write(path, tone(), 10), "rate must be 2000"),
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
    with pytest.raises(InputError, match=message) as caught:
        read_any(path, RATE_HZ)
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


def test_without_ffmpeg_the_line_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "a.m4a"
    path.write_bytes(b"anything else")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # as not installed
    with pytest.raises(InputError, match="pip install imageio-ffmpeg"):
        read_any(path, RATE_HZ)


def test_shown_escapes_what_would_break_a_line():
    assert printable("a\nb\tü'\"") == "a\\nb\\tü'\""
    assert printable("\udcff") == "\\udcff"
