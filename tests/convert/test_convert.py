"""Converters: what they write, what they keep, what they leave alone."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from filelock import FileLock

from hyperparameters import InputError
from utils.audio.decode import ffmpeg_program
from utils.audio.wav import read_any, read_wav
from utils.convert import sample_rate, tree, video_to_audio
from utils.files import PROJECT

RATE_HZ = 16_000
ODD_NAMES = ("with space.wav", 'it\'s "quoted".wav', "-y.wav", "ü%d$(x);.wav")

Samples = npt.NDArray[np.int16]


def tone(rate_hz: int, duration_s: float = 0.3, pitch_hz: float = 440.0) -> Samples:
    time_s = np.arange(int(rate_hz * duration_s)) / rate_hz
    return (16_000 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.int16)


def write(path: Path, samples: Samples, rate_hz: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz)
    return path


def pitch_hz(samples: npt.NDArray[np.floating], rate_hz: int) -> float:
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 16))
    return float(np.argmax(spectrum)) * rate_hz / (1 << 16)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Contents of every file but the lock by relative path; None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != tree.LOCK_NAME
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree of recordings in several rates, channels and formats."""
    folder = tmp_path / "source"
    write(folder / "a/8k.wav", tone(8_000), 8_000)
    stereo = np.stack([tone(44_100), np.zeros(13_230, np.int16)], axis=1)
    write(folder / "a/b c/44k.flac", stereo, 44_100)
    write(folder / "48k.OGG", tone(48_000), 48_000)
    write(folder / "same.wav", tone(RATE_HZ), RATE_HZ)
    (folder / "notes.txt").write_text("not audio")
    (folder / "a/._8k.wav").write_text("hidden")
    return folder


def test_a_tree_becomes_the_same_tree_of_mono_wav(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, target = snapshot(source), tmp_path / "new" / "target"
    assert sample_rate.main([str(source), str(target)]) == 0
    assert capsys.readouterr().out == (
        "4 converted, 0 kept, 0 without sound, 0 failed\n"
    )
    written = {name for name, data in snapshot(target).items() if data is not None}
    assert written == {"a/8k.wav", "a/b c/44k.wav", "48k.wav", "same.wav"}
    for name in written:
        info = soundfile.info(target / name)
        assert (info.format, info.subtype) == ("WAV", "PCM_16")
        assert (info.samplerate, info.channels) == (RATE_HZ, 1)
        samples = read_wav(target / name, RATE_HZ)
        assert len(samples) == pytest.approx(0.3 * RATE_HZ, abs=2)
        assert pitch_hz(samples, RATE_HZ) == pytest.approx(440.0, abs=2.0)
    loud, half = (
        np.abs(read_wav(target / name, RATE_HZ)).max()
        for name in ("a/8k.wav", "a/b c/44k.wav")
    )
    assert half == pytest.approx(loud / 2, rel=0.05)  # the mean of both channels
    assert snapshot(source) == before
    assert {path.name for path in tmp_path.iterdir()} == {"source", "new"}


def test_converted_files_are_what_conversion_on_the_way_gives(
    source: Path, tmp_path: Path
) -> None:
    sample_rate.main([str(source), str(tmp_path / "t")])
    same, _ = soundfile.read(tmp_path / "t/same.wav", dtype="int16")
    np.testing.assert_array_equal(same, tone(RATE_HZ))  # not one sample altered
    on_the_way = read_any(source / "a/b c/44k.flac", RATE_HZ)
    converted = read_wav(tmp_path / "t/a/b c/44k.wav", RATE_HZ)
    np.testing.assert_allclose(converted, on_the_way, atol=0.5 / 32_768)


def test_another_rate_and_back_returns_the_tone(source: Path, tmp_path: Path) -> None:
    up, down = tmp_path / "up", tmp_path / "down"
    assert sample_rate.main([str(source), str(up), "--sample_rate_hz", "48000"]) == 0
    assert soundfile.info(up / "same.wav").samplerate == 48_000
    assert sample_rate.main([str(up), str(down)]) == 0
    there_and_back = read_wav(down / "same.wav", RATE_HZ)
    np.testing.assert_allclose(
        there_and_back[200:-200], tone(RATE_HZ)[200:-200] / 32_768, atol=1e-3
    )


def test_names_no_shell_would_survive(tmp_path: Path) -> None:
    for name in ODD_NAMES:
        write(tmp_path / "in" / name, tone(8_000), 8_000)
    shutil.copytree(tmp_path / "in", tmp_path / "in/-rf")
    assert sample_rate.main([str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    assert set(snapshot(tmp_path / "out")) == {
        *ODD_NAMES,
        "-rf",
        *(f"-rf/{name}" for name in ODD_NAMES),
    }


def test_failures_are_named_and_the_rest_is_done(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "a/broken.wav").write_bytes(b"RIFF nothing")
    (source / "a/empty.mp3").touch()
    write(source / "a/no samples.wav", np.zeros(0, np.int16), 8_000)
    whole = write(source / "a/cut.wav", tone(8_000), 8_000).read_bytes()
    (source / "a/cut.wav").write_bytes(whole[: len(whole) // 2])
    write(source / "a/8k.flac", tone(8_000), 8_000)
    target = tmp_path / "t"
    assert sample_rate.main([str(source), str(target)]) == 1
    said = capsys.readouterr()
    assert said.out == "4 converted, 0 kept, 0 without sound, 5 failed\n"
    lines = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert len(lines) == 5
    for name, reason in {
        "8k.wav": "would become the same 8k.wav as .*8k.flac; rename one",
        "broken.wav": "cannot be read",
        "cut.wav": "truncated",
        "empty.mp3": "is empty",
        "no samples.wav": "holds no samples",
    }.items():
        (line,) = (line for line in lines if f"{source}/a/{name}: " in line)
        assert re.search(reason, line)
    assert set(snapshot(target)) == {
        *("a", "a/8k.wav", "a/b c", "a/b c/44k.wav", "48k.wav", "same.wav")
    }


def test_good_output_is_kept_and_anything_else_redone(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "t"
    arguments = [str(source), str(target)]
    sample_rate.main(arguments)
    whole = snapshot(target)
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*.wav")}
    capsys.readouterr()
    assert sample_rate.main(arguments) == 0
    assert capsys.readouterr().out.startswith("0 converted, 4 kept")
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())

    (target / "same.wav").write_bytes(whole["same.wav"][:-100])  # half-written
    (target / "48k.wav").write_bytes(b"")
    (target / "a/.8k.wav.part").write_bytes(b"of a killed run")
    os.utime(source / "a/8k.wav")  # the source is newer than its output
    assert sample_rate.main(arguments) == 0
    assert capsys.readouterr().out.startswith("3 converted, 1 kept")
    assert snapshot(target) == whole

    assert sample_rate.main([*arguments, "--sample_rate_hz", "8000"]) == 0
    assert capsys.readouterr().out.startswith("4 converted, 0 kept")


def test_a_killed_conversion_leaves_no_half_file_by_its_final_name(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(path: Path, rate_hz: int) -> object:
        yield from [np.zeros(100)]
        raise KeyboardInterrupt

    monkeypatch.setattr(tree, "blocks", half)
    with pytest.raises(KeyboardInterrupt):
        sample_rate.main([str(source), str(tmp_path / "t")])
    assert not list((tmp_path / "t").rglob("*.wav"))
    monkeypatch.undo()
    assert sample_rate.main([str(source), str(tmp_path / "t")]) == 0


def test_nothing_outside_the_target_is_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside, target = tmp_path / "outside", tmp_path / "t"
    outside.mkdir()
    (outside / "precious.wav").write_text("precious")
    target.mkdir()
    (target / "a").symlink_to(outside)
    (target / "same.wav").symlink_to(outside / "precious.wav")
    (target / ".48k.wav.part").symlink_to(outside / "precious.wav")
    before = snapshot(outside)
    assert sample_rate.main([str(source), str(target)]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("2 converted, 0 kept, 0 without sound, 2 failed")
    assert said.err.count(" is a link out of ") == 2
    assert snapshot(outside) == before
    assert not (target / "same.wav").is_symlink()
    assert len(read_wav(target / "48k.wav", RATE_HZ))


def test_a_target_that_overlaps_the_source_is_refused(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(source)
    before = snapshot(tmp_path)
    for target in (
        source,
        source / "new",
        source.parent,
        tmp_path / "link",
        tmp_path / "link/x",
        tmp_path / "x/../source/y",
    ):
        with pytest.raises(InputError, match=r"must be neither .* nor inside or"):
            sample_rate.main([str(source), str(target)])
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda folder: None, [], "source: is no folder"),
        (lambda folder: folder.mkdir(), [], "source: holds nothing to convert"),
        (
            lambda folder: write(folder / "a.wav", tone(8_000), 8_000),
            ["--sample_rate_hz", "0"],
            "--sample_rate_hz must be 1000 to 192000, got 0",
        ),
    ],
)
def test_impossible_requests_are_refused(
    tmp_path: Path, make: Callable[[Path], object], options: list[str], message: str
) -> None:
    make(tmp_path / "source")
    with pytest.raises(InputError, match=message):
        sample_rate.main([str(tmp_path / "source"), str(tmp_path / "t"), *options])
    assert not (tmp_path / "t").exists()


def test_two_conversions_do_not_write_one_folder(source: Path, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    with (
        FileLock(tmp_path / "t" / tree.LOCK_NAME),
        pytest.raises(InputError, match="another conversion is writing there"),
    ):
        sample_rate.main([str(source), str(tmp_path / "t")])


def test_a_lock_that_somebody_waits_for_stays_the_only_one(
    source: Path, tmp_path: Path
) -> None:
    """Else who opened the old file, and who made the new one, would both hold it."""
    lock_file = tmp_path / "t" / tree.LOCK_NAME
    lock_file.parent.mkdir()
    with lock_file.open("w") as waiting:
        assert sample_rate.main([str(source), str(lock_file.parent)]) == 0
        assert os.path.samestat(os.fstat(waiting.fileno()), lock_file.stat())


def test_what_is_too_long_for_wav_is_named_and_the_rest_is_done(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(source / "long.wav", tone(RATE_HZ, 1.0), RATE_HZ)
    monkeypatch.setattr(tree, "MAX_WAV_BYTES", 2 * RATE_HZ - 1)
    assert sample_rate.main([str(source), str(tmp_path / "t")]) == 1
    said = capsys.readouterr()
    assert said.out == "4 converted, 0 kept, 0 without sound, 1 failed\n"
    assert f"failed: {source}/long.wav: would be too long for a WAV file" in said.err
    assert not (tmp_path / "t/long.wav").exists()


def test_run_as_the_readme_says(source: Path, tmp_path: Path) -> None:
    (source / "broken.wav").write_text("x")
    command = [sys.executable, "-m", "utils.convert.sample_rate", str(source)]
    done = subprocess.run(
        [*command, str(tmp_path / "t")], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == "4 converted, 0 kept, 0 without sound, 1 failed\n"
    assert "broken.wav: cannot be read as audio" in done.stderr
    refused = subprocess.run(
        [*command, str(source)], cwd=PROJECT, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1


def make_video(path: Path, pitch: float | None, container_codecs: list[str]) -> None:
    """Half a second of a test picture, with a tone of 44.1 kHz stereo or without."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [ffmpeg_program("test"), "-v", "error", "-nostdin", "-f", "lavfi"]
    command += ["-i", "testsrc=duration=0.5:size=64x48:rate=10"]
    if pitch is not None:
        sine = f"sine=frequency={pitch}:duration=0.5:sample_rate=44100"
        command += ["-f", "lavfi", "-i", sine, "-ac", "2"]
    subprocess.run([*command, *container_codecs, f"file:{path}"], check=True)


AVI = ["-c:v", "mpeg4", "-c:a", "pcm_s16le"]
MP4 = ["-c:v", "mpeg4", "-c:a", "aac"]


def test_videos_in_the_layouts_of_iemocap_and_ravdess(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "videos", tmp_path / "sound"
    iemocap = "IEMOCAP_full_release/Session1/dialog/avi/DivX/Ses01F_impro01"
    ravdess = "RAVDESS/Video_Speech_Actor_01/Actor_01/01-01-06-01-02-01-01"
    video_only = ravdess.replace("/01-01", "/02-01")
    make_video(source / f"{iemocap}.avi", 500.0, AVI)
    make_video(source / f"{ravdess}.mp4", 700.0, MP4)
    make_video(source / f"{video_only}.mp4", None, MP4[:2])
    hidden = source / iemocap.replace("Ses01F", "._Ses01F")
    hidden.with_suffix(".avi").write_text("hidden")
    before = snapshot(source)
    assert video_to_audio.main([str(source), str(target)]) == 0
    said = capsys.readouterr()
    assert said.out == "2 converted, 0 kept, 1 without sound, 0 failed\n"
    assert f"without sound: {source / video_only}.mp4: has no sound track" in said.err
    for name, pitch in {iemocap: 500.0, ravdess: 700.0}.items():
        samples = read_wav(target / f"{name}.wav", RATE_HZ)
        assert len(samples) == pytest.approx(0.5 * RATE_HZ, rel=0.2)  # AAC pads
        assert pitch_hz(samples, RATE_HZ) == pytest.approx(pitch, abs=3.0)
    assert len(list(target.rglob("*.wav"))) == 2
    assert snapshot(source) == before
    assert video_to_audio.main([str(source), str(target)]) == 0
    assert capsys.readouterr().out.startswith("0 converted, 2 kept, 1 without sound")


def test_broken_videos_are_named_and_the_rest_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "my 'videos'", tmp_path / "-sound"
    make_video(source / "-good one.mp4", 600.0, MP4)
    whole = (source / "-good one.mp4").read_bytes()
    (source / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    for kind, codecs in {"avi": AVI, "mkv": MP4}.items():
        path = source / f"cut {kind}.{kind}"
        make_video(path, 600.0, codecs)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    (source / "text.avi").write_text("no video")
    assert video_to_audio.main([str(source), str(target)]) == 1
    said = capsys.readouterr()
    assert said.out == "1 converted, 0 kept, 0 without sound, 4 failed\n"
    assert f"failed: {source}/cut.mp4: cannot be read as audio" in said.err
    assert f"failed: {source}/cut avi.avi: truncated" in said.err
    assert f"failed: {source}/cut mkv.mkv: cannot be read as audio (ff" in said.err
    assert f"failed: {source}/text.avi: cannot be read as audio" in said.err
    assert list(snapshot(target)) == ["-good one.wav"]


def test_without_any_ffmpeg_the_way_out_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_video(tmp_path / "v/a.mp4", 600.0, MP4)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert video_to_audio.main([str(tmp_path / "v"), str(tmp_path / "t")]) == 1
    assert "pip install imageio-ffmpeg" in capsys.readouterr().err
