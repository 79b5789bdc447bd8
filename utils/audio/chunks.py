"""Files of chunks (WAV, AIFF, CAF, W64, AVI): whether all samples are there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from utils.audio.streams import (
    ALTERED,
    JOINED,
    MOST_APPENDED,
    TRUNCATED,
    holds_more,
)

NO_SAMPLES = "cannot be read as audio (its chunk of samples is missing)"

# Programs that write WAV to a pipe state these lengths or more: SoX 0x7FFFF000, arecord
# 0x7FFFFF00, ffmpeg 0xFFFFFFFF. So a truncated file of 2 GiB cannot be recognised.
STREAMED_BYTES = 0x7FFF_F000
MAX_CHUNKS = 10_000  # a header full of zeros would hold millions of empty chunks
W64_MAGIC = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
AVI_PACKET = re.compile(rb"\d\d..|ix..|LIST|JUNK", re.DOTALL)


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


def read_at(file: BinaryIO, start: int, count: int) -> bytes:
    """`count` bytes from a position, fewer at the end of the file."""
    file.seek(start)
    return file.read(count)


def number(content: bytes, order: Literal["little", "big"] = "big") -> int:
    """An unsigned whole number."""
    return int.from_bytes(content, order)


def unstated_samples(path: Path) -> int | None:
    """Position of the samples of a WAV that states none although it holds some.

    Recorders write such a file if they are stopped before they complete its header.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        layout = LAYOUTS.get(read_at(file, 0, 4), WAV)
        chunks = list(_chunks(file, size, layout))
    if not chunks or chunks[-1].start + chunks[-1].length in (size, size - 1):
        return None  # other chunks follow, up to the end
    starts = (c.start for c in chunks if c.id == layout.data_id and not c.length)
    return next(starts, None)


def _chunks(file: BinaryIO, size: int, layout: Layout) -> Iterator[Chunk]:
    """The chunks of a file, as far as they look like chunks."""
    position, head_bytes = layout.first, layout.id_bytes + layout.size_bytes
    for _ in range(MAX_CHUNKS):
        head = read_at(file, position, head_bytes)
        name = head[: layout.id_bytes]
        is_text = name[:4].isascii() and name[:4].decode("latin-1").isprintable()
        if len(head) < head_bytes or not is_text:
            return
        length = number(head[layout.id_bytes :], layout.order)
        length -= head_bytes if layout.size_counts_head else 0
        yield Chunk(name, position + head_bytes, length)
        end = position + head_bytes + max(0, length)
        position = end + -end % layout.align
        if position > size:
            return


def chunks_fault(file: BinaryIO, size: int) -> str | None:
    """Samples beyond the end of the file, or a second file after them."""
    head = read_at(file, 0, 40)
    layout = LAYOUTS[head[:4]]
    long_length = 0  # of RF64, whose chunk of samples states 2^32 - 1
    has_data = False
    for name, start, length in _chunks(file, size, layout):
        if name == b"ds64":
            long_length = number(read_at(file, start + 8, 8), "little")
        elif has_data and (name[:4] == head[:4] or name == layout.data_id):
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
            if read_at(file, second, 4) == head[:4]:  # without the padding of odd sizes
                return JOINED
            if head[:4] == b"FORM" and _skips_samples(read_at(file, start, 8)):
                return ALTERED
            if holds_more(file, size, second) and not _is_chunk(
                file, size, layout, second
            ):
                return ALTERED
    return None if has_data else NO_SAMPLES


def _skips_samples(start: bytes) -> bool:
    """Whether AIFF states that samples begin later than an alignment needs."""
    offset, block_bytes = number(start[:4]), number(start[4:])
    return offset > 0 and not offset < block_bytes <= MOST_APPENDED


def _is_chunk(file: BinaryIO, size: int, layout: Layout, end: int) -> bool:
    """Whether a whole chunk follows."""
    first = end + -end % layout.align
    following = next(_chunks(file, size, layout._replace(first=first)), None)
    return following is not None and following.start + following.length <= size + 1


def avi_fault(file: BinaryIO, size: int) -> str | None:
    """An AVI has parts of up to 1 GiB, all but the first of the kind AVIX."""
    lists = [chunk for chunk in _chunks(file, size, WAV) if chunk.id == b"LIST"]
    if not lists:
        return NO_SAMPLES
    if not all(_has_whole_packets(file, chunk) for chunk in lists):
        return ALTERED
    position = 0
    while position + 12 <= size:
        head = read_at(file, position, 12)
        if head[:4] != b"RIFF":
            return None
        if position and head[8:12] != b"AVIX":
            return JOINED
        position += 8 + number(head[4:8], "little")
        position += position % 2
        if position > size + 1:
            return TRUNCATED
    return None


def _has_whole_packets(file: BinaryIO, chunk: Chunk) -> bool:
    """Whether packets of sound and pictures follow each other up to a list's end."""
    position, end = chunk.start + 4, chunk.start + chunk.length
    if read_at(file, chunk.start, 4) != b"movi":
        return True
    while position + 8 <= end:
        head = read_at(file, position, 8)
        if len(head) < 8:
            return True  # the file is truncated; its outer list tells
        if not AVI_PACKET.fullmatch(head[:4]):
            return False
        length = number(head[4:], "little")
        position += 12 if head[:4] == b"LIST" else 8 + length + length % 2
    return True
