"""EMO-DB: names to labels, the published counts, and files that differ."""

import dataclasses
import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest

from hyperparameters import InputError
from utils.corpora import Archive, Corpus, corpus_by_name, emo_db, load_manifest

# Real names, one of each class; the content is never decoded here.
LABEL_OF_NAME = {
    "03a01Fa": "happiness",
    "03a01Nc": "neutral",
    "03a01Wa": "anger",
    "08b09Lb": "boredom",
    "09a05Ea": "disgust",
    "10b10Ad": "anxiety_fear",
    "16b03Td": "sadness",
}
COUNTS = {  # in the published order of the classes
    "boredom": 81,
    "sadness": 62,
    "happiness": 71,
    "anxiety_fear": 69,
    "disgust": 46,
    "neutral": 79,
    "anger": 127,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small `EMO-DB/`; a file holds its own name."""
    folder = tmp_path / "EMO-DB"
    (folder / "wav").mkdir(parents=True)
    for name in LABEL_OF_NAME:
        (folder / "wav" / f"{name}.wav").write_text(name)
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """EMO-DB, as if published as these files."""
    hash_list = tmp_path / "list.sha256"
    lines = [
        f"{hashlib.sha256(name.encode()).hexdigest()}  wav/{name}.wav\n"
        for name in LABEL_OF_NAME
    ]
    hash_list.write_text("".join(lines))
    archive = Archive(corpus="EMO-DB", url="http://unused/", hash_list=hash_list)
    return dataclasses.replace(emo_db.CORPUS, archive=archive)


def test_label_speaker_and_sentence_come_from_the_name(folder):
    manifest = emo_db.read(folder)
    found = [(u.id, u.label, u.speaker, u.sentence) for u in manifest.utterances]
    assert found == [
        (name, label, name[:2], name[2:5])
        for name, label in sorted(LABEL_OF_NAME.items())
    ]
    assert manifest.classes == tuple(COUNTS)


def test_place_listing_and_other_files_change_nothing(folder, monkeypatch):
    whole = emo_db.read(folder)
    assert emo_db.read(folder / "wav").digest == whole.digest
    for name in ("._03a01Fa.wav", ".DS_Store", "Thumbs.db", "readme.txt"):
        (folder / "wav" / name).write_text("not speech")
    walk = os.walk
    monkeypatch.setattr(
        os, "walk", lambda *a, **k: ((p, d, n[3:] + n[2::-1]) for p, d, n in walk(*a))
    )
    again = emo_db.read(folder)
    assert again.utterances == whole.utterances
    assert again.digest == whole.digest


@pytest.mark.parametrize(
    "name", ["03a01Xa", "03a01", "noise", "3a01Fa", "03a01fa", "03c01Fa", "03a01Fa (1)"]
)
def test_name_that_fits_no_class(folder, name):
    (folder / "wav" / f"{name}.wav").write_text("")
    with pytest.raises(InputError, match="fits no class") as info:
        emo_db.read(folder)
    assert repr(f"{name}.wav") in str(info.value)


def test_folders_that_cannot_be_used(tmp_path, folder, corpus):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.wav file in"):
        emo_db.read(tmp_path / "empty")
    again = folder / "wav" / "03a01Fa.WAV"
    again.write_text("another recording")
    with pytest.raises(InputError, match="two files are called 03a01Fa"):
        emo_db.read(folder)
    again.unlink()
    (folder / "wav" / "09a05Ea.wav").unlink()
    with pytest.raises(InputError, match="no utterance of class disgust"):
        emo_db.read(folder)
    (folder / "wav" / "09a05Ea.wav").symlink_to("absent")
    with pytest.raises(InputError, match=r"09a05Ea\.wav cannot be read"):
        load_manifest(corpus, folder.parent)


def snapshot(folder: Path) -> list[tuple[str, int, int]]:
    """Path, size and time of change of everything below a folder."""
    paths = sorted([folder, *folder.rglob("*")])
    return [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]


def test_published_files_pass_and_others_only_if_accepted(folder, corpus):
    before = snapshot(folder.parent)
    published = load_manifest(corpus, folder.parent)
    assert not [line for line in published.warnings if "published" in line]
    assert snapshot(folder.parent) == before  # only read
    wav = folder / "wav"
    for name in ("03a01Wa", "08b09Lb", "10b10Ad", "16b03Td"):
        (wav / f"{name}.wav").rename(wav / f"15{name[2:]}.wav")
    (wav / "03a01Fa.wav").write_text("altered")
    differences = (
        "4 missing (03a01Wa, 08b09Lb, 10b10Ad, ...), 1 altered (03a01Fa), "
        "4 unknown (15a01Wa, 15b03Td, 15b09Lb, ...)"
    )
    with pytest.raises(InputError) as info:
        load_manifest(corpus, folder.parent)
    assert f"differs from the published files: {differences};" in str(info.value)
    assert "give --accept_altered to use" in str(info.value)
    manifest = load_manifest(corpus, folder.parent, accept_altered=True)
    assert manifest.warnings[-1].endswith(differences)
    assert len(manifest.utterances) == len(LABEL_OF_NAME)


def test_a_missing_corpus_is_fetched_or_the_message_says_how(tmp_path, folder, corpus):
    made = folder.rename(tmp_path / "elsewhere")
    manual = dataclasses.replace(corpus, fetch=None, how_to_get="Ask for it.")
    with pytest.raises(InputError, match=r"EMO-DB is missing\. Ask for it\."):
        load_manifest(manual, tmp_path / "data")
    assert not (tmp_path / "data").exists()
    manifest = load_manifest(dataclasses.replace(corpus, fetch=made.rename), tmp_path)
    assert manifest.utterances[0].path == tmp_path / "EMO-DB" / "wav" / "03a01Fa.wav"


def test_list_in_the_repository_is_complete():
    hashes = emo_db.ARCHIVE.hashes
    assert len(hashes) == len(set(hashes.values())) == 535
    assert {len(value) for value in hashes.values()} == {64}
    assert all(Path(path).parent == Path("wav") for path in hashes)


def test_real_corpus_is_as_published(emo_db_dir):
    manifest = load_manifest(emo_db.CORPUS, emo_db_dir)
    assert manifest.warnings == ()
    assert Counter(u.label for u in manifest.utterances) == COUNTS
    speakers = Counter(u.speaker for u in manifest.utterances)
    counts = (49, 58, 43, 38, 55, 35, 61, 69, 56, 71)
    names = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
    assert speakers == dict(zip(names, counts, strict=True))
    sentences = ["a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10"]
    assert sorted({u.sentence or "" for u in manifest.utterances}) == sentences


@pytest.mark.parametrize(
    "place", ["", "EMO-DB", "EMO-DB/wav", "renamed", "renamed/wav"]
)
def test_the_folder_itself_is_found_too(emo_db_dir: Path, tmp_path: Path, place: str):
    """And nothing is downloaded into it."""
    for name in ("EMO-DB", "renamed"):
        (tmp_path / name).symlink_to(emo_db_dir / "EMO-DB")
    manifest = load_manifest(corpus_by_name("EMO-DB"), tmp_path / place)
    assert len(manifest.utterances) == 535
