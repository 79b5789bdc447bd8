"""Decode any audio or video file to mono blocks at one rate, in constant memory.

`utils.audio.native` reads what libsndfile decodes completely, `utils.audio.ffmpeg` all
else. `soxr` resamples. Each is imported only when a file needs it.
"""

import contextlib
import itertools
import stat
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.audio.native import Native, native_blocks, open_native, refuse_fault
from utils.cli import printable
from utils.files import LFS_START, refuse_pointer

FloatArray = npt.NDArray[np.floating]

KEPT_VALUES = 4_000_000  # 32 MiB; longer files of several channels are decoded twice
# Unrelated channels lose 3 dB in the mean of two. If it loses 10 dB more, they cancel
# each other, as when one wire of a cable is reversed.
CANCELLED_SHARE = 0.1
PART_S = 0.5  # in which channels are compared
QUIET_SHARE = 0.01  # parts with less than this share of the mean energy do not count
NOTHING = 1e-20  # power of what rounding leaves of an offset


def blocks(
    path: Path, sample_rate_hz: int, notes: list[str] | None = None
) -> Iterator[FloatArray]:
    """Decode a file to mono at one rate, block by block.

    Args:
        path: Audio file, or video, of which the first sound track with sound is used.
        sample_rate_hz: Rate of the blocks; a file at another rate is resampled (soxr,
            HQ).
        notes: Gets a line if not all tracks or channels are used.

    Yields:
        (samples,), float64, not empty; the mean over channels, or one channel
        if they cancel each other; zeros if all samples are equal.

    Raises:
        InputError: The file is missing, unreadable, not audio, truncated or joined
            from several files, or holds NaN or infinite samples; one line that names
            the file.
    """
    check_file(path)
    refuse_fault(path)
    notes = [] if notes is None else notes
    with contextlib.closing(_native(path, notes)) as native:
        first = next(native, None)
        if first is None:
            return
        whole = itertools.chain([first], native)
        mixed = _mixed(whole, path, notes) if first.samples.shape[1] > 1 else whole
        mono = _constant_as_zeros(_mono(mixed, printable(path)))
        if first.rate_hz != sample_rate_hz:
            mono = _resampled(mono, first.rate_hz, sample_rate_hz)
        yield from (block for block in mono if block.size)


def check_file(path: Path) -> None:
    """Check that a path is a readable regular file with content.

    Raises:
        InputError: It is missing, a directory, not a regular file, not readable,
            empty, or a pointer that git-lfs has not replaced.
    """
    name = printable(path)
    start = b""
    try:
        kind = path.stat()
        if stat.S_ISREG(kind.st_mode):
            with path.open("rb") as file:
                start = file.read(len(LFS_START))
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
    refuse_pointer(name, start)


def _reason(error: OSError | ValueError) -> str:
    """The system's message without the file's name."""
    return getattr(error, "strerror", None) or str(error)


def _native(path: Path, notes: list[str]) -> Generator[Native, None, None]:
    """The file's blocks at its own rate."""
    file = open_native(path)
    if file is not None:
        yield from native_blocks(file, path)
        return
    from utils.audio.ffmpeg import ffmpeg_blocks

    yield from ffmpeg_blocks(path, notes)


def _measured(block: Native) -> FloatArray:
    """Length and energies of each part of a block, (parts, 2 + channels).

    The energies are those of the mean and of each channel, without constant offsets.
    """
    both = np.column_stack([block.samples.mean(axis=1), block.samples])
    count = max(1, round(len(both) / (PART_S * block.rate_hz)))
    parts = np.array_split(both, count)
    return np.array([[len(p), *(len(p) * p.var(axis=0))] for p in parts])


def _used_channel(parts: FloatArray, rate_hz: int) -> tuple[int | None, str]:
    """The channel to be used, None for the mean of all, and why.

    Args:
        parts: (parts, 2 + channels), from `_measured`.
        rate_hz: The file's rate.
    """
    length, mean, channels = parts[:, 0], parts[:, 1], parts[:, 2:]
    total, loudest = channels.sum(axis=1), channels.max(axis=1)
    is_loud = total > np.maximum(QUIET_SHARE * total.mean(), NOTHING * length)
    is_cancelled = is_loud & (mean < CANCELLED_SHARE * total / channels.shape[1] ** 2)
    if not is_cancelled.any():
        return None, ""
    text = "its channels cancel each other"
    if not is_cancelled[is_loud].all():
        ends = length.cumsum() / rate_hz
        start = (ends - length / rate_hz)[is_cancelled][0]
        text += f" from {start:.1f} to {ends[is_cancelled][-1]:.1f} s"
    # what would not be heard with each channel alone
    is_weak = is_loud[:, None] & (channels < CANCELLED_SHARE * loudest[:, None])
    unheard = total @ is_weak
    if unheard.min() >= total @ is_cancelled:
        return None, f"{text}: little of that part is heard"
    energies = np.where(unheard == unheard.min(), channels.sum(axis=0), 0)
    channel = int(np.argmax(energies > energies.max() / 2))
    return channel, f"{text}: only channel {channel + 1} is used"


def _mixed(native: Iterator[Native], path: Path, notes: list[str]) -> Iterator[Native]:
    """Reduce channels that cancel each other, if only in a part, to one.

    One choice holds for the whole file: a change inside it would click.
    """
    kept: list[Native] = []
    parts: list[FloatArray] = []
    rate_hz, values = 0, 0
    with np.errstate(over="ignore", invalid="ignore"):  # refused later
        for block in native:
            rate_hz = block.rate_hz
            parts.append(_measured(block))
            values += block.samples.size
            kept = [*kept, block] if values <= KEPT_VALUES else []
        channel, note = _used_channel(np.concatenate(parts), rate_hz)
    notes += [note] if note else []
    for block in kept or _native(path, []):
        used = slice(None) if channel is None else slice(channel, channel + 1)
        yield Native(block.rate_hz, block.samples[:, used])


def _mono(native: Iterable[Native], name: str) -> Iterator[FloatArray]:
    """The mean over channels, (samples,); refuses samples that float32 cannot hold."""
    for _, block in native:
        with np.errstate(over="ignore", invalid="ignore"):
            mono = block.mean(axis=1)
            is_sound = np.isfinite(mono.astype(np.float32)).all()
        if not is_sound:
            raise InputError(f"{name}: holds NaN or infinite samples")
        yield mono


def _constant_as_zeros(mono: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """The same blocks; zeros if all samples of the file are equal.

    Such a file is an offset without sound, which normalising would make loud.
    """
    lead: list[FloatArray] = []
    for block in mono:
        first = lead[0][0] if lead else block[:1]
        if (block != first).any():
            yield from lead
            yield block
            yield from mono
            return
        # A copy of one sample, so that the block is not kept.
        lead.append(np.broadcast_to(block[:1].copy(), block.shape))
    yield from (np.broadcast_to(0.0, block.shape) for block in lead)


def _resampled(
    mono: Iterator[FloatArray], rate_hz: int, wanted_hz: int
) -> Iterator[FloatArray]:
    """Resample a stream; the size of its blocks changes no sample."""
    import soxr

    stream = soxr.ResampleStream(rate_hz, wanted_hz, 1, dtype="float64", quality="HQ")
    for block in mono:
        yield stream.resample_chunk(np.ascontiguousarray(block))
    yield stream.resample_chunk(np.empty(0), last=True)
