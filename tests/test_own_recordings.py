"""From one's own recordings to a comparison: each step is one command.

60 files of EMO-DB stand for them: as `speaker/class/`, as `class/`, and in one folder
with names such as `anna_anger_01.wav`.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from utils.corpora.emo_db import EMOTION_OF_LETTER
from utils.files import PROJECT

NAMES = {"03": "anna", "08": "ben", "09": "carl", "13": "dora", "14": "emil"}
CLASSES = ("anger", "boredom", "neutral")
TAKES = 4
SHIPPED = "inference_tests/EMO-DB_3.0s_Segmented_cross_entropy_float32.tflite"
SHORT = ("--epochs", "1", "--folds", "0", "-id", "0.3")


@pytest.fixture(scope="module")
def own(emo_db_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three folders `tree`, `classes` and `flat`, in one folder."""
    folder, seen = tmp_path_factory.mktemp("own"), Counter[tuple[str, str]]()
    for path in sorted((emo_db_dir / "EMO-DB" / "wav").iterdir()):
        name, label = NAMES.get(path.name[:2], ""), EMOTION_OF_LETTER[path.name[5]]
        seen[name, label] += 1
        take = seen[name, label]
        if not name or label not in CLASSES or take > TAKES:
            continue
        for copy in (
            folder / "tree" / name / label / path.name,
            folder / "classes" / label / path.name,
            folder / "flat" / f"{name}_{label}_{take:02}.wav",
        ):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    assert len(list((folder / "flat").iterdir())) == 60
    return folder


def run(*words: object, status: int = 0) -> str:
    """Run a command of the project; return what it printed, errors last."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def audited(own: Path, name: str, *more: object, status: int = 0) -> str:
    """The audit of one of the folders."""
    words = ("-m", "utils.protocols.audit", "-dn", name, "--data_dir", own, *more)
    return run(*words, status=status)


def trained(own: Path, name: str, *more: object) -> tuple[str, Path]:
    """Train one fold for one epoch; what was printed, and the run folder."""
    where = ("--derived_dir", own / "derived", "--output_dir", own / "result")
    words = ("train.py", "-dn", name, "--data_dir", own, *where, *SHORT, *more)
    printed = run(*words)
    folder = printed.split("Run folder: ")[1].splitlines()[0]
    return printed, Path(folder)


def test_speakers_are_never_trained_as_classes(own: Path) -> None:
    """The refusal names the command; the manifest tells speakers and classes apart."""
    refusal = audited(own, "tree", status=2)
    command = f"-m utils.corpora.make_manifest {own / 'tree'}"
    assert command in refusal
    made = run(*command.split())
    assert "template: {speaker}/{label}/* (guessed" in made
    found = audited(own, "tree", "--manifest", own / "tree.csv")
    assert "Verdict: speaker-independent" in found
    assert "all 20 20 20 60" in " ".join(found.split())
    for layout in (made, found):
        assert "anna" in layout


def test_class_folders_are_tested_as_honestly_as_they_allow(own: Path) -> None:
    found = audited(own, "classes")
    assert "--protocol random, because none was given: speakers are unknown" in found
    assert "Verdict: speakers unknown: assume speaker-dependent; a part of the" in found
    assert "60 recordings name no speaker" in found


def test_from_names_to_a_comparison(own: Path) -> None:
    made = run("-m", "utils.corpora.make_manifest", own / "flat")
    assert "template: {speaker}_{label}* (guessed" in made
    manifest = ("--manifest", own / "flat.csv")
    audit = audited(own, "flat", *manifest, "--start_from", SHIPPED)
    assert "has heard 60 of 60 utterances and 5 of 5 speakers" in audit
    printed, scratch = trained(own, "flat", *manifest, "--recipe", "fine_tune")
    assert "Verdict: speaker-independent; nothing chose the epoch" in printed
    assert "48 segments train" not in printed  # a batch has 32
    printed, tuned = trained(own, "flat", *manifest, "--start_from", SHIPPED)
    assert "its outputs for anger, boredom, neutral" in printed
    assert "LEAK: the starting model was trained on recordings tested here" in printed
    run("-m", "utils.report", tuned, *manifest)
    [report] = tuned.glob("*_Report.txt")
    assert f"{Path(SHIPPED).name}, trained on EMO-DB" in report.read_text()
    [exported] = tuned.glob("*_entropy_int8.tflite")
    assert b"started_from" in exported.read_bytes()
    picture = own / "compared.png"
    compare = ("-m", "utils.scores.compare", scratch, tuned, "--plot", picture)
    assert "start_from" in run(*compare)
    assert picture.stat().st_size > 10_000


@pytest.mark.proof
def test_other_classes_get_new_outputs(own: Path) -> None:
    """Half of the stages frozen, own words for one class, speakers unknown."""
    for label, word in (("anger", "angry"), ("boredom", "tired")):
        shutil.copytree(own / "classes" / label, own / "words" / word)
    more = ("--start_from", SHIPPED, "--frozen_stages", "3")
    printed, folder = trained(own, "words", *more)
    assert "its outputs for angry; new outputs for tired" in printed
    assert list(folder.glob("*_int8.tflite"))
