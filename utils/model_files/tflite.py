"""Model files, loaded and asked: `.tflite` on `ai-edge-litert`, without TensorFlow."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hyperparameters import INPUT_TYPES, FrontEnd, InputError
from utils.audio.features import compute_features
from utils.audio.prepare import cut, from_pcm16, pad, prepare
from utils.model_files.metadata import IDENTIFIER, named_classes, read_metadata

FloatArray = npt.NDArray[np.floating]
Float32Array = npt.NDArray[np.float32]
COUNTED_ZERO = 1e-30  # tells a recording's own zeros from padding; rounds to 0
PRECISIONS = ("float32", "float16", "dynamic", "int8")
FUSED = "fuse_"  # before the precision, in names of models that take audio
NAMES = (*PRECISIONS, *(f"{FUSED}{precision}" for precision in PRECISIONS))


def file_name(stem: str, name: str) -> str:
    """`<stem>_int8.tflite`; `name` is a precision, after `fuse_` if audio goes in."""
    return f"{stem}_{name}.tflite"


class Classifier(Protocol):
    """What prediction needs of a model, whatever file it came from."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""

    @property
    def front_end(self) -> FrontEnd:
        """From samples to the network's input."""

    @property
    def takes_audio(self) -> bool:
        """True if the model takes raw audio; False if it takes features."""

    @property
    def trained_on(self) -> str | None:
        """Name of the corpus that trained it; None where that is not known."""

    def predict(self, batch: Float32Array) -> Float32Array:
        """(n, *input) to class probabilities, (n, classes)."""


@dataclass(frozen=True, kw_only=True)
class LiteModel:
    """A `.tflite` file, loaded; a `Classifier`. Made by `load_model`.

    Attributes:
        path: The file.
        interpreter: With its tensors allocated.
        classes: Class names in the order of the outputs.
        front_end: From samples to the network's input.
        takes_audio: Takes segments cut and padded, no more; else features.
        metadata: What the file says of itself; None in other people's files.
    """

    path: Path
    interpreter: Any
    classes: tuple[str, ...]
    front_end: FrontEnd
    takes_audio: bool
    metadata: dict[str, Any] | None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(1, frames, features, 1), or (1, samples)."""
        return _shape(self.interpreter.get_input_details())

    @property
    def trained_on(self) -> str | None:
        """Name of the corpus that trained it; None where the file does not say."""
        corpus = (self.metadata or {}).get("corpus") or {}
        name: str | None = corpus.get("name")
        return name

    def predict(self, batch: Float32Array) -> Float32Array:
        """Class probabilities of some inputs, one after another.

        Args:
            batch: (n, *input_shape[1:]), float32; an int8 model gets it quantised,
                rounded and clipped.

        Returns:
            (n, classes), float32.

        Raises:
            InputError: An answer is no number.
            ValueError: Another shape.
        """
        answers = self.run(batch)
        if not np.isfinite(answers).all():
            raise InputError(
                f"{self.path}: answers with NaN or infinite probabilities; take "
                "another model"
            )
        return answers

    def run(self, batch: Float32Array) -> Float32Array:
        """As `predict`, whatever the answers are."""
        [source] = self.interpreter.get_input_details()
        [result] = self.interpreter.get_output_details()
        if batch.shape[1:] != self.input_shape[1:]:
            raise ValueError(f"batch must be {self.input_shape}, got {batch.shape}")
        outputs = np.empty((len(batch), len(self.classes)), result["dtype"])
        for row, value in zip(outputs, quantise(batch, source), strict=True):
            self.interpreter.set_tensor(source["index"], value[None])
            self.interpreter.invoke()
            row[:] = self.interpreter.get_tensor(result["index"])[0]
        return dequantise(outputs, result)


def _shape(details: list[dict[str, Any]]) -> tuple[int, ...]:
    """Shape of a model's only input or output."""
    return tuple(int(size) for size in details[0]["shape"])


def quantise(values: Float32Array, details: dict[str, Any]) -> npt.NDArray[Any]:
    """Real numbers to a tensor's own: integers are rounded and clipped to range."""
    dtype = details["dtype"]
    if np.issubdtype(dtype, np.floating):
        return values.astype(dtype)
    scale, zero_point = details["quantization"]
    limits = np.iinfo(dtype)
    steps = np.rint(values / np.float32(scale)) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def dequantise(values: npt.NDArray[Any], details: dict[str, Any]) -> Float32Array:
    """A tensor's own numbers to real ones."""
    if np.issubdtype(values.dtype, np.floating):
        return values.astype(np.float32)
    scale, zero_point = details["quantization"]
    return (values.astype(np.float32) - zero_point) * np.float32(scale)


def load_model(path: Path, labels: str | None = None) -> LiteModel:
    """Load a `.tflite` file with the names of its classes.

    Args:
        path: `.tflite` file, ours or another's.
        labels: `--labels`: a text file with one class a line, or names with commas
            between; needed where the file does not name them itself.

    Returns:
        The model. Of a file without description, input type and duration follow from
        the shape of the input, everything else is as published.

    Raises:
        InputError: No TFLite model, or one this runtime cannot run; its classes are
            not known, or their number is not that of the outputs.
    """
    interpreter = _load_interpreter(path)
    shape = _shape(interpreter.get_input_details())
    num_outputs = _shape(interpreter.get_output_details())[-1]
    metadata = read_metadata(path)
    stored = tuple(metadata["classes"]) if metadata else None
    classes = named_classes(path, stored, labels)
    if len(classes) != num_outputs:
        raise InputError(
            f"{path}: has {num_outputs} outputs, but {len(classes)} classes are named: "
            f"{', '.join(classes)}"
        )
    if metadata:
        front_end = FrontEnd(**metadata["front_end"])
        takes_audio = metadata["input"] == "audio"
    else:
        front_end, takes_audio = _guess_front_end(shape, path), len(shape) == 2
    made = (front_end.duration_samples,) if takes_audio else front_end.input_shape
    if (1, *made) != shape:
        raise InputError(f"{path}: takes {shape}, but its front-end makes {(1, *made)}")
    return LiteModel(
        path=path,
        interpreter=interpreter,
        classes=classes,
        front_end=front_end,
        takes_audio=takes_audio,
        metadata=metadata,
    )


def _load_interpreter(path: Path) -> Any:
    """An interpreter with one input, one output, and its tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if content[4:8] != IDENTIFIER:
        raise InputError(f"{path}: is not a TensorFlow Lite model")
    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be loaded ({reason})") from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            f"{path}: must have one input and one output, got {len(inputs)} and "
            f"{len(outputs)}"
        )
    if len(_shape(outputs)) != 2 or _shape(outputs)[0] != 1:
        raise InputError(
            f"{path}: must answer (1, classes), a probability for each class, got "
            f"{_shape(outputs)}"
        )
    for end in (*inputs, *outputs):
        is_integer = not np.issubdtype(end["dtype"], np.floating)
        if is_integer and not end["quantization"][0] > 0:
            raise InputError(
                f"{path}: its {end['dtype'].__name__} tensor {end['name']!r} says no "
                "scale, so that numbers can't be put into it or read from it"
            )
    return interpreter


def _guess_front_end(shape: tuple[int, ...], path: Path) -> FrontEnd:
    """Input type and duration of another's model, from the shape of its input."""
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
        f"{path}: takes {shape}; known are (1, samples) and (1, frames, features, 1) "
        "with 40 (MFCC), 128 (mel) or 513 (spectrogram) features"
    )


def _duration_of(num_frames: int, front_end: FrontEnd) -> float:
    """The duration with so many frames, s: in whole tenths where one fits."""
    samples = (num_frames - 1) * front_end.hop_samples + front_end.frame_length_samples
    shortest_s = samples / front_end.sample_rate_hz
    tenths_s = float(np.ceil(shortest_s * 10) / 10)
    rounded = dataclasses.replace(front_end, duration_s=tenths_s)
    return tenths_s if rounded.num_frames == num_frames else shortest_s


def model_inputs(model: Classifier, samples: FloatArray, mode: int = 1) -> Float32Array:
    """One utterance as a model takes it.

    Args:
        model: Its front-end and kind of input count.
        samples: (samples,) at the front-end's rate, as read from the file.
        mode: As in `utils.audio.prepare.cut`.

    Returns:
        (segments, *input), float32: features of prepared segments, or segments cut
        and padded and no more where the model itself normalises.
    """
    front_end = model.front_end
    if not model.takes_audio:
        segments = prepare(samples, front_end, mode)
        return compute_features(from_pcm16(segments), front_end)
    length = front_end.duration_samples
    cuts = cut(samples, length, mode)
    audible = [np.where(part == 0.0, COUNTED_ZERO, part) for part in cuts]
    return np.stack([pad(part, length) for part in audible]).astype(np.float32)


def predict_utterance(
    model: Classifier, samples: FloatArray, mode: int = 1
) -> Float32Array:
    """Class probabilities of one utterance: the mean over its segments.

    Args:
        model: Takes features or audio.
        samples: (samples,) at the front-end's rate, as read from the file.
        mode: As in `utils.audio.prepare.cut`.

    Returns:
        (classes,), float32.
    """
    return model.predict(model_inputs(model, samples, mode)).mean(axis=0)


def predict_recordings(
    models: Mapping[str, Classifier], recordings: Iterable[FloatArray], mode: int = 1
) -> dict[str, Float32Array]:
    """Ask several models about several recordings, each read once.

    Args:
        models: By name.
        recordings: (samples,) each, at the models' rate.
        mode: As in `utils.audio.prepare.cut`.

    Returns:
        (recordings, classes) by name.
    """
    rows: dict[str, list[Float32Array]] = {name: [] for name in models}
    for samples in recordings:
        for name, model in models.items():
            rows[name].append(predict_utterance(model, samples, mode))
    return {
        name: np.reshape(rows[name], (-1, len(model.classes)))
        for name, model in models.items()
    }
