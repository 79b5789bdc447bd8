"""Recordings whose names tell their class are scored by origin."""

import json

from small_models import CLASSES, ask, ask_json, babble, write

from utils.inference.answers import as_text
from utils.inference.classify import classify_centre
from utils.inference.file_labels import Label, read_label

pytest_plugins = ["inference_fixtures"]


def test_labelled_names():
    classes = ("fear", "anxiety_fear", "anger")
    assert read_label("anxiety_fear_phone_2.wav", classes) == ("anxiety_fear", "phone")
    assert read_label("x/anger_rec.wav", classes) == ("anger", "rec")
    assert read_label("anger_my_phone_12.wav", classes) == ("anger", "my_phone")
    assert read_label("fear_external.wav", classes) == Label("fear", "external")
    for name in [
        "anger.wav",
        "anger_2.wav",
        "angers_rec.wav",
        "rec_anger.wav",
        "anger_",
    ]:
        assert read_label(name, classes) is None


def test_labelled_files_are_scored_by_origin(models_dir, tmp_path, capsys):
    """The answers are known first, then the files are named so that one is wrong."""
    paths = [write(tmp_path / f"{n}.wav", babble(1.0, n)) for n in range(3)]
    answers = [answer["class"] for answer in ask_json(capsys, "-fn", *paths)]
    wrong = next(name for name in CLASSES if name != answers[2])
    names = [f"{answers[0]}_rec.wav", f"{answers[1]}_phone.wav", f"{wrong}_phone_2.wav"]
    folder = tmp_path / "labelled"
    folder.mkdir()
    for path, name in zip(paths, names, strict=True):
        path.rename(folder / name)
    lines = ask(capsys, "-fn", folder).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("file "))
    rows = {line.split()[0]: line.split()[1:] for line in lines[start + 1 : start + 4]}
    assert rows[names[0]] == ["rec", answers[0], answers[0]]
    assert rows[names[2]] == ["phone", wrong, answers[2], "✗"]
    assert lines[start + 4 : start + 6] == [
        "phone: 1 of 2 right",
        "rec: 1 of 1 right",
    ]
    everything = json.loads(ask(capsys, "-fn", folder, "--json"))
    assert everything["right_of_origin"] == {
        "phone": {"right": 1, "recordings": 2},
        "rec": {"right": 1, "recordings": 1},
    }


def test_a_labelled_file_alone_says_what_it_is_named(plain, tmp_path):
    path = write(tmp_path / "anger_rec_2.wav", babble(1.0))
    lines = as_text(classify_centre(path, str(path), plain), CLASSES)
    assert "  named anger, from rec" in lines
