"""Rewrite a full-int8 network so that its first stages are computed in time tiles.

`python -m utils.export.tiling FILE_int8.tflite` writes `FILE_int8_tiled.tflite`.

Nearly all memory of the network is its first stage. In tiles, only a few rows of that
stage exist at a time. The tiles share weights and quantisation with the network, so
that on reference kernels every answer is the same, bit for bit. Rows that neighbouring
tiles both need are computed twice.
"""

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hyperparameters import InputError
from utils.cli import Parser, run_main
from utils.export.flatbuffer import OperatorCode, Shared, code_index, pack, unpack
from utils.export.memory_plan import plan_memory
from utils.export.tile_choice import MOST_TILES, Tiling, choose_tiling
from utils.export.tile_plan import TIME, Builtin, Head, Step, Value
from utils.files import write_atomic
from utils.model_files.metadata import attach_metadata, read_metadata, without_metadata
from utils.model_files.tflite import TILED

SLICE, PAD = (Builtin.SLICE, 2), (Builtin.PAD, 2)  # with their versions for int8
JOIN = (Builtin.CONCATENATION, 2)
Options = schema.BuiltinOptions


def tile(content: bytes, num_tiles: int | None = None) -> bytes:
    """Compute the first stages of a network in time tiles.

    The bytes depend only on the arguments.

    Args:
        content: `.tflite` without metadata: int8, features in.
        num_tiles: Most tiles, 1 to 10; by default the number that needs least memory
            on TensorFlow Lite Micro.

    Returns:
        `.tflite` with the same input, output and answers, and a plan of its memory.

    Raises:
        InputError: The network cannot be computed in tiles, or is already.
    """
    model = unpack(content)
    [graph] = model.subgraphs
    if graph.tensors[int(graph.inputs[0])].type != schema.TensorType.INT8:
        raise InputError("the model cannot be computed in tiles: its input is not int8")
    rewrite(choose_tiling(model, num_tiles))
    plan_memory(model)
    return pack(model, len(content))


def rewrite(tiling: Tiling) -> None:
    """Replace the head of a model by its tiles, in place."""
    head, graph = tiling.head, tiling.head.model.subgraphs[0]
    rest = graph.operators[head.length :]
    steps = _Steps(head)
    steps.indices[tiling.first.inputs[0]] = head.source
    _share_tables(head)
    steps.add(tiling.first)
    parts = []
    for one_tile in tiling.tiles:
        for step in one_tile:
            steps.add(step)
        parts.append(steps.indices[one_tile[-1].output])
    options = schema.ConcatenationOptionsT()
    options.axis = TIME
    steps.add_operator(JOIN, (Options.ConcatenationOptions, options), parts, head.cut)
    graph.operators = [*steps.operators, *rest]
    _remove_unused(head.model)


class _Steps:
    """Turns steps into operators and tensors of a model."""

    def __init__(self, head: Head) -> None:
        """Tensors are added to the model of `head`."""
        self.model = head.model
        self.tensors = head.model.subgraphs[0].tensors
        self.operators: list[Any] = []
        self.indices: dict[Value, int] = {}
        self._constants: dict[tuple[tuple[int, ...], bytes], int] = {}

    def add(self, step: Step) -> None:
        """Add the operator of a step, its output and its constants."""
        inputs = [self.indices[value] for value in step.inputs]
        output = self._tensor(step.output)
        if step.operator == Builtin.PAD:
            options: Any = (Options.PadOptions, schema.PadOptionsT())
            inputs.append(self._constant(step.pads))
            self.add_operator(PAD, options, inputs, output)
        elif step.operator == Builtin.SLICE:
            options = (Options.SliceOptions, schema.SliceOptionsT())
            inputs += [self._constant(step.begin), self._constant(step.output.shape)]
            self.add_operator(SLICE, options, inputs, output)
        else:
            operator = copy.copy(step.operator)
            operator.inputs = [*inputs, *operator.inputs[len(inputs) :]]
            operator.outputs = [output]
            self.operators.append(operator)

    def add_operator(
        self,
        code: OperatorCode,
        options: tuple[int, Any],
        inputs: Sequence[int],
        output: int,
    ) -> None:
        """Add an operator that the network does not have."""
        operator = schema.OperatorT()
        operator.opcodeIndex = code_index(self.model, code)
        operator.builtinOptionsType, operator.builtinOptions = options
        operator.inputs, operator.outputs = list(inputs), [output]
        self.operators.append(operator)

    def _tensor(self, value: Value) -> int:
        """Add the tensor of a value; return its index."""
        tensor = copy.copy(self.tensors[value.like])
        tensor.name, tensor.buffer = None, 0
        tensor.shape, tensor.shapeSignature = list(value.shape), None
        self.tensors.append(tensor)
        self.indices[value] = len(self.tensors) - 1
        return self.indices[value]

    def _constant(self, values: Any) -> int:
        """Index of an int32 tensor with these values; added if new."""
        array = np.asarray(values, np.int32)
        key = array.shape, array.tobytes()
        if key not in self._constants:
            buffer, tensor = schema.BufferT(), schema.TensorT()
            buffer.data = np.frombuffer(key[1], np.uint8)
            self.model.buffers.append(buffer)
            tensor.type, tensor.shape = schema.TensorType.INT32, list(array.shape)
            tensor.buffer = len(self.model.buffers) - 1
            self.tensors.append(tensor)
            self._constants[key] = len(self.tensors) - 1
        return self._constants[key]


def _share_tables(head: Head) -> None:
    """Write each table once, not once per tile; convolutions no longer pad."""
    for tensor in head.model.subgraphs[0].tensors:
        if tensor.quantization is not None:
            tensor.quantization = Shared(tensor.quantization)
    for operator in head.operators:
        if head.kind(operator) == Builtin.CONV_2D:
            operator.builtinOptions.padding = schema.Padding.VALID
        operator.builtinOptions = Shared(operator.builtinOptions)


def _remove_unused(model: Any) -> None:
    """Remove tensors that no operator names any more."""
    [graph] = model.subgraphs
    named = [*graph.inputs, *graph.outputs]
    named += [i for o in graph.operators for i in (*o.inputs, *o.outputs) if i >= 0]
    used = sorted({int(i) for i in named})
    new = {old: index for index, old in enumerate(used)} | {-1: -1}  # -1: absent
    graph.tensors = [graph.tensors[old] for old in used]
    for part in (graph, *graph.operators):
        part.inputs = [new[int(i)] for i in part.inputs]
        part.outputs = [new[int(i)] for i in part.outputs]
    for signature in model.signatureDefs or ():
        for end in (*signature.inputs, *signature.outputs):
            end.tensorIndex = new[end.tensorIndex]


def tile_file(path: Path, num_tiles: int | None = None) -> Path:
    """Write the tiled model beside a model, as `…_tiled.tflite`, with its description.

    Args:
        path: `…_int8.tflite` of this or another project.
        num_tiles: As in `tile`.

    Raises:
        InputError: It cannot be read or computed in tiles.
    """
    metadata = read_metadata(path)
    try:
        tiled = tile(without_metadata(path.read_bytes()), num_tiles)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if metadata is not None:
        tiled = attach_metadata(tiled, metadata | {"precision": TILED})
    target = path.with_name(f"{path.stem}_tiled.tflite")
    write_atomic(target, tiled)
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Tile one file."""
    parser = Parser(
        prog="python -m utils.export.tiling",
        description="Compute the first stages of a full-int8 model in time tiles, for "
        "microcontrollers: a third of the memory, the same answers.",
    )
    parser.add_argument("file", type=Path, help="…_int8.tflite that takes features")
    parser.add_argument(
        "--tiles",
        type=int,
        metavar="N",
        help=f"most tiles, 1 to {MOST_TILES} [the number that needs least memory]",
    )
    args: argparse.Namespace = parser.parse_args(argv)
    print(tile_file(args.file, args.tiles))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
