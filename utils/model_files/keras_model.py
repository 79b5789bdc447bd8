"""A run's `.keras` file as a classifier; imports Keras."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd, InputError
from utils.audio.scale import Moments, Scale, Voices
from utils.model_files.metadata import named_classes, voices_in
from utils.runs.folder import CONFIG_NAME, read_config, settings_of
from utils.runs.json_files import CONFIG, read_object

FOLDERS_SEARCHED = 3  # <run>/folds/fold_00/weights.keras


@dataclass(frozen=True, kw_only=True)
class KerasModel:
    """A loaded `.keras` file; implements `utils.model_files.tflite.Classifier`.

    Attributes:
        model: Keras model from features to probabilities.
        classes: Class names in the order of the outputs.
        front_end: Settings that turn samples into features.
        trained_on: Name of the training corpus; None outside a run folder.
        takes_audio: Always False.
        voices: What the training voices have in common; None if the features are not
            scaled.
        voice: Recordings of the voice to be classified; None if it is not known.
    """

    model: Any
    classes: tuple[str, ...]
    front_end: FrontEnd
    trained_on: str | None = None
    takes_audio: bool = False
    voices: Voices | None = None
    voice: Moments | None = None

    @property
    def scale(self) -> Scale | None:
        """What standardises the features; None if nothing does."""
        return None if self.voices is None else self.voices.scale_of(self.voice)

    def predict(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Class probabilities, (n, classes), of features, (n, *input_shape)."""
        import keras

        outputs = self.model(batch, training=False)
        return np.asarray(keras.ops.convert_to_numpy(outputs), np.float32)


def load_keras_model(path: Path, labels: str | None = None) -> KerasModel:
    """Load a `.keras` file with classes and front-end from its run's `config.json`.

    Args:
        path: `.keras` file. Outside a run folder the published front-end is assumed.
        labels: As for `utils.model_files.tflite.load_model`; required outside a run
            folder.

    Raises:
        InputError: Keras is not installed or cannot load the file, the classes are
            unknown, or input or output shape do not match front-end or classes.
    """
    model = read_keras(path)
    config = _run_config(path)
    classes = named_classes(path, tuple(config["classes"]) if config else None, labels)
    front_end = settings_of(config).front_end if config else FrontEnd()
    shapes = (tuple(model.input_shape[1:]), model.output_shape[-1])
    if shapes != (front_end.input_shape, len(classes)):
        raise InputError(
            f"{path}: has input shape {shapes[0]} and {shapes[1]} outputs; expected "
            f"{front_end.input_shape} from its front-end and {len(classes)} classes"
        )
    return KerasModel(
        model=model,
        classes=classes,
        front_end=front_end,
        trained_on=config["corpus"]["name"] if config else None,
        voices=_voices_of(path, config) if config else None,
    )


def _voices_of(path: Path, config: dict[str, Any]) -> Voices | None:
    """How a fold's features are scaled, from its record.

    Raises:
        InputError: The run standardises features, and the record is missing or damaged.
    """
    settings = settings_of(config)
    if settings.inputs.feature_scaling == "none":
        return None
    record = path.resolve().parent.with_suffix(".json")
    try:
        voices = voices_in(read_object(record, {}), settings.front_end)
    except (OSError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{record}: cannot be used ({error})") from error
    if voices is None:
        raise InputError(f"{record}: must hold `voices`, which scale the features")
    return voices


def read_keras(path: Path) -> Any:
    """The Keras model of a `.keras` file; code in the file is not executed.

    Raises:
        InputError: Keras is not installed or cannot load the file.
    """
    try:
        import keras
    except ImportError as error:
        raise InputError(
            f"{path}: a .keras model needs Keras and a backend; install them, or use "
            "a .tflite model"
        ) from error
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be loaded by Keras ({reason})") from error


def _run_config(path: Path) -> dict[str, Any] | None:
    """The configuration of the run folder that contains a file, if any."""
    for folder in list(path.resolve().parents)[:FOLDERS_SEARCHED]:
        if (folder / CONFIG_NAME).is_file():
            # a config.json beside a model may belong to another program
            is_ours = set(read_object(folder / CONFIG_NAME, {})) >= set(CONFIG)
            return read_config(folder) if is_ours else None
    return None
