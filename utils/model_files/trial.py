"""Runs a `.tflite` file of unknown origin once in a child process.

The native interpreter trusts the numbers in a file: a damaged or hostile file can end
the process, or ask for all memory. The child reads the file's content from stdin.
"""

import contextlib
import functools
import hashlib
import json
import subprocess
import sys
from pathlib import Path

from hyperparameters import InputError
from utils.cli import printable
from utils.files import PROJECT

MOST_MEMORY_BYTES = 2**28  # of a model with its tensors; the published one has 6 MB
MOST_SECONDS = 5  # of processor time for one segment; the published one takes 4 ms
WAIT_S = 120.0  # on a machine under load
REFUSED = 3  # exit status: the interpreter refused the file, and printed why
CATALOG = PROJECT / "inference_tests" / "catalog.json"
# What the native library raises, also for texts in the file that are not UTF-8
NATIVE_ERRORS = (
    *(ValueError, RuntimeError, TypeError, IndexError),
    *(MemoryError, OverflowError, SystemError),
)
_FAILURES: dict[str, str] = {}  # by SHA-256 of a content that was tried; "": it runs


def check_runs(path: Path, content: bytes) -> None:
    """Check that the interpreter survives a file, once per content.

    The models that come with the program are not tried: their checksums are known.

    Args:
        path: The file, for the message.
        content: What it contains.

    Raises:
        InputError: It cannot be run, ends the process, or needs too much memory or
            time.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest in _shipped():
        return
    if digest not in _FAILURES:
        _FAILURES[digest] = _failure(content)
    if reason := printable(" ".join(_FAILURES[digest].split())):
        raise InputError(f"{path}: cannot be loaded ({reason})")


@functools.cache
def _shipped() -> frozenset[str]:
    """SHA-256 of the models that come with the program."""
    try:
        models = json.loads(CATALOG.read_text(encoding="utf-8"))["models"]
        return frozenset(model["sha256"] for model in models)
    except (OSError, ValueError, KeyError, TypeError):  # missing or damaged
        return frozenset()


def _failure(content: bytes) -> str:
    """Why the interpreter cannot run a model; empty if it can."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "utils.model_files.trial"],
            cwd=PROJECT,
            input=content,
            capture_output=True,
            timeout=WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it takes more than {MOST_SECONDS} s"
    if done.returncode == REFUSED:
        return done.stdout.decode(errors="replace")
    if done.returncode:
        return (
            f"it ends the interpreter, or needs more than {MOST_SECONDS} s or "
            f"{MOST_MEMORY_BYTES >> 20} MiB: it is damaged or made to do harm"
        )
    return ""


def run_once(content: bytes) -> str:
    """Run a model on zeros, within the limits, in this process; for the child.

    Returns:
        Why the interpreter refuses the file; empty if it runs.
    """
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    _limit()
    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        for end in interpreter.get_input_details():
            zeros = np.zeros(end["shape"], end["dtype"])
            interpreter.set_tensor(end["index"], zeros)
        interpreter.invoke()
        for end in interpreter.get_output_details():
            interpreter.get_tensor(end["index"])
    except NATIVE_ERRORS as error:
        return str(error) or type(error).__name__
    return ""


def main() -> int:
    """Try the model on stdin and print why it cannot be run."""
    reason = run_once(sys.stdin.buffer.read())
    print(reason)
    return REFUSED if reason else 0


def _limit() -> None:
    """Limit memory and processor time of this process, if the system can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most_bytes = pages * resource.getpagesize() + MOST_MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
        used = resource.getrusage(resource.RUSAGE_SELF)
        most_s = int(used.ru_utime + used.ru_stime) + 1 + MOST_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (most_s, most_s))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
