"""Streams of pages, frames and packets (Ogg, MP3, MPEG): whether parts are missing."""

import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO

TRUNCATED = "is truncated, a part of it is missing"
UNMARKED = "is truncated, the mark of its end is missing"
ALTERED = "is damaged, a part of it is missing or altered"
JOINED = "holds recordings joined end to end; split it"

FIRST_PAGE, LAST_PAGE = 2, 4  # flags of Ogg pages
REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
PACKET_BYTES = 188  # of an MPEG transport stream

# By generation (MPEG-1, MPEG-2) and layer
BIT_RATES_KBPS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES_HZ = (44_100, 48_000, 32_000)
SYNC = re.compile(rb"\xff[\xe0-\xff]")  # begins a frame
MAX_PADDING = 65_536  # bytes after the last frame; more are a part never downloaded
OTHER_STARTS = (b"RIFF", b"OggS", b"fLaC")  # of a file of another kind
TAGS = (b"TAG", b"APE", b"LYR", b"ID3")  # may follow the last frame
MOST_APPENDED = 4096  # bytes of any kind after the last chunk or page
MOST_SEARCHED = 2**24  # bytes after the last frame that are searched for more frames
MOST_PACKETS = 1_000_000  # of a program stream: 2 GB, or what is made up
BLOCK_BYTES = 2**20
ZEROS = bytes(BLOCK_BYTES)


def _read(file: BinaryIO, start: int, count: int) -> bytes:
    file.seek(start)
    return file.read(count)


def holds_more(file: BinaryIO, size: int, end: int) -> bool:
    """Whether much follows the end of the sound, and no tag or zeros alone."""
    if size - end <= MOST_APPENDED or _read(file, end, 4).startswith(TAGS):
        return False
    file.seek(end)
    blocks = iter(lambda: file.read(BLOCK_BYTES), b"")
    return any(block != ZEROS[: len(block)] for block in blocks)


def frame_bytes(head: bytes) -> int:
    """Length of the MPEG audio frame with this header (ISO 11172-3); 0 if it is none.

    Args:
        head: The first four bytes.
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bit_rate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or rate == 3 or not 0 < bit_rate < 15:
        return 0
    generation = 1 if version == 3 else 2
    kbps = BIT_RATES_KBPS[generation, layer][bit_rate - 1]
    rate_hz = RATES_HZ[rate] // {3: 1, 2: 2, 0: 4}[version]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12_000 * kbps // rate_hz + padding) * 4
    samples_per_bit = 72_000 if layer == 3 and generation == 2 else 144_000
    return samples_per_bit * kbps // rate_hz + padding


def mpeg_audio_fault(file: BinaryIO, size: int) -> str | None:
    """What is missing in an MP3 or MP2: frames that its index states, or part of one.

    The index is Xing, Info or VBRI.
    """
    if _adts_bytes(_read(file, 0, 6)):
        return _adts_fault(file, size)
    start, count, end = _frames(file)
    rest = _read(file, end, MOST_SEARCHED)
    if end > size or (count and 0 < len(rest) < 4 and rest[:1] == b"\xff"):
        return TRUNCATED
    if count == 0:
        return None
    if _holds_frames(rest):  # of which decoders leave out some
        return ALTERED
    if rest.startswith(OTHER_STARTS) or rest[4:8] == b"ftyp":
        return JOINED
    is_unfilled = size - end > MAX_PADDING and not rest.startswith(TAGS)
    is_short = count < _frames_promised(_read(file, start, 64))
    return TRUNCATED if is_unfilled or is_short else None


def _adts_fault(file: BinaryIO, size: int) -> str | None:
    """AAC as a stream of frames; whether the last one is whole."""
    end = 0
    while length := _adts_bytes(_read(file, end, 6)):
        end += length
    rest = _read(file, end, 8)
    is_cut = 0 < len(rest) < 7 and rest[:1] == b"\xff"
    return TRUNCATED if end > size or is_cut else None


def _adts_bytes(head: bytes) -> int:
    """Length of the AAC frame with this header (ISO 13818-7); 0 if it is none."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def mpeg_audio_end(file: BinaryIO) -> int | None:
    """Where the frames of an MP3 or MP2 end, if tags or padding follow.

    Decoders take what follows for damaged frames.

    Returns:
        None if nothing follows, if more frames follow, or in other files.
    """
    if not _read(file, 0, 3).startswith((b"ID3", b"\xff")):
        return None
    _, count, end = _frames(file)
    rest = _read(file, end, MOST_SEARCHED) if count else b""
    return end if rest and not _holds_frames(rest) else None


def _holds_frames(content: bytes) -> bool:
    """Whether two frames follow each other anywhere in a file's content."""
    for match in SYNC.finditer(content):
        place = match.start()
        length = frame_bytes(content[place : place + 4])
        if length and frame_bytes(content[place + length : place + length + 4]):
            return True
    return False


def _frames(file: BinaryIO) -> tuple[int, int, int]:
    """Start, number and end of the frames after the tags at the beginning."""
    start, count = tags_end(file), 0
    end, first = start, _read(file, start, 4)
    while length := frame_bytes(head := _read(file, end, 4)):
        if _kind(head) != _kind(first):
            break
        end += length
        count += 1
    return start, count, end


def tags_end(file: BinaryIO) -> int:
    """Where the ID3 tags at the beginning of a file end; 0 if there are none."""
    start = 0
    while (head := _read(file, start, 10))[:3] == b"ID3" and len(head) == 10:
        tag = sum(byte << 7 * (3 - place) for place, byte in enumerate(head[6:]))
        start += 10 + tag + (10 if head[5] & 0x10 else 0)
    return start


def _kind(head: bytes) -> tuple[int, int, bool]:
    """What no frame of a stream changes: layer, rate, and whether it is mono."""
    return head[1] & 0x1E, head[2] & 0x0C, head[3] >> 6 == 3


def _frames_promised(first: bytes) -> int:
    """The number of frames that the first frame of an MP3 states; 0 if it does not."""
    for name in (b"Xing", b"Info"):
        place = first.find(name)
        if place > 0 and len(first) >= place + 12 and first[place + 7] & 1:
            return int.from_bytes(first[place + 8 : place + 12], "big")
    return int.from_bytes(first[50:54], "big") if first[36:40] == b"VBRI" else 0


def program_fault(file: BinaryIO, size: int) -> str | None:
    """What is missing in an MPEG program stream (MPG, VOB): part of the last packet."""
    position = 0
    for _ in range(MOST_PACKETS):
        if position >= size:
            break
        head = _read(file, position, 14)
        if head[:3] != b"\0\0\1"[: len(head)]:  # padding, or damage that ffmpeg finds
            return None
        kind = head[3] if len(head) > 3 else 0xBA
        if kind == 0xB9:  # the end
            position += 4
        elif kind == 0xBA:
            is_mpeg2 = len(head) > 4 and head[4] >> 6 == 1
            stuffing = head[13] & 7 if len(head) == 14 else 0
            position += 14 + stuffing if is_mpeg2 else 12
        else:
            position += 6 + int.from_bytes(head[4:6], "big")
    return TRUNCATED if position > size else None


def transport_fault(file: BinaryIO, size: int) -> str | None:
    """Every packet of an MPEG transport stream begins with the same byte."""
    file.seek(0)
    blocks = iter(lambda: file.read(PACKET_BYTES * 4096), b"")
    starts = b"".join(block[::PACKET_BYTES] for block in blocks)
    if not starts.startswith(b"GGG"):
        return None  # something else, such as a text
    if starts[:-2].strip(b"G"):
        return ALTERED
    is_part = size % PACKET_BYTES and starts.endswith(b"G")
    return TRUNCATED if is_part else None  # else whole, or something is appended


def wavpack_fault(file: BinaryIO, size: int) -> str | None:
    """Blocks state their first sample and length; the first one the file's length."""
    position, samples, promised = 0, 0, 0
    while (head := _read(file, position, 32))[:4] == b"wvpk" and len(head) == 32:
        length, total, index, count = (
            int.from_bytes(head[place : place + 4], "little")
            for place in (4, 12, 16, 20)
        )
        promised = promised or total
        samples = index + count if count else samples
        position += 8 + length
    is_unknown = promised in (0, 0xFFFF_FFFF)
    if position > size or (samples < promised and not is_unknown):
        return TRUNCATED
    return None  # the decoder reports damage between blocks


def ogg_fault(file: BinaryIO, size: int) -> str | None:
    """Pages have checksums and numbers; the last one of each stream is marked."""
    next_page: dict[bytes, int] = {}  # by serial number of the streams that are open
    end = 0
    for page in _pages(file):
        end += len(page)
        if len(page) < _page_bytes(page):
            return TRUNCATED
        if _ogg_crc(page) != page[22:26]:
            return ALTERED
        serial, number = page[14:18], int.from_bytes(page[18:22], "little")
        if page[5] & FIRST_PAGE:
            next_page[serial] = number
        if next_page.get(serial) != number:
            return ALTERED
        next_page[serial] = number + 1
        if page[5] & LAST_PAGE:
            del next_page[serial]
    if next_page:
        return UNMARKED
    return ALTERED if holds_more(file, size, end) else None


def _pages(file: BinaryIO) -> Iterator[bytes]:
    """The pages of an Ogg file; the last one may be incomplete."""
    file.seek(0)
    while (head := file.read(27))[:4] == b"OggS":
        lengths = file.read(head[26]) if len(head) == 27 else b""
        yield head + lengths + file.read(sum(lengths))
    if head and b"OggS".startswith(head[:4]):
        yield head


def count_first_pages(file: BinaryIO) -> int:
    """The number of streams in an Ogg file, one after another or together."""
    return sum(page[:6][-1] & FIRST_PAGE > 0 for page in _pages(file))


def _page_bytes(page: bytes) -> int:
    """The length that the head of a page states."""
    if len(page) < 27 or len(page) < 27 + page[26]:
        return len(page) + 1
    return 27 + page[26] + sum(page[27 : 27 + page[26]])


def _ogg_crc(page: bytes) -> bytes:
    """The checksum of an Ogg page (RFC 3533), computed without its own field.

    It is the CRC-32 of zlib with the bits of all bytes and of the result reversed, and
    begins with zero.
    """
    reversed_page = (page[:22] + bytes(4) + page[26:]).translate(REVERSED_BITS)
    crc = zlib.crc32(reversed_page, 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return crc.to_bytes(4, "big").translate(REVERSED_BITS)
