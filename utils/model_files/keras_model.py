"""A `.keras` file of a run, asked like any other model; imports Keras."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd, InputError
from utils.model_files.metadata import named_classes
from utils.runs.folder import (
    CONFIG,
    CONFIG_NAME,
    read_config,
    read_object,
    settings_of,
)

CONFIG_AT_MOST_ABOVE = 3  # <run>/folds/fold_00/weights.keras


@dataclass(frozen=True, kw_only=True)
class KerasModel:
    """A `.keras` file, loaded; a `utils.model_files.tflite.Classifier`.

    Attributes:
        model: From features to probabilities.
        classes: Class names in the order of the outputs.
        front_end: From samples to the network's input.
        trained_on: Name of the corpus; None outside a run folder.
    """

    model: Any
    classes: tuple[str, ...]
    front_end: FrontEnd
    trained_on: str | None = None
    takes_audio: bool = False

    def predict(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Class probabilities, (n, classes), of (n, *input) features."""
        import keras

        outputs = self.model(batch, training=False)
        return np.asarray(keras.ops.convert_to_numpy(outputs), np.float32)


def load_keras_model(path: Path, labels: str | None = None) -> KerasModel:
    """Load a `.keras` file; its run's `config.json` tells classes and front-end.

    Args:
        path: `.keras` file, in its run folder or not.
        labels: As for `load_model` of `tflite.py`; needed outside a run folder,
            where the published front-end is assumed.

    Raises:
        InputError: No Keras or no Keras model; its classes are not known, or its shapes
            do not fit them or the front-end.
    """
    model = read_keras(path)
    config = _run_config(path)
    classes = named_classes(path, tuple(config["classes"]) if config else None, labels)
    front_end = settings_of(config).front_end if config else FrontEnd()
    shapes = (tuple(model.input_shape[1:]), model.output_shape[-1])
    if shapes != (front_end.input_shape, len(classes)):
        raise InputError(
            f"{path}: takes {shapes[0]} and has {shapes[1]} outputs; its front-end "
            f"makes {front_end.input_shape}, and {len(classes)} classes are named"
        )
    trained_on = config["corpus"]["name"] if config else None
    return KerasModel(
        model=model, classes=classes, front_end=front_end, trained_on=trained_on
    )


def read_keras(path: Path) -> Any:
    """The Keras model of a `.keras` file; nothing in the file is run.

    Raises:
        InputError: No Keras, or no Keras model.
    """
    try:
        import keras
    except ImportError as error:
        raise InputError(
            f"{path}: a .keras model needs Keras and a backend; install them, or give "
            "a .tflite model"
        ) from error
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be loaded by Keras ({reason})") from error


def _run_config(path: Path) -> dict[str, Any] | None:
    """The configuration of the run that a file lies in; None outside a run."""
    for folder in list(path.resolve().parents)[:CONFIG_AT_MOST_ABOVE]:
        if (folder / CONFIG_NAME).is_file():
            # other programs keep a config.json beside their models, too
            is_ours = set(read_object(folder / CONFIG_NAME, {})) >= set(CONFIG)
            return read_config(folder) if is_ours else None
    return None
