"""Decode any audio or video file to mono blocks at one rate, in constant memory.

libsndfile (`soundfile`) reads the formats it knows: WAV of any width, FLAC, OGG, MP3.
Others come through a pipe from ffmpeg: the system's, or else the binary of the
`imageio-ffmpeg` wheel. `soxr` resamples. Each is imported only when a file needs it.
"""

import codecs
import contextlib
import itertools
import os
import shutil
import stat
import struct
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.cli import printable

FloatArray = npt.NDArray[np.floating]

BLOCK_VALUES = 262_144  # samples times channels read at once: 2 MiB of float64
# Programs that write WAV to a pipe state these lengths or more: SoX 0x7FFFF000, arecord
# 0x7FFFFF00, ffmpeg 0xFFFFFFFF. So a truncated file of 2 GiB cannot be recognised.
STREAMED_BYTES = 0x7FFF_F000
RATES_HZ = (2_000, 768_000)  # other rates mean a damaged header
MAX_CHANNELS = 64
# Beginnings of texts that make ffmpeg open other files or wait for them: HLS, ffconcat
# and the XML of DASH. No sound file begins like this.
PLAYLIST_STARTS = (b"#EXTM3U", b"ffconcat", b"<")
# Magic, data offset, bytes, encoding, rate in Hz, channels
AU_HEADER = struct.Struct(">4s5I")
AU_FLOAT32 = 6


class NoSoundError(InputError):
    """The file is whole but has no sound track."""


class Native(NamedTuple):
    """Part of a file at its own rate: samples (frames, channels), float64."""

    rate_hz: int
    samples: FloatArray


def blocks(path: Path, sample_rate_hz: int) -> Iterator[FloatArray]:
    """Decode a file to mono at one rate, block by block.

    Args:
        path: Audio file, or video, of which the first sound track is decoded.
        sample_rate_hz: Rate of the blocks; a file at another rate is resampled (soxr,
            HQ).

    Yields:
        (samples,), float64, not empty; the mean over channels.

    Raises:
        InputError: The file is missing, unreadable, not audio or truncated, or holds
            NaN or infinite samples; one line that names the file.
    """
    check_file(path)
    with contextlib.closing(_native_blocks(path)) as native:
        first = next(native, None)
        if first is None:
            return
        converted = _mono(itertools.chain([first], native), printable(path))
        if first.rate_hz != sample_rate_hz:
            converted = _resampled(converted, first.rate_hz, sample_rate_hz)
        yield from (block for block in converted if block.size)


def check_file(path: Path) -> None:
    """Check that a path is a readable regular file with content.

    Raises:
        InputError: It is missing, a directory, not a regular file, not readable or
            empty.
    """
    name = printable(path)
    try:
        kind = path.stat()
        if stat.S_ISREG(kind.st_mode):
            path.open("rb").close()
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file") from error
    except PermissionError as error:
        raise InputError(f"{name}: may not be read (permission denied)") from error
    except (OSError, ValueError) as error:  # too long a name, a null byte
        raise InputError(f"{name}: cannot be opened ({_reason(error)})") from error
    if stat.S_ISDIR(kind.st_mode):
        raise InputError(f"{name}: is a directory; give an audio file")
    if not stat.S_ISREG(kind.st_mode):
        raise InputError(f"{name}: is not a regular file; pipe it into `-fn -`")
    if kind.st_size == 0:
        raise InputError(f"{name}: is empty (0 bytes)")


def _reason(error: OSError | ValueError) -> str:
    """The system's message without the file's name."""
    return getattr(error, "strerror", None) or str(error)


def _native_blocks(path: Path) -> Generator[Native, None, None]:
    """The file's blocks at its own rate."""
    import soundfile

    try:
        file = soundfile.SoundFile(name_for_soundfile(path))
    except (soundfile.LibsndfileError, OSError, TypeError):  # TypeError: `*.raw`
        yield from _ffmpeg_blocks(path)
        return
    with file:
        check_format(file.samplerate, file.channels, printable(path))
        frames, read = BLOCK_VALUES // file.channels, 0
        while True:
            try:
                block = file.read(frames, dtype="float64", always_2d=True)
            except (soundfile.LibsndfileError, OSError) as error:
                raise InputError(f"{printable(path)}: is damaged ({error})") from error
            if not len(block):
                break
            read += len(block)
            yield Native(file.samplerate, block)
        # The length that an MP3 without an index states is only an estimate.
        is_short = file.format != "MP3" and read < file.frames
        if is_short or is_truncated_riff(path):
            raise InputError(
                f"{printable(path)}: truncated, the header promises more samples"
            )


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


def _ffmpeg_blocks(path: Path) -> Iterator[Native]:
    """As `_native_blocks`, through ffmpeg, which writes AU into a pipe."""
    if is_truncated_riff(path):
        raise InputError(f"{printable(path)}: truncated, the header promises more")
    if _is_playlist(path):
        raise InputError(
            f"{printable(path)}: is a playlist or another text; give the recordings "
            "themselves"
        )
    command = [ffmpeg_program(printable(path)), "-v", "error", "-nostdin", "-xerror"]
    command += ["-protocol_whitelist", "file"]  # no network
    command += ["-i", f"file:{path}", "-map", "0:a:0"]
    command += ["-f", "au", "-c:a", "pcm_f32be", "pipe:1"]
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            [os.fsencode(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            yield from _au_blocks(process.stdout, printable(path))
            status = process.wait()
        finally:
            process.kill()
        messages.seek(0)
        text = messages.read().decode(errors="replace")
        if status or "File ended prematurely" in text:  # status 0 for a cut MKV
            raise _ffmpeg_error(path, text)


def _is_playlist(path: Path) -> bool:
    """Whether a file is a text that names recordings."""
    with path.open("rb") as file:
        start = file.read(256)
    return start.removeprefix(codecs.BOM_UTF8).lstrip().startswith(PLAYLIST_STARTS)


def _ffmpeg_error(path: Path, messages: str) -> InputError:
    """The last line of ffmpeg's messages as an error."""
    if "matches no streams" in messages:
        return NoSoundError(f"{printable(path)}: has no sound track")
    lines = messages.strip().splitlines()
    reason = printable(lines[-1].rsplit(": ", 1)[-1]) if lines else "no reason given"
    return InputError(f"{printable(path)}: cannot be read as audio (ffmpeg: {reason})")


def _au_blocks(pipe: IO[bytes], name: str) -> Iterator[Native]:
    """Parse the AU stream that ffmpeg writes."""
    header = pipe.read(AU_HEADER.size)
    if len(header) < AU_HEADER.size:
        return  # ffmpeg failed; the caller sees its status
    _, offset, _, encoding, rate_hz, channels = AU_HEADER.unpack(header)
    if encoding != AU_FLOAT32:
        raise InputError(f"{name}: ffmpeg sent AU encoding {encoding}, not float32")
    check_format(rate_hz, channels, name)
    pipe.read(offset - AU_HEADER.size)
    frame_bytes = 4 * channels
    while data := pipe.read(BLOCK_VALUES // channels * frame_bytes):
        whole = len(data) // frame_bytes * frame_bytes
        values = np.frombuffer(data[:whole], ">f4").astype(np.float64)
        yield Native(rate_hz, values.reshape(-1, channels))


def ffmpeg_program(name: str) -> str:
    """Path of the system's ffmpeg, or else of the imageio-ffmpeg wheel's.

    Args:
        name: The file to decode, for the message.

    Raises:
        InputError: Neither is installed.
    """
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        program: str = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"{name}: libsndfile cannot read it and ffmpeg is missing; install "
            "ffmpeg or `pip install imageio-ffmpeg`"
        ) from error
    return program


def _mono(native: Iterable[Native], name: str) -> Iterator[FloatArray]:
    """The mean over channels, (samples,); refuses samples that float32 cannot hold."""
    for _, block in native:
        with np.errstate(over="ignore", invalid="ignore"):
            mono = block.mean(axis=1)
            is_sound = np.isfinite(mono.astype(np.float32)).all()
        if not is_sound:
            raise InputError(f"{name}: holds NaN or infinite samples")
        yield mono


def _resampled(
    mono: Iterator[FloatArray], rate_hz: int, wanted_hz: int
) -> Iterator[FloatArray]:
    """Resample a stream; the size of its blocks changes no sample."""
    import soxr

    stream = soxr.ResampleStream(rate_hz, wanted_hz, 1, dtype="float64", quality="HQ")
    for block in mono:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0), last=True)


def is_truncated_riff(path: Path) -> bool:
    """Whether a WAV or AVI file is shorter than its header states.

    libsndfile and ffmpeg accept such files silently.
    """
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return int.from_bytes(head[4:8], "little") + 8 > size
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return False
        position = 12
        while position + 8 <= size:
            file.seek(position)
            chunk = file.read(8)
            length = int.from_bytes(chunk[4:8], "little")
            if chunk[:4] == b"data":
                is_streamed = length == 0 or length >= STREAMED_BYTES
                return not is_streamed and position + 8 + length > size
            position += 8 + length + length % 2
        return False  # no chunk of samples where one should begin
