"""How fast the inference command is: cold start, a clip, a folder, two hours of audio.

    python -m benchmarks.inference --folder data/EMO-DB/wav [--model FILE]

Prints a Markdown table. Each figure is of this machine as it is now: what else runs on
it counts, so the load is printed too.
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

from inference_single_file import model_loader, model_path
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
# Runs a script and tells its own peak memory last: `wait4` would tell ours where ours
# is larger, since a process inherits its parent's peak.
TELL_PEAK = """
import atexit, runpy, sys

def tell():
    with open("/proc/self/status") as status:
        sys.stderr.write("".join(line for line in status if line.startswith("VmHWM:")))

atexit.register(tell)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Run(NamedTuple):
    """One run of the command."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def run_command(words: Sequence[str]) -> Run:
    """Run the command in a process of its own and measure it.

    Raises:
        RuntimeError: It failed.
    """
    command = [sys.executable, "-c", TELL_PEAK, str(SCRIPT), *words]
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read().decode()
    if process.returncode:
        raise RuntimeError(f"{SCRIPT.name} ended with {process.returncode}: {said}")
    peak_mib = int(said.split()[-2]) / 1024
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak_mib)


def two_hours(sources: Sequence[Source], path: Path) -> None:
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
    """Each figure as soon as it is known: what, and how much.

    Args:
        sources: Recordings, for all but the two hours.
        models: The model, for the time within one process.
        words: The command's words that choose the same model.
    """
    first = str(sources[0].path)
    runs = [run_command(["-fn", first, *words]) for _ in range(COLD_STARTS)]
    seconds = [run.seconds for run in runs]
    yield (
        f"cold start, one clip ({COLD_STARTS} calls)",
        f"median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s, "
        f"{statistics.median(run.cpu_seconds for run in runs):.2f} CPU-seconds, "
        f"{runs[0].peak_mib:.0f} MiB",
    )
    with threadpool_limits(1):
        start, cpu_start = time.perf_counter(), time.process_time()
        answers = [classify_centre(s.path, s.name, models) for s in sources]
        seconds_a_clip = (time.perf_counter() - start) / len(answers)
        cpu_a_clip = (time.process_time() - cpu_start) / len(answers)
    audio_s = sum(answer.duration_s for answer in answers) / len(answers)
    yield (
        "a clip on one thread, decoding to answer",
        f"{1000 * seconds_a_clip:.1f} ms, {1000 * cpu_a_clip:.1f} of them the "
        f"processor's, real-time factor "
        f"{seconds_a_clip / audio_s:.4f} (mean clip {audio_s:.1f} s)",
    )
    names = [str(source.path) for source in sources]
    run = run_command(["-fn", *names, *words])
    yield (
        f"{len(sources)} clips, the whole command",
        f"{run.seconds:.1f} s, {len(sources) / run.seconds:.0f} clips/s, "
        f"{run.cpu_seconds:.1f} CPU-seconds, {run.peak_mib:.0f} MiB",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "two_hours.wav")
        two_hours(sources, path)
        for what, more in [("timeline", ["--windows", "--csv"]), ("centre only", [])]:
            run = run_command(["-fn", str(path), *more, *words])
            yield (
                f"two hours, {what}",
                f"{run.seconds:.1f} s, {run.cpu_seconds:.1f} CPU-seconds, "
                f"{run.peak_mib:.0f} MiB",
            )


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options of the benchmark."""
    parser = Parser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--folder", default="data/EMO-DB/wav", help="recordings")
    parser.add_argument("--model", help="model file; the card's default without it")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    arguments = parse_args(argv)
    words = ["--model", arguments.model] if arguments.model else []
    path = model_path(parse_command(["-fn", "-", *words]))
    models = ModelPerThread(model_loader(path, None))
    print(
        f"model {path.name}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    )
    print("", *markdown_table(["what", "measured"]), sep="\n")
    with open_sources([arguments.folder], PROJECT) as sources:
        for what, figure in measure(sources, models, words):
            print(markdown_row([what, figure]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
