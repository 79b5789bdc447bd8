"""Memory, work and time of the full-int8 network by the number of its time tiles.

    python -m benchmarks.tiles [--model FILE_int8.tflite]

Prints a Markdown table. Needs requirements-microcontroller.txt (Linux on x86-64).
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from utils.cli import Parser, run_main
from utils.export.flatbuffer import unpack
from utils.export.microcontroller import (
    Int8Array,
    litert_answers,
    load_int8,
    micro_answers,
    smallest_arena_bytes,
)
from utils.export.tile_choice import MOST_TILES, choose_tiling
from utils.export.tiling import tile
from utils.files import PROJECT
from utils.model_files.metadata import without_metadata
from utils.tables import markdown_row, markdown_table

MODEL = "inference_tests/EMO-DB_3.0s_Segmented_cross_entropy_int8.tflite"
HEADER = (
    "tiles",
    "arena, bytes",
    "file, bytes",
    "multiply-accumulates, relative",
    "LiteRT, CPU-ms",
    "TensorFlow Lite Micro on this machine, CPU-ms",
    "same answers",
)
RUNS = 5


def measure(content: bytes, inputs: Int8Array) -> tuple[list[str], Int8Array]:
    """The cells that depend on one model, and its answers.

    Args:
        content: `.tflite` file without metadata.
        inputs: (n, frames, features, 1), int8.

    Returns:
        Arena, bytes; time per segment on LiteRT without XNNPACK and on TensorFlow Lite
        Micro's reference kernels, CPU-ms; (n, classes) on the latter.
    """
    arena_bytes = smallest_arena_bytes(content)
    start = time.process_time()
    litert_answers(content, inputs)
    middle = time.process_time()
    answers = micro_answers(content, inputs, arena_bytes)
    end = time.process_time()
    times = ((middle - start) / len(inputs), (end - middle) / len(inputs))
    cells = [f"{arena_bytes:,}", f"{len(content):,}"]
    return [*cells, *(f"{1000 * seconds:.0f}" for seconds in times)], answers


def rows(content: bytes, inputs: Int8Array) -> Iterator[list[str]]:
    """Yield a row for the model as it is, then for each number of tiles."""
    (arena, size, *times), expected = measure(content, inputs)
    yield ["not tiled", arena, size, "1.000", *times, "yes"]
    for number in range(1, MOST_TILES + 1):
        tiling = choose_tiling(unpack(content), number)
        (arena, size, *times), answers = measure(tile(content, number), inputs)
        is_same = "yes" if np.array_equal(answers, expected) else "NO"
        yield [
            f"{len(tiling.rows) - 1}",
            arena,
            size,
            f"{tiling.work:.3f}",
            *times,
            is_same,
        ]


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options of the benchmark."""
    parser = Parser(prog="python -m benchmarks.tiles", description=__doc__)
    parser.add_argument(
        "--model", type=Path, default=PROJECT / MODEL, help="…_int8.tflite"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    path = parse_args(argv).model
    model = load_int8(path)
    shape = (RUNS, *model.input_shape[1:])
    inputs = np.random.RandomState(0).randint(-128, 128, shape).astype(np.int8)
    print(*markdown_table(HEADER), sep="\n")
    for row in rows(without_metadata(path.read_bytes()), inputs):
        print(markdown_row(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
