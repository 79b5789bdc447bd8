"""One's own recordings: manifests in CSV, class folders, conversion on the way."""

import dataclasses
import itertools
import os
import random
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import soundfile
from damage import damaged
from fuzzing import fuzz, line_of

import tflite_evaluate
import train
from hyperparameters import InputError, Settings
from utils.audio.find import SUFFIXES
from utils.audio.wav import read_any, read_wav
from utils.cli import run_main
from utils.convert import segments
from utils.corpora import csv_manifest, load_manifest
from utils.corpora.manifest import Manifest
from utils.corpora.reading import is_safe_name, unique_ids
from utils.corpora.segments import segment_corpus
from utils.corpora.user_corpus import conversion_line, find_corpus, manifest_corpus
from utils.files import PROJECT
from utils.inference.sources import open_sources
from utils.tables import csv_text

RATE_HZ = 16_000


def touch(folder: Path, *names: str) -> None:
    """Files of any content: reading a manifest looks at no sample."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def read(folder: Path, text: str | bytes, name: str = "MYDATA") -> Manifest:
    """Write a manifest and read it as the scripts do."""
    path = folder / "m.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    corpus = find_corpus(name, folder / "elsewhere", path)
    return load_manifest(corpus, folder / "elsewhere")


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """a.wav, sub dir/b.flac, c.mp3, d.wav."""
    touch(tmp_path, "a.wav", "sub dir/b.flac", "c.mp3", "d.wav")
    return tmp_path


def test_every_column_is_read(four):
    manifest = read(
        four,
        "label,path,Speaker,session,part,sentence,length\n"
        "sad,a.wav,ann,1,impro,s1,3\n"
        "\n"
        "angry,sub dir\\b.flac,bob,1,script,s2,4\n"
        '"sad",c.mp3,"Ann, the second",2,,,5\n',
    )
    rows = [
        (u.id, u.path, u.label, u.speaker, u.session, u.part, u.sentence)
        for u in manifest.utterances
    ]
    assert rows == [
        ("a", four / "a.wav", "sad", "ann", "1", "impro", "s1"),
        ("c", four / "c.mp3", "sad", "Ann, the second", "2", None, None),
        ("sub_dir_b", four / "sub dir/b.flac", "angry", "bob", "1", "script", "s2"),
    ]
    assert manifest.corpus == "MYDATA"
    assert manifest.classes == ("sad", "angry")  # as the file first names them
    assert manifest.info == (
        "MYDATA: 3 utterances, 3 speakers: sad 2, angry 1",
        "MYDATA: columns not used: length",
    )


@pytest.mark.parametrize(
    "first",
    [
        "# classes: neutral, sad ,angry\n",
        '"#Classes:neutral;sad;angry"\r\n',
        '"# classes: neutral,sad,angry",,\r\n',  # as Excel saves what it has opened
        '"# classes: neutral,sad,angry";;\r\n',
        "# classes: neutral,sad,angry,,,\n",
        "# classes: neutral,sad,angry\n\n  \n",
    ],
)
def test_declared_classes_keep_their_order(four, first):
    rows = "path,label\na.wav,sad\nc.mp3,angry\nd.wav,neutral\n"
    manifest = read(four, first + rows)
    assert manifest.classes == ("neutral", "sad", "angry")
    assert manifest.utterances[0].speaker is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("encoding", "ending"),
    [("utf-8", "\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\r\n")],
)
def test_what_spreadsheets_write_is_read(four, delimiter, encoding, ending):
    lines = [["path", "label"], ["a.wav", "Ärger"], ["c.mp3", "sad"], ["", ""]]
    text = ending.join(delimiter.join(line) for line in lines)
    manifest = read(four, text.encode(encoding))
    assert manifest.classes == ("Ärger", "sad")


def test_the_order_of_lines_changes_nothing_but_undeclared_classes(four):
    lines = ["a.wav,sad,x", "sub dir/b.flac,angry,y", "c.mp3,calm,x", "d.wav,sad,y"]
    head = "# classes: angry,calm,sad\npath,label,speaker\n"
    manifests = [
        read(four, head + "\n".join(order)) for order in itertools.permutations(lines)
    ]
    assert all(manifest == manifests[0] for manifest in manifests)
    assert len({manifest.digest for manifest in manifests}) == 1


def test_texts_like_formulas_are_read_as_they_were_written(tmp_path):
    names = ["=a.wav", "-b.wav", "+c/@d.wav", "'=e.wav", "'f.wav"]
    touch(tmp_path, *names)
    rows = [[name, ("sad", "angry")[len(name) % 2], "-1"] for name in names]
    text = csv_text([["path", "label", "speaker"], *rows])
    assert "\n'=a.wav,sad,'-1\n" in text
    manifest = read(tmp_path, text)
    assert {u.path for u in manifest.utterances} == {tmp_path / n for n in names}
    assert {u.speaker for u in manifest.utterances} == {"-1"}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_names_of_both_normal_forms_are_the_same(tmp_path, form, on_disk):
    """macOS and some keyboards write é and ä as two characters."""
    rows = [
        "# classes: ärger,ruhe",
        "path,label,speaker,session,sentence",
        "Café/José.wav,ärger,José,erste Hälfte,Größe",
        "ä.wav,ruhe,Jörg,zweite Hälfte,Maß",
    ]
    touch(tmp_path, normalize(on_disk, "Café/José.wav"), normalize(on_disk, "ä.wav"))
    manifest = read(tmp_path, "\n".join(normalize(form, row) for row in rows))
    assert manifest.classes == ("ärger", "ruhe")
    assert [tuple(vars(u).values())[2:] for u in manifest.utterances] == [
        ("ärger", "José", "Größe", None, "erste Hälfte"),
        ("ruhe", "Jörg", "Maß", None, "zweite Hälfte"),
    ]
    assert [u.id for u in manifest.utterances] == ["Café_José", "ä"]
    assert all(u.path.is_file() for u in manifest.utterances)


def test_class_folders_of_both_normal_forms_are_one_class(tmp_path):
    folder = tmp_path / normalize("NFD", "Gefühle")
    touch(folder, "ärger/1.wav", normalize("NFD", "ärger/2.wav"), "ruhe/1.wav")
    manifest = load_manifest(find_corpus("Gefühle", tmp_path), tmp_path)
    assert manifest.classes == ("ruhe", "ärger")
    assert [u.id for u in manifest.utterances] == ["ruhe_1", "ärger_1", "ärger_2"]


@pytest.mark.parametrize(
    ("column", "values", "alike"),
    [
        ("speaker", ["1", "01", "1.0", "2"], ["'01', '1', '1.0'"]),
        (
            "speaker",
            ["Anna", "anna", "s_1", "s 01"],
            ["'Anna', 'anna'", "'s 01', 's_1'"],
        ),
        ("session", ["2,0", "2", "１", "1"], ["'2', '2,0'", "'1', '１'"]),
        ("sentence", ["A1", "a1", "b", "c"], ["'A1', 'a1'"]),
        ("speaker", ["1", "11", "1.1", "10"], []),
        ("speaker", ["s1", "s10", "1s", "s1.5"], []),
    ],
)
def test_values_that_may_mean_the_same_are_reported(four, column, values, alike):
    files = ["a.wav,sad", "sub dir/b.flac,angry", "c.mp3,sad", "d.wav,angry"]
    rows = [f'{file},"{value}"' for file, value in zip(files, values, strict=True)]
    manifest = read(four, "\n".join([f"path,label,{column}", *rows]))
    assert sorted(manifest.warnings) == sorted(
        f"MYDATA: {column} {group} may mean the same but count as different; write "
        "each in one way"
        for group in alike
    )


@pytest.mark.parametrize("end", [",,", ";;;", "\t"])
def test_empty_cells_at_the_end_of_lines_are_ignored(four, end):
    lines = ["path,label", "a.wav,sad", "c.mp3,angry"]
    rows = [line.replace(",", end[0]) + end for line in lines]
    assert len(read(four, "\n".join(rows)).utterances) == 2
    with pytest.raises(InputError, match="line 2: has 3 columns, the header 2"):
        read(four, "\n".join([rows[0], rows[1].rstrip(end) + end[0] + "x", rows[2]]))


def test_control_characters_of_files_and_columns_are_escaped(four):
    touch(four / "data/MYDATA", "a/1.wav", "b/1.wav", "\x1b[2Jx.txt")
    folders = load_manifest(find_corpus("MYDATA", four / "data"), four / "data")
    manifest = read(four, "path,label,\x1b[31m\na.wav,sad,1\nc.mp3,angry,2\n")
    lines = (*folders.warnings, *manifest.info)
    assert all(line.isprintable() for line in lines)
    assert r"MYDATA: columns not used: \x1b[31m" in lines


def test_a_cell_of_several_lines_is_one_line(four):
    text = 'path,label,sentence\na.wav,sad,"one\ntwo\t three"\nc.mp3,angry,b\n'
    assert read(four, text).utterances[0].sentence == "one two three"


@pytest.mark.parametrize("column", ["speaker", "session", "sentence"])
@pytest.mark.parametrize("text", ["z\x1b]0;x\x07", "a\0", "\u202eanna"])
def test_what_no_terminal_can_show_is_refused(four, column, text):
    """Records refuse such texts too: a run with them would have no report."""
    rows = f"path,label,{column}\na.wav,sad,{text}\nc.mp3,angry,b\n"
    with pytest.raises(InputError, match=rf"line 2: {column} must be printable, got"):
        read(four, rows)


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", ["MYDATA", "TESS", "DEMO"])
def test_what_is_no_file_is_never_opened(tmp_path, kind, name):
    """Reading it would not end."""
    files = {"MYDATA": ["b/1.wav", "a/1.wav"], "TESS": ["OAF_back_sad.wav"]}
    odd, *others = files.get(name, ["03a01Fa.flac"])
    path = tmp_path / name / odd
    touch(tmp_path / name, odd, *others)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    corpus = dataclasses.replace(find_corpus(name, tmp_path), folder_names=(name,))
    with pytest.raises(InputError, match="is a folder, pipe or device; remove it"):
        load_manifest(corpus, tmp_path)
    with pytest.raises(InputError, match="line 2: there is no file"):
        read(tmp_path, f"path,label\n{name}/{odd},sad\n")


@pytest.mark.parametrize("main", [train.main, segments.main, tflite_evaluate.main])
def test_a_manifest_that_git_lfs_has_not_fetched_is_named(tmp_path, capsys, main):
    path = tmp_path / "m.csv"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    words = ["-dn", "MYDATA", "--manifest", str(path)]
    if main is tflite_evaluate.main:
        words += [
            "--model",
            str(next((PROJECT / "inference_tests").glob("*_int8.tflite"))),
        ]
    assert run_main(lambda _: main(words)) == 2
    line = f"error: {path}: is a git-lfs pointer; type `git lfs pull` there\n"
    assert capsys.readouterr().err.endswith(line)


def test_a_manifest_is_limited(four, monkeypatch):
    path = four / "m.csv"
    path.touch()
    os.truncate(path, 50 * 2**30)  # sparse
    with pytest.raises(InputError, match=r"m\.csv: has 5368.* bytes; at most"):
        load_manifest(manifest_corpus("MYDATA", path), four)
    rows = "a.wav,sad\n" * csv_manifest.MOST_ROWS
    with pytest.raises(InputError, match="may have 200000 lines, has 200001"):
        read(four, "path,label\n" + rows)


HEAD = "path,label,speaker\n"
GOOD = "a.wav,sad,x\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"m\.csv, line 1: is empty; expected the header path,label"),
        ("  \n", "line 1: is empty"),
        ("# classes: sad,angry\n", "line 2: expected the header"),
        ("path,speaker\na.wav,x\n", "line 1: column 'label' is missing; needed"),
        ("a.wav,sad\nc.mp3,angry\n", "line 1: column 'path' is missing"),
        ("# classes: a,b\nfile,label\n", "line 2: column 'path' is missing"),
        ("path,label,Path\n", "line 1: column 'path' occurs twice"),
        (HEAD, "line 2: no recordings below the header"),
        (HEAD + GOOD + "no.wav,sad,x\n", "line 3: there is no file .*no.wav"),
        (HEAD + GOOD + "sub dir,sad,x\n", "line 3: there is no file .*sub dir"),
        (HEAD + GOOD + "x" * 300 + ",sad,x\n", "line 3: .*xxx: File name too long"),
        (HEAD + GOOD + "é" * 300 + ",sad,x\n", "line 3: .*ééé: File name too long"),
        (HEAD + GOOD + "\nsub dir/../a.wav,angry,x\n", "line 4: .* already in line 2"),
        (HEAD + GOOD + "c.mp3, ,x\n", "line 3: label is empty"),
        (HEAD + GOOD + ",sad,x\n", "line 3: path is empty"),
        (HEAD + GOOD + "c.mp3,angry\n", "line 3: has 2 columns, the header 3"),
        (HEAD + GOOD + "c.mp3,angry,x,y\n", "line 3: has 4 columns, the header 3"),
        (HEAD + GOOD + "c.mp3,angry,\n", "line 3: speaker is empty; give it for every"),
        (HEAD + GOOD + "c.mp3,a/b,x\n", "line 3: a label must be made of .*'a/b'"),
        (HEAD + GOOD + "c.mp3,..,x\n", r"line 3: a label must be made of .*'\.\.'"),
        (HEAD + GOOD + "c.mp3,sad.,x\n", r"line 3: a label must be made of .*'sad\.'"),
        (HEAD + GOOD + "c.mp3,sad,x\n", "line 3: needs at least two classes, got sad"),
        (HEAD + GOOD + "c.mp3,Sad,x\n", "line 3: classes sad, Sad are the same but"),
        (HEAD + GOOD + 'c.mp3,"angry,x\n', "line 3: is not CSV"),
        ("x" * 200_000 + "\n" + HEAD, "line 1: is not CSV"),
        ("# classes: sad\n" + HEAD + GOOD, "line 1: needs at least two classes"),
        ("# classes: sad,joy,sad\n" + HEAD + GOOD, "line 1: classes sad, sad are the"),
        (
            "# classes: sad,joy\n" + HEAD + "a.wav,sda,x\n",
            "line 3: unknown label 'sda'",
        ),
        ("# classes: sad,joy\n" + HEAD + GOOD, "MYDATA: no utterance of class joy"),
        (
            "path,label,part\na.wav,sad,improvised\n",
            "line 2: part must be impro or script, got 'improvised'",
        ),
        (
            (HEAD + GOOD + "c.mp3,Ärger,x\n").encode("latin-1"),
            "line 3: is not UTF-8; save it as",
        ),
    ],
)
def test_each_malformed_manifest_is_refused_by_line(four, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(four, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["Überraschung", "U\u0308berraschung", "खुशी", "ความสุข", "喜び", "a_b-1 c+"]
)
def test_classes_may_be_named_in_any_script(name):
    """Some letters are written with marks, and some systems take umlauts apart."""
    assert is_safe_name(name)


@pytest.mark.parametrize(
    "name", [None, "", "_a", "a.", " a", "a/b", "a\n", "a\0", "..", "a*"]
)
def test_names_that_no_file_may_have(name):
    assert not is_safe_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *(
            (name, "--dataset_name must")
            for name in ("a/b", "..", ".x", "-x", "", "a*")
        ),
        ("EMO-DB", "did you mean EMO-DB"),
        ("RAVDESS", "did you mean RAVDESS"),
        # the same folder if the file system ignores case
        ("ravdess", "did you mean RAVDESS"),
        ("Ravdess", "did you mean RAVDESS"),
    ],
)
def test_names_that_cannot_be_ones_own_are_refused(name, message, four):
    with pytest.raises(InputError, match=message):
        read(four, HEAD + GOOD + "c.mp3,angry,x\n", name)
    if name.casefold() == "ravdess" and name != "RAVDESS":
        touch(four / "data" / name, "sad/1.wav", "angry/1.wav")
        with pytest.raises(InputError, match=message):
            find_corpus(name, four / "data")


def test_a_name_or_manifest_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must be a CSV file, got .*x\.csv"):
        manifest_corpus("MYDATA", tmp_path / "x.csv")
    with pytest.raises(InputError, match=r"one of DEMO, EMO-DB.*got 'MINE'; .*--mani"):
        find_corpus("MINE", tmp_path)
    with pytest.raises(InputError, match=r"got 'emodb'; did you mean EMO-DB\?; for "):
        find_corpus("emodb", tmp_path)
    assert find_corpus("EMO-DB", tmp_path).name == "EMO-DB"


def test_ids_are_unique_safe_and_independent_of_order():
    paths = ["a/b.wav", "a_b.wav", "a/b.flac", "../x y.wav", "A.wav", "a.wav", "ä.wav"]
    paths += ["-x.wav", "n" * 300 + ".wav", "m" * 300 + ".wav", "C:/d/e.wav", "….wav"]
    ids = unique_ids(paths)
    assert ids["../x y.wav"] == "x_y"
    assert ids["ä.wav"] == "ä"
    assert ids["-x.wav"] == "x"
    assert len({value.casefold() for value in ids.values()}) == len(paths)
    for value in ids.values():
        assert len(value.encode()) <= 200
        assert not set(value) & set('/\\:*?"<>| ')
        assert not value.startswith((".", "-"))
    shuffled = random.Random(0).sample(paths, len(paths))
    assert unique_ids(shuffled) == ids


def test_class_folders_are_a_corpus_and_what_else_they_hold_is_reported(tmp_path):
    data_dir = tmp_path / "data"
    folder = data_dir / "MYDATA"
    touch(folder, "sad/1.wav", "sad/x/2.MP3", "angry/1.wav", "angry/._1.wav")
    touch(folder, "angry/3.mp4", ".git/x.wav")
    manifest = load_manifest(find_corpus("MYDATA", data_dir), data_dir)
    assert manifest.classes == ("angry", "sad")
    assert [(u.id, u.label, u.speaker) for u in manifest.utterances] == [
        ("angry_1", "angry", None),
        ("angry_3", "angry", None),
        ("sad_1", "sad", None),
        ("sad_x_2", "sad", None),
    ]
    assert manifest.info == ("MYDATA: 4 utterances, speakers unknown: angry 2, sad 2",)
    assert manifest.warnings == ()
    touch(folder, "sad/x/2.zzz", "sad/.hidden", "loose.wav")
    more = load_manifest(find_corpus("MYDATA", data_dir), data_dir)
    assert more.utterances == manifest.utterances
    assert more.warnings == (
        "MYDATA: 2 passed over (no recording in a class folder), the first is "
        f"{folder}/loose.wav",
    )


def test_every_reader_of_folders_knows_the_same_suffixes(tmp_path):
    """Class folders, folders to classify, and the converters together."""
    names = {f"1{suffix}" for suffix in SUFFIXES}
    assert {f"1{s}" for s in (".mp4", ".m4v", ".mka", ".weba", ".w64", ".flv")} < names
    touch(tmp_path / "MYDATA", *(f"{label}/{name}" for label in "ab" for name in names))
    corpus = find_corpus("MYDATA", tmp_path)
    manifest = load_manifest(corpus, tmp_path)
    assert {u.path.name for u in manifest.utterances if u.label == "a"} == names
    with open_sources([str(tmp_path / "MYDATA/a")], tmp_path) as sources:
        assert {source.path.name for source in sources} == names


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["sad/1.wav"], "needs at least two classes, got sad"),
        (["1.wav"], "needs at least two classes, got none"),
        (["sad/1.wav", "docs/a.txt"], "no utterance of class docs"),
        (["sad/1.wav", "sad./1.wav"], r"a class must be made of .*'sad\.'"),
    ],
)
def test_class_folders_that_cannot_be_trained_on_are_refused(tmp_path, files, message):
    touch(tmp_path / "MYDATA", *files)
    with pytest.raises(InputError, match=message):
        load_manifest(find_corpus("MYDATA", tmp_path), tmp_path)


def test_a_linked_folder_is_read_and_a_loop_ends(tmp_path):
    touch(tmp_path / "real", "1.wav", "deep/2.wav")
    touch(tmp_path / "MYDATA", "angry/1.wav")
    (tmp_path / "MYDATA/sad").symlink_to(tmp_path / "real")
    (tmp_path / "real/deep/loop").symlink_to(tmp_path / "real")
    manifest = load_manifest(find_corpus("MYDATA", tmp_path), tmp_path)
    assert [u.id for u in manifest.utterances] == ["angry_1", "sad_1", "sad_deep_2"]


def test_names_of_files_need_not_be_utf_8(tmp_path):
    """As on an old disk or from an old archive."""
    noise = np.random.RandomState(0).randint(-9_000, 9_000, RATE_HZ, np.int16)
    for label in ("angry", "sad"):
        for name in (b"\xe4.wav", b"\xf6.wav"):
            path = tmp_path / "MYDATA" / label / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(os.fsencode(path), noise, RATE_HZ)
    manifest = load_manifest(find_corpus("MYDATA", tmp_path), tmp_path)
    assert len({utterance.id for utterance in manifest.utterances}) == 4
    assert conversion_line(manifest, RATE_HZ) == ""
    for read_file in (read_wav, read_any):
        derived = tmp_path / read_file.__name__
        segmented = segment_corpus(manifest, Settings(), derived, read=read_file)
        assert len(segmented.paths) == 4


def test_other_rates_channels_and_formats_are_counted_and_converted(tmp_path):
    time_s = np.arange(RATE_HZ) / RATE_HZ
    tone = (16_000 * np.sin(2 * np.pi * 300.0 * time_s)).astype(np.int16)
    soundfile.write(tmp_path / "plain.wav", tone, RATE_HZ)
    soundfile.write(tmp_path / "stereo.wav", np.stack([tone, tone], 1), RATE_HZ)
    soundfile.write(tmp_path / "fast.wav", tone, 44_100)
    soundfile.write(tmp_path / "packed.flac", tone, RATE_HZ)
    rows = "plain.wav,a\nstereo.wav,b\nfast.wav,a\npacked.flac,b\n"
    manifest = read(tmp_path, "path,label\n" + rows)
    assert conversion_line(manifest, RATE_HZ) == (
        "MYDATA: 3 of 4 files are converted to 16000 Hz mono when they are read"
    )
    with pytest.raises(InputError, match="must be mono at 16000 Hz"):
        segment_corpus(manifest, Settings(), tmp_path / "d", read=read_wav)
    segmented = segment_corpus(manifest, Settings(), tmp_path / "d", read=read_any)
    assert segmented.utterance_ids == ("fast", "packed", "plain", "stereo")
    same = {path.read_bytes() for path in segmented.paths if "fast" not in path.name}
    assert len(same) == 1  # one sound in three wrappings
    (tmp_path / "a.raw").write_bytes((tmp_path / "plain.wav").read_bytes())
    raw = read(tmp_path, "path,label\nplain.wav,a\na.raw,b\n")
    assert "1 of 2 files are converted" in conversion_line(raw, RATE_HZ)
    only = read(tmp_path, "path,label\nplain.wav,a\nfast.wav,b\n")
    soundfile.write(tmp_path / "fast.wav", tone[::-1], RATE_HZ)
    assert conversion_line(only, RATE_HZ) == ""


ODD_CELLS = (
    *("", " ", "\0", "\x1b[2J", "\u202e", "=1+2", "x" * 300, "é", "e\u0301", "#", '"'),
    *("../a.wav", "/dev/zero", "pipe", ".", "a.wav", "a\nb", "-1", "1.0", "impro"),
)


def try_damaged_manifest(folder: Path, number: int) -> str:
    """Read a manifest with odd cells, or with damaged bytes."""
    if not (folder / "pipe").exists():
        touch(folder, *(f"{n}.wav" for n in "abcd"))
        os.mkfifo(folder / "pipe")
    draw = random.Random(number)
    rows = [["# classes: sad", "angry"], ["path", "label", "speaker", "part"]]
    for place, letter in enumerate("abcd"):
        rows.append([f"{letter}.wav", ("sad", "angry")[place % 2], "José", "script"])
    del rows[: draw.randint(0, 1)]
    for _ in range(draw.randint(1, 3)):
        row = draw.choice(rows)
        row[draw.randrange(len(row))] = draw.choice(ODD_CELLS)
    text = "\n".join(",".join(row) for row in rows)
    content = text.encode(draw.choice(["utf-8", "utf-8-sig", "utf-16"]))
    if number % 2:
        content = damaged(content, np.random.RandomState(number))
    try:
        manifest = read(folder, content)
    except InputError as error:
        return line_of(error, folder / "m.csv", "MYDATA: ")
    assert manifest.digest
    lines = [*manifest.info, *manifest.warnings]
    return "read" if all(map(str.isprintable, lines)) else f"FAULT: {lines!a}"


@pytest.mark.parametrize("count", [200, pytest.param(1_000, marks=pytest.mark.proof)])
def test_a_damaged_manifest_is_read_or_refused(tmp_path, count):
    found = fuzz(try_damaged_manifest, count, tmp_path)
    assert count / 20 < found["read"] < count / 2
