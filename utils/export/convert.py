"""Keras to TFLite: float32, float16, dynamic-range and full int8, features or audio in.

Each file is standalone, takes one segment per call, needs only built-in operators and
contains its description (`utils.model_files.metadata`).
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
from utils.audio.scale import Voices
from utils.export import audio_front_end as fused
from utils.export.bias_correction import correct_bias
from utils.export.tiling import tile
from utils.files import write_atomic
from utils.model_files.metadata import METADATA_FORMAT, attach_metadata
from utils.model_files.tflite import FUSED, PRECISIONS, TILED, file_name
from utils.processes import capture_stderr

FEATURES_CALLER_MUST = (
    "Supply the features of one segment, shape {shape}, float32: cut, normalise and "
    "pad the recording and round it to 16 bits with `utils.audio.prepare.prepare`, "
    "then apply `utils.audio.features.compute_features`."
)
SCALED_CALLER_MUST = (
    "Then standardise them by `voices` as `utils.audio.scale.Scale.apply` does: "
    "subtract `mean`, divide by `deviation`, clip MFCC. For one voice, replace both by "
    "those of its own recordings, as `utils.audio.scale.Voices.scale_of` does."
)
SCALE_CALLER_MUST = (
    "Supply as second input, `scale`, shape (2, {features}), float32, the `mean` and "
    "the `deviation` of `voices`; for one voice, those of its own recordings, as "
    "`utils.audio.scale.Voices.scale_of` does."
)
OVERLAPPING_CALLER_MUST = (
    "A recording longer than a segment has several, which overlap; the mean of their "
    "probabilities is the answer. `utils.audio.prepare.cut` with mode 2 makes them."
)
AUDIO_CALLER_MUST = (
    "Supply {samples} mono samples at {rate} Hz, float32 within ±1 (16-bit samples "
    "divided by 32768). If the recording is longer, supply its middle; if the excess "
    "is odd, cut the extra sample at the end. If it is shorter, add zeros on both "
    "sides; an odd zero goes to the end. Do not normalise: the model does that, and "
    "leaves out these zeros. If a short recording itself begins and ends with zeros, "
    "replace those by 1e-30; otherwise the model takes them for padding."
)


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """What an export needs besides the network.

    Attributes:
        folder: Output folder.
        stem: Start of every file name (`utils.runs.folder.file_stem`).
        classes: Class names in the order of the outputs.
        front_end: Settings that turn samples into the network's input.
        calibration: (n, frames, features, 1), float32: features of training utterances;
            they set the ranges of int8.
        origin: JSON-serialisable; added to each file's metadata: corpus, loss,
            protocol, fold, run, scores.
        with_audio: Also write models that take samples (`…_fuse_…`).
        voices: How features are standardised; None if they are not.
    """

    folder: Path
    stem: str
    classes: tuple[str, ...]
    front_end: FrontEnd
    calibration: npt.NDArray[np.float32]
    origin: dict[str, Any]
    with_audio: bool = False
    voices: Voices | None = None


def export_models(model: keras.Model, job: ExportJob) -> dict[str, Path]:
    """Write a network in every precision.

    The bytes depend only on weights, settings and calibration, not on the process.

    Args:
        model: (n, frames, features, 1) to probabilities; TensorFlow backend.
        job: Names, front-end, calibration and description.

    Returns:
        Paths by name: `float32`, `float16`, `dynamic`, `int8`, `int8_tiled`; with audio
        also `fuse_float32` and so on. A fold's record uses the same names.

    Raises:
        OSError: A file cannot be written.
    """
    networks = convert(model, job.calibration)
    models = networks | {TILED: tile(networks["int8"])}
    if job.with_audio:
        with capture_stderr():
            is_scaled = job.voices is not None
            front = fused.convert_front_end(job.front_end, is_scaled=is_scaled)
        models |= {
            f"{FUSED}{name}": fused.join(front, content)
            for name, content in networks.items()
        }
    paths = {name: job.folder / file_name(job.stem, name) for name in models}
    for name, content in models.items():
        write_atomic(paths[name], attach_metadata(content, describe(job, name)))
    return paths


def describe(job: ExportJob, name: str) -> dict[str, Any]:
    """The metadata of one file, JSON-serialisable.

    Args:
        job: Classes, front-end and origin.
        name: A key of the result of `export_models`.
    """
    front_end, takes_audio = job.front_end, name.startswith(FUSED)
    caller_must = AUDIO_CALLER_MUST if takes_audio else FEATURES_CALLER_MUST
    scaling = {} if job.voices is None else {"voices": job.voices.to_dict()}
    if scaling:
        also = SCALE_CALLER_MUST if takes_audio else SCALED_CALLER_MUST
        caller_must = f"{caller_must} {also}"
    if "segment_mode" in job.origin:
        caller_must = f"{caller_must} {OVERLAPPING_CALLER_MUST}"
    return {
        "format": METADATA_FORMAT,
        "classes": list(job.classes),
        "front_end": asdict(front_end),
        "input": "audio" if takes_audio else "features",
        "precision": name.removeprefix(FUSED),
        "caller_must": caller_must.format(
            shape=(1, *front_end.input_shape),
            samples=front_end.duration_samples,
            features=front_end.num_features,
            rate=front_end.sample_rate_hz,
        ),
        **scaling,
        **job.origin,
    }


def convert(
    model: keras.Model, calibration: npt.NDArray[np.float32]
) -> dict[str, bytes]:
    """Convert a network to TFLite in every precision, one segment per call.

    Args:
        model: (n, frames, features, 1) to probabilities.
        calibration: (n, frames, features, 1), float32.

    Returns:
        Flatbuffers by precision. Input and output are int8 in `int8`, whose last bias
        is corrected, and float32 in the others.
    """
    with tempfile.TemporaryDirectory() as folder, capture_stderr():
        # batch size 1, not unknown: microcontrollers allocate in advance
        shape = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="features")
        in_float32(model).export(folder, verbose=False, input_signature=[shape])
        models = {name: _convert(folder, name, calibration) for name in PRECISIONS}
        int8 = correct_bias(models["int8"], models["float32"], calibration)
    return models | {"int8": int8}


def in_float32(model: keras.Model) -> keras.Model:
    """A copy of a network that computes in float32, also after mixed precision."""
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
    """Convert a SavedModel to one precision."""
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
