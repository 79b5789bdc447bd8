"""Run the full-int8 network as a microcontroller would, and write the device's folder.

`python -m utils.export.microcontroller FILE_int8.tflite --output_dir firmware` computes
the model in time tiles, runs it on the kernels of TensorFlow Lite Micro (Linux on
x86-64), finds the smallest arena, compares answers with LiteRT, and writes a folder.
"""

import argparse
import bisect
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.audio.prepare import OVERLAPPING
from utils.audio.wav import read_any
from utils.cli import Parser, printable, run_main
from utils.export.firmware import CModel, write_firmware
from utils.export.tiling import tile
from utils.files import PROJECT
from utils.model_files.interpreter import quantise
from utils.model_files.metadata import read_metadata, without_metadata
from utils.model_files.tflite import TILED, LiteModel, load_model, model_inputs
from utils.model_files.voice_file import load_voice, with_voice
from utils.processes import capture_stderr

LARGEST_ARENA_BYTES = 2**26
Int8Array = npt.NDArray[np.int8]


def micro_interpreter(model: bytes, arena_bytes: int) -> Any:
    """An interpreter of TensorFlow Lite Micro with its tensors allocated.

    Args:
        model: Content of a `.tflite` file.
        arena_bytes: All working memory that the interpreter may use.

    Raises:
        InputError: `tflite-micro` is not installed.
        RuntimeError: The arena is too small, or an operator is not supported.
    """
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        raise InputError(
            "tflite-micro is not installed: pip install -r "
            "requirements-microcontroller.txt (Linux on x86-64)"
        ) from error
    return runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)


def smallest_arena_bytes(model: bytes) -> int:
    """The smallest arena in which a model runs, exact to the byte, by bisection.

    This machine has 64-bit pointers; a 32-bit device needs slightly less.

    Args:
        model: Content of a `.tflite` file.

    Raises:
        InputError: `tflite-micro` is not installed, or cannot run this model.
    """
    with capture_stderr():  # every failed attempt prints to file descriptor 2
        sizes = range(LARGEST_ARENA_BYTES + 1)
        if not _fits(model, sizes[-1]):
            raise InputError(
                "TensorFlow Lite Micro does not support all operators of this model; "
                "use the …_int8.tflite that takes features"
            )
        return bisect.bisect_left(sizes, True, key=lambda size: _fits(model, size))


def _fits(model: bytes, arena_bytes: int) -> bool:
    """Whether the tensors can be allocated."""
    try:
        micro_interpreter(model, arena_bytes)
    except RuntimeError:
        return False
    return True


def micro_answers(model: bytes, inputs: Int8Array, arena_bytes: int) -> Int8Array:
    """Outputs of a model on TensorFlow Lite Micro.

    Args:
        model: Content of a `.tflite` file.
        inputs: (n, frames, features, 1), int8.
        arena_bytes: All working memory that the interpreter may use.

    Returns:
        (n, classes), int8.
    """
    interpreter = micro_interpreter(model, arena_bytes)
    answers = []
    for value in inputs:
        interpreter.set_input(value[None], 0)
        interpreter.invoke()
        answers.append(interpreter.get_output(0)[0].copy())
    return np.stack(answers)


def litert_answers(model: bytes, inputs: Int8Array) -> Int8Array:
    """Outputs of a model on LiteRT's built-in kernels.

    XNNPACK, LiteRT's default, rounds differently: up to 7 int8 steps.

    Args:
        model: Content of a `.tflite` file.
        inputs: (n, frames, features, 1), int8.

    Returns:
        (n, classes), int8.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    [source] = interpreter.get_input_details()
    [result] = interpreter.get_output_details()
    answers = []
    for value in inputs:
        interpreter.set_tensor(source["index"], value[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(answers)


def load_int8(path: Path) -> LiteModel:
    """Load a model that a microcontroller can run.

    Raises:
        InputError: Its input or output is not int8, or it takes audio.
    """
    with capture_stderr():
        model = load_model(path)
    interpreter = model.interpreter
    ends = (*interpreter.get_input_details(), *interpreter.get_output_details())
    if model.takes_audio or any(end["dtype"] is not np.int8 for end in ends):
        raise InputError(
            f"{path}: must take features and be int8 at both ends; use the "
            "…_int8.tflite without fuse in its name"
        )
    return model


def describe(
    model: LiteModel, content: bytes, arena_bytes: int, comparison: str
) -> CModel:
    """Collect what the C files state about a model.

    Args:
        model: From `load_int8`.
        content: Its `.tflite` file without metadata.
        arena_bytes: From `smallest_arena_bytes`.
        comparison: A line for the README.
    """
    [source] = model.interpreter.get_input_details()
    [result] = model.interpreter.get_output_details()
    return CModel(
        content=content,
        classes=model.classes,
        front_end=model.front_end,
        input_quantisation=source["quantization"],
        output_quantisation=result["quantization"],
        arena_bytes=arena_bytes,
        comparison=comparison,
        scale=model.scale,
        hears_overlapping=model.segment_mode == OVERLAPPING,
    )


def compare(
    model: LiteModel, content: bytes, recordings: Sequence[Path], arena_bytes: int
) -> str:
    """Compare the answers of TensorFlow Lite Micro with those of LiteRT; one line.

    Raises:
        InputError: A recording cannot be read.
    """
    rate_hz = model.front_end.sample_rate_hz
    batch = np.concatenate(
        [model_inputs(model, read_any(path, rate_hz)) for path in recordings]
    )
    inputs = quantise(batch, model.interpreter.get_input_details()[0])
    micro = micro_answers(content, inputs, arena_bytes).astype(int)
    steps = np.abs(micro - litert_answers(content, inputs)).max()
    return (
        f"Largest difference between TensorFlow Lite Micro and LiteRT on {len(batch)} "
        f"segments: {steps} int8 steps."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Find the arena, compare answers and write the folder."""
    parser = Parser(
        prog="python -m utils.export.microcontroller",
        description="Write a folder that classifies samples on a microcontroller: the "
        "full-int8 model in time tiles, its front-end, and functions in C. The model "
        "runs on TensorFlow Lite Micro to find the memory that it needs.",
    )
    parser.add_argument("file", type=Path, help="…_int8.tflite or …_int8_tiled.tflite")
    parser.add_argument(
        "recordings",
        nargs="*",
        type=Path,
        default=sorted((PROJECT / "inference_tests").glob("*.wav")),
        help="to compare answers on, audio or video [those in inference_tests/]",
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        default=Path("firmware"),
        metavar="DIR",
        help="folder for the files [firmware]",
    )
    parser.add_argument(
        "--voice",
        type=Path,
        metavar="JSON",
        help="scale features to this voice, from `inference_single_file.py "
        "--calibrate` [a typical voice of the training corpus]",
    )
    args: argparse.Namespace = parser.parse_args(argv)
    if not args.recordings:
        raise InputError("name recordings to compare answers on")
    model = load_int8(args.file)
    if args.voice:
        model = with_voice(model, load_voice(args.voice, model))
    content = without_metadata(args.file.read_bytes())
    if (read_metadata(args.file) or {}).get("precision") != TILED:
        content = tile(content)
    arena_bytes = smallest_arena_bytes(content)
    comparison = compare(model, content, args.recordings, arena_bytes)
    c_model = describe(model, content, arena_bytes, comparison)
    if args.voice:
        c_model = dataclasses.replace(c_model, voice=printable(args.voice.stem))
    written = write_firmware(c_model, args.output_dir)
    print(f"smallest arena: {arena_bytes:,} bytes")
    print(comparison)
    print("\n".join(str(path) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
