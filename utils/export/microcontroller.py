"""Run the full-int8 network as a microcontroller would, and write it as C source.

`python -m utils.export.microcontroller FILE_int8.tflite RECORDING.wav ...` runs the
model on the kernels of TensorFlow Lite Micro (Linux on x86-64), compares every answer
with LiteRT, finds the smallest arena, and writes C files.
"""

import argparse
import bisect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from hyperparameters import InputError
from utils.audio.wav import read_wav
from utils.cli import Parser, run_main
from utils.export.c_source import CModel, write_c_files
from utils.model_files.interpreter import quantise
from utils.model_files.metadata import without_metadata
from utils.model_files.tflite import LiteModel, load_model, model_inputs
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


def operators_of(model: bytes) -> list[str]:
    """The operators of a model in order of execution, with repetitions.

    Args:
        model: Content of a `.tflite` file.

    Returns:
        Names from the schema; `CUSTOM:name` for custom operators, Flex included.
    """
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    content = schema.ModelT.InitFromPackedBuf(model, 0)
    found = []
    for operator in (o for graph in content.subgraphs for o in graph.operators):
        code = content.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        custom = (code.customCode or b"").decode()
        found.append(f"{name}:{custom}" if custom else name)
    return found


def describe(model: LiteModel, content: bytes, arena_bytes: int) -> CModel:
    """Collect what the C files state about a model."""
    [source] = model.interpreter.get_input_details()
    [result] = model.interpreter.get_output_details()
    return CModel(
        content=content,
        classes=model.classes,
        operators=tuple(sorted(set(operators_of(content)))),
        arena_bytes=arena_bytes,
        input_shape=model.input_shape,
        input_quantisation=source["quantization"],
        output_quantisation=result["quantization"],
    )


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options of `python -m utils.export.microcontroller`."""
    parser = Parser(
        prog="python -m utils.export.microcontroller",
        description="Run the full-int8 model on TensorFlow Lite Micro, find the memory "
        "it needs, and write it as C source.",
    )
    parser.add_argument("file", type=Path, help="…_int8.tflite or …_int8_tiled.tflite")
    parser.add_argument(
        "recordings", nargs="+", type=Path, help="WAV files to compare answers on"
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        metavar="DIR",
        help="folder for the C files [the model's folder]",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare answers, find the arena and write the C files."""
    args = parse_args(argv)
    model = load_int8(args.file)
    content = without_metadata(args.file.read_bytes())
    c_model = describe(model, content, smallest_arena_bytes(content))
    rate_hz = model.front_end.sample_rate_hz
    batch = np.concatenate(
        [model_inputs(model, read_wav(path, rate_hz)) for path in args.recordings]
    )
    inputs = quantise(batch, model.interpreter.get_input_details()[0])
    micro = micro_answers(content, inputs, c_model.arena_bytes).astype(int)
    steps = np.abs(micro - litert_answers(content, inputs)).max()
    written = write_c_files(c_model, args.output_dir or args.file.parent)
    print(f"smallest arena: {c_model.arena_bytes:,} bytes")
    print(f"operators: {', '.join(c_model.operators)}")
    print(
        f"largest difference from LiteRT on {len(batch)} segments: {steps} int8 steps"
    )
    print("\n".join(str(path) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
