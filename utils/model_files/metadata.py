"""What a `.tflite` file says of itself: class names, front-end, origin, scores.

A ZIP with one file, `light_sernet.json`, follows the flatbuffer: the format's own way
to carry associated files, which every runtime passes over.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from hyperparameters import FrontEnd, InputError
from utils.cli import printable

METADATA_NAME = "light_sernet.json"
METADATA_FORMAT = 1
MAX_METADATA_BYTES = 16_384  # of the whole ZIP
IDENTIFIER = b"TFL3"  # at byte 4 of every .tflite
INPUT_KINDS = ("features", "audio")


def attach_metadata(model: bytes, metadata: dict[str, Any]) -> bytes:
    """Append the description of a model to its flatbuffer.

    Args:
        model: A `.tflite` without associated files.
        metadata: JSON-able; see `utils.export.convert`.

    Returns:
        The same model, described; the same bytes for the same arguments.

    Raises:
        ValueError: `model` is no `.tflite` or already has associated files, or the
            description takes more than 16,384 bytes.
    """
    if model[4:8] != IDENTIFIER or without_metadata(model) != model:
        raise ValueError("metadata go to a .tflite that has none yet")
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    info = zipfile.ZipInfo(METADATA_NAME)  # dated 1980: the same bytes at any time
    info.create_system = 3  # ... and on any system
    file = io.BytesIO(model)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(info, text.encode())
    described = file.getvalue()
    if len(described) - len(model) > MAX_METADATA_BYTES:
        raise ValueError(
            f"metadata must take at most {MAX_METADATA_BYTES} bytes, got "
            f"{len(described) - len(model)}"
        )
    return described


def without_metadata(model: bytes) -> bytes:
    """The flatbuffer alone, as the converter wrote it."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            starts = [info.header_offset for info in archive.infolist()]
    except zipfile.BadZipFile:
        return model
    return model[: min(starts, default=len(model))]


def read_metadata(path: Path) -> dict[str, Any] | None:
    """Read what a model file says of itself; nothing is extracted or run.

    Args:
        path: `.tflite` file.

    Returns:
        The description; None where the file has none, as other people's have.

    Raises:
        InputError: The file cannot be read, or its description is damaged, too long
            or of another format.
    """
    try:
        text = _read_member(path)
        metadata = None if text is None else json.loads(text)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: its {METADATA_NAME} is damaged ({error})") from error
    if metadata is not None:
        _check(metadata, f"{path}: its {METADATA_NAME}")
    return metadata


def _read_member(path: Path) -> bytes | None:
    """The bytes of our file in the ZIP; None where there is no ZIP or no such file.

    Raises:
        BadZipFile, ValueError, RuntimeError: The file is there but cannot be read.
    """
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        return None
    with archive:
        if METADATA_NAME not in archive.namelist():
            return None
        info = archive.getinfo(METADATA_NAME)
        # Else the sizes, which anybody may have written, would not limit the memory.
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError("compressed, must be stored")
        if max(info.file_size, info.compress_size) > MAX_METADATA_BYTES:
            raise ValueError(f"more than {MAX_METADATA_BYTES} bytes")
        return archive.read(info)


def _check(metadata: Any, name: str) -> None:
    """Refuse a description that could not be used."""
    if not isinstance(metadata, dict) or metadata.get("format") != METADATA_FORMAT:
        raise InputError(f"{name} must be of format {METADATA_FORMAT}; export it anew")
    classes = metadata.get("classes")
    if not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
        raise InputError(f"{name} must list its classes, got {classes!r}")
    if metadata.get("input") not in INPUT_KINDS:
        raise InputError(
            f"{name} must have input {' or '.join(INPUT_KINDS)}, got "
            f"{metadata.get('input')!r}"
        )
    if not isinstance(metadata.get("corpus") or {}, dict):
        raise InputError(f"{name} must describe its corpus in an object")
    # They reach terminals and C sources.
    if not all(c.isprintable() and c.strip() for c in classes):
        raise InputError(
            f"{name} must name its classes in printable text, got {classes!r}"
        )
    if len(set(classes)) < len(classes):
        raise InputError(f"{name} must name each class once, got {classes!r}")
    try:
        FrontEnd(**metadata["front_end"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = printable(str(error))  # a name that is no field's stands in it
        raise InputError(f"{name} has no usable front_end ({reason})") from error


def named_classes(
    path: Path, stored: tuple[str, ...] | None, labels: str | None
) -> tuple[str, ...]:
    """A model's classes: as the user names them, else as stored with the model.

    Args:
        path: The model, for the message.
        stored: Names that came with the model; None where none did.
        labels: `--labels`: other words, such as a corpus's, for the same outputs.

    Raises:
        InputError: Neither, or the stored names in another order: that would answer
            wrongly without any error.
    """
    if labels is None and stored is None:
        raise InputError(
            f"{path}: does not name its classes; give them with --labels (a file with "
            "one a line, or names with commas between)"
        )
    given = stored or () if labels is None else parse_labels(labels)
    if stored and given != stored and set(given) == set(stored):
        raise InputError(
            f"--labels names the classes of {path} in another order than the model "
            f"itself ({', '.join(stored)}); leave it out"
        )
    return given


def parse_labels(labels: str) -> tuple[str, ...]:
    """Class names from `--labels`.

    Args:
        labels: Path of a text file with one name a line, or names with commas between.

    Raises:
        InputError: No such file, or no or repeated names in it.
    """
    parts = labels.split(",")
    if len(parts) == 1:
        try:
            parts = Path(labels).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:  # ValueError: not UTF-8
            raise InputError(
                "--labels must be a text file with one class a line, or names with "
                f"commas between, got {labels!r}"
            ) from error
    names = tuple(part.strip() for part in parts if part.strip())
    if not names or len(set(names)) != len(names):
        raise InputError(f"--labels must name each class once, got {labels!r}")
    return names
