"""Edit and write the flatbuffer of a `.tflite` file with the schema's classes."""

import math
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from utils.model_files.metadata import IDENTIFIER

OperatorCode = tuple[int, int]  # built-in operator and its version


def unpack(content: bytes) -> Any:
    """The model in a `.tflite` file, as a `schema.ModelT`."""
    return schema.ModelT.InitFromPackedBuf(content, 0)


def pack(model: Any, size_hint: int = 1024) -> bytes:
    """The content of a `.tflite` file.

    Args:
        model: `schema.ModelT`.
        size_hint: Expected size, bytes; a good guess saves copying.
    """
    builder = flatbuffers.Builder(size_hint)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def code_of(model: Any, operator: Any) -> OperatorCode:
    """Built-in operator and version of an operator."""
    code = model.operatorCodes[operator.opcodeIndex]
    # old readers know only the deprecated field, new ones both
    return max(code.builtinCode, code.deprecatedBuiltinCode), code.version


def code_index(model: Any, code: OperatorCode) -> int:
    """Index of a built-in operator and version in the model's list; added if new."""
    for index, known in enumerate(model.operatorCodes):
        if (known.builtinCode, known.version) == code:
            return index
    added = schema.OperatorCodeT()
    added.builtinCode, added.version = code
    added.deprecatedBuiltinCode = min(code[0], 127)  # for old readers
    model.operatorCodes.append(added)
    return len(model.operatorCodes) - 1


def operators_of(content: bytes) -> list[str]:
    """The operators of a model in order of execution, with repetitions.

    Args:
        content: `.tflite` file.

    Returns:
        Names from the schema; `CUSTOM:name` for custom operators, Flex included.
    """
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    model, found = unpack(content), []
    for operator in (o for graph in model.subgraphs for o in graph.operators):
        name = names[code_of(model, operator)[0]]
        custom = (model.operatorCodes[operator.opcodeIndex].customCode or b"").decode()
        found.append(f"{name}:{custom}" if custom else name)
    return found


def multiply_accumulates(content: bytes) -> int:
    """Multiply-accumulates of all convolutions and dense layers for one segment.

    Args:
        content: `.tflite` file with one subgraph.
    """
    model = unpack(content)
    [graph] = model.subgraphs
    kinds = schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.FULLY_CONNECTED
    total = 0
    for operator in graph.operators:
        if code_of(model, operator)[0] in kinds:
            weights = graph.tensors[operator.inputs[1]].shape  # (outputs, ...)
            outputs = graph.tensors[operator.outputs[0]].shape
            total += math.prod(map(int, weights[1:])) * math.prod(map(int, outputs))
    return total


class Shared:
    """A table that is written once, however many tables refer to it."""

    def __init__(self, table: Any) -> None:
        """Wrap an object of the schema; it goes wherever the object itself may go."""
        self._table = table
        self._written: tuple[Any, int] | None = None

    def Pack(self, builder: Any) -> int:  # noqa: N802  called by the schema's classes
        """Write the table if this builder has not; return its offset."""
        if self._written is None or self._written[0] is not builder:
            self._written = builder, self._table.Pack(builder)
        return self._written[1]
