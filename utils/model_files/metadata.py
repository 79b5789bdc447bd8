"""The description inside a `.tflite` file: class names, front-end, origin, scores.

A ZIP archive with one file, `light_sernet.json`, follows the flatbuffer. This is how
the format carries associated files; every runtime ignores it.
"""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hyperparameters import FrontEnd, InputError
from utils.audio.prepare import CENTRE, OVERLAPPING
from utils.audio.scale import Voices
from utils.cli import printable
from utils.files import check_regular
from utils.model_files.class_names import check_class_names, is_printable

METADATA_NAME = "light_sernet.json"
METADATA_FORMAT = 1
MOST_MODEL_BYTES = 2**28  # the published network has 1.8 MB
MAX_METADATA_BYTES = 16_384  # the whole ZIP archive
IDENTIFIER = b"TFL3"  # at byte 4 of every .tflite
INPUT_KINDS = ("features", "audio")
BAD_ZIP = (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OverflowError)


def check_model_file(path: Path) -> None:
    """Check that a path is a regular file of at most 256 MiB, before it is read.

    Raises:
        InputError: There is no such file, it is a folder, pipe or device, or larger.
    """
    try:
        check_regular(path, MOST_MODEL_BYTES)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: \0 in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: {reason}") from error


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
    except BAD_ZIP:
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
    check_model_file(path)
    try:
        with path.open("rb") as file:
            file.seek(0, io.SEEK_END)
            file.seek(max(0, file.tell() - MAX_METADATA_BYTES))
            text = _read_member(file.read())
        metadata = None if text is None else json.loads(text)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (*BAD_ZIP, RuntimeError) as error:  # RuntimeError: encrypted
        raise InputError(f"{path}: its {METADATA_NAME} is damaged ({error})") from error
    if metadata is not None:
        _check(metadata, f"{path}: its {METADATA_NAME}")
    return metadata


def _read_member(tail: bytes) -> bytes | None:
    """Content of `light_sernet.json`, or None if it or the archive is missing.

    Args:
        tail: The last 16,384 bytes of a file: the archive may not be longer, and a
            longer one of another project may take minutes to list.

    Raises:
        BAD_ZIP, RuntimeError: It is present but cannot be read.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(tail))
    except BAD_ZIP:
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


def read_described(path: Path, keys: Iterable[str]) -> dict[str, Any]:
    """Read the description of a model that this project exported.

    Args:
        path: `.tflite` file.
        keys: What it must hold.

    Raises:
        InputError: As `read_metadata`, or a key or the corpus's name is missing.
    """
    metadata = read_metadata(path) or {}
    missing = [key for key in keys if metadata.get(key) is None]
    if not missing and "name" not in metadata.get("corpus", {"name": ""}):
        missing = ["the name of its corpus"]
    if missing:
        raise InputError(
            f"{path}: its metadata lacks {', '.join(missing)}; export the model again"
        )
    return metadata


def _is_number(value: Any, *allowed: int) -> bool:
    """Whether a value is one of some whole numbers; True and 2.0 are none."""
    return type(value) is int and value in allowed


def _check(metadata: Any, name: str) -> None:
    """Raise InputError if a description cannot be used."""
    if not isinstance(metadata, dict) or not _is_number(
        metadata.get("format"), METADATA_FORMAT
    ):
        raise InputError(
            f"{name} must have format {METADATA_FORMAT}; export the model again"
        )
    check_class_names(name, metadata.get("classes"))
    if metadata.get("input") not in INPUT_KINDS:
        raise InputError(
            f"{name} must have input {' or '.join(INPUT_KINDS)}, got "
            f"{metadata.get('input')!r}"
        )
    if not _is_number(metadata.get("segment_mode", CENTRE), CENTRE, OVERLAPPING):
        raise InputError(
            f"{name} must have segment_mode {CENTRE} or {OVERLAPPING}, got "
            f"{metadata['segment_mode']!r:.40}"
        )
    corpus = {} if metadata.get("corpus") is None else metadata["corpus"]
    if not isinstance(corpus, dict):
        raise InputError(f"{name} must describe its corpus in an object")
    corpus_name = corpus.get("name")
    if corpus_name is not None and not is_printable(corpus_name):
        raise InputError(
            f"{name} must name its corpus in printable text, got {corpus_name!r}"
        )
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
    if values is None:
        return None
    return Voices.from_dict(values, front_end.num_features)
