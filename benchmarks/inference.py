"""Speed of the inference command: cold start, a clip, a folder, two hours of audio.

    python -m benchmarks.inference --folder data/EMO-DB/wav [--model FILE]

Prints a Markdown table. Other programs on the machine slow it down, so the load is
printed too.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from inference_single_file import linear_path, model_loader, model_path
from inference_single_file import parse_args as parse_command
from utils.audio.wav import read_any
from utils.cli import Parser, run_main
from utils.files import PROJECT
from utils.inference.classify import ModelPerThread, classify_centre
from utils.inference.sources import Source, open_sources
from utils.tables import markdown_row, markdown_table

SCRIPT = PROJECT / "inference_single_file.py"
COLD_STARTS = 15
TWO_HOURS_S = 7200.0
PAUSE_S = (0.5, 5.0)
PAUSE_LEVEL = 3e-4  # a quiet room, re full scale
# Runs a script and prints its peak memory at the end. `wait4` reports this process's
# peak instead if it is larger, because a child inherits it.
PRINT_PEAK = """
import atexit, runpy, sys
from utils.model_files.footprint import peak_memory_bytes
atexit.register(lambda: print(peak_memory_bytes(), file=sys.stderr))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Run(NamedTuple):
    """Resources used by one run of the command."""

    seconds: float
    cpu_seconds: float
    peak_mib: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.2f} s, {self.cpu_seconds:.2f} CPU-seconds, "
            f"{self.peak_mib:.0f} MiB"
        )


def run_command(words: Sequence[str]) -> Run:
    """Run the command in a process and measure it.

    Raises:
        RuntimeError: The command failed.
    """
    command = [sys.executable, "-c", PRINT_PEAK, str(SCRIPT), *words]
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        lines = errors.read().decode().splitlines()
    if process.returncode:
        raise RuntimeError(f"{SCRIPT.name} failed: {lines}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, int(lines[-1]) / 2**20)


def write_two_hours(sources: Sequence[Source], path: Path) -> None:
    """Write two hours of the recordings, in random order, with quiet pauses."""
    random = np.random.RandomState(0)
    with soundfile.SoundFile(path, "w", 16_000, 1, "PCM_16") as file:
        while file.frames < TWO_HOURS_S * 16_000:
            file.write(read_any(sources[random.randint(len(sources))].path, 16_000))
            pause = int(random.uniform(*PAUSE_S) * 16_000)
            file.write(random.standard_normal(pause) * PAUSE_LEVEL)


def measure(
    sources: Sequence[Source], models: ModelPerThread, words: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield description and result of each measurement.

    Args:
        sources: Recordings.
        models: The model, for the time per clip in one process.
        words: Options of the command that choose the same model.
    """
    names = [str(source.path) for source in sources]
    runs = [run_command(["-fn", names[0], *words]) for _ in range(COLD_STARTS)]
    median = Run(*map(statistics.median, zip(*runs, strict=True)))
    slowest_s = max(run.seconds for run in runs)
    yield (
        f"cold start, one clip, median of {COLD_STARTS}",
        (f"{median}; slowest {slowest_s:.2f} s"),
    )
    with threadpool_limits(1):
        start, cpu_start = time.perf_counter(), time.process_time()
        answers = [classify_centre(s.path, s.name, models) for s in sources]
        clip_s = (time.perf_counter() - start) / len(answers)
        clip_cpu_s = (time.process_time() - cpu_start) / len(answers)
    audio_s = sum(answer.duration_s for answer in answers) / len(answers)
    yield (
        "one clip on one thread, from file to answer",
        (
            f"{1000 * clip_s:.1f} ms, {1000 * clip_cpu_s:.1f} CPU-ms, real-time factor "
            f"{clip_s / audio_s:.4f} (mean clip {audio_s:.1f} s)"
        ),
    )
    run = run_command(["-fn", *names, *words])
    rate = len(sources) / run.seconds
    yield f"{len(sources)} clips, the whole command", f"{run}, {rate:.0f} clips/s"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "two_hours.wav")
        write_two_hours(sources, path)
        for what, more in [("timeline", ["--windows", "--csv"]), ("centre only", [])]:
            yield (
                f"two hours, {what}",
                str(run_command(["-fn", str(path), *more, *words])),
            )


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options of the benchmark."""
    parser = Parser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--folder", default="data/EMO-DB/wav", help="recordings")
    parser.add_argument("--model", help="model file [the catalog's default]")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    arguments = parse_args(argv)
    words = ["--model", arguments.model] if arguments.model else []
    command = parse_command(["-fn", "-", *words])
    path = model_path(command)
    models = ModelPerThread(model_loader(path, None, linear_path(command, path)))
    load = os.getloadavg()[0]
    print(f"model {path.name}, {os.cpu_count()} processors, load {load:.1f}")
    print("", *markdown_table(["what", "measured"]), sep="\n")
    with open_sources([arguments.folder], PROJECT) as sources:
        for what, figure in measure(sources, models, words):
            print(markdown_row([what, figure]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
