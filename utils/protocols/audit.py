"""The leak audit: what test sets share with the sets that train or choose the epoch.

`python -m utils.protocols.audit -dn EMO-DB --protocol published` prints it without
training.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hyperparameters import Settings
from utils import options
from utils.cli import Parser, run_main
from utils.corpora.counts import count_lines
from utils.corpora.load import read_corpus, select_part
from utils.corpora.manifest import Manifest, Utterance
from utils.model_files.starting import StartingModel
from utils.protocols.command import settings_and_start
from utils.protocols.folds import PROTOCOLS, Fold, make_folds
from utils.runs.checks import SPEAKER_PROTOCOLS

ABOUT_SCORES = {
    "test": "the test fold chose the epoch: optimistic",
    "validation": "a part of the training data chose the epoch, not the test set",
    "none": "nothing chose the epoch: the last one is scored",
}
KINDS = ("speakers", "sentences", "files")


def audit(
    manifest: Manifest,
    folds: Sequence[Fold],
    settings: Settings,
    content_hashes: Mapping[str, str],
    start: StartingModel | None = None,
) -> dict[str, Any]:
    """Find what the sets of each fold share.

    Args:
        manifest: The utterances of the chosen part.
        folds: All folds of the protocol.
        settings: Protocol and selection.
        content_hashes: SHA-256 of each file, by utterance id.
        start: The model that training starts from, if any.

    Returns:
        For JSON: `verdict`, `notes`, `folds` (per fold, the size of its sets and the
        speakers, sentences and files, by content, that its test set shares with
        training and validation) and `lines`, all of this as text.
    """
    by_id = {utterance.id: utterance for utterance in manifest.utterances}
    rows = [_audit_fold(fold, by_id, content_hashes) for fold in folds]
    heard = start.heard(manifest) if start else frozenset()
    is_known = heard is not None and (start is None or start.is_first)
    result = {
        "protocol": settings.data.protocol,
        "meaning": PROTOCOLS[settings.data.protocol].meaning,
        "select": settings.data.select,
        "verdict": _verdict(rows, manifest, heard or (), is_known=is_known),
        "notes": [
            *_notes(rows, manifest, folds, settings, content_hashes),
            *(start.notes(manifest) if start else ()),
        ],
        "folds": rows,
    }
    return {**result, "lines": _lines(result)}


def _audit_fold(
    fold: Fold, by_id: Mapping[str, Utterance], content_hashes: Mapping[str, str]
) -> dict[str, Any]:
    """What one fold's test set shares with the other two sets."""

    def members(ids: Collection[str], kind: str) -> set[str]:
        if kind == "files":
            return {content_hashes[name] for name in ids}
        values = {getattr(by_id[name], kind.removesuffix("s")) for name in ids}
        return {value for value in values if value is not None}

    row: dict[str, Any] = {
        "fold": fold.number,
        "train": len(fold.train),
        "validation": len(fold.validation),
        "test": len(fold.test),
        "chosen_on": fold.chosen_on,
    }
    for kind in KINDS:
        tested = members(fold.test, kind)
        row[f"test_{kind}"] = len(tested)
        for name in ("train", "validation"):
            shared = tested & members(getattr(fold, name), kind)
            if kind == "files":  # names say more than hashes
                shared = {u for u in fold.test if content_hashes[u] in shared}
            row[f"{kind}_shared_with_{name}"] = sorted(shared)
    return row


def _verdict(
    rows: Sequence[Mapping[str, Any]],
    manifest: Manifest,
    heard: Collection[str],
    *,
    is_known: bool,
) -> str:
    """The audit in one line.

    Args:
        rows: The folds.
        manifest: The corpus.
        heard: Utterances that trained the starting model.
        is_known: Whether these are all of them.
    """
    if not any(row["test"] for row in rows):
        return "no test set: every utterance trains, nothing is scored"
    parts = []
    if any(u.speaker is None for u in manifest.utterances):
        parts.append("speakers unknown: assume speaker-dependent")
    elif heard or _any_shared(rows, "speakers"):
        parts.append("speaker-dependent")
    else:
        parts.append("speaker-independent")
    if _any_shared(rows, "files"):
        parts.append("LEAK: the same recording is tested and trained on")
    if heard:
        parts.append("LEAK: the starting model was trained on recordings tested here")
    elif not is_known:
        parts.append("the starting model may know these speakers")
    parts.append(ABOUT_SCORES[rows[0]["chosen_on"]])
    return "; ".join(parts)


def _any_shared(rows: Sequence[Mapping[str, Any]], kind: str) -> bool:
    """Whether any fold's test set shares something with training or validation."""
    return any(
        row[f"{kind}_shared_with_{name}"]
        for row in rows
        for name in ("train", "validation")
    )


def _notes(
    rows: Sequence[Mapping[str, Any]],
    manifest: Manifest,
    folds: Sequence[Fold],
    settings: Settings,
    content_hashes: Mapping[str, str],
) -> list[str]:
    """What the verdict does not say, one line each."""
    data, by_id = settings.data, {u.id: u for u in manifest.utterances}
    notes = []
    sentences = {u.sentence for u in manifest.utterances if u.sentence is not None}
    if sentences and _any_shared(rows, "sentences"):
        notes.append(
            f"the corpus has {len(sentences)} sentences, each spoken many times: "
            "sentences of the test set also occur in training, under every protocol"
        )
    tested = [name for fold in folds for name in fold.test]
    if len(tested) > len(set(tested)):
        notes.append(
            f"test sets overlap: {len(tested)} rows are {len(set(tested))} utterances"
        )
    by_speaker = data.protocol in SPEAKER_PROTOCOLS
    if by_speaker and any(_shares_session(fold, by_id) for fold in folds):
        notes.append(
            "validation speakers are dialogue partners of the test speakers, in the "
            "same recordings"
        )
    speakers = {u.speaker for u in manifest.utterances}
    if data.protocol == "published" and speakers == {None}:
        notes.append("speakers unknown: the folds are random ones, stratified by class")
    is_by_speaker = data.protocol in ("published", "speaker")
    if is_by_speaker and len(folds) != data.num_folds:
        notes.append(
            f"{len(folds)} folds, not the {data.num_folds} of --num_folds: every fold "
            "needs a speaker"
        )
    return [*notes, *_similar_speakers(speakers), *_copies(manifest, content_hashes)]


def _shares_session(fold: Fold, by_id: Mapping[str, Utterance]) -> bool:
    """Whether test and validation utterances come from one session."""
    sessions = {by_id[name].session for name in fold.test} - {None}
    return bool(sessions & {by_id[name].session for name in fold.validation})


def _similar_speakers(speakers: Collection[str | None]) -> list[str]:
    """A line for speakers whose names differ in case, spaces or punctuation only."""
    names: dict[str, set[str]] = defaultdict(set)
    for speaker in {str(speaker) for speaker in speakers if speaker is not None}:
        names["".join(filter(str.isalnum, speaker.casefold()))].add(speaker)
    return [
        f"speakers {' and '.join(map(repr, sorted(same)))} may be one: their names "
        "differ in case or punctuation only"
        for _, same in sorted(names.items())
        if len(same) > 1
    ]


def _copies(manifest: Manifest, content_hashes: Mapping[str, str]) -> list[str]:
    """A line for each recording that the corpus contains under several names."""
    copies: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in manifest.utterances:
        copies[content_hashes[utterance.id]].append(utterance)
    lines = []
    for same in copies.values():
        if len(same) < 2:
            continue
        ids = ", ".join(utterance.id for utterance in same)
        speakers = sorted({str(utterance.speaker) for utterance in same})
        may_be_one = f": speakers {' and '.join(speakers)} may be one"
        hint = may_be_one if len(speakers) > 1 else ""
        lines.append(f"one recording under {len(same)} names ({ids}){hint}")
    return lines


def _lines(result: Mapping[str, Any]) -> list[str]:
    """The audit as text: verdict, a table of the folds, notes."""
    lines = [
        f"Protocol {result['protocol']}: {result['meaning']}",
        f"Verdict: {result['verdict']}",
        "",
        "        utterances            test set shares with training / validation",
        "fold  train  valid.  test     speakers      sentences          files",
    ]
    for row in result["folds"]:
        cells = "  ".join(_cell(row, kind) for kind in KINDS)
        lines.append(
            f"{row['fold']:>4}  {row['train']:>5}  {row['validation']:>6}  "
            f"{row['test']:>4}  {cells}"
        )
    return lines + [f"Note: {note}" for note in result["notes"]]


def _cell(row: Mapping[str, Any], kind: str) -> str:
    """`shared with training / shared with validation of all in the test set`."""
    train = len(row[f"{kind}_shared_with_train"])
    validation = len(row[f"{kind}_shared_with_validation"])
    return f"{train:>3} / {validation:>2} of {row[f'test_{kind}']:>2}"


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `train.py` for settings and data."""
    parser = Parser(prog="python -m utils.protocols.audit", description=__doc__)
    options.add_data_paths(options.add_settings(parser, argv)["data"])
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the audit of each seed's folds; return the exit status."""
    args = parse_args(sys.argv[1:] if argv is None else argv)
    data_paths = options.data_paths_from(args)
    several, start = settings_and_start(args)
    data = several[0].data
    _, whole = read_corpus(data.dataset_name, data_paths)
    manifest = select_part(whole, data.audio_type)
    lines = [*whole.info, *count_lines(manifest), *manifest.warnings]
    for settings in several:
        folds = make_folds(manifest.utterances, settings)
        hashes = manifest.content_hashes
        lines += ["", *audit(manifest, folds, settings, hashes, start)["lines"]]
    if manifest.note:
        lines.append(f"Note: {manifest.note}")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
