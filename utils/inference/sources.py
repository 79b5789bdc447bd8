"""Find the recordings that the user names: files, folders, lists, standard input."""

import codecs
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hyperparameters import InputError
from utils.audio.find import SUFFIXES, recordings
from utils.cli import find_spelled, printable

STDIN_NAME = "-"
LIST_SIGN = "@"
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # Windows writes them
MOST_LIST_BYTES = 2**26
MOST_STDIN_BYTES = 2**32  # a day and a half of 16-bit samples at 16 kHz
BLOCK_BYTES = 2**20
EMPTY_CELLS = ";,\t "  # at the end of lines, if a spreadsheet wrote the list
Warn = Callable[[str], object]


class Source(NamedTuple):
    """A recording: its printable name and its file."""

    name: str
    path: Path


@contextlib.contextmanager
def open_sources(
    words: Sequence[str], fallback_dir: Path, warn: Warn = lambda _: None
) -> Iterator[list[Source]]:
    """Find the recordings that command-line words name.

    Args:
        words: Each a file, a folder (searched to any depth), `@list.txt` (one file or
            folder per line), or `-` for standard input.
        fallback_dir: Second folder to look in for a file that does not exist.
        warn: Called with a line about each folder that holds other files, too.

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
                    sources += _find(line, fallback_dir, warn)
            else:
                sources += _find(word, fallback_dir, warn)
        yield sources


def _find(word: str, fallback_dir: Path, warn: Warn) -> list[Source]:
    """One file, or all recordings in a folder."""
    path, beside = _spelled(word), fallback_dir / word
    if os.path.isdir(path):  # unlike pathlib, no exception for impossible names
        return _search(path, warn)
    if not os.path.exists(path) and os.path.isfile(beside):
        path = beside
    return [Source(printable(path), path)]


def _spelled(word: str) -> Path:
    """A path, as the disk spells letters with accents."""
    if word.isascii() or os.path.exists(word):
        return Path(word)
    return find_spelled(Path(), word)


def _search(folder: Path, warn: Warn) -> list[Source]:
    """The visible recordings in a folder, to any depth."""
    paths, passed_over = recordings(folder)
    if not paths:
        raise InputError(
            f"{printable(folder)}: contains no recording; known suffixes are "
            f"{' '.join(sorted(SUFFIXES))}"
        )
    for line in passed_over:
        warn(printable(line))
    return [Source(printable(path), path) for path in paths]


def _read_list(path: Path) -> list[str]:
    """The names in a list of recordings: UTF-8, or UTF-16 with a byte order mark."""
    try:
        with _spelled(str(path)).open("rb") as file:  # it may be a pipe
            data = file.read(MOST_LIST_BYTES)
        if len(data) == MOST_LIST_BYTES:
            raise ValueError(f"it has more than {MOST_LIST_BYTES} bytes")
        is_utf16 = data.startswith(UTF16_MARKS)
        encoding = "utf-16" if is_utf16 else "utf-8-sig"
        text = data.decode(encoding, "strict" if is_utf16 else "surrogateescape")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{printable(path)}: the list cannot be read ({reason})"
        ) from error
    if "\0" in text:
        raise InputError(f"{printable(path)}: the list must be a text in UTF-8")
    lines = [
        line if os.path.exists(line) else line.rstrip(EMPTY_CELLS)
        for line in text.splitlines()
    ]
    names = [line for line in lines if line.strip()]
    if not names:
        raise InputError(f"{printable(path)}: the list names no recording")
    return names


@contextlib.contextmanager
def _spooled_stdin() -> Iterator[Path]:
    """Standard input as a file, because some formats need random access."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file:
            while block := sys.stdin.buffer.read(BLOCK_BYTES):
                file.write(block)
                if file.tell() > MOST_STDIN_BYTES:
                    raise InputError(
                        f"stdin: has more than {MOST_STDIN_BYTES} bytes; give a file"
                    )
        yield path
