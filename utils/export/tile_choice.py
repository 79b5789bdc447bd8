"""How many tiles, of how many rows each, so that the network needs least memory."""

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hyperparameters import InputError
from utils.export.memory_plan import aligned, live_ranges, peak_bytes
from utils.export.tile_plan import TIME, Builtin, Head, Step, heads

MOST_TILES = 10  # TensorFlow Lite Micro joins at most ten tensors
MOST_WORK = 1.25  # multiply-accumulates with tiles, relative to those without
# What TensorFlow Lite Micro keeps besides tensors, measured with 64-bit pointers: for
# each output channel of a convolution, each operator with its tensors, and in any case.
CHANNEL_BYTES, OPERATOR_BYTES, FIXED_BYTES = 8, 160, 2_200


@dataclass
class TileSizes:
    """Chooses the rows of each tile of a head.

    Attributes:
        head: What is computed in tiles.
    """

    head: Head
    _bytes: dict[tuple[int, int], int] = field(default_factory=dict)

    def tile_bytes(self, start: int, stop: int) -> int:
        """Most memory that a tile needs, with the rows of all tiles before it."""
        if (start, stop) not in self._bytes:
            first, shape = self.head.padded(), self.head.shape(self.head.cut)
            steps = self.head.tile(first.output, start, stop)
            kept = () if stop == shape[TIME] else (first.output,)
            ranges = live_ranges([(s.inputs, s.output) for s in steps], kept)
            peak = peak_bytes(ranges, lambda value: value.bytes)
            self._bytes[start, stop] = start * math.prod(shape[2:]) + peak
        return self._bytes[start, stop]

    def boundaries(self, num_tiles: int) -> tuple[int, ...]:
        """Rows at which tiles begin and end, such that the largest needs least memory.

        Later tiles are shorter, because the results of earlier tiles are in memory.

        Args:
            num_tiles: Most tiles; there may be fewer.
        """
        end = self.head.shape(self.head.cut)[TIME]
        low, high = 0, self.tile_bytes(0, end)
        while low < high:
            limit = (low + high) // 2
            found = self._fitting(limit)
            if found is None or len(found) - 1 > num_tiles:
                low = limit + 1
            else:
                high = limit
        result = self._fitting(high)
        assert result is not None, "one tile of all rows fits"
        return result

    def _fitting(self, limit: int) -> tuple[int, ...] | None:
        """The fewest tiles that need at most `limit` bytes; None if none do."""
        end, found = self.head.shape(self.head.cut)[TIME], [0]
        while self.tile_bytes(found[-1], end) > limit:
            start = found[-1]
            # without the last tile, which needs less than others of its length
            lengths = range(1, end - start)
            longest = bisect.bisect_right(
                lengths,
                limit,
                key=lambda length: self.tile_bytes(start, start + length),
            )
            if not longest:
                return None
            found.append(start + longest)
        return (*found, end)


@dataclass(frozen=True)
class Tiling:
    """A head and the rows of its tiles.

    Attributes:
        head: What is computed in tiles.
        rows: Rows of the cut at which tiles begin and end.
    """

    head: Head
    rows: tuple[int, ...]

    @cached_property
    def first(self) -> Step:
        """The step before all tiles."""
        return self.head.padded()

    @cached_property
    def tiles(self) -> list[list[Step]]:
        """The steps of each tile."""
        return [
            self.head.tile(self.first.output, *ends)
            for ends in itertools.pairwise(self.rows)
        ]

    @property
    def arena_bytes(self) -> int:
        """Estimated memory of the network on TensorFlow Lite Micro, within 1 %."""
        channels, operators = 0, len(self._rest)
        for step in itertools.chain.from_iterable(self.tiles):
            channels += step.output.shape[-1] if self._taps(step.operator) else 0
            operators += 1
        for operator in self._rest:
            if self._taps(operator):
                channels += self.head.shape(int(operator.outputs[0]))[-1]
        fixed = CHANNEL_BYTES * channels + OPERATOR_BYTES * operators + FIXED_BYTES
        return fixed + max(self._tiles_bytes, self._rest_bytes)

    @property
    def work(self) -> float:
        """Multiply-accumulates of all convolutions, relative to those without tiles."""
        steps = itertools.chain.from_iterable(self.tiles)
        tiled = sum(
            self._taps(step.operator) * math.prod(step.output.shape) for step in steps
        )
        whole, rest = (
            sum(
                self._taps(o) * math.prod(self.head.shape(int(o.outputs[0])))
                for o in operators
            )
            for operators in (self.head.operators, self._rest)
        )
        return (tiled + rest) / (whole + rest)

    @property
    def _rest(self) -> Sequence[Any]:
        """The operators behind the cut."""
        operators: Sequence[Any] = self.head.model.subgraphs[0].operators
        return operators[self.head.length :]

    @property
    def _tiles_bytes(self) -> int:
        """Most memory that the tensors of a tile need."""
        sizes = TileSizes(self.head)
        return max(sizes.tile_bytes(*ends) for ends in itertools.pairwise(self.rows))

    @property
    def _rest_bytes(self) -> int:
        """Most memory that the tensors behind the cut need; the tiles joined twice."""

        def size(tensor: int) -> int:
            return aligned(math.prod(self.head.shape(tensor)))

        known = {self.head.cut}
        operations = []
        for operator in self._rest:
            reads = [int(i) for i in operator.inputs if int(i) in known]
            known.add(int(operator.outputs[0]))
            operations.append((reads, int(operator.outputs[0])))
        joining = 2 * size(self.head.cut)
        return max(joining, peak_bytes(live_ranges(operations), size))

    def _taps(self, operator: Any) -> int:
        """Multiply-accumulates per output value of a convolution; 0 for others."""
        if isinstance(operator, int) or self.head.kind(operator) != Builtin.CONV_2D:
            return 0
        return math.prod(self.head.shape(int(operator.inputs[1]))[1:])


def choose_tiling(model: Any, num_tiles: int | None = None) -> Tiling:
    """The tiling that needs least memory.

    Args:
        model: `schema.ModelT` with one subgraph, its first stages convolutions and
            poolings.
        num_tiles: Most tiles, 1 to 10; None compares all.

    Raises:
        InputError: There is no such stage, or `num_tiles` is out of range.
    """
    if num_tiles is not None and not 1 <= num_tiles <= MOST_TILES:
        raise InputError(f"tiles must be 1 to {MOST_TILES}, got {num_tiles}")
    numbers = range(1, MOST_TILES + 1) if num_tiles is None else (num_tiles,)
    found = []
    for head in heads(model):
        sizes = TileSizes(head)
        tilings = {Tiling(head, sizes.boundaries(number)) for number in numbers}
        found += [tiling for tiling in tilings if tiling.work <= MOST_WORK]
    if not found:
        raise InputError(
            "the model cannot be computed in tiles: it does not begin with "
            "convolutions and poolings, takes raw audio, or is already tiled"
        )
    return min(found, key=lambda tiling: (tiling.arena_bytes, tiling.rows))
