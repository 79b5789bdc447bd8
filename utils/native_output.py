"""What C libraries write to file descriptor 2, kept off the screen."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from hyperparameters import InputError


@contextlib.contextmanager
def native_output_held_back() -> Iterator[None]:
    """Hold back file descriptor 2 (LiteRT greets on it); show it all if a bug shows.

    A user's mistake is told in one line, so then too it stays hidden. Not for use in
    several threads at a time: the descriptor is the process's.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except InputError:
            raise
        except BaseException:
            notes.seek(0)
            os.write(screen, notes.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)
