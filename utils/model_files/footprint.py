"""Latency and memory of a model file, measured in a separate process.

`python -m utils.model_files.footprint FILE` prints one JSON object.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hyperparameters import InputError
from utils.cli import EXIT_USER_ERROR, Parser, run_main
from utils.files import PROJECT
from utils.model_files.interpreter import invoke, load_interpreter

WARM_UP_RUNS = 10
RUNS = 200


def footprint(path: Path) -> dict[str, Any]:
    """Measure a `.tflite` file in a fresh process, on one thread.

    Returns:
        `p50_ms` and `p95_ms`, time from input to probabilities of one segment, over 200
        runs; `memory_growth_bytes`, growth of the process's peak resident memory from
        before loading the model to after the runs, None if the system does not report
        it; `bytes`, size of the file.

    Raises:
        InputError: The file is no model that this runtime can run.
        RuntimeError: The process failed otherwise; the message is its stderr.
    """
    done = subprocess.run(
        [sys.executable, "-m", "utils.model_files.footprint", str(path.resolve())],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == EXIT_USER_ERROR:
        raise InputError(done.stderr.strip().partition(": error: ")[2])
    if done.returncode:
        raise RuntimeError(f"measuring {path} failed: {done.stderr.strip()}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def measure(path: Path) -> dict[str, Any]:
    """Like `footprint`, in this process; an earlier memory peak hides the growth."""
    import ai_edge_litert.interpreter  # noqa: F401  its own size does not count

    before = peak_memory_bytes()
    interpreter = load_interpreter(path)
    shape = interpreter.get_input_details()[0]["shape"]
    batch = np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)
    times_s = []
    for _ in range(WARM_UP_RUNS + RUNS):
        started = time.perf_counter()
        invoke(interpreter, batch, path)
        times_s.append(time.perf_counter() - started)
    p50_ms, p95_ms = 1e3 * np.percentile(times_s[WARM_UP_RUNS:], [50, 95])
    after = peak_memory_bytes()
    grown = None if before is None or after is None else after - before
    return {
        "bytes": path.stat().st_size,
        "p50_ms": float(p50_ms),
        "p95_ms": float(p95_ms),
        "memory_growth_bytes": grown,
    }


def peak_memory_bytes() -> int | None:
    """Peak resident memory of this process; None if the system does not report it.

    `getrusage` is useless for this on Linux: a process inherits its parent's peak.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one file and print the result as JSON."""
    parser = Parser(
        prog="python -m utils.model_files.footprint",
        description="Measure latency and memory of a model file; prints JSON.",
    )
    parser.add_argument("file", type=Path, help=".tflite file")
    print(json.dumps(measure(parser.parse_args(argv).file)))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
