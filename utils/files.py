"""Writing so that a kill, a full disk or a second run leaves no half file."""

import contextlib
import glob
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hyperparameters import InputError

if TYPE_CHECKING:
    from filelock import FileLock

STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}  # paths to file descriptors
PROJECT = Path(__file__).resolve().parent.parent


def write_atomic(path: Path, write: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write a file whole or not at all.

    Args:
        path: Target; its folder is made where missing. A device or a pipe, such as
            `/dev/stdout`, is written to and not replaced.
        write: The content, or a function that writes it into an open binary file.

    Raises:
        OSError: The disk is full or the folder not writable; the old file stays.
    """
    if (own := STREAMS.get(str(path))) is not None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with os.fdopen(os.dup(own), "wb") as file:  # goes on where the stream is
            _write(file, write)
        return
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            _write(file, write)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            _write(file, write)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write(file: BinaryIO, content: bytes | str | Callable[[BinaryIO], object]) -> None:
    if callable(content):
        content(file)
    else:
        file.write(content.encode() if isinstance(content, str) else content)


def _temporary(path: Path) -> Path:
    """A new hidden name beside `path`: `.<name>.<8 hexadecimal digits>.part`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def remove_parts(path: Path) -> None:
    """Remove what killed writers of a file or folder left; the caller holds its lock.

    Args:
        path: The finished file or folder; it stays.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.{'?' * 8}.part"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically: two-space indent, no NaN, newline at the end."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomic(path, text + "\n")


@contextlib.contextmanager
def building(folder: Path, mark: str = "") -> Iterator[Path]:
    """Build a folder under a temporary name; it appears whole or not at all.

    The caller holds `locked(folder)`: what an earlier, killed build left is removed.

    Args:
        folder: The finished folder; an older one is replaced.
        mark: Name of a file in every folder of this kind: one without it is not ours
            to replace.

    Yields:
        The temporary folder to fill.

    Raises:
        InputError: There is a folder with files and without the mark.
        OSError: The disk is full or the folder not writable. An older one stays until
            the new one is whole; a kill between the two renames leaves none.
    """
    is_filled = folder.is_dir() and any(folder.iterdir())
    if mark and is_filled and not (folder / mark).exists():
        raise InputError(
            f"{folder}: not made by this program (it holds no {mark}) and therefore "
            "kept; move it away, or name another place with --derived_dir"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_parts(folder)
    temporary, old = _temporary(folder), _temporary(folder)
    temporary.mkdir()
    try:
        yield temporary
        if folder.exists():
            os.replace(folder, old)
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def locked(target: Path) -> "FileLock":
    """One builder at a time: a lock beside `target`, released when its holder dies."""
    from filelock import FileLock  # not needed to classify

    target.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(target.parent / f".{target.name}.lock")


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_sha256(content: Any) -> str:
    """SHA-256 of a JSON-able object, independent of the order of its keys."""
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
