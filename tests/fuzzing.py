"""Many damaged inputs in two warm processes, which are started again after a crash.

`python tests/fuzzing.py MODULE FUNCTION FOLDER FIRST END STEP` is such a process.
"""

import importlib
import json
import os
import re
import resource
import select
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from utils.cli import one_line

ROOT = Path(__file__).resolve().parent.parent
MOST_S = 2.0  # of processor time for one input, child processes included
MOST_BYTES = 500 * 2**20  # more than before the first input, or in a child process
LONGEST_S = 300.0  # on busy cores, the imports included
JOBS = 2
FEW = 200  # inputs for which one process is enough
BAD_LINE = re.compile(r"@ 0x|(code|number) -\d|Traceback")  # differ from run to run

Outcome = tuple[int, str, str]  # number of the input, kind, details


def fuzz(
    try_one: Callable[[Path, int], str],
    count: int,
    folder: Path,
    *,
    is_silent: bool = False,
) -> Counter[str]:
    """Try inputs 0, 1, ... and count what became of them.

    Args:
        try_one: Function of a module; makes the input of a number in a folder, tries
            it, and returns the kind of its outcome. Kinds that begin with `FAULT`, and
            exceptions, are faults.
        count: Number of inputs.
        folder: For files; each process has its own inside.
        is_silent: Nothing may be written to stderr, by C libraries neither.

    Returns:
        Number of inputs by kind.

    Raises:
        AssertionError: There were faults; lists the first ones with their numbers.
    """
    jobs = min(JOBS, -(-count // FEW))
    with ThreadPoolExecutor(jobs) as pool:
        numbers = [range(first, count, jobs) for first in range(jobs)]
        parts = pool.map(lambda some: _part(try_one, some, folder, is_silent), numbers)
        outcomes = [outcome for part in parts for outcome in part]
    assert len(outcomes) == count
    faults = sorted(o for o in outcomes if o[1].startswith("FAULT"))
    shown = "\n".join(f"{number}: {kind} {text}" for number, kind, text in faults[:20])
    assert not faults, f"{len(faults)} of {count}:\n{shown}"
    return Counter(kind for _, kind, _ in outcomes)


def _part(
    try_one: Callable[[Path, int], str], numbers: range, folder: Path, is_silent: bool
) -> list[Outcome]:
    """The outcomes of some inputs, in as many processes as needed."""
    outcomes: list[Outcome] = []
    own = folder / str(numbers.start)
    own.mkdir()
    while left := numbers[len(outcomes) :]:
        words = [try_one.__module__, try_one.__name__, own]
        words += [left.start, left.stop, left.step]
        with (
            tempfile.TemporaryFile() as notes,
            subprocess.Popen(
                [sys.executable, __file__, *map(str, words)],
                stdout=subprocess.PIPE,
                stderr=notes,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, _paths()))},
            ) as process,
        ):
            outcomes += _outcomes(process, left)
            notes.seek(0)
            text = notes.read().decode(errors="replace")[-2000:]
        if process.returncode:  # at the last of these inputs
            number, kind, _ = outcomes.pop()
            outcomes.append((number, kind, text))
        elif is_silent and text:
            outcomes[-1] = (outcomes[-1][0], "FAULT: wrote to stderr", text)
    return outcomes


def _paths() -> list[Path]:
    """Where modules are: as in pytest's own process."""
    tests = Path(__file__).parent
    return [ROOT, tests, *sorted(p for p in tests.iterdir() if p.is_dir())]


def _outcomes(process: "subprocess.Popen[bytes]", numbers: range) -> list[Outcome]:
    """All outcomes of one process; if it dies or hangs, that of its input too."""
    assert process.stdout is not None
    outcomes: list[Outcome] = []
    while select.select([process.stdout], [], [], LONGEST_S)[0]:
        if not (line := process.stdout.readline()):
            break
        outcomes.append(tuple(json.loads(line)))
    else:
        process.kill()
    if status := process.wait():
        place = min(len(outcomes), len(numbers) - 1)
        outcomes[place:] = [(numbers[place], f"FAULT: ended with status {status}", "")]
    return outcomes


def line_of(error: ValueError, *names: Path | str) -> str:
    """`refused`, or FAULT if the message does not begin with one of the names."""
    text = one_line(error)  # as programs print it
    is_line = text.startswith(tuple(map(str, names))) and not BAD_LINE.search(text)
    return "refused" if is_line else f"FAULT: message {text!a}"


def _peak_bytes() -> int:
    """Most memory that this process ever had.

    `ru_maxrss` would count the memory of the process that started this one, too.
    """
    status = Path("/proc/self/status").read_text()
    [kib] = re.findall(r"VmHWM:\s*(\d+) kB", status)
    return int(kib) * 1024


def main(argv: list[str]) -> None:
    """Try inputs in this process, and write one line of JSON about each."""
    module, name, folder, *numbers = argv
    try_one = getattr(importlib.import_module(module), name)
    base, worst = 0, MOST_BYTES
    for number in range(*map(int, numbers)):
        started, details = _cpu_s(), ""
        try:
            kind = try_one(Path(folder), number)
        except Exception:
            kind, details = "FAULT: traceback", traceback.format_exc()[-2000:]
        seconds = _cpu_s() - started
        peak = _peak_bytes()
        in_child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        base = base or peak  # after the first input, which imports the libraries
        if seconds > MOST_S and number != int(numbers[0]):
            kind, details = "FAULT: slow", f"{kind}: {seconds:.1f} s"
        if (grown := max(peak, in_child) - base) > worst:  # peaks never fall
            worst = grown
            kind, details = "FAULT: memory", f"{kind}: {grown} bytes"
        print(json.dumps([number, kind, details]), flush=True)


def _cpu_s() -> float:
    """Processor time of this process and of its children."""
    times = os.times()
    return sum(times[:4])


if __name__ == "__main__":
    main(sys.argv[1:])
