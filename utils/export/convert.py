"""Keras to TFLite: float32, float16, dynamic-range and full int8, features or audio in.

Each file is standalone, takes one segment a call, runs on built-in operators and
carries its description (`utils.model_files.metadata`).
"""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hyperparameters import FrontEnd
from utils.export import audio_front_end as fused
from utils.export.bias_correction import correct_bias
from utils.files import write_atomic
from utils.model_files.metadata import METADATA_FORMAT, attach_metadata
from utils.model_files.tflite import FUSED, PRECISIONS, file_name
from utils.processes import capture_stderr

FEATURES_CALLER_MUST = (
    "Give the features of one segment, {shape}: "
    "`utils.audio.features.compute_features` of what "
    "`utils.audio.prepare.prepare` cuts, normalises, pads and rounds to 16 bits."
)
AUDIO_CALLER_MUST = (
    "Give {samples} mono samples at {rate} Hz as float32 within ±1 (16-bit samples "
    "divided by 32768). Of a longer recording give the middle, an odd sample more cut "
    "at its end; put a shorter one between zeros, an odd zero more at its end. The "
    "model itself normalises what lies between the zeros. Where a short recording "
    "begins and ends with zeros of its own, write them as 1e-30 to have them counted."
)


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """What an export needs besides the network.

    Attributes:
        folder: Where the files go.
        stem: Their names begin with it (`utils.runs.folder.file_stem`).
        classes: Class names in the order of the outputs.
        front_end: From samples to the network's input.
        calibration: (n, frames, features, 1), float32: features of training utterances
            that set the ranges of int8.
        origin: JSON-able, goes into each file: corpus, loss, protocol, fold, run,
            scores.
        with_audio: Also write models that take samples (`…_fuse_…`).
    """

    folder: Path
    stem: str
    classes: tuple[str, ...]
    front_end: FrontEnd
    calibration: npt.NDArray[np.float32]
    origin: dict[str, Any]
    with_audio: bool = False


def export_models(model: keras.Model, job: ExportJob) -> dict[str, Path]:
    """Write a network in every precision.

    The bytes depend on weights, settings and calibration only, not on the process.

    Args:
        model: (n, frames, features, 1) to probabilities; TensorFlow backend.
        job: Names, front-end, calibration and description.

    Returns:
        The files by the name of their predictions in a fold's record: `float32`,
        `float16`, `dynamic`, `int8`; with audio `fuse_float32` and so on too.

    Raises:
        OSError: A file cannot be written.
    """
    models = convert(model, job.calibration)
    if job.with_audio:
        with capture_stderr():
            front = fused.convert_front_end(job.front_end)
        audio_models = {
            f"{FUSED}{name}": fused.join(front, content)
            for name, content in models.items()
        }
        models |= audio_models
    paths = {name: job.folder / file_name(job.stem, name) for name in models}
    for name, content in models.items():
        write_atomic(paths[name], attach_metadata(content, describe(job, name)))
    return paths


def describe(job: ExportJob, name: str) -> dict[str, Any]:
    """The description of one file, JSON-able.

    Args:
        job: Classes, front-end and origin.
        name: As in the keys of `export_models`.
    """
    front_end, takes_audio = job.front_end, name.startswith(FUSED)
    caller_must = AUDIO_CALLER_MUST if takes_audio else FEATURES_CALLER_MUST
    return {
        "format": METADATA_FORMAT,
        "classes": list(job.classes),
        "front_end": asdict(front_end),
        "input": "audio" if takes_audio else "features",
        "precision": name.removeprefix(FUSED),
        "caller_must": caller_must.format(
            shape=(1, *front_end.input_shape),
            samples=front_end.duration_samples,
            rate=front_end.sample_rate_hz,
        ),
        **job.origin,
    }


def convert(
    model: keras.Model, calibration: npt.NDArray[np.float32]
) -> dict[str, bytes]:
    """Convert a network to TFLite in every precision, one segment a call.

    Args:
        model: (n, frames, features, 1) to probabilities.
        calibration: (n, frames, features, 1), float32.

    Returns:
        Flatbuffers by precision; of `int8` weights, activations and both ends are
        int8 and the last bias is corrected, the ends of the others are float32.
    """
    with tempfile.TemporaryDirectory() as folder, capture_stderr():
        # one segment, not a batch of unknown size: microcontrollers allocate ahead
        shape = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="features")
        in_float32(model).export(folder, verbose=False, input_signature=[shape])
        models = {name: _convert(folder, name, calibration) for name in PRECISIONS}
        corrected = correct_bias(models["int8"], models["float32"], calibration)
    return models | {"int8": corrected}


def in_float32(model: keras.Model) -> keras.Model:
    """The same network in float32 arithmetic, whatever it was trained in."""
    twin = keras.models.clone_model(
        model,
        clone_function=lambda layer: type(layer).from_config(
            {**layer.get_config(), "dtype": "float32"}
        ),
    )
    twin.set_weights(model.get_weights())
    return twin


def _convert(
    saved_model: str, precision: str, calibration: npt.NDArray[np.float32]
) -> bytes:
    """One precision of a SavedModel."""
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ([x[None]] for x in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())
