"""Where tensors lie in memory, so that TensorFlow Lite Micro wastes none of it.

Its own planner places tensors by size, which leaves gaps. It obeys a plan that it finds
in the file; other runtimes ignore that plan. Format:
https://github.com/tensorflow/tflite-micro/blob/main/tensorflow/lite/micro/docs/memory_management.md
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hyperparameters import InputError

ALIGNMENT = 16  # bytes, of every tensor
METADATA_NAME = b"OfflineMemoryAllocation"
STEPS = 200  # if the least memory does not suffice, try half a percent more
UNPLANNED = -1  # constants lie in the file
Buffer = TypeVar("Buffer", bound=Hashable)
Operation = tuple[Sequence[Buffer], Buffer]  # what it reads and what it writes
Range = tuple[int, int]  # first and last operation during which a buffer is needed


def aligned(num_bytes: int) -> int:
    """The next multiple of the alignment."""
    return -(-num_bytes // ALIGNMENT) * ALIGNMENT


def live_ranges(
    operations: Sequence[Operation[Buffer]], kept: Iterable[Buffer] = ()
) -> dict[Buffer, Range]:
    """When each buffer is needed.

    Args:
        operations: In order of execution.
        kept: Buffers that are still needed afterwards.

    Returns:
        First and last operation, in the order of the first.
    """
    ranges: dict[Buffer, Range] = {}
    for index, (inputs, output) in enumerate(operations):
        for buffer in inputs:
            ranges[buffer] = ranges.get(buffer, (0, 0))[0], index
        ranges[output] = index, index
    end = len(operations)
    ranges |= {buffer: (ranges.get(buffer, (0, 0))[0], end) for buffer in kept}
    return ranges


def peak_bytes(ranges: Mapping[Buffer, Range], size: Callable[[Buffer], int]) -> int:
    """Most memory that is needed at a time."""
    changes: dict[int, int] = {}
    for buffer, (first, last) in ranges.items():
        changes[first] = changes.get(first, 0) + size(buffer)
        changes[last + 1] = changes.get(last + 1, 0) - size(buffer)
    return max(np.cumsum([changes[index] for index in sorted(changes)]).tolist())


def place(
    operations: Sequence[Operation[Buffer]],
    ranges: Mapping[Buffer, Range],
    size: Callable[[Buffer], int],
) -> dict[Buffer, int]:
    """Offsets of buffers, such that none overlaps another that is needed then.

    The output of each operation lies at the other end of the memory than its first
    input, so that free memory stays in one piece.

    Args:
        operations: In order of execution.
        ranges: From `live_ranges`.
        size: Bytes of a buffer, a multiple of the alignment.
    """
    limit = peak_bytes(ranges, size)
    while True:
        offsets = _place_within(limit, operations, ranges, size)
        if offsets is not None:
            return offsets
        limit += aligned(limit // STEPS)


def _place_within(
    limit: int,
    operations: Sequence[Operation[Buffer]],
    ranges: Mapping[Buffer, Range],
    size: Callable[[Buffer], int],
) -> dict[Buffer, int] | None:
    """Like `place`, in at most `limit` bytes; None if they do not suffice."""
    offsets: dict[Buffer, int] = {}
    is_high: dict[Buffer, bool] = {}
    for index, (inputs, output) in enumerate(operations):
        for buffer in (*inputs, output):
            if buffer in offsets:
                continue
            live = [b for b in offsets if ranges[b][1] >= index]
            taken = sorted((offsets[b], offsets[b] + size(b)) for b in live)
            is_high[buffer] = buffer == output and not is_high[inputs[0]]
            gaps = [g for g in _gaps(taken, limit) if g[1] - g[0] >= size(buffer)]
            if not gaps:
                return None
            high = max(gaps)[1] - size(buffer)
            offsets[buffer] = high if is_high[buffer] else min(gaps)[0]
    return offsets


def _gaps(taken: Sequence[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """Begin and end of the free memory between sorted, separate pieces."""
    begins = [0, *(end for _, end in taken)]
    return list(zip(begins, [*(begin for begin, _ in taken), limit], strict=True))


def graph_operations(model: Any) -> list[Operation[int]]:
    """What the operators of a model read and write, without constants.

    Args:
        model: `schema.ModelT` with one subgraph; each operator has one output.
    """
    [graph] = model.subgraphs
    is_constant = [model.buffers[t.buffer].data is not None for t in graph.tensors]
    return [
        ([int(i) for i in o.inputs if i >= 0 and not is_constant[i]], int(o.outputs[0]))
        for o in graph.operators
    ]


def plan_memory(model: Any) -> int:
    """Put a plan for all tensors into a model.

    Args:
        model: `schema.ModelT` with one subgraph whose tensors are int8; changed.

    Returns:
        Bytes that the tensors need.

    Raises:
        InputError: The model already has a plan.
    """
    [graph] = model.subgraphs
    if any(entry.name == METADATA_NAME for entry in model.metadata or ()):
        raise InputError("the model already has a memory plan: it is already tiled")
    operations = graph_operations(model)
    ranges = live_ranges(operations, kept=[int(i) for i in graph.outputs])

    def size(index: int) -> int:
        return aligned(math.prod(int(n) for n in graph.tensors[index].shape))

    offsets = place(operations, ranges, size)
    table = [offsets.get(index, UNPLANNED) for index in range(len(graph.tensors))]
    # format version, subgraph, number of tensors
    _add_metadata(model, np.array([0, 0, len(table), *table], np.int32))
    return max(offset + size(index) for index, offset in offsets.items())


def _add_metadata(model: Any, table: np.ndarray) -> None:
    """Add the plan to a model."""
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(table.tobytes(), np.uint8)
    entry.name, entry.buffer = METADATA_NAME, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
