"""The IEMOCAP reader on generated trees: who, where, what, and how many."""

import itertools
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
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def turns() -> list[Turn]:
    return plan_turns()


@pytest.fixture(scope="module")
def data_dir(turns: list[Turn], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_release(folder / "IEMOCAP", turns, duration_s=0)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_every_utterance_has_its_label_speaker_session_and_part(
    name: str, data_dir: Path, turns: list[Turn]
) -> None:
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
    for utterance in manifest.utterances:
        session = f"Session{utterance.session}"
        dialog = utterance.id[: utterance.id.rindex("_")]
        folder = data_dir / "IEMOCAP" / session / "sentences" / "wav" / dialog
        assert utterance.path == folder / f"{utterance.id}.wav"
    assert snapshot(data_dir) == before  # only read


def test_both_speakers_of_a_recording_are_told_apart(data_dir: Path) -> None:
    manifest = read("IEMOCAP", data_dir)
    speakers = {(u.session, u.speaker) for u in manifest.utterances}
    assert speakers == {
        (str(s), f"Ses0{s}{voice}") for s in range(1, 6) for voice in "FM"
    }
    worn_by_her = [u for u in manifest.utterances if u.id.startswith("Ses03F_impro01")]
    assert {u.speaker for u in worn_by_her} == {"Ses03F", "Ses03M"}


@pytest.mark.parametrize(
    "place",
    [
        "IEMOCAP_full_release",
        "IEMOCAP/IEMOCAP_full_release",
        "IEMOCAP/download/IEMOCAP_full_release",
    ],
)
def test_the_release_is_found_by_its_names_and_nested(
    place: str, tmp_path: Path, turns: list[Turn], data_dir: Path
) -> None:
    release = tmp_path / place
    release.parent.mkdir(parents=True, exist_ok=True)
    release.symlink_to(data_dir / "IEMOCAP", target_is_directory=True)
    (tmp_path / "IEMOCAP_full_release").mkdir(exist_ok=True)
    ids = [utterance.id for utterance in read("IEMOCAP", tmp_path).utterances]
    assert ids == sorted(turn.id for turn in turns if turn.code in CLASS_OF_CODE)


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


def test_documented_counts_are_shown_and_met(tmp_path: Path) -> None:
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


def test_counts_that_differ_are_warned_of(data_dir: Path, turns: list[Turn]) -> None:
    manifest = read("IEMOCAP-HAPPINESS", data_dir)
    found = Counter(turn.code for turn in turns)
    assert f"anger {found['ang']} ({DOCUMENTED['anger']})" in manifest.info[0]
    assert len(manifest.warnings) == 2
    assert (
        "the count of anger, happiness, neutral, sadness differs"
        in (manifest.warnings[0])
    )
    assert "improvised (2280 documented): the copy may be" in manifest.warnings[1]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A copy of its own, to be damaged: one dialog a session."""
    turns = [turn for turn in plan_turns(6) if "impro01" in turn.id]
    write_release(tmp_path / "IEMOCAP", turns, duration_s=0)
    return tmp_path


def labels_of(data_dir: Path, dialog: str) -> Path:
    session = f"Session{dialog[4]}"
    return data_dir / "IEMOCAP" / session / "dialog/EmoEvaluation" / f"{dialog}.txt"


def test_missing_labels_of_a_dialog_are_refused(small: Path) -> None:
    path = labels_of(small, "Ses02F_impro01")
    path.unlink()
    with pytest.raises(InputError, match=r"Ses02F_impro01\.txt is missing") as caught:
        read("IEMOCAP", small)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\thap\t", "\tjoy\t", r"impro01\.txt, line 8: unknown code 'joy'; known are"),
        ("\tSes03F_impro01_F001\t", "\tF001\t", r"line 8: expected \[start - end\]"),
        ("F001\thap\t", "F001 ", r"line 8: expected \[start - end\]"),
    ],
)
def test_label_lines_that_cannot_be_read_are_refused(
    small: Path, old: str, new: str, message: str
) -> None:
    path = labels_of(small, "Ses03F_impro01")
    turns = [t for t in plan_turns(6) if t.dialog == "Ses03F_impro01"]
    text = path.read_text()
    second = text.index(f"\t{turns[1].id}\t")
    line_end = text.index("\n", second)
    line = text[second:line_end].replace(turns[1].code, "hap")
    assert old in line
    path.write_text(text[:second] + line.replace(old, new) + text[line_end:])
    with pytest.raises(InputError, match=message):
        read("IEMOCAP", small)


def test_recordings_without_label_and_labels_without_recording_are_named(
    small: Path,
) -> None:
    whole = read("IEMOCAP", small)
    labelled, unheard = itertools.islice(
        (u for u in whole.utterances if u.session == "4"), 2
    )
    path = labels_of(small, "Ses04F_impro01")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if labelled.id not in line))
    unheard.path.unlink()
    manifest = read("IEMOCAP", small)
    left = {u.id for u in whole.utterances} - {u.id for u in manifest.utterances}
    assert left == {labelled.id, unheard.id}
    said = set(manifest.warnings) - set(whole.warnings)
    assert said == {
        "IEMOCAP: 1 passed over (recordings without a label), the first is "
        f"{labelled.id}",
        "IEMOCAP: 1 passed over (labels without a recording), the first is "
        f"{unheard.id}",
    }


def test_a_folder_without_sessions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "IEMOCAP" / "Session6").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no Session1 \.\.\. Session5 in .*IEMOCAP"):
        read("IEMOCAP", tmp_path)


def test_without_the_corpus_the_message_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"IEMOCAP not found: .* is missing\. Ask for"):
        read("IEMOCAP", tmp_path)
