"""The manifest maker: what names mean, what is passed over, what is refused."""

import os
import shlex
from itertools import product
from pathlib import Path

import pytest

import train
from hyperparameters import InputError
from utils.cli import one_line
from utils.corpora import load_manifest
from utils.corpora.counts import count_lines
from utils.corpora.csv_manifest import read_csv
from utils.corpora.make_manifest import main, read_names
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.templates import compile_template, guess_template
from utils.corpora.user_corpus import find_corpus

SPEAKERS = ("anna", "ben", "carl")
LABELS = ("Anger", "anxiety_fear", "sad")
TAKES = ("1", "02", "3b")


def names(pattern: str) -> list[str]:
    """A pattern filled in for three speakers, labels and takes."""
    every = product(SPEAKERS, LABELS, TAKES)
    filled = [pattern.format(s=s, l=label, n=take, k=s[0]) for s, label, take in every]
    return list(dict.fromkeys(filled))


@pytest.mark.parametrize(
    ("pattern", "template"),
    [
        ("{s}/{l}/{n}.wav", "{speaker}/{label}/*"),
        ("{l}/{s}/{n}.wav", "{label}/{speaker}/*"),
        ("{l}/{n}.wav", "{label}/*"),
        ("{l}/{s}_{n}.wav", "{label}/{speaker}*"),
        ("{l}/{s}{n}.wav", "{label}/*"),  # `anna1` might be a speaker or a take
        ("{s}_{l}_{n}.wav", "{speaker}_{label}*"),
        ("{s}-{l}-{n}.mp3", "{speaker}-{label}*"),
        ("{l}_{s}_{n}.wav", "{label}_{speaker}*"),
        ("{s}/{l}_{n}.wav", "{speaker}/{label}*"),
        ("{n}_{l}_{s}.wav", "*_{label}_{speaker}"),
        ("{l} {n}.wav", "{label}*"),
        ("{l}.wav", "{label}"),
        ("{n}/{l}/x_{k}.wav", "{speaker}/{label}/*"),
        ("train/{l}/{n}.wav", "*/{label}/*"),
        ("session{n}/{s}/{l}/x.wav", "{session}/{speaker}/{label}/*"),
        ("impro/{s}/{l}_{n}.wav", "{part}/{speaker}/{label}*"),
        ("{s}/{n}.wav", None),
        ("{s}{l}{n}.wav", None),
    ],
)
def test_guesses(pattern: str, template: str | None) -> None:
    paths = names(pattern)
    assert guess_template(paths) == template
    if template is None:
        return
    matches = [compile_template(template).fullmatch(path) for path in paths]
    found = [match.groupdict() for match in matches if match]
    assert len(found) == len(paths)
    assert {fields["label"] for fields in found} == set(LABELS)
    is_named = "{s}" in pattern and "{speaker}" in template
    assert not is_named or {fields["speaker"] for fields in found} == set(SPEAKERS)


@pytest.mark.parametrize(
    ("template", "path", "fields"),
    [
        ("{speaker}/{label}/*", "a b/joy/x.y.wav", {"speaker": "a b", "label": "joy"}),
        ("{label}_{sentence}.wav", "joy_s 1.WAV", {"label": "joy", "sentence": "s 1"}),
        ("{label}_{sentence}.wav", "joy_s1.mp3", None),
        ("{label}*", "anger.wav", {"label": "anger"}),
        ("{label}*", "weary_1.wav", {"label": "weary"}),
        ("{label}/*", "anger_old/x.wav", {"label": "anger_old"}),
        ("{label}/*", "x.wav", None),
        ("{label}/*", "joy/deep/x.wav", None),
        ("a.b*_{label}", "a.b7_joy.wav", {"label": "joy"}),
        ("a.b*_{label}", "aXb7_joy.wav", None),
    ],
)
def test_templates(template: str, path: str, fields: dict[str, str] | None) -> None:
    match = compile_template(template).fullmatch(path)
    assert (match and match.groupdict()) == fields


@pytest.mark.parametrize("template", ["{speaker}/*", "{label}{label}", "{label}{x}"])
def test_templates_that_say_too_little_are_refused(template: str) -> None:
    with pytest.raises(InputError, match=r"--template must hold \{label\}"):
        compile_template(template)


def touch(folder: Path, *paths: str) -> None:
    """Files of any content."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(os.fsencode(path))


def test_the_command_writes_beside_the_folder_and_says_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my data"
    touch(folder, *names("{s}/{l}/{n}.wav"), "ben/angry/x.flac")
    touch(folder, "readme.txt", "loose.wav", "ben/.x.wav")
    before = sorted(folder.rglob("*"))
    assert main([str(folder)]) == 0
    assert sorted(folder.rglob("*")) == before
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("template: {speaker}/{label}/* (guessed")
    assert printed[1] == "Anger, angry are one class, written as anger"
    assert "1 passed over (not like {speaker}/{label}/*), the first is" in printed[2]
    assert "1 passed over (no sound" in printed[3]
    table = [line.split() for line in printed[4:9]]
    assert table[0] == ["speaker", "anger", "anxiety_fear", "sad", "all"]
    assert table[2] == ["ben", "4", "3", "3", "10"]
    assert table[4] == ["all", "10", "9", "9", "28"]
    words = shlex.split(printed[-1].partition("to train: python train.py ")[2])
    assert train.parse_args(words).manifest == tmp_path / "my data.csv"
    manifest = read_csv(tmp_path, file_name="my data.csv", name="x")
    assert {u.speaker for u in manifest.utterances} == set(SPEAKERS)
    assert {u.path.parent.parent.parent for u in manifest.utterances} == {folder}
    assert main([str(folder)]) == 0  # the same again
    (tmp_path / "my data.csv").write_text("edited")
    with pytest.raises(InputError, match=r"my data\.csv exists with other content"):
        main([str(folder)])
    assert main([str(folder), "--output", str(folder / "m.csv")]) == 0
    assert "\nanna/Anger/1.wav,anna,anger\n" in (folder / "m.csv").read_text()
    with pytest.raises(InputError, match="--output must lie in"):
        main([str(folder), "--output", str(tmp_path / "other" / "m.csv")])


def test_a_name_that_is_not_utf_8_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifest is a text in UTF-8."""
    folder = tmp_path / "data"
    touch(folder, "joy/1.wav", "sad/1.wav", os.fsdecode(b"sad/\xff.wav"))
    with pytest.raises(InputError, match="is not UTF-8; rename it") as caught:
        main([str(folder), "--template", "{label}/*"])
    assert one_line(caught.value).startswith(rf"{folder}/sad/\udcff.wav: ")
    assert not (tmp_path / "data.csv").exists()
    assert main([str(folder), "--template", "{label}/1"]) == 0
    assert r"the first is sad/\udcff.wav" in capsys.readouterr().out


def test_the_folder_above_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    touch(folder, "joy/1.wav", "sad/1.wav")
    assert main([str(folder), "--output", str(folder / "m.csv")]) == 0
    with pytest.raises(InputError, match="is not UTF-8; rename it"):
        main([str(folder)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,label\n\xff.wav,joy\n", "exists with other content and is kept"),
        (b"path,label\r\njoy/1.wav,joy\r\n", "exists with other content and is kept"),
        (None, "is a folder, pipe or device"),
    ],
)
def test_what_is_not_this_manifest_is_kept(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    touch(tmp_path, "joy/1.wav")
    output = tmp_path / "m.csv"
    if content is None:
        os.mkfifo(output)
    else:
        output.write_bytes(content)
    with pytest.raises(InputError, match=message):
        main([str(tmp_path), "--output", str(output)])
    assert content is None or output.read_bytes() == content


@pytest.mark.parametrize(
    ("files", "template", "message"),
    [
        (["a.txt"], None, "holds no recording"),
        (["ann/1.wav", "bob/1.wav"], None, "no folder or file name says an emotion"),
        (["ann/1.wav"], "{speaker}_{label}", "no name is like {speaker}_{label}"),
    ],
)
def test_folders_without_labels_are_refused(
    tmp_path: Path, files: list[str], template: str | None, message: str
) -> None:
    touch(tmp_path, *files)
    with pytest.raises(InputError, match=message):
        read_names(tmp_path, template)


def test_words_that_are_no_emotion_need_a_template(tmp_path: Path) -> None:
    touch(tmp_path, "ann_joy_1.wav", "bob_sad_1.wav", "bob_intro_1.wav")
    assert [f["label"] for _, f in read_names(tmp_path).rows] == ["joy", "sad"]
    named = read_names(tmp_path, "{speaker}_{label}_*")
    assert [f["label"] for _, f in named.rows] == ["joy", "intro", "sad"]


FOLDERS_REFUSED = {
    "speakers": (
        names("{s}/{l}/{n}.wav"),
        r"its files look like \{speaker\}/\{label\}/\*; type python -m utils\.corpora\."
        r"make_manifest \S*/MYDATA$",
    ),
    "names in speakers": (names("{s}/{l}_{n}.wav"), r"like \{speaker\}/\{label\}\*"),
    "unknown words": (
        [f"{s}/{label}/1.wav" for s in ("p1", "p2") for label in ("relaxed", "tense")],
        "folders named relaxed lie in several folders of .*: which level names the",
    ),
    "synonyms": (
        ["anger/1.wav", "angry/1.wav", "sad/1.wav"],
        r"classes anger, angry mean the same \(anger\); put their recordings into one",
    ),
}


@pytest.mark.parametrize("kind", FOLDERS_REFUSED)
def test_folders_that_may_not_be_classes_are_refused(tmp_path: Path, kind: str) -> None:
    files, message = FOLDERS_REFUSED[kind]
    touch(tmp_path / "MYDATA", *files)
    with pytest.raises(InputError, match=message):
        load_manifest(find_corpus("MYDATA", tmp_path), tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        ["relaxed/1.wav", "tense/1.wav", "tense/deep/2.wav"],
        ["anger/ann/1.wav", "anger/bob/1.wav", "sad/ann/1.wav", "sad/bob/1.wav"],
    ],
)
def test_class_folders_in_ones_own_words_are_read(
    tmp_path: Path, files: list[str]
) -> None:
    touch(tmp_path / "MYDATA", *files)
    manifest = load_manifest(find_corpus("MYDATA", tmp_path), tmp_path)
    assert len(manifest.utterances) == len(files)
    assert len(manifest.classes) == 2


def test_synonyms_in_a_csv_must_be_declared(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    path = tmp_path / "m.csv"
    path.write_text("path,label\na.wav,anxiety\nb.wav,Fear\n")
    with pytest.raises(InputError, match="anxiety, Fear mean the same") as caught:
        read_csv(tmp_path, file_name="m.csv", name="x")
    declaration = str(caught.value).split("`")[1]
    path.write_text(f"{declaration}\n{path.read_text()}")
    assert read_csv(tmp_path, file_name="m.csv", name="x").classes == (
        "anxiety",
        "Fear",
    )


@pytest.mark.parametrize(
    ("speakers", "last"),
    [
        ([f"s{n}" for n in range(31)] * 2, "31 speakers with 2 to 2 recordings each"),
        ([None, None, "a"], "2 recordings name no speaker"),
        (["a", "b", "b"], "all 2 1 3"),
    ],
)
def test_counts(speakers: list[str | None], last: str) -> None:
    utterances = [
        Utterance(id=str(n), path=Path("x"), label="xy"[n % 2], speaker=speaker)
        for n, speaker in enumerate(speakers)
    ]
    manifest = Manifest(corpus="T", classes=("x", "y"), utterances=tuple(utterances))
    assert " ".join(count_lines(manifest)[-1].split()) == last
