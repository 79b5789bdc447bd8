"""Convert a folder tree of recordings and videos to 16 kHz mono WAV.

    python -m utils.convert.recordings SOURCE TARGET [--sample_rate_hz 16000]

The target gets the same tree; of a video, the first sound track is written. The sources
are only read. `utils.audio.decode` decodes and resamples, so the network gets the same
samples from a converted file as from its source. Samples have 16 bits, or 32-bit float
if 16 bits would clip them or round too much, which a line reports.
"""

import argparse
import functools
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
from tqdm import tqdm

from hyperparameters import InputError
from utils.audio.containers import fault
from utils.audio.decode import blocks
from utils.audio.ffmpeg import NoSoundError
from utils.audio.find import SUFFIXES, recordings
from utils.audio.wav import PCM16_SCALE
from utils.cli import Parser, describe, one_line, printable, run_main
from utils.files import locked, remove_parts, write_atomic

MAX_WAV_BYTES = 2**32 - 2**10  # of samples; sizes in a WAV's header have 32 bits
SAMPLE_BYTES = 4  # of 32-bit float
LOST_SHARE = 1e-5  # of the power: 50 dB between the sound and what 16 bits lose
STATUSES = ("converted", "kept", "without sound", "failed")


class Outcome(NamedTuple):
    """What happened to one file: one of STATUSES, and a reason or a note."""

    source: Path
    status: str
    reason: str = ""


def convert_tree(source: Path, target: Path, sample_rate_hz: int) -> list[Outcome]:
    """Convert every recording and video of a tree that is not converted yet.

    Args:
        source: Only read.
        target: Nothing outside of it is written, not even through links.
        sample_rate_hz: Rate of the WAV files.

    Returns:
        One outcome per file, sorted by path.

    Raises:
        InputError: `source` is no folder or holds nothing to convert, one folder is
            inside the other, or the rate is impossible.
        OSError: A folder cannot be read or written.
    """
    _check_arguments(source, target, sample_rate_hz)
    files, passed_over = recordings(source)
    if not files:
        raise InputError(
            f"{source}: holds nothing to convert, no {', '.join(sorted(SUFFIXES))}"
        )
    for line in passed_over:
        print(printable(line), file=sys.stderr)
    with locked(target / "conversion"), ThreadPoolExecutor(os.cpu_count()) as pool:
        outputs = _plan(files, source, target)
        outcomes = pool.map(_convert, files, outputs, repeat(sample_rate_hz))
        return list(tqdm(outcomes, total=len(files), unit="file", disable=None))


def _check_arguments(source: Path, target: Path, sample_rate_hz: int) -> None:
    """Refuse a conversion that would read its own output, and impossible rates."""
    if not source.is_dir():
        raise InputError(f"{source}: is not a folder")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is not a folder")
    inner, outer = source.resolve(), target.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise InputError(
            f"{target}: must be neither {source} nor inside or above it; the "
            "originals stay as they are"
        )
    if not 1_000 <= sample_rate_hz <= 192_000:
        raise InputError(
            f"--sample_rate_hz must be 1000 to 192000, got {sample_rate_hz}"
        )


def _plan(files: Sequence[Path], source: Path, target: Path) -> list[Path | str]:
    """The output of each file, or the reason why it cannot be converted."""
    plan: list[Path | str] = []
    taken: dict[str, Path] = {}
    home = target.resolve()
    for path in files:
        output = target / path.relative_to(source).with_suffix(".wav")
        first = taken.setdefault(str(output).casefold(), path)
        if first != path:
            plan.append(f"would become the same {output.name} as {first}; rename one")
        elif not output.parent.resolve().is_relative_to(home):
            plan.append(f"{output.parent} is a link out of {target}")
        else:
            plan.append(output)
    return plan


def _convert(source: Path, output: Path | str, sample_rate_hz: int) -> Outcome:
    """Convert one file unless a whole conversion of it exists."""
    try:
        if isinstance(output, str):
            raise InputError(f"{printable(source)}: {printable(output)}")
        origin = _origin(source)
        if _is_conversion(output, origin, sample_rate_hz):
            return Outcome(source, "kept")
        remove_parts(output)
        notes: list[str] = []
        write = functools.partial(
            _write_wav,
            source=source,
            origin=origin,
            sample_rate_hz=sample_rate_hz,
            notes=notes,
        )
        write_atomic(output, write)
    except NoSoundError as error:
        return Outcome(source, "without sound", one_line(error))
    except InputError as error:
        return Outcome(source, "failed", one_line(error))
    except OSError as error:
        reason = f"{printable(source)}: {printable(describe(error))}"
        return Outcome(source, "failed", reason)
    note = f"{printable(source)}: {'; '.join(notes)}" if notes else ""
    return Outcome(source, "converted", note)


def _origin(source: Path) -> str:
    """Name, size and time of change of a file: differs once the file is replaced."""
    state = source.stat()
    name = ascii(source.name)
    return f"from {name}, {state.st_size} bytes, changed {state.st_mtime_ns} ns"


def _is_conversion(output: Path, origin: str, sample_rate_hz: int) -> bool:
    """Whether a file is a whole WAV at this rate whose comment names this origin."""
    if output.is_symlink() or not output.is_file():
        return False
    try:
        # libsndfile opens no path of more than 1,023 bytes by its name
        with output.open("rb") as opened, soundfile.SoundFile(opened) as file:
            is_same = (file.samplerate, file.comment) == (sample_rate_hz, origin)
    except soundfile.LibsndfileError:
        return False
    return is_same and fault(output) is None


def _write_wav(
    file: BinaryIO,
    *,
    source: Path,
    origin: str,
    sample_rate_hz: int,
    notes: list[str],
) -> None:
    """Write mono WAV with the origin as comment; 16-bit samples stay as they are."""
    stream = functools.partial(blocks, source, sample_rate_hz)
    with _open_wav(file, origin, sample_rate_hz, "PCM_16") as writer:
        loses = _write_16_bit(writer, stream(notes), printable(source))
    if loses:
        notes.append(
            "written as 32-bit float, because 16 bits would clip it or round too much"
        )
        file.seek(0)
        file.truncate()
        with _open_wav(file, origin, sample_rate_hz, "FLOAT") as writer:
            for block in stream():
                writer.write(block)


def _open_wav(
    file: BinaryIO, origin: str, sample_rate_hz: int, subtype: str
) -> soundfile.SoundFile:
    """A writer of mono WAV with a comment."""
    writer = soundfile.SoundFile(
        file, "w", sample_rate_hz, channels=1, subtype=subtype, format="WAV"
    )
    writer.comment = origin
    return writer


def _write_16_bit(
    writer: soundfile.SoundFile, stream: Iterable[npt.NDArray[np.floating]], name: str
) -> bool:
    """Write samples as 16 bits; return whether too much is lost by that.

    Raises:
        InputError: There are no samples, or too many.
    """
    frames, total, power, lost = 0, 0.0, 0.0, 0.0
    for block in stream:
        frames += len(block)
        if SAMPLE_BYTES * frames > MAX_WAV_BYTES:
            raise InputError(
                f"{name}: would be too long for a WAV file (4 GiB); cut it"
            )
        rounded = np.rint(block * PCM16_SCALE)
        clipped = np.clip(rounded, -PCM16_SCALE, PCM16_SCALE - 1)
        writer.write(clipped.astype(np.int16))
        total += float(block.sum())
        power += float(np.square(block).sum())
        lost += float(np.square(block - clipped / PCM16_SCALE).sum())
    if not frames:
        raise InputError(f"{name}: holds no samples")
    return lost > LOST_SHARE * (power - total**2 / frames)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; see the module's docstring."""
    parser = Parser(prog="python -m utils.convert.recordings", description=__doc__)
    parser.add_argument("source", type=Path, help="folder tree to read")
    parser.add_argument("target", type=Path, help="folder to write the same tree into")
    parser.add_argument(
        "--sample_rate_hz", type=int, default=16_000, help="rate of the WAV files, Hz"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Convert a tree and print the counts.

    Returns:
        Exit status: 1 if a file failed, else 0. A video without sound is no failure.
    """
    args = parse_args(argv)
    outcomes = convert_tree(args.source, args.target, args.sample_rate_hz)
    for outcome in outcomes:
        if outcome.reason:
            print(f"{outcome.status}: {outcome.reason}", file=sys.stderr)
    counts = Counter(outcome.status for outcome in outcomes)
    print(", ".join(f"{counts[status]} {status}" for status in STATUSES))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(run_main(main))
