"""The full-int8 network on a microcontroller: proof, memory, and C source.

`python -m utils.export.microcontroller FILE_int8.tflite RECORDING.wav ...` runs the
model on TensorFlow Lite Micro's own kernels (Linux on x86-64), compares every
answer with LiteRT's, finds the smallest arena, and writes C files with the model.
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
from utils.model_files.metadata import without_metadata
from utils.model_files.tflite import (
    LiteModel,
    load_model,
    model_inputs,
    quantise,
)
from utils.processes import capture_stderr

LARGEST_ARENA_BYTES = 2**26
Int8Array = npt.NDArray[np.int8]


def micro_interpreter(model: bytes, arena_bytes: int) -> Any:
    """An interpreter of TensorFlow Lite Micro with its tensors allocated.

    Args:
        model: `.tflite` content.
        arena_bytes: All the working memory it gets.

    Raises:
        InputError: `tflite-micro` is not installed.
        RuntimeError: The arena is too small, or an operator is not there.
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
    """The smallest arena in which a model runs, to the byte, by bisection.

    Measured with this machine's pointers; those of 32 bits take a little less.

    Args:
        model: `.tflite` content.

    Raises:
        InputError: `tflite-micro` is not installed, or cannot run this model.
    """
    with capture_stderr():  # every failure is told on file descriptor 2
        sizes = range(LARGEST_ARENA_BYTES + 1)
        if not _fits(model, sizes[-1]):
            raise InputError(
                "TensorFlow Lite Micro has not all operators of this model; give the "
                "…_int8.tflite that takes features"
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
    """What TensorFlow Lite Micro answers.

    Args:
        model: `.tflite` content.
        inputs: (n, frames, features, 1), int8 steps.
        arena_bytes: All the working memory it gets.

    Returns:
        (n, classes), int8 steps.
    """
    interpreter = micro_interpreter(model, arena_bytes)
    answers = []
    for value in inputs:
        interpreter.set_input(value[None], 0)
        interpreter.invoke()
        answers.append(interpreter.get_output(0)[0].copy())
    return np.stack(answers)


def litert_answers(model: bytes, inputs: Int8Array) -> Int8Array:
    """What LiteRT's own kernels answer.

    Its default, XNNPACK, rounds otherwise and is up to 7 int8 steps away from them.

    Args:
        model: `.tflite` content.
        inputs: (n, frames, features, 1), int8 steps.

    Returns:
        (n, classes), int8 steps.
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
    ends = (
        *model.interpreter.get_input_details(),
        *model.interpreter.get_output_details(),
    )
    if model.takes_audio or any(end["dtype"] is not np.int8 for end in ends):
        raise InputError(
            f"{path}: must take features and be int8 at both ends; give the "
            "…_int8.tflite without fuse in its name"
        )
    return model


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """A model, recordings, and where the C files go."""
    parser = Parser(
        prog="python -m utils.export.microcontroller",
        description="Run the full-int8 model on TensorFlow Lite Micro, find its "
        "memory, write it as C.",
    )
    parser.add_argument("file", type=Path, help="…_int8.tflite that takes features")
    parser.add_argument(
        "recordings", nargs="+", type=Path, help="WAV files to compare answers on"
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        metavar="DIR",
        help="C files go there [beside the model]",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Prove that a model runs, and write its C files; see the module."""
    args = parse_args(argv)
    model = load_int8(args.file)
    content = without_metadata(args.file.read_bytes())
    arena_bytes = smallest_arena_bytes(content)
    rate_hz = model.front_end.sample_rate_hz
    batch = np.concatenate(
        [model_inputs(model, read_wav(path, rate_hz)) for path in args.recordings]
    )
    inputs = quantise(batch, model.interpreter.get_input_details()[0])
    micro = micro_answers(content, inputs, arena_bytes).astype(int)
    steps = np.abs(micro - litert_answers(content, inputs)).max()
    operators = sorted(set(check_ops(args.file)))
    written = write_c_files(
        describe(model, content, operators, arena_bytes),
        args.output_dir or args.file.parent,
    )
    print(f"smallest arena: {arena_bytes:,} bytes")
    print(f"operators: {', '.join(operators)}")
    print(f"at most {steps} int8 steps from LiteRT's, segments asked: {len(batch)}")
    print("\n".join(str(path) for path in written))
    return 0


def describe(
    model: LiteModel, content: bytes, operators: Sequence[str], arena_bytes: int
) -> CModel:
    """What the C files say of a model."""
    [source] = model.interpreter.get_input_details()
    [result] = model.interpreter.get_output_details()
    return CModel(
        content=content,
        classes=model.classes,
        operators=tuple(operators),
        arena_bytes=arena_bytes,
        input_shape=model.input_shape,
        input_quantisation=source["quantization"],
        output_quantisation=result["quantization"],
    )


if __name__ == "__main__":
    sys.exit(run_main(main))


def check_ops(path: Path) -> list[str]:
    """The operators of a model file, in order, each as often as it is there.

    Args:
        path: `.tflite` file.

    Returns:
        Names as in the schema; a custom one as `CUSTOM:name` (Flex operators are).
    """
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    found = []
    for operator in (o for graph in model.subgraphs for o in graph.operators):
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        custom = (code.customCode or b"").decode()
        found.append(f"{name}:{custom}" if custom else name)
    return found
