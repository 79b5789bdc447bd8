"""What C libraries write to file descriptor 2, kept off the screen."""

import contextlib
import os
import tempfile
from collections.abc import Iterator

from hyperparameters import InputError
from utils.processes import stderr_to


@contextlib.contextmanager
def native_output_held_back() -> Iterator[None]:
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
