"""The description inside a `.tflite` file: class names, front-end, origin, scores.

A ZIP archive with one file, `light_sernet.json`, follows the flatbuffer. This is how
the format carries associated files; every runtime ignores it.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperparameters import FrontEnd, InputError
from utils.audio.scale import Voices
from utils.cli import printable

METADATA_NAME = "light_sernet.json"
METADATA_FORMAT = 1
MAX_METADATA_BYTES = 16_384  # the whole ZIP archive
IDENTIFIER = b"TFL3"  # at byte 4 of every .tflite
INPUT_KINDS = ("features", "audio")


def attach_metadata(model: bytes, metadata: dict[str, Any]) -> bytes:
    """Append a description to a flatbuffer.

    Args:
        model: Content of a `.tflite` file without associated files.
        metadata: JSON-serialisable; see `utils.export.convert.describe`.

    Returns:
        Content of the described file; the same arguments give the same bytes.

    Raises:
        ValueError: `model` is not a `.tflite` file or already has associated files, or
            the description exceeds 16,384 bytes.
    """
    if model[4:8] != IDENTIFIER or without_metadata(model) != model:
        raise ValueError("model must be a .tflite without metadata")
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    info = zipfile.ZipInfo(METADATA_NAME)  # dated 1980, so that bytes do not vary
    info.create_system = 3  # the same on every system
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
    """The flatbuffer without associated files, as the converter wrote it."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            starts = [info.header_offset for info in archive.infolist()]
    except zipfile.BadZipFile:
        return model
    return model[: min(starts, default=len(model))]


def read_metadata(path: Path) -> dict[str, Any] | None:
    """Read the description of a model file; nothing is unpacked to disk or executed.

    Args:
        path: `.tflite` file.

    Returns:
        The description, or None if the file has none (models of other projects).

    Raises:
        InputError: The file cannot be read, or its description is damaged, too long
            or in another format.
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
    """Content of `light_sernet.json`, or None if it or the archive is missing.

    Raises:
        BadZipFile, ValueError, RuntimeError: It is present but cannot be read.
    """
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        return None
    with archive:
        if METADATA_NAME not in archive.namelist():
            return None
        info = archive.getinfo(METADATA_NAME)
        # The stated sizes may lie; only uncompressed data cannot exceed them.
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError("compressed, must be stored")
        if max(info.file_size, info.compress_size) > MAX_METADATA_BYTES:
            raise ValueError(f"more than {MAX_METADATA_BYTES} bytes")
        return archive.read(info)


def _check(metadata: Any, name: str) -> None:
    """Raise InputError if a description cannot be used."""
    if not isinstance(metadata, dict) or metadata.get("format") != METADATA_FORMAT:
        raise InputError(
            f"{name} must have format {METADATA_FORMAT}; export the model again"
        )
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
    # class names are printed to terminals and written to C sources
    if not all(c.isprintable() and c.strip() for c in classes):
        raise InputError(
            f"{name} must name its classes in printable text, got {classes!r}"
        )
    if len(set(classes)) < len(classes):
        raise InputError(f"{name} must name each class once, got {classes!r}")
    try:
        front_end = FrontEnd(**metadata["front_end"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = printable(str(error))  # may quote an unknown field name
        raise InputError(f"{name} has no usable front_end ({reason})") from error
    try:
        voices_in(metadata, front_end)
    except (TypeError, AttributeError, ValueError, OverflowError) as error:
        reason = printable(str(error))
        raise InputError(f"{name} has no usable voices ({reason})") from error


def voices_in(metadata: Mapping[str, Any], front_end: FrontEnd) -> Voices | None:
    """How a model's features are standardised; None if they are not.

    Args:
        metadata: A model's description, or a fold's record.
        front_end: The model's front-end.

    Raises:
        ValueError: `voices` is damaged.
    """
    values = metadata.get("voices")
    return values and Voices.from_dict(values, front_end.num_features)


def named_classes(
    path: Path, stored: tuple[str, ...] | None, labels: str | None
) -> tuple[str, ...]:
    """Class names of a model: the user's if given, else those stored with the model.

    Args:
        path: Model file, for the message.
        stored: Names stored with the model, if any.
        labels: Value of `--labels`: other words for the same outputs.

    Raises:
        InputError: There are no names, or `labels` has the stored names in another
            order, which would give wrong answers without any error.
    """
    if labels is None and stored is None:
        raise InputError(
            f"{path}: does not name its classes; give them with --labels (a file with "
            "one name per line, or comma-separated names)"
        )
    given = stored or () if labels is None else parse_labels(labels)
    if stored and given != stored and set(given) == set(stored):
        raise InputError(
            f"--labels lists the classes of {path} in another order than the model "
            f"itself ({', '.join(stored)}); omit --labels"
        )
    return given


def parse_labels(labels: str) -> tuple[str, ...]:
    """Class names from the value of `--labels`.

    Args:
        labels: Path of a text file with one name per line, or comma-separated names.

    Raises:
        InputError: The file cannot be read, or names are missing or repeated.
    """
    parts = labels.split(",")
    if len(parts) == 1:
        try:
            parts = Path(labels).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:  # ValueError: not UTF-8
            raise InputError(
                "--labels must be a text file with one class per line, or "
                f"comma-separated names, got {labels!r}"
            ) from error
    names = tuple(part.strip() for part in parts if part.strip())
    if not names or len(set(names)) != len(names):
        raise InputError(f"--labels must name each class once, got {labels!r}")
    return names
