"""The fold records of a run folder, checked, as arrays."""

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError, to_flat
from utils.runs.checks import check_record, check_together
from utils.runs.folder import (
    CONFIG_NAME,
    file_stem,
    read_config,
    record_path,
    settings_of,
)
from utils.runs.json_files import CONFIG, RECORD, read_object
from utils.runs.links import refuse_links

RECORD_NAME = re.compile(r"fold_(\d+)\.json")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Scored test utterances: one row per utterance and fold.

    Attributes:
        utterance_ids: (n,) str.
        true: (n,) class index.
        probabilities: (n, classes) float64.
        speakers: (n,) str, or None if unknown.
        folds: (n,) fold number.
    """

    utterance_ids: npt.NDArray[np.object_]
    true: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    speakers: npt.NDArray[np.object_]
    folds: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.true)

    @property
    def num_classes(self) -> int:
        """Outputs of the network."""
        return self.probabilities.shape[1]

    @functools.cached_property
    def predicted(self) -> npt.NDArray[np.int64]:
        """(n,) class index of the highest probability; of equals, the first."""
        return self.probabilities.argmax(axis=1)

    @property
    def has_speakers(self) -> bool:
        """Whether every row's speaker is known."""
        return all(speaker is not None for speaker in self.speakers)

    def take(self, chosen: npt.NDArray[Any]) -> "Rows":
        """The rows of a mask or of an index array."""
        return Rows(
            utterance_ids=self.utterance_ids[chosen],
            true=self.true[chosen],
            probabilities=self.probabilities[chosen],
            speakers=self.speakers[chosen],
            folds=self.folds[chosen],
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run folder: its configuration and the records of the finished folds.

    Attributes:
        folder: Where it was read.
        config: `config.json`; if only records were copied, the keys that they share
            with it (settings, hash, classes, corpus, num_folds).
        records: One dictionary per finished fold, by fold number.
    """

    folder: Path
    config: dict[str, Any]
    records: tuple[dict[str, Any], ...]

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by name; those newer than the run have published values."""
        return to_flat(settings_of(self.config))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the network's outputs."""
        return tuple(self.config["classes"])

    @property
    def protocol(self) -> str:
        """The protocol's name."""
        return str(self.settings["protocol"])

    @property
    def file_stem(self) -> str:
        """Start of the run's file names: `EMO-DB_3.0s_Segmented_cross_entropy`."""
        return file_stem(self.config["corpus"]["name"], settings_of(self.config))

    @property
    def corpus_digest(self) -> str | None:
        """Digest of the corpus's names, labels and contents."""
        return self.config["corpus"].get("digest")

    @property
    def num_folds(self) -> int:
        """Folds of the whole run."""
        return int(self.config["num_folds"])

    @property
    def verdict(self) -> str | None:
        """The leak audit in one line; None if it was not recorded."""
        verdict: str | None = self.config.get("audit", {}).get("verdict")
        return verdict

    @property
    def note(self) -> str:
        """What a reader must know about the corpus to judge a score; often empty."""
        return str(self.config["corpus"].get("note", ""))

    @property
    def progress(self) -> str:
        """`2 of 10 folds`."""
        return f"{len(self.records)} of {self.num_folds} folds"

    @property
    def is_complete(self) -> bool:
        """Whether every fold has its record."""
        return len(self.records) == self.num_folds

    @property
    def chosen_on(self) -> str:
        """The sets that chose the epochs: `test`, `validation`, `none`, or several."""
        return "/".join(sorted({record["chosen_on"] for record in self.records}))

    @property
    def sources(self) -> tuple[str, ...]:
        """The models scored in every fold: `keras`, `float32`, ..."""
        first, *others = [record["probabilities"] for record in self.records]
        return tuple(name for name in first if all(name in other for other in others))

    def rows(self, source: str = "keras") -> Rows:
        """The test rows of one model, fold by fold; none under protocol `all`.

        Args:
            source: The model that predicted: `keras`, `float32`, `int8`, ...

        Raises:
            InputError: Not every fold has predictions of that model.
        """
        tested = [record for record in self.records if record["test"]]
        if tested and source not in self.sources:
            raise InputError(
                f"{self.folder}: no probabilities of {source!r} in every fold; there "
                f"are those of {', '.join(self.sources) or 'no model'}"
            )
        shape = (-1, len(self.classes))
        return Rows(
            utterance_ids=_joined(tested, "test"),
            true=_joined(tested, "labels").astype(np.int64),
            probabilities=np.array(
                [row for record in tested for row in record["probabilities"][source]],
                np.float64,
            ).reshape(shape),
            speakers=_joined(tested, "speakers"),
            folds=np.repeat(
                np.array([record["fold"] for record in tested], np.int64),
                [len(record["test"]) for record in tested],
            ),
        )


def _joined(records: list[dict[str, Any]], key: str) -> npt.NDArray[np.object_]:
    """One list of all records, concatenated: (n,) object."""
    return np.array([value for record in records for value in record[key]], object)


def chosen_fold(run: Run) -> tuple[int, str]:
    """The fold whose models represent the run, and the reason.

    As published, this is the fold with the best accuracy on the set that chose its
    epoch (under `published` and `paper` the test set), the first of equals. If no set
    chose the epoch, it is the first fold; under `all` there is only one.
    """
    accuracies = [
        max(record.get("history", {}).get("validation_accuracy", [0.0]))
        for record in run.records
    ]
    best = int(np.argmax(accuracies))
    number = int(run.records[best]["fold"])
    reasons = {
        "test": "best accuracy on its own test set, as published",
        "validation": "best accuracy on its validation set",
        "none": "the first fold; nothing was chosen",
    }
    if run.protocol == "all":
        return number, "trained on every utterance"
    return number, reasons[run.records[best]["chosen_on"]]


def load_run(folder: Path | str) -> Run:
    """Read the records of a run folder; it needs no weights or models.

    Args:
        folder: Holds `folds/fold_*.json` and, usually, `config.json`.

    Returns:
        The run, complete or not.

    Raises:
        InputError: No record, a damaged one, a link, or records that contradict each
            other.
    """
    folder = Path(folder)
    refuse_links(folder)
    paths = sorted(folder.glob("folds/fold_*.json"))
    paths = [path for path in paths if RECORD_NAME.fullmatch(path.name)]
    if not paths:
        raise InputError(
            f"{folder}: no folds/fold_*.json; give a run folder, such as one in result/"
        )
    records = sorted((_read_record(path) for path in paths), key=lambda r: r["fold"])
    has_config = os.path.lexists(folder / CONFIG_NAME)
    config = read_config(folder) if has_config else {k: records[0][k] for k in CONFIG}
    check_together(folder, config, records)
    return Run(folder=folder, config=config, records=tuple(records))


def _read_record(path: Path) -> dict[str, Any]:
    """Read one fold's record and check it."""
    record = read_object(path, RECORD)
    expected = record_path(path.parent.parent, record["fold"]).name
    if path.name != expected:
        raise InputError(
            f"{path}: holds fold {record['fold']}, so its name must be {expected}"
        )
    check_record(path, record)
    return record
