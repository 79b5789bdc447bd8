"""Find the recordings that the user names: files, folders, lists, standard input."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hyperparameters import InputError
from utils.audio.find import SUFFIXES, audio_files
from utils.cli import printable

STDIN_NAME = "-"
LIST_SIGN = "@"


class Source(NamedTuple):
    """A recording: its printable name and its file."""

    name: str
    path: Path


@contextlib.contextmanager
def open_sources(words: Sequence[str], fallback_dir: Path) -> Iterator[list[Source]]:
    """Find the recordings that command-line words name.

    Args:
        words: Each a file, a folder (searched to any depth), `@list.txt` (one file or
            folder per line), or `-` for standard input.
        fallback_dir: Second folder to look in for a file that does not exist.

    Yields:
        The recordings; those of a folder sorted by path. Missing files are included;
        they are refused later, in their turn.

    Raises:
        InputError: A list cannot be read, or a list or folder names no recording.
        OSError: A folder cannot be read.
    """
    with contextlib.ExitStack() as stack:
        sources: list[Source] = []
        for word in words:
            if word == STDIN_NAME:
                sources.append(Source("stdin", stack.enter_context(_spooled_stdin())))
            elif word.startswith(LIST_SIGN):
                for line in _read_list(Path(word[1:])):
                    sources += _find(line, fallback_dir)
            else:
                sources += _find(word, fallback_dir)
        yield sources


def _find(word: str, fallback_dir: Path) -> list[Source]:
    """One file, or all recordings in a folder."""
    path, beside = Path(word), fallback_dir / word
    if os.path.isdir(path):  # unlike pathlib, no exception for impossible names
        return _search(path)
    if not os.path.exists(path) and os.path.isfile(beside):
        path = beside
    return [Source(printable(path), path)]


def _search(folder: Path) -> list[Source]:
    """The visible recordings in a folder, to any depth."""
    paths = audio_files(folder)
    if not paths:
        raise InputError(
            f"{printable(folder)}: contains no recording; known suffixes are "
            f"{' '.join(sorted(SUFFIXES))}"
        )
    return [Source(printable(path), path) for path in paths]


def _read_list(path: Path) -> list[str]:
    """The non-empty lines of a list of recordings."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{printable(path)}: the list cannot be read ({reason})"
        ) from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{printable(path)}: the list names no recording")
    return lines


@contextlib.contextmanager
def _spooled_stdin() -> Iterator[Path]:
    """Standard input as a file, because some formats need random access."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path
