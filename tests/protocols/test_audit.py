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
    ("session", "best"): f"speaker-independent; {FAIR}",
    ("session", "last"): f"speaker-independent; {LAST}",
    ("all", "best"): "no test set: every utterance trains, nothing is scored",
}
SETS = ("train", "validation")
NOBODY = {"speaker": None, "sentence": None, "session": None}


def toy_manifest(changes: Callable[[Utterance], dict] = lambda _: {}) -> Manifest:
    """Six speakers in three sessions, four sentences in three classes: 72 rows.

    `changes` gives new values for an utterance.
    """
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
    utterances = [dataclasses.replace(u, **changes(u)) for u in utterances]
    return Manifest(
        corpus="TOY", classes=("calm", "glad", "sad"), utterances=tuple(utterances)
    )


def glad_p1_as(speaker: str) -> Manifest:
    """The same, with the glad utterances of p1 under another speaker's name."""
    return toy_manifest(
        lambda u: {"speaker": speaker} if u.id[0] == "1" and u.label == "glad" else {}
    )


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
    findings = audited(toy_manifest(), *choice)
    assert findings["verdict"] == verdict
    assert findings["lines"][:2] == [
        f"Protocol {choice[0]}: {PROTOCOLS[choice[0]].meaning}",
        f"Verdict: {verdict}",
    ]
    if verdict.startswith("speaker-independent"):
        nothing = [[]] * 6
        for kind, name in itertools.product(("speakers", "files"), SETS):
            assert shared(findings, kind, name) == nothing


def test_the_counts_of_a_fold() -> None:
    findings = audited(toy_manifest(), "speaker")
    assert findings["folds"][1] == {
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


@pytest.mark.parametrize(
    ("choice", "manifest", "note"),
    [
        (("speaker",), toy_manifest(), "the corpus has 4 sentences, each spoken many"),
        (("speaker",), toy_manifest(), "6 folds, not the 10 of --num_folds"),
        (("session",), toy_manifest(), "validation speakers are dialogue partners of"),
        (("paper",), toy_manifest(), "test sets overlap: 140 rows are"),
        (("speaker",), glad_p1_as("P-1"), "speakers 'P-1' and 'p1' may be one"),
        (("published",), toy_manifest(lambda _: NOBODY), "speakers unknown: the folds"),
    ],
)
def test_what_the_verdict_does_not_say_is_noted(
    choice: tuple[str, ...], manifest: Manifest, note: str
) -> None:
    assert any(line.startswith(note) for line in audited(manifest, *choice)["notes"])


@pytest.mark.parametrize("protocol", ["published", "paper", "random"])
def test_dialogue_partners_are_noted_only_if_speakers_are_held_out(
    protocol: str,
) -> None:
    """Elsewhere, test and validation have the speakers themselves in common."""
    notes = audited(toy_manifest(), protocol)["notes"]
    assert not any("partners" in note for note in notes)


def test_unknown_speakers_are_assumed_to_be_shared() -> None:
    findings = audited(toy_manifest(lambda _: NOBODY), "random")
    verdict = findings["verdict"]
    assert verdict.startswith("speakers unknown: assume speaker-dependent")
    assert findings["notes"] == []


def test_a_planted_speaker_is_reported() -> None:
    """Folds made while p1's glad utterances went by the name of p4."""
    findings = audited(toy_manifest(), "speaker", "last", folds_of=glad_p1_as("p4"))
    assert findings["verdict"].startswith("speaker-dependent")
    found = shared(findings, "speakers", "train")
    assert found == [[], ["p1"], [], [], ["p1"], []]


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


def test_the_command_on_the_real_corpus(emo_db_dir: Path, tmp_path: Path) -> None:
    """It needs no Keras, and writes nothing."""
    before = sorted(emo_db_dir.iterdir())
    options = f"-dn EMO-DB --data_dir {emo_db_dir} --derived_dir {tmp_path}"
    done = subprocess.run(
        [sys.executable, "-m", "utils.protocols.audit", *options.split()],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "none such"},  # Keras would not start
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Verdict: {VERDICTS['published', 'best']}" in done.stdout
    assert "the corpus has 10 sentences" in done.stdout
    lines = done.stdout.splitlines()
    assert " ".join(lines[2].split()) == "03 5 7 7 4 1 11 14 49"
    assert " ".join(lines[12].split()) == "all 81 62 71 69 46 79 127 535"
    start = next(n for n, line in enumerate(lines) if line.startswith("fold  train"))
    tested = [int(line.split()[3]) for line in lines[start + 1 : start + 11]]
    assert sum(tested) == 535
    assert sorted(emo_db_dir.iterdir()) == before
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_every_seed_and_the_corpus_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--seed", "1,2", "--derived_dir", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("Verdict: speaker-dependent; the test fold chose") == 2
    assert printed.count("Note: DEMO is synthetic speech") == 1
    assert printed.count("DEMO: 140 utterances") == 1
    assert list(tmp_path.iterdir()) == []
