"""DEMO: what its files hold, and that they are found wherever the data folder is."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hyperparameters import InputError, from_flat
from utils.corpora import corpus_by_name, load_manifest
from utils.corpora.demo import CORPUS, FOLDER
from utils.corpora.manifest import Manifest


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_manifest(corpus_by_name("DEMO"), Path("absent"))


def test_ten_voices_say_two_sentences_in_each_manner(manifest: Manifest) -> None:
    assert len(manifest.utterances) == len(set(manifest.content_hashes.values())) == 140
    assert {u.sentence for u in manifest.utterances} == {"a01", "a02", "b01"}
    cells = [(u.speaker, u.label) for u in manifest.utterances]
    assert {cells.count(cell) for cell in cells} == {2}
    assert len(set(cells)) == 10 * 7
    assert "scores say nothing about emotion recognition" in manifest.note
    assert manifest.warnings == ()
    settings = from_flat(dict(CORPUS.defaults))
    assert (settings.front_end.duration_s, settings.data.num_folds) == (1.5, 5)


def test_files_are_speech_of_16_bits_at_16_khz(manifest: Manifest) -> None:
    for utterance in manifest.utterances:
        info = soundfile.info(utterance.path)
        form = info.format, info.subtype, info.samplerate, info.channels
        assert form == ("FLAC", "PCM_16", 16_000, 1), utterance.id
        assert 0.8 <= info.duration <= 3.0, utterance.id
        samples, _ = soundfile.read(utterance.path)
        assert 0.02 < np.abs(samples).max() < 0.99, utterance.id


def test_the_repository_stays_small_and_says_what_the_files_are() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.flac")) < 4_000_000
    text = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    assert "synthetic" in text
    assert "MIT" in text
    for name in re.findall(r"`(\w+\.flac)`", text):
        assert (FOLDER / name).is_file()


def test_what_earlier_versions_left_in_the_folder_is_not_read(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.flac"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav/03a01Fa.wav").touch()
    assert CORPUS.read(tmp_path).digest == CORPUS.read(FOLDER).digest
    with pytest.raises(InputError, match=r"DEMO: no \.flac file in"):
        CORPUS.read(tmp_path / "wav")
