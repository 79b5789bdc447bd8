"""The LiteRT interpreter: a checked file in, checked probabilities out."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.cli import one_line, printable
from utils.model_files.metadata import IDENTIFIER, check_model_file
from utils.model_files.trial import NATIVE_ERRORS, check_runs

Float32Array = npt.NDArray[np.float32]


def load_interpreter(path: Path, *, is_trusted: bool = False) -> Any:
    """A LiteRT interpreter with allocated tensors; input and output are checked.

    Args:
        path: `.tflite` file.
        is_trusted: True for a file that this process has just exported. Others run in
            a child process first (`utils.model_files.trial`).

    Raises:
        InputError: The file cannot be read or is no model that this runtime can run.
    """
    from ai_edge_litert.interpreter import Interpreter

    check_model_file(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if content[4:8] != IDENTIFIER:
        raise InputError(f"{path}: is not a TensorFlow Lite model")
    if not is_trusted:
        check_runs(path, content)
    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        _check_ends(
            path, interpreter.get_input_details(), interpreter.get_output_details()
        )
    except InputError:
        raise
    except NATIVE_ERRORS as error:
        raise InputError(f"{path}: cannot be loaded ({one_line(error)})") from error
    return interpreter


def _check_ends(
    path: Path, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]
) -> None:
    """Check the number, shapes and quantisation of inputs and outputs."""
    if len(inputs) not in (1, 2) or len(outputs) != 1:
        raise InputError(
            f"{path}: must have one input (or two: samples and scale) and one output, "
            f"got {len(inputs)} and {len(outputs)}"
        )
    signature = tuple(int(size) for size in inputs[0]["shape_signature"])
    if min(signature[1:], default=0) < 1:  # the batch may vary: one segment is one
        raise InputError(
            f"{path}: has input shape {signature}, which leaves a size open; export "
            "the model for segments of one length"
        )
    if len(shape_of(outputs)) != 2 or shape_of(outputs)[0] != 1:
        raise InputError(
            f"{path}: must have output shape (1, classes), one probability per class, "
            f"got {shape_of(outputs)}"
        )
    for end in (*inputs, *outputs):
        is_integer = not np.issubdtype(end["dtype"], np.floating)
        if is_integer and not end["quantization"][0] > 0:
            raise InputError(
                f"{path}: its {end['dtype'].__name__} tensor {printable(end['name'])} "
                "has no quantisation scale, so its values have no meaning"
            )


def check_probabilities(path: Path, values: Float32Array) -> None:
    """Check that outputs are probabilities of classes that exclude each other.

    Args:
        path: The model, for the message.
        values: (n, classes).

    Raises:
        InputError: A value is not finite or not in [0, 1], or a row's sum is not 1:
            the outputs are logits, logarithms, or independent probabilities.
    """
    if not np.isfinite(values).all():
        raise InputError(
            f"{path}: returns NaN or infinite probabilities; use another model"
        )
    sums, most = values.sum(axis=-1), 0.02 + values.shape[-1] / 512  # int8 rounds
    if values.size and not (
        values.min() >= -0.01 and values.max() <= 1.01 and abs(sums - 1).max() <= most
    ):
        shown = ", ".join(f"{value:.2f}" for value in values[0])
        raise InputError(
            f"{path}: returns [{shown}], which are not probabilities with sum 1; "
            "export the model with a softmax at its end"
        )


def invoke(
    interpreter: Any,
    batch: Float32Array,
    path: Path,
    scale: Float32Array | None = None,
) -> Float32Array:
    """Run a model on each input of a batch.

    Args:
        interpreter: From `load_interpreter`.
        batch: (n, *input_shape), float32; quantised for an int8 model.
        path: The model, for the message.
        scale: (2, features), float32, the second input; None if there is none.

    Returns:
        (n, outputs), float32.

    Raises:
        InputError: The interpreter fails.
    """
    source, *others = interpreter.get_input_details()
    [result] = interpreter.get_output_details()
    outputs = np.empty((len(batch), result["shape"][-1]), result["dtype"])
    try:
        for other in others:
            interpreter.set_tensor(other["index"], scale)
        for row, value in zip(outputs, quantise(batch, source), strict=True):
            interpreter.set_tensor(source["index"], value[None])
            interpreter.invoke()
            row[:] = interpreter.get_tensor(result["index"])[0]
    except NATIVE_ERRORS as error:
        raise InputError(f"{path}: cannot be run ({one_line(error)})") from error
    return dequantise(outputs, result)


def shape_of(details: list[dict[str, Any]]) -> tuple[int, ...]:
    """Shape of a model's single input or output."""
    return tuple(int(size) for size in details[0]["shape"])


def quantise(values: Float32Array, details: dict[str, Any]) -> npt.NDArray[Any]:
    """Convert real numbers to a tensor's type; integers are rounded and clipped."""
    dtype = details["dtype"]
    if np.issubdtype(dtype, np.floating):
        return values.astype(dtype)
    scale, zero_point = details["quantization"]
    limits = np.iinfo(dtype)
    steps = np.rint(values / np.float32(scale)) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def dequantise(values: npt.NDArray[Any], details: dict[str, Any]) -> Float32Array:
    """Convert a tensor's values to real numbers."""
    if np.issubdtype(values.dtype, np.floating):
        return values.astype(np.float32)
    scale, zero_point = details["quantization"]
    return (values.astype(np.float32) - zero_point) * np.float32(scale)
