"""A folder tree of recordings to the same tree of mono WAV files.

`utils.audio.decode` decodes and resamples, so that a converted file and one
converted on the way give the network the same samples.
"""

import argparse
import os
import sys
import wave
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from hyperparameters import InputError
from utils.audio.decode import NoSoundError, blocks, is_truncated_riff
from utils.audio.find import audio_files
from utils.audio.wav import PCM16_SCALE
from utils.cli import Parser, describe, one_line, printable

LOCK_NAME = ".convert.lock"  # stays: who removes it may unlock another's
MAX_WAV_BYTES = 2**32 - 2**10  # of samples; sizes in a WAV's header have 32 bits
STATUSES = ("converted", "kept", "without sound", "failed")


class Outcome(NamedTuple):
    """What became of one file: one of STATUSES, and why where it was not converted."""

    source: Path
    status: str
    reason: str = ""


def run(
    argv: Sequence[str] | None, suffixes: Collection[str], *, module: str, text: str
) -> int:
    """A converter's command line: parse, convert, tell.

    Args:
        argv: Without the program's name; None: the process's own.
        suffixes: Files with these are converted.
        module: As in `python -m MODULE`.
        text: What it does, for the help.

    Returns:
        0; 1 where a file failed.
    """
    args = _parse_args(argv, module, text)
    outcomes = convert_tree(
        args.source, args.target, suffixes=suffixes, sample_rate_hz=args.sample_rate_hz
    )
    for outcome in outcomes:
        if outcome.reason:
            print(f"{outcome.status}: {outcome.reason}", file=sys.stderr)
    counts = Counter(outcome.status for outcome in outcomes)
    print(", ".join(f"{counts[status]} {status}" for status in STATUSES))
    return 1 if counts["failed"] else 0


def _parse_args(
    argv: Sequence[str] | None, module: str, text: str
) -> argparse.Namespace:
    """The options that both converters have."""
    parser = Parser(prog=f"python -m {module}", description=text)
    parser.add_argument("source", type=Path, help="folder tree to read")
    parser.add_argument("target", type=Path, help="folder to write the same tree into")
    parser.add_argument(
        "--sample_rate_hz", type=int, default=16_000, help="rate of the WAV files, Hz"
    )
    return parser.parse_args(argv)


def convert_tree(
    source: Path, target: Path, *, suffixes: Collection[str], sample_rate_hz: int
) -> list[Outcome]:
    """Convert every file of a tree that is not converted yet.

    Args:
        source: Only read.
        target: Nothing outside of it is written, not through links either.
        suffixes: In lower case; other files are not looked at.
        sample_rate_hz: Of the mono 16-bit WAV files written.

    Returns:
        One outcome a file, sorted by path.

    Raises:
        InputError: No such folder, one inside the other, nothing to convert, an
            impossible rate, or another conversion at work in the target.
        OSError: A folder that may not be read or written.
    """
    _check_folders(source, target, sample_rate_hz)
    files = audio_files(source, suffixes)
    if not files:
        raise InputError(
            f"{source}: holds nothing to convert, no {', '.join(sorted(suffixes))}"
        )
    target.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target / LOCK_NAME, timeout=0):
            outcomes = _convert_all(_plan(files, source, target), sample_rate_hz)
    except Timeout as error:
        raise InputError(f"{target}: another conversion is writing there") from error
    return sorted(outcomes)


def _check_folders(source: Path, target: Path, sample_rate_hz: int) -> None:
    """Refuse a conversion that would read what it writes."""
    if not source.is_dir():
        raise InputError(f"{source}: is no folder")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is no folder")
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


class Job(NamedTuple):
    """A file, where its WAV goes, and what speaks against it."""

    source: Path
    output: Path
    refusal: str


def _plan(files: Iterable[Path], source: Path, target: Path) -> list[Job]:
    """Where each file goes; two that would become one are told apart."""
    jobs: list[Job] = []
    taken: dict[str, Path] = {}
    home = target.resolve()
    for path in files:
        output = target / path.relative_to(source).with_suffix(".wav")
        first = taken.setdefault(str(output).casefold(), path)
        refusal = ""
        if first != path:
            refusal = f"would become the same {output.name} as {first}; rename one"
        elif not output.parent.resolve().is_relative_to(home):
            refusal = f"{output.parent} is a link out of {target}"
        jobs.append(Job(path, output, refusal))
    return jobs


def _convert_all(jobs: Sequence[Job], sample_rate_hz: int) -> list[Outcome]:
    """Several files at a time; Ctrl-C lets those at work end and starts no more."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        futures = [pool.submit(_convert_one, job, sample_rate_hz) for job in jobs]
        bar = tqdm(as_completed(futures), total=len(futures), unit="file", disable=None)
        return [future.result() for future in bar]
    finally:
        pool.shutdown(cancel_futures=True)


def _convert_one(job: Job, sample_rate_hz: int) -> Outcome:
    """Convert one file unless it was; its failure is its own."""
    source, output, refusal = job
    if refusal:
        return Outcome(source, "failed", f"{printable(source)}: {refusal}")
    try:
        if _is_good(output, source, sample_rate_hz):
            return Outcome(source, "kept")
        output.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(output, source, sample_rate_hz)
    except NoSoundError as error:
        return Outcome(source, "without sound", one_line(error))
    except InputError as error:
        return Outcome(source, "failed", one_line(error))
    except OSError as error:
        return Outcome(
            source, "failed", f"{printable(source)}: {printable(describe(error))}"
        )
    return Outcome(source, "converted")


def _is_good(output: Path, source: Path, sample_rate_hz: int) -> bool:
    """Whether a WAV is whole, in the format wanted, and no older than its source."""
    try:
        with wave.open(str(output)) as file:
            made = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            is_wanted = made == (sample_rate_hz, 1, 2) and file.getnframes() > 0
    except (FileNotFoundError, EOFError, wave.Error):
        return False
    is_newer = output.stat().st_mtime_ns >= source.stat().st_mtime_ns
    return is_wanted and is_newer and not is_truncated_riff(output)


def _write_whole(output: Path, source: Path, sample_rate_hz: int) -> None:
    """Write under another name, then rename: the output is whole or not there."""
    part = output.with_name(f".{output.name}.part")
    part.unlink(missing_ok=True)  # of a killed run; or a link, not to be followed
    try:
        with part.open("xb") as file:
            frames = _write_wav(file, source, sample_rate_hz)
        if not frames:
            raise InputError(f"{printable(source)}: holds no samples")
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)


def _write_wav(file: BinaryIO, source: Path, sample_rate_hz: int) -> int:
    """16-bit mono; what was 16-bit before comes out as it was. Returns its samples."""
    frames = 0
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate_hz)
        for block in blocks(source, sample_rate_hz):
            frames += len(block)
            if 2 * frames > MAX_WAV_BYTES:
                raise InputError(
                    f"{printable(source)}: would be too long for a WAV file (4 GiB); "
                    "cut it"
                )
            rounded = np.rint(block * PCM16_SCALE)
            clipped = np.clip(rounded, -PCM16_SCALE, PCM16_SCALE - 1)
            writer.writeframes(clipped.astype("<i2").tobytes())
    return frames
