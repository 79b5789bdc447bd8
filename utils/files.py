"""Writes files and folders completely or not at all, and hashes them."""

import contextlib
import glob
import hashlib
import io
import itertools
import json
import os
import secrets
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hyperparameters import InputError

if TYPE_CHECKING:
    import numpy.typing as npt
    from filelock import FileLock

STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}  # paths to file descriptors
PROJECT = Path(__file__).resolve().parent.parent
LFS_START = b"version https://git-lfs.github.com/spec/"
MOST_LFS_BYTES = 1024  # a pointer of git-lfs is smaller


def write_atomic(path: Path, write: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write a complete file, or keep the old one.

    Args:
        path: Target; missing folders are created. A device or a pipe, such as
            `/dev/stdout`, is written to and not replaced.
        write: The content, or a function that writes it to an open binary file.

    Raises:
        OSError: The disk is full or the folder is not writable; the old file stays. The
            error names the file.
    """
    descriptor = STREAMS.get(str(path))
    if descriptor or (path.exists() and not path.is_file()):
        sys.stdout.flush()
        sys.stderr.flush()
        # A duplicate keeps the position in a file that the stream was redirected to.
        with open(os.dup(descriptor) if descriptor else path, "wb") as file:
            _write(file, write)
        return
    _make_folder(path.parent)
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            _write(file, write)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        _add_name(error, path)
        raise


def _make_folder(folder: Path) -> None:
    """Make a folder; `Path.mkdir` cannot if 1,000 folders above it are missing too."""
    if not folder.is_dir():
        for parent in itertools.dropwhile(Path.is_dir, reversed(folder.parents)):
            parent.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)


def _add_name(error: BaseException, path: Path) -> None:
    """Name the file in an error of the system; that of a full disk names none."""
    if isinstance(error, OSError) and error.filename is None:
        error.filename = str(path)


def _write(file: BinaryIO, content: bytes | str | Callable[[BinaryIO], object]) -> None:
    if callable(content):
        content(file)
    else:
        file.write(content.encode() if isinstance(content, str) else content)


def _temporary(path: Path) -> Path:
    """A new hidden name beside `path`: `.<name>.<8 hexadecimal digits>.part`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def remove_parts(path: Path) -> None:
    """Remove the parts left by killed writers of `path`; the caller holds its lock."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.{'?' * 8}.part"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def check_regular(path: Path, most_bytes: int) -> None:
    """Check that a path is a regular file of limited size, before it is read.

    Reading a pipe may wait forever, and a device may have no end.

    Raises:
        InputError: It is a folder, pipe or device, has more bytes, or is a pointer
            that git-lfs has not replaced.
        OSError: There is no such file.
        ValueError: The path holds a null byte.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: is a folder, pipe or device, not a regular file")
    if found.st_size > most_bytes:
        raise InputError(
            f"{path}: has {found.st_size} bytes; at most {most_bytes} are allowed"
        )
    if found.st_size < MOST_LFS_BYTES:
        with path.open("rb") as file:
            refuse_pointer(str(path), file.read(len(LFS_START)))


def refuse_pointer(name: str, start: bytes) -> None:
    """Refuse a file that starts as the pointers of git-lfs do."""
    if start.startswith(LFS_START):
        raise InputError(f"{name}: is a git-lfs pointer; type `git lfs pull` there")


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file of limited size; raises as `check_regular`."""
    check_regular(path, most_bytes)
    return path.read_bytes()


def read_arrays(path: Path, most_bytes: int) -> "dict[str, npt.NDArray[Any]]":
    """The arrays of a `.npz` file from `np.savez`; nothing in it is executed.

    Args:
        path: The file; its checksums are verified.
        most_bytes: For the file, and for all arrays together.

    Returns:
        The arrays by name.

    Raises:
        InputError: As `check_regular`.
        OSError: There is no such file.
        ValueError: It is damaged, compressed, or holds objects.
    """
    import numpy as np

    content = io.BytesIO(read_regular(path, most_bytes))
    try:
        with zipfile.ZipFile(content) as archive:
            members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("is compressed")
        if sum(member.file_size for member in members) > most_bytes:
            raise ValueError(f"has more than {most_bytes} bytes")
        with np.load(content, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        for array in arrays.values():
            if not isinstance(array, np.ndarray) or array.size > most_bytes:
                raise ValueError("holds no array, or one of empty values")
            if array.dtype.kind == "U":
                array.tobytes().decode("utf-32-le")  # raises if one is no character
    except Exception as error:  # NumPy runs Python's tokenizer on what it finds
        raise ValueError(str(error)) from error
    return arrays


def write_json(path: Path, content: Any) -> None:
    """Write JSON with `write_atomic`: indented, without NaN, with a final newline."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomic(path, text + "\n")


@contextlib.contextmanager
def building(folder: Path, mark: str = "") -> Iterator[Path]:
    """Build a folder under a temporary name and rename it when it is complete.

    The caller holds `locked(folder)`: the remains of a killed build are removed.

    Args:
        folder: The finished folder; an older one is replaced.
        mark: Name of a file that every folder of this kind holds. A filled folder
            without it is never replaced.

    Yields:
        The temporary folder to fill.

    Raises:
        InputError: The folder holds files but not the mark.
        OSError: The disk is full or the folder is not writable. The older folder stays
            until the new one is complete; a kill between the two renames leaves none,
            and the next build makes it again.
    """
    is_filled = folder.is_dir() and any(folder.iterdir())
    if mark and is_filled and not (folder / mark).exists():
        raise InputError(
            f"{folder}: not made by this program (it holds no {mark}) and therefore "
            "kept; move it, or choose another folder with --derived_dir"
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
    except BaseException as error:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        shutil.rmtree(temporary, ignore_errors=True)
        _add_name(error, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def locked(target: Path) -> "FileLock":
    """A lock beside `target` for its builder; released if the process dies."""
    from filelock import FileLock  # inference does not need it

    target.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(target.parent / f".{target.name}.lock")


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_sha256(content: Any) -> str:
    """SHA-256 of a JSON object, independent of the order of its keys."""
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
