"""The IEMOCAP reader on generated trees: who, where, what, and how many."""

import os
from collections import Counter
from pathlib import Path

import pytest
from iemocap_tree import Turn, plan_turns, write_release

from hyperparameters import InputError
from utils.corpora import corpus_by_name, load_manifest
from utils.corpora.iemocap import DOCUMENTED
from utils.corpora.manifest import Manifest

CLASS_OF_CODE = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "happiness",
    "neu": "neutral",
    "sad": "sadness",
}
NAMES = ("IEMOCAP", "IEMOCAP-HAPPINESS")


def read(name: str, data_dir: Path) -> Manifest:
    """Through the registry, as the scripts do."""
    return load_manifest(corpus_by_name(name), data_dir)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file and folder."""
    stats = {str(path): path.stat() for path in folder.rglob("*")}
    return {name: (found.st_size, found.st_mtime_ns) for name, found in stats.items()}


@pytest.fixture(scope="module")
def turns():
    return plan_turns()


@pytest.fixture(scope="module")
def data_dir(turns, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_release(folder / "IEMOCAP", turns, duration_s=0)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_every_utterance_has_its_label_speaker_session_and_part(name, data_dir, turns):
    wanted = CLASS_OF_CODE.copy()
    if name == "IEMOCAP-HAPPINESS":
        del wanted["exc"]
    before = snapshot(data_dir)
    manifest = read(name, data_dir)
    found = {(u.id, u.label, u.speaker, u.session, u.part) for u in manifest.utterances}
    assert found == {
        (turn.id, wanted[turn.code], turn.speaker, turn.session, turn.part)
        for turn in turns
        if turn.code in wanted
    }
    assert manifest.corpus == name
    assert manifest.classes == ("anger", "happiness", "neutral", "sadness")
    assert len({(u.session, u.speaker) for u in manifest.utterances}) == 10
    her_markers = [u for u in manifest.utterances if u.id.startswith("Ses03F_impro01")]
    assert {u.speaker for u in her_markers} == {"Ses03F", "Ses03M"}
    for utterance in manifest.utterances:
        session = f"Session{utterance.session}"
        dialog = utterance.id[: utterance.id.rindex("_")]
        folder = data_dir / "IEMOCAP" / session / "sentences" / "wav" / dialog
        assert utterance.path == folder / f"{utterance.id}.wav"
    assert snapshot(data_dir) == before  # only read


@pytest.mark.parametrize("place", ["", "IEMOCAP/", "IEMOCAP/download/"])
def test_the_release_is_found_by_its_names_and_nested(place, tmp_path, data_dir):
    release = tmp_path / f"{place}IEMOCAP_full_release"
    release.parent.mkdir(parents=True, exist_ok=True)
    release.symlink_to(data_dir / "IEMOCAP", target_is_directory=True)
    (tmp_path / "IEMOCAP_full_release").mkdir(exist_ok=True)
    assert read("IEMOCAP", tmp_path).digest == read("IEMOCAP", data_dir).digest


def documented_turns() -> list[Turn]:
    """As many utterances of each code and part as the real release has."""
    improvised = {"ang": 289, "hap": 284, "neu": 1099, "sad": 608, "exc": 500}
    total = {"ang": 1103, "hap": 595, "neu": 1708, "sad": 1084, "exc": 1041, "xxx": 99}
    rows = [
        (code, "impro" if number < improvised.get(code, 0) else "script")
        for code, count in total.items()
        for number in range(count)
    ]
    rows.sort(key=lambda row: row[1])
    return [
        Turn(
            id=f"Ses01F_{part}{'01' if part == 'impro' else '01_1'}_F{number:04d}",
            code=code,
            speaker="Ses01F",
            session="1",
            part=part,
        )
        for number, (code, part) in enumerate(rows)
    ]


def test_documented_counts_are_shown_and_met(tmp_path):
    write_release(tmp_path / "IEMOCAP", documented_turns(), duration_s=0)
    merged, alone = (read(name, tmp_path) for name in NAMES)
    assert merged.info == (
        "IEMOCAP: 5531 utterances (5531 documented): anger 1103 (1103), happiness "
        "1636 (1636), neutral 1708 (1708), sadness 1084 (1084)",
        "IEMOCAP: 2780 of them improvised",
    )
    assert "happiness 595 (595)" in alone.info[0]
    assert alone.info[1] == (
        "IEMOCAP-HAPPINESS: 2280 of them improvised (2280 documented)"
    )
    # All of it lies in Session1 here, and nothing else is to be said.
    for manifest in (merged, alone):
        assert len(manifest.warnings) == 1
        assert "4 passed over (sessions not in the folder)" in manifest.warnings[0]


def test_counts_that_differ_are_warned_of(data_dir, turns):
    manifest = read("IEMOCAP-HAPPINESS", data_dir)
    found = Counter(turn.code for turn in turns)
    assert f"anger {found['ang']} ({DOCUMENTED['anger']})" in manifest.info[0]
    counts, improvised = manifest.warnings
    assert "the count of anger, happiness, neutral, sadness differs" in counts
    assert "improvised (2280 documented): the copy may be" in improvised


@pytest.fixture
def small(tmp_path):
    """A copy of its own, to be damaged: one dialog a session."""
    turns = [turn for turn in plan_turns(6) if "impro01" in turn.id]
    write_release(tmp_path / "IEMOCAP", turns, duration_s=0)
    return tmp_path


def labels_of(data_dir: Path, dialog: str) -> Path:
    session = f"Session{dialog[4]}"
    return data_dir / "IEMOCAP" / session / "dialog/EmoEvaluation" / f"{dialog}.txt"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\thap\t", "\tjoy\t", r"impro01\.txt, line 8: unknown code 'joy'; known are"),
        ("\tSes03F_impro01_F001\t", "\tF001\t", r"line 8: expected \[start - end\]"),
        ("F001\thap\t", "F001 ", r"line 8: expected \[start - end\]"),
    ],
)
def test_label_lines_that_cannot_be_read_are_refused(small, old, new, message):
    path = labels_of(small, "Ses03F_impro01")
    lines = path.read_text().splitlines()
    code = next(t.code for t in plan_turns(6) if t.id == "Ses03F_impro01_F001")
    line = lines[7].replace(code, "hap")
    assert old in line
    lines[7] = line.replace(old, new)
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=message):
        read("IEMOCAP", small)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_labels_that_are_no_file_are_never_opened(small, kind):
    path = labels_of(small, "Ses03F_impro01")
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(InputError, match=r"impro01\.txt: is a folder, pipe or device"):
        read("IEMOCAP", small)


def test_recordings_without_label_and_labels_without_recording_are_named(small):
    whole = read("IEMOCAP", small)
    labelled, unheard = [u for u in whole.utterances if u.session == "4"][:2]
    path = labels_of(small, "Ses04F_impro01")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if labelled.id not in line))
    unheard.path.unlink()
    manifest = read("IEMOCAP", small)
    left = {u.id for u in whole.utterances} - {u.id for u in manifest.utterances}
    assert left == {labelled.id, unheard.id}
    assert set(manifest.warnings) - set(whole.warnings) == {
        "IEMOCAP: 1 passed over (recordings without a label), the first is "
        f"{labelled.id}",
        "IEMOCAP: 1 passed over (labels without a recording), the first is "
        f"{unheard.id}",
    }
    path.unlink()
    with pytest.raises(InputError, match=r"Ses04F_impro01\.txt is missing, so") as info:
        read("IEMOCAP", small)
    assert "\n" not in str(info.value)


def test_without_sessions_or_folder_the_message_says_how_to_get_it(tmp_path):
    with pytest.raises(InputError, match=r"IEMOCAP not found: .* is missing\. Ask for"):
        read("IEMOCAP", tmp_path)
    (tmp_path / "IEMOCAP" / "Session6").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no Session1 \.\.\. Session5 in .*IEMOCAP"):
        read("IEMOCAP", tmp_path)
