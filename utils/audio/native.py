"""Read files at their own rate through libsndfile: WAV, AIFF, FLAC, Ogg and others."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.audio import containers
from utils.audio.chunks import unstated_samples
from utils.audio.streams import ALTERED
from utils.cli import printable

if TYPE_CHECKING:
    import soundfile

FloatArray = npt.NDArray[np.floating]

BLOCK_VALUES = 262_144  # samples times channels read at once: 2 MiB of float64
RATES_HZ = (2_000, 768_000)  # other rates mean a damaged header
MAX_CHANNELS = 64


class Native(NamedTuple):
    """Part of a file at its own rate: samples (frames, channels), float64."""

    rate_hz: int
    samples: FloatArray


def name_for_soundfile(path: Path) -> bytes | str:
    """A path as bytes, because names need not be UTF-8; on Windows as text."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def check_format(rate_hz: int, channels: int, name: str) -> None:
    """Refuse impossible rates and channel counts, which damaged headers hold."""
    low_hz, high_hz = RATES_HZ
    if not low_hz <= rate_hz <= high_hz:
        raise InputError(
            f"{name}: the rate must be {low_hz} to {high_hz} Hz, its header "
            f"states {rate_hz}"
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise InputError(
            f"{name}: must have 1 to {MAX_CHANNELS} channels, its header "
            f"states {channels}"
        )


def open_native(path: Path) -> "soundfile.SoundFile | None":
    """Open a file if libsndfile decodes it completely.

    Args:
        path: A file that can be read.

    Returns:
        The open file; None if ffmpeg must decode it.
    """
    import soundfile

    if not containers.is_native(path):
        return None
    try:
        file = soundfile.SoundFile(name_for_soundfile(path))
    except (soundfile.LibsndfileError, OSError, TypeError):  # TypeError: `*.raw`
        return None
    if file.subtype.startswith("MPEG"):
        file.close()
        return None
    start = unstated_samples(path) if file.frames == 0 else None
    return _with_stated_samples(path, start) if start else file


def _with_stated_samples(path: Path, start: int) -> "soundfile.SoundFile":
    """Open a copy of a WAV whose header states that samples go on to its end."""
    import soundfile

    with path.open("rb") as file, tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        copy.seek(start - 4)
        copy.write((0xFFFF_FFFF).to_bytes(4, "little"))
        copy.seek(0)
        return soundfile.SoundFile(os.dup(copy.fileno()))  # which it will close


class FlacChecksum:
    """MD5 of all samples, as a FLAC file states it (RFC 9639, section 8.2).

    libsndfile reads as many samples as the header states, even if there are more.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            info = file.read(42)[8:]
        self._bits = 1 + (int.from_bytes(info[12:14], "big") >> 4 & 31)
        self._stated, self._found = info[18:], hashlib.md5(usedforsecurity=False)

    def add(self, samples: FloatArray) -> None:
        """Add a block, (frames, channels), within ±1."""
        whole = np.rint(samples * 2.0 ** (self._bits - 1)).astype("<i4")
        size = -(-self._bits // 8)
        self._found.update(whole.view(np.uint8).reshape(-1, 4)[:, :size].tobytes())

    @property
    def is_right(self) -> bool:
        """Whether the samples added are those of the file; True if it states none."""
        return self._stated in (bytes(16), self._found.digest())


def native_blocks(file: "soundfile.SoundFile", path: Path) -> Iterator[Native]:
    """All blocks of an open file, which is closed at the end.

    Args:
        file: From `open_native`.
        path: Where it is.

    Raises:
        InputError: The file is damaged or has an impossible rate.
    """
    import soundfile

    name = printable(path)
    with file:
        check_format(file.samplerate, file.channels, name)
        frames, read = BLOCK_VALUES // file.channels, 0
        checksum = FlacChecksum(path) if file.format == "FLAC" else None
        while True:
            try:
                samples = file.read(frames, dtype="float64", always_2d=True)
            except (soundfile.LibsndfileError, OSError) as error:
                raise InputError(f"{name}: is damaged ({error})") from error
            if not len(samples):
                break
            read += len(samples)
            if checksum:
                checksum.add(samples)
            yield Native(file.samplerate, samples)
        if read < file.frames:
            raise InputError(f"{name}: {containers.TRUNCATED}")
        if checksum and not checksum.is_right:
            raise InputError(f"{name}: {ALTERED}")


def format_of(path: Path) -> tuple[str, int, int] | None:
    """Format, rate in Hz and channels; None if ffmpeg must decode the file."""
    file = open_native(path)
    if file is None:
        return None
    with file:
        return file.format, file.samplerate, file.channels


def refuse_fault(path: Path) -> None:
    """Refuse a file of which only a part would be decoded.

    Raises:
        InputError: It is truncated, or several files are joined in it.
    """
    if reason := containers.fault(path):
        raise InputError(f"{printable(path)}: {reason}")
