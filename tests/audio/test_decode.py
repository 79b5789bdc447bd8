"""Decoding: every container gives the same samples, every bad file one line."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from benchmarks.encode import encode
from hyperparameters import InputError
from utils.audio import decode, native
from utils.audio.decode import blocks
from utils.audio.ffmpeg import ffmpeg_program
from utils.audio.native import BLOCK_VALUES
from utils.audio.streams import frame_bytes
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


def ffmpeg(*words: object) -> None:
    program = ffmpeg_program("test")
    subprocess.run([program, "-v", "error", "-y", *map(str, words)], check=True)


LATE = ("-f", "lavfi", "-i", "testsrc=duration=5:size=64x48:rate=25", "-itsoffset", 3)
SINE = ("-f", "lavfi", "-i", "sine=duration=2:sample_rate=48000")


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("a.mp4", ("mpeg4", "aac")),
        ("a.mov", ("mpeg4", "pcm_s16le")),
        ("a.webm", ("libvpx", "libopus")),
        ("a.mkv", ("mpeg4", "libvorbis")),
        ("a.ts", ("mpeg2video", "mp2")),
        ("a.mpg", ("mpeg2video", "mp2")),
        ("a.wmv", ("wmv2", "wmav2")),
    ],
)
def test_sound_that_begins_late_keeps_its_time(tmp_path, name, codecs):
    video, sound = codecs
    path = tmp_path / name
    words = ("-map", "0:v", "-map", "1:a", "-c:v", video, "-c:a", sound, path)
    ffmpeg(*LATE, *SINE, *words)
    samples = read_any(path, RATE_HZ)
    begin, end = np.flatnonzero(np.abs(samples) > 0.01)[[0, -1]] / RATE_HZ
    assert (begin, end) == pytest.approx((3.0, 5.0), abs=0.05)


@pytest.mark.parametrize("name", ["a.webm", "a.mkv", "a.mp4"])
def test_a_hole_in_the_sound_keeps_its_length(tmp_path, name):
    path = tmp_path / name
    hole = ("-t", 6, "-af", "aselect='lt(t,1)+gt(t,5)'", "-fps_mode", "passthrough")
    sine = (*SINE[:-1], "sine=duration=6:sample_rate=48000")
    ffmpeg(*sine, *hole, path)
    loud = np.abs(read_any(path, RATE_HZ)) > 0.01
    assert len(loud) / RATE_HZ == pytest.approx(6.0, abs=0.1)
    assert loud.mean() == pytest.approx(2 / 6, abs=0.05)
    assert not loud[int(1.2 * RATE_HZ) : int(4.8 * RATE_HZ)].any()


@pytest.mark.parametrize(
    ("name", "is_sound"),
    [
        *((name, (0, 1)) for name in ("a.mp4", "a.webm", "a.mka")),
        *(("a.mkv", tracks) for tracks in ((0, 0, 1), (1, 0), (0, 0))),
    ],
)
def test_the_first_track_with_sound_is_used(tmp_path, name, is_sound):
    path, notes = tmp_path / name, []
    silence = ("-f", "lavfi", "-t", 2, "-i", "anullsrc=r=48000")
    inputs = [word for is_one in is_sound for word in (SINE if is_one else silence)]
    maps = [word for n in range(len(is_sound)) for word in ("-map", n)]
    ffmpeg(*inputs, *maps, path)
    samples = np.concatenate(list(blocks(path, RATE_HZ, notes)))
    assert len(samples) / RATE_HZ == pytest.approx(2.0, abs=0.1)
    assert samples.any() == any(is_sound)
    track = is_sound.index(1) + 1 if any(is_sound) else 1
    note = f"sound track {track} is used, those before it are silent"
    assert notes == ([note] if track > 1 else [])


FORMS = {  # words for ffmpeg
    "a.wav": (),
    "rf64.wav": ("-rf64", "always"),
    "mp3.wav": ("-c:a", "libmp3lame"),
    "adpcm.wav": ("-c:a", "adpcm_ms"),
    **dict.fromkeys(("a.aiff", "a.w64", "a.au", "a.caf", "a.flac"), ()),
    "a.aifc": ("-c:a", "pcm_alaw"),
    **dict.fromkeys(("a.ogg", "a.opus", "a.mp3", "a.mp2", "a.mpg"), ()),
    "flac.oga": ("-c:a", "flac"),
    "no index.mp3": ("-write_xing", 0, "-id3v2_version", 0),
    **dict.fromkeys(("a.m4a", "a.mka", "a.wma", "a.aac", "a.ac3", "a.wv", "a.tta"), ()),
    "start.m4a": ("-movflags", "faststart"),
    "a.webm": ("-c:a", "libopus"),
    "a.flv": ("-ar", 22050),
    "a.ts": ("-c:a", "mp2"),
    "a.amr": ("-ar", 8000, "-b:a", "12.2k"),
}


def in_form(path: Path) -> bytes:
    """Write 1.5 s in one of the forms; return the file's content."""
    source = path.parent / "source.wav"
    soundfile.write(source, tone() + 0.02 * np.sin(np.arange(24_000) ** 2), RATE_HZ)
    ffmpeg("-i", source, *FORMS[path.name], path)
    return path.read_bytes()


@pytest.mark.parametrize("name", FORMS)
def test_no_part_is_taken_for_the_whole(tmp_path, name, capfd):
    """Truncated, damaged and joined files are refused or decoded completely."""
    path = tmp_path / name
    content = in_form(path)
    middle = len(content) // 2
    whole_s = len(read_any(path, RATE_HZ)) / RATE_HZ
    assert whole_s == pytest.approx(1.5, abs=0.15)
    first, second = content[:middle], content[middle:]
    damaged = {
        "half": (first + second[:7], 0),
        "nearly all": (content[: len(content) * 97 // 100], 0),
        "four bytes less": (first + second[4:], whole_s),
        "forty bytes": (first + b"\xff" * 40 + second[40:], whole_s),
        "twice": (content + content, 2 * whole_s),
    }
    for kind, (changed, expected_s) in damaged.items():
        path.write_bytes(changed)
        found_s, message = expected_s, ""
        try:
            found_s = len(read_any(path, RATE_HZ)) / RATE_HZ
        except InputError as error:
            message = str(error)
        assert found_s == pytest.approx(expected_s, abs=0.05), kind
        assert message or expected_s, kind
        assert not re.search(r"0x[0-9a-f]{6}|-\d{4}|\n", message), kind
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("rounds", [4, pytest.param(700, marks=pytest.mark.proof)])
@pytest.mark.parametrize("name", FORMS)
def test_random_damage_ends_in_sound_or_one_line(tmp_path, name, rounds, capfd):
    path = tmp_path / name
    content = in_form(path)
    random = np.random.RandomState(7)
    for number in range(rounds):
        damaged = bytearray(content)
        if number % 4 == 0:
            damaged = damaged[: random.randint(1, len(content))]
        elif number % 4 == 1:
            damaged += content[: random.randint(1, len(content))]
        else:  # in the header, or anywhere
            reach = len(content) if number % 4 == 2 else min(64, len(content))
            for position in random.randint(0, reach, size=random.randint(1, 6)):
                damaged[position] = random.randint(256)
        path.write_bytes(damaged)
        try:
            assert np.isfinite(read_any(path, RATE_HZ)).all()
        except InputError as error:
            message = str(error)
            assert message.startswith(f"{path}: ")
            assert "\n" not in message
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "mark"), [("a.ogg", b"OggS"), ("a.opus", b"OggS"), ("a.mp3", b"frame")]
)
def test_a_cut_between_pages_or_frames_is_found(tmp_path, name, mark):
    path = encoded(tmp_path / name)
    content = path.read_bytes()
    end = content.rindex(mark) if mark == b"OggS" else last_frame(content)
    path.write_bytes(content[:end])
    with pytest.raises(InputError, match="is truncated"):
        read_any(path, RATE_HZ)


def last_frame(content: bytes) -> int:
    """Position of the last frame of an MP3."""
    start = end = content.index(b"\xff\xfb" if b"\xff\xfb" in content else b"\xff\xf3")
    while length := frame_bytes(content[end : end + 4]):
        start, end = end, end + length
    return start


SIX_FOUR_MB = 1 << 26
STARTS = {
    "riff": b"RIFF\0\0\0\4WAVE",
    "avi": b"RIFF\0\0\0\4AVI ",
    "aiff": b"FORM\0\0\0\4AIFF",
    "caf": b"caff\0\1\0\0",
    "flv": b"FLV\1\5\0\0\0\t",
    "nothing": b"",
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_header_and_64_mb_of_zeros_are_refused_at_once(tmp_path, start):
    path = tmp_path / "a.wav"
    path.write_bytes(start)
    os.truncate(path, SIX_FOUR_MB)
    began = time.process_time()
    with pytest.raises(InputError, match="cannot be read as audio"):
        read_any(path, RATE_HZ)
    assert time.process_time() - began < 2.0


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.m4a\n"
DASH = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"
profiles="urn:mpeg:dash:profile:isoff-live:2011" type="{}"><BaseURL>secret.m4a</BaseURL>
</MPD>"""


@pytest.mark.parametrize("suffix", [".m3u8", ".wav", ".mpd"])
@pytest.mark.parametrize(
    "text",
    [
        HLS,  # without #EXT-X-ENDLIST, ffmpeg waits for more
        f"{HLS}#EXT-X-ENDLIST\n",
        f"\ufeff{HLS}",
        "ffconcat version 1.0\nfile secret.m4a\n",
        DASH.format("dynamic"),
        " " * 257 + DASH.format("static"),
        "RIFF" + " " * 300 + DASH.format("static"),
    ],
)
def test_no_other_file_is_read(tmp_path, suffix, text):
    encoded(tmp_path / "secret.m4a")
    path = tmp_path / f"list{suffix}"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"is a playlist|cannot be read as audio"):
        read_any(path, RATE_HZ)


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
