"""What the containers of sound promise: truncated and joined files are recognised.

libsndfile and ffmpeg decode a part of such files without an error.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from utils.audio import chunks, streams
from utils.audio.chunks import KINDS, LAYOUTS, number, read_at
from utils.audio.streams import ALTERED, JOINED, TRUNCATED, holds_more

ASF_MAGIC = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
# Outer boxes of MP4 and QuickTime
BOXES = (
    *(b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"moof"),
    *(b"mfra", b"sidx", b"styp", b"meta", b"udta", b"emsg", b"prft", b"ssix", b"junk"),
)
MOST_START_BYTES = 64  # the longest of the following
# Beginnings of files whose length only a decoder can find, long enough to be rare
SECOND_STARTS = {
    b"fLaC": re.compile(rb"fLaC[\0\x80]\0\0\x22"),
    b"TTA1": re.compile(rb"TTA1[\1\2]\0"),
    b"\x1aE\xdf\xa3": re.compile(rb"\x1aE\xdf\xa3.{,40}?(?:webm|matroska)", re.DOTALL),
}


FLAC_HEAD_BYTES = 42
NATIVE = (*LAYOUTS, b".snd", b"fLaC", b"NIST")  # libsndfile decodes them completely


def fault(path: Path) -> str | None:
    """Why only a part of a file would be decoded; None if there is no sign of it.

    Args:
        path: A file that can be read.

    Returns:
        The end of a sentence that begins with the file's name.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        check = _check_of(read_at(file, 0, 16))
        return check(file, size) if check else None


def is_native(path: Path) -> bool:
    """Whether libsndfile decodes such a file completely.

    Of MP3 files with damage and of joined Ogg files, it returns the first part, and of
    FLAC the number of samples that is stated.
    """
    with path.open("rb") as file:
        start = file.read(4)
        if start == b"fLaC":
            return _states_all(read_at(file, 0, FLAC_HEAD_BYTES))
        if start != b"OggS":
            return start in NATIVE
        return streams.count_first_pages(file) == 1


def _states_all(head: bytes) -> bool:
    """Whether FLAC states number and MD5 of its samples; streamed files may not."""
    return any(head[22:26]) and any(head[26:])


def _check_of(head: bytes) -> Callable[[BinaryIO, int], str | None] | None:
    """The function that checks files that begin like this one."""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return chunks.avi_fault
    if head[:4] in LAYOUTS and head[8:12] in KINDS.get(head[:4], (head[8:12],)):
        return chunks.chunks_fault
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return _atoms_fault
    if head[:3] == b"ID3":
        return _tagged_fault
    if head[:1] == b"\xff" and head[1:2] >= b"\xe0":
        return streams.mpeg_audio_fault
    if head[:1] == b"G":
        return streams.transport_fault
    by_start = {
        b"OggS": streams.ogg_fault,
        **dict.fromkeys(SECOND_STARTS, _second_start_fault),
        b".snd": _au_fault,
        b"wvpk": streams.wavpack_fault,
        b"FLV\1": _flv_fault,
        b"\0\0\1\xba": streams.program_fault,
        ASF_MAGIC[:4]: _asf_fault,
    }
    return by_start.get(head[:4])


def _atoms_fault(file: BinaryIO, size: int) -> str | None:
    """The outer boxes of MP4 and QuickTime."""
    position, has_sound, fragment = 0, False, None
    for _ in range(1_000_000):  # a fragmented file has two boxes per second
        head = read_at(file, position, 16)
        if len(head) < 8:
            return TRUNCATED if head.strip(b"\0") else None
        length, name = number(head[:4]), head[4:8]
        if name not in BOXES:  # something appended
            is_filled = not name.strip(b"\0") and holds_more(file, size, position)
            return ALTERED if is_filled else None
        if name == b"ftyp" and has_sound:
            return JOINED
        has_sound = has_sound or name == b"mdat"
        if name == b"moof":
            previous, fragment = fragment, number(read_at(file, position + 20, 4))
            if previous is not None and fragment - previous not in (0, 1):
                return ALTERED  # fragments are numbered one after another
        length = number(head[8:16]) if length == 1 else length
        if length == 0:  # to the end of the file
            return None
        if length < 8:
            return None
        position += length
        if position > size:
            return TRUNCATED
    return None


def _asf_fault(file: BinaryIO, size: int) -> str | None:
    """The outer objects of WMA and WMV."""
    position = 0
    while head := read_at(file, position, 24):
        length = number(head[16:], "little")
        if position and head[:16] == ASF_MAGIC:
            return JOINED
        if length < 24:  # a live stream states none
            is_filled = not head.strip(b"\0") and holds_more(file, size, position)
            return ALTERED if is_filled else None
        position += length
        if position > size:
            return TRUNCATED if head[:16] in (ASF_MAGIC, ASF_DATA) else None
    return None


def _au_fault(file: BinaryIO, size: int) -> str | None:
    start, length = (number(read_at(file, n, 4)) for n in (4, 8))
    if length == 0xFFFF_FFFF:
        return None
    if start + length > size:
        return TRUNCATED
    if read_at(file, start + length, 4) == b".snd":
        return JOINED
    return ALTERED if holds_more(file, size, start + length) else None


def _second_start_fault(file: BinaryIO, _: int) -> str | None:
    """Files without a stated end: the beginning of a second one, after tags or none."""
    first = streams.tags_end(file)
    pattern = SECOND_STARTS[read_at(file, first, 4)]
    file.seek(first + 4)
    kept = b""
    while block := file.read(streams.BLOCK_BYTES):
        if pattern.search(kept + block):
            return JOINED
        kept = block[-MOST_START_BYTES:]
    return None


def _tagged_fault(file: BinaryIO, size: int) -> str | None:
    """Files that begin with tags as MP3 files have them."""
    first = streams.tags_end(file)
    if read_at(file, first, 4) in SECOND_STARTS:
        return _second_start_fault(file, size)
    return streams.mpeg_audio_fault(file, size)


def _flv_fault(file: BinaryIO, size: int) -> str | None:
    position = number(read_at(file, 5, 4)) + 4
    while position < size:
        head = read_at(file, position, 11)
        if head[:3] == b"FLV":
            return JOINED
        if head[0] & 0x1F not in (8, 9, 18):  # sound, video, description
            return None
        position += 11 + number(head[1:4]) + 4
        if position > size:
            return TRUNCATED
    return None
