"""A run's `.keras` file as a classifier; imports Keras."""

import io
import json
import math
import threading
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import FrontEnd, InputError, Settings
from utils.audio.prepare import CENTRE, OVERLAPPING
from utils.audio.scale import Moments, Scale, Voices
from utils.cli import printable
from utils.model_files.class_names import check_class_names, named_classes
from utils.model_files.interpreter import check_probabilities
from utils.model_files.linear import LinearModel
from utils.model_files.metadata import MOST_MODEL_BYTES, check_model_file, voices_in
from utils.runs.folder import CONFIG_NAME, read_config, settings_of
from utils.runs.json_files import CONFIG, read_object

# Limits for files from elsewhere; the published network needs a hundredth of each.
MOST_NUMBERS = 10**8  # weights, and activations of one segment
MOST_CONFIG_BYTES = 2**20
MOST_FILES = 16
END_BYTES = 2**16
ZIP64 = b"PK\6\7"  # an archive too large for the plain format
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LOADING = threading.Lock()  # warnings are caught for all threads
FOLDERS_SEARCHED = 3  # <run>/folds/fold_00/weights.keras


@dataclass(frozen=True, kw_only=True)
class KerasModel:
    """A loaded `.keras` file; implements `utils.model_files.tflite.Classifier`.

    Attributes:
        path: The file.
        model: Keras model from features to probabilities.
        classes: Class names in the order of the outputs.
        front_end: Settings that turn samples into features.
        trained_on: Name of the training corpus; None outside a run folder.
        takes_audio: Always False.
        segment_mode: How the model hears a recording; see `utils.audio.prepare.cut`.
        voices: What the training voices have in common; None if the features are not
            scaled.
        voice: Recordings of the voice to be classified; None if it is not known.
        linear: Answers beside the network: the mean of both counts; None if none does.
    """

    path: Path
    model: Any
    classes: tuple[str, ...]
    front_end: FrontEnd
    trained_on: str | None = None
    takes_audio: bool = False
    segment_mode: int = CENTRE
    voices: Voices | None = None
    voice: Moments | None = None
    linear: LinearModel | None = None

    @property
    def scale(self) -> Scale | None:
        """What standardises the features; None if nothing does."""
        return None if self.voices is None else self.voices.scale_of(self.voice)

    def predict(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Class probabilities, (n, classes), of features, (n, *input_shape).

        Raises:
            InputError: The outputs are no probabilities.
        """
        import keras

        outputs = self.model(batch, training=False)
        probabilities = np.asarray(keras.ops.convert_to_numpy(outputs), np.float32)
        check_probabilities(self.path, probabilities)
        return probabilities


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
    if config:
        check_class_names(f"{path}: {CONFIG_NAME} of its run", config["classes"])
    classes = named_classes(path, tuple(config["classes"]) if config else None, labels)
    settings = settings_of(config) if config else Settings()
    front_end, mode = settings.front_end, settings.data.segment_mode
    shapes = (tuple(model.input_shape[1:]), model.output_shape[-1])
    if shapes != (front_end.input_shape, len(classes)):
        raise InputError(
            f"{path}: has input shape {shapes[0]} and {shapes[1]} outputs; expected "
            f"{front_end.input_shape} from its front-end and {len(classes)} classes"
        )
    return KerasModel(
        path=path,
        model=model,
        classes=classes,
        front_end=front_end,
        trained_on=config["corpus"]["name"] if config else None,
        segment_mode=mode if mode == OVERLAPPING else CENTRE,
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
    check_model_file(path)
    try:
        import keras
    except ImportError as error:
        raise InputError(
            f"{path}: a .keras model needs Keras and a backend; install them, or use "
            "a .tflite model"
        ) from error
    try:
        _check_size(path)
        # Keras warns of weights that a file lacks, and draws others
        with _LOADING, warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            keras.backend.clear_session()  # the names of tensors count from 0 again
            return keras.saving.load_model(path, compile=False)
    except InputError:
        raise
    except Exception as error:  # Keras passes on whatever a wrong configuration causes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: cannot be loaded by Keras ({printable(reason)})"
        ) from error


def _check_size(path: Path) -> None:
    """Check what a `.keras` file would unpack and allocate, before Keras does.

    Raises:
        InputError: It is not a ZIP archive of a few files of normal size, or has more
            weights or larger activations than `MOST_NUMBERS`.
        Exception: Whatever Keras raises for a wrong configuration.
    """
    import h5py
    import keras

    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES))
        end = file.read()
    # a ZIP's last record: its number of files, and the size of their directory
    found = end.rfind(b"PK\5\6")
    count = int.from_bytes(end[found + 10 : found + 12], "little")
    listed = int.from_bytes(end[found + 12 : found + 16], "little")
    if found < 0 or count > MOST_FILES or listed > END_BYTES or ZIP64 in end:
        raise InputError(
            f"{path}: cannot be loaded by Keras (it is no ZIP archive of a few files)"
        )
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            is_config = info.filename.endswith(".json")
            most = MOST_CONFIG_BYTES if is_config else MOST_MODEL_BYTES
            if info.file_size > most or info.compress_type not in COMPRESSIONS:
                raise InputError(
                    f"{path}: its {printable(info.filename)} would unpack to "
                    f"{info.file_size} bytes; at most {most} are allowed"
                )
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    sizes: list[int] = []
    with h5py.File(io.BytesIO(weights)) as store:
        store.visititems(lambda _, item: sizes.append(getattr(item, "size", 0)))
    with keras.StatelessScope(initialize_variables=False):  # allocates no weights
        model = keras.saving.deserialize_keras_object(config)
    shapes = [weight.shape for weight in model.weights]
    for layer in model.layers:
        shapes += [output.shape for output in keras.tree.flatten(layer.output)]
    numbers = [math.prod(size or 1 for size in shape) for shape in shapes]
    if max(sum(sizes), sum(numbers)) > MOST_NUMBERS:
        raise InputError(
            f"{path}: has {max(sum(sizes), sum(numbers))} weights and activations; at "
            f"most {MOST_NUMBERS} are allowed"
        )


def _run_config(path: Path) -> dict[str, Any] | None:
    """The configuration of the run folder that contains a file, if any."""
    for folder in list(path.resolve().parents)[:FOLDERS_SEARCHED]:
        if (folder / CONFIG_NAME).is_file():
            # a config.json beside a model may belong to another program
            is_ours = set(read_object(folder / CONFIG_NAME, {})) >= set(CONFIG)
            return read_config(folder) if is_ours else None
    return None
