"""A fold's training as it is described, as it travels, and as it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataio import Dataset
from hyperparameters import Settings
from utils.corpora.load import DataPaths
from utils.model_files.tflite import FUSED
from utils.protocols.folds import Fold
from utils.runs.folder import fold_folder


@dataclass(frozen=True, kw_only=True)
class FoldOptions:
    """What a fold does besides, none of which affects its result.

    Attributes:
        command: The command line, for the record.
        verbose: 1 for Keras's own bars.
        record_test_curve: Record test accuracy by epoch; selection never sees it.
        tensorboard: Write TensorBoard logs.
        fused: Also export models that take raw audio.
        export_again: Export a finished fold again.
    """

    command: str = ""
    verbose: int = 0
    record_test_curve: bool = False
    tensorboard: bool = False
    fused: bool = False
    export_again: bool = False


def has_audio_models(record: Mapping[str, Any]) -> bool:
    """Whether a fold's record holds the answers of models that take audio."""
    return any(name.startswith(FUSED) for name in record.get("probabilities", {}))


def needs_export(record: Mapping[str, Any], options: FoldOptions) -> bool:
    """Whether a finished fold has something left to export."""
    return options.export_again or (options.fused and not has_audio_models(record))


@dataclass(frozen=True, kw_only=True)
class FoldTask:
    """A fold as it travels to another process: no data, only where they are.

    Attributes:
        settings: All that affects the result.
        data_paths: Folders and cache.
        number: Fold number, 0-based.
        folder: The run folder.
        num_folds: Folds of the whole run.
        run_hash: As in the run folder's name.
        options: What does not affect the result.
        threads: Threads the fold computes with; another number rounds differently.
        backend: `KERAS_BACKEND`; None leaves it to Keras's own configuration.
    """

    settings: Settings
    data_paths: DataPaths
    number: int
    num_folds: int
    folder: Path
    run_hash: str
    options: FoldOptions
    threads: int = 1
    backend: str | None = None


@dataclass(frozen=True, kw_only=True)
class FoldJob:
    """Everything one fold's training needs, none of it living in another process.

    Attributes:
        dataset: Corpus and features.
        fold: Who trains, chooses and is tested.
        folder: The run folder.
        run_hash: As in the run folder's name.
        num_folds: Folds of the whole run.
        options: What does not affect the result.
        threads: As the task has it; noted in the record.
    """

    dataset: Dataset
    fold: Fold
    folder: Path
    run_hash: str
    num_folds: int
    options: FoldOptions
    threads: int = 1

    @property
    def settings(self) -> Settings:
        return self.dataset.settings

    @property
    def fold_folder(self) -> Path:
        """Weights, exported models and state of the fold."""
        return fold_folder(self.folder, self.fold.number)

    def data_of(self, utterance_ids: Sequence[str]) -> tuple | None:
        """Features and labels of all segments of some utterances.

        Returns:
            (segments, frames, features, 1) float32 and (segments,) class indices; None
            for no utterance.

        Raises:
            InputError: Another run replaced the segments they are computed from.
        """
        numbers = self.dataset.numbers_of(utterance_ids)
        if len(numbers) == 0:
            return None
        features = np.asarray(self.dataset.features[numbers])
        self.dataset.check_segments()
        return features, self.dataset.labels[numbers]
