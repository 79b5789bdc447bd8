"""Which rows each time tile computes, and in which steps.

A tile is a range of rows of one tensor, the *cut*: the output of a pooling. Its steps
compute these rows from the features, with as many rows around them as the kernels
reach. Rows beyond the ends of the segment are padding, as in the whole network.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from utils.export.flatbuffer import code_of
from utils.export.memory_plan import aligned

Builtin = schema.BuiltinOperator
TIME = 1  # axis of (1, time, frequency, channels)
Pads = tuple[tuple[int, int], ...]  # zeros before and after, per axis
NO_PADS: Pads = ((0, 0),) * 4


@dataclass(frozen=True, eq=False)
class Value:
    """An int8 tensor that a plan adds to the graph.

    Attributes:
        like: Index of the tensor whose type and quantisation it has.
        shape: (1, time, frequency, channels).
    """

    like: int
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return aligned(math.prod(self.shape))


@dataclass(frozen=True)
class Step:
    """One operator of a plan.

    Attributes:
        operator: `PAD`, `SLICE`, or the operator of the network that it repeats.
        inputs: Tensors that it reads, without constants.
        output: The tensor that it writes.
        pads: Of `PAD`.
        begin: Of `SLICE`: the first index per axis.
    """

    operator: Any
    inputs: tuple[Value, ...]
    output: Value
    pads: Pads = NO_PADS
    begin: tuple[int, ...] = ()


@dataclass(eq=False)
class Head:
    """The first stages of a network, from the features to a cut.

    Attributes:
        model: `schema.ModelT` with one subgraph and one input.
        length: Number of its first operators that belong to the head.
    """

    model: Any
    length: int
    producers: dict[int, Any] = field(init=False)

    def __post_init__(self) -> None:
        """Find the operator that writes each tensor."""
        self.producers = {int(o.outputs[0]): o for o in self.operators}

    @property
    def operators(self) -> Sequence[Any]:
        """Its operators in order of execution."""
        operators: Sequence[Any] = self.model.subgraphs[0].operators[: self.length]
        return operators

    @property
    def cut(self) -> int:
        """Index of its output."""
        return int(self.operators[-1].outputs[0])

    @property
    def source(self) -> int:
        """Index of the features."""
        return int(self.model.subgraphs[0].inputs[0])

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Shape of a tensor of the network."""
        return tuple(int(n) for n in self.model.subgraphs[0].tensors[tensor].shape)

    def kind(self, operator: Any) -> int:
        """The built-in operator."""
        return code_of(self.model, operator)[0]

    def pads_of(self, convolution: Any) -> Pads:
        """Zeros that the padding `SAME` of a convolution puts around its input."""
        kernel = self.shape(int(convolution.inputs[1]))
        sides = (((size - 1) // 2, size // 2) for size in kernel[1:3])
        return ((0, 0), *sides, (0, 0))

    @property
    def source_pads(self) -> Pads:
        """Zeros around the features, enough for all convolutions that read them."""
        reading = [
            self.pads_of(o)
            for o in self.operators
            if self.kind(o) == Builtin.CONV_2D and int(o.inputs[0]) == self.source
        ]
        most = np.max(reading, axis=0)  # (axes, before and after)
        return tuple((int(before), int(after)) for before, after in most)

    def padded(self) -> Step:
        """The first step: zeros around the features, once for all tiles."""
        whole, pads = self.shape(self.source), self.source_pads
        grown = tuple(n + sum(both) for n, both in zip(whole, pads, strict=True))
        features = Value(self.source, whole)
        return Step(Builtin.PAD, (features,), Value(self.source, grown), pads)

    def tile(self, padded: Value, start: int, stop: int) -> list[Step]:
        """Steps that compute some rows of the cut; the last one writes them.

        Args:
            padded: Output of `padded`.
            start: First row.
            stop: Row after the last.
        """
        steps: list[Step] = []
        _Tile(self, padded, steps).compute(self.cut, start, stop)
        return steps


@dataclass
class _Tile:
    """Collects the steps of one tile, from the cut back to the features."""

    head: Head
    padded: Value
    steps: list[Step]

    def compute(self, tensor: int, start: int, stop: int) -> Value:
        """Add the steps that compute rows of a tensor of the network."""
        operator = self.head.producers[tensor]
        reads = int(operator.inputs[0])
        kind = self.head.kind(operator)
        if kind == Builtin.CONV_2D and reads == self.head.source:
            inputs = [self._slice(operator, start, stop)]
        elif kind == Builtin.CONV_2D:
            inputs = [self._padded_rows(operator, start, stop)]
        elif kind == Builtin.AVERAGE_POOL_2D:
            stride, end = operator.builtinOptions.strideH, self.head.shape(reads)[TIME]
            inputs = [self.compute(reads, start * stride, min(stop * stride, end))]
        else:  # CONCATENATION of channels
            inputs = [self.compute(int(i), start, stop) for i in operator.inputs]
        _, _, *rest = self.head.shape(tensor)
        return self._add(operator, inputs, Value(tensor, (1, stop - start, *rest)))

    def _slice(self, operator: Any, start: int, stop: int) -> Value:
        """The part of the padded features that a convolution reads."""
        begin, size = [0], [1]
        ends = ((start, stop), (0, self.head.shape(self.head.source)[2]))
        pads = self.head.pads_of(operator)[1:3], self.head.source_pads[1:3]
        for (first, last), (before, after), (most, _) in zip(ends, *pads, strict=True):
            begin.append(first + most - before)
            size.append(last - first + before + after)
        output = Value(self.head.source, (*size, self.head.shape(self.head.source)[-1]))
        step = Step(Builtin.SLICE, (self.padded,), output, begin=(*begin, 0))
        self.steps.append(step)
        return output

    def _padded_rows(self, operator: Any, start: int, stop: int) -> Value:
        """The rows that a convolution reads, with zeros at the ends of the segment."""
        reads = int(operator.inputs[0])
        end = self.head.shape(reads)[TIME]
        batch, (before, after), sides, channels = self.head.pads_of(operator)
        first, last = start - before, stop + after
        inner = self.compute(reads, max(first, 0), min(last, end))
        pads = (batch, (max(-first, 0), max(last - end, 0)), sides, channels)
        if pads == NO_PADS:
            return inner
        grown = tuple(n + sum(both) for n, both in zip(inner.shape, pads, strict=True))
        output = Value(reads, grown)
        self.steps.append(Step(Builtin.PAD, (inner,), output, pads))
        return output

    def _add(self, operator: Any, inputs: Sequence[Value], output: Value) -> Value:
        """Add a step that repeats an operator of the network."""
        self.steps.append(Step(operator, tuple(inputs), output))
        return output


def heads(model: Any) -> Iterator[Head]:
    """The heads of a network that can be computed in tiles, the shortest first."""
    graph = model.subgraphs[0]
    for length, operator in enumerate(graph.operators, start=1):
        head = Head(model, length)
        if not _is_tileable(head, operator):
            return
        if head.kind(operator) != Builtin.AVERAGE_POOL_2D:
            continue
        later = {int(i) for o in graph.operators[length:] for i in o.inputs}
        if later & {head.source, *head.producers} == {head.cut}:
            yield head


def _is_tileable(head: Head, operator: Any) -> bool:
    """Whether rows of an operator's output depend on a few rows of its input."""
    kind, options = head.kind(operator), operator.builtinOptions
    if kind != Builtin.CONV_2D and head.source in operator.inputs:
        return False  # only convolutions take slices of the features
    if kind == Builtin.CONCATENATION:
        return bool(options.axis in (-1, 3))
    if kind == Builtin.CONV_2D:
        strides = {options.strideH, options.strideW}
        dilations = {options.dilationHFactor, options.dilationWFactor}
        is_same = options.padding == schema.Padding.SAME
        return bool(is_same and strides | dilations == {1})
    if kind != Builtin.AVERAGE_POOL_2D:
        return False
    is_same = options.padding == schema.Padding.SAME
    rows, stride = head.shape(int(operator.inputs[0]))[TIME], int(options.strideH)
    starts_with_padding = -rows % stride >= 2  # half of it stands before the rows
    return bool(is_same and stride == options.filterHeight and not starts_with_padding)
