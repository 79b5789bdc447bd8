"""What worker processes and their parent need of the operating system."""

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
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started inside the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C from the processes and threads started inside the block.

    A terminal sends it to every process; only the parent answers. Blocked signals are
    inherited, and one that comes meanwhile is delivered to the parent at the end.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, with its own exit status.

    Raises:
        KeyboardInterrupt: Its argument is the exit status, 130 or 143. A second signal
            does not disturb what the first one ended.
    """

    def stop(number: int, _: FrameType | None) -> None:
        for name in before:
            signal.signal(name, signal.SIG_IGN)
        raise KeyboardInterrupt(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's; a notebook's cell may run elsewhere
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

    A worker's notes would tear the progress bars; after a crash they say why. The
    descriptor is the process's: not for several threads at a time.
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


def exit_reason(exit_code: int | None) -> str:
    """A line on how a worker process ended."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        why = ", memory may be short" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{why}; going on from its last epoch"
    return f"its process ended with status {exit_code}; going on from its last epoch"


@contextlib.contextmanager
def capture_stderr() -> Iterator[None]:
    """Hold back file descriptor 2 (LiteRT greets on it); show it all if a bug shows.

    A user's mistake is told in one line, so then too it stays hidden. Not for use in
    several threads at a time: the descriptor is the process's.
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
