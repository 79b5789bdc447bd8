"""The converter: what it writes, what it keeps, what it leaves alone."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from benchmarks.encode import encode
from hyperparameters import InputError
from utils.audio.ffmpeg import ffmpeg_program
from utils.audio.wav import read_any, read_wav
from utils.convert import recordings

RATE_HZ = 16_000
ODD_NAMES = ("with space.wav", 'it\'s "quoted".wav', "-y.wav", "ü%d$(x);.wav")
AVI = ("-c:v", "mpeg4", "-c:a", "pcm_s16le")
MP4 = ("-c:v", "mpeg4", "-c:a", "aac")
Samples = npt.NDArray[np.int16]


def tone(rate_hz: int, duration_s: float = 0.3, pitch_hz: float = 440.0) -> Samples:
    time_s = np.arange(int(rate_hz * duration_s)) / rate_hz
    return (16_000 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.int16)


def write(path: Path, samples: Samples, rate_hz: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz)
    return path


def cut(path: Path) -> None:
    """Remove the last quarter of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])


def make_video(path: Path, pitch: float | None, codecs: tuple[str, ...]) -> Path:
    """Half a second of a test picture, with or without a tone in 44.1 kHz stereo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [ffmpeg_program("test"), "-v", "error", "-nostdin", "-f", "lavfi"]
    command += ["-i", "testsrc=duration=0.5:size=64x48:rate=10"]
    if pitch is not None:
        sine = f"sine=frequency={pitch}:duration=0.5:sample_rate=44100"
        command += ["-f", "lavfi", "-i", sine, "-ac", "2"]
    subprocess.run([*command, *codecs, f"file:{path}"], check=True)
    return path


def pitch_hz(samples: npt.NDArray[np.floating], rate_hz: int) -> float:
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 16))
    return float(np.argmax(spectrum)) * rate_hz / (1 << 16)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Contents of every file by relative path, except locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


class Converter:
    """A source tree, its target, and the command between them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.source, self.target = folder / "source", folder / "new" / "target"
        self._capsys = capsys

    def run(self, *options: str) -> tuple[tuple[int, ...], str]:
        """The counts of converted, kept, without sound and failed; the messages."""
        status = recordings.main([str(self.source), str(self.target), *options])
        printed = self._capsys.readouterr()
        counts = tuple(map(int, re.findall(r"\d+", printed.out)))
        assert status == (1 if counts[3] else 0)
        assert printed.out == (
            "{} converted, {} kept, {} without sound, {} failed\n".format(*counts)
        )
        return counts, printed.err

    def counts(self, *options: str) -> tuple[int, ...]:
        return self.run(*options)[0]


@pytest.fixture
def empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Converter:
    return Converter(tmp_path, capsys)


@pytest.fixture
def converter(empty: Converter) -> Converter:
    """A tree of recordings in several rates, channels and formats."""
    source = empty.source
    write(source / "a/8k.wav", tone(8_000), 8_000)
    stereo = np.stack([tone(44_100), np.zeros(13_230, np.int16)], axis=1)
    write(source / "a/b c/44k.flac", stereo, 44_100)
    write(source / "48k.OGG", tone(48_000), 48_000)
    write(source / "same.wav", tone(RATE_HZ), RATE_HZ)
    (source / "notes.txt").write_text("not audio")
    (source / "a/._8k.wav").write_text("hidden")
    return empty


def test_a_tree_becomes_the_same_tree_of_mono_wav(
    converter: Converter, tmp_path: Path
) -> None:
    source, target = converter.source, converter.target
    before = snapshot(source)
    assert converter.counts() == (4, 0, 0, 0)
    written = set(snapshot(target))
    assert written == {"a/8k.wav", "a/b c/44k.wav", "48k.wav", "same.wav"}
    for name in written:
        info = soundfile.info(target / name)
        assert (info.format, info.subtype) == ("WAV", "PCM_16")
        samples = read_wav(target / name, RATE_HZ)
        assert len(samples) == pytest.approx(0.3 * RATE_HZ, abs=2)
        assert pitch_hz(samples, RATE_HZ) == pytest.approx(440.0, abs=2.0)
    same, _ = soundfile.read(target / "same.wav", dtype="int16")
    np.testing.assert_array_equal(same, tone(RATE_HZ))  # not one sample altered
    np.testing.assert_allclose(
        read_wav(target / "a/b c/44k.wav", RATE_HZ),
        read_any(source / "a/b c/44k.flac", RATE_HZ),
        atol=0.5 / 32_768,
    )
    assert snapshot(source) == before
    assert {path.name for path in tmp_path.iterdir()} == {"source", "new"}


@pytest.mark.parametrize(
    ("samples", "subtype", "written"),
    [
        (tone(RATE_HZ) / 32_768, "DOUBLE", "PCM_16"),
        (tone(RATE_HZ) // 160 / 32_768, "FLOAT", "PCM_16"),  # quiet, but 16 bits
        (np.zeros(4800), "FLOAT", "PCM_16"),
        (tone(RATE_HZ).astype(float), "FLOAT", "FLOAT"),  # integers
        (tone(RATE_HZ) / 8000, "FLOAT", "FLOAT"),  # too loud
        (tone(RATE_HZ) * 10**-4.5 / 16_000, "FLOAT", "FLOAT"),  # -90 dB
        (tone(RATE_HZ) * 10**-5.0 / 16_000, "PCM_24", "FLOAT"),  # below one step
        (tone(RATE_HZ) * 1e-9 + 0.1, "DOUBLE", "FLOAT"),  # an offset hides the level
    ],
)
def test_float_is_written_where_16_bits_would_lose(
    empty: Converter, samples: npt.NDArray[np.floating], subtype: str, written: str
) -> None:
    empty.source.mkdir()
    soundfile.write(empty.source / "a.wav", samples, RATE_HZ, subtype)
    stored, _ = soundfile.read(empty.source / "a.wav")
    counts, messages = empty.run()
    assert counts == (1, 0, 0, 0)
    assert soundfile.info(empty.target / "a.wav").subtype == written
    found, _ = soundfile.read(empty.target / "a.wav")
    step = 2**-16 if written == "PCM_16" else 1e-7 * np.abs(stored).max()
    np.testing.assert_allclose(found, stored, rtol=0, atol=step)
    line = f"converted: {empty.source}/a.wav: written as 32-bit float, because 16 bits"
    assert messages.startswith(line) == (written == "FLOAT")
    assert empty.counts() == (0, 1, 0, 0)


def test_channels_that_cancel_each_other_are_reported(empty: Converter) -> None:
    both = np.stack([tone(RATE_HZ), -tone(RATE_HZ)], axis=1)
    write(empty.source / "a.wav", both, RATE_HZ)
    counts, messages = empty.run()
    assert counts == (1, 0, 0, 0)
    assert "a.wav: its channels cancel each other: only channel 1 is used" in messages
    found, _ = soundfile.read(empty.target / "a.wav", dtype="int16")
    np.testing.assert_array_equal(found, tone(RATE_HZ))


def test_channels_that_cancel_each_other_in_a_part_are_reported(
    empty: Converter,
) -> None:
    sound = tone(RATE_HZ, 6.0)
    both = np.stack([sound, np.where(np.arange(len(sound)) < 32_000, -sound, sound)], 1)
    write(empty.source / "a.wav", both, RATE_HZ)
    counts, messages = empty.run()
    assert counts == (1, 0, 0, 0)
    part = "its channels cancel each other from 0.0 to 2.0 s"
    assert f"a.wav: {part}: only channel 1 is used" in messages
    found, _ = soundfile.read(empty.target / "a.wav", dtype="int16")
    np.testing.assert_array_equal(found, sound)


def test_folders_may_be_nested_deeper_than_python_calls(
    empty: Converter, make_deep: Callable[..., Path]
) -> None:
    path = make_deep(empty.source, 1200)
    output = empty.target / path.relative_to(empty.source)
    try:
        assert empty.counts() == (1, 0, 0, 0)
        assert len(read_any(output, RATE_HZ)) == RATE_HZ
        assert empty.counts() == (0, 1, 0, 0)
    finally:
        subprocess.run(["rm", "-rf", empty.target], check=True)


def test_folders_deeper_than_the_system_allows_are_one_line(
    empty: Converter, make_deep: Callable[..., Path]
) -> None:
    write(empty.source / "b/2.wav", tone(RATE_HZ), RATE_HZ)
    make_deep(empty.source, 3000)
    with pytest.raises(InputError, match="holds folders nested too deeply"):
        empty.run()
    assert not empty.target.exists()


def test_a_path_that_is_too_long_only_in_the_target_is_one_line(
    empty: Converter, make_deep: Callable[..., Path]
) -> None:
    write(empty.source / "b/2.wav", tone(RATE_HZ), RATE_HZ)
    make_deep(empty.source, 19, "a" * 200)
    empty.target = empty.target / ("b" * 200)
    counts, messages = empty.run()
    assert counts == (1, 0, 0, 1)
    assert messages.count("\n") == 1
    assert "/1.wav: File name too long" in messages


def test_names_and_rates_are_free(empty: Converter) -> None:
    for name in ODD_NAMES:
        write(empty.source / name, tone(8_000), 8_000)
    shutil.copytree(empty.source, empty.source / "-rf")
    assert empty.counts("--sample_rate_hz", "48000") == (8, 0, 0, 0)
    names = {*ODD_NAMES, *(f"-rf/{name}" for name in ODD_NAMES)}
    assert set(snapshot(empty.target)) == names
    for name in names:
        samples = read_wav(empty.target / name, 48_000)
        assert pitch_hz(samples, 48_000) == pytest.approx(440.0, abs=2.0)


def test_failures_are_named_and_the_rest_is_done(
    converter: Converter, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = converter.source
    (source / "a/broken.wav").write_bytes(b"RIFF nothing")
    (source / "a/empty.mp3").touch()
    write(source / "a/no samples.wav", np.zeros(0, np.int16), 8_000)
    write(source / "a/8k.flac", tone(8_000), 8_000)
    write(source / "a/long.wav", tone(RATE_HZ, 1.0), RATE_HZ)
    cut(write(source / "a/cut.wav", tone(8_000), 8_000))
    cut(make_video(source / "a/cut video.mp4", 600.0, MP4))
    cut(make_video(source / "a/cut avi.avi", 600.0, AVI))
    cut(make_video(source / "a/cut mkv.mkv", 600.0, MP4))
    monkeypatch.setattr(recordings, "MAX_WAV_BYTES", 2 * RATE_HZ - 1)
    reasons = {
        "8k.wav": "would become the same 8k.wav as .*8k.flac; rename one",
        "broken.wav": "cannot be read as audio",
        "cut.wav": "truncated",
        "cut video.mp4": "is truncated",
        "cut avi.avi": "truncated",
        "cut mkv.mkv": r"cannot be read as audio \(ffmpeg",
        "empty.mp3": "is empty",
        "long.wav": "would be too long for a WAV file",
        "no samples.wav": "holds no samples",
    }
    counts, messages = converter.run()
    assert counts == (4, 0, 0, len(reasons))
    lines = messages.splitlines()
    for name, reason in reasons.items():
        [line] = [x for x in lines if x.startswith(f"failed: {source}/a/{name}: ")]
        assert re.search(reason, line)
    names = {"a/8k.wav", "a/b c/44k.wav", "48k.wav", "same.wav"}
    assert set(snapshot(converter.target)) == names


def test_a_whole_conversion_is_kept_and_anything_else_redone(
    converter: Converter,
) -> None:
    target = converter.target
    converter.run()
    whole = snapshot(target)
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*.wav")}
    assert converter.counts() == (0, 4, 0, 0)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())

    (target / "same.wav").write_bytes(whole["same.wav"][:-100])  # half-written
    (target / "48k.wav").write_bytes(b"")
    (target / "a/.8k.wav.01234567.part").write_bytes(b"of a killed run")
    (target / "a/8k.wav").unlink()
    assert converter.counts() == (3, 1, 0, 0)
    assert snapshot(target) == whole
    assert converter.counts("--sample_rate_hz", "8000") == (4, 0, 0, 0)


@pytest.mark.parametrize(
    ("suffix", "duration_s", "age_s"),
    [(".wav", 0.3, 9e8), (".wav", 0.4, 0), (".m4a", 0.3, 0)],
    ids=["older", "longer", "other suffix"],
)
def test_a_replaced_source_is_converted_again(
    converter: Converter, suffix: str, duration_s: float, age_s: float
) -> None:
    converter.run()
    source = converter.source / "same.wav"
    time_s = source.stat().st_mtime - age_s
    source.unlink()
    source = source.with_suffix(suffix)
    encode(source, tone(RATE_HZ, duration_s, pitch_hz=900.0), RATE_HZ)
    os.utime(source, (time_s, time_s))
    assert converter.counts() == (1, 3, 0, 0)
    samples = read_wav(converter.target / "same.wav", RATE_HZ)
    assert pitch_hz(samples, RATE_HZ) == pytest.approx(900.0, abs=3.0)


def test_a_wav_that_this_program_did_not_convert_is_not_kept(
    converter: Converter,
) -> None:
    write(converter.target / "same.wav", tone(RATE_HZ, pitch_hz=900.0), RATE_HZ)
    assert converter.counts() == (4, 0, 0, 0)


def test_a_stopped_conversion_leaves_no_half_file(
    converter: Converter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(*_: object) -> object:
        yield from [np.zeros(100)]
        raise KeyboardInterrupt

    monkeypatch.setattr(recordings, "blocks", half)
    with pytest.raises(KeyboardInterrupt):
        converter.run()
    assert snapshot(converter.target) == {}
    monkeypatch.undo()
    assert converter.counts() == (4, 0, 0, 0)


def test_nothing_outside_the_target_is_written(
    converter: Converter, tmp_path: Path
) -> None:
    outside, target = tmp_path / "outside", converter.target
    outside.mkdir()
    (outside / "precious.wav").write_text("precious")
    target.mkdir(parents=True)
    (target / "a").symlink_to(outside)
    (target / "same.wav").symlink_to(outside / "precious.wav")
    (target / ".48k.wav.01234567.part").symlink_to(outside / "precious.wav")
    before = snapshot(outside)
    counts, messages = converter.run()
    assert counts == (2, 0, 0, 2)
    assert messages.count(" is a link out of ") == 2
    assert snapshot(outside) == before
    assert not (target / "same.wav").is_symlink()
    assert len(read_wav(target / "48k.wav", RATE_HZ))


def test_a_target_that_overlaps_the_source_is_refused(
    converter: Converter, tmp_path: Path
) -> None:
    source = converter.source
    (tmp_path / "link").symlink_to(source)
    before = snapshot(tmp_path)
    for target in (
        *(source, source / "new", source.parent, tmp_path / "link"),
        *(tmp_path / "link/x", tmp_path / "x/../source/y"),
    ):
        converter.target = target
        with pytest.raises(InputError, match=r"must be neither .* nor inside or"):
            converter.run()
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (None, [], "source: is not a folder"),
        ([], [], "source: holds nothing to convert"),
        (["a.wav"], ["--sample_rate_hz", "0"], "_hz must be 1000 to 192000, got 0"),
    ],
)
def test_impossible_requests_are_refused(
    empty: Converter, names: list[str] | None, options: list[str], message: str
) -> None:
    if names is not None:
        empty.source.mkdir()
        for name in names:
            (empty.source / name).touch()
    with pytest.raises(InputError, match=message):
        empty.run(*options)
    assert not empty.target.exists()


def test_videos_in_the_layouts_of_iemocap_and_ravdess(empty: Converter) -> None:
    iemocap = "IEMOCAP_full_release/Session1/dialog/avi/DivX/Ses01F_impro01"
    ravdess = "RAVDESS/Video_Speech_Actor_01/Actor_01/01-01-06-01-02-01-01"
    video_only = ravdess.replace("/01-01", "/02-01")
    make_video(empty.source / f"{iemocap}.avi", 500.0, AVI)
    make_video(empty.source / f"{ravdess}.mp4", 700.0, MP4)
    make_video(empty.source / f"{video_only}.mp4", None, MP4[:2])
    hidden = empty.source / iemocap.replace("Ses01F", "._Ses01F")
    hidden.with_suffix(".avi").write_text("hidden")
    counts, messages = empty.run()
    assert counts == (2, 0, 1, 0)
    video = empty.source / f"{video_only}.mp4"
    assert f"without sound: {video}: has no sound track" in messages
    assert set(snapshot(empty.target)) == {f"{iemocap}.wav", f"{ravdess}.wav"}
    for name, pitch in {iemocap: 500.0, ravdess: 700.0}.items():
        samples = read_wav(empty.target / f"{name}.wav", RATE_HZ)
        assert len(samples) == pytest.approx(0.5 * RATE_HZ, rel=0.2)  # AAC pads
        assert pitch_hz(samples, RATE_HZ) == pytest.approx(pitch, abs=3.0)
    assert empty.counts() == (0, 2, 1, 0)
