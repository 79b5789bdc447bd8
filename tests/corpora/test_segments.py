"""The folder of a corpus's segments: contents, reuse, replacement, interruption."""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hyperparameters import FrontEnd, InputError, Settings, from_flat
from utils.audio.prepare import prepare
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.segments import segment_corpus, segments_name

RATE_HZ = 16_000


@pytest.mark.parametrize(
    ("duration_s", "mode", "name"),
    [
        (3.0, 1, "EMO-DB_3.0s_Segmented"),
        (7.0, 1, "EMO-DB_7.0s_Segmented"),
        (2.25, 1, "EMO-DB_2.25s_Segmented"),
        (3.0, 0, "EMO-DB_3.0s_Segmented_mode0"),
    ],
)
def test_folder_names(duration_s, mode, name):
    settings = from_flat({"duration_s": duration_s, "segment_mode": mode})
    assert segments_name("EMO-DB", settings) == name


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
        noise = np.random.RandomState([seed, length]).uniform(-0.8, 0.8, length)
        soundfile.write(path, noise, RATE_HZ)
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


def test_a_corpus_is_written_by_class_and_name(manifest, tmp_path):
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
        expected = prepare(source, FrontEnd(duration_s=0.4), 0)
        found = soundfile.read(path, dtype="int16")[0]
        np.testing.assert_array_equal(found, expected[int(path.stem[-1])])
    assert contents(tmp_path / "corpus") == before


def test_segments_are_found_again_or_made_from_other_settings_or_source(
    manifest, tmp_path
):
    first = segment_corpus(manifest, toy_settings(), tmp_path / "data")
    before = contents(first.folder)
    assert segment_corpus(manifest, toy_settings(seed=7), tmp_path / "data") == first
    assert contents(first.folder) == before
    first.check_current()
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
    expected = prepare(source, other.front_end)[0]
    found = soundfile.read(third.paths[0], dtype="int16")[0]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("damage", ["", "{", "[]", "\xff", "[" * 10**5, "{key}", None])
def test_a_folder_with_a_damaged_index_is_not_taken(manifest, tmp_path, damage):
    made = segment_corpus(manifest, toy_settings(), tmp_path / "data")
    index = made.folder / "segments.json"
    index.unlink()
    if damage is None:
        os.mkfifo(index)
    elif damage == "{key}":
        index.write_text(json.dumps({"key": made.key}))
    else:
        index.write_bytes(damage.encode("latin-1"))
    made.paths[0].unlink()
    assert segment_corpus(manifest, toy_settings(), tmp_path / "data") == made
    assert json.loads(index.read_text())["key"] == made.key
    assert made.paths[0].exists()


def zeroed(whole: bytes) -> bytes:
    return whole[:44] + bytes(len(whole) - 44)


def flipped(whole: bytes) -> bytes:
    return bytes([*whole[:-1], whole[-1] ^ 1])


@pytest.mark.parametrize(
    "damage",
    [None, b"", b"RIFF", slice(-2), slice(44), zeroed, flipped, "pipe", "zeros"],
)
def test_a_missing_cut_or_changed_segment_is_made_again(manifest, tmp_path, damage):
    made = segment_corpus(manifest, toy_settings(), tmp_path / "data")
    before, path = contents(made.folder), made.paths[-1]
    whole = path.read_bytes()
    path.unlink()
    if damage == "pipe":
        os.mkfifo(path)
    elif damage == "zeros":
        path.symlink_to("/dev/zero")
    elif callable(damage):
        path.write_bytes(damage(whole))
    elif damage is not None:
        path.write_bytes(whole[damage] if isinstance(damage, slice) else damage)
    again = segment_corpus(manifest, toy_settings(), tmp_path / "data")
    assert again.paths == made.paths
    assert path.read_bytes() == whole
    assert contents(made.folder).keys() == before.keys()
    with pytest.raises(InputError, match="replaced by another run"):
        made.check_current()


@pytest.mark.parametrize(
    "change",
    [
        {"digest": None},
        *({"files": value} for value in (5, [5], [["u0", "/dev/zero"]], [[1, 2]])),
        {"content_hashes": {}},
        {"longest_s": "1"},
    ],
)
def test_a_changed_index_is_made_again(manifest, tmp_path, change):
    made = segment_corpus(manifest, toy_settings(), tmp_path / "data")
    index = made.folder / "segments.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | change))
    again = segment_corpus(manifest, toy_settings(), tmp_path / "data")
    assert again == made
    assert again.build != made.build


def test_a_cut_build_leaves_nothing(manifest, tmp_path):
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


@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_a_silent_segment_is_refused(manifest, tmp_path, offset):
    path = manifest.utterances[2].path
    samples = np.r_[np.full(6_400, offset), np.tile([0.5, 0.4], 3_200)]
    soundfile.write(path, samples, RATE_HZ)
    settings = toy_settings(segment_mode=0)
    with pytest.raises(InputError, match=r"u2.wav: a segment of it is silent"):
        segment_corpus(Manifest(**vars(manifest)), settings, tmp_path / "data")
    assert not (tmp_path / "data" / "TOY_0.4s_Segmented_mode0").exists()


def test_two_runs_at_once_build_the_folder_once(manifest, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(segment_corpus, manifest, toy_settings(), tmp_path / "data")
            for _ in range(2)
        ]
    first, second = (run.result() for run in runs)
    assert first.build == second.build
    left = {path.name for path in (tmp_path / "data").iterdir()}
    assert left == {"TOY_0.4s_Segmented", ".TOY_0.4s_Segmented.lock"}
