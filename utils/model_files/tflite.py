"""Load `.tflite` files and predict with them, on `ai-edge-litert`, not TensorFlow."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from hyperparameters import INPUT_TYPES, FrontEnd, InputError
from utils.audio.features import compute_features
from utils.audio.functionals import most_samples
from utils.audio.prepare import CENTRE, cut, from_pcm16, heard_samples, pad, prepare
from utils.audio.scale import Moments, Scale, Voices
from utils.model_files.class_names import named_classes
from utils.model_files.interpreter import (
    Float32Array,
    check_probabilities,
    invoke,
    load_interpreter,
    shape_of,
)
from utils.model_files.linear import LinearModel, load_linear, recording_functionals
from utils.model_files.metadata import read_metadata, voices_in

FloatArray = npt.NDArray[np.floating]
COUNTED_ZERO = 1e-30  # marks a recording's own zeros as not padding; rounds to 0
PRECISIONS = ("float32", "float16", "dynamic", "int8")
FUSED = "fuse_"  # prefix of the precision in names of models that take audio
TILED = "int8_tiled"  # `int8`, computed in time tiles to save memory
NAMES = (*PRECISIONS, TILED, *(f"{FUSED}{precision}" for precision in PRECISIONS))


def file_name(stem: str, name: str) -> str:
    """File name of a model, such as `<stem>_fuse_int8.tflite`; `name` is in `NAMES`."""
    return f"{stem}_{name}.tflite"


class Classifier(Protocol):
    """A loaded model of any file type."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""

    @property
    def front_end(self) -> FrontEnd:
        """Settings that turn samples into the model's input."""

    @property
    def takes_audio(self) -> bool:
        """True if the model takes raw audio; False if it takes features."""

    @property
    def segment_mode(self) -> int:
        """How the model hears a recording; see `utils.audio.prepare.cut`."""

    @property
    def trained_on(self) -> str | None:
        """Name of the training corpus, if known."""

    @property
    def scale(self) -> Scale | None:
        """What standardises the features; None if nothing does."""

    @property
    def voices(self) -> Voices | None:
        """What the training voices have in common, if the features are scaled."""

    @property
    def voice(self) -> Moments | None:
        """Recordings of the voice to be classified; None if it is not known."""

    @property
    def linear(self) -> LinearModel | None:
        """Answers beside the network; None if none does."""

    def predict(self, batch: Float32Array) -> Float32Array:
        """Class probabilities, (n, classes), of inputs, (n, *input_shape)."""


ModelT = TypeVar("ModelT", bound=Classifier)


@dataclass(frozen=True, kw_only=True)
class LiteModel:
    """A loaded `.tflite` file, from `load_model`; implements `Classifier`.

    Attributes:
        path: The file.
        interpreter: LiteRT interpreter with allocated tensors.
        classes: Class names in the order of the outputs.
        front_end: Settings that turn samples into the model's input.
        takes_audio: True if the model takes raw audio; False if it takes features.
        metadata: Description in the file; None in models of other projects.
        voices: What the training voices have in common; None if the features are not
            scaled.
        voice: Recordings of the voice to be classified; None if it is not known.
        linear: Answers beside the network: the mean of both counts; None if none does.
    """

    path: Path
    interpreter: Any
    classes: tuple[str, ...]
    front_end: FrontEnd
    takes_audio: bool
    metadata: dict[str, Any] | None
    voices: Voices | None = None
    voice: Moments | None = None
    linear: LinearModel | None = None

    @property
    def scale(self) -> Scale | None:
        """What standardises the features; None if nothing does."""
        return None if self.voices is None else self.voices.scale_of(self.voice)

    @property
    def segment_mode(self) -> int:
        """How the model hears a recording; see `utils.audio.prepare.cut`."""
        return (self.metadata or {}).get("segment_mode", CENTRE)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(1, frames, features, 1), or (1, samples)."""
        return shape_of(self.interpreter.get_input_details())

    @property
    def trained_on(self) -> str | None:
        """Name of the training corpus, if the file states it."""
        corpus = (self.metadata or {}).get("corpus") or {}
        name: str | None = corpus.get("name")
        return name

    def predict(self, batch: Float32Array) -> Float32Array:
        """Class probabilities of inputs.

        Args:
            batch: (n, *input_shape[1:]), float32; quantised for an int8 model.

        Returns:
            (n, classes), float32.

        Raises:
            InputError: The outputs are no probabilities.
            ValueError: `batch` has the wrong shape.
        """
        if batch.shape[1:] != self.input_shape[1:]:
            raise ValueError(f"batch must be {self.input_shape}, got {batch.shape}")
        scale = None
        if self.takes_audio and self.scale is not None:
            rows = (self.scale.mean, self.scale.deviation)
            scale = np.stack(rows).astype(np.float32)
        probabilities = invoke(self.interpreter, batch, self.path, scale)
        check_probabilities(self.path, probabilities)
        return probabilities


def load_model(
    path: Path, labels: str | None = None, *, is_trusted: bool = False
) -> LiteModel:
    """Load a `.tflite` file.

    Args:
        path: `.tflite` file of this or another project.
        labels: Value of `--labels`: path of a text file with one class per line, or
            comma-separated names; required if the file does not name its classes.
        is_trusted: As for `load_interpreter`.

    Returns:
        The model. If the file has no metadata, input type and duration are inferred
        from the input shape, and all other front-end settings are the published ones.

    Raises:
        InputError: The file is not a TFLite model that this runtime can run, or its
            classes are unknown or do not match the number of outputs.
    """
    interpreter = load_interpreter(path, is_trusted=is_trusted)
    shape = shape_of(interpreter.get_input_details())
    num_outputs = shape_of(interpreter.get_output_details())[-1]
    metadata = read_metadata(path)
    stored = tuple(metadata["classes"]) if metadata else None
    classes = named_classes(path, stored, labels)
    if len(classes) != num_outputs:
        raise InputError(
            f"{path}: has {num_outputs} outputs, but {len(classes)} classes are named: "
            f"{', '.join(classes)}"
        )
    voices = None
    if metadata:
        front_end = FrontEnd(**metadata["front_end"])
        takes_audio = metadata["input"] == "audio"
        voices = voices_in(metadata, front_end)
    else:
        front_end, takes_audio = _guess_front_end(shape, path), len(shape) == 2
    made = (front_end.duration_samples,) if takes_audio else front_end.input_shape
    if (1, *made) != shape:
        raise InputError(
            f"{path}: has input shape {shape}, but its front-end gives {(1, *made)}"
        )
    inputs = interpreter.get_input_details()
    scales = [(2, front_end.num_features)] if takes_audio and voices else []
    if [tuple(other["shape"]) for other in inputs[1:]] != scales:
        raise InputError(
            f"{path}: its inputs besides the first must be {scales or 'none'}"
        )
    return LiteModel(
        path=path,
        interpreter=interpreter,
        classes=classes,
        front_end=front_end,
        takes_audio=takes_audio,
        metadata=metadata,
        voices=voices,
    )


def _guess_front_end(shape: tuple[int, ...], path: Path) -> FrontEnd:
    """Front-end with input type and duration inferred from an input shape."""
    published = FrontEnd()
    if len(shape) == 2 and shape[1] >= published.frame_length_samples:
        duration_s = shape[1] / published.sample_rate_hz
        return dataclasses.replace(published, duration_s=duration_s)
    if len(shape) == 4:
        for input_type in INPUT_TYPES:
            candidate = dataclasses.replace(published, input_type=input_type)
            if candidate.num_features == shape[2]:
                duration_s = _duration_of(shape[1], candidate)
                return dataclasses.replace(candidate, duration_s=duration_s)
    raise InputError(
        f"{path}: has input shape {shape}; must be (1, samples) or (1, frames, "
        "features, 1) with 40 (MFCC), 128 (mel) or 513 (spectrogram) features"
    )


def _duration_of(num_frames: int, front_end: FrontEnd) -> float:
    """A duration with this many frames, s; in whole tenths if possible."""
    samples = (num_frames - 1) * front_end.hop_samples + front_end.frame_length_samples
    shortest_s = samples / front_end.sample_rate_hz
    tenths_s = float(np.ceil(shortest_s * 10) / 10)
    rounded = dataclasses.replace(front_end, duration_s=tenths_s)
    return tenths_s if rounded.num_frames == num_frames else shortest_s


def with_linear(model: ModelT, path: Path) -> ModelT:
    """The same model, with a linear model beside it.

    Args:
        model: The network.
        path: From `utils.model_files.linear.save_linear`.

    Raises:
        InputError: The file cannot be used, or has other classes.
    """
    linear = load_linear(path, model.classes)
    return dataclasses.replace(model, linear=linear)  # type: ignore[type-var]


def samples_heard(model: Classifier) -> int:
    """The most samples of a recording that a model hears, or one beside it."""
    heard = heard_samples(model.front_end.duration_samples, model.segment_mode)
    if model.linear is None:
        return heard
    return max(heard, most_samples(model.front_end.sample_rate_hz))


def model_inputs(
    model: Classifier, samples: FloatArray, mode: int | None = None
) -> Float32Array:
    """The inputs of a model for one utterance.

    Args:
        model: Takes features or audio.
        samples: (samples,) at the front-end's rate, as read from the file.
        mode: As in `utils.audio.prepare.cut`; None is the model's.

    Returns:
        (segments, *input_shape), float32: features, or segments that are cut and
        padded but not normalised.
    """
    front_end = model.front_end
    mode = model.segment_mode if mode is None else mode
    if not model.takes_audio:
        segments = from_pcm16(prepare(samples, front_end, mode))
        if model.scale is None:
            return compute_features(segments, front_end)
        features = compute_features(segments, front_end, clipped=False)
        return model.scale.apply(features, front_end)
    length = front_end.duration_samples
    cuts = cut(samples, length, mode)
    audible = [np.where(part == 0.0, COUNTED_ZERO, part) for part in cuts]
    return np.stack([pad(part, length) for part in audible]).astype(np.float32)


def predict_utterance(
    model: Classifier, samples: FloatArray, mode: int | None = None
) -> Float32Array:
    """Class probabilities of one utterance: the mean over its segments.

    A linear model beside the network hears the whole utterance, up to ten seconds.

    Args: as in `model_inputs`. Returns (classes,), float32.
    """
    probabilities = model.predict(model_inputs(model, samples, mode)).mean(axis=0)
    if model.linear is None:
        return probabilities
    row = recording_functionals(samples, model.front_end.sample_rate_hz)
    both = (probabilities + model.linear.predict(row[None])[0]) / 2.0
    return both.astype(np.float32)


def predict_recordings(
    models: Mapping[str, Classifier],
    recordings: Iterable[FloatArray],
    mode: int | None = None,
) -> dict[str, Float32Array]:
    """Predict several recordings with several models, reading each recording once.

    Args:
        models: Models by name.
        recordings: (samples,) each, at the models' rate.
        mode: As in `model_inputs`.

    Returns:
        (recordings, classes) by name of the model.
    """
    rows: dict[str, list[Float32Array]] = {name: [] for name in models}
    for samples in recordings:
        for name, model in models.items():
            rows[name].append(predict_utterance(model, samples, mode))
    return {
        name: np.reshape(rows[name], (-1, len(model.classes)))
        for name, model in models.items()
    }
