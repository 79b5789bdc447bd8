"""Everything that one fold needs, as it travels to the process that trains it."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataio import Dataset
from hyperparameters import Settings
from utils.audio.scale import Scale, Voices
from utils.model_files.starting import StartingModel
from utils.model_files.tflite import FUSED
from utils.protocols.folds import Fold
from utils.runs.folder import fold_folder

# Called with an event of a fold: its number, and an epoch, a stage or a warning
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class FoldOptions:
    """Options of a fold that do not affect its result.

    Attributes:
        command: The command line, for the record.
        verbose: 1 for Keras's progress bars.
        record_test_curve: Record test accuracy by epoch; it never chooses the epoch.
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


@dataclass(frozen=True, kw_only=True)
class FoldJob:
    """One fold; small when pickled, since features stay in their file.

    Attributes:
        dataset: Corpus and features; holds the settings.
        fold: The utterances that train, choose the epoch and are tested.
        num_folds: Folds of the whole run.
        folder: The run folder, absolute.
        run_hash: As in the run folder's name.
        options: What does not affect the result.
        threads: Threads to compute with; another number changes rounding.
        backend: `KERAS_BACKEND`; None leaves it to Keras's own configuration.
        start: The model whose weights training starts from, or None.
    """

    dataset: Dataset
    fold: Fold
    num_folds: int
    folder: Path
    run_hash: str
    options: FoldOptions
    threads: int = 1
    backend: str | None = None
    start: StartingModel | None = None

    @property
    def settings(self) -> Settings:
        """All that affects the result."""
        return self.dataset.settings

    @property
    def fold_folder(self) -> Path:
        """Weights, exported models and state of the fold."""
        return fold_folder(self.folder, self.fold.number)

    @functools.cached_property
    def voices(self) -> Voices | None:
        """What the training voices have in common; None without feature scaling."""
        if self.settings.inputs.feature_scaling == "none":
            return None
        return self.dataset.voices(self.fold.train)

    def data_of(
        self, utterance_ids: Sequence[str], scale: Scale | None = None
    ) -> tuple | None:
        """Features and labels of all segments of some utterances.

        Args:
            utterance_ids: In any order.
            scale: That of their voice; None means that the voice is not known. Without
                feature scaling nothing is scaled.

        Returns:
            (segments, frames, features, 1) float32 and (segments,) class indices; None
            if there is no utterance.

        Raises:
            InputError: Another run replaced the segments they are computed from.
        """
        numbers = self.dataset.numbers_of(utterance_ids)
        if len(numbers) == 0:
            return None
        features = np.asarray(self.dataset.features[numbers])
        if self.voices is not None:
            scale = scale or self.voices.typical
            features = scale.apply(features, self.settings.front_end)
        self.dataset.check_segments()
        return features, self.dataset.labels[numbers]


def has_audio_models(record: Mapping[str, Any]) -> bool:
    """Whether a fold's record has predictions of models that take raw audio."""
    return any(name.startswith(FUSED) for name in record.get("probabilities", {}))


def needs_export(record: Mapping[str, Any], options: FoldOptions) -> bool:
    """Whether models of a finished fold are still to be exported."""
    return options.export_again or (options.fused and not has_audio_models(record))
