"""Whether the records of a run folder are whole, of one run, and follow its protocol.

A run folder may come from elsewhere. What contradicts itself is refused: its scores
would stand under a question that they do not answer.
"""

import collections
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hyperparameters import InputError, Settings, to_flat
from utils.corpora.manifest import Manifest
from utils.runs.folder import hash_of, settings_of

MOST_FOLDS = 10_000
REPEATING_PROTOCOL = "paper"  # its hold-outs overlap: an utterance has several rows
SPEAKER_PROTOCOLS = ("speaker", "session")  # a test speaker never trains
# The set that chooses the epoch with `--select best`; with `last`, none does
CHOSEN_ON = {
    "published": "test",
    "paper": "test",
    "random": "validation",
    "speaker": "validation",
    "session": "validation",
    "all": "none",
}
# Systems that may have predictions with the scale of a known voice
WITHOUT_TEACHER = {"all": ("keras", "int8"), "draws": ("keras",)}
WITH_TEACHER = {
    "all": ("keras", "int8", "functionals"),
    "draws": ("keras", "functionals", "pair"),
}
NOT_SCORED = -1  # in `draws`: the utterance set the scale
AGAIN = "train this fold again"
Object = dict[str, Any]


def check_record(path: Path, record: Object) -> None:
    """Check that the lists of one fold's record fit each other.

    Raises:
        InputError: They do not; names the file and the key.
    """
    rows, num_classes = len(record["test"]), len(record["classes"])
    for key in ("labels", "speakers"):
        if len(record[key]) != rows:
            raise InputError(
                f"{path}: {key!r} must have {rows} entries as 'test' has, got "
                f"{len(record[key])}; {AGAIN}"
            )
    if not all(label in range(num_classes) for label in record["labels"]):
        raise InputError(
            f"{path}: 'labels' must be class indices below {num_classes}; {AGAIN}"
        )
    if rows and "keras" not in record["probabilities"]:
        raise InputError(f"{path}: 'probabilities' must hold those of 'keras'; {AGAIN}")
    for source, table in record["probabilities"].items():
        _check_probabilities(f"{path}: {source!r}", table, (rows, num_classes))
    if "functionals" in record:
        _check_functionals(path, record)
    if "known_voice" in record:
        _check_known_voice(path, record)
    sets = [*record.get("train", ()), *record.get("validation", ()), *record["test"]]
    _check_once(f"{path}: 'train', 'validation' and 'test'", sets)
    if record.get("history"):
        _check_history(path, record)


def _check_probabilities(name: str, table: Any, shape: tuple[int, int]) -> None:
    """Check shape and range of one model's probabilities."""
    if set(map(len, table)) - {shape[1]} or len(table) != shape[0]:
        raise InputError(
            f"{name}: probabilities must be {shape[0]} x {shape[1]} (utterances x "
            f"classes), got {len(table)} x {'/'.join(map(str, set(map(len, table))))}; "
            f"{AGAIN}"
        )
    values = np.array(table, np.float64)
    rounding = 1e-6  # a mean of float32 values may exceed 1 by this much
    if not np.all((values >= -rounding) & (values <= 1 + rounding)):
        raise InputError(f"{name}: probabilities must lie in 0..1; {AGAIN}")


def _check_functionals(path: Path, record: Object) -> None:
    """Check the predictions of the linear model, which the teacher leaves."""
    tables, where = record["functionals"], f"{path}: 'functionals'"
    teacher = _settings(path, record).training.teacher
    if teacher != "functionals":
        raise InputError(f"{where} must be left out with --teacher {teacher}; {AGAIN}")
    if tables.keys() != {"none"}:
        raise InputError(
            f"{where} must hold 'none', got {', '.join(tables)!r:.40}; {AGAIN}"
        )
    shape = len(record["test"]), len(record["classes"])
    _check_probabilities(f"{where}, 'none'", tables["none"], shape)


def _check_known_voice(path: Path, record: Object) -> None:
    """Check the predictions with the scale of a known voice."""
    found, where = record["known_voice"], f"{path}: 'known_voice'"
    settings = _settings(path, record)
    scaling = settings.inputs.feature_scaling
    if scaling != "voice":
        raise InputError(
            f"{where} must be left out with --feature_scaling {scaling}; {AGAIN}"
        )
    if found.keys() != WITH_TEACHER.keys():
        raise InputError(
            f"{where} must hold 'all' and 'draws', got {', '.join(found)!r:.40}; "
            f"{AGAIN}"
        )
    has_teacher = settings.training.teacher == "functionals"
    allowed = WITH_TEACHER if has_teacher else WITHOUT_TEACHER
    shape = len(record["test"]), len(record["classes"])
    _check_systems(f"{where}, 'all'", found["all"], allowed["all"])
    for system, table in found["all"].items():
        _check_probabilities(f"{where}, 'all', {system!r}", table, shape)
    for name, systems in found["draws"].items():
        _check_systems(f"{where}, {name!r:.40}", systems, allowed["draws"])
        for system, draws in systems.items():
            _check_draws(f"{where}, {name!r:.40}, {system!r}", draws, shape)


def _check_systems(name: str, found: Object, allowed: Sequence[str]) -> None:
    """Check that only systems that the settings make have predictions."""
    if others := [system for system in found if system not in allowed]:
        raise InputError(
            f"{name}: must be of {', '.join(allowed)}, got {others[0]!r:.40}; {AGAIN}"
        )


def _check_draws(name: str, draws: Any, shape: tuple[int, int]) -> None:
    """Check the classes that one system predicts, draw by draw."""
    rows, num_classes = shape
    if not draws or any(len(classes) != rows for classes in draws):
        raise InputError(
            f"{name}: must be lists of {rows} classes, one for each utterance in "
            f"'test'; {AGAIN}"
        )
    allowed = range(NOT_SCORED, num_classes)
    for classes in draws:
        if not all(value in allowed for value in classes):
            raise InputError(
                f"{name}: must be class indices below {num_classes}, or {NOT_SCORED} "
                f"for an utterance that is not scored; {AGAIN}"
            )
        if set(classes) <= {NOT_SCORED}:
            raise InputError(f"{name}: must score an utterance in every draw; {AGAIN}")


def _check_history(path: Path, record: Object) -> None:
    """Check that the curves have one value per epoch, and that one epoch was kept."""
    lengths = {len(curve) for curve in record["history"].values()}
    epochs = max(lengths)
    if lengths != {epochs} or not epochs:
        raise InputError(
            f"{path}: the lists in 'history' must have one value per epoch; {AGAIN}"
        )
    if record.get("epoch_kept") not in range(epochs):
        raise InputError(
            f"{path}: 'epoch_kept' must be one of the {epochs} epochs in 'history', "
            f"got {record.get('epoch_kept')!r}; {AGAIN}"
        )


def _check_once(where: str, ids: Sequence[str]) -> None:
    """Raise if an utterance is listed twice."""
    for name, count in collections.Counter(ids).items():
        if count > 1:
            raise InputError(f"{where}: utterance {name} occurs {count} times")


def check_together(folder: Path, config: Object, records: Sequence[Object]) -> None:
    """Check that configuration and records are of one run that follows its protocol.

    Args:
        folder: Named in errors.
        config: `config.json`, or the keys that a record shares with it.
        records: Of the finished folds, each checked by `check_record`.

    Raises:
        InputError: They contradict each other.
    """
    settings = _settings(folder, config)
    if not 1 <= config["num_folds"] <= MOST_FOLDS:
        raise InputError(
            f"{folder}: 'num_folds' must be 1 to {MOST_FOLDS}, got "
            f"{config['num_folds']:.3g}"
        )
    _check_classes(folder, config["classes"])
    expected = hash_of(settings, config["corpus"].get("digest"))
    if config["hash"] != expected:
        raise InputError(
            f"{folder}: the hash of its settings and corpus is {expected}, not "
            f"{config['hash']:.8}: they were changed after the training"
        )
    for record in records:
        _check_same_run(folder, config, record)
    _check_protocol(folder, config, settings, records)


def check_corpus(folder: Path, records: Sequence[Object], manifest: Manifest) -> None:
    """Check that labels and speakers of a run are those of its corpus.

    Args:
        folder: Named in errors.
        records: Of the finished folds, each checked by `check_record`.
        manifest: The corpus that the run was trained on.

    Raises:
        InputError: An utterance that the corpus lacks, or another class or speaker.
    """
    known = {
        utterance.id: (manifest.classes.index(utterance.label), utterance.speaker)
        for utterance in manifest.utterances
    }
    for record in records:
        truth = zip(record["labels"], record["speakers"], strict=True)
        for name, found in zip(record["test"], truth, strict=True):
            if known.get(name) != found:
                raise InputError(
                    f"{folder}: fold {record['fold']}: utterance {name} has another "
                    f"class or speaker than in {manifest.corpus}: the record was "
                    f"changed; {AGAIN}"
                )


def _settings(folder: Path, content: Object) -> Settings:
    """The settings of a configuration or record; errors name the folder."""
    try:
        return settings_of(content)
    except InputError as error:
        raise InputError(f"{folder}: settings: {error}") from error


def _check_classes(folder: Path, classes: Sequence[str]) -> None:
    """Check that there are classes, each once."""
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise InputError(
            f"{folder}: 'classes' must be two different names or more, got "
            f"{', '.join(classes):.60}"
        )


def _check_same_run(folder: Path, config: Object, record: Object) -> None:
    """Check that a record has the configuration's hash, settings, classes, corpus."""
    for key in ("hash", "num_folds", "classes", "settings", "corpus"):
        found, expected = (_comparable(folder, c, key) for c in (record, config))
        if found != expected:
            raise InputError(
                f"{folder}: fold {record['fold']} has another {key!r} than the run; "
                "keep the records of one run in a folder"
            )
    if not 0 <= record["fold"] < config["num_folds"]:
        raise InputError(
            f"{folder}: fold {record['fold']} is beyond the run's "
            f"{config['num_folds']} folds"
        )


def _comparable(folder: Path, content: Object, key: str) -> object:
    """What two files of one run share: settings may lack those that are newer."""
    if key == "settings":
        return to_flat(_settings(folder, content))
    if key == "corpus":
        return [content[key].get(name) for name in ("name", "digest", "utterances")]
    return content[key]


def _check_protocol(
    folder: Path, config: Object, settings: Settings, records: Sequence[Object]
) -> None:
    """Check the sets of all folds against the protocol that the settings name."""
    protocol = settings.data.protocol
    where = f"{folder}: protocol {protocol}"
    expected = CHOSEN_ON[protocol] if settings.data.select == "best" else "none"
    for record in records:
        if record["chosen_on"] != expected:
            raise InputError(
                f"{where} with --select {settings.data.select} has 'chosen_on' "
                f"{expected!r}, but fold {record['fold']} {record['chosen_on']!r:.40}"
            )
        if bool(record["test"]) != (protocol != "all"):
            tests = "tests no utterance" if protocol == "all" else "tests utterances"
            raise InputError(f"{where} {tests}, unlike fold {record['fold']}")
    tested = [name for record in records for name in record["test"]]
    if protocol != REPEATING_PROTOCOL:
        _check_once(f"{where} tests an utterance once", tested)
        _check_count(where, config, records, len(tested))
    _check_speakers(where, config, protocol, records)


def _check_count(
    where: str, config: Object, records: Sequence[Object], tested: int
) -> None:
    """Check that a complete run that tests anything tests every utterance."""
    expected = config["corpus"].get("utterances", tested)
    if tested and len(records) == config["num_folds"] and tested != expected:
        raise InputError(
            f"{where} tests every utterance, but of {expected} the folds test {tested}"
        )


def _check_speakers(
    where: str, config: Object, protocol: str, records: Sequence[Object]
) -> None:
    """Check that the speakers of test sets do not train, if this is claimed.

    Records name the speakers of test sets alone; other folds tell those of training.
    """
    verdict = config.get("audit", {}).get("verdict", "")
    claims = protocol in SPEAKER_PROTOCOLS or verdict.startswith("speaker-independent")
    pairs = (zip(r["test"], r["speakers"], strict=True) for r in records)
    speaker_of = dict(itertools.chain.from_iterable(pairs)) if claims else {}
    for record in records if claims else ():
        others = [*record.get("train", ()), *record.get("validation", ())]
        trained = {speaker_of.get(name) for name in others} - {None}
        if shared := trained & set(record["speakers"]):
            raise InputError(
                f"{where} is not speaker-independent as claimed: fold "
                f"{record['fold']} trains on its test speaker {min(map(str, shared))}"
            )
