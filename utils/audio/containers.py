"""What the containers of sound promise: truncated and joined files are recognised.

libsndfile and ffmpeg decode a part of such files without an error.
"""

import mmap
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from utils.audio import streams
from utils.audio.streams import ALTERED, TRUNCATED

JOINED = "holds recordings joined end to end; split it"
NO_SAMPLES = "cannot be read as audio (its chunk of samples is missing)"

# Programs that write WAV to a pipe state these lengths or more: SoX 0x7FFFF000, arecord
# 0x7FFFFF00, ffmpeg 0xFFFFFFFF. So a truncated file of 2 GiB cannot be recognised.
STREAMED_BYTES = 0x7FFF_F000
MAX_CHUNKS = 10_000  # a header full of zeros would hold millions of empty chunks
W64_MAGIC = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
ASF_MAGIC = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
AVI_PACKET = re.compile(rb"\d\d..|ix..|LIST|JUNK", re.DOTALL)
# Beginnings of files whose length only a decoder can find, long enough to be rare
SECOND_STARTS = {
    b"fLaC": re.compile(rb"fLaC[\0\x80]\0\0\x22"),
    b"TTA1": re.compile(rb"TTA1[\1\2]\0"),
    b"\x1aE\xdf\xa3": re.compile(rb"\x1aE\xdf\xa3.{,40}?(?:webm|matroska)", re.DOTALL),
}


class Layout(NamedTuple):
    """How a container of chunks is laid out; each chunk is an id, a size, content."""

    first: int  # position of the first chunk
    data_id: bytes  # of the chunk that holds the samples
    order: Literal["little", "big"] = "little"
    id_bytes: int = 4
    size_bytes: int = 4
    size_counts_head: bool = False  # the size includes id and size
    align: int = 2


class Chunk(NamedTuple):
    """Id, start and length of a chunk's content."""

    id: bytes
    start: int
    length: int


WAV = Layout(12, b"data")
LAYOUTS = {
    b"RIFF": WAV,
    b"RIFX": WAV._replace(order="big"),
    b"RF64": WAV,
    b"BW64": WAV,
    b"FORM": Layout(12, b"SSND", "big"),
    b"caff": Layout(8, b"data", "big", size_bytes=8, align=1),
    b"riff": Layout(40, W64_DATA, "little", 16, 8, size_counts_head=True, align=8),
}
KINDS: dict[bytes, tuple[bytes, ...]] = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"BW64"), (b"WAVE",)),
    b"FORM": (b"AIFF", b"AIFC"),
}
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
        check = _check_of(_read(file, 0, 16))
        return check(file, size) if check else None


def is_native(path: Path) -> bool:
    """Whether libsndfile decodes such a file completely.

    Of MP3 files with damage and of joined Ogg files, it returns the first part.
    """
    with path.open("rb") as file:
        start = file.read(4)
        if start != b"OggS":
            return start in NATIVE
        return streams.count_first_pages(file) == 1


def unstated_samples(path: Path) -> int | None:
    """Position of the samples of a WAV that states none although it holds some.

    Recorders write such a file if they are stopped before they complete its header.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        layout = LAYOUTS.get(_read(file, 0, 4), WAV)
        chunks = list(_chunks(file, size, layout))
    if not chunks or chunks[-1].start + chunks[-1].length in (size, size - 1):
        return None  # other chunks follow, up to the end
    starts = (c.start for c in chunks if c.id == layout.data_id and not c.length)
    return next(starts, None)


def _check_of(head: bytes) -> Callable[[BinaryIO, int], str | None] | None:
    """The function that checks files that begin like this one."""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _avi_fault
    if head[:4] in LAYOUTS and head[8:12] in KINDS.get(head[:4], (head[8:12],)):
        return _chunks_fault
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return _atoms_fault
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        return streams.mpeg_audio_fault
    if head[:1] == b"G":
        return streams.transport_fault
    by_start = {
        b"OggS": streams.ogg_fault,
        **dict.fromkeys(SECOND_STARTS, _second_start_fault),
        b".snd": _au_fault,
        b"FLV\1": _flv_fault,
        b"\0\0\1\xba": streams.program_fault,
        ASF_MAGIC[:4]: _asf_fault,
    }
    return by_start.get(head[:4])


def _read(file: BinaryIO, start: int, count: int) -> bytes:
    file.seek(start)
    return file.read(count)


def _number(content: bytes, order: Literal["little", "big"] = "big") -> int:
    return int.from_bytes(content, order)


def _chunks(file: BinaryIO, size: int, layout: Layout) -> Iterator[Chunk]:
    """The chunks of a file, as far as they look like chunks."""
    position, head_bytes = layout.first, layout.id_bytes + layout.size_bytes
    for _ in range(MAX_CHUNKS):
        head = _read(file, position, head_bytes)
        name = head[: layout.id_bytes]
        is_text = name[:4].isascii() and name[:4].decode("latin-1").isprintable()
        if len(head) < head_bytes or not is_text:
            return
        length = _number(head[layout.id_bytes :], layout.order)
        length -= head_bytes if layout.size_counts_head else 0
        yield Chunk(name, position + head_bytes, length)
        end = position + head_bytes + max(0, length)
        position = end + -end % layout.align
        if position > size:
            return


def _chunks_fault(file: BinaryIO, size: int) -> str | None:
    """Samples beyond the end of the file, or a second file after them."""
    head = _read(file, 0, 40)
    layout = LAYOUTS[head[:4]]
    long_length = 0  # of RF64, whose chunk of samples states 2^32 - 1
    has_data = False
    for name, start, length in _chunks(file, size, layout):
        if name == b"ds64":
            long_length = _number(_read(file, start + 8, 8), "little")
        elif name[:4] == head[:4] and has_data:
            return JOINED
        elif name == layout.data_id:
            has_data = True
            if head[:4] in (b"RF64", b"BW64") and length == 0xFFFF_FFFF:
                length = long_length
            is_riff = layout.size_bytes == 4 and layout.order == "little"
            is_streamed = length in (0, 2**64 - 1) or (
                is_riff and not long_length and length >= STREAMED_BYTES
            )
            if is_streamed:
                return None
            if start + length > size:
                return TRUNCATED
            second = start + length
            if _read(file, second, 4) == head[:4]:  # without the padding of odd sizes
                return JOINED
    return None if has_data else NO_SAMPLES


def _avi_fault(file: BinaryIO, size: int) -> str | None:
    """An AVI has parts of up to 1 GiB, all but the first of the kind AVIX."""
    lists = [chunk for chunk in _chunks(file, size, WAV) if chunk.id == b"LIST"]
    if not lists:
        return NO_SAMPLES
    if not all(_has_whole_packets(file, chunk) for chunk in lists):
        return ALTERED
    position = 0
    while position + 12 <= size:
        head = _read(file, position, 12)
        if head[:4] != b"RIFF":
            return None
        if position and head[8:12] != b"AVIX":
            return JOINED
        position += 8 + _number(head[4:8], "little")
        position += position % 2
        if position > size + 1:
            return TRUNCATED
    return None


def _has_whole_packets(file: BinaryIO, chunk: Chunk) -> bool:
    """Whether packets of sound and pictures follow each other up to a list's end."""
    position, end = chunk.start + 4, chunk.start + chunk.length
    if _read(file, chunk.start, 4) != b"movi":
        return True
    while position + 8 <= end:
        head = _read(file, position, 8)
        if len(head) == 8 and not AVI_PACKET.fullmatch(head[:4]):
            return False
        length = _number(head[4:], "little")
        position += 12 if head[:4] == b"LIST" else 8 + length + length % 2
    return True


def _atoms_fault(file: BinaryIO, size: int) -> str | None:
    """The outer boxes of MP4 and QuickTime."""
    position, has_sound = 0, False
    for _ in range(1_000_000):  # a fragmented file has two boxes per second
        head = _read(file, position, 16)
        if len(head) < 8:
            return TRUNCATED if head.strip(b"\0") else None
        length, name = _number(head[:4]), head[4:8]
        if name == b"ftyp" and has_sound:
            return JOINED
        has_sound = has_sound or name == b"mdat"
        length = _number(head[8:16]) if length == 1 else length
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
    layout = Layout(0, b"", "little", 16, 8, size_counts_head=True, align=1)
    position = 0
    while head := _read(file, position, 24):
        length = _number(head[16:], layout.order)
        if position and head[:16] == ASF_MAGIC:
            return JOINED
        if length < 24:  # a live stream states none
            return None
        position += length
        if position > size:
            return TRUNCATED
    return None


def _au_fault(file: BinaryIO, size: int) -> str | None:
    start, length = (_number(_read(file, n, 4)) for n in (4, 8))
    if length == 0xFFFF_FFFF:
        return None
    if start + length > size:
        return TRUNCATED
    return JOINED if _read(file, start + length, 4) == b".snd" else None


def _second_start_fault(file: BinaryIO, _: int) -> str | None:
    """Files without a stated end: the beginning of a second one."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return JOINED if SECOND_STARTS[content[:4]].search(content, 4) else None


def _flv_fault(file: BinaryIO, size: int) -> str | None:
    position = _number(_read(file, 5, 4)) + 4
    while position < size:
        head = _read(file, position, 11)
        if head[:3] == b"FLV":
            return JOINED
        if head[0] & 0x1F not in (8, 9, 18):  # sound, video, description
            return None
        position += 11 + _number(head[1:4]) + 4
        if position > size:
            return TRUNCATED
    return None
