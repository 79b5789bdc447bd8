"""The leak audit: what it says of each protocol, and of planted leaks."""

import dataclasses
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyperparameters import Settings, from_flat
from utils.corpora.manifest import Manifest, Utterance
from utils.files import PROJECT
from utils.protocols.audit import audit, main
from utils.protocols.folds import PROTOCOLS, make_folds

OPTIMISTIC = "the test fold chose the epoch: optimistic"
FAIR = "a part of the training data chose the epoch, not the test set"
LAST = "nothing chose the epoch: the last one is scored"
VERDICTS = {
    ("published", "best"): f"speaker-dependent; {OPTIMISTIC}",
    ("published", "last"): f"speaker-dependent; {LAST}",
    ("random", "best"): f"speaker-dependent; {FAIR}",
    ("speaker", "best"): f"speaker-independent; {FAIR}",
    ("speaker", "last"): f"speaker-independent; {LAST}",
    ("all", "best"): "no test set: every utterance trains, nothing is scored",
}


def toy_manifest() -> Manifest:
    """Six speakers in three sessions, four sentences in three classes: 72 rows."""
    utterances = [
        Utterance(
            id=f"{speaker}{sentence}{label}",
            path=Path(f"{speaker}{sentence}{label}.wav"),
            label=label,
            speaker=f"p{speaker}",
            sentence=f"t{sentence}",
            session=f"s{speaker // 2}",
        )
        for speaker in range(6)
        for sentence in range(4)
        for label in ("calm", "glad", "sad")
    ]
    return Manifest(
        corpus="TOY", classes=("calm", "glad", "sad"), utterances=tuple(utterances)
    )


def glad_p1_as(speaker: str) -> Manifest:
    """The same, with the glad utterances of p1 under another speaker's name."""
    return replaced(
        toy_manifest(),
        lambda u: (
            {"speaker": speaker} if (u.speaker, u.label) == ("p1", "glad") else {}
        ),
    )


def replaced(
    manifest: Manifest, changes: Callable[[Utterance], dict[str, Any]]
) -> Manifest:
    """A manifest with some values of its utterances replaced."""
    utterances = (dataclasses.replace(u, **changes(u)) for u in manifest.utterances)
    return dataclasses.replace(manifest, utterances=tuple(utterances))


def audited(
    manifest: Manifest,
    protocol: str,
    select: str = "best",
    *,
    folds_of: Manifest | None = None,
    hashes: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Audit of the folds of a manifest, or of those made from another one."""
    settings: Settings = from_flat({"protocol": protocol, "select": select})
    folds = make_folds((folds_of or manifest).utterances, settings)
    contents = hashes or {u.id: u.id for u in manifest.utterances}
    return audit(manifest, folds, settings, contents)


def shared(findings: dict[str, Any], kind: str, name: str) -> list[list[str]]:
    """What each fold's test set shares."""
    return [row[f"{kind}_shared_with_{name}"] for row in findings["folds"]]


@pytest.mark.parametrize(("choice", "verdict"), VERDICTS.items())
def test_verdicts(choice: tuple[str, str], verdict: str) -> None:
    assert audited(toy_manifest(), *choice)["verdict"] == verdict


def test_audits_differ_as_protocols_do() -> None:
    choices = list(itertools.product(PROTOCOLS, ("best", "last")))
    lines = {tuple(audited(toy_manifest(), *choice)["lines"]) for choice in choices}
    assert len(lines) == len(choices) - 1  # `all` selects nothing either way


@pytest.mark.parametrize("select", ["best", "last"])
@pytest.mark.parametrize("protocol", ["speaker", "session"])
def test_no_speaker_is_shared(protocol: str, select: str) -> None:
    findings = audited(toy_manifest(), protocol, select)
    assert len(findings["folds"]) == 6
    for name in ("train", "validation"):
        assert shared(findings, "speakers", name) == [[]] * 6
        assert shared(findings, "files", name) == [[]] * 6


def test_the_counts_of_a_fold() -> None:
    findings = audited(toy_manifest(), "speaker")
    row = findings["folds"][1]
    assert row == {
        "fold": 1,
        "train": 48,
        "validation": 12,
        "test": 12,
        "chosen_on": "validation",
        "test_speakers": 1,
        "speakers_shared_with_train": [],
        "speakers_shared_with_validation": [],
        "test_sentences": 4,
        "sentences_shared_with_train": ["t0", "t1", "t2", "t3"],
        "sentences_shared_with_validation": ["t0", "t1", "t2", "t3"],
        "test_files": 12,
        "files_shared_with_train": [],
        "files_shared_with_validation": [],
    }
    [table] = [line.split() for line in findings["lines"] if line.startswith("   1")]
    assert " ".join(table) == "1 48 12 12 0 / 0 of 1 4 / 4 of 4 0 / 0 of 12"


def test_what_no_protocol_removes_is_noted() -> None:
    sentences, folds = audited(toy_manifest(), "speaker", "last")["notes"]
    assert sentences.startswith("the corpus has 4 sentences, each spoken many times")
    assert folds.startswith("6 folds, not the 10 of --num_folds")
    notes = audited(toy_manifest(), "session")["notes"]
    assert any("dialogue partners of the test speakers" in note for note in notes)
    paper = audited(toy_manifest(), "paper")["notes"]
    assert any(note.startswith("test sets overlap: 140 rows are") for note in paper)


def test_a_planted_speaker_is_reported() -> None:
    """Folds made while p1's glad utterances went by the name of p4."""
    true = toy_manifest()
    assert audited(true, "speaker", "last")["verdict"].startswith("speaker-independent")
    findings = audited(true, "speaker", "last", folds_of=glad_p1_as("p4"))
    assert findings["verdict"].startswith("speaker-dependent")
    found = shared(findings, "speakers", "train")
    assert found == [[], ["p1"], [], [], ["p1"], []]


def test_one_speaker_under_two_spellings_is_reported() -> None:
    notes = audited(glad_p1_as("P-1"), "speaker", "last")["notes"]
    assert any("speakers 'P-1' and 'p1' may be one" in note for note in notes)
    notes = audited(toy_manifest(), "speaker")["notes"]
    assert not any("may be one" in note for note in notes)


def test_one_file_under_two_names_is_reported() -> None:
    """p0's and p3's recording are the same bytes: a leak between their folds."""
    manifest = toy_manifest()
    hashes = {u.id: u.id for u in manifest.utterances}
    hashes["32glad"] = hashes["01glad"]
    findings = audited(manifest, "speaker", "last", hashes=hashes)
    assert "LEAK: the same recording is tested and trained on" in findings["verdict"]
    found = shared(findings, "files", "train")
    assert found == [["01glad"], [], [], ["32glad"], [], []]
    [copies] = [note for note in findings["notes"] if "under 2 names" in note]
    assert copies == (
        "one recording under 2 names (01glad, 32glad): speakers p0 and p3 may be one"
    )
    chosen = audited(manifest, "speaker", "best", hashes=hashes)
    assert shared(chosen, "files", "validation") == [[]] * 6
    hashes["10sad"] = hashes["00sad"]  # p1 chooses the epoch of p0's fold
    chosen = audited(manifest, "speaker", "best", hashes=hashes)
    assert shared(chosen, "files", "validation") == [["00sad"], *[[]] * 5]


def test_unknown_speakers_are_assumed_to_be_shared() -> None:
    nobody = {"speaker": None, "sentence": None, "session": None}
    unknown = replaced(toy_manifest(), lambda _: nobody)
    findings = audited(unknown, "published")
    assert findings["verdict"].startswith("speakers unknown: assume speaker-dependent")
    assert findings["notes"] == [
        "speakers unknown: the folds are random ones, stratified by class"
    ]
    assert audited(unknown, "random")["notes"] == []


def audit_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "utils.protocols.audit", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "none such"},  # Keras would not start
        check=False,
    )


def test_the_command_on_the_real_corpus(emo_db_dir: Path, tmp_path: Path) -> None:
    before = sorted(emo_db_dir.iterdir())
    done = audit_command(
        *("-dn", "EMO-DB", "--protocol", "published", "--data_dir", str(emo_db_dir)),
        *("--derived_dir", str(tmp_path)),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Verdict: {VERDICTS['published', 'best']}" in done.stdout
    assert "the corpus has 10 sentences" in done.stdout
    tested = [int(line.split()[3]) for line in done.stdout.splitlines()[5:15]]
    assert sum(tested) == 535
    assert sorted(emo_db_dir.iterdir()) == before
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_every_seed_and_the_corpus_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--seed", "1,2", "--derived_dir", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("Verdict: speaker-dependent; the test fold chose") == 2
    assert printed.count("Note: DEMO is synthetic speech") == 2
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    done = audit_command("-dn", "EMODB", "--data_dir", str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith(
        "python -m utils.protocols.audit: error: "
        "--dataset_name must be one of DEMO, EMO-DB"
    )
