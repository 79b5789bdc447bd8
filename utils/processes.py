"""Cores, signals and stderr of this process."""

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from types import FrameType
from typing import BinaryIO

from hyperparameters import InputError


def usable_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, with another exit status.

    A second signal is ignored, so that it does not disturb the clean-up.

    Raises:
        KeyboardInterrupt: Its argument is the exit status, 130 or 143.
    """

    def stop(number: int, _: FrameType | None) -> None:
        for name in before:
            signal.signal(name, signal.SIG_IGN)
        raise KeyboardInterrupt(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals; a notebook's cell may run elsewhere
        return
    names = (signal.SIGINT, signal.SIGTERM)
    before = {name: signal.signal(name, stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextlib.contextmanager
def stderr_to(file: BinaryIO) -> Iterator[None]:
    """Send file descriptor 2, to which C++ libraries write too, to an open file.

    What a training process writes would tear the progress bars; after a crash it says
    why. The descriptor belongs to the process: use it in one thread at a time.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(screen, 2)
        os.close(screen)


@contextlib.contextmanager
def capture_stderr() -> Iterator[None]:
    """Hide what is written to file descriptor 2, as LiteRT does; show it after a bug.

    After an `InputError` it stays hidden too: the user sees one line. The descriptor
    belongs to the process: use it in one thread at a time.
    """
    with tempfile.TemporaryFile() as notes:
        try:
            with stderr_to(notes):
                yield
        except InputError:
            raise
        except BaseException:
            notes.seek(0)
            os.write(2, notes.read())
            raise
