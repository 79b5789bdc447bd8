"""Segments against an independent version, and the folder that holds them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from hyperparameters import FrontEnd, InputError, Settings, from_flat
from utils.audio.prepare import cut, from_pcm16, pad, prepare
from utils.audio.wav import read_wav
from utils.corpora import segments as segment
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.segments import segment_corpus
from utils.files import PROJECT

RATE_HZ = 16_000
# Samples a file, from EMO-DB's range of 1.2 to 9 s: shorter, exact, odd, whole
# multiples of 3 s and of 2.25 s and one off them.
LENGTHS = (
    *(19_608, 22_001, 28_333, 35_999, 36_000, 36_001, 44_511, 47_999, 48_000, 48_001),
    *(48_003, 60_000, 71_999, 72_000, 72_001, 95_999, 96_001, 111_999, 112_001),
    *(143_717,),
)
FloatArray = npt.NDArray[np.float64]


def recording(length: int, seed: int = 0) -> FloatArray:
    """Noise with a swell and one click, of its own level."""
    draw = np.random.RandomState([seed, length])
    samples = draw.uniform(0.01, 0.8) * draw.uniform(-1, 1, length)
    samples *= np.hanning(length)
    samples[length // 3] = 0.9
    return samples


def expected_segments(samples: FloatArray, length: int, mode: int) -> list[list[float]]:
    """The table of the signal path, read sample by sample, before rounding."""
    count = len(samples) // length if mode == 0 and len(samples) >= length else 1
    surplus = max(0, len(samples) - count * length)
    kept = list(samples)[surplus // 2 : len(samples) - (surplus - surplus // 2)]
    made = []
    for number in range(count):
        part = kept[number * length : (number + 1) * length]
        magnitudes = sorted(abs(value) for value in part)
        position = 0.999 * (len(part) - 1)
        below = int(position)
        above = min(below + 1, len(part) - 1)
        step = magnitudes[above] - magnitudes[below]
        level = magnitudes[below] + (position - below) * step + sys.float_info.epsilon
        scaled = [min(1.0, max(-1.0, value / level)) for value in part]
        before = (length - len(part)) // 2
        after = length - len(part) - before
        made.append([0.0] * before + scaled + [0.0] * after)
    return made


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("length", LENGTHS)
def test_segments_equal_the_independent_version(length: int, mode: int) -> None:
    samples = recording(length)
    found = prepare(samples, FrontEnd(), mode)
    wanted = np.array(expected_segments(samples, 48_000, mode))
    assert found.dtype == np.int16
    assert found.shape == wanted.shape
    assert np.abs(found - 32767.0 * wanted).max() <= 1.0


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("duration_s", [7.0, 2.25])
def test_other_durations(duration_s: float, mode: int) -> None:
    front_end = FrontEnd(duration_s=duration_s)
    for length in (36_001, 112_001):
        samples = recording(length)
        found = prepare(samples, front_end, mode)
        wanted = np.array(expected_segments(samples, int(duration_s * RATE_HZ), mode))
        assert found.shape == wanted.shape
        assert np.abs(found - 32767.0 * wanted).max() <= 1.0


@pytest.mark.parametrize(
    ("length", "mode", "first", "last"),
    [(10, 1, 3, 6), (11, 1, 3, 6), (4, 1, 0, 3), (3, 1, 0, 2), (11, 0, 1, 8)],
)
def test_the_odd_sample_is_cut_at_the_end(
    length: int, mode: int, first: int, last: int
) -> None:
    parts = cut(np.arange(length), 4, mode)
    assert (parts[0][0], parts[-1][-1]) == (first, last)


def test_the_odd_zero_is_padded_at_the_end() -> None:
    assert pad(np.array([1.0, 2.0]), 5).tolist() == [0, 1, 2, 0, 0]


def test_the_level_is_that_of_the_cut_not_of_the_file() -> None:
    """A loud beginning that is cut off leaves no trace."""
    quiet, loud = recording(48_000), np.full(10_000, 0.99)
    samples = np.concatenate([loud, quiet, loud])
    np.testing.assert_array_equal(
        prepare(samples, FrontEnd()), prepare(quiet, FrontEnd())
    )


def test_zeros_stay_zeros() -> None:
    assert not prepare(np.zeros(100), FrontEnd()).any()


def test_16_bit_samples_are_what_wav_readers_give(tmp_path: Path) -> None:
    samples = prepare(recording(40_000), FrontEnd())[0]
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="PCM_16")
    read = read_wav(tmp_path / "a.wav", RATE_HZ)
    np.testing.assert_array_equal(from_pcm16(samples), read)


@pytest.mark.parametrize(
    ("duration_s", "mode", "name"),
    [
        (3.0, 1, "EMO-DB_3.0s_Segmented"),
        (7.0, 1, "EMO-DB_7.0s_Segmented"),
        (2.25, 1, "EMO-DB_2.25s_Segmented"),
        (3.0, 0, "EMO-DB_3.0s_Segmented_mode0"),
    ],
)
def test_folder_names(duration_s: float, mode: int, name: str) -> None:
    settings = from_flat({"duration_s": duration_s, "segment_mode": mode})
    assert segment.segments_name("EMO-DB", settings) == name


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Four recordings of two classes, in their own folder."""
    return written_corpus(tmp_path / "corpus")


def written_corpus(folder: Path, seed: int = 0) -> Manifest:
    """The manifest of recordings from 0.3 to 0.9 s."""
    folder.mkdir(exist_ok=True)
    utterances = []
    for number, length in enumerate((5_001, 9_000, 11_111, 14_400)):
        path = folder / f"u{number}.wav"
        soundfile.write(path, recording(length, seed), RATE_HZ)
        label = ("calm", "angry")[number % 2]
        utterances.append(Utterance(id=path.stem, path=path, label=label))
    return Manifest(
        corpus="TOY", classes=("calm", "angry"), utterances=tuple(utterances)
    )


def toy_settings(**values: Any) -> Settings:
    return from_flat({"duration_s": 0.4, **values})


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of change of every file below a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_corpus_is_written_by_class_and_name(
    manifest: Manifest, tmp_path: Path
) -> None:
    before = contents(tmp_path / "corpus")
    made = segment_corpus(manifest, toy_settings(segment_mode=0), tmp_path / "data")
    assert made.folder == tmp_path / "data" / "TOY_0.4s_Segmented_mode0"
    names = [str(path.relative_to(made.folder)) for path in made.paths]
    assert names == [
        "calm/u0_0.wav",
        "angry/u1_0.wav",
        "calm/u2_0.wav",
        "angry/u3_0.wav",
        "angry/u3_1.wav",
    ]
    assert made.utterance_ids == ("u0", "u1", "u2", "u3", "u3")
    assert made.longest_s == 0.9
    assert made.content_hashes == manifest.content_hashes
    for utterance_id, path in zip(made.utterance_ids, made.paths, strict=True):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        source = soundfile.read(tmp_path / "corpus" / f"{utterance_id}.wav")[0]
        wanted = prepare(source, FrontEnd(duration_s=0.4), 0)
        found = soundfile.read(path, dtype="int16")[0]
        np.testing.assert_array_equal(found, wanted[int(path.stem[-1])])
    assert contents(tmp_path / "corpus") == before


def test_segments_are_found_again(manifest: Manifest, tmp_path: Path) -> None:
    made = segment_corpus(manifest, toy_settings(), tmp_path / "data")
    before = contents(made.folder)
    assert segment_corpus(manifest, toy_settings(seed=7), tmp_path / "data") == made
    assert contents(made.folder) == before


def test_segments_are_made_again_from_other_settings_or_source(
    manifest: Manifest, tmp_path: Path
) -> None:
    first = segment_corpus(manifest, toy_settings(), tmp_path / "data")
    first.check_current()
    before = contents(first.folder)
    other = toy_settings(normalise_percentile=90.0)
    second = segment_corpus(manifest, other, tmp_path / "data")
    assert second.folder == first.folder
    assert second.key != first.key
    assert contents(first.folder) != before
    with pytest.raises(InputError, match="replaced by another run"):
        first.check_current()
    changed = written_corpus(tmp_path / "corpus", seed=1)
    third = segment_corpus(changed, other, tmp_path / "data")
    assert third.key != second.key
    source = soundfile.read(changed.utterances[0].path)[0]
    wanted = prepare(source, other.front_end)[0]
    found = soundfile.read(third.paths[0], dtype="int16")[0]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("damage", ["", "{", "[]", "\xff"])
def test_a_folder_with_a_damaged_index_is_not_taken(
    manifest: Manifest, tmp_path: Path, damage: str
) -> None:
    made = segment_corpus(manifest, toy_settings(), tmp_path / "data")
    index = made.folder / "segments.json"
    index.write_bytes(damage.encode("latin-1"))
    made.paths[0].unlink()
    assert segment_corpus(manifest, toy_settings(), tmp_path / "data") == made
    assert json.loads(index.read_text())["key"] == made.key
    assert made.paths[0].exists()


def test_a_cut_build_leaves_nothing(manifest: Manifest, tmp_path: Path) -> None:
    def until_stopped(items: Iterable[Any], **_: Any) -> Iterable[Any]:
        yield from list(items)[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment_corpus(
            manifest, toy_settings(), tmp_path / "data", progress=until_stopped
        )
    assert [p.name for p in (tmp_path / "data").iterdir() if p.is_dir()] == []
    made = segment_corpus(manifest, toy_settings(), tmp_path / "data")
    assert len(made.paths) == 4


def test_a_silent_segment_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    path = manifest.utterances[2].path
    soundfile.write(path, np.r_[np.zeros(6_400), recording(6_400)], RATE_HZ)
    settings = toy_settings(segment_mode=0)
    with pytest.raises(InputError, match=r"u2.wav: a segment of it is silent"):
        segment_corpus(Manifest(**vars(manifest)), settings, tmp_path / "data")
    assert not (tmp_path / "data" / "TOY_0.4s_Segmented_mode0").exists()


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Both come back with the whole; the folder was made by one of them."""
    written_corpus(tmp_path / "corpus")
    program = """
import sys
from pathlib import Path
sys.path[:0] = [{project!r}, {project!r} + "/tests/audio"]
from test_prepare import toy_settings, written_corpus
from utils.corpora.segments import segment_corpus
folder = Path({folder!r})
manifest = written_corpus(folder / sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
made = segment_corpus(manifest, toy_settings(), folder / "data")
assert all(path.exists() for path in made.paths)
print(made.key, made.folder.stat().st_ino)
"""
    code = program.format(project=str(PROJECT), folder=str(tmp_path))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"corpus{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ""},
        )
        for number in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert printed[0] == printed[1] != ""
    left = {path.name for path in (tmp_path / "data").iterdir()}
    assert left == {"TOY_0.4s_Segmented", ".TOY_0.4s_Segmented.lock"}


@pytest.mark.parametrize("duration_s", [3.0, 7.0, 2.25])
def test_real_files(emo_db_dir: Path, tmp_path: Path, duration_s: float) -> None:
    """Eight real files, copied: each segment as the independent version has it."""
    paths = sorted((emo_db_dir / "EMO-DB").rglob("*.wav"))[::70]
    utterances = tuple(
        Utterance(id=path.stem, path=Path(shutil.copy(path, tmp_path)), label="any")
        for path in paths
    )
    manifest = Manifest(corpus="REAL", classes=("any",), utterances=utterances)
    settings = from_flat({"duration_s": duration_s})
    made = segment_corpus(manifest, settings, tmp_path / "data")
    for utterance, path in zip(manifest.utterances, made.paths, strict=True):
        source = soundfile.read(utterance.path)[0]
        [wanted] = expected_segments(source, int(duration_s * RATE_HZ), 1)
        found = soundfile.read(path, dtype="int16")[0]
        assert np.abs(found - 32767.0 * np.array(wanted)).max() <= 1.0
