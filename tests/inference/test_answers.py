"""Text and JSON answers, and scores of recordings whose names tell their class."""

import json

import pytest
from small_models import CLASSES, babble, classify, classify_json, write

from utils.inference.answers import bar, class_of, read_label
from utils.inference.timeline import clock

pytest_plugins = ["inference_fixtures"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anxiety_fear_phone_2.wav", ("anxiety_fear", "phone")),
        ("x/anger_rec.wav", ("anger", "rec")),
        ("anger_my_phone_12.wav", ("anger", "my_phone")),
        ("fear_external.wav", ("fear", "external")),
        *((f"{stem}.wav", None) for stem in ("anger", "anger_2", "angers_rec")),
        *((name, None) for name in ("rec_anger.wav", "anger_")),
    ],
)
def test_labels_come_from_names(name, expected):
    assert read_label(name, ("fear", "anxiety_fear", "anger")) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Anger_me.m4a", ("anger", "me")),
        ("angry_Phone_2.mp3", ("anger", "Phone")),
        ("fear_x.wav", ("anxiety_fear", "x")),
        ("AFRAID_x_1.wav", ("anxiety_fear", "x")),
        ("HAPPY_a_b_2.wav", ("Happiness", "a_b")),
        ("a\u0308rger_x.wav", ("\u00e4rger", "x")),
        *((name, None) for name in ("angryness_x.wav", "calm_x.wav", "angry_2.wav")),
    ],
)
def test_case_and_common_synonyms_count(name, expected):
    classes = ("Happiness", "anxiety_fear", "anger", "\u00e4rger")
    assert read_label(name, classes) == expected


@pytest.mark.parametrize("spelled", ["Anxiety Fear", "anxiety-fear", "Anxious"])
def test_synonyms_of_a_class_in_any_spelling_count(spelled):
    assert read_label("scared_x.wav", (spelled, "anger")) == (spelled, "x")


def test_a_synonym_of_two_classes_is_no_label():
    assert read_label("afraid_x.wav", ("fear", "anxiety_fear", "anger")) is None


def test_labelled_files_are_scored_by_origin(models_dir, tmp_path, capsys):
    """Predicts the classes, then names the files, one of them wrongly."""
    paths = [write(tmp_path / f"{n}.wav", babble(1.0, n)) for n in range(3)]
    found = [answer["class"] for answer in classify_json(capsys, "-fn", *paths)]
    wrong = next(name for name in CLASSES if name != found[2])
    names = [f"{found[0]}_rec.wav", f"{found[1]}_phone.wav", f"{wrong}_phone_2.wav"]
    for path, name in zip(paths, names, strict=True):
        path.rename(tmp_path / name)
    lines = classify(capsys, "-fn", tmp_path).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("file "))
    rows = {line.split()[0]: line.split()[1:] for line in lines[start + 1 : start + 4]}
    assert rows[names[0]] == ["rec", found[0], found[0]]
    assert rows[names[2]] == ["phone", wrong, found[2], "✗"]
    counts = ["phone: 1 of 2 right", "rec: 1 of 1 right"]
    assert lines[start + 4 : start + 6] == counts
    assert not any("no class in the name" in line for line in lines)
    write(tmp_path / "clip.wav", babble(1.0))
    line = "no class in the name (<class>_<origin>.wav): 1 of 4"
    assert line in classify(capsys, "-fn", tmp_path).splitlines()
    (tmp_path / "clip.wav").unlink()
    content = json.loads(classify(capsys, "-fn", tmp_path, "--json"))
    assert content["right_of_origin"] == {
        "phone": {"right": 1, "recordings": 2},
        "rec": {"right": 1, "recordings": 1},
    }


def test_bars_clocks_and_equal_probabilities():
    assert bar(1.0) == "█" * 24
    assert bar(0.0) == ""
    assert bar(0.5 + 1 / 384) == "█" * 12  # halves are rounded to the even eighth
    assert clock(3723.449) == "1:02:03.4"
    assert clock(59.96) == "1:00.0"
    assert clock(0.04) == "0:00.0"
    assert class_of([0.4, 0.4, 0.2], CLASSES) == "neutral"
